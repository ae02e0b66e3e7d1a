"""Instruments, drums and the mix: in tune, distinguishable, equally loud, and at the times of the notes."""

from __future__ import annotations

import time

import numpy as np
import pytest

from expotion_lite.synthetic.acoustics import loudness
from expotion_lite.synthetic.band import Note
from expotion_lite.synthetic.drums import DRUMS, drum_hit
from expotion_lite.synthetic.instruments import INSTRUMENTS
from expotion_lite.synthetic.mixing import NOISE_FLOOR, render
from expotion_lite.synthetic.tones import TONE_S, tone

RATE = 16_000
BASSES = {name for name, instrument in INSTRUMENTS.items() if instrument.high <= 60}
STRUCK = [name for name, instrument in INSTRUMENTS.items() if instrument.method != "held"]
every_instrument = pytest.mark.parametrize("name", INSTRUMENTS)
every_drum = pytest.mark.parametrize("name", DRUMS)
DRUM_BANDS = {  # Hz
    "kick": (40, 200),
    "tom": (80, 250),
    "snare": (150, 7500),
    "clap": (800, 4000),
    "rim": (400, 3000),
    "brush": (1000, 7500),
    "crash": (1500, 7500),
    "ride": (2500, 7500),
    "hat": (4000, 7500),
    "open hat": (4000, 7500),
    "shaker": (3500, 7500),
}


def middle(name):
    """A MIDI pitch in the middle of the range."""
    return 40 if name in BASSES else 67


def rms(sound):
    return float(np.sqrt((np.asarray(sound, dtype=np.float64) ** 2).mean()))


def power(sound, rate=RATE):
    """Frequencies in Hz and the power at each."""
    return np.fft.rfftfreq(len(sound), 1 / rate), np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2


def brightness(sound):
    """Spectral centroid in Hz."""
    f, p = power(sound[: RATE // 2])
    return (f * p).sum() / p.sum()


@every_instrument
def test_in_tune_over_its_range(name):
    """The power around the fundamental, over whole vibratos, is centred on it, and little power lies below."""
    low, high = INSTRUMENTS[name].low, INSTRUMENTS[name].high
    for pitch in sorted({*range(low, high + 1, 9), high}):
        f0 = 440 * 2 ** ((pitch - 69) / 12)
        sound = tone(name, pitch, RATE)
        f, p = power(sound[RATE // 20 :])
        near = np.abs(12 * np.log2(np.maximum(f, 1) / f0)) < 0.6
        cents = 1200 * np.log2((f[near] * p[near]).sum() / p[near].sum() / f0)
        assert abs(cents) < 10, (pitch, cents)
        assert p[f < 0.7 * f0].sum() < 0.02 * p.sum() and p[near].sum() > 0.01 * p.sum(), pitch


@pytest.mark.parametrize("name", sorted(INSTRUMENTS.keys() - {"vibraphone"}))  # the partials of a bar are inharmonic
def test_a_tone_has_the_period_of_its_pitch(name):
    """The autocorrelation, interpolated by eight, peaks within 10 cents of the period."""
    period = RATE / 440 * 2 ** ((69 - middle(name)) / 12)
    power_spectrum = np.abs(np.fft.rfft(tone(name, middle(name), RATE)[RATE // 5 :], 8 * RATE)) ** 2
    fine = np.fft.irfft(power_spectrum, 8 * 8 * RATE)
    lags = np.arange(round(8 * period * 0.8), round(8 * period * 1.25))
    peak = lags[np.argmax(fine[lags])]
    assert abs(1200 * np.log2(peak / 8 / period)) < 10 and fine[peak] > 0.6 * fine[0]


@every_instrument
@pytest.mark.parametrize("rate", [16_000, 32_000])
def test_there_is_no_aliasing(name, rate):
    for pitch in (INSTRUMENTS[name].high, middle(name)):
        f, p = power(tone(name, pitch, rate), rate)
        assert p[f > 0.46 * rate].sum() < 1e-5 * p.sum()


@every_instrument
def test_hard_notes_are_louder_and_brighter_but_hard_tones_are_as_loud_as_soft_ones(name):
    soft, hard = (render([Note(name, 0, 0.8, middle(name), v)], 1.0, room=0) for v in (0.4, 0.9))
    assert rms(hard) > 1.5 * rms(soft)
    soft, hard = (tone(name, middle(name), RATE, h) for h in (False, True))
    assert brightness(hard) > 1.02 * brightness(soft)
    assert loudness(hard, RATE).max() == pytest.approx(loudness(soft, RATE).max(), rel=0.01)


def test_instruments_are_equally_loud():
    levels = {name: 20 * np.log10(loudness(tone(name, middle(name), RATE), RATE).max()) for name in INSTRUMENTS}
    assert np.ptp(list(levels.values())) < 3, levels


def test_struck_notes_rise_at_once_and_bowed_notes_slowly():
    def rise(name):
        sound = tone(name, middle(name), RATE)[:RATE].astype(np.float64)
        envelope = np.sqrt(np.convolve(sound**2, np.ones(320) / 320)[: len(sound)])
        return np.argmax(envelope > 0.7 * envelope.max()) / RATE

    struck = max(rise(name) for name in ("piano", "nylon guitar", "electric bass", "vibraphone"))
    assert struck < 0.03 and rise("chip lead") < 0.03
    assert struck < rise("clarinet") < rise("strings") < rise("synth pad")


def test_struck_notes_fade_and_held_notes_last():
    for name, instrument in INSTRUMENTS.items():
        sound = render([Note(name, 0, 9.0, middle(name), 0.9)], 9.0, room=0)
        ratio = rms(sound[7 * RATE : 8 * RATE]) / rms(sound[RATE : 2 * RATE])
        assert ratio > 0.7 if instrument.decay_s == np.inf else ratio < 0.3, (name, ratio)


def test_a_note_longer_than_its_tone_continues_in_phase_and_without_a_click():
    sound = render([Note("clarinet", 0, 9.0, 60, 0.9)], 9.0, room=0)
    turning = sound * np.exp(-2j * np.pi * 440 * 2 ** (-9 / 12) * np.arange(len(sound)) / RATE)
    seconds = turning.reshape(-1, RATE).mean(1)[1:8]
    assert np.abs(np.angle(seconds / seconds[0])).max() < 0.15
    assert np.abs(seconds).min() > 0.95 * np.abs(seconds).max()
    steps = np.abs(np.diff(sound, 3))
    assert steps[round(TONE_S * RATE) - RATE : 8 * RATE].max() < 1.5 * steps[RATE : 3 * RATE].max()


def cepstra(sound, coefficients=20, bands=40, frame=1024, hop=256):
    """Mel-frequency cepstra, (coefficients, frames)."""
    from scipy.fft import dct

    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, frame // 2), frame)[::hop] * np.hanning(frame)
    mel = 2595 * np.log10(1 + np.fft.rfftfreq(frame, 1 / RATE) / 700)
    centres = np.linspace(0, mel[-1], bands + 2)[1:-1]
    filters = np.maximum(0, 1 - np.abs(mel - centres[:, None]) / centres[0])
    return dct(np.log10(np.abs(np.fft.rfft(frames)) ** 2 @ filters.T + 1e-6), norm="ortho")[:, :coefficients].T


def features(name, pitch, velocity):
    """Cepstra at the start, middle and end of a short note, their spread, and the changes of loudness."""
    c = cepstra(render([Note(name, 0.048, 0.6, pitch, velocity)], 1.0, room=0))
    c[0] /= 4
    start, middle_, end, after = (c[:, 3 + a : 3 + b].mean(1) for a, b in ((0, 6), (10, 20), (20, 36), (40, 50)))
    changes = [start[0] - middle_[0], end[0] - middle_[0], after[0] - middle_[0]]
    return np.concatenate([start[1:], middle_[1:], end[1:], c[:, 13:39].std(1), changes])


@pytest.mark.slow
def test_instruments_are_distinguishable_at_new_pitches():
    names = list(INSTRUMENTS)
    known, new = [], []
    for name in names:
        low = INSTRUMENTS[name].low + 4 if name in BASSES else 55
        known.append([features(name, low + step, 0.8) for step in (0, 7, 13, 19, 25)])
        new.append([features(name, low + step, 0.7) for step in (4, 16)])
    known, new = np.array(known), np.array(new)
    spread = known.std(1).mean(0)  # within an instrument
    centres = known.mean(1) / spread
    guesses = ((new[:, :, None] / spread - centres) ** 2).sum(-1).argmin(-1)
    assert (guesses == np.arange(len(names))[:, None]).mean() > 0.8, [[names[i] for i in pair] for pair in guesses]


@every_drum
def test_drums_have_their_power_in_their_frequency_band(name):
    low, high = DRUM_BANDS[name]
    f, p = power(np.pad(drum_hit(name, RATE), RATE // 4))
    assert p[(f > low) & (f < high)].sum() > 0.8 * p.sum()


@every_drum
def test_drum_hits_differ_slightly_and_harder_hits_are_louder(name):
    notes = [Note(name, 2.5 * i, 0.1, 0, 0.7) for i in range(4)]
    hits = render(notes, 10.0, room=0).reshape(4, -1)
    levels = [rms(hit[: RATE // 5]) for hit in hits]
    assert 0.01 < np.ptp(levels) / np.mean(levels) < 0.6
    soft, hard = (render([Note(name, 0, 0.1, 0, v)], 1.0, room=0) for v in (0.4, 0.9))
    assert rms(hard) > 1.5 * rms(soft)


@pytest.mark.parametrize("name", [*INSTRUMENTS, *DRUMS])
def test_onsets_are_at_the_times_of_the_notes(name):
    onset = 0.31415
    loud = np.abs(render([Note(name, onset, 0.4, middle(name), 1.0)], 1.0, room=0.3))
    first = round(onset * RATE)
    assert loud[: first - 1].max() < 6 * NOISE_FLOOR
    if name in STRUCK or name in DRUMS:
        assert np.argmax(loud > 0.15 * loud[: first + RATE // 10].max()) / RATE - onset < 0.005


def band(velocity=0.9, seconds=6.0):
    """A busy full band."""
    notes = [Note(d, t, 0.2, 0, velocity) for d in ("kick", "hat", "snare") for t in np.arange(-0.3, seconds, 0.5)]
    notes += [Note("electric bass", t, 0.45, 36, velocity) for t in np.arange(-0.3, seconds, 0.5)]
    notes += [Note("piano", t, 0.9, p, velocity) for t in np.arange(-0.3, seconds, 1) for p in (60, 64, 67)]
    return notes + [Note("brass", t, 0.9, 72, velocity) for t in np.arange(-0.3, seconds, 1)]


def test_a_full_band_has_the_intended_level_and_never_clips():
    sound = render(band(), 6.0)
    assert sound.shape == (6 * RATE,) and sound.dtype == np.float32
    assert 0.07 < rms(sound) < 0.14 and np.abs(sound).max() < 1
    everything = [Note(name, 0.1 * i, 3, middle(name), 1.0) for i, name in enumerate([*INSTRUMENTS, *DRUMS] * 3)]
    loud = render(everything * 20, 6.0)
    assert 0.95 < np.abs(loud).max() < 1


def test_soft_passages_stay_soft():
    notes = [n for n in band(0.9, 5.0) if n.onset_s < 4.8]
    notes += [Note(n.instrument, n.onset_s + 6, n.duration_s, n.pitch, 0.3) for n in band(0.3, 5.0)]
    sound = render(notes, 11.0)
    assert rms(sound[6 * RATE : 11 * RATE]) < 0.4 * rms(sound[: 5 * RATE])
    assert rms(render(band(0.3), 6.0)) < 0.5 * rms(render(band(0.9), 6.0))


def test_audio_is_never_digitally_silent_and_has_any_length():
    assert 0.5 * NOISE_FLOOR < rms(render([], 1.0)) < 2 * NOISE_FLOOR
    for seconds in (0.0, 0.01, 1.00003, 2.5):
        assert render([Note("flute", 0, 9, 72, 0.5)], seconds, room=0.2).shape == (round(seconds * RATE),)
    frames = render([Note("kick", 0.5, 0.1, 0, 1.0)], 3.0).reshape(-1, 320)
    assert min(rms(frame) for frame in frames) > 0.5 * NOISE_FLOOR


def test_notes_are_cut_at_both_ends():
    whole = render([Note("organ", 1.0, 2.0, 60, 0.8)], 4.0, room=0)
    late = render([Note("organ", -0.5, 2.0, 60, 0.8)], 2.5, room=0)
    assert np.corrcoef(whole[round(1.5 * RATE) :], late)[0, 1] > 0.99
    gone = [Note("piano", -3, 1, 60, 0.8), Note("piano", 5, 1, 60, 0.8), Note("kick", -3, 1, 0, 0.8)]
    assert rms(render(gone, 1.0)) < 4 * NOISE_FLOOR


def test_the_room_reverberates():
    after = slice(round(0.6 * RATE), round(0.8 * RATE))
    dry, wet = (render([Note("rim", 0.5, 0.1, 0, 1.0)], 2.0, room=room)[after] for room in (0.0, 0.4))
    assert rms(wet) > 2 * rms(dry)


def test_the_same_seed_gives_the_same_audio():
    assert np.array_equal(render(band(), 3.0, seed=5), render(band(), 3.0, seed=5))
    assert not np.array_equal(render(band(), 3.0, seed=5), render(band(), 3.0, seed=6))


def test_notes_out_of_range_are_moved_by_octaves():
    for pitch, played in ((47, 71), (59, 71), (48, 60), (97, 85), (108, 96), (120, 96), (24, 60)):
        assert np.array_equal(tone("flute", pitch, RATE), tone("flute", played, RATE))


@pytest.mark.parametrize(
    "play", [lambda n: tone(n, 60, RATE), lambda n: drum_hit(n, RATE), lambda n: render([Note(n, 0, 1, 60, 1)], 1)]
)
def test_an_unknown_instrument_is_named_in_the_error(play):
    with pytest.raises(KeyError, match="kazoo"):
        play("kazoo")


def test_cached_tones_are_read_only():
    with pytest.raises(ValueError):
        tone("piano", 60, RATE)[0] = 1


def test_rendering_is_fast_once_tones_are_cached():
    render(band(seconds=14), 14.0)
    start = time.process_time()
    render(band(seconds=14), 14.0)
    assert time.process_time() - start < 0.5  # about 0.03 on an idle core
