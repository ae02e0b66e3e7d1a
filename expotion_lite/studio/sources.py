"""Sources that the studio makes music for: a video, a drawn gesture of a synthetic person, or a synthetic stranger."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from ..controls.steering import stretch
from ..errors import ExpotionError
from ..files import digest_of
from ..limits import check_duration

if TYPE_CHECKING:
    from ..controls.channels import Controls
    from ..landmarks.extraction import Landmarks
    from ..synthetic.people import Performance, Performer
    from ..video.reading import Frame

MIN_GESTURE_S, MAX_GESTURE_S = 1.0, 30.0
"""Limits for the length of a gesture."""
GESTURES = {"nod": ("pitch", 12.0), "sway": ("sway", 0.5), "raise a hand": ("right_hand_y", -1.5)}
"""Gesture -> the movement of `synthetic.Performance` that the curve drives, and its size where the curve is 1."""
MAX_PREVIEW_BYTES = 40_000_000
"""The largest video that is sent to the browser."""
_FPS = 30.0
_SIZE = (480, 360)
_MOVEMENTS = (
    *("pitch", "yaw", "roll", "sway", "bob", "shoulders"),
    *("smile", "frown", "brow_up", "brow_down", "jaw", "blink", "gaze_x", "gaze_y"),
    *("left_hand_x", "left_hand_y", "right_hand_x", "right_hand_y"),
)


class VideoRecipe(TypedDict):
    """A video: its path, and the hash of its bytes."""

    video: str
    sha256: str


class GestureRecipe(TypedDict):
    """A gesture: a key of `GESTURES`, the points of the curve, and seconds."""

    gesture: str
    curve: list[float]
    duration_s: float


class StrangerRecipe(TypedDict):
    """A synthetic stranger: the seed, and seconds."""

    stranger: int
    duration_s: float


SourceRecipe = VideoRecipe | GestureRecipe | StrangerRecipe


@dataclass(frozen=True, eq=False)
class Source:
    """A person who moves, in a video.

    Attributes:
        name: its name in the studio.
        video: path of the video; for a synthetic person, a video of the skeleton.
        duration_s: seconds.
        landmarks: of the person.
        controls: of the person, at 50 frames a second.
        recipe: plain values from which `from_recipe` rebuilds the source.
    """

    name: str
    video: Path
    duration_s: float
    landmarks: Landmarks
    controls: Controls
    recipe: SourceRecipe


def from_video(
    path: str | os.PathLike[str], *, frame_rate: float = 50.0, cancel: threading.Event | None = None
) -> Source:
    """Extract the controls of the person in a video.

    Args:
        path: the video.
        frame_rate: of the controls, Hz.
        cancel: set it to stop.

    Raises:
        ExpotionError: the file is not a video, or shows nobody.
        Cancelled: `cancel` was set.
    """
    from ..controls.extraction import extract_controls
    from ..landmarks.extraction import extract_landmarks
    from ..video.reading import check_video

    path = Path(path).expanduser()
    video = check_video(path)
    landmarks = extract_landmarks(video, progress=False, cancel=cancel).require_person()
    controls = extract_controls(landmarks, frame_rate=frame_rate, duration_s=video.info.duration_s)
    recipe: VideoRecipe = {"video": str(path.resolve()), "sha256": digest_of(path)}
    return Source(path.name, path, video.info.duration_s, landmarks, controls, recipe)


def from_gesture(
    curve: Sequence[float], duration_s: float, *, movement: str = "nod", frame_rate: float = 50.0
) -> Source:
    """Make a synthetic person follow a drawn curve: a gesture without a camera.

    Args:
        curve: points from start to end, 0..1; 1 is the movement's full size.
        duration_s: 1 to 30 seconds.
        movement: one of `GESTURES`.
        frame_rate: of the controls, Hz.

    Raises:
        ExpotionError: the movement is unknown, the length is out of range, or the curve is flat.
    """
    if movement not in GESTURES:
        raise ExpotionError(f"There is no gesture {movement!r}; choose {', '.join(GESTURES)}.")
    if not MIN_GESTURE_S <= duration_s <= MAX_GESTURE_S:
        raise ExpotionError(
            f"A gesture lasts {MIN_GESTURE_S:g} to {MAX_GESTURE_S:g} s, not {duration_s:g}; change its length."
        )
    points = [round(float(value), 4) for value in np.nan_to_num(np.asarray(curve, float))]
    if len(points) < 2 or max(points) - min(points) < 0.05:
        raise ExpotionError("The drawn curve is flat, so nobody would move; draw some bumps first.")
    recipe: GestureRecipe = {"gesture": movement, "curve": points, "duration_s": float(duration_s)}
    performance = _gesture_performance(movement, points, duration_s)
    return _synthetic_source(f"drawn: {movement}", performance, _still_performer(), recipe, frame_rate)


def stranger(seed: int, duration_s: float, *, frame_rate: float = 50.0) -> Source:
    """Make a synthetic person who moves to other music. Swapped in, it shows whether the music follows your movements.

    Args:
        seed: seed of the person and the music.
        duration_s: seconds.
        frame_rate: of the controls, Hz.

    Raises:
        ExpotionError: the duration cannot be used.
    """
    from ..synthetic.band import compose
    from ..synthetic.people import draw_performer
    from ..synthetic.performer import perform

    check_duration(duration_s, "The stranger's duration")
    performer = replace(draw_performer(seed), face_seen=True, body_seen=True, losses_per_s=0.0, size=_SIZE)
    performance = perform(compose(seed, duration_s + 1.0), performer, seed=seed, duration_s=duration_s)
    recipe: StrangerRecipe = {"stranger": int(seed), "duration_s": float(duration_s)}
    return _synthetic_source(f"stranger {seed}", performance, performer, recipe, frame_rate)


def from_recipe(
    recipe: Mapping[str, Any],
    *,
    folder: str | os.PathLike[str] = ".",
    frame_rate: float = 50.0,
    cancel: threading.Event | None = None,
) -> Source:
    """Rebuild a source from its recipe.

    Args:
        recipe: `Source.recipe`, perhaps read from a file.
        folder: where a video is also looked for.
        frame_rate: of the controls, Hz.
        cancel: set it to stop.

    Raises:
        ExpotionError: this is not the recipe of a source, or its video is gone or has changed.
        Cancelled: `cancel` was set.
    """
    try:
        if "gesture" in recipe:
            curve, duration_s = recipe["curve"], recipe["duration_s"]
            return from_gesture(curve, duration_s, movement=recipe["gesture"], frame_rate=frame_rate)
        if "stranger" in recipe:
            return stranger(recipe["stranger"], recipe["duration_s"], frame_rate=frame_rate)
        path, digest = Path(recipe["video"]), recipe["sha256"]
    except ExpotionError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ExpotionError(
            "This file does not say which video or gesture the take was made for; export the take again."
        ) from error
    found = [place for place in (path, Path(folder) / path.name) if place.is_file()]
    if not found:
        raise ExpotionError(f"The video {path} is gone; put it there again, or into the folder of the settings.")
    if not (same := [place for place in found if digest_of(place) == digest]):
        raise ExpotionError(f"{found[0]} is not the video that the take was made for; put that one there.")
    return from_video(same[0], frame_rate=frame_rate, cancel=cancel)


def repeat_to_length(controls: Controls, n_frames: int) -> Controls:
    """Return controls of `n_frames` frames: cut, or repeated from the start."""
    rows = np.arange(n_frames) % len(controls.values)
    return replace(controls, values=controls.values[rows], found=controls.found[rows])


def preview_video(source: Source) -> bytes:
    """Return the video of a source with the landmarks drawn, as mp4; b"" if that fails or is too large."""
    from ..plots.overlay import overlay_video

    path, data = source.video, b""
    with tempfile.TemporaryDirectory() as folder, suppress(ExpotionError, OSError):
        if "video" in source.recipe:  # a synthetic person's video shows the skeleton already
            path = overlay_video(source.video, source.landmarks, Path(folder) / "preview.mp4")
        data = path.read_bytes()
    return data if len(data) <= MAX_PREVIEW_BYTES else b""


def _gesture_performance(movement: str, points: Sequence[float], duration_s: float) -> Performance:
    """Return a performance in which one movement follows the points and all others rest."""
    from ..synthetic.people import Performance

    times = np.arange(0, duration_s, 1 / _FPS)
    curves: dict[str, np.ndarray] = {name: np.zeros(len(times), np.float32) for name in _MOVEMENTS}
    moved, size = GESTURES[movement]
    curves[moved] = size * stretch(points, len(times))
    return Performance(times, curves)


def _still_performer() -> Performer:
    """Return a performer without movements of their own, in front of a good camera."""
    from ..synthetic.people import draw_performer

    return replace(
        draw_performer(3),
        face_seen=True,
        body_seen=True,
        arms_seen=True,
        losses_per_s=0.0,
        view_deg=(0.0, 0.0, 0.0),
        eye_span=0.11,
        centre=(0.5, 0.3),
        size=_SIZE,
        jitter=0.005,
        resting_smile=0.0,
    )


def _synthetic_source(
    name: str,
    performance: Performance,
    performer: Performer,
    recipe: GestureRecipe | StrangerRecipe,
    frame_rate: float,
) -> Source:
    """Return the source of a synthetic person, with a video of the skeleton."""
    from ..controls.extraction import extract_controls
    from ..synthetic.camera import to_landmarks
    from ..video.writing import write_video

    landmarks, duration_s = to_landmarks(performance, performer), recipe["duration_s"]
    controls = extract_controls(landmarks, frame_rate=frame_rate, duration_s=duration_s)
    folder = Path(tempfile.mkdtemp(dir=_temporary_folder().name))
    path = folder / f"{name.replace(': ', '-').replace(' ', '-')}.mp4"
    write_video(path, _skeleton_frames(landmarks), duration_s=max(duration_s, float(landmarks.times[-1]) + 0.01))
    return Source(name, path, duration_s, landmarks, controls, recipe)


@cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return the folder of the synthetic people's videos, which exists until Python ends."""
    return tempfile.TemporaryDirectory(prefix="expotion-")


def _skeleton_frames(landmarks: Landmarks) -> Iterator[Frame]:
    from ..plots.overlay import draw_landmarks
    from ..video.reading import Frame

    background = np.full((landmarks.height, landmarks.width, 3), 38, np.uint8)
    for index, time in enumerate(landmarks.times):
        yield Frame(draw_landmarks(background, landmarks, index), float(time))
