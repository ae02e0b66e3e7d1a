"""Tests of the metrics against closed forms and known music."""

from __future__ import annotations

import numpy as np
import pytest

from expotion_lite.errors import ExpotionError
from expotion_lite.evaluation.metrics import (
    against_others,
    beat_f_measure,
    bootstrap_interval,
    cents_off,
    chroma_of,
    energy_correlation,
    f1_in_seconds,
    in_tune,
    key_of,
    level_curve,
    mode_of,
    onset_motion_correlation,
    onset_strength,
    paired_permutation_test,
    seconds_with_onsets,
    tag_similarity,
    tempo_by_line,
    tempo_of,
    track_beats,
)


def clicks(times, duration_s, sample_rate=16_000):
    audio = 1e-4 * np.random.default_rng(0).standard_normal(round(duration_s * sample_rate)).astype(np.float32)
    for time in times:
        start = round(time * sample_rate)
        audio[start : start + 160] += np.sin(2 * np.pi * 1000 * np.arange(160) / sample_rate)[: len(audio) - start]
    return audio


def test_onsets_are_found_where_the_clicks_are():
    times = np.arange(0.5, 9.5, 0.5)
    strength = onset_strength(clicks(times, 10.0), 16_000)
    assert strength.shape == (500,)
    peaks = np.flatnonzero(strength > 0.5 * strength.max())
    assert all(np.abs(peaks / 50 - time).min() <= 0.04 for time in times)
    assert all(np.abs(times - peak / 50).min() <= 0.06 for peak in peaks)


def test_correlation_of_shifted_sines_is_one_within_the_lag_and_closed_form_beyond():
    def wave(delay):
        return np.sin(2 * np.pi * 0.5 * (np.arange(1000) / 50 - delay))  # period 2 s

    assert onset_motion_correlation(wave(0), wave(0.2)) == pytest.approx(1.0, abs=1e-6)
    expected = np.cos(2 * np.pi * 0.5 * (0.5 - 0.3))
    assert onset_motion_correlation(wave(0), wave(0.5)) == pytest.approx(expected, abs=0.02)
    assert onset_motion_correlation(wave(0), np.ones(1000)) == 0.0
    with pytest.raises(ExpotionError, match="differ in length"):
        onset_motion_correlation(wave(0), wave(0)[:-1])


@pytest.mark.parametrize("bpm", [80, 120, 150])
def test_beats_of_a_click_track(bpm):
    truth = np.arange(0.3, 10, 60 / bpm)
    assert beat_f_measure(track_beats(clicks(truth, 10.0), 16_000), truth) > 0.9


def test_seconds_with_onsets_are_those_of_the_clicks():
    found = seconds_with_onsets(clicks([0.4, 0.7, 3.5, 3.9, 6.2], 8.0), 16_000)
    assert found.tolist() == [True, False, False, True, False, False, True, False]
    assert not seconds_with_onsets(np.zeros(32_000, np.float32), 16_000).any()


def test_f1_in_seconds_is_the_harmonic_mean_of_coverage_and_hit_rate():
    music, song = np.arange(10) < 6, np.arange(10) >= 2  # 4 seconds in common
    coverage, hit_rate = 4 / 6, 4 / 8
    assert f1_in_seconds(music, song) == pytest.approx(2 * coverage * hit_rate / (coverage + hit_rate))
    assert f1_in_seconds(music, np.append(song, [True] * 5)) == f1_in_seconds(music, song), "the longer one is cut"
    assert f1_in_seconds(song, song) == 1.0 and f1_in_seconds(~music, np.zeros(10, bool)) == 0.0


def test_f_measure_counts_hits_within_the_window():
    truth = np.arange(1.0, 9.0)
    assert beat_f_measure(truth + 0.06, truth) == 1.0
    assert beat_f_measure(truth + 0.08, truth) == 0.0
    assert beat_f_measure(truth[::2], truth) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert beat_f_measure(np.array([]), truth) == 0.0


def test_own_and_others_of_a_table():
    own, shuffled = against_others(np.array([[1.0, 2.0, 4.0], [0.0, 5.0, 2.0], [3.0, 1.0, 7.0]]))
    assert own.tolist() == [1.0, 5.0, 7.0] and shuffled.tolist() == [3.0, 1.0, 2.0]


def test_bootstrap_interval_of_a_normal_mean_is_the_textbook_one():
    values = np.random.default_rng(1).normal(2.0, 1.0, 400)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)


def test_bootstrap_interval_draws_the_same_clips_as_numpy_by_hand():
    """The intervals in figures/*.json were drawn in this way."""
    values = np.random.default_rng(3).random(52)
    means = values[np.random.default_rng(0).integers(52, size=(10_000, 52))].mean(1)
    assert bootstrap_interval(values) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=1e-12)


def test_bootstrap_interval_of_paired_samples_and_of_one_value():
    x = np.random.default_rng(4).random(30)

    def ratio(a, b, axis=-1):
        return a.mean(axis) / b.mean(axis)

    assert bootstrap_interval(2 * x, x, statistic=ratio, draws=500) == pytest.approx((2.0, 2.0)), "drawn as pairs"
    assert bootstrap_interval(np.array([0.3])) == (0.3, 0.3)


def test_permutation_p_is_exact_for_few_people():
    assert paired_permutation_test(np.ones(4)) == 1 / 16
    assert paired_permutation_test(np.array([0.1, 0.2, -0.3])) == 5 / 8, "sums of rounded numbers are equal, too"
    assert paired_permutation_test(np.zeros(5)) == paired_permutation_test(np.array([-1.0])) == 1
    assert paired_permutation_test(np.array([1.0])) == 1 / 2


def test_permutation_p_is_uniform_without_an_effect_and_one_sided():
    rng = np.random.default_rng(2)
    p = [paired_permutation_test(rng.normal(size=20), draws=200) for _ in range(200)]
    assert np.mean(np.array(p) < 0.1) == pytest.approx(0.1, abs=0.06)
    assert paired_permutation_test(np.full(20, 0.5)) == pytest.approx(1 / 10_001)
    assert paired_permutation_test(np.full(20, -0.5)) == 1


@pytest.mark.parametrize("cents", [-60, -12, 0, 7, 85])
@pytest.mark.parametrize("hz", [261.63, 880.0])
def test_cents_off_measures_a_mistuned_tone(hz, cents):
    tone = np.sin(2 * np.pi * hz * 2 ** (cents / 1200) * np.arange(4_800) / 16_000)
    other = 0.5 * np.sin(2 * np.pi * hz * 1.5 * np.arange(4_800) / 16_000)
    assert cents_off(tone + other, 16_000, hz) == pytest.approx(cents, abs=5)
    assert in_tune(tone + other, 16_000) == (min(abs(cents), 100 - abs(cents)) < 20)


def test_noise_is_in_tune_as_often_as_chance():
    noise = np.random.default_rng(0).standard_normal(16_000 * 60)
    assert in_tune(noise, 16_000) == pytest.approx(0.4, abs=0.06)


def test_level_curve_of_a_sine_follows_its_steps():
    times = np.arange(10 * 16_000) / 16_000
    sine = np.sin(2 * np.pi * 440 * times)
    level = level_curve(sine, 16_000)
    assert level.shape == (500,) and np.allclose(level, 10 * np.log10(0.5), atol=0.02)
    steps = np.repeat([0.1, 1.0, 0.1, 0.5], 40_000)
    louder = level_curve(sine * steps, 16_000)
    assert louder[60] == pytest.approx(level[60] - 20, abs=0.05) and louder[187] == pytest.approx(level[187], abs=0.05)
    assert energy_correlation(louder, 3 * louder + 2) == pytest.approx(1.0)
    assert energy_correlation(louder, np.roll(np.log(np.repeat([0.1, 1.0, 0.1, 0.5], 125)), 125)) < 0
    assert energy_correlation(level * 0 - 3.0, louder) == 0.0
    assert level_curve(np.zeros(16_000), 16_000).max() == -80
    with pytest.raises(ExpotionError, match="differ in length"):
        energy_correlation(level, level[1:])


@pytest.mark.parametrize("tonic", range(12))
def test_key_and_mode_of_a_cadence(tonic):
    """The chords I IV V I as sines, in major and in minor."""
    times = np.arange(16_000) / 16_000
    for mode, thirds in (("major", (4, 4, 4, 4)), ("minor", (3, 3, 4, 3))):
        chords = [(root, root + third, root + 7) for root, third in zip((0, 5, 7, 0), thirds, strict=True)]
        audio = np.concatenate([
            sum(np.sin(2 * np.pi * 261.63 * 2 ** ((tonic + step) / 12) * times) for step in chord) for chord in chords
        ]).astype(np.float32)  # fmt: skip
        chroma = chroma_of(0.1 * audio, 16_000)
        found, which, margin = key_of(chroma)
        assert (found, which) == (tonic, mode) and margin > 0
        assert mode_of(chroma, tonic) == mode and mode_of(np.roll(chroma, 5), (tonic + 5) % 12) == mode


@pytest.mark.slow
def test_more_beats_and_tempos_of_the_band_are_found_than_with_librosas_defaults():
    import librosa

    from expotion_lite.data.synthetic import HELD_OUT_SONGS, VALIDATION_OFFSET
    from expotion_lite.synthetic import band

    beats, tempos = [], []
    first = HELD_OUT_SONGS + VALIDATION_OFFSET + 500  # neither validation nor test uses these
    for seed in range(first, first + 40):
        piece = band.compose(seed, 10.0)
        audio = band.play(piece, 16_000)
        theirs = librosa.beat.beat_track(y=audio, sr=16_000, hop_length=160, units="time")[1]
        found = (track_beats(audio, 16_000), theirs)
        beats.append([beat_f_measure(each, piece.beats) for each in found])
        tempos.append([abs(tempo_by_line(each) / piece.tempo_bpm - 1) <= 0.04 for each in found])
    (our_beats, their_beats), (our_tempos, their_tempos) = np.mean(beats, 0), np.mean(tempos, 0)
    print(f"beat F {our_beats:.2f}, librosa's {their_beats:.2f}; tempo {our_tempos:.2f}, {their_tempos:.2f}")
    assert our_beats > their_beats + 0.02 and our_beats > 0.7
    assert our_tempos > their_tempos + 0.05 and our_tempos > 0.75


@pytest.mark.parametrize("bpm", [55, 80, 100, 125, 150, 190])
@pytest.mark.parametrize("seconds", [5, 10])
def test_tempo_of_clicks(bpm, seconds):
    strength = onset_strength(clicks(np.arange(0.1, seconds, 60 / bpm), seconds), 16_000, 100.0)
    found = tempo_of(strength, 100.0)
    assert any(found * times == pytest.approx(bpm, rel=0.02) for times in (1, 2, 0.5)), "or an octave off"
    if 70 <= bpm <= 160:
        assert found == pytest.approx(bpm, rel=0.02)


def test_silence_has_no_beats():
    assert len(track_beats(np.zeros(32_000, np.float32), 16_000)) == 0


@pytest.mark.slow
def test_mode_of_the_band_is_found_better_with_the_tonic_than_without():
    from expotion_lite.synthetic import band
    from expotion_lite.synthetic.harmony import KEYS

    pieces = [
        band.compose(seed, 10.0, style=style, mode=mode)
        for seed in range(4) for style in ("piano ballad", "march", "waltz") for mode in ("major", "minor")
    ]  # fmt: skip
    heard = [chroma_of(band.play(piece, 16_000), 16_000) for piece in pieces]
    assert np.mean([key_of(c)[1] == p.mode for c, p in zip(heard, pieces, strict=True)]) > 0.7
    assert np.mean([mode_of(c, KEYS.index(p.key)) == p.mode for c, p in zip(heard, pieces, strict=True)]) > 0.9


def test_tag_similarity_is_zero_for_different_tags_and_one_for_the_same():
    a, b = np.array([[1.0, 0, 0], [0.5, 0.5, 0]]), np.array([[0, 1.0, 0], [1.0, 1.0, 0]])
    assert tag_similarity(a, b) == pytest.approx([0.0, 1.0])
