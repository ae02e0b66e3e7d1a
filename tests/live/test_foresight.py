"""The phase-locked pulse: it locks, follows changes, and lets go."""

from __future__ import annotations

import numpy as np
import pytest

from expotion_lite.live import PhaseLockedPulse


def _locked(times):
    pulse = PhaseLockedPulse()
    for time in times:
        pulse.turn(float(time))
    return pulse


@pytest.mark.parametrize("period", [0.3, 0.5, 0.67, 1.2, 2.0])
def test_it_foresees_the_beat_of_a_steady_person(period):
    rng = np.random.default_rng(round(100 * period))
    times = 1.0 + period * np.arange(12)
    pulse = _locked(times + rng.normal(0, 0.015, 12))
    assert pulse.period_s == pytest.approx(period, rel=0.06)
    assert pulse.certainty_at(times[-1] + 0.1) > 0.9
    coming = pulse.beats(times[-1] + 0.1, times[-1] + 2.1 * period)
    np.testing.assert_allclose(coming, times[-1] + period * np.arange(1, 3), atol=0.05)


def test_a_turn_that_is_missed_or_added_does_not_unsettle_it():
    times = np.delete(0.5 * np.arange(16), [9, 12])
    pulse = _locked(np.sort(np.append(times, 5.2)))
    assert pulse.period_s == pytest.approx(0.5, rel=0.03) and pulse.certainty > 0.7
    np.testing.assert_allclose(pulse.beats(7.6, 9.1), [8.0, 8.5, 9.0], atol=0.03)


def test_it_takes_over_another_tempo_after_three_turns():
    slow = 60 / 90 * np.arange(10)
    pulse = _locked([*slow, *(slow[-1] + 0.5 * np.arange(1, 4))])
    assert pulse.period_s == pytest.approx(0.5, rel=0.05)
    assert pulse.beats(slow[-1] + 1.6, slow[-1] + 2.1)[0] == pytest.approx(slow[-1] + 2.0, abs=0.05)


def test_it_lets_go_of_a_person_who_stops():
    pulse = _locked(0.5 * np.arange(12))
    certainties = [pulse.certainty_at(5.5 + wait) for wait in (0.2, 0.7, 1.5, 3.0)]
    assert certainties[0] == certainties[1] > 0.9 > 0.3 > certainties[2] > certainties[3]


def test_one_turn_after_a_pause_is_no_beat_yet():
    pulse = _locked(0.5 * np.arange(12))
    pulse.turn(10.0)  # in time, after nine that did not come
    assert pulse.certainty_at(10.1) < 0.3
    for time in (10.5, 11.0, 11.5):
        pulse.turn(time)
    assert pulse.certainty_at(11.6) > 0.6


def test_turns_without_a_beat_leave_it_unsure():
    certainties = []
    for seed in range(20):
        gaps = np.exp(np.random.default_rng(seed).uniform(np.log(0.35), np.log(1.6), 30))
        certainties.append(_locked(np.cumsum(gaps)).certainty)
    assert np.mean(certainties) < 0.4


def test_before_the_second_turn_nothing_is_foreseen():
    pulse = PhaseLockedPulse()
    assert len(pulse.beats(0, 10)) == 0 and pulse.certainty_at(1.0) == 0
    pulse.turn(1.0)
    assert len(pulse.beats(0, 10)) == 0
