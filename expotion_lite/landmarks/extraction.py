"""Landmarks of one person in every frame of a video: face, expression, head rotation, body and optical flow.

`extract_landmarks` decodes a video, finds the face and then the body, each step in its own thread. `Landmarks` holds
the result as arrays.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator, Iterable, Iterator, Sized
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from ..errors import Cancelled, ExpotionError
from ..files import atomic_write
from ..stored import read_npz
from .model_files import find_model

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from ..video.reading import AnyVideo, Frame
    from .tracking import Person

# Names and order are MediaPipe's; left and right are the person's own.
BLENDSHAPES: tuple[str, ...] = tuple(
    """_neutral browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft
    cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft eyeLookInRight
    eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight
    jawForward jawLeft jawOpen jawRight mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight
    mouthFunnel mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight
    mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight mouthStretchLeft
    mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft noseSneerRight""".split()
)

# Increase this when the same frames give other landmarks; caches are then recomputed.
LANDMARKS_VERSION = 2

_SHAPES: dict[str, tuple[int, ...]] = {  # of one frame
    "times": (),
    "face": (478, 3),
    "blendshapes": (52,),
    "head_pose": (3,),
    "body": (33, 4),
    "face_found": (),
    "body_found": (),
    "flow": (3,),
    "brightness": (),
}
_OF_PIXELS = ("flow", "brightness")  # None where there are no pixels
_MEASURED = ("face", "blendshapes", "head_pose", "body", *_OF_PIXELS)  # NaN where nothing was found
_QUEUE_FRAMES = 4  # frames that may wait between two threads; bounds the memory


@dataclass(frozen=True)
class Landmarks:
    """Face and body of one person in every frame of a video. Missing values are NaN, never zero.

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
        width: of the upright video in pixels; x * width is a pixel column.
        height: of the upright video in pixels; y * height is a pixel row.
        flow: (T, 3) float32, how far the pixels of head, arms and trunk have moved since the frame before (see
            `optical_flow.FlowMeter`), NaN in the first frame; None where there are no pixels, as of synthetic people.
        brightness: (T,) float32, 0..1, mean of the picture; None where there are no pixels.

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
    flow: np.ndarray | None = None
    brightness: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.times)
        for name, shape in _SHAPES.items():
            values = getattr(self, name)
            if values is not None and values.shape != (count, *shape):
                found = values.shape
                raise ExpotionError(f"Landmarks: {name} has shape {found}; {(count, *shape)} was expected.")

    def require_person(self, smallest_share: float = 0.2) -> Landmarks:
        """Return these landmarks unchanged if a person was found in enough of the frames.

        Args:
            smallest_share: share of frames that must show a face or a body, 0..1.

        Raises:
            ExpotionError: no person was found in any frame, or in too few.
        """
        found, count = int((self.face_found | self.body_found).sum()), len(self.times)
        if found == 0 or found < smallest_share * count:
            raise ExpotionError(
                f"A person was found in {found or 'none'} of the {count} frames; "
                "use a video that shows a face or an upper body from the front, large enough and in good light."
            )
        return self

    def part(self, start: int, end: int) -> Landmarks:
        """Return the frames from `start` to before `end`, with their times as they are."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Landmarks(
            **{
                name: value[start:end] if name in _SHAPES and value is not None else value
                for name, value in values.items()
            }
        )

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write an npz file (no pickle) with one array per attribute.

        Args:
            path: the npz to write.
            overwrite: replace an existing file.

        Returns:
            The path written.

        Raises:
            ExpotionError: the path cannot be written.
        """
        path = Path(path)
        with atomic_write(path, overwrite) as temporary, temporary.open("wb") as file:
            values = {field.name: getattr(self, field.name) for field in fields(self)}
            np.savez_compressed(file, **{name: value for name, value in values.items() if value is not None})
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Landmarks:
        """Read a file that `save` wrote.

        Args:
            path: the npz to read.

        Raises:
            ExpotionError: the file does not exist, or holds no landmarks.
        """
        path = Path(path)
        if not path.is_file():
            raise ExpotionError(f"{path} does not exist; name a file that Landmarks.save wrote.")
        try:
            stored = read_npz(path)
            values: dict[str, Any] = {
                field.name: stored[field.name] for field in fields(cls) if field.name not in _OF_PIXELS
            }
            values |= {name: stored.get(name) for name in _OF_PIXELS}
            values["width"], values["height"] = int(values["width"]), int(values["height"])
            return cls(**values)
        except Exception as error:
            raise ExpotionError(f"{path} is not a file of landmarks; name one that Landmarks.save wrote.") from error


def extract_landmarks(
    video: AnyVideo | Iterable[Frame],
    *,
    face_model: str | os.PathLike[str] | None = None,
    pose_model: str | os.PathLike[str] | None = None,
    max_people: int = 4,
    progress: bool = True,
    max_side: int = 640,
    cancel: threading.Event | None = None,
) -> Landmarks:
    """Find the face and the body of one person in every frame of a video, and how far their pixels move.

    If there are several people, the one with the largest face is followed, until their face is lost for 1 s, or another
    face is 1.5 times as large in two searches in a row. Decoding, face and body run in a thread each; every frame
    passes through them in order, so the result does not depend on timing.

    Args:
        video: a path, bytes, a file object or a `Video`; or frames with `image` (H, W, 3) uint8 RGB and `time_s`.
        face_model: MediaPipe's face_landmarker.task; None searches for it (see `find_model`).
        pose_model: MediaPipe's pose_landmarker_full.task; None searches for it.
        max_people: the most people to choose from in one frame.
        progress: show a progress bar.
        max_side: pixels; larger pictures are scaled down before the search.
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
    face_bundle, pose_bundle = find_model("face", face_model), find_model("pose", pose_model)
    from .optical_flow import FlowMeter
    from .tracking import BodyFollower

    frames, expected, size = _open_frames(video, max_side)
    table, meter = _Table(expected or 256), FlowMeter()
    with (
        _in_thread(_checked_pictures(frames, max_side)) as pictures,
        _in_thread(_with_faces(pictures, face_bundle, max_people)) as with_faces,
        closing(BodyFollower(pose_bundle, max_people)) as body,
        _progress_bar(expected, progress) as bar,
    ):
        for picture, face, other_faces in with_faces:
            if cancel is not None and cancel.is_set():
                raise Cancelled("Stopped while looking for face and body; nothing was made.")
            found = body.step(picture.image, picture.time_s, face, other_faces)
            table.add(picture, face, found, meter.step(picture.image, face, found))
            size = size or picture.size
            bar.update()
    if size is None or not table.count:
        raise ExpotionError("The video has no frames; choose another video.")
    return table.landmarks(*size)


class LiveLandmarks:
    """Landmarks of pictures that come one after another, as from a camera.

    It finds what `extract_landmarks` finds, picture by picture. Close it when no more pictures come, or use it in a
    `with` statement.

    Args:
        face_model: see `extract_landmarks`.
        pose_model: see `extract_landmarks`.
        max_people: see `extract_landmarks`.
        max_side: see `extract_landmarks`.

    Raises:
        ExpotionError: a model is missing.

    Example:
        >>> with LiveLandmarks() as live:
        ...     seen = live.find(np.zeros((240, 320, 3), np.uint8), 0.0)
        >>> len(seen.times), bool(seen.face_found[0])
        (1, False)

    Notebook: notebooks/07_play_it
    """

    def __init__(
        self,
        *,
        face_model: str | os.PathLike[str] | None = None,
        pose_model: str | os.PathLike[str] | None = None,
        max_people: int = 4,
        max_side: int = 640,
    ) -> None:
        face_bundle, pose_bundle = find_model("face", face_model), find_model("pose", pose_model)
        from .optical_flow import FlowMeter
        from .tracking import BodyFollower, FaceFollower

        self._checker = _Checker(max_side)
        self._face = FaceFollower(face_bundle, max_people)
        self._body = BodyFollower(pose_bundle, max_people)
        self._meter = FlowMeter()

    def find(self, image: np.ndarray, time_s: float) -> Landmarks:
        """Find face, body and flow in the next picture.

        Args:
            image: (H, W, 3) uint8 RGB; smaller pictures take less time, 320 x 240 are enough for one person.
            time_s: when it was taken, in seconds on any clock; later than the picture before.

        Returns:
            Landmarks of one frame, at the time given.

        Raises:
            ExpotionError: it is no picture, too small, or not later than the one before.
        """
        from ..video.reading import Frame

        picture = self._checker.check(Frame(image, time_s))
        face, others = self._face.step(picture.image, picture.time_s)
        body = self._body.step(picture.image, picture.time_s, face, others)
        table = _Table(1)
        table.add(picture, face, body, self._meter.step(picture.image, face, body))
        table.arrays["times"][0] = time_s
        return table.landmarks(*picture.size)

    def close(self) -> None:
        """Release the models."""
        self._face.close()
        self._body.close()

    def __enter__(self) -> LiveLandmarks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Picture(NamedTuple):
    """A frame as the models see it."""

    image: np.ndarray  # (h, w, 3) uint8 RGB, scaled to at most `max_side`
    time_s: float  # 0 at the first frame
    size: tuple[int, int]  # width and height before scaling, pixels


def _open_frames(
    video: AnyVideo | Iterable[Frame], max_side: int
) -> tuple[Iterable[Frame], int | None, tuple[int, int] | None]:
    """Return the frames, how many to expect and the video's upright (width, height); None where it is not known."""
    if _is_video_source(video):
        from ..video.reading import Video

        opened = Video.of(video)
        return opened.frames(max_side=max_side), opened.info.frames, (opened.info.width, opened.info.height)
    _require_iterable(video)
    return video, len(video) if isinstance(video, Sized) else None, None


def _is_video_source(video: object) -> TypeIs[AnyVideo]:
    from ..video.reading import Video

    return isinstance(video, str | os.PathLike | bytes | bytearray | memoryview | Video) or hasattr(video, "read")


def _require_iterable(video: object) -> None:
    if not isinstance(video, Iterable):
        raise ExpotionError(f"A {type(video).__name__} is no video; give a path, bytes, a file object or frames.")


class _Checker:
    """Checks frames, and scales all to the size of the first, no side longer than `max_side` pixels."""

    def __init__(self, max_side: int) -> None:
        self._max_side, self._count = max_side, 0
        self._target: tuple[int, int] | None = None
        self._start, self._last = 0.0, -np.inf

    def check(self, frame: Frame) -> _Picture:
        """Return the next frame as the models see it, or refuse it."""
        import cv2

        from ..video.upright import SMALLEST_SIDE

        index, image, time_s = self._count, np.asarray(frame.image), float(frame.time_s)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ExpotionError(f"Frame {index} is {image.dtype} {image.shape}; give (height, width, 3) uint8 RGB.")
        height, width = image.shape[:2]
        if min(width, height) < SMALLEST_SIDE:
            raise ExpotionError(
                f"Frame {index} is {width} x {height} pixels, too small to show a face; "
                f"give at least {SMALLEST_SIDE} pixels on either side."
            )
        if not self._last < time_s < np.inf:
            raise ExpotionError(f"Frame {index} is at {time_s:g} s, not after the one before it; sort frames by time.")
        self._start, self._last = self._start if index else time_s, time_s
        self._count += 1
        if self._target is None:
            scale = min(1.0, self._max_side / max(width, height))
            self._target = max(1, round(width * scale)), max(1, round(height * scale))
        if (width, height) != self._target:
            image = cv2.resize(image, self._target, interpolation=cv2.INTER_AREA)
        return _Picture(np.ascontiguousarray(image), time_s - self._start, (width, height))


def _checked_pictures(frames: Iterable[Frame], max_side: int) -> Generator[_Picture, None, None]:
    """Check every frame, see `_Checker`."""
    checker = _Checker(max_side)
    for frame in frames:
        yield checker.check(frame)


def _with_faces(
    pictures: Iterable[_Picture], model: Path, max_people: int
) -> Generator[tuple[_Picture, Person | None, list[Person]], None, None]:
    """Yield every picture with the followed face (None if it is not seen) and the other faces."""
    from .tracking import FaceFollower

    with closing(FaceFollower(model, max_people)) as follower:
        for picture in pictures:
            face, others = follower.step(picture.image, picture.time_s)
            yield picture, face, others


Item = TypeVar("Item")


class _End(NamedTuple):
    """Last entry of a queue: the generator has ended, by itself or with an error."""

    error: BaseException | None


@contextmanager
def _in_thread(items: Generator[Item, None, None]) -> Iterator[Iterator[Item]]:
    """Run a generator in its own thread, a few items ahead; yield an iterator over its items, in order."""
    ready: queue.Queue[Item | _End] = queue.Queue(_QUEUE_FRAMES)
    stop = threading.Event()

    def put(item: Item | _End) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            break

    def work() -> None:
        error = None
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    break
        except BaseException as caught:
            error = caught
        finally:
            items.close()
            put(_End(error))

    def take() -> Iterator[Item]:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stop.set()
        thread.join()


def _progress_bar(total: int | None, shown: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=total, desc="Looking for face and body", unit="frame", disable=not shown, leave=False)


class _Table:
    """Landmarks under construction: arrays with room for `rows` frames, which grow when there are more."""

    def __init__(self, rows: int) -> None:
        self.count = 0
        self.arrays: dict[str, np.ndarray] = {
            "times": np.zeros(rows),
            **{name: np.full((rows, *_SHAPES[name]), np.nan, np.float32) for name in _MEASURED},
            "face_found": np.zeros(rows, bool),
            "body_found": np.zeros(rows, bool),
        }

    def add(self, picture: _Picture, face: Person | None, body: Person | None, flow: np.ndarray) -> None:
        """Fill the next row; a face or a body that is None stays NaN."""
        if self.count == len(self.arrays["times"]):
            for name, array in self.arrays.items():
                fill = np.full_like(array, np.nan if array.dtype == np.float32 else 0)
                self.arrays[name] = np.concatenate([array, fill])
        row, arrays = self.count, self.arrays
        height, width = picture.image.shape[:2]
        unit = np.array([width, height, width], np.float32)
        arrays["times"][row] = picture.time_s
        arrays["flow"][row] = flow
        arrays["brightness"][row] = picture.image[::8, ::8].mean() / 255
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
        """Return the filled rows, for a video of this size in pixels."""
        filled = {name: array[: self.count] for name, array in self.arrays.items()}
        return Landmarks(**filled, width=width, height=height)
