"""Instruments for the procedural band: additive tones and noise drums, cheap enough for pieces by the thousand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .band import Note, Piece

TONE_S = 4.0
NOISE_FLOOR = 1e-3  # -60 dB: digital silence in the corpus makes codecs collapse


@dataclass(frozen=True)
class Timbre:
    """A pitched instrument as a sum of harmonics.

    Attributes:
        slope: harmonic n has amplitude n ** -slope; `odd`: even harmonics are left out.
        attack_s: rise time; `decay_s`: time constant of the fundamental, harmonic n decays n ** `damping` times faster.
        detune_cents: two copies, this far apart; `vibrato_cents`: depth at 5.5 Hz.
        gain: loudness in the mix; `release_s`: fade after the note's end.
    """

    slope: float
    attack_s: float
    decay_s: float
    gain: float
    damping: float = 0.0
    odd: bool = False
    detune_cents: float = 0.0
    vibrato_cents: float = 0.0
    release_s: float = 0.05


TIMBRES = {
    "piano": Timbre(1.5, 0.003, 0.9, 0.30, damping=0.6, release_s=0.12),
    "electric piano": Timbre(2.2, 0.004, 1.2, 0.32, damping=0.9, release_s=0.10),
    "guitar": Timbre(1.1, 0.002, 0.5, 0.26, damping=0.9, release_s=0.06),
    "organ": Timbre(1.6, 0.015, 30.0, 0.20, odd=False),
    "pad": Timbre(1.4, 0.12, 30.0, 0.16, detune_cents=9.0, release_s=0.25),
    "strings": Timbre(1.1, 0.06, 30.0, 0.15, detune_cents=7.0, vibrato_cents=12.0, release_s=0.15),
    "synth lead": Timbre(1.0, 0.006, 2.5, 0.16, odd=True, vibrato_cents=6.0),
    "bell": Timbre(1.3, 0.002, 0.9, 0.22, damping=0.5, odd=True, release_s=0.4),
    "bass": Timbre(1.6, 0.004, 0.6, 0.55, damping=0.7),
    "synth bass": Timbre(1.1, 0.003, 0.35, 0.42, damping=0.6),
}


@lru_cache(maxsize=1024)
def tone(instrument: str, pitch: int, sample_rate: int) -> np.ndarray:
    """One long note of an instrument, (TONE_S * sample_rate,) float32, before its release."""
    timbre = TIMBRES[instrument]
    times = np.arange(round(TONE_S * sample_rate)) / sample_rate
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    depth = np.log(2) / 1200 * timbre.vibrato_cents / (2 * np.pi * 5.5)
    warp = times + depth * (1 - np.cos(2 * np.pi * 5.5 * times))  # integral of 1 + vibrato
    out = np.zeros_like(times)
    for cents in (0.0,) if not timbre.detune_cents else (-timbre.detune_cents / 2, timbre.detune_cents / 2):
        f0 = frequency * 2 ** (cents / 1200)
        for n in range(1, min(25, int(0.45 * sample_rate / f0)) + 1):
            if timbre.odd and n % 2 == 0:
                continue
            decay = np.exp(-times / timbre.decay_s * n**timbre.damping)
            out += n**-timbre.slope * decay * np.sin(2 * np.pi * n * f0 * warp)
    out *= 1 - np.exp(-times / (timbre.attack_s / 3))
    return (timbre.gain * out / np.abs(out).max()).astype(np.float32)


@lru_cache(maxsize=16)
def drum(name: str, sample_rate: int) -> np.ndarray:
    """One hit of a drum, (n,) float32."""
    rng = np.random.default_rng(list(name.encode()))
    times = np.arange(round({"crash": 1.2}.get(name, 0.35) * sample_rate)) / sample_rate
    noise = rng.standard_normal(len(times))
    bright = np.diff(noise, prepend=0.0)
    if name == "kick":
        phase = 2 * np.pi * (48 * times + 90 * 0.035 * (1 - np.exp(-times / 0.035)))
        hit = 0.9 * np.sin(phase) * np.exp(-times / 0.11) + 0.1 * bright * np.exp(-times / 0.004)
    elif name == "snare":
        hit = 0.35 * np.sin(2 * np.pi * 185 * times) * np.exp(-times / 0.06) + 0.2 * noise * np.exp(-times / 0.07)
    elif name == "hat":
        hit = 0.13 * bright * np.exp(-times / 0.025)
    else:
        hit = 0.10 * bright * np.exp(-times / 0.35)
    return hit.astype(np.float32)


def render(piece: Piece, sample_rate: int = 16_000) -> np.ndarray:
    """Play a piece.

    Args:
        piece: from `expotion_lite.band.compose`.
        sample_rate: in Hz.

    Returns:
        audio: (round(duration_s * sample_rate),) float32 within -1..1, over a noise floor of -60 dB.

    Example:
        >>> from expotion_lite.band import compose
        >>> render(compose(0, duration_s=2.0)).shape
        (32000,)
    """
    n = round(piece.duration_s * sample_rate)
    out = NOISE_FLOOR * np.random.default_rng(piece.seed).standard_normal(n).astype(np.float32)
    for note in piece.notes:
        if note.instrument in TIMBRES:
            sound = _shape(note, sample_rate)
        else:
            sound = drum(note.instrument, sample_rate)
        start = round(note.onset_s * sample_rate)
        skip = max(0, -start)
        length = min(len(sound), n - start)
        if length > skip:
            out[start + skip : start + length] += note.velocity**1.3 * sound[skip:length]
    return np.tanh(0.8 * out).astype(np.float32)


def _shape(note: Note, sample_rate: int) -> np.ndarray:
    """A note of the right length, with its release. Returns (n,) float32."""
    long = tone(note.instrument, note.pitch, sample_rate)
    release = round(TIMBRES[note.instrument].release_s * sample_rate)
    end = min(round(note.duration_s * sample_rate), len(long) - release)
    sound = long[: end + release].copy()
    sound[end:] *= np.linspace(1, 0, release, dtype=np.float32) ** 2
    return sound
