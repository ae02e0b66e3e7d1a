"""Pieces that do not keep a tempo: tempos that wander, pauses, and beats that fall on the events of an irregular list.

A person who gestures keeps no tempo, either. From such pieces an adapter learns to follow events rather than a beat.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .pieces import ENERGY_RATE, Note, Piece

_KNOT_S = 0.5  # seconds between the points at which the tempo is drawn
_SLOWEST, _FASTEST = 0.55, 1.7  # lengths of a beat at the limits, 1 as written
_ON_BEAT = 0.13  # beats; a note that is nearer to a beat belongs to it


def wander(piece: Piece, rng: np.random.Generator) -> Piece:
    """Let the tempo of a piece wander, and pause up to twice.

    Args:
        piece: with a constant tempo.
        rng: source of the draws.

    Returns:
        The piece with other times of notes and beats. What falls behind its end is left out.
    """
    knots = np.arange(0, piece.duration_s + 2, _KNOT_S)
    drift = np.cumsum(rng.normal(0, 0.1, len(knots))) * 0.5 + rng.normal(0, 0.08, len(knots))
    rate = np.exp(drift - drift.mean()).clip(_SLOWEST, _FASTEST)
    times = np.append(0.0, np.cumsum((rate[1:] + rate[:-1]) / 2 * _KNOT_S))
    for _ in range(rng.integers(0, 3)):
        if rng.random() < 0.6:
            times[rng.integers(2, len(knots) - 2) :] += rng.uniform(0.25, 1.5)
    return _moved(piece, knots, times, piece.duration_s)


def place_on_events(piece: Piece, duration_s: float, rng: np.random.Generator) -> Piece:
    """Put the beats of a piece on irregular events, each with a strength of its own, as a gesturing person would.

    Most notes between the beats are left out or soft, so that music begins with the events. Notes ring on for a while
    in a long gap.

    Args:
        piece: with more beats than there will be events, so about three times as long as the result.
        duration_s: length of the result.
        rng: source of the draws.

    Returns:
        The piece, whose beats are the events.
    """
    typical, spread = rng.uniform(0.35, 1.1), rng.uniform(0.05, 0.5)
    gaps = np.clip(typical * np.exp(rng.normal(0, spread, 200)), 0.25, 2.2)
    long = rng.random(200) < 0.07
    gaps[long] = rng.uniform(1.2, 2.6, long.sum())
    events = rng.uniform(-1.0, 0.5) + np.append(0.0, np.cumsum(gaps))
    n = min(int((events < duration_s + 4).sum()), len(piece.beats))
    beats, events = piece.beats[:n], events[:n]
    strengths = rng.uniform(0.45, 1.0, n) if rng.random() < 0.7 else np.ones(n)
    longest = rng.uniform(1.2, 5.0) if rng.random() < 0.75 else rng.uniform(0.3, 1.2)
    left_out, softness = 0.0 if rng.random() < 0.2 else rng.uniform(0.6, 1.0), rng.uniform(0.3, 0.9)
    notes = []
    for note in piece.notes:
        place = float(np.interp(note.onset_s, beats, np.arange(n), left=-1, right=n))
        beat = round(place)
        if place < 0 or beat >= n:
            continue
        on_beat = abs(place - beat) < _ON_BEAT
        if not on_beat and rng.random() < left_out:
            continue
        start = events[beat] if on_beat else float(np.interp(place, np.arange(n), events))
        end = float(np.interp(note.onset_s + note.duration_s, beats, events))
        notes.append(
            replace(
                note,
                onset_s=start + rng.normal(0, 0.004),
                duration_s=float(np.clip(end - start, 0.05, longest)),
                velocity=float(note.velocity * strengths[beat] * (1.0 if on_beat else softness)),
            )
        )
    return _timed(piece, beats, events, duration_s, notes)


def _moved(piece: Piece, before: np.ndarray, after: np.ndarray, duration_s: float) -> Piece:
    """Return a piece whose times `before` (N,) have become the times `after` (N,)."""

    def move(time: float) -> float:
        return float(np.interp(time, before, after))

    notes = []
    for note in piece.notes:
        start, end = move(note.onset_s), move(note.onset_s + note.duration_s)
        notes.append(replace(note, onset_s=start, duration_s=max(0.03, end - start)))
    return _timed(piece, before, after, duration_s, notes)


def _timed(piece: Piece, before: np.ndarray, after: np.ndarray, duration_s: float, notes: list[Note]) -> Piece:
    """Return a piece of these notes, whose other times `before` (N,) have become the times `after` (N,).

    Its tempo is that of its median beat.
    """

    def moved(times: np.ndarray) -> np.ndarray:
        known = np.asarray(times)[(times >= before[0]) & (times <= before[-1])]
        new = np.interp(known, before, after)
        return new[new < duration_s]

    beats = moved(piece.beats)
    centres = (np.arange(round(duration_s * ENERGY_RATE)) + 0.5) / ENERGY_RATE
    written = (np.arange(len(piece.energy)) + 0.5) / ENERGY_RATE
    chords = [(float(np.interp(time, before, after)), name) for time, name in piece.chords]
    return replace(
        piece,
        duration_s=duration_s,
        tempo_bpm=60.0 / float(np.median(np.diff(beats))) if len(beats) > 1 else piece.tempo_bpm,
        beats=beats,
        downbeats=moved(piece.downbeats),
        accents=moved(piece.accents),
        sections=moved(piece.sections),
        energy=np.interp(np.interp(centres, after, before), written, piece.energy).astype(np.float32),
        notes=tuple(sorted((note for note in notes if note.onset_s < duration_s), key=lambda note: note.onset_s)),
        chords=tuple(chord for chord in chords if chord[0] < duration_s),
    )
