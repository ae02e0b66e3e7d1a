"""Mixing of notes into audio: sums all instruments, adds a small room, sets the level and limits the peaks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import inf

import numpy as np

from .acoustics import loudness, reverberate
from .drums import DRUMS, TAKES, Drum, drum_hit
from .instruments import INSTRUMENTS, Instrument, frequency_of, look_up
from .pieces import Note
from .tones import tone

NOISE_FLOOR = 1e-3  # -60 dB; with digital silence in the training data, codecs collapse
MIX_LEVEL = 0.115  # loudness of a loud passage
PLAYERS: dict[str, Instrument | Drum] = {**INSTRUMENTS, **DRUMS}


def render(
    notes: Sequence[Note], duration_s: float, sample_rate: int = 16_000, *, room: float = 0.2, seed: int = 0
) -> np.ndarray:
    """Play notes.

    Loud passages of different pieces are about equally loud if their notes have the same velocity. Soft passages of a
    piece stay softer than its loud ones.

    Args:
        notes: notes of `INSTRUMENTS` and `DRUMS`; they may start before 0 and end after `duration_s`.
        duration_s: length of the audio in seconds.
        sample_rate: sample rate in Hz.
        room: level of the reverberation; 0 is dry.
        seed: seed of the noise floor and of the variation between drum hits.

    Returns:
        audio: (round(duration_s * sample_rate),) float32 within -1..1, over a noise floor of -60 dB.

    Raises:
        KeyError: an instrument is unknown.

    Example:
        >>> render([Note("flute", 0.0, 0.5, 72, 0.8), Note("kick", 0.5, 0.1, 0, 1.0)], 1.0).shape
        (16000,)
    """
    n = round(duration_s * sample_rate)
    dry, wet = np.zeros((2, n), dtype=np.float32)
    for name in dict.fromkeys(note.instrument for note in notes):
        send = look_up(name, PLAYERS).send
        part = _part([note for note in notes if note.instrument == name], n, sample_rate, seed)
        dry += part
        wet += send * part
    mix = dry + room * reverberate(wet, sample_rate) if room else dry
    mix *= _mix_gain(mix, notes, sample_rate)
    mix += NOISE_FLOOR * np.random.default_rng(seed).standard_normal(n, dtype=np.float32)
    return _limit(mix)


def _part(notes: Sequence[Note], n: int, sample_rate: int, seed: int) -> np.ndarray:
    """Play the notes of one instrument or drum, (n,) float32."""
    out = np.zeros(n, dtype=np.float32)
    rng = np.random.default_rng([seed, *notes[0].instrument.encode()])
    for note in notes:
        start = round(note.onset_s * sample_rate)
        if start >= n:
            continue
        sound = _hit(note, sample_rate, rng) if note.instrument in DRUMS else _pitched(note, sample_rate)
        skip, end = max(0, -start), min(len(sound), n - start)
        if end > skip:
            out[start + skip : start + end] += sound[skip:end]
    return out


def _hit(note: Note, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Play a drum with a random take and a slightly varied velocity, (n,) float32."""
    take = int(rng.integers(TAKES))
    velocity = float(np.clip(note.velocity + 0.05 * rng.standard_normal(), 0.02, 1))
    hardness, gain = velocity, velocity**1.3
    sound = drum_hit(note.instrument, sample_rate, take, True) * np.float32(gain * hardness)
    sound += drum_hit(note.instrument, sample_rate, take, False) * np.float32(gain * (1 - hardness))
    return sound


def _pitched(note: Note, sample_rate: int) -> np.ndarray:
    """Play a pitched note with its release, (n,) float32; a higher velocity is louder and brighter."""
    instrument = INSTRUMENTS[note.instrument]
    fade = _fade_out(round(instrument.release_s * sample_rate))
    length = max(1, round(note.duration_s * sample_rate)) + len(fade)
    hardness, gain = min(1.0, max(0.0, note.velocity)), max(0.0, note.velocity) ** 1.3
    sound = tone(note.instrument, note.pitch, sample_rate, True)[:length] * np.float32(gain * hardness)
    sound += tone(note.instrument, note.pitch, sample_rate, False)[:length] * np.float32(gain * (1 - hardness))
    if len(sound) < length and instrument.decay_s == inf:
        period = sample_rate / frequency_of(instrument.playable(note.pitch))
        sound = _prolong(sound, length, sample_rate, period)
    sound[-len(fade) :] *= fade
    return sound


@lru_cache(maxsize=64)
def _fade_out(n: int) -> np.ndarray:
    return np.linspace(1, 0, n, dtype=np.float32) ** 2


def _prolong(sound: np.ndarray, n: int, sample_rate: int, period: float) -> np.ndarray:
    """Repeat the end of a held tone, joined in phase, until it has n samples; `period` is in samples."""
    fade = sample_rate // 4
    rise = np.linspace(0, 1, fade, dtype=np.float32)
    join = len(sound) - fade
    start = join - round(period * round((join - sample_rate) / period))
    loop = sound[start:].copy()
    loop[:fade] = loop[:fade] * rise + sound[join:] * (1 - rise)
    repeats = int(np.ceil((n - join) / (len(loop) - fade)))
    return np.concatenate([sound[:join], *[loop[:-fade]] * repeats])[:n]


def _mix_gain(mix: np.ndarray, notes: Sequence[Note], sample_rate: int) -> float:
    """Return the gain, within 10 dB either way, that brings loud passages of hard notes to `MIX_LEVEL`."""
    if not notes or not len(mix):
        return 1.0
    velocity = float(np.quantile([note.velocity for note in notes], 0.9))
    level = float(np.quantile(loudness(mix, sample_rate), 0.8))
    return float(np.clip(MIX_LEVEL * velocity**1.3 / max(level, 1e-6), 0.3, 3.0))


def _limit(mix: np.ndarray) -> np.ndarray:
    """Keep samples below 0.6 and compress those above towards 0.98. Changes `mix` in place, returns float32."""
    loud = np.abs(mix) > 0.6
    over = np.abs(mix[loud]) - 0.6
    mix[loud] = np.sign(mix[loud]) * (0.6 + 0.38 * np.tanh(over / 0.38))
    return mix.astype(np.float32)
