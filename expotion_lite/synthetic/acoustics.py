"""Loudness, bands of noise and a reverberant room: signal processing that tones, drums and the mix share."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

BLOCK_S = 0.4  # loudness is measured in blocks of this length, as in ITU-R BS.1770
NOTE_LEVEL = 0.05  # loudness of one note at velocity 1
HIGHEST = 0.45  # nothing is synthesised above this fraction of the sample rate, to avoid aliasing


def loudness(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Measure the loudness of a sound in blocks of `BLOCK_S`.

    The frequency weighting approximates that of ITU-R BS.1770 in closed form: +4 dB above 1.7 kHz, and a high-pass at
    38 Hz.

    Args:
        sound: (n,) samples; the last block is filled up with silence.
        sample_rate: sample rate in Hz.

    Returns:
        (blocks,) weighted root mean square.
    """
    block = round(BLOCK_S * sample_rate)
    padded = np.pad(sound, (0, -len(sound) % block)).reshape(-1, block)
    power = np.abs(np.fft.rfft(padded, axis=1)) ** 2
    return np.sqrt(2 * power @ _weighting(block, sample_rate)) / block


@lru_cache(maxsize=8)
def _weighting(block: int, sample_rate: int) -> np.ndarray:
    """Return the power gain at each frequency of a block, (block // 2 + 1,) float32."""
    f = np.fft.rfftfreq(block, 1 / sample_rate)
    shelf = (1682.0**4 + 10**0.4 * f**4) / (1682.0**4 + f**4)
    return (shelf * (f**2 / (f**2 + 38.0**2)) ** 2).astype(np.float32)


def band_noise(rng: np.random.Generator, n: int, sample_rate: float, low: float, high: float) -> np.ndarray:
    """Draw noise between two frequencies in Hz, with soft edges: (n,) of root mean square 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    f = np.fft.rfftfreq(n, 1 / sample_rate)
    spectrum *= (f / (f + 0.2 * low)) * np.exp(-np.maximum(0, low - f) / (0.15 * low))
    spectrum *= np.exp(-np.maximum(0, f - high) / (0.02 * sample_rate)) * (f < HIGHEST * sample_rate)
    noise = np.fft.irfft(spectrum, n)
    return noise / noise.std()


def reverberate(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the sound of a small hall that answers to `sound`, (n,), without the direct sound."""
    from scipy.signal import oaconvolve

    return oaconvolve(sound, _room_response(sample_rate))[: len(sound)]


@lru_cache(maxsize=4)
def _room_response(sample_rate: int) -> np.ndarray:
    """Return the impulse response of a small hall, (n,) float32.

    Early reflections are followed by noise whose high frequencies decay faster than its low ones.
    """
    rng = np.random.default_rng(1791)
    times = np.arange(round(0.8 * sample_rate)) / sample_rate
    response = np.zeros(len(times))
    for low, high, decay_s in ((150, 800, 0.17), (800, 2500, 0.13), (2500, 7000, 0.08)):
        response += band_noise(rng, len(times), sample_rate, low, high) * np.exp(-times / decay_s)
    response *= np.minimum(1, times / 0.03) * np.sqrt(1 / sample_rate)
    for delay_s, gain in ((0.007, 0.5), (0.011, -0.42), (0.017, 0.36), (0.023, 0.3), (0.031, -0.25), (0.043, 0.2)):
        response[round(delay_s * sample_rate)] += gain
    return (response / np.sqrt((response**2).sum())).astype(np.float32)


def read_only(sound: np.ndarray) -> np.ndarray:
    """Return the sound as float32 that cannot be written to, so that a cache can hand it out."""
    sound = sound.astype(np.float32)
    sound.flags.writeable = False
    return sound
