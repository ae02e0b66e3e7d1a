"""Eighteen instruments and a drum kit for the procedural band: in tune, and cheap enough for pieces by the thousand.

Three ways of making a tone, all band-limited: `_struck` adds damped partials (strings, bars), `_held` sums harmonics
whose brightness moves (bows, winds, synthesisers), `_fm` modulates frequency (electric piano). Each tone is made once,
soft and hard, levelled by ear's weighting and kept; `render` cross-fades the two by velocity and adds a small room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, log, log2

import numpy as np

from .pieces import Note

TONE_S = 4.0  # longest tone that is kept; held notes go on by repeating its end
BLOCK_S = 0.4  # loudness is measured in blocks as long as ITU-R BS.1770 has them
NOISE_FLOOR = 1e-3  # -60 dB: digital silence in the corpus makes codecs collapse
NOTE_LEVEL = 0.05  # loudness of one note at velocity 1
MIX_LEVEL = 0.115  # loudness of a loud passage
HIGHEST = 0.45  # partials above this fraction of the sample rate are left out
DRUM_TAKES = 5  # how many versions of a drum hit there are


@dataclass(frozen=True)
class Instrument:
    """A pitched instrument.

    Attributes:
        low, high: playable range, MIDI pitches; a note outside it is played in the nearest octave inside.
        method: "struck", "held" or "fm".
        attack_s: rise time; `release_s`: fade after the note's end.
        decay_s: time constant of the fundamental at middle C, partial n decays n ** `damping` times faster.
        partials: amplitudes of the partials; without them partial n has n ** -`slope`. `ratios`: their frequencies.
        comb: where the string is struck, or a pulse's width, as a fraction: partial n is scaled by |sin(pi n comb)|.
        brightness: a low-pass exp(-f / brightness), in Hz at middle C, for soft and for hard notes.
        bloom: the low-pass begins at `bloom` times its brightness and settles with time constant `bloom_s`.
        inharmonicity: B of a stiff string at middle C.
        voices: copies, detuned by so many cents (of a struck string the later ones ring longer).
        vibrato: depth in cents and rate in Hz; `tremolo`: depth 0..1 and rate in Hz.
        formants: resonances of body, tube or throat: centre and bandwidth in Hz, gain over what lies between.
        noise: breath or bow, burst of the attack (both relative to the tone), lowest and highest Hz.
        gain: trim in the mix; `send`: how much goes into the room.
    """

    low: int
    high: int
    method: str
    attack_s: float
    release_s: float
    decay_s: float = inf
    damping: float = 0.0
    slope: float = 1.0
    partials: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()
    comb: float = 0.0
    brightness: tuple[float, float] = (2000.0, 4000.0)
    bloom: float = 1.0
    bloom_s: float = 0.1
    inharmonicity: float = 0.0
    voices: tuple[float, ...] = (0.0,)
    vibrato: tuple[float, float] = (0.0, 5.5)
    tremolo: tuple[float, float] = (0.0, 5.0)
    formants: tuple[tuple[float, float, float], ...] = ()
    noise: tuple[float, float, float, float] = (0.0, 0.0, 200.0, 4000.0)
    gain: float = 1.0
    send: float = 1.0


INSTRUMENTS = {
    "piano": Instrument(
        28, 96, "struck", 0.002, 0.12, decay_s=0.8, damping=0.55, slope=0.75, comb=0.12, brightness=(500, 2200),
        inharmonicity=3.5e-4, voices=(-0.5, 0.6), noise=(0, 0.5, 100, 900),
    ),
    "electric piano": Instrument(
        33, 88, "fm", 0.003, 0.12, decay_s=1.1, brightness=(300, 1900), tremolo=(0.35, 5.2), noise=(0, 0.2, 800, 4000),
    ),
    "nylon guitar": Instrument(
        40, 84, "struck", 0.002, 0.09, decay_s=0.55, damping=0.75, slope=0.7, comb=0.22, brightness=(700, 3500),
        inharmonicity=5e-5, formants=((110, 60, 2.0), (205, 80, 1.5), (400, 150, 1)), noise=(0, 0.5, 150, 2500),
    ),
    "electric guitar": Instrument(
        40, 88, "struck", 0.003, 0.06, decay_s=2.5, damping=0.2, slope=0.4, comb=0.29, brightness=(1000, 4500),
        inharmonicity=4e-5, formants=((700, 500, 1.0), (2600, 1400, 4.0)), voices=(-2.5, 2.5),
        noise=(0, 0.4, 900, 5000), gain=0.95, send=0.7,
    ),
    "organ": Instrument(
        36, 96, "held", 0.006, 0.04, partials=(1.0, 0.85, 0.75, 0.6, 0.0, 0.45, 0.0, 0.5), brightness=(1500, 12000),
        vibrato=(7.0, 6.6), tremolo=(0.22, 6.6), noise=(0, 0.25, 1500, 6000), gain=0.85,
    ),
    "strings": Instrument(
        36, 91, "held", 0.13, 0.22, slope=0.75, brightness=(1100, 4500), bloom=0.4, bloom_s=0.12,
        voices=(-9, -4, 4, 9), vibrato=(14, 5.6), formants=((290, 120, 0.8), (500, 200, 0.7), (2500, 1500, 2.0)),
        noise=(0.05, 0.1, 2000, 7000), send=1.4,
    ),
    "brass": Instrument(
        34, 86, "held", 0.045, 0.08, slope=0.4, brightness=(450, 1700), bloom=0.25, bloom_s=0.07, voices=(-3, 3),
        vibrato=(7, 5.2), formants=((550, 350, 1.5), (1250, 600, 2.0)), noise=(0.01, 0.1, 300, 3000), gain=0.95,
    ),
    "flute": Instrument(
        60, 96, "held", 0.055, 0.09, partials=(1.0, 0.5, 0.2, 0.07, 0.03, 0.012), brightness=(700, 4000), bloom=0.5,
        bloom_s=0.05, vibrato=(10, 4.9), tremolo=(0.18, 4.9), noise=(0.12, 0.35, 1200, 7000), send=1.2,
    ),
    "clarinet": Instrument(
        50, 91, "held", 0.035, 0.06, slope=0.6, comb=0.49, brightness=(700, 2600), bloom=0.5, bloom_s=0.03,
        formants=((1500, 700, 1.0),), noise=(0.012, 0.08, 800, 5000),
    ),
    "synth pad": Instrument(
        36, 88, "held", 0.35, 0.45, slope=1.0, brightness=(350, 1200), bloom=0.35, bloom_s=1.0,
        voices=(-12, -5, 0, 5, 12), tremolo=(0.15, 0.6), gain=0.9, send=1.6,
    ),
    "synth lead": Instrument(
        40, 96, "held", 0.006, 0.06, slope=0.7, brightness=(1600, 6500), bloom=2.0, bloom_s=0.15, voices=(-8, 8),
        vibrato=(9, 5.9), send=0.8,
    ),
    "chip lead": Instrument(
        45, 96, "held", 0.002, 0.012, slope=1.0, comb=0.125, brightness=(5000, 30000), vibrato=(14, 7.2), gain=0.8,
        send=0.3,
    ),
    "vibraphone": Instrument(
        53, 89, "struck", 0.002, 0.35, decay_s=1.9, damping=1.2, partials=(1.0, 0.7, 0.3), ratios=(1.0, 3.9, 9.2),
        brightness=(1500, 5000), tremolo=(0.6, 5.6), noise=(0, 0.15, 400, 3000), send=1.3,
    ),
    "accordion": Instrument(
        48, 91, "held", 0.04, 0.05, slope=0.3, comb=0.38, brightness=(1800, 5000), voices=(-9, 0, 9),
        formants=((900, 500, 0.8), (3000, 1500, 1.5)), noise=(0.015, 0.1, 500, 4000), gain=0.9,
    ),
    "choir": Instrument(
        40, 84, "held", 0.15, 0.25, slope=1.1, brightness=(1300, 5000), voices=(-9, -4, 4, 9), vibrato=(18, 5.3),
        formants=((730, 110, 14.0), (1090, 130, 12.0), (2440, 220, 9.0)), noise=(0.03, 0.03, 400, 5000), send=1.8,
    ),
    "upright bass": Instrument(
        28, 60, "struck", 0.006, 0.08, decay_s=0.45, damping=0.8, slope=0.6, comb=0.3, brightness=(300, 1000),
        inharmonicity=8e-5, formants=((98, 50, 1.0), (190, 80, 0.8)), noise=(0, 0.6, 80, 900), gain=1.1, send=0.6,
    ),
    "electric bass": Instrument(
        28, 60, "struck", 0.003, 0.06, decay_s=0.9, damping=0.45, slope=0.6, comb=0.17, brightness=(450, 2000),
        inharmonicity=6e-5, noise=(0, 0.3, 600, 3000), gain=1.1, send=0.3,
    ),
    "synth bass": Instrument(
        28, 60, "held", 0.003, 0.03, decay_s=2.5, slope=0.9, brightness=(250, 700), bloom=6.0, bloom_s=0.09,
        voices=(-4, 4), gain=1.1, send=0.2,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Drum:
    """A drum: modes of its skin or metal, and a band of noise.

    Attributes:
        length_s: length of a hit.
        modes: frequency in Hz, amplitude and decay in seconds of each; they start `sweep` times higher.
        noise: lowest and highest Hz, amplitude and decay in seconds.
        attack_s: rise time of the noise; `bursts`: when it starts, in seconds.
        gain: trim in the mix; `send`: how much goes into the room.
    """

    length_s: float
    modes: tuple[tuple[float, float, float], ...] = ()
    noise: tuple[float, float, float, float] = (100.0, 7000.0, 0.0, 0.1)
    sweep: float = 1.0
    attack_s: float = 0.0005
    bursts: tuple[float, ...] = (0.0,)
    gain: float = 1.0
    send: float = 0.5


_KIT = {
    "kick": Drum(0.45, ((50, 1.0, 0.11),), (1200, 5000, 0.25, 0.004), sweep=3.2, gain=1.15, send=0.15),
    "snare": Drum(0.5, ((185, 0.5, 0.07), (330, 0.35, 0.05)), (900, 7000, 0.55, 0.075), sweep=1.2, gain=0.8, send=1.0),
    "hat": Drum(0.15, ((5230, 0.04, 0.02),), (5000, 7900, 1.0, 0.022), gain=0.28),
    "open hat": Drum(1.1, ((4110, 0.03, 0.2), (5230, 0.04, 0.2)), (4600, 7900, 1.0, 0.19), gain=0.36),
    "ride": Drum(
        1.2, ((2870, 0.25, 0.35), (3920, 0.3, 0.4), (4710, 0.25, 0.3), (5830, 0.2, 0.25)), (3000, 7800, 0.35, 0.25),
        gain=0.33,
    ),
    "crash": Drum(2.0, ((3170, 0.06, 0.4), (4390, 0.06, 0.5)), (1800, 7800, 1.0, 0.5), gain=0.55, send=0.8),
    "rim": Drum(0.12, ((1720, 1.0, 0.012), (520, 0.5, 0.015)), (1500, 6500, 0.5, 0.004), gain=0.5, send=0.8),
    "clap": Drum(0.35, (), (900, 3200, 1.0, 0.05), bursts=(0.0, 0.011, 0.022), gain=0.65, send=1.0),
    "tom": Drum(0.5, ((112, 1.0, 0.14), (178, 0.3, 0.08)), (400, 3000, 0.2, 0.01), sweep=1.5, gain=1.1, send=0.6),
    "shaker": Drum(0.14, (), (4000, 7900, 1.0, 0.028), attack_s=0.008, gain=0.22),
    "brush": Drum(0.6, ((210, 0.08, 0.05),), (1200, 6500, 1.0, 0.09), attack_s=0.005, gain=0.4, send=0.8),
}  # fmt: skip
DRUMS: tuple[str, ...] = tuple(_KIT)


@lru_cache(maxsize=2048)
def tone(instrument: str, pitch: int, sample_rate: int, hard: bool = True) -> np.ndarray:
    """One long note of an instrument, before its release.

    Args:
        instrument: one of `INSTRUMENTS`.
        pitch: MIDI pitch.
        sample_rate: in Hz.
        hard: played hard (bright) or softly (dull); both are equally loud.

    Returns:
        sound: (n,) float32, read-only, at most `TONE_S` seconds.

    Raises:
        KeyError: an unknown instrument.
    """
    how = _known(instrument, INSTRUMENTS)
    pitch = _in_range(pitch, how.low, how.high)
    rng = np.random.default_rng([*instrument.encode(), pitch])
    f0 = 440.0 * 2 ** ((pitch - 69) / 12)
    length_s = min(TONE_S, np.ceil(10 * 6.9 * _decay_s(how, f0)) / 10)  # whole tenths: quick to transform
    times = np.arange(round(length_s * sample_rate)) / sample_rate
    brightness = how.brightness[hard] * (f0 / 262) ** 0.4
    sound = {"struck": _struck, "held": _held, "fm": _fm}[how.method](how, f0, times, brightness, rng)
    sound = sound / np.sqrt((sound[: sample_rate // 2] ** 2).mean())
    noise = _noise(how, times, rng)
    sound[: len(noise)] += noise
    _shape(sound, how, times)
    sound *= how.gain * NOTE_LEVEL / loudness(sound, sample_rate).max()
    return _frozen(sound)


@lru_cache(maxsize=256)
def drum(name: str, sample_rate: int, take: int = 0, hard: bool = True) -> np.ndarray:
    """One hit of a drum, (n,) float32, read-only; `take` 0 to `DRUM_TAKES` - 1 differ slightly, a soft hit is duller.

    Raises:
        KeyError: an unknown drum.
    """
    how = _known(name, _KIT)
    rng = np.random.default_rng([*name.encode(), take])
    times = np.arange(round(how.length_s * sample_rate)) / sample_rate
    tuning, damping = 1 + 0.012 * rng.standard_normal(), 1 + 0.08 * rng.standard_normal()
    hit = np.zeros_like(times)
    for hz, amplitude, decay_s in how.modes:
        phase = 2 * np.pi * hz * tuning * (times + (how.sweep - 1) * 0.02 * (1 - np.exp(-times / 0.02)))
        hit += amplitude * np.sin(phase) * np.exp(-times * damping / decay_s)
    low, high, amplitude, decay_s = how.noise
    hiss = _band_noise(rng, len(times), sample_rate, low, high if hard else (low * high**2) ** (1 / 3))
    hit += (1.0 if hard else 0.6) * amplitude * hiss * _bursts(how, times, decay_s / damping)
    hit *= np.minimum(1, (times[-1] - times) / 0.02)
    return _frozen(hit * how.gain * NOTE_LEVEL * 1.6 / loudness(hit, sample_rate).max())


def render(
    notes: Sequence[Note],
    duration_s: float,
    sample_rate: int = 16_000,
    *,
    room: float = 0.2,
    seed: int = 0,
    instruments_gain: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Play notes.

    Loud passages of different pieces come out about equally loud, if their notes are equally hard; what is soft in a
    piece stays soft.

    Args:
        notes: of `INSTRUMENTS` and `DRUMS`; they may start before 0 and last beyond the end.
        duration_s: how much to play, in seconds.
        sample_rate: in Hz.
        room: how much of the room is heard; 0 is dry.
        seed: of the noise floor and of how the drum hits vary.
        instruments_gain: factors by instrument, 1 where there is none.

    Returns:
        audio: (round(duration_s * sample_rate),) float32 within -1..1, over a noise floor of -60 dB.

    Raises:
        KeyError: an unknown instrument.

    Example:
        >>> render([Note("flute", 0.0, 0.5, 72, 0.8), Note("kick", 0.5, 0.1, 0, 1.0)], 1.0).shape
        (16000,)
    """
    n = round(duration_s * sample_rate)
    dry, wet = np.zeros((2, n), dtype=np.float32)
    for name in dict.fromkeys(note.instrument for note in notes):
        send = _known(name, INSTRUMENTS | _KIT).send
        part = _part([note for note in notes if note.instrument == name], n, sample_rate, seed)
        part *= (instruments_gain or {}).get(name, 1.0)
        dry += part
        wet += send * part
    mix = dry + room * _reverberated(wet, sample_rate) if room else dry
    mix *= _mix_gain(mix, notes, sample_rate)
    mix += NOISE_FLOOR * np.random.default_rng(seed).standard_normal(n, dtype=np.float32)
    return _limited(mix)


def loudness(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """How loud a sound is, block by block of `BLOCK_S`.

    The weighting is that of ITU-R BS.1770 in closed form: 4 dB more above 1.7 kHz, less and less below 38 Hz.

    Args:
        sound: (n,); a last block that is not full is filled up with silence.
        sample_rate: in Hz.

    Returns:
        (blocks,) weighted root mean square.
    """
    block = round(BLOCK_S * sample_rate)
    padded = np.pad(sound, (0, -len(sound) % block)).reshape(-1, block)
    power = np.abs(np.fft.rfft(padded, axis=1)) ** 2
    return np.sqrt(2 * power @ _weighting(block, sample_rate)) / block


@lru_cache(maxsize=8)
def _weighting(block: int, sample_rate: int) -> np.ndarray:
    """Gain in power of each frequency of a block, (block // 2 + 1,) float32."""
    f = np.fft.rfftfreq(block, 1 / sample_rate)
    shelf = (1682.0**4 + 10**0.4 * f**4) / (1682.0**4 + f**4)
    return (shelf * (f**2 / (f**2 + 38.0**2)) ** 2).astype(np.float32)


def _known(name: str, among: Mapping[str, Instrument | Drum]) -> Instrument | Drum:
    if name not in among:
        raise KeyError(f"unknown instrument {name!r}; there are {', '.join(among)}")
    return among[name]


def _in_range(pitch: int, low: int, high: int) -> int:
    """The pitch, moved by octaves into a range (of an octave or more)."""
    if pitch < low:
        return pitch + 12 * -((pitch - low) // 12)
    return pitch - 12 * -((high - pitch) // 12) if pitch > high else pitch


def _frozen(sound: np.ndarray) -> np.ndarray:
    """What a cache hands out must not be changed. Returns (n,) float32."""
    sound = sound.astype(np.float32)
    sound.flags.writeable = False
    return sound


# --- tones: (n,) float64 ---


def _decay_s(how: Instrument, f0: float) -> float:
    """Time constant of the fundamental: short strings and bars ring shorter."""
    return how.decay_s * (262 / f0) ** 0.45


def _spectrum(how: Instrument, hz: np.ndarray) -> np.ndarray:
    """Amplitudes of partials at (partials,) `hz`, before the low-pass."""
    n = np.arange(1, len(hz) + 1)
    amplitudes = np.resize(how.partials, len(hz)) if how.partials else n**-how.slope
    if how.comb:
        amplitudes = amplitudes * np.abs(np.sin(np.pi * n * how.comb))
    body = 1 + sum(g / (1 + ((hz - centre) / (width / 2)) ** 2) for centre, width, g in how.formants)
    return amplitudes * body


def _struck(how: Instrument, f0: float, times: np.ndarray, brightness: float, rng: np.random.Generator) -> np.ndarray:
    """Damped partials n f0 sqrt(1 + B n^2) of a stiff string (Fletcher, 1964), or of a bar with `ratios`.

    Strings of one note that are tuned apart make it decay fast at first and slowly then (Weinreich, 1977).
    """
    stiffness = how.inharmonicity * 2 ** (log2(f0 / 262) * 1.2)
    n = np.arange(1, int(HIGHEST / times[1] / f0) + 1)
    ratios = np.array(how.ratios) if how.ratios else n * np.sqrt(1 + stiffness * n**2)
    hz = f0 * ratios[f0 * ratios < HIGHEST / times[1]]
    phases = np.exp(2j * np.pi * rng.random(len(hz)))
    amplitudes = _spectrum(how, hz) * np.exp(-hz / brightness) * phases
    rates = (np.arange(1, len(hz) + 1) ** how.damping) / _decay_s(how, f0)
    sound = 0.0
    for i, cents in enumerate(how.voices):
        sound = sound + _exponentials(amplitudes, 2j * np.pi * hz * 2 ** (cents / 1200) - rates / (1 + 1.5 * i), times)
    return sound


def _exponentials(amplitudes: np.ndarray, rates: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The real part of sum amplitudes * exp(rates * times) over (partials,), as one product of two small matrices."""
    width = 256
    coarse = np.exp(np.outer(times[::width], rates)) * amplitudes
    fine = np.exp(np.outer(rates, times[:width]))
    return (coarse.real @ fine.real - coarse.imag @ fine.imag).reshape(-1)[: len(times)]


def _held(how: Instrument, f0: float, times: np.ndarray, brightness: float, rng: np.random.Generator) -> np.ndarray:
    """Harmonics under a moving low-pass: the sum of a_n (r z)^n by Horner's rule; z turns at f0, r is the low-pass."""
    count = int(HIGHEST / times[1] / (f0 * 1.02))
    hz = f0 * np.arange(1, count + 1)
    amplitudes = _spectrum(how, hz)
    audible = amplitudes * np.exp(-hz / (brightness * max(1, how.bloom))) > 1e-4 * amplitudes[0]
    audible &= np.arange(count) < (len(how.partials) or count)
    amplitudes = (amplitudes * np.exp(2j * np.pi * rng.random(count)))[: np.flatnonzero(audible)[-1] + 1]
    low_pass = np.exp(-f0 / (brightness * (1 + (how.bloom - 1) * np.exp(-times / how.bloom_s)))).astype(np.float32)
    sound = np.zeros(len(times))
    for cents in how.voices:
        phase = _turning(how, f0 * 2 ** (cents / 1200), times, rng)
        sound += _polynomial(amplitudes, low_pass * (np.cos(phase) + np.complex64(1j) * np.sin(phase))).real
    return sound if how.decay_s == inf else sound * np.exp(-times / _decay_s(how, f0))


def _turning(how: Instrument, f0: float, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The phase of a voice whose vibrato sets in after its attack, (n,) float32, radians of one turn."""
    depth, rate = how.vibrato
    turns = f0 * times + rng.random()
    if depth:
        rate *= 1 + 0.06 * (len(how.voices) > 1) * rng.uniform(-1, 1)
        swing = np.sin((2 * np.pi * (rate * times + rng.random())).astype(np.float32)) * np.minimum(1, times / 0.4)
        turns += f0 * log(2) / 1200 * depth * times[1] * np.cumsum(swing)
    return (2 * np.pi * (turns - np.floor(turns))).astype(np.float32)


def _polynomial(coefficients: np.ndarray, z: np.ndarray) -> np.ndarray:
    """c_1 z + c_2 z^2 + ... of (n,) z, block by block to stay in the cache."""
    out = np.empty_like(z)
    for start in range(0, len(z), 8192):
        block = z[start : start + 8192]
        total = np.full_like(block, coefficients[-1])
        for c in coefficients[-2::-1].astype(np.complex64):
            total *= block
            total += c
        out[start : start + 8192] = total * block
    return out


def _fm(how: Instrument, f0: float, times: np.ndarray, brightness: float, rng: np.random.Generator) -> np.ndarray:
    """Frequency modulation (Chowning, 1973): a reed whose index falls, and a tine at about fourteen times its pitch."""
    highest = HIGHEST / times[1] / f0
    phase = 2 * np.pi * f0 * times
    index = min(brightness / 1000, (highest - 1) / 4.5) * np.exp(-times / 0.45)
    reed = np.sin(phase + index * np.sin(phase)) * np.exp(-times / _decay_s(how, f0))
    ratio = min(14, int(highest) - 3)
    tine = np.sin(ratio * phase + 0.3 * np.sin(phase)) * np.exp(-times / 0.11) if ratio > 2 else 0.0
    return reed + 0.12 * min(1.5, brightness / 1000) * tine


def _noise(how: Instrument, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Breath, bow, hammer or pluck, relative to a tone of root mean square 1; as long as it is heard."""
    steady, burst, low, high = how.noise
    if not steady:
        times = times[times < 0.3]
    shape = steady + burst * np.exp(-times / (0.035 if how.method == "held" else 0.012))
    return shape * _band_noise(rng, len(times), 1 / times[1], low, high) if steady or burst else np.zeros(0)


def _shape(sound: np.ndarray, how: Instrument, times: np.ndarray) -> None:
    """Attack and tremolo, in place."""
    rising = times < how.attack_s
    sound[rising] *= np.sin(np.pi / 2 * (times[rising] + times[1]) / (how.attack_s + times[1])) ** 2
    depth, rate = how.tremolo
    if depth:
        sound *= 1 - depth / 2 * (1 - np.cos(2 * np.pi * rate * times))


def _band_noise(rng: np.random.Generator, n: int, sample_rate: float, low: float, high: float) -> np.ndarray:
    """Noise between two frequencies in Hz, with soft edges, (n,) of root mean square 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    f = np.fft.rfftfreq(n, 1 / sample_rate)
    spectrum *= (f / (f + 0.2 * low)) * np.exp(-np.maximum(0, low - f) / (0.15 * low))
    spectrum *= np.exp(-np.maximum(0, f - high) / (0.02 * sample_rate)) * (f < HIGHEST * sample_rate)
    noise = np.fft.irfft(spectrum, n)
    return noise / noise.std()


def _bursts(how: Drum, times: np.ndarray, decay_s: float) -> np.ndarray:
    """The envelope of a drum's noise: all bursts but the last are cut short."""
    shape = np.zeros_like(times)
    for start in how.bursts:
        since = np.maximum(times - start, 0)
        rise = np.where(times >= start, np.minimum(1, (since + times[1]) / how.attack_s), 0)
        shape += rise * np.exp(-since / (decay_s if start == how.bursts[-1] else 0.004))
    return shape


# --- playing ---


def _part(notes: list[Note], n: int, sample_rate: int, seed: int) -> np.ndarray:
    """The notes of one instrument or drum, (n,) float32."""
    out = np.zeros(n, dtype=np.float32)
    rng = np.random.default_rng([seed, *notes[0].instrument.encode()])
    for note in notes:
        start = round(note.onset_s * sample_rate)
        if start >= n:
            continue
        sound = _hit(note, sample_rate, rng) if note.instrument in _KIT else _played(note, sample_rate)
        skip, end = max(0, -start), min(len(sound), n - start)
        if end > skip:
            out[start + skip : start + end] += sound[skip:end]
    return out


def _hit(note: Note, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A drum hit, never quite the last one again, (n,) float32."""
    take, strength = (
        int(rng.integers(DRUM_TAKES)),
        float(np.clip(note.velocity + 0.05 * rng.standard_normal(), 0.02, 1)),
    )
    hardness, gain = strength, strength**1.3
    sound = drum(note.instrument, sample_rate, take, True) * np.float32(gain * hardness)
    sound += drum(note.instrument, sample_rate, take, False) * np.float32(gain * (1 - hardness))
    return sound


def _played(note: Note, sample_rate: int) -> np.ndarray:
    """A note with its release, louder and brighter the harder it is played, (n,) float32."""
    how = INSTRUMENTS[note.instrument]
    fade = _fade(round(how.release_s * sample_rate))
    length = max(1, round(note.duration_s * sample_rate)) + len(fade)
    hardness, gain = min(1.0, max(0.0, note.velocity)), max(0.0, note.velocity) ** 1.3
    sound = tone(note.instrument, note.pitch, sample_rate, True)[:length] * np.float32(gain * hardness)
    sound += tone(note.instrument, note.pitch, sample_rate, False)[:length] * np.float32(gain * (1 - hardness))
    if len(sound) < length and how.decay_s == inf:
        f0 = 440.0 * 2 ** ((_in_range(note.pitch, how.low, how.high) - 69) / 12)
        sound = _prolonged(sound, length, sample_rate, sample_rate / f0)
    sound[-len(fade) :] *= fade
    return sound


@lru_cache(maxsize=64)
def _fade(n: int) -> np.ndarray:
    return np.linspace(1, 0, n, dtype=np.float32) ** 2


def _prolonged(sound: np.ndarray, n: int, sample_rate: int, period: float) -> np.ndarray:
    """Repeat the end of a held tone, joined in phase, until it has n samples. `period` is in samples."""
    fade = sample_rate // 4
    rise = np.linspace(0, 1, fade, dtype=np.float32)
    join = len(sound) - fade
    start = join - round(period * round((join - sample_rate) / period))
    again = sound[start:].copy()
    pieces = [sound[:join]]
    again[:fade] = again[:fade] * rise + sound[join:] * (1 - rise)
    pieces += [again[:-fade]] * int(np.ceil((n - join) / (len(again) - fade)))
    return np.concatenate(pieces)[:n]


def _reverberated(wet: np.ndarray, sample_rate: int) -> np.ndarray:
    from scipy.signal import oaconvolve

    return oaconvolve(wet, _room(sample_rate))[: len(wet)]


@lru_cache(maxsize=4)
def _room(sample_rate: int) -> np.ndarray:
    """How a small hall answers a click: early reflections, then noise that decays, the highs first; (n,) float32."""
    rng = np.random.default_rng(1791)
    times = np.arange(round(0.8 * sample_rate)) / sample_rate
    response = np.zeros(len(times))
    for low, high, decay_s in ((150, 800, 0.17), (800, 2500, 0.13), (2500, 7000, 0.08)):
        response += _band_noise(rng, len(times), sample_rate, low, high) * np.exp(-times / decay_s)
    response *= np.minimum(1, times / 0.03) * np.sqrt(1 / sample_rate)
    for delay_s, gain in ((0.007, 0.5), (0.011, -0.42), (0.017, 0.36), (0.023, 0.3), (0.031, -0.25), (0.043, 0.2)):
        response[round(delay_s * sample_rate)] += gain
    return (response / np.sqrt((response**2).sum())).astype(np.float32)


def _mix_gain(mix: np.ndarray, notes: Sequence[Note], sample_rate: int) -> float:
    """Brings a piece's loud passages to `MIX_LEVEL` if its notes are played hard, within 10 dB either way."""
    if not notes or not len(mix):
        return 1.0
    played = float(np.quantile([note.velocity for note in notes], 0.9))
    level = float(np.quantile(loudness(mix, sample_rate), 0.8))
    return float(np.clip(MIX_LEVEL * played**1.3 / max(level, 1e-6), 0.3, 3.0))


def _limited(mix: np.ndarray) -> np.ndarray:
    """Leave what is below 0.6 as it is, bend what is above towards 0.98. Returns (n,) float32."""
    loud = np.abs(mix) > 0.6
    over = np.abs(mix[loud]) - 0.6
    mix[loud] = np.sign(mix[loud]) * (0.6 + 0.38 * np.tanh(over / 0.38))
    return mix.astype(np.float32)
