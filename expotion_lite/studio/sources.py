"""What the studio makes music for: a video of a person, a gesture drawn by hand, or a stranger who never was."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..controls.steering import stretch
from ..errors import ExpotionError
from ..files import digest_of

if TYPE_CHECKING:
    from ..controls.channels import Controls
    from ..landmarks.extraction import Landmarks
    from ..synthetic.people import Performance, Performer
    from ..video.reading import Frame

SHORTEST_S, LONGEST_S = 1.0, 30.0  # of a gesture
GESTURES = {"nod": ("pitch", 12.0), "sway": ("sway", 0.5), "raise a hand": ("right_hand_y", -1.5)}
"""What a drawn curve can move: the movement's name in `performer.Performance`, and how far 1 is."""
_FPS = 30.0
_SIZE = (480, 360)


@dataclass(frozen=True, eq=False)
class Source:
    """Somebody who moves.

    Attributes:
        name: what to call it.
        video: the path of an mp4 or another video; of a drawn person, a video of their skeleton.
        duration_s: seconds.
        landmarks: what was found. controls: what was read off it, at 50 frames a second.
        recipe: plain values that `again` makes the source anew from.
    """

    name: str
    video: Path
    duration_s: float
    landmarks: Landmarks
    controls: Controls
    recipe: dict[str, Any]


def from_video(
    path: str | os.PathLike[str], *, frame_rate: float = 50.0, cancel: threading.Event | None = None
) -> Source:
    """Find the person in a video.

    Raises:
        ExpotionError: no video, or nobody in it. Cancelled: `cancel` was set.
    """
    from ..controls.extraction import extract_controls
    from ..landmarks.extraction import extract_landmarks
    from ..video.reading import check_video

    path = Path(path).expanduser()
    info = check_video(path)
    landmarks = extract_landmarks(path, progress=False, cancel=cancel).require_person()
    controls = extract_controls(landmarks, frame_rate=frame_rate, duration_s=info.duration_s)
    recipe = {"video": str(path.resolve()), "sha256": digest_of(path)}
    return Source(path.name, path, info.duration_s, landmarks, controls, recipe)


def from_gesture(
    curve: Sequence[float], duration_s: float, *, movement: str = "nod", frame_rate: float = 50.0
) -> Source:
    """Let a synthetic person move along a curve that was drawn: a gesture of one's own, without a camera.

    Args:
        curve: 0..1 points from the start to the end, 1 is as far as this movement goes.
        duration_s: 1 to 30 seconds.
        movement: one of `GESTURES`.
        frame_rate: of the controls, Hz.

    Raises:
        ExpotionError: no such movement, a bad length, or nothing that moves.

    Notebook: notebooks/07_play_it
    """
    if movement not in GESTURES:
        raise ExpotionError(f"There is no gesture {movement!r}; choose {', '.join(GESTURES)}.")
    if not SHORTEST_S <= duration_s <= LONGEST_S:
        raise ExpotionError(
            f"A gesture lasts {SHORTEST_S:g} to {LONGEST_S:g} s, not {duration_s:g}; change its length."
        )
    points = [round(float(value), 4) for value in np.nan_to_num(np.asarray(curve, float))]
    if len(points) < 2 or max(points) - min(points) < 0.05:
        raise ExpotionError("The drawn curve is flat, so nobody would move; draw some bumps first.")
    recipe = {"gesture": movement, "curve": points, "duration_s": float(duration_s)}
    return _drawn(f"drawn: {movement}", _gesture(recipe), _calm(), recipe, frame_rate)


def stranger(seed: int, duration_s: float, *, frame_rate: float = 50.0) -> Source:
    """A synthetic person who moves to music of their own: whom to swap in, to hear that your movements matter.

    Notebook: notebooks/07_play_it
    """
    from ..synthetic.band import compose
    from ..synthetic.people import draw_performer
    from ..synthetic.performer import perform

    performer = replace(draw_performer(seed), face_seen=True, body_seen=True, losses_per_s=0.0, size=_SIZE)
    performance = perform(compose(seed, duration_s + 1.0), performer, seed=seed, duration_s=duration_s)
    recipe = {"stranger": int(seed), "duration_s": float(duration_s)}
    return _drawn(f"stranger {seed}", performance, performer, recipe, frame_rate)


def again(
    recipe: dict[str, Any],
    *,
    folder: str | os.PathLike[str] = ".",
    frame_rate: float = 50.0,
    cancel: threading.Event | None = None,
) -> Source:
    """Make a source anew from what it said of itself; a video that has moved is also looked for in `folder`.

    Raises:
        ExpotionError: it is not such a recipe, or the video is gone or is another one by now. Cancelled: `cancel` was
            set.
    """
    try:
        if "gesture" in recipe:
            return from_gesture(
                recipe["curve"], recipe["duration_s"], movement=recipe["gesture"], frame_rate=frame_rate
            )
        if "stranger" in recipe:
            return stranger(recipe["stranger"], recipe["duration_s"], frame_rate=frame_rate)
        path, digest = Path(recipe["video"]), recipe["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ExpotionError):
            raise
        raise ExpotionError(
            "These settings do not say what they were made for; export them from the studio."
        ) from error
    places = [place for place in (path, Path(folder) / path.name) if place.is_file()]
    if not places:
        raise ExpotionError(f"The video {path} is gone; put it there again, or beside the settings.")
    if not (same := [place for place in places if digest_of(place) == digest]):
        raise ExpotionError(f"{places[0]} is not the video that the take was made for; find that one.")
    return from_video(same[0], frame_rate=frame_rate, cancel=cancel)


def fit(controls: Controls, n_frames: int) -> Controls:
    """Somebody's controls made as long as somebody else's: cut, or repeated from the start."""
    rows = np.arange(n_frames) % len(controls.values)
    return replace(controls, values=controls.values[rows], found=controls.found[rows])


def _gesture(recipe: dict[str, Any]) -> Performance:
    from ..synthetic.people import Performance

    times = np.arange(0, recipe["duration_s"], 1 / _FPS)
    names = "pitch yaw roll sway bob shoulders smile frown brow_up brow_down jaw blink gaze_x gaze_y".split()
    names += [f"{side}_hand_{axis}" for side in ("left", "right") for axis in "xy"]
    curves = {name: np.zeros(len(times), np.float32) for name in names}
    moved, size = GESTURES[recipe["gesture"]]
    curves[moved] = size * stretch(recipe["curve"], len(times))
    return Performance(times, curves)


def _calm() -> Performer:
    """Somebody who does nothing of their own, in front of a good camera."""
    from ..synthetic.people import draw_performer

    return replace(
        draw_performer(3), face_seen=True, body_seen=True, arms_seen=True, losses_per_s=0.0, view_deg=(0.0, 0.0, 0.0),
        eye_span=0.11, centre=(0.5, 0.3), size=_SIZE, jitter=0.005, resting_smile=0.0,
    )  # fmt: skip


def _drawn(
    name: str, performance: Performance, performer: Performer, recipe: dict[str, Any], frame_rate: float
) -> Source:
    from ..controls.extraction import extract_controls
    from ..synthetic.performer import to_landmarks
    from ..video.writing import write_video

    landmarks, duration_s = to_landmarks(performance, performer), recipe["duration_s"]
    controls = extract_controls(landmarks, frame_rate=frame_rate, duration_s=duration_s)
    path = Path(tempfile.mkdtemp(dir=_place().name)) / f"{name.replace(': ', '-').replace(' ', '-')}.mp4"
    write_video(path, _skeleton(landmarks), duration_s=max(duration_s, float(landmarks.times[-1]) + 0.01))
    return Source(name, path, duration_s, landmarks, controls, recipe)


@cache
def _place() -> tempfile.TemporaryDirectory:
    """Where videos of drawn people lie until Python ends."""
    return tempfile.TemporaryDirectory(prefix="expotion-")


def _skeleton(landmarks: Landmarks) -> Iterator[Frame]:
    from ..plots.overlay import draw_landmarks
    from ..video.reading import Frame

    ground = np.full((landmarks.height, landmarks.width, 3), 38, np.uint8)
    for index, time in enumerate(landmarks.times):
        yield Frame(draw_landmarks(ground, landmarks, index), float(time))
