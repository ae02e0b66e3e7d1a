"""How a body and a face answer music: curves of movement and expression over time, smooth and turning on the beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .harmony import BRIGHT
from .pieces import FRAME_RATE

if TYPE_CHECKING:
    from .people import Performer
    from .pieces import Piece

FALL_S, RISE_S = 0.28, 0.50  # a nod goes down faster than it comes back, and does not stretch over slow beats


def energy_at(piece: Piece, now: np.ndarray) -> np.ndarray:
    """(T,) 0..1, how strongly the band plays at times (T,) s."""
    return np.interp(now, (np.arange(len(piece.energy)) + 0.5) / FRAME_RATE, piece.energy)


def drifts(now: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, T) slow smooth noise of about unit size: five sines between 0.04 and 0.4 Hz each."""
    frequency, phase = rng.uniform(0.04, 0.4, (n, 5, 1)), rng.uniform(0, 2 * np.pi, (n, 5, 1))
    return 0.55 * np.sin(2 * np.pi * frequency * now + phase).sum(1)


def _strikes(piece: Piece, performer: Performer, every: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Times (K,) at which movements turn, the place of each in its bar (K,), and its size (K,).

    The beats are continued past both ends of the piece, so that movement does not start or stop there.
    """
    beats = np.asarray(piece.beats, np.float64)
    period = float(np.median(np.diff(beats)))
    first = int(np.abs(beats - piece.downbeats[0]).argmin()) if len(piece.downbeats) else 0
    meter = max(1, round(float(np.median(np.diff(piece.downbeats))) / period)) if len(piece.downbeats) > 1 else 4
    index = np.arange(-8, len(beats) + 8)
    grid = np.where(index < 0, beats[0] + index * period, beats[-1] + (index - len(beats) + 1) * period)
    grid[8:-8] = beats
    place = (index - first) % meter
    chosen = place == 0 if every == 4 else place % every == 0
    grid, place, n = grid[chosen], place[chosen], int(chosen.sum())
    size = (0.35 + 0.75 * energy_at(piece, grid)) * np.exp(performer.size_sd * rng.standard_normal(n))
    size *= 1 + 0.15 * (place == 0)
    wobble = np.clip(rng.standard_normal(n), -2.5, 2.5) * min(performer.timing_sd_s, 0.05 * period)
    return grid + performer.lateness_s + wobble + 0.5 * period * performer.offbeat, place, np.minimum(size, 1.6)


def _nods(
    now: np.ndarray, strikes: np.ndarray, size: np.ndarray, fall: float = FALL_S, rise: float = RISE_S
) -> np.ndarray:
    """(T,) one smooth dip for each strike: `size` at its time, 0 between; quick down, slower back."""
    k = np.clip(np.searchsorted(strikes, now, side="right") - 1, 0, len(strikes) - 2)
    gap = strikes[k + 1] - strikes[k]
    back, ahead = now - strikes[k], strikes[k + 1] - now
    rise_s = np.minimum(rise, gap * rise / (rise + fall))
    fall_s = np.minimum(fall, gap * fall / (rise + fall))
    half = lambda x: 0.5 + 0.5 * np.cos(np.pi * np.clip(x, 0.0, 1.0))  # noqa: E731
    return size[k] * half(back / rise_s) + size[k + 1] * half(ahead / fall_s)


def _swings(now: np.ndarray, strikes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(T,) from target to target, turning smoothly at the strikes."""
    k = np.clip(np.searchsorted(strikes, now, side="right") - 1, 0, len(strikes) - 2)
    x = np.clip((now - strikes[k]) / (strikes[k + 1] - strikes[k]), 0.0, 1.0)
    return targets[k] + (targets[k + 1] - targets[k]) * (0.5 - 0.5 * np.cos(np.pi * x))


def movement(
    piece: Piece, performer: Performer, now: np.ndarray, drift: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Head, trunk and hands: what moves with the beat, and slow drifts."""
    p, fidget, still = performer, performer.fidget, np.zeros_like(now)
    nod = bounce = swing = beat_hand = tap = side = still
    if len(piece.beats) > 1:
        strikes, place, size = _strikes(piece, p, p.every, rng)
        pace = min(1.0, float(np.median(np.diff(strikes))) / 0.55) ** 0.7  # fast music, smaller movements
        nod, bounce = pace * _nods(now, strikes, size), pace * _nods(now, strikes, size, 0.22, 0.35)
        beat_hand = pace * _nods(now, strikes, size * (1 + 0.25 * (place == 0)), 0.3, 0.3)
        tap = pace * _nods(now, strikes, size, 0.13, 0.16)
        side = _swings(now, strikes, np.array([0.0, 0.5, -0.5, 0.25])[np.minimum(place, 3)])  # down, in, out, up
        turns, _, reach = _strikes(piece, p, 2 if p.every > 1 or np.median(np.diff(strikes)) < 0.5 else 1, rng)
        swing = _swings(now, turns, reach * np.where(np.arange(len(turns)) % 2, 1.0, -1.0))
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
    """(T,) the largest of smooth bumps that peak at `at` (K,) with heights `size` (K,)."""
    x = now[:, None] - at[None, :]
    x = np.clip(np.where(x < 0, -x / rise_s, x / fall_s), 0.0, 1.0)
    return np.max(size * (0.5 + 0.5 * np.cos(np.pi * x)), axis=1, initial=0.0)


def face(
    piece: Piece, performer: Performer, now: np.ndarray, drift: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Expression: the mode in the mouth, accents in brows and jaw; blinks and gaze at random."""
    p = performer
    mood = p.expressivity * (0.3 + 0.6 * energy_at(piece, now) + 0.1 * drift[9])
    bright = 1.0 if piece.mode in BRIGHT else 0.0
    accents = np.asarray(piece.accents, np.float64) + p.lateness_s + 0.03
    felt = lambda chance: p.expressivity * rng.uniform(0.4, 1.0, len(accents)) * (rng.random(len(accents)) < chance)  # noqa: E731
    brow, jaw = felt(0.8), felt(0.6)
    enough = int(piece.duration_s) + 8
    blinks = np.cumsum(rng.exponential(3.5, enough) + 0.4) - 2.0
    looks = np.cumsum(rng.exponential(1.6, enough) + 0.25) - 2.0
    gaze = 0.35 * rng.standard_normal((2, len(looks)))
    steps = np.stack([looks, looks + 0.07], 1).ravel()  # a saccade takes about 70 ms
    look = [np.interp(now, steps, np.repeat(np.r_[0.0, g], 2)[1:-1]) for g in gaze]
    curves = {
        "smile": p.resting_smile + (0.95 - p.resting_smile) * mood * bright + 0.04 * drift[10],
        "frown": 0.7 * mood * (1 - bright) + 0.03 * drift[11],
        "brow_up": _bumps(now, accents, brow, 0.16, 0.55),
        "brow_down": 0.75 * mood * (1 - bright),
        "jaw": 0.5 * _bumps(now, accents, jaw, 0.14, 0.4) + 0.03 * np.maximum(drift[10], 0),
        "blink": _bumps(now, blinks, np.ones(len(blinks)), 0.09, 0.16),
    }
    curves = {name: np.clip(curve, 0.0, 1.0) for name, curve in curves.items()}
    return curves | {"gaze_x": np.clip(look[0], -1, 1), "gaze_y": np.clip(look[1], -1, 1)}
