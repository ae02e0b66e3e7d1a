"""From a video to what MediaPipe sees in it: face, expression, head rotation and body of one person, frame by frame."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from ..errors import Cancelled, ExpotionError
from ..files import writing
from .model_files import find_model

if TYPE_CHECKING:
    from ..video.reading import Frame
    from .tracking import Person

__all__ = ["BLENDSHAPES", "Landmarks", "extract_landmarks", "find_model"]

# MediaPipe's names in MediaPipe's order; left and right are the person's own.
BLENDSHAPES: tuple[str, ...] = tuple(
    """_neutral browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft
    cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft eyeLookInRight
    eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight
    jawForward jawLeft jawOpen jawRight mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight
    mouthFunnel mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight
    mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight mouthStretchLeft
    mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft noseSneerRight""".split()
)

_QUEUE = 4  # frames that may wait between two stages: bounds the memory

# Raise this when the same pictures give other landmarks; caches are then computed anew.
LANDMARKS_VERSION = 1


@dataclass(frozen=True)
class Landmarks:
    """One person's face and body in every frame of a video. What was not found is NaN, never zero.

    Attributes:
        times: (T,) float64, seconds, 0 at the first frame, strictly increasing.
        face: (T, 478, 3) float32, fractions of the picture's width and height (x right, y down); z as a fraction of
            the width, smaller nearer to the camera. NaN rows where no face was found.
        blendshapes: (T, 52) float32, 0..1, in the order of `BLENDSHAPES`; NaN rows where no face was found.
        head_pose: (T, 3) float32, degrees: pitch (+ chin down), yaw (+ the face turns to the image's right), roll
            (+ the head tilts clockwise in the image). 0, 0, 0 looks straight into the camera. NaN where no face.
        body: (T, 33, 4) float32: x, y, z as in `face`, and visibility 0..1; NaN rows where no body was found.
        face_found: (T,) bool.
        body_found: (T,) bool.
        width: pixels of the upright video; x * width is a pixel column.
        height: pixels of the upright video; y * height is a pixel row.

    Notebook: notebooks/01_landmarks
    """

    times: np.ndarray
    face: np.ndarray
    blendshapes: np.ndarray
    head_pose: np.ndarray
    body: np.ndarray
    face_found: np.ndarray
    body_found: np.ndarray
    width: int
    height: int

    def __post_init__(self) -> None:
        count = len(self.times)
        for name, shape in _SHAPES.items():
            if getattr(self, name).shape != (count, *shape):
                found = getattr(self, name).shape
                raise ExpotionError(f"Landmarks: {name} has shape {found}; {(count, *shape)} was expected.")

    def require_person(self, smallest_share: float = 0.2) -> Landmarks:
        """Return these landmarks unchanged if a person was found in enough of the frames.

        Args:
            smallest_share: of the frames that must show a face or a body, 0..1.

        Raises:
            ExpotionError: no person in any frame, or in too few for music to follow.
        """
        found, count = int((self.face_found | self.body_found).sum()), len(self.times)
        if found == 0 or found < smallest_share * count:
            raise ExpotionError(
                f"A person was found in {found or 'none'} of the {count} frames; "
                "use a video that shows a face or an upper body from the front, large enough and in good light."
            )
        return self

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write an npz file (no pickle) with one array for every attribute; `path` is returned."""
        path = Path(path)
        with writing(path, overwrite) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **{field.name: getattr(self, field.name) for field in fields(self)})
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Landmarks:
        """Read what `save` wrote.

        Raises:
            ExpotionError: the file does not exist, or is not a file of landmarks.
        """
        path = Path(path)
        if not path.is_file():
            raise ExpotionError(f"{path} does not exist; name a file that Landmarks.save wrote.")
        try:
            with np.load(path, allow_pickle=False) as stored:
                values = {field.name: stored[field.name] for field in fields(cls)}
            values["width"], values["height"] = int(values["width"]), int(values["height"])
            return cls(**values)
        except Exception as error:
            raise ExpotionError(f"{path} is not a file of landmarks; name one that Landmarks.save wrote.") from error


_SHAPES = {
    "times": (),
    "face": (478, 3),
    "blendshapes": (52,),
    "head_pose": (3,),
    "body": (33, 4),
    "face_found": (),
    "body_found": (),
}
_MEASURED = ("face", "blendshapes", "head_pose", "body")


def extract_landmarks(
    source: str | os.PathLike[str] | bytes | BinaryIO | Iterable[Frame],
    *,
    face_model: str | os.PathLike[str] | None = None,
    pose_model: str | os.PathLike[str] | None = None,
    max_people: int = 4,
    progress: bool = True,
    max_side: int = 640,
    cancel: threading.Event | None = None,
) -> Landmarks:
    """Find one person's face and body in every frame of a video.

    Where there are several people, the one with the largest face is followed, until they have been gone for a second
    or somebody else has been half as large again for a while. Decoding, face and body run in a thread each; every
    frame passes through them in order, so that the result does not depend on timing.

    Args:
        source: a video (path, bytes or file object), or frames with `image` (H, W, 3) uint8 RGB and `time_s`.
        face_model: MediaPipe's face_landmarker.task; None looks for it (see `find_model`).
        pose_model: MediaPipe's pose_landmarker_full.task; None looks for it.
        max_people: people to choose from in one picture.
        progress: show a bar with the time left.
        max_side: pixels; larger pictures are made smaller before they are looked at.
        cancel: set it from another thread to stop.

    Returns:
        Landmarks of T frames. A video without people gives rows of NaN: see `Landmarks.require_person`.

    Raises:
        ExpotionError: no frames, frames that are no pictures or out of order, a missing model, a bad argument.
        Cancelled: `cancel` was set.

    References:
        Kartynnik et al. 2019, "Real-time facial surface geometry from monocular video on mobile GPUs";
        Bazarevsky et al. 2020, "BlazePose: on-device real-time body pose tracking".

    Notebook: notebooks/01_landmarks
    """
    if max_people < 1:
        raise ExpotionError(f"max_people is {max_people}; look for at least 1 person.")
    if max_side < 64:
        raise ExpotionError(f"max_side is {max_side} pixels; give at least 64.")
    models = find_model("face", face_model), find_model("pose", pose_model)
    from .tracking import BodyFollower

    frames, expected, size = _open(source, max_side)
    table = _Table(expected or 256)
    with (
        _ahead(_pictures(frames, max_side)) as pictures,
        _ahead(_with_faces(pictures, models[0], max_people)) as faces,
        closing(BodyFollower(models[1], max_people)) as body,
        _bar(expected, progress) as bar,
    ):
        for picture, person, others in faces:
            if cancel is not None and cancel.is_set():
                raise Cancelled("Stopped while looking for face and body; nothing was made.")
            table.add(picture, person, body.step(picture.image, picture.time_s, person, others))
            size = size or picture.size
            bar.update()
    if not table.count:
        raise ExpotionError("The video has no frames; choose another video.")
    return table.landmarks(*size)


class _Picture(NamedTuple):
    image: np.ndarray  # (h, w, 3) uint8 RGB, as large as it is looked at
    time_s: float  # 0 at the first
    size: tuple[int, int]  # width and height as it came, pixels


def _open(source: object, max_side: int) -> tuple[Iterable[Frame], int | None, tuple[int, int] | None]:
    """Return frames, how many to expect, and the upright video's (width, height), the last two if they are known."""
    if isinstance(source, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(source, "read"):
        from ..video.reading import probe, read_frames

        start = source.tell() if hasattr(source, "read") and source.seekable() else None
        info = probe(source)
        if start is not None:
            source.seek(start)
        return read_frames(source, max_side=max_side), info.frames or None, (info.width, info.height)
    if isinstance(source, Iterable):
        return source, len(source) if hasattr(source, "__len__") else None, None
    raise ExpotionError(f"A {type(source).__name__} is no video; give a path, bytes, a file object or frames.")


def _pictures(frames: Iterable[Frame], max_side: int) -> Iterator[_Picture]:
    """Check every frame, and bring all to the first one's size, no side longer than `max_side` pixels."""
    import cv2

    from ..video.demuxing import SMALLEST_SIDE

    target, start, last = None, 0.0, -np.inf
    for index, frame in enumerate(frames):
        image, time_s = np.asarray(frame.image), float(frame.time_s)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ExpotionError(f"Frame {index} is {image.dtype} {image.shape}; give (height, width, 3) uint8 RGB.")
        if min(image.shape[:2]) < SMALLEST_SIDE:
            raise ExpotionError(
                f"Frame {index} is {image.shape[1]} x {image.shape[0]} pixels, too small to show a face; "
                f"give at least {SMALLEST_SIDE} pixels on either side."
            )
        if not last < time_s < np.inf:
            raise ExpotionError(f"Frame {index} is at {time_s:g} s, not after the one before it; sort frames by time.")
        start, last, size = start if index else time_s, time_s, (image.shape[1], image.shape[0])
        scale = min(1.0, max_side / max(size))
        target = target or tuple(max(1, round(side * scale)) for side in size)
        if size != target:
            image = cv2.resize(image, target, interpolation=cv2.INTER_AREA)
        yield _Picture(np.ascontiguousarray(image), time_s - start, size)


def _with_faces(
    pictures: Iterable[_Picture], model: Path, max_people: int
) -> Iterator[tuple[_Picture, Person | None, list[Person]]]:
    from .tracking import FaceFollower

    with closing(FaceFollower(model, max_people)) as follower:
        for picture in pictures:
            yield picture, *follower.step(picture.image, picture.time_s)


@contextmanager
def _ahead(items: Iterator) -> Iterator[Iterator]:
    """Yield an iterator over `items`, which a thread of its own computes a few ahead, in order."""
    ready: queue.Queue = queue.Queue(_QUEUE)
    stop = threading.Event()
    end = object()

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            break

    def work() -> None:
        outcome = end
        try:
            for item in items:
                put((item, None))
                if stop.is_set():
                    break
        except BaseException as error:
            outcome = error
        finally:
            items.close()
            put((end, outcome))

    def take() -> Iterator:
        while (got := ready.get())[0] is not end:
            yield got[0]
        if got[1] is not end:
            raise got[1]

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stop.set()
        thread.join()


def _bar(total: int | None, shown: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=total, desc="Looking for face and body", unit="frame", disable=not shown, leave=False)


class _Table:
    """Rows of landmarks, with room for `rows` frames, and more where they come."""

    def __init__(self, rows: int) -> None:
        self.count = 0
        self.arrays = {
            "times": np.zeros(rows),
            **{name: np.full((rows, *_SHAPES[name]), np.nan, np.float32) for name in _MEASURED},
            "face_found": np.zeros(rows, bool),
            "body_found": np.zeros(rows, bool),
        }

    def add(self, picture: _Picture, face: Person | None, body: Person | None) -> None:
        """Fill the next row; a face or a body that is None stays missing."""
        if self.count == len(self.arrays["times"]):
            for name, array in self.arrays.items():
                fill = np.full_like(array, np.nan if array.dtype == np.float32 else 0)
                self.arrays[name] = np.concatenate([array, fill])
        row, arrays = self.count, self.arrays
        height, width = picture.image.shape[:2]
        unit = np.array([width, height, width], np.float32)
        arrays["times"][row] = picture.time_s
        if face is not None:
            arrays["face_found"][row] = True
            arrays["face"][row] = face.points / unit
            arrays["blendshapes"][row] = face.blendshapes
            arrays["head_pose"][row] = face.head_pose
        if body is not None:
            arrays["body_found"][row] = True
            arrays["body"][row, :, :3] = body.points / unit
            arrays["body"][row, :, 3] = body.visibility
        self.count += 1

    def landmarks(self, width: int, height: int) -> Landmarks:
        """Return the rows that were filled."""
        filled = {name: array[: self.count] for name, array in self.arrays.items()}
        return Landmarks(**filled, width=width, height=height)
