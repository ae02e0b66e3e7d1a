"""Extraction of controls: landmarks become named channels at the music model's frame rate.

Lengths are measured in the person's own size (eye distance for the head, shoulder width for the body), so that the
distance to the camera does not matter. Every channel is then scaled to the person's own range: 1 is about the largest
value of this person in the clip. A floor in physical units keeps the jitter of a person who sits still small. 0 means
neutral, and also stands where a value is missing; the `*_missing` channels tell the two apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ExpotionError
from .channels import CHANNELS, ENERGIES, EXPRESSIONS, FLOWS, MEASURED, MOTIONS, TRUNK, Controls
from .events import with_events
from .pulse import find_turns, pulse_train
from .resampling import frame_times, resample, resample_as_published
from .smoothing import fill_gaps, moving_average, savitzky_golay, smooth

if TYPE_CHECKING:
    from ..landmarks.extraction import Landmarks

# Raise this when the same landmarks give other controls; caches are then computed anew.
CONTROLS_VERSION = 2

# Turning points that become pulses while a motion is dominant: its lowest point (a nod, an ictus), or both its ends.
TURNS_AT_BOTTOM = ("head_pitch", "head_y", "shoulders_y", "left_wrist_y", "right_wrist_y")
TURNS_AT_BOTH_ENDS = (
    "head_yaw",
    "head_roll",
    "head_x",
    "shoulders_x",
    "shoulders_tilt",
    "left_wrist_x",
    "right_wrist_x",
)

# Points of MediaPipe's face mesh that hardly move against the skull: eye corners (outer right, outer left, inner right,
# inner left), sides of the face, bridge of the nose.
_FACE_POINTS = (33, 263, 133, 362, 234, 454, 168, 6)
# Points of MediaPipe's pose: shoulders, elbows, wrists, each left then right.
_BODY_POINTS = (11, 12, 13, 14, 15, 16)
_VISIBLE = 0.5  # least visibility, 0..1, of a point of the body that is measured
_DRIFT_S = 8.0  # seconds; slower changes of head and shoulders are posture, not movement
_SLOPE_S = 0.2  # seconds over which a velocity is measured
_ENERGY_S = 0.3  # seconds over which an energy is averaged
_FULL_SPEED = 5.0  # floors per second; the floor of a velocity is this times the floor of its position
_FLOW_FLOOR = 0.15  # shoulder widths per second; what moves more slowly is noise of the picture


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
        landmarks: of one person in each video frame.
        frame_rate: of the controls, Hz.
        duration_s: length of the controls in seconds. None: to the end of the last video frame.
        method: smoothing method, see `smoothing.smooth`. Before filtering, each channel is divided by its floor
            (`head_pitch` by 4 degrees); parameters are in this unit. Velocities are slopes over 0.2 s, with "none" from
            one frame to the next. "published" replaces smoothing and resampling by the method of the published
            Expotion, see `resampling.resample_as_published`.
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

    # 1. Measure M channels in each of T video frames. Their common unit is the floor; NaN is missing.
    measured = _measure(landmarks) / _floors()  # (T, M)
    filled = fill_gaps(times, measured, max_gap_s)

    # 2. Remove jitter, and go from the video's frames to the model's F frames.
    if method == "published":
        steady = resample_as_published(times, filled, frame_rate, duration_s, **parameters)
    else:
        smoothed = smooth(times, filled, method, **parameters)
        steady = resample(times, smoothed, frame_rate, duration_s)  # (F, M)
    centres = frame_times(len(steady), frame_rate)

    # 3. Derive positions in floors, velocities and energies in full speeds (5 floors per second), and the pulse.
    positions = _around_neutral(centres, steady)  # (F, M)
    velocities = _velocities(centres, positions, 2 / frame_rate if method == "none" else None)  # (F, M)
    energies = _energies(centres, velocities)  # (F, E)
    pulse = _pulse(centres, steady, velocities)  # (F,) 0..1

    # 4. Scale each channel to the person's own range, and bend outliers towards a limit.
    columns = _by_name(MEASURED, _soft_clip(_own_range(positions), knee=1.0, limit=1.5))
    velocity_names = [f"{name}_velocity" for name in MEASURED]
    columns |= _by_name(velocity_names, _soft_clip(_own_range(velocities), knee=1.0, limit=1.5))
    columns |= _by_name(ENERGIES, _soft_clip(_own_range(energies), knee=0.8, limit=1.0))
    columns |= _by_name(FLOWS, _flows(landmarks, centres, frame_rate))
    columns["pulse"] = pulse
    columns["event"] = columns["activity"] = np.zeros(len(centres))  # step 6
    columns |= _missing_flags(positions)

    # 5. Put the channels in order; 0 where a value is missing.
    values = np.nan_to_num(np.stack([columns[name] for name in CHANNELS], axis=1)).astype(np.float32)
    controls = Controls(values, CHANNELS, float(frame_rate), _person_found(landmarks, frame_rate, duration_s))

    # 6. Find events and activity in all that moves.
    return with_events(controls)


def _by_name(names: Iterable[str], columns: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns (F, C) by name, each (F,)."""
    return dict(zip(names, columns.T, strict=True))


def _floors() -> np.ndarray:
    """Return the floors of the measured channels (M,), each in its channel's unit."""
    expressions = [expression.floor for expression in EXPRESSIONS.values()]
    motions = [motion.floor for motion in MOTIONS.values()]
    return np.array(expressions + motions)


def _measure(landmarks: Landmarks) -> np.ndarray:
    """Measure the channels `MEASURED` (T, M) in each video frame, each in its channel's unit; NaN is missing."""
    face = _measure_expressions(landmarks) | _measure_head(landmarks)
    body = _measure_body(landmarks)
    for columns, found in ((face, landmarks.face_found), (body, landmarks.body_found)):
        for column in columns.values():
            column[~np.asarray(found, dtype=bool)] = np.nan
    columns = face | body
    return np.stack([columns[name] for name in MEASURED], axis=1)


def _measure_expressions(landmarks: Landmarks) -> dict[str, np.ndarray]:
    """Measure the expressions of the face, each (T,): the mean of its blendshapes, 0..1."""
    from ..landmarks.extraction import BLENDSHAPES

    blendshapes = np.asarray(landmarks.blendshapes, dtype=np.float64)
    return {
        name: blendshapes[:, [BLENDSHAPES.index(shape) for shape in expression.blendshapes]].mean(axis=1)
        for name, expression in EXPRESSIONS.items()
    }


def _measure_head(landmarks: Landmarks) -> dict[str, np.ndarray]:
    """Measure the motions of the head, each (T,): degrees, eye distances, and for z the natural log of the size."""
    points = np.asarray(landmarks.face)[:, _FACE_POINTS].astype(np.float64)
    points *= [landmarks.width, landmarks.height, landmarks.width]  # to pixels; depth is a fraction of the width, too
    # A turn of the head does not change a distance in three dimensions. The high percentile helps where depth is poor.
    eye_distances = np.sqrt(((points[:, 0] - points[:, 1]) ** 2).sum(axis=1))
    eye_distance = _size_in_clip(eye_distances)
    x, y = points[:, :, :2].mean(axis=1).T / eye_distance
    pitch, yaw, roll = np.array(landmarks.head_pose, dtype=np.float64).T
    return {
        "head_pitch": pitch,
        "head_yaw": yaw,
        "head_roll": roll,
        "head_x": x,
        "head_y": y,
        "head_z": np.log(np.maximum(eye_distances / eye_distance, 1e-3)),
    }


def _measure_body(landmarks: Landmarks) -> dict[str, np.ndarray]:
    """Measure the motions of shoulders and arms, each (T,): shoulder widths, and for the tilt degrees."""
    body = np.asarray(landmarks.body)[:, _BODY_POINTS].astype(np.float64)
    in_picture = ((body[:, :, :2] >= 0) & (body[:, :, :2] <= 1)).all(axis=2)
    visible = body[:, :, 3] > _VISIBLE
    points = body[:, :, :2] * [landmarks.width, landmarks.height]  # to pixels
    points[~(visible[:, 0] & visible[:, 1])] = np.nan  # everything is measured from the shoulders

    across = points[:, 0] - points[:, 1]  # from the right shoulder to the left one
    shoulder_width = _size_in_clip(np.hypot(*across.T))
    middle = points[:, :2].mean(axis=1)
    x, y = middle.T / shoulder_width
    facing = np.where(across[:, 0] < 0, -1.0, 1.0)  # -1 if the person turns the back, or the picture is mirrored
    tilt = np.degrees(np.arctan2(across[:, 1] * facing, np.abs(across[:, 0])))

    points[~(visible & in_picture)] = np.nan
    arms = (points - middle[:, None]) / shoulder_width
    columns = {"shoulders_x": x, "shoulders_y": y, "shoulders_tilt": tilt}
    for index, joint in ((2, "left_elbow"), (3, "right_elbow"), (4, "left_wrist"), (5, "right_wrist")):
        columns[f"{joint}_x"], columns[f"{joint}_y"] = arms[:, index].T
    return columns


def _size_in_clip(sizes: np.ndarray) -> float:
    """Return one size for the clip from those in its frames (T,), pixels; NaN if it is 0 or nothing was seen.

    A high percentile, since a body that turns away looks smaller, never larger.
    """
    size = float(_percentile(sizes[:, None], 75.0)[0])
    return size if size > 0 else np.nan


def _around_neutral(centres: np.ndarray, steady: np.ndarray) -> np.ndarray:
    """Return positions (F, M) around neutral: slow drift of the trunk removed, neutral at 0.

    Neutral is the median of the clip; for expressions at most `Expression.highest_neutral`.
    """
    positions = steady.copy()
    drifting = [MEASURED.index(name) for name in TRUNK]
    positions[:, drifting] -= moving_average(centres, positions[:, drifting], _DRIFT_S)
    neutral = _percentile(positions, 50.0)
    highest = np.array([expression.highest_neutral / expression.floor for expression in EXPRESSIONS.values()])
    neutral[: len(highest)] = np.minimum(neutral[: len(highest)], highest)  # expressions come first in MEASURED
    return positions - neutral


def _velocities(centres: np.ndarray, positions: np.ndarray, window_s: float | None) -> np.ndarray:
    """Return velocities (F, M), in full speeds, of positions (F, M), in floors.

    They are slopes of parabolas over 0.2 s; given `window_s`, slopes of straight lines over that time.
    """
    if window_s is None:
        slopes = savitzky_golay(centres, positions, _SLOPE_S, order=2, derivative=1)
    else:
        slopes = savitzky_golay(centres, positions, window_s, order=1, derivative=1)
    return slopes / _FULL_SPEED


def _energies(centres: np.ndarray, velocities: np.ndarray) -> np.ndarray:
    """Return the energies (F, E) of velocities (F, M): the root of the mean over 0.3 s of their summed squares.

    An energy is NaN where none of its velocities is known.
    """
    takes_part = np.array([[name in energy.channels for energy in ENERGIES.values()] for name in MEASURED], dtype=float)
    power = np.nan_to_num(velocities**2) @ takes_part
    unknown = (~np.isnan(velocities)).astype(float) @ takes_part == 0
    mean_power = moving_average(centres, np.where(unknown, np.nan, power), _ENERGY_S)
    return np.sqrt(np.maximum(mean_power, 0.0))


def _pulse(centres: np.ndarray, steady: np.ndarray, velocities: np.ndarray) -> np.ndarray:
    """Return the pulse (F,) 0..1 of steady positions and velocities (F, M): bumps where the dominant motion turns."""
    names = TURNS_AT_BOTTOM + TURNS_AT_BOTH_ENDS
    chosen = [MEASURED.index(name) for name in names]
    both_ends = np.array([name in TURNS_AT_BOTH_ENDS for name in names])
    positions = steady - np.nan_to_num(_percentile(steady, 50.0))
    return pulse_train(centres, *find_turns(centres, positions[:, chosen], velocities[:, chosen], both_ends))


def _flows(landmarks: Landmarks, centres: np.ndarray, frame_rate: float) -> np.ndarray:
    """Return the speeds of the pixels of head, arms and trunk (F, 3), their sum scaled to the person's own range.

    The flow of a frame tells how far the pixels have moved since the frame before. So the paths up to each frame are
    exact, and the speed at `centres` (F,) follows from them whatever the video's frame rate is.
    """
    if landmarks.flow is None or not np.isfinite(landmarks.flow).any():
        return np.zeros((len(centres), len(FLOWS)))
    known = np.isfinite(landmarks.flow).all(axis=1)
    known[0] = True
    times = np.asarray(landmarks.times, dtype=np.float64)[known]
    paths = np.cumsum(np.nan_to_num(landmarks.flow[known].astype(np.float64)), axis=0)
    edges = np.append(centres - 0.5 / frame_rate, centres[-1] + 0.5 / frame_rate)
    at_edges = np.stack([np.interp(edges, times, path) for path in paths.T], axis=1)
    speeds = np.diff(at_edges, axis=0) * frame_rate
    total = speeds.sum(axis=1)
    height = max(float(np.percentile(total, 95.0)), _FLOW_FLOOR)
    bent = _soft_clip(total / height, knee=1.0, limit=1.5)
    return speeds * (bent / np.maximum(total, 1e-9))[:, None]


def _missing_flags(positions: np.ndarray) -> dict[str, np.ndarray]:
    """Return the flags of what is missing, each (F,) bool, from positions (F, M) with NaN."""
    missing = _by_name(MEASURED, np.isnan(positions))
    return {
        "face_missing": missing["head_x"],
        "body_missing": missing["shoulders_x"],
        "arms_missing": missing["left_wrist_x"] & missing["right_wrist_x"],
        "motion_missing": missing["head_x"] & missing["shoulders_x"],
    }


def _person_found(landmarks: Landmarks, frame_rate: float, duration_s: float | None) -> np.ndarray:
    """Return (F,) bool: a face or a body was found in the video frame nearest in time."""
    seen = np.where(np.asarray(landmarks.face_found) | np.asarray(landmarks.body_found), 1.0, np.nan)
    return ~np.isnan(resample(np.asarray(landmarks.times, dtype=np.float64), seen, frame_rate, duration_s))


def _percentile(columns: np.ndarray, percent: float) -> np.ndarray:
    """Return the percentile (C,) of each column (T, C), NaN left out; NaN for a column that is NaN throughout."""
    percentiles = np.full(columns.shape[1], np.nan)
    missing = np.isnan(columns)
    complete, gappy = ~missing.any(axis=0), missing.any(axis=0) & ~missing.all(axis=0)
    if complete.any() and len(columns):
        percentiles[complete] = np.percentile(columns[:, complete], percent, axis=0)
    if gappy.any():
        percentiles[gappy] = np.nanpercentile(columns[:, gappy], percent, axis=0)  # much slower
    return percentiles


def _own_range(columns: np.ndarray) -> np.ndarray:
    """Divide columns (F, C), in floors, by the person's range: the 95th percentile of the size, at least one floor."""
    return columns / np.maximum(np.nan_to_num(_percentile(np.abs(columns), 95.0)), 1.0)


def _soft_clip(values: np.ndarray, knee: float, limit: float) -> np.ndarray:
    """Keep values up to the knee as they are; bend what is beyond it smoothly towards the limit."""
    size = np.abs(values)
    room = limit - knee
    return np.where(size <= knee, values, np.sign(values) * (knee + room * np.tanh((size - knee) / room)))
