"""The pulse: when does the motion turn that leads at the moment?"""

from __future__ import annotations

from bisect import bisect
from itertools import pairwise

import numpy as np

from .smoothing import moving_average

_LEAST_TURN = 0.75  # of a channel's floor; less back and forth is taken for noise
_LEAST_SHARE = 0.35  # of the motion's own height around; less is taken for a detail of a larger turn
_LEADER_S, _SIZE_S = 6.0, 4.0
_SWAY_SHARE = 0.5  # of its power: where nods and sways go together, the nods mark the beat more sharply
_APART_S = 0.2
_EDGE_FRAMES = 15


def pulse_train(times: np.ndarray, turns: np.ndarray, weights: np.ndarray, sd_s: float = 0.05) -> np.ndarray:
    """Return bumps (F,) 0..1: a Gaussian of height `weights` (N,) at each turn (N,) seconds.

    Of turns closer together than 0.2 s only the heaviest is kept.

    >>> pulse_train(np.array([0.0, 0.5, 1.0]), np.array([0.5]), np.array([1.0])).round(3).tolist()
    [0.0, 1.0, 0.0]
    """
    pulse, kept = np.zeros(len(times)), [-np.inf, np.inf]  # kept turns in order of time
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
    """Find when the leading motion turns.

    At every moment the motion leads that was the fastest, measured in floors, in the three seconds either side, of
    those large enough; a sway's power counts half. A turn counts if the motion goes there and back by at least 0.75
    floors and a third of its height around.

    Args:
        times: (F,) seconds, even.
        positions: (F, C) in units of each motion's floor, drift and all; NaN is missing.
        velocities: (F, C) their derivatives, in any common unit.
        both_ends: (C,) bool, whether minima count (a sway's other end) or only maxima (a nod's bottom).

    Returns:
        Times (N,) in seconds, finer than a frame, and weights (N,) 0..1.
    """
    strength = moving_average(times, np.nan_to_num(velocities**2), _LEADER_S) * np.where(both_ends, _SWAY_SHARE, 1.0)
    around = moving_average(times, positions, _SIZE_S)
    variance = moving_average(times, positions**2, _SIZE_S) - around**2
    size = np.sqrt(8 * variance.clip(0))  # the height of a sine with this variance
    leader = np.where(size >= _LEAST_TURN, strength, 0.0).argmax(axis=1)
    turns, weights = [], []
    for lead in np.unique(leader):
        least = np.fmax(_LEAST_TURN, _LEAST_SHARE * size[:, lead])
        for frame, sign, height in _turning_points(positions[:, lead], least):
            if leader[frame] == lead and (sign > 0 or both_ends[lead]):
                turns.append(_crossing(times, sign * velocities[:, lead], frame))
                weights.append(min(1.0, height / max(size[frame, lead], _LEAST_TURN)))
    return np.array(turns, dtype=float), np.array(weights, dtype=float)


def _turning_points(position: np.ndarray, least: np.ndarray) -> list[tuple[int, int, float]]:
    """Return (frame, +1 at a maximum or -1, height) where position (F,) turns by `least` (F,) or more on both sides.

    Close to where the signal begins or ends, less is enough on the side that was cut off.
    """
    turns: list[tuple[int, int, float]] = []
    known = np.flatnonzero(~np.isnan(position))
    for stretch in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        values, limits = position[stretch].tolist(), least[stretch].tolist()
        corners = [0, *_zigzag(values, limits), len(values) - 1]
        for (before, corner), (_, after) in pairwise(pairwise(corners)):
            rise, fall = values[corner] - values[before], values[corner] - values[after]
            near_edge = min(corner, len(values) - 1 - corner) < _EDGE_FRAMES
            share = 0.3 if near_edge else 1.0
            if rise * fall > 0 and min(abs(rise), abs(fall)) >= share * limits[corner]:
                height = (max if near_edge else min)(abs(rise), abs(fall))
                turns.append((int(stretch[corner]), 1 if rise > 0 else -1, height))
    return turns


def _zigzag(values: list[float], limits: list[float]) -> list[int]:
    """Return the places of alternating maxima and minima, each `limits` away from the one before, the last one open."""
    corners, top, bottom, direction = [], 0, 0, 0
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


def _crossing(times: np.ndarray, velocity: np.ndarray, frame: int) -> float:
    """Return the time, between frames, when velocity (F,) falls through zero next to a frame; else the frame's."""
    places = np.arange(max(frame - 4, 0), min(frame + 4, len(times) - 1))
    here, after = velocity[places], velocity[places + 1]
    falling = places[(here > 0) & (after <= 0)]
    if len(falling) == 0:
        return float(times[frame])
    i = falling[np.abs(falling - frame).argmin()]
    share = velocity[i] / (velocity[i] - velocity[i + 1])
    return float(times[i] + share * (times[i + 1] - times[i]))
