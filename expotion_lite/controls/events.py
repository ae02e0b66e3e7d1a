"""Event curves: when a person's movements arrive and how strongly, and how active the person is. Music follows these.

Two kinds of events are found. *Arrivals* are moments at which a movement slows down, of whatever part of the body, as a
dancer's stop does. *Turns* are the turning points of the dominant motion (`pulse.py`), as the bottom of a nod is. Turns
mark the beat of a person who moves steadily, and say little about one who does not; with arrivals it is the reverse. So
turns count where they are evenly spaced, and arrivals elsewhere. `beat` moves this border by hand.

Speeds come from pixels (`landmarks.optical_flow`) where there are any, and from landmarks. Optical flow sees all of the
body and has little noise. Landmarks tell head, shoulders and arms apart, and are all that a synthetic person has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ExpotionError
from .channels import FLOWS, MEASURED, Controls
from .columns import column_indices
from .pulse import pulse_train

LEAST_GAP_S = 0.24  # seconds between two events: at most about four a second
_PROMINENCE = 0.15  # of an event, as a share of the curve's 98th percentile
_SLIGHT_PROMINENCE = 0.04  # the same where a moving person would have no event for long
_LONG_GAP_S = 0.5  # no other event is nearer to such a slight one
_MOVING = 0.2  # activity above which a person moves
_FLOW_SMOOTHING_S, _LANDMARK_SMOOTHING_S = 0.04, 0.06  # standard deviations; landmarks jitter more than pixels
_LANDMARK_SHARE = 0.25  # of landmarks in the arrivals, beside optical flow
_ACTIVITY_S = 0.12  # standard deviation of the activity's smoothing
_ACTIVITY_HEIGHT = 0.85  # of the activity's 98th percentile
_LEAST_SPEED = 0.25  # a person whose 98th percentile of speed, in own ranges, is lower counts as nearly still
_LEAST_ARRIVAL = 0.025  # the same for arrivals, per frame at 50 Hz

_WINDOW_S = 6.0  # turns within such a window tell whether a turn is part of a steady beat
_LEAST_TURNS = 5  # fewer turns in this window tell nothing
_PERIODS_S = np.geomspace(0.25, 1.5, 120)  # of a steady beat
_OCCUPIED = 0.6  # share of the beats that have a turn; a beat with fewer is less steady
_UNSTEADY, _STEADY = 0.9, 0.97  # mean resultant length of the turns' phases for a steadiness of 0 and of 1
_FARTHEST_S = 0.06  # an event is moved by no more than this to be on the beat
_LATE_S = 0.03  # turns are found this much after the beat that synthetic people turn on
_LEAST_STRENGTH = 0.12  # weaker events are left out


# Joints that move in the picture's plane; rotations and depth of the head are too noisy to tell when it arrives.
_JOINT_VELOCITIES = tuple(f"{name}_velocity" for name in MEASURED if name.endswith(("_x", "_y", "_tilt")))


@dataclass(frozen=True)
class Events:
    """Moments at which something happens.

    Attributes:
        times: (N,) seconds, increasing.
        strengths: (N,) 0..1.
    """

    times: np.ndarray
    strengths: np.ndarray


def arrival_curve(speed: np.ndarray, frame_rate: float, smoothing_s: float = _FLOW_SMOOTHING_S) -> np.ndarray:
    """Return how fast a speed falls where it falls, per frame of 0.02 s.

    Args:
        speed: (T,) in any unit.
        frame_rate: in Hz.
        smoothing_s: standard deviation of the Gaussians that smooth the speed (twice) and the result.

    Returns:
        (T,) 0 or more.

    Example:
        >>> speed = np.interp(np.arange(100), [40, 60], [1.0, 0.0])
        >>> int(arrival_curve(speed, 50.0).argmax()), float(arrival_curve(speed[::-1], 50.0).max().round(6))
        (50, 0.0)

    Notebook: notebooks/02_controls
    """
    if len(speed) < 2:
        return np.zeros(len(speed))
    smoothed = _smooth(_smooth(speed, smoothing_s, frame_rate), smoothing_s, frame_rate)
    falling = np.maximum(-np.gradient(smoothed) * frame_rate / 50.0, 0.0)
    return _smooth(falling, smoothing_s, frame_rate)


def find_events(
    curve: np.ndarray, frame_rate: float, *, least_gap_s: float = LEAST_GAP_S, prominence: float = _PROMINENCE
) -> Events:
    """Find the peaks of a curve, of motion or of music, with strengths by how far they stand out.

    Args:
        curve: (T,) 0 or more, 1 at about its highest.
        frame_rate: in Hz.
        least_gap_s: least seconds between two events.
        prominence: least prominence of a peak.

    Notebook: notebooks/02_controls
    """
    from scipy.signal import find_peaks

    frames, found = find_peaks(curve, distance=max(1, round(least_gap_s * frame_rate)), prominence=prominence)
    return Events((frames + 0.5) / frame_rate, np.clip(0.45 + found["prominences"] / 1.2, 0.2, 1.0))


def event_curve(events: Events, n_frames: int, frame_rate: float, sd_s: float = 0.05) -> np.ndarray:
    """Return a Gaussian bump for each event, as high as the event is strong: (n_frames,) 0..1."""
    times = (np.arange(n_frames) + 0.5) / frame_rate
    return pulse_train(times, events.times, events.strengths, sd_s)


def find_arrivals(
    joint_speed: np.ndarray, flow_speed: np.ndarray | None, frame_rate: float, activity: np.ndarray
) -> Events:
    """Find where movements arrive.

    Where the person is active and nothing arrives clearly for long, slight arrivals count, too. So the person is never
    without events while moving.

    Args:
        joint_speed: (T,) of the landmarks, in own ranges.
        flow_speed: (T,) of the pixels, in own ranges; None where there are none.
        frame_rate: in Hz.
        activity: (T,) 0..1.
    """
    curve = _in_own_range(arrival_curve(joint_speed, frame_rate, _LANDMARK_SMOOTHING_S), _LEAST_ARRIVAL)
    if flow_speed is not None:
        from_pixels = _in_own_range(arrival_curve(flow_speed, frame_rate), _LEAST_ARRIVAL)
        curve = (1 - _LANDMARK_SHARE) * from_pixels + _LANDMARK_SHARE * curve
    clear = find_events(curve, frame_rate)
    slight = find_events(curve, frame_rate, prominence=_SLIGHT_PROMINENCE)
    times, strengths = clear.times.tolist(), clear.strengths.tolist()
    for time, strength in zip(slight.times, slight.strengths, strict=True):
        alone = min((abs(time - other) for other in times), default=np.inf) > _LONG_GAP_S
        if alone and activity[min(int(time * frame_rate), len(activity) - 1)] > _MOVING:
            times.append(time)
            strengths.append(strength)
    order = np.argsort(times)
    return Events(np.array(times, float)[order], np.array(strengths, float)[order])


def find_activity(speed: np.ndarray, frame_rate: float) -> np.ndarray:
    """Return how active a person is: the speed (T,), smoothed and scaled to the person's own range, 0..1."""
    smoothed = _smooth(speed, _ACTIVITY_S, frame_rate)
    return np.clip(_ACTIVITY_HEIGHT * _in_own_range(smoothed, _LEAST_SPEED), 0.0, 1.0)


@dataclass(frozen=True)
class Steadiness:
    """The spacing of events, even or not.

    Attributes:
        share: (N,) 0..1, 1 where the events around are spaced evenly.
        on_grid: (N,) seconds, each event's time if it were spaced quite evenly.
    """

    share: np.ndarray
    on_grid: np.ndarray


def steadiness_of(events: Events) -> Steadiness:
    """Tell where events are spaced evenly, by the phases that they have in the beat that fits them best.

    For each event, the events of the 6 s around it, or of the first or last 6 s, are compared with beats of all periods
    from 0.25 to 1.5 s. The resultant length of their phases is 1 if all lie on the beat, and lower the more they
    scatter (Fisher 1993, Statistical Analysis of Circular Data). A beat that has an event for less than 0.6 of its
    beats counts less.
    """
    times, weights = events.times, events.strengths
    share, on_grid = np.zeros(len(times)), times.copy()
    for i, time in enumerate(times):
        start = max(min(time, times[-1] - _WINDOW_S / 2) - _WINDOW_S / 2, times[0])
        near = (times >= start - 1e-6) & (times <= start + _WINDOW_S + 1e-6)
        if near.sum() < _LEAST_TURNS:
            continue
        offsets, heights = times[near] - time, weights[near]
        resultants = np.exp(2j * np.pi * offsets / _PERIODS_S[:, None]) @ heights / heights.sum()
        beats = np.ptp(offsets) / _PERIODS_S + 1
        fits = np.abs(resultants) * np.minimum(1.0, near.sum() / beats / _OCCUPIED)
        best = int(fits.argmax())
        period, phase = _PERIODS_S[best], np.angle(resultants[best]) / (2 * np.pi)
        share[i] = np.clip((fits[best] - _UNSTEADY) / (_STEADY - _UNSTEADY), 0.0, 1.0)
        on_grid[i] = time + np.clip(phase * period, -_FARTHEST_S, _FARTHEST_S)
    return Steadiness(share, on_grid)


def find_person_events(turns: Events, arrivals: Events, n_frames: int, frame_rate: float, beat: float = 0.5) -> Events:
    """Choose between the turns and the arrivals of a person: turns where they are steady, arrivals elsewhere.

    Args:
        turns: turning points of the dominant motion.
        arrivals: where movements arrive.
        n_frames: length of the clip.
        frame_rate: in Hz.
        beat: 0 takes arrivals alone (every gesture counts), 1 turns alone, put on an even beat; 0.5 decides by how
            steady the turns are.

    Raises:
        ExpotionError: `beat` is not from 0 to 1.
    """
    if not 0 <= beat <= 1:
        raise ExpotionError(f"The share of the beat is {beat:g}; choose 0 (gestures) to 1 (a steady beat).")
    if len(turns.times) == 0:
        turns = arrivals
    if len(turns.times) == 0 or beat == 0:
        return arrivals
    steadiness = steadiness_of(turns)
    own = np.clip(steadiness.share + 2 * beat - 1, 0.0, 1.0)  # of the turns
    others = np.interp(arrivals.times, turns.times, own)
    times = turns.times + own * (steadiness.on_grid - turns.times) - _LATE_S
    times = np.concatenate([times, arrivals.times])
    strengths = np.concatenate([turns.strengths * own, arrivals.strengths * (1 - others)])
    inside = (strengths > _LEAST_STRENGTH) & (times >= 0) & (times < n_frames / frame_rate)
    order = np.argsort(times[inside], kind="stable")
    return Events(times[inside][order], strengths[inside][order])


def with_events(controls: Controls, beat: float = 0.5) -> Controls:
    """Return controls whose channels `event` and `activity` follow from their other channels.

    They are found anew, for example, after steering has changed how much each part of the body counts. What is read of
    the other channels: the velocities of joints, the optical flow, and the pulse.

    Args:
        controls: with all channels, those two included; they stay as they are.
        beat: from gestures (0) to a steady beat (1), see `find_person_events`.

    Raises:
        ExpotionError: a channel is missing, or `beat` is not from 0 to 1.

    Notebook: notebooks/02_controls
    """
    event, activity = person_curves(controls.values, controls.channels, controls.frame_rate, beat)
    values = controls.values.copy()
    values[:, column_indices(("event", "activity"), controls.channels)] = np.stack([event, activity], axis=1)
    return replace(controls, values=values)


def person_curves(
    values: np.ndarray, channels: Sequence[str], frame_rate: float, beat: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Return event curve and activity, (T,) each and 0..1, of a person.

    Args:
        values: (T, C) controls without the channels `event` and `activity`, or with any values there.
        channels: their C names.
        frame_rate: in Hz.
        beat: from gestures (0) to a steady beat (1), see `find_person_events`.
    """
    found = find_movements(values, channels, frame_rate)
    events = find_person_events(found.turns, found.arrivals, len(values), frame_rate, beat)
    return event_curve(events, len(values), frame_rate), found.activity


@dataclass(frozen=True, eq=False)
class Movements:
    """Movements of a person, before it is decided which of them are events.

    Attributes:
        turns: turning points of the dominant motion.
        arrivals: where movements arrive.
        activity: (T,) 0..1.
    """

    turns: Events
    arrivals: Events
    activity: np.ndarray


def find_movements(values: np.ndarray, channels: Sequence[str], frame_rate: float) -> Movements:
    """Find turns, arrivals and activity of a person in controls.

    Args:
        values: see `person_curves`.
        channels: their C names.
        frame_rate: in Hz.
    """
    joints = values[:, column_indices(_JOINT_VELOCITIES, channels)].astype(np.float64)
    moving = joints.any(axis=0)
    joint_speed = np.sqrt((joints[:, moving] ** 2).mean(axis=1)) if moving.any() else np.zeros(len(values))
    flow_speed = values[:, column_indices(tuple(FLOWS), channels)].astype(np.float64).sum(axis=1)
    seen = bool(flow_speed.any())
    activity = find_activity(flow_speed if seen else joint_speed, frame_rate)
    arrivals = find_arrivals(joint_speed, flow_speed if seen else None, frame_rate, activity)
    pulse = values[:, column_indices(("pulse",), channels)[0]]
    turns = turns_of(pulse if seen or moving.any() else np.zeros_like(pulse), frame_rate)
    return Movements(turns, arrivals, activity)


def turns_of(pulse: np.ndarray, frame_rate: float) -> Events:
    """Return the turns from which `pulse_train` made a pulse curve (T,): the tops of its Gaussian bumps."""
    from scipy.signal import find_peaks

    frames, found = find_peaks(pulse, height=0.05)
    before, here, after = (np.log(np.maximum(pulse[frames + shift], 1e-6)) for shift in (-1, 0, 1))
    shift = 0.5 * (before - after) / np.minimum(before - 2 * here + after, -1e-9)  # the top of a parabola
    return Events((frames + 0.5 + np.clip(shift, -0.5, 0.5)) / frame_rate, found["peak_heights"].astype(np.float64))


def _smooth(curve: np.ndarray, sd_s: float, frame_rate: float) -> np.ndarray:
    """Smooth a curve (T,) by a Gaussian with a standard deviation of `sd_s` seconds."""
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(np.asarray(curve, dtype=np.float64), sd_s * frame_rate))


def _in_own_range(curve: np.ndarray, least: float) -> np.ndarray:
    """Divide a curve (T,) by its 98th percentile, at least `least`: quiet people count as much as lively ones."""
    return curve / max(float(np.percentile(curve, 98)), least) if len(curve) else curve
