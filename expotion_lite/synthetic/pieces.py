"""Pieces of music with the exact truth about them: because the notes are ours, no beat tracker stands in between."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

FRAME_RATE = 50.0


@dataclass(frozen=True)
class Note:
    """One note: `instrument`, `onset_s` and `duration_s` in seconds, MIDI `pitch` (0 for drums), `velocity` 0..1."""

    instrument: str
    onset_s: float
    duration_s: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class Piece:
    """A piece of music and the exact truth about it. Times are in seconds from its start.

    Attributes:
        seed: what it was drawn from.
        duration_s: its length.
        tempo_bpm: beats a minute, constant.
        beats: (B,) beat times; `downbeats`: (D,) the first beat of each bar.
        accents: (A,) starts of sections and peaks of the melody.
        key: tonic, one of `harmony.KEYS`; `mode`: one of `harmony.MODES`.
        energy: (F,) 0..1 at 50 Hz, how strongly the band plays.
        style: one of `styles.STYLES`; `instruments`: who plays, drums included.
        notes: every note.
        chords: (time, name) of every chord, such as (0.8, "Am7"); `sections`: (S,) where sections begin.
        beats_per_bar: of the metre.
    """

    seed: int
    duration_s: float
    tempo_bpm: float
    beats: np.ndarray
    downbeats: np.ndarray
    accents: np.ndarray
    key: str
    mode: str
    energy: np.ndarray
    style: str
    instruments: tuple[str, ...]
    notes: tuple[Note, ...]
    chords: tuple[tuple[float, str], ...] = ()
    sections: np.ndarray = field(default_factory=lambda: np.zeros(0))
    beats_per_bar: int = 4
