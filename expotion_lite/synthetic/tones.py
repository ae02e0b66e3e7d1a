"""Synthesis of single notes of the pitched instruments: in tune, without aliasing, and fast.

There are three methods: `_struck` adds damped partials (strings, bars), `_held` adds harmonics under a moving low-pass
(bows, winds, synthesisers), `_fm` modulates the frequency (electric piano). Each note is synthesised once softly and
once hard, both equally loud, and kept in a cache; `mixing.py` blends the two by velocity.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, log, log2

import numpy as np

from .acoustics import HIGHEST, NOTE_LEVEL, band_noise, loudness, read_only
from .instruments import INSTRUMENTS, Instrument, frequency_of, look_up

TONE_S = 4.0  # longest tone that is synthesised; `mixing.py` prolongs held notes by repeating their end


@lru_cache(maxsize=2048)
def tone(name: str, pitch: int, sample_rate: int, hard: bool = True) -> np.ndarray:
    """Synthesise one long note of an instrument, without its release; notes are kept in a cache.

    Args:
        name: a key of `INSTRUMENTS`.
        pitch: MIDI pitch; outside the range of the instrument, its nearest octave inside is played.
        sample_rate: sample rate in Hz.
        hard: play hard (bright); a soft note is duller and equally loud.

    Returns:
        sound: (n,) float32, read-only, at most `TONE_S` seconds.

    Raises:
        KeyError: the instrument is unknown.
    """
    instrument = look_up(name, INSTRUMENTS)
    pitch = instrument.playable(pitch)
    rng = np.random.default_rng([*name.encode(), pitch])
    f0 = frequency_of(pitch)
    # Whole tenths of a second are fast to transform. After 6.9 time constants a tone has faded by 60 dB.
    length_s = min(TONE_S, np.ceil(10 * 6.9 * _decay_s(instrument, f0)) / 10)
    times = np.arange(round(length_s * sample_rate)) / sample_rate
    brightness = instrument.brightness[hard] * (f0 / 262) ** 0.4
    synthesise = {"struck": _struck, "held": _held, "fm": _fm}[instrument.method]
    sound = synthesise(instrument, f0, times, brightness, rng)
    sound = sound / np.sqrt((sound[: sample_rate // 2] ** 2).mean())
    noise = _noise(instrument, times, rng)
    sound[: len(noise)] += noise
    _shape(sound, instrument, times)
    sound *= instrument.gain * NOTE_LEVEL / loudness(sound, sample_rate).max()
    return read_only(sound)


def _decay_s(instrument: Instrument, f0: float) -> float:
    """Return the time constant of the fundamental in seconds; short strings and bars fade sooner."""
    return instrument.decay_s * (262 / f0) ** 0.45


def _spectrum(instrument: Instrument, hz: np.ndarray) -> np.ndarray:
    """Return the amplitudes of partials at frequencies (partials,), before the low-pass."""
    n = np.arange(1, len(hz) + 1)
    amplitudes = np.resize(instrument.partials, len(hz)) if instrument.partials else n**-instrument.slope
    if instrument.comb:
        amplitudes = amplitudes * np.abs(np.sin(np.pi * n * instrument.comb))
    body = 1 + sum(gain / (1 + ((hz - centre) / (width / 2)) ** 2) for centre, width, gain in instrument.formants)
    return amplitudes * body


def _struck(
    instrument: Instrument, f0: float, times: np.ndarray, brightness: float, rng: np.random.Generator
) -> np.ndarray:
    """Add damped partials n f0 sqrt(1 + B n^2) of a stiff string (Fletcher, 1964), or those in `ratios` of a bar.

    The strings of one note are detuned against each other, so that it decays fast at first and slowly afterwards
    (Weinreich, 1977). Returns (n,) float64.
    """
    stiffness = instrument.inharmonicity * 2 ** (log2(f0 / 262) * 1.2)
    n = np.arange(1, int(HIGHEST / times[1] / f0) + 1)
    ratios = np.array(instrument.ratios) if instrument.ratios else n * np.sqrt(1 + stiffness * n**2)
    hz = f0 * ratios[f0 * ratios < HIGHEST / times[1]]
    phases = np.exp(2j * np.pi * rng.random(len(hz)))
    amplitudes = _spectrum(instrument, hz) * np.exp(-hz / brightness) * phases
    decays = (np.arange(1, len(hz) + 1) ** instrument.damping) / _decay_s(instrument, f0)
    sound = np.zeros(len(times))
    for i, cents in enumerate(instrument.detune_cents):
        rates = 2j * np.pi * hz * 2 ** (cents / 1200) - decays / (1 + 1.5 * i)
        sound += _exponentials(amplitudes, rates, times)
    return sound


def _exponentials(amplitudes: np.ndarray, rates: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the real part of sum_k amplitudes[k] exp(rates[k] t) at times (n,), as a product of two small matrices."""
    width = 256
    coarse = np.exp(np.outer(times[::width], rates)) * amplitudes
    fine = np.exp(np.outer(rates, times[:width]))
    return (coarse.real @ fine.real - coarse.imag @ fine.imag).reshape(-1)[: len(times)]


def _held(
    instrument: Instrument, f0: float, times: np.ndarray, brightness: float, rng: np.random.Generator
) -> np.ndarray:
    """Add harmonics under a moving low-pass. Returns (n,) float64.

    The sum over a_n (r z)^n is computed with Horner's rule: z rotates at f0, r is the low-pass.
    """
    count = int(HIGHEST / times[1] / (f0 * 1.02))
    hz = f0 * np.arange(1, count + 1)
    amplitudes = _spectrum(instrument, hz)
    audible = amplitudes * np.exp(-hz / (brightness * max(1, instrument.bloom))) > 1e-4 * amplitudes[0]
    audible &= np.arange(count) < (len(instrument.partials) or count)
    amplitudes = (amplitudes * np.exp(2j * np.pi * rng.random(count)))[: np.flatnonzero(audible)[-1] + 1]
    cutoff = brightness * (1 + (instrument.bloom - 1) * np.exp(-times / instrument.bloom_s))
    low_pass = np.exp(-f0 / cutoff).astype(np.float32)
    sound = np.zeros(len(times))
    for cents in instrument.detune_cents:
        phase = _phase(instrument, f0 * 2 ** (cents / 1200), times, rng)
        sound += _polynomial(amplitudes, low_pass * (np.cos(phase) + np.complex64(1j) * np.sin(phase))).real
    return sound if instrument.decay_s == inf else sound * np.exp(-times / _decay_s(instrument, f0))


def _phase(instrument: Instrument, f0: float, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the phase of one copy in radians, (n,) float32, 0..2 pi; vibrato grows over the first 0.4 s."""
    depth, rate = instrument.vibrato
    turns = f0 * times + rng.random()
    if depth:
        rate *= 1 + 0.06 * (len(instrument.detune_cents) > 1) * rng.uniform(-1, 1)
        swing = np.sin((2 * np.pi * (rate * times + rng.random())).astype(np.float32)) * np.minimum(1, times / 0.4)
        turns += f0 * log(2) / 1200 * depth * times[1] * np.cumsum(swing)
    return (2 * np.pi * (turns - np.floor(turns))).astype(np.float32)


def _polynomial(coefficients: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return c_1 z + c_2 z^2 + ... for z (n,), in blocks that fit into the processor's cache."""
    out = np.empty_like(z)
    for start in range(0, len(z), 8192):
        block = z[start : start + 8192]
        total = np.full_like(block, coefficients[-1])
        for c in coefficients[-2::-1].astype(np.complex64):
            total *= block
            total += c
        out[start : start + 8192] = total * block
    return out


def _fm(
    instrument: Instrument, f0: float, times: np.ndarray, brightness: float, rng: np.random.Generator
) -> np.ndarray:
    """Modulate the frequency (Chowning, 1973): a reed with a falling index, and a tine up to 14 times as high.

    Returns (n,) float64.
    """
    highest = HIGHEST / times[1] / f0
    phase = 2 * np.pi * f0 * times
    index = min(brightness / 1000, (highest - 1) / 4.5) * np.exp(-times / 0.45)
    reed = np.sin(phase + index * np.sin(phase)) * np.exp(-times / _decay_s(instrument, f0))
    ratio = min(14, int(highest) - 3)
    tine = np.sin(ratio * phase + 0.3 * np.sin(phase)) * np.exp(-times / 0.11) if ratio > 2 else 0.0
    return reed + 0.12 * min(1.5, brightness / 1000) * tine


def _noise(instrument: Instrument, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the noise of breath, bow, hammer or pluck until it has faded, relative to a tone of root mean square 1."""
    steady, burst, low, high = instrument.noise
    if not steady and not burst:
        return np.zeros(0)
    if not steady:
        times = times[times < 0.3]
    envelope = steady + burst * np.exp(-times / (0.035 if instrument.method == "held" else 0.012))
    return envelope * band_noise(rng, len(times), 1 / times[1], low, high)


def _shape(sound: np.ndarray, instrument: Instrument, times: np.ndarray) -> None:
    """Apply attack and tremolo in place."""
    rising = times < instrument.attack_s
    sound[rising] *= np.sin(np.pi / 2 * (times[rising] + times[1]) / (instrument.attack_s + times[1])) ** 2
    depth, rate = instrument.tremolo
    if depth:
        sound *= 1 - depth / 2 * (1 - np.cos(2 * np.pi * rate * times))
