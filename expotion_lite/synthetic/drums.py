"""Synthesis of the drum kit: modes of a skin or of metal, and a band of noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .acoustics import NOTE_LEVEL, band_noise, loudness, read_only
from .instruments import look_up

TAKES = 5  # number of versions of each hit


@dataclass(frozen=True)
class Drum:
    """A drum or a cymbal.

    Attributes:
        length_s: length of a hit in seconds.
        modes: (frequency in Hz, amplitude, decay in seconds) of each mode.
        noise: lowest and highest frequency in Hz, amplitude, decay in seconds.
        sweep: the modes start at this multiple of their frequency.
        attack_s: rise time of the noise in seconds.
        bursts: times at which the noise starts, in seconds.
        gain: level in the mix.
        send: level in the reverberation.
    """

    length_s: float
    modes: tuple[tuple[float, float, float], ...] = ()
    noise: tuple[float, float, float, float] = (100.0, 7000.0, 0.0, 0.1)
    sweep: float = 1.0
    attack_s: float = 0.0005
    bursts: tuple[float, ...] = (0.0,)
    gain: float = 1.0
    send: float = 0.5


DRUMS: dict[str, Drum] = {
    "kick": Drum(
        length_s=0.45, modes=((50, 1.0, 0.11),), noise=(1200, 5000, 0.25, 0.004), sweep=3.2, gain=1.15, send=0.15
    ),
    "snare": Drum(
        length_s=0.5,
        modes=((185, 0.5, 0.07), (330, 0.35, 0.05)),
        noise=(900, 7000, 0.55, 0.075),
        sweep=1.2,
        gain=0.8,
        send=1.0,
    ),
    "hat": Drum(length_s=0.15, modes=((5230, 0.04, 0.02),), noise=(5000, 7900, 1.0, 0.022), gain=0.28),
    "open hat": Drum(
        length_s=1.1, modes=((4110, 0.03, 0.2), (5230, 0.04, 0.2)), noise=(4600, 7900, 1.0, 0.19), gain=0.36
    ),
    "ride": Drum(
        length_s=1.2,
        modes=((2870, 0.25, 0.35), (3920, 0.3, 0.4), (4710, 0.25, 0.3), (5830, 0.2, 0.25)),
        noise=(3000, 7800, 0.35, 0.25),
        gain=0.33,
    ),
    "crash": Drum(
        length_s=2.0, modes=((3170, 0.06, 0.4), (4390, 0.06, 0.5)), noise=(1800, 7800, 1.0, 0.5), gain=0.55, send=0.8
    ),
    "rim": Drum(
        length_s=0.12, modes=((1720, 1.0, 0.012), (520, 0.5, 0.015)), noise=(1500, 6500, 0.5, 0.004), gain=0.5, send=0.8
    ),
    "clap": Drum(length_s=0.35, noise=(900, 3200, 1.0, 0.05), bursts=(0.0, 0.011, 0.022), gain=0.65, send=1.0),
    "tom": Drum(
        length_s=0.5,
        modes=((112, 1.0, 0.14), (178, 0.3, 0.08)),
        noise=(400, 3000, 0.2, 0.01),
        sweep=1.5,
        gain=1.1,
        send=0.6,
    ),
    "shaker": Drum(length_s=0.14, noise=(4000, 7900, 1.0, 0.028), attack_s=0.008, gain=0.22),
    "brush": Drum(
        length_s=0.6, modes=((210, 0.08, 0.05),), noise=(1200, 6500, 1.0, 0.09), attack_s=0.005, gain=0.4, send=0.8
    ),
}


@lru_cache(maxsize=256)
def drum_hit(name: str, sample_rate: int, take: int = 0, hard: bool = True) -> np.ndarray:
    """Synthesise one hit of a drum; hits are kept in a cache.

    Args:
        name: a key of `DRUMS`.
        sample_rate: sample rate in Hz.
        take: version 0..`TAKES` - 1; versions differ slightly in tuning and decay.
        hard: hit hard; a soft hit is duller and equally loud.

    Returns:
        hit: (n,) float32, read-only.

    Raises:
        KeyError: the drum is unknown.
    """
    kind = look_up(name, DRUMS)
    rng = np.random.default_rng([*name.encode(), take])
    times = np.arange(round(kind.length_s * sample_rate)) / sample_rate
    tuning, damping = 1 + 0.012 * rng.standard_normal(), 1 + 0.08 * rng.standard_normal()
    hit = np.zeros_like(times)
    for hz, amplitude, decay_s in kind.modes:
        phase = 2 * np.pi * hz * tuning * (times + (kind.sweep - 1) * 0.02 * (1 - np.exp(-times / 0.02)))
        hit += amplitude * np.sin(phase) * np.exp(-times * damping / decay_s)
    low, high, amplitude, decay_s = kind.noise
    noise = band_noise(rng, len(times), sample_rate, low, high if hard else (low * high**2) ** (1 / 3))
    hit += (1.0 if hard else 0.6) * amplitude * noise * _noise_envelope(kind, times, decay_s / damping)
    hit *= np.minimum(1, (times[-1] - times) / 0.02)
    return read_only(hit * kind.gain * NOTE_LEVEL * 1.6 / loudness(hit, sample_rate).max())


def _noise_envelope(kind: Drum, times: np.ndarray, decay_s: float) -> np.ndarray:
    """Return the envelope of a drum's noise, (n,); every burst but the last fades within a few milliseconds."""
    envelope = np.zeros_like(times)
    for start in kind.bursts:
        since = np.maximum(times - start, 0)
        rise = np.where(times >= start, np.minimum(1, (since + times[1]) / kind.attack_s), 0)
        envelope += rise * np.exp(-since / (decay_s if start == kind.bursts[-1] else 0.004))
    return envelope
