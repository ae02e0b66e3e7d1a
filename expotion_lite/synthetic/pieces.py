"""Pieces of music as notes, with exact ground truth: beats, chords and key are known and need not be estimated."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

ENERGY_RATE = 50.0  # Hz, of `Piece.energy`


@dataclass(frozen=True)
class Note:
    """One note.

    Attributes:
        instrument: a key of `instruments.INSTRUMENTS` or `drums.DRUMS`.
        onset_s: start in seconds from the start of the piece.
        duration_s: length in seconds, without the release.
        pitch: MIDI pitch, 0 for drums.
        velocity: 0..1, how hard the note is played.
    """

    instrument: str
    onset_s: float
    duration_s: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class Piece:
    """A piece of music and its ground truth. Times are in seconds from its start.

    Attributes:
        seed: the seed that the piece was drawn from.
        duration_s: length in seconds.
        tempo_bpm: beats per minute, constant.
        beats: (B,) times of the beats.
        downbeats: (D,) times of the first beat of each bar.
        accents: (A,) times at which a section starts or the melody reaches its peak in a bar.
        key: tonic, one of `harmony.KEYS`.
        mode: scale, one of `harmony.MODES`.
        energy: (F,) float32 at `ENERGY_RATE`, 0..1, how strongly the band plays.
        style: a key of `styles.STYLES`.
        instruments: the instruments heard; "drums" stands for the whole kit.
        notes: all notes by onset. Some start before 0 or end after `duration_s`.
        chords: (time, name) of each chord, such as (0.8, "Am7").
        sections: (S,) times at which sections start.
        beats_per_bar: number of beats in a bar.
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
