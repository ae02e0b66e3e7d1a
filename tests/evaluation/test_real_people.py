"""Onsets against motion: own motion wins where music follows it, chance alone gives nothing, and ill music is told."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from expotion_lite.errors import ExpotionError
from expotion_lite.evaluation.real_people import (
    falling,
    gains_over_others,
    is_ill,
    sign_flip_p,
    smoothed_onsets,
)

RATE, FRAMES = 16_000, 400


def irregular_times(seed):
    times = 0.5 + np.cumsum(np.random.default_rng(seed).uniform(0.35, 1.2, 20))
    return times[times < FRAMES / 50 - 0.3]


def clicks(times, hz=1000.0, duration_s=FRAMES / 50):
    audio = 1e-4 * np.random.default_rng(0).standard_normal(round(duration_s * RATE)).astype(np.float32)
    tone = np.sin(2 * np.pi * hz * np.arange(800) / RATE) * np.exp(-np.arange(800) / 200)
    for start in np.round(np.asarray(times) * RATE).astype(int):
        audio[start : start + 800] += tone[: len(audio) - start]
    return audio


def speed_that_stops_at(times):
    """Return a speed (T,) that falls from 1 to 0 in a fifth of a second around each time."""
    centres = (np.arange(FRAMES) + 0.5) / 50
    since = (centres[:, None] - times + 0.1) / 0.2
    return np.where((since > -1) & (since < 1), 0.5 + 0.5 * np.cos(np.pi * since), 0).sum(axis=1)


def motions_of(people):
    return [{"stop": falling(speed_that_stops_at(irregular_times(person)))} for person in people]


# Gains


def peaks_of(curve):
    """Return the frames (N,) at which a curve (T,) is higher than around, and not low."""
    middle = curve[1:-1]
    return np.flatnonzero((middle > curve[:-2]) & (middle >= curve[2:]) & (middle > 0.3 * curve.max())) + 1


def test_music_that_follows_its_own_person_gains_and_music_of_others_does_not():
    people = list(range(8))
    own = [clicks(irregular_times(person)) for person in people]
    gain = gains_over_others([own], RATE, motions_of(people), people)["stop"]
    assert gain["gain"] > 0.3 and gain["gain_95"][0] > 0.2 and gain["p"] < 0.02
    strangers = [clicks(irregular_times(100 + person)) for person in people]
    gain = gains_over_others([strangers], RATE, motions_of(people), people)["stop"]
    assert abs(gain["gain"]) < 0.1 and gain["gain_95"][0] < 0 < gain["gain_95"][1] and gain["p"] > 0.1


def test_the_gain_is_the_mean_of_own_minus_others_over_all_takes():
    """Two takes: one is silent and correlates with nothing, so the gain is half that of the other."""
    people, motions = [0, 1, 2], motions_of(range(3))
    own = [clicks(irregular_times(person)) for person in people]
    silent = [np.zeros_like(audio) for audio in own]
    one = gains_over_others([own], RATE, motions, people)["stop"]["gain"]
    both = gains_over_others([own, silent], RATE, motions, people)["stop"]["gain"]
    assert both == pytest.approx(one / 2, abs=1e-6)


def test_clips_of_one_person_are_not_compared_with_each_other():
    """Both clips of a person hold the same movement: compared with each other they would halve the gain."""
    people, sources = [0, 0, 1, 1], [7, 7, 9, 9]
    own = [clicks(irregular_times(person)) for person in people]
    twice = gains_over_others([own], RATE, motions_of(people), sources)["stop"]
    once = gains_over_others([own[::2]], RATE, motions_of([0, 1]), [7, 9])["stop"]
    assert twice["gain"] == pytest.approx(once["gain"], abs=1e-6) and twice["gain"] > 0.3
    with pytest.raises(ExpotionError, match="one person"):
        gains_over_others([own], RATE, motions_of(people), [7, 7, 7, 7])


# The p value


@pytest.mark.parametrize("seed, shift", [(0, 0.0), (1, 0.3), (2, -0.5), (3, 0.8)])
def test_p_of_independent_people_is_scipys(seed, shift):
    differences = np.random.default_rng(seed).normal(shift, 1.0, 15)
    theirs = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    ).pvalue
    assert sign_flip_p(differences, np.arange(15)) == pytest.approx(theirs, abs=0.012)


def test_clips_of_one_person_flip_together():
    """Ten clips of two people are no more than two: p cannot be below 1/2."""
    differences, two, ten = np.full(10, 0.3), np.repeat([0, 1], 5), np.arange(10)
    assert sign_flip_p(differences, two) == pytest.approx(0.5, abs=0.02)
    assert sign_flip_p(differences, ten) == pytest.approx(2 / 1024, abs=0.002)
    assert sign_flip_p(np.zeros(4), np.arange(4)) == 1.0


# Motion and onsets


def test_a_speed_falls_where_a_movement_stops():
    times = irregular_times(0)
    curve = falling(speed_that_stops_at(times))
    peaks = peaks_of(curve)
    assert len(peaks) == len(times)
    np.testing.assert_allclose((peaks + 0.5) / 50, times, atol=0.05)
    assert falling(np.linspace(0, 1, 100)).max() < 1e-3, "a movement that only grows arrives nowhere"


@pytest.mark.parametrize("rate", [16_000, 32_000])
def test_onsets_of_any_sample_rate_are_at_50_hz(rate):
    times = irregular_times(2)
    audio = np.repeat(clicks(times), rate // RATE)
    curve = smoothed_onsets(audio, rate, FRAMES + 50)
    assert curve.shape == (FRAMES + 50,)
    peaks = peaks_of(curve)
    assert np.abs(peaks[:, None] / 50 - times).min(axis=1).max() < 0.05
    assert not curve[FRAMES + 20 :].any()


# Health


def chords_with_clicks(duration_s=10.0):
    """Return chords of plucked tones that change each second, with clicks twice a second."""
    audio = 0.5 * clicks(np.arange(0.25, duration_s - 0.1, 0.5), duration_s=duration_s)
    for second, root in enumerate([220.0, 293.7, 329.6, 261.6] * 3):
        if second < duration_s - 0.5:
            start, times = second * RATE, np.arange(RATE) / RATE
            tones = sum(np.sin(2 * np.pi * root * ratio * times) for ratio in (1, 1.25, 1.5))
            audio[start : start + RATE] += (0.1 * tones * np.exp(-2 * times))[: len(audio) - start]
    return audio.astype(np.float32)


def white_noise(duration_s=10.0):
    return 0.1 * np.random.default_rng(0).standard_normal(round(duration_s * RATE)).astype(np.float32)


def frozen_tone(duration_s=10.0):
    times = np.arange(round(duration_s * RATE)) / RATE
    return (0.2 * sum(np.sin(2 * np.pi * hz * times) for hz in (220, 330, 440))).astype(np.float32)


def test_music_is_well_and_noise_and_a_frozen_tone_are_ill():
    assert not is_ill(chords_with_clicks(), RATE)
    assert not is_ill(np.repeat(chords_with_clicks(), 2), 2 * RATE)
    assert is_ill(white_noise(), RATE) and is_ill(frozen_tone(), RATE)


@pytest.mark.parametrize("make", [white_noise, frozen_tone])
def test_music_that_falls_ill_half_way_is_told_and_a_short_break_is_not(make):
    audio = chords_with_clicks()
    ill, short = audio.copy(), audio.copy()
    ill[5 * RATE :] = make(5.0)
    short[5 * RATE : 6 * RATE] = make(1.0)
    assert is_ill(ill, RATE) and not is_ill(short, RATE)


@pytest.mark.slow
def test_the_bands_music_is_well():
    from expotion_lite.synthetic import band

    styles = ["techno", "rock", "funk", "march", "waltz", "piano ballad", "lo-fi hip hop", "bossa nova"]
    ill = [is_ill(band.play(band.compose(seed, 8.0, style=name), RATE), RATE) for seed, name in enumerate(styles)]
    assert sum(ill) <= 1
