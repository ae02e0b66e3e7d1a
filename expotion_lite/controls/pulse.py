"""Detects turning points of the dominant motion and renders them as a pulse curve."""

from __future__ import annotations

from bisect import bisect
from itertools import pairwise

import numpy as np

from .smoothing import moving_average

_LEAST_TURN = 0.75  # floors; a smaller movement there and back is noise
_LEAST_SHARE = 0.35  # of the motion's height at that time; a smaller turn is a detail of a larger one
_STRENGTH_S = 6.0  # seconds over which the strength of a motion is averaged
_HEIGHT_S = 4.0  # seconds over which the height of a motion is measured
_SWAY_SHARE = 0.5  # of a sway's power counts: where a person nods and sways, the nods mark the beat more sharply
_APART_S = 0.2  # seconds; least distance of two pulses
_EDGE_FRAMES = 15  # frames; closer to the ends of a signal a turn may be cut off
_EDGE_SHARE = 0.3  # of the least turn is enough there


def pulse_train(times: np.ndarray, turns: np.ndarray, weights: np.ndarray, sd_s: float = 0.05) -> np.ndarray:
    """Return a pulse curve: a Gaussian bump at each turn. Of turns closer than 0.2 s only the heaviest is kept.

    Args:
        times: (F,) seconds, increasing.
        turns: (N,) seconds.
        weights: (N,) heights of the bumps, 0..1.
        sd_s: standard deviation of a bump, seconds.

    Returns:
        (F,) 0..1.

    Example:
        >>> pulse_train(np.array([0.0, 0.5, 1.0]), np.array([0.5]), np.array([1.0])).round(3).tolist()
        [0.0, 1.0, 0.0]
    """
    pulse, kept = np.zeros(len(times)), [-np.inf, np.inf]  # kept turns in order of time, between two sentinels
    for i in np.argsort(-weights, kind="stable"):
        place = bisect(kept, turns[i])
        if min(turns[i] - kept[place - 1], kept[place] - turns[i]) >= _APART_S:
            kept.insert(place, turns[i])
            low, high = np.searchsorted(times, [turns[i] - 5 * sd_s, turns[i] + 5 * sd_s])
            bump = weights[i] * np.exp(-0.5 * ((times[low:high] - turns[i]) / sd_s) ** 2)
            pulse[low:high] = np.maximum(pulse[low:high], bump)
    return pulse


def find_turns(
    times: np.ndarray, positions: np.ndarray, velocities: np.ndarray, both_ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the turning points of the dominant motion.

    At each frame, the dominant one of all motions that are large enough has the highest mean squared speed, in floors,
    from 3 s before to 3 s after. For motions with two ends (sways) it counts half. A turning point counts if the motion
    goes there and back by at least 0.75 floors and by a third of its height at that time.

    Args:
        times: (F,) seconds, evenly spaced.
        positions: (F, C) in floors, slow drift included; NaN is missing.
        velocities: (F, C) the derivatives of the positions, in any common unit.
        both_ends: (C,) bool, true where minima count, too (the other end of a sway), false where only maxima do (the
            bottom of a nod).

    Returns:
        Times (N,) of the turning points in seconds, finer than a frame, and their weights (N,) 0..1.
    """
    strength = moving_average(times, np.nan_to_num(velocities**2), _STRENGTH_S) * np.where(both_ends, _SWAY_SHARE, 1.0)
    mean = moving_average(times, positions, _HEIGHT_S)
    variance = moving_average(times, positions**2, _HEIGHT_S) - mean**2
    height = np.sqrt(8 * variance.clip(0))  # from top to bottom of a sine with this variance
    dominant = np.where(height >= _LEAST_TURN, strength, 0.0).argmax(axis=1)  # (F,) indices of motions
    turns, weights = [], []
    for motion in np.unique(dominant):
        least = np.fmax(_LEAST_TURN, _LEAST_SHARE * height[:, motion])
        for frame, sign, turn_height in _turning_points(positions[:, motion], least):
            if dominant[frame] == motion and (sign > 0 or both_ends[motion]):
                turns.append(_zero_crossing(times, sign * velocities[:, motion], frame))
                weights.append(min(1.0, turn_height / max(height[frame, motion], _LEAST_TURN)))
    return np.array(turns, dtype=float), np.array(weights, dtype=float)


def _turning_points(position: np.ndarray, least: np.ndarray) -> list[tuple[int, int, float]]:
    """Find where a position (F,) turns by `least` (F,) or more on both sides.

    Close to the ends of a stretch without missing values less is enough, since one side may be cut off there.

    Returns:
        A list of (frame, +1 for a maximum or -1 for a minimum, height of the turn).
    """
    turns: list[tuple[int, int, float]] = []
    known = np.flatnonzero(~np.isnan(position))
    for stretch in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):  # frames without a gap
        values, limits = position[stretch].tolist(), least[stretch].tolist()
        corners = [0, *_zigzag(values, limits), len(values) - 1]
        for (before, corner), (_, after) in pairwise(pairwise(corners)):
            rise, fall = values[corner] - values[before], values[corner] - values[after]
            near_edge = min(corner, len(values) - 1 - corner) < _EDGE_FRAMES
            share = _EDGE_SHARE if near_edge else 1.0
            if rise * fall > 0 and min(abs(rise), abs(fall)) >= share * limits[corner]:
                height = (max if near_edge else min)(abs(rise), abs(fall))
                turns.append((int(stretch[corner]), 1 if rise > 0 else -1, height))
    return turns


def _zigzag(values: list[float], limits: list[float]) -> list[int]:
    """Return the indices of alternating maxima and minima that differ by at least `limits`.

    The last one is preliminary: the signal may yet go further in its direction.
    """
    corners: list[int] = []
    top, bottom = 0, 0  # the highest and lowest place since the last corner
    direction = 0  # +1 while looking for a maximum, -1 for a minimum, 0 before the first corner
    for i, (value, limit) in enumerate(zip(values, limits, strict=True)):
        if direction >= 0 and value > values[top]:
            top = i
        if direction <= 0 and value < values[bottom]:
            bottom = i
        if direction >= 0 and values[top] - value >= limit:
            corners.append(top)
            direction, bottom = -1, i
        elif direction <= 0 and value - values[bottom] >= limit:
            corners.append(bottom)
            direction, top = 1, i
    if direction:
        corners.append(top if direction > 0 else bottom)
    return corners


def _zero_crossing(times: np.ndarray, velocity: np.ndarray, frame: int) -> float:
    """Return the time near a frame at which velocity (F,) falls through zero, interpolated; else the frame's time."""
    places = np.arange(max(frame - 4, 0), min(frame + 4, len(times) - 1))
    here, after = velocity[places], velocity[places + 1]
    falling = places[(here > 0) & (after <= 0)]
    if len(falling) == 0:
        return float(times[frame])
    i = falling[np.abs(falling - frame).argmin()]
    share = velocity[i] / (velocity[i] - velocity[i + 1])
    return float(times[i] + share * (times[i + 1] - times[i]))
