"""Reactions of body and face to music, as smooth curves of movement and expression that turn on the beats."""

from __future__ import annotations

import numpy as np

from .harmony import BRIGHT
from .people import Performer
from .pieces import ENERGY_RATE, Piece

FALL_S, RISE_S = 0.28, 0.50  # a nod goes down faster than it comes up, also in slow music


def energy_at(piece: Piece, now: np.ndarray) -> np.ndarray:
    """Return how strongly the band plays at times (T,) s, (T,) 0..1."""
    return np.interp(now, (np.arange(len(piece.energy)) + 0.5) / ENERGY_RATE, piece.energy)


def drifts(now: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw n curves of slow noise of about unit size, (n, T): each adds five sines between 0.04 and 0.4 Hz."""
    frequency, phase = rng.uniform(0.04, 0.4, (n, 5, 1)), rng.uniform(0, 2 * np.pi, (n, 5, 1))
    return 0.55 * np.sin(2 * np.pi * frequency * now + phase).sum(1)


def _turns(
    piece: Piece, performer: Performer, every: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the turning points of a movement: times (K,), beats of the bar (K,) counted from 0, sizes (K,).

    The beats are continued beyond both ends of the piece, so that movements do not start or stop there.
    """
    beats = np.asarray(piece.beats, np.float64)
    period = float(np.median(np.diff(beats)))
    first = int(np.abs(beats - piece.downbeats[0]).argmin()) if len(piece.downbeats) else 0
    metre = max(1, round(float(np.median(np.diff(piece.downbeats))) / period)) if len(piece.downbeats) > 1 else 4
    index = np.arange(-8, len(beats) + 8)
    grid = np.where(index < 0, beats[0] + index * period, beats[-1] + (index - len(beats) + 1) * period)
    grid[8:-8] = beats
    beat = (index - first) % metre
    chosen = beat == 0 if every == 4 else beat % every == 0
    grid, beat, n = grid[chosen], beat[chosen], int(chosen.sum())
    size = (0.35 + 0.75 * energy_at(piece, grid)) * np.exp(performer.size_sd * rng.standard_normal(n))
    size *= 1 + 0.15 * (beat == 0)
    spread = np.clip(rng.standard_normal(n), -2.5, 2.5) * min(performer.timing_sd_s, 0.05 * period)
    return grid + performer.lateness_s + spread + 0.5 * period * performer.offbeat, beat, np.minimum(size, 1.6)


def _nods(
    now: np.ndarray, turns: np.ndarray, size: np.ndarray, fall_s: float = FALL_S, rise_s: float = RISE_S
) -> np.ndarray:
    """Return a curve (T,) that reaches `size` at each turning point and 0 between: fast down, slower up."""
    k = _interval(now, turns)
    gap = turns[k + 1] - turns[k]
    rise = np.minimum(rise_s, gap * rise_s / (rise_s + fall_s))
    fall = np.minimum(fall_s, gap * fall_s / (rise_s + fall_s))
    return size[k] * _half_cosine((now - turns[k]) / rise) + size[k + 1] * _half_cosine((turns[k + 1] - now) / fall)


def _swings(now: np.ndarray, turns: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return a curve (T,) that moves smoothly from target to target and turns at the turning points."""
    k = _interval(now, turns)
    x = np.clip((now - turns[k]) / (turns[k + 1] - turns[k]), 0.0, 1.0)
    return targets[k] + (targets[k + 1] - targets[k]) * (0.5 - 0.5 * np.cos(np.pi * x))


def _interval(now: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Return the index of the last turning point before each time, (T,) int."""
    return np.clip(np.searchsorted(turns, now, side="right") - 1, 0, len(turns) - 2)


def _half_cosine(x: np.ndarray) -> np.ndarray:
    """Return a smooth curve from 1 at x = 0 to 0 at x = 1."""
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(x, 0.0, 1.0))


def movement(
    piece: Piece, performer: Performer, now: np.ndarray, drift: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return the curves (T,) of head, trunk and hands: movements on the beat plus slow drifts."""
    p, fidget, still = performer, performer.fidget, np.zeros_like(now)
    nod = bounce = swing = beat_hand = tap = side = still
    if len(piece.beats) > 1:
        turns, beat, size = _turns(piece, p, p.every, rng)
        pace = min(1.0, float(np.median(np.diff(turns))) / 0.55) ** 0.7  # movements are smaller in fast music
        nod, bounce = pace * _nods(now, turns, size), pace * _nods(now, turns, size, 0.22, 0.35)
        beat_hand = pace * _nods(now, turns, size * (1 + 0.25 * (beat == 0)), 0.3, 0.3)
        tap = pace * _nods(now, turns, size, 0.13, 0.16)
        # Conducting in four: down, in, out, up.
        side = _swings(now, turns, np.array([0.0, 0.5, -0.5, 0.25])[np.minimum(beat, 3)])
        sway_every = 2 if p.every > 1 or np.median(np.diff(turns)) < 0.5 else 1
        sway_turns, _, reach = _turns(piece, p, sway_every, rng)
        swing = _swings(now, sway_turns, reach * np.where(np.arange(len(sway_turns)) % 2, 1.0, -1.0))
    left = (p.hands == "both") * p.conduct
    return {
        "pitch": p.nod_deg * (nod - 0.3) + 2.5 * fidget * drift[0],
        "yaw": 6.0 * fidget * drift[1] + 0.25 * p.tilt_deg * swing,
        "roll": p.tilt_deg * swing + 1.5 * fidget * drift[2],
        "sway": p.sway * swing + 0.12 * fidget * drift[3],
        "bob": 0.7 * p.bounce * (bounce - 0.3) + 0.04 * fidget * drift[4],
        "shoulders": -0.5 * p.bounce * (bounce - 0.3) + 0.02 * fidget * drift[5],
        "left_hand_x": -left * side * 0.6 + 0.1 * fidget * drift[6],
        "left_hand_y": left * beat_hand + 0.1 * fidget * drift[7],
        "right_hand_x": p.conduct * side * 0.6 + 0.1 * fidget * drift[8],
        "right_hand_y": p.conduct * beat_hand + p.tap * tap + 0.1 * fidget * drift[7],
    }


def _bumps(now: np.ndarray, at: np.ndarray, size: np.ndarray, rise_s: float, fall_s: float) -> np.ndarray:
    """Return the maximum (T,) of smooth bumps with their peaks at times `at` (K,) and heights `size` (K,)."""
    x = now[:, None] - at[None, :]
    x = np.where(x < 0, -x / rise_s, x / fall_s)
    return np.max(size * _half_cosine(x), axis=1, initial=0.0)


def face(
    piece: Piece, performer: Performer, now: np.ndarray, drift: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return the curves (T,) of expression: the mouth follows the mode, brows and jaw the accents."""
    p = performer
    mood = p.expressivity * (0.3 + 0.6 * energy_at(piece, now) + 0.1 * drift[9])
    bright = 1.0 if piece.mode in BRIGHT else 0.0
    accents = np.asarray(piece.accents, np.float64) + p.lateness_s + 0.03

    def reaction_to_accents(probability: float) -> np.ndarray:
        """Draw how strongly the person reacts to each accent, 0..1."""
        return p.expressivity * rng.uniform(0.4, 1.0, len(accents)) * (rng.random(len(accents)) < probability)

    brow, jaw = reaction_to_accents(0.8), reaction_to_accents(0.6)
    enough = int(piece.duration_s) + 8
    blinks = np.cumsum(rng.exponential(3.5, enough) + 0.4) - 2.0
    looks = np.cumsum(rng.exponential(1.6, enough) + 0.25) - 2.0
    gaze = 0.35 * rng.standard_normal((2, len(looks)))
    steps = np.stack([looks, looks + 0.07], 1).ravel()  # a saccade takes about 70 ms
    gaze_x, gaze_y = (np.interp(now, steps, np.repeat(np.r_[0.0, g], 2)[1:-1]) for g in gaze)
    curves = {
        "smile": p.resting_smile + (0.95 - p.resting_smile) * mood * bright + 0.04 * drift[10],
        "frown": 0.7 * mood * (1 - bright) + 0.03 * drift[11],
        "brow_up": _bumps(now, accents, brow, 0.16, 0.55),
        "brow_down": 0.75 * mood * (1 - bright),
        "jaw": 0.5 * _bumps(now, accents, jaw, 0.14, 0.4) + 0.03 * np.maximum(drift[10], 0),
        "blink": _bumps(now, blinks, np.ones(len(blinks)), 0.09, 0.16),
    }
    curves = {name: np.clip(curve, 0.0, 1.0) for name, curve in curves.items()}
    return curves | {"gaze_x": np.clip(gaze_x, -1, 1), "gaze_y": np.clip(gaze_y, -1, 1)}
