"""Controls: landmarks become named channels of expression and motion at the music model's frame rate.

Lengths are measured in the person's own size (eye distance for the head, shoulder width for the body), so that sitting
nearer to the camera changes nothing. Every channel is then scaled to the person's own range: 1 is about the largest
this person did in the clip. A floor in physical units keeps the jitter of somebody who sits still small. 0 is neutral,
and also what stands where something is missing; the `*_missing` channels tell the two apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ExpotionError
from .channels import _ENERGIES, _EXPRESSIONS, _MOTIONS, _RAW, _TRUNK, CHANNELS, Controls
from .pulse import find_turns, pulse_train
from .smoothing import as_published, fill_gaps, frame_times, moving_average, resample, savitzky_golay, smooth

if TYPE_CHECKING:
    from ..landmarks.extraction import Landmarks

# Raise this when the same landmarks give other controls; caches are then computed anew.
CONTROLS_VERSION = 1


# Where the leading motion is turned into pulses: at the lowest point only (a nod, an ictus), or at both ends (a sway).
_BOTTOMS = ("head_pitch", "head_y", "shoulders_y", "left_wrist_y", "right_wrist_y")
_BOTH_ENDS = ("head_yaw", "head_roll", "head_x", "shoulders_x", "shoulders_tilt", "left_wrist_x", "right_wrist_x")

# Eye corners (outer right, outer left, inner right, inner left), sides of the face, bridge of the nose: they hardly
# move against the skull. Numbers of MediaPipe's face mesh.
_FACE_POINTS = (33, 263, 133, 362, 234, 454, 168, 6)
# Shoulders, elbows, wrists, each left then right, in MediaPipe's pose.
_BODY_POINTS = (11, 12, 13, 14, 15, 16)
_VISIBLE = 0.5
_DRIFT_S = 8.0  # slower than this is how somebody sits, not how they move
_FULL_SPEED = 5.0  # the floor of a speed: its position's floor, times this, per second (0.8 Hz at the floor's size)


def extract_controls(
    landmarks: Landmarks,
    *,
    frame_rate: float = 50.0,
    duration_s: float | None = None,
    method: str = "savgol",
    max_gap_s: float = 0.5,
    **parameters: float,
) -> Controls:
    """Turn landmarks into controls: measure, fill short gaps, smooth, resample, scale to the person's own range.

    Args:
        landmarks: what was found in each video frame.
        frame_rate: of the controls, Hz.
        duration_s: length of the controls in seconds. None: to the end of the last video frame.
        method: smoothing method, see `smoothing.smooth`. Filters see motions in units of each channel's floor
            (4 degrees of nodding, 0.12 eye distances of head translation, ...). Velocities are slopes over 0.2 s, with
            "none" from one frame to the next. "published" does what the published
            Expotion does instead of smoothing and resampling, see `smoothing.as_published`.
        max_gap_s: longest stretch of missing frames that is filled rather than marked as missing, seconds.
        **parameters: of the smoothing method.

    Returns:
        Controls with the channels `CHANNELS`.

    Raises:
        ExpotionError: there are no frames, or a parameter is out of range.

    Notebook: notebooks/02_controls
    """
    times = np.asarray(landmarks.times, dtype=np.float64)
    if len(times) == 0:
        raise ExpotionError("There are no video frames to take controls from; use a video with at least one frame.")
    filled = fill_gaps(times, _measure(landmarks) / _floors(), max_gap_s)
    if method == "published":
        steady = as_published(times, filled, frame_rate, duration_s, **parameters)
    else:
        steady = resample(times, smooth(times, filled, method, **parameters), frame_rate, duration_s)
    seen = np.where(np.asarray(landmarks.face_found) | np.asarray(landmarks.body_found), 1.0, np.nan)
    found = ~np.isnan(resample(times, seen, frame_rate, duration_s))

    centres = frame_times(len(steady), frame_rate)
    positions = _centred(centres, steady)
    slope = (2.0 / frame_rate, 1) if method == "none" else (0.2, 2)  # window in seconds, order
    velocities = savitzky_golay(centres, positions, *slope, derivative=1) / _FULL_SPEED
    columns = dict(zip(_RAW, _soft_clip(_own_range(positions), 1.0, 1.5).T, strict=True))
    speeds = zip(_RAW, _soft_clip(_own_range(velocities), 1.0, 1.5).T, strict=True)
    columns |= {f"{name}_velocity": column for name, column in speeds}
    columns |= dict(zip(_ENERGIES, _soft_clip(_own_range(_energies(centres, velocities)), 0.8, 1.0).T, strict=True))
    columns["pulse"] = _pulse_of(centres, steady - np.nan_to_num(_percentile(steady, 50.0)), velocities)
    missing = dict(zip(_RAW, np.isnan(positions).T, strict=True))
    columns["face_missing"] = missing["head_x"]
    columns["body_missing"] = missing["shoulders_x"]
    columns["arms_missing"] = missing["left_wrist_x"] & missing["right_wrist_x"]
    values = np.nan_to_num(np.stack([columns[name] for name in CHANNELS], axis=1)).astype(np.float32)
    return Controls(values, CHANNELS, float(frame_rate), found)


def _floors() -> np.ndarray:
    """Return each raw column's floor (C,) in its own unit."""
    return np.array([row[2] for row in _EXPRESSIONS.values()] + [row[0] for row in _MOTIONS.values()])


def _measure(landmarks: Landmarks) -> np.ndarray:
    """Return the columns `_RAW` (T, C) in each video frame, in degrees, body sizes and blendshape units."""
    from ..landmarks.extraction import BLENDSHAPES

    shapes = np.asarray(landmarks.blendshapes, dtype=np.float64)
    expressions = [shapes[:, [BLENDSHAPES.index(n) for n in row[0]]].mean(axis=1) for row in _EXPRESSIONS.values()]
    columns = np.stack([*expressions, *_head(landmarks), *_body(landmarks)], axis=1)
    n_face = len(expressions) + 6
    columns[~np.asarray(landmarks.face_found, dtype=bool), :n_face] = np.nan
    columns[~np.asarray(landmarks.body_found, dtype=bool), n_face:] = np.nan
    return columns


def _head(landmarks: Landmarks) -> list[np.ndarray]:
    """Return pitch, yaw, roll in degrees, x and y in eye distances, z as the log of the size; each (T,)."""
    points = np.asarray(landmarks.face)[:, _FACE_POINTS].astype(np.float64)
    points *= [landmarks.width, landmarks.height, landmarks.width]  # pixels; depth is in widths, too
    # In three dimensions the distance survives a turn of the head; the high percentile guards where depth is poor.
    distance = np.sqrt(((points[:, 0] - points[:, 1]) ** 2).sum(axis=1))
    unit = _unit(distance)
    centre = points[:, :, :2].mean(axis=1) / unit
    return [*np.asarray(landmarks.head_pose, dtype=np.float64).T, *centre.T, np.log(np.maximum(distance / unit, 1e-3))]


def _body(landmarks: Landmarks) -> list[np.ndarray]:
    """Return shoulders x, y, tilt, then x, y of wrists and elbows (left, right) in shoulder widths; each (T,)."""
    body = np.asarray(landmarks.body)[:, _BODY_POINTS].astype(np.float64)
    points, inside = body[:, :, :2] * [landmarks.width, landmarks.height], (body[:, :, :2] >= 0) & (body[:, :, :2] <= 1)
    visible = body[:, :, 3] > _VISIBLE
    points[~(visible[:, 0] & visible[:, 1])] = np.nan  # without shoulders nothing can be measured from them
    across = points[:, 0] - points[:, 1]
    unit = _unit(np.hypot(*across.T))
    middle = points[:, :2].mean(axis=1)
    facing = np.where(across[:, 0] < 0, -1.0, 1.0)
    tilt = np.degrees(np.arctan2(across[:, 1] * facing, np.abs(across[:, 0])))
    points[~(visible & inside.all(axis=2))] = np.nan
    limbs = (points[:, [4, 5, 2, 3]] - middle[:, None]) / unit
    return [*(middle / unit).T, tilt, *limbs.reshape(len(body), -1).T]


def _unit(sizes: np.ndarray) -> float:
    """Return a clip's size (pixels) from those in its frames (T,): turned away, a body looks smaller, not larger."""
    size = float(_percentile(sizes[:, None], 75.0)[0])
    return size if size > 0 else np.nan


def _centred(centres: np.ndarray, steady: np.ndarray) -> np.ndarray:
    """Return positions (F, C) around neutral: no slow drift of the trunk, the median at 0."""
    positions = steady.copy()
    drifting = [_RAW.index(name) for name in _TRUNK]
    positions[:, drifting] -= moving_average(centres, positions[:, drifting], _DRIFT_S)
    neutral = _percentile(positions, 50.0)
    resting = np.array([row[1] / row[2] for row in _EXPRESSIONS.values()])
    neutral[: len(resting)] = np.minimum(neutral[: len(resting)], resting)
    return positions - neutral


def _pulse_of(centres: np.ndarray, positions: np.ndarray, velocities: np.ndarray) -> np.ndarray:
    """Return the pulse (F,) of positions and velocities (F, C) in floors: bumps where the leading motion turns."""
    names = _BOTTOMS + _BOTH_ENDS
    chosen = [_RAW.index(name) for name in names]
    both_ends = np.array([name in _BOTH_ENDS for name in names])
    return pulse_train(centres, *find_turns(centres, positions[:, chosen], velocities[:, chosen], both_ends))


def _energies(centres: np.ndarray, velocities: np.ndarray) -> np.ndarray:
    """Return the columns of `_ENERGIES` (F, E): root mean square speed over 0.3 s; NaN where all is missing."""
    counts = np.array([[name in names for names in _ENERGIES.values()] for name in _RAW], dtype=float)
    power = np.nan_to_num(velocities**2) @ counts
    unseen = (~np.isnan(velocities)).astype(float) @ counts == 0
    return np.sqrt(np.maximum(moving_average(centres, np.where(unseen, np.nan, power), 0.3), 0.0))


def _percentile(columns: np.ndarray, percent: float) -> np.ndarray:
    """Return the percentile (C,) of each column (T, C), NaN left out; NaN for a column that holds nothing else."""
    ordered = np.sort(columns, axis=0)  # NaN goes to the end
    place = np.maximum((~np.isnan(columns)).sum(axis=0) - 1, 0) * percent / 100
    low, every = place.astype(int), np.arange(columns.shape[1])
    low_value, high_value = ordered[low, every], ordered[np.minimum(low + 1, np.ceil(place).astype(int)), every]
    return low_value + (place - low) * (high_value - low_value)


def _own_range(columns: np.ndarray) -> np.ndarray:
    """Divide columns (F, C), in units of their floors, by the person's 95th percentile where it exceeds the floor."""
    return columns / np.maximum(np.nan_to_num(_percentile(np.abs(columns), 95.0)), 1.0)


def _soft_clip(values: np.ndarray, knee: float, limit: float) -> np.ndarray:
    """Keep values up to the knee as they are; bend what is beyond it smoothly towards the limit."""
    size = np.abs(values)
    room = limit - knee
    return np.where(size <= knee, values, np.sign(values) * (knee + room * np.tanh((size - knee) / room)))
