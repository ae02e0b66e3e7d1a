"""The eighteen pitched instruments of the band, as parameters of their synthesis in `tones.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """A pitched instrument.

    Attributes:
        low: lowest MIDI pitch.
        high: highest MIDI pitch.
        method: synthesis: "struck" (damped partials), "held" (harmonics under a moving low-pass) or "fm" (frequency
            modulation).
        attack_s: rise time in seconds.
        release_s: fade after the end of a note, in seconds.
        decay_s: time constant of the fundamental at middle C, in seconds.
        damping: partial n decays n ** damping times as fast as the fundamental.
        slope: partial n has amplitude n ** -slope, unless `partials` are given.
        partials: amplitudes of the partials.
        ratios: frequencies of the partials relative to the fundamental, unless they are harmonic.
        comb: place where the string is struck, or width of a pulse wave, as a fraction: partial n is scaled by
            |sin(pi n comb)|.
        brightness: B of a low-pass exp(-f / B), in Hz at middle C, for soft and for hard notes.
        bloom: factor on the brightness at the onset of a note.
        bloom_s: time constant in seconds with which that factor approaches 1.
        inharmonicity: B of a stiff string at middle C.
        detune_cents: detuning of each of several copies (of the strings of one note, the later ones ring longer).
        vibrato: depth in cents, rate in Hz.
        tremolo: depth 0..1, rate in Hz.
        formants: resonances of body, tube or vocal tract: (centre in Hz, bandwidth in Hz, gain).
        noise: level of breath or bow noise, level of the burst in the attack (both relative to the tone), lowest and
            highest frequency in Hz.
        gain: level in the mix.
        send: level in the reverberation.
    """

    low: int
    high: int
    method: Literal["struck", "held", "fm"]
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
    detune_cents: tuple[float, ...] = (0.0,)
    vibrato: tuple[float, float] = (0.0, 5.5)
    tremolo: tuple[float, float] = (0.0, 5.0)
    formants: tuple[tuple[float, float, float], ...] = ()
    noise: tuple[float, float, float, float] = (0.0, 0.0, 200.0, 4000.0)
    gain: float = 1.0
    send: float = 1.0

    def playable(self, pitch: int) -> int:
        """Return the MIDI pitch, moved by octaves into the range of the instrument.

        Example:
            >>> INSTRUMENTS["flute"].playable(48), INSTRUMENTS["flute"].playable(72)
            (60, 72)
        """
        if pitch < self.low:
            return pitch + 12 * -((pitch - self.low) // 12)
        return pitch - 12 * -((self.high - pitch) // 12) if pitch > self.high else pitch


INSTRUMENTS: dict[str, Instrument] = {
    "piano": Instrument(
        low=28,
        high=96,
        method="struck",
        attack_s=0.002,
        release_s=0.12,
        decay_s=0.8,
        damping=0.55,
        slope=0.75,
        comb=0.12,
        brightness=(500, 2200),
        inharmonicity=3.5e-4,
        detune_cents=(-0.5, 0.6),
        noise=(0, 0.5, 100, 900),
    ),
    "electric piano": Instrument(
        low=33,
        high=88,
        method="fm",
        attack_s=0.003,
        release_s=0.12,
        decay_s=1.1,
        brightness=(300, 1900),
        tremolo=(0.35, 5.2),
        noise=(0, 0.2, 800, 4000),
    ),
    "nylon guitar": Instrument(
        low=40,
        high=84,
        method="struck",
        attack_s=0.002,
        release_s=0.09,
        decay_s=0.55,
        damping=0.75,
        slope=0.7,
        comb=0.22,
        brightness=(700, 3500),
        inharmonicity=5e-5,
        formants=((110, 60, 2.0), (205, 80, 1.5), (400, 150, 1)),
        noise=(0, 0.5, 150, 2500),
    ),
    "electric guitar": Instrument(
        low=40,
        high=88,
        method="struck",
        attack_s=0.003,
        release_s=0.06,
        decay_s=2.5,
        damping=0.2,
        slope=0.4,
        comb=0.29,
        brightness=(1000, 4500),
        inharmonicity=4e-5,
        detune_cents=(-2.5, 2.5),
        formants=((700, 500, 1.0), (2600, 1400, 4.0)),
        noise=(0, 0.4, 900, 5000),
        gain=0.95,
        send=0.7,
    ),
    "organ": Instrument(
        low=36,
        high=96,
        method="held",
        attack_s=0.006,
        release_s=0.04,
        partials=(1.0, 0.85, 0.75, 0.6, 0.0, 0.45, 0.0, 0.5),
        brightness=(1500, 12000),
        vibrato=(7.0, 6.6),
        tremolo=(0.22, 6.6),
        noise=(0, 0.25, 1500, 6000),
        gain=0.85,
    ),
    "strings": Instrument(
        low=36,
        high=91,
        method="held",
        attack_s=0.13,
        release_s=0.22,
        slope=0.75,
        brightness=(1100, 4500),
        bloom=0.4,
        bloom_s=0.12,
        detune_cents=(-9, -4, 4, 9),
        vibrato=(14, 5.6),
        formants=((290, 120, 0.8), (500, 200, 0.7), (2500, 1500, 2.0)),
        noise=(0.05, 0.1, 2000, 7000),
        send=1.4,
    ),
    "brass": Instrument(
        low=34,
        high=86,
        method="held",
        attack_s=0.045,
        release_s=0.08,
        slope=0.4,
        brightness=(450, 1700),
        bloom=0.25,
        bloom_s=0.07,
        detune_cents=(-3, 3),
        vibrato=(7, 5.2),
        formants=((550, 350, 1.5), (1250, 600, 2.0)),
        noise=(0.01, 0.1, 300, 3000),
        gain=0.95,
    ),
    "flute": Instrument(
        low=60,
        high=96,
        method="held",
        attack_s=0.055,
        release_s=0.09,
        partials=(1.0, 0.5, 0.2, 0.07, 0.03, 0.012),
        brightness=(700, 4000),
        bloom=0.5,
        bloom_s=0.05,
        vibrato=(10, 4.9),
        tremolo=(0.18, 4.9),
        noise=(0.12, 0.35, 1200, 7000),
        send=1.2,
    ),
    "clarinet": Instrument(
        low=50,
        high=91,
        method="held",
        attack_s=0.035,
        release_s=0.06,
        slope=0.6,
        comb=0.49,
        brightness=(700, 2600),
        bloom=0.5,
        bloom_s=0.03,
        formants=((1500, 700, 1.0),),
        noise=(0.012, 0.08, 800, 5000),
    ),
    "synth pad": Instrument(
        low=36,
        high=88,
        method="held",
        attack_s=0.35,
        release_s=0.45,
        slope=1.0,
        brightness=(350, 1200),
        bloom=0.35,
        bloom_s=1.0,
        detune_cents=(-12, -5, 0, 5, 12),
        tremolo=(0.15, 0.6),
        gain=0.9,
        send=1.6,
    ),
    "synth lead": Instrument(
        low=40,
        high=96,
        method="held",
        attack_s=0.006,
        release_s=0.06,
        slope=0.7,
        brightness=(1600, 6500),
        bloom=2.0,
        bloom_s=0.15,
        detune_cents=(-8, 8),
        vibrato=(9, 5.9),
        send=0.8,
    ),
    "chip lead": Instrument(
        low=45,
        high=96,
        method="held",
        attack_s=0.002,
        release_s=0.012,
        slope=1.0,
        comb=0.125,
        brightness=(5000, 30000),
        vibrato=(14, 7.2),
        gain=0.8,
        send=0.3,
    ),
    "vibraphone": Instrument(
        low=53,
        high=89,
        method="struck",
        attack_s=0.002,
        release_s=0.35,
        decay_s=1.9,
        damping=1.2,
        partials=(1.0, 0.7, 0.3),
        ratios=(1.0, 3.9, 9.2),
        brightness=(1500, 5000),
        tremolo=(0.6, 5.6),
        noise=(0, 0.15, 400, 3000),
        send=1.3,
    ),
    "accordion": Instrument(
        low=48,
        high=91,
        method="held",
        attack_s=0.04,
        release_s=0.05,
        slope=0.3,
        comb=0.38,
        brightness=(1800, 5000),
        detune_cents=(-9, 0, 9),
        formants=((900, 500, 0.8), (3000, 1500, 1.5)),
        noise=(0.015, 0.1, 500, 4000),
        gain=0.9,
    ),
    "choir": Instrument(
        low=40,
        high=84,
        method="held",
        attack_s=0.15,
        release_s=0.25,
        slope=1.1,
        brightness=(1300, 5000),
        detune_cents=(-9, -4, 4, 9),
        vibrato=(18, 5.3),
        formants=((730, 110, 14.0), (1090, 130, 12.0), (2440, 220, 9.0)),
        noise=(0.03, 0.03, 400, 5000),
        send=1.8,
    ),
    "upright bass": Instrument(
        low=28,
        high=60,
        method="struck",
        attack_s=0.006,
        release_s=0.08,
        decay_s=0.45,
        damping=0.8,
        slope=0.6,
        comb=0.3,
        brightness=(300, 1000),
        inharmonicity=8e-5,
        formants=((98, 50, 1.0), (190, 80, 0.8)),
        noise=(0, 0.6, 80, 900),
        gain=1.1,
        send=0.6,
    ),
    "electric bass": Instrument(
        low=28,
        high=60,
        method="struck",
        attack_s=0.003,
        release_s=0.06,
        decay_s=0.9,
        damping=0.45,
        slope=0.6,
        comb=0.17,
        brightness=(450, 2000),
        inharmonicity=6e-5,
        noise=(0, 0.3, 600, 3000),
        gain=1.1,
        send=0.3,
    ),
    "synth bass": Instrument(
        low=28,
        high=60,
        method="held",
        attack_s=0.003,
        release_s=0.03,
        decay_s=2.5,
        slope=0.9,
        brightness=(250, 700),
        bloom=6.0,
        bloom_s=0.09,
        detune_cents=(-4, 4),
        gain=1.1,
        send=0.2,
    ),
}


def look_up(name: str, among: Mapping[str, T]) -> T:
    """Return what a name stands for in a table of instruments.

    Raises:
        KeyError: the name is unknown; the message lists the known names.
    """
    if name not in among:
        raise KeyError(f"unknown instrument {name!r}; there are {', '.join(among)}")
    return among[name]


def frequency_of(pitch: int) -> float:
    """Return the frequency of a MIDI pitch in Hz, with A4 at 440 Hz."""
    return 440.0 * 2 ** ((pitch - 69) / 12)
