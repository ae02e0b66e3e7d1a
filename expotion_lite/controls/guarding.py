"""The guard of the adapter's input: odd controls are put back into the ranges that the adapter knows.

Recordings fail, trackers jump, and curves are drawn by hand. A model that is shown what it never saw easily plays walls
of sound, the more so as guidance magnifies it. So an event curve is always made of bumps here, expressions stay within
the range of real faces, and the video is only magnified where somebody does something. Music falls ill less often then,
but not never: `python -m expotion_lite.lab.stress` measures how often.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .channels import EXPRESSIONS, Controls
from .events import event_curve, find_events

_REACH_S = 2.0  # an event is worth guidance, and explains activity, this far around it
_EDGE_S = 0.2  # standard deviation of the edges of these stretches
_STEEPEST = 15.0  # per second; the flanks of a full bump of an event curve rise by 12
_FLOOR = 0.05  # an event curve goes down to this between events
_BUMP_S = 0.05  # standard deviation of the smoothing in which events of odd curves are looked for
_FACE_RANGE = (-0.35, 1.1)  # 1st and 99th percentiles of real faces' expressions lie within


def guard(controls: Controls) -> Controls:
    """Return controls whose events, activity and expressions are in the ranges that an adapter knows.

    An event curve that is no sum of bumps is smoothed, and its peaks become events. Activity far from any event is 0.
    Expressions are clipped. Controls of people stay as they are but for that.

    Args:
        controls: with any channels; those that are not named above stay.
    """
    values = controls.values.copy()
    column = {name: i for i, name in enumerate(controls.channels)}
    if "event" in column:
        values[:, column["event"]] = _bumps(values[:, column["event"]], controls.frame_rate)
        if "activity" in column:
            near = _near_events(values[:, column["event"]], controls.frame_rate)
            values[:, column["activity"]] = np.clip(values[:, column["activity"]], 0, 1) * near
    faces = [column[name] for name in EXPRESSIONS if name in column]
    values[:, faces] = np.clip(values[:, faces], *_FACE_RANGE)
    energies = [i for name, i in column.items() if name.endswith("_energy")]
    values[:, energies] = np.clip(values[:, energies], 0, 1)
    return replace(controls, values=values)


def emphasis_of(controls: Controls) -> np.ndarray:
    """Return where it is worth magnifying the video: (T,) float32, 1 near events, 0 where nobody does anything.

    A face alone counts as well, where the body is out of sight.

    Args:
        controls: of one person, with the channel `event`.
    """
    emphasis = _near_events(controls["event"], controls.frame_rate)
    if {"face_missing", "motion_missing"} <= set(controls.channels):
        emphasis = np.maximum(emphasis, controls["motion_missing"] * (1 - controls["face_missing"]))
    return np.asarray(emphasis, np.float32)


def _bumps(curve: np.ndarray, frame_rate: float) -> np.ndarray:
    """Return a curve (T,) as it is if it may be an event curve, else the event curve of its peaks."""
    from scipy.ndimage import gaussian_filter1d

    steepest = float(np.abs(np.diff(curve)).max(initial=0.0)) * frame_rate
    lowest = float(curve.min(initial=1.0))
    if steepest <= _STEEPEST and lowest >= 0 and (lowest <= _FLOOR or len(curve) < frame_rate):
        return curve
    smoothed = gaussian_filter1d(curve.astype(np.float64), _BUMP_S * frame_rate)
    return event_curve(find_events(smoothed, frame_rate), len(curve), frame_rate)


def _near_events(event: np.ndarray, frame_rate: float) -> np.ndarray:
    """Return 1 within reach of an event and 0 elsewhere, with soft edges: (T,)."""
    from scipy.ndimage import gaussian_filter1d, maximum_filter1d

    near = maximum_filter1d(event, 2 * round(_REACH_S * frame_rate) + 1, mode="constant") > 0.1
    return np.asarray(gaussian_filter1d(near.astype(np.float64), _EDGE_S * frame_rate, mode="nearest"))
