"""Events lie where movements arrive or a steady motion turns; activity tells how much a person moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import find_peaks
from stick_people import even_times, stick_person

from expotion_lite.controls.channels import CHANNELS, Controls
from expotion_lite.controls.events import (
    Events,
    arrival_curve,
    event_curve,
    find_events,
    find_person_events,
    person_curves,
    steadiness_of,
    turns_of,
    with_events,
)
from expotion_lite.controls.extraction import extract_controls
from expotion_lite.controls.pulse import pulse_train
from expotion_lite.errors import ExpotionError

RATE = 50.0


def frame_centres(n_frames):
    return (np.arange(n_frames) + 0.5) / RATE


def strokes(stops, n_frames, length_s=0.4):
    """Return the speed of strokes that end at `stops`: each rises and falls as a squared sine, and is 1 at its peak."""
    phase = (frame_centres(n_frames)[:, None] - np.asarray(stops) + length_s) / length_s
    return np.where((phase > 0) & (phase < 1), np.sin(np.pi * phase) ** 2, 0).sum(axis=1)


def seen_by_pixels(speed, pulse=0.0):
    """Return the controls of somebody of whom only optical flow is known, and a pulse."""
    values = np.zeros((len(speed), len(CHANNELS)), np.float32)
    values[:, CHANNELS.index("trunk_flow")], values[:, CHANNELS.index("pulse")] = speed, pulse
    return Controls(values, CHANNELS, RATE, np.ones(len(speed), bool))


def times_of(curve):
    """Return the times of the bumps of an event curve."""
    return (find_peaks(curve, height=0.1)[0] + 0.5) / RATE


def gestures(seed=0, n=14):
    """Return the stops of strokes, 0.5 to 1.4 s apart, and the number of frames."""
    stops = 0.8 + np.cumsum(np.random.default_rng(seed).uniform(0.5, 1.4, n))
    return stops, int((stops[-1] + 0.7) * RATE)


# Arrivals


def test_arrivals_are_where_the_speed_falls_fastest():
    """The speed of a stroke falls fastest a quarter of its length before its end, by pi / length."""
    stops, n_frames = gestures()
    found = times_of(with_events(seen_by_pixels(strokes(stops, n_frames)))["event"])
    np.testing.assert_allclose(found, stops - 0.1, atol=0.06)
    curve = arrival_curve(strokes([1.0], 100, length_s=0.8), RATE, smoothing_s=0.005)
    assert curve.max() * RATE == pytest.approx(np.pi / 0.8, rel=0.05) and curve[:25].max() < 0.01


@pytest.mark.parametrize("rate", [25.0, 100.0])
def test_an_arrival_has_the_same_height_at_any_frame_rate(rate):
    speed = np.exp(-0.5 * ((np.arange(0, 4, 0.01) - 2) / 0.3) ** 2)
    at_rate = arrival_curve(speed[:: round(100 / rate)], rate)
    assert at_rate.max() == pytest.approx(arrival_curve(speed[::2], RATE).max(), rel=0.03)


def test_landmarks_alone_show_where_a_hand_arrives():
    """A hand goes from side to side once a second and rests in between."""
    times = even_times(30, 12)
    stops = np.arange(1.0, 12.0)
    hand = np.interp(times, np.sort([*stops - 0.25, *stops]), np.repeat(np.arange(12) % 2, 2)[1:-1])
    controls = extract_controls(stick_person(times, jitter=0.3, right_wrist_y=0.5 * hand))
    np.testing.assert_allclose(times_of(controls["event"]), stops, atol=0.06)
    assert not controls["trunk_flow"].any()


def test_a_quiet_person_has_the_events_of_a_lively_one():
    stops, n_frames = gestures()
    lively, quiet = (with_events(seen_by_pixels(size * strokes(stops, n_frames))) for size in (1.0, 0.3))
    np.testing.assert_allclose(quiet["event"], lively["event"], atol=0.01)
    assert quiet["activity"].max() > 0.5 * lively["activity"].max()


@pytest.mark.parametrize("seed", range(5))
def test_noise_of_somebody_who_is_still_makes_no_event(seed):
    person = stick_person(even_times(30, 12), jitter=0.3, seed=seed)
    controls = extract_controls(person)
    assert controls["event"].max() < 0.1 and controls["activity"].max() < 0.3


@pytest.mark.parametrize("seed", range(3))
def test_there_are_at_most_five_events_in_a_second(seed):
    """Arrivals alone are 0.24 s apart; arrivals and turns together 0.2 s."""
    speed = np.abs(np.random.default_rng(seed).normal(size=3000))
    fast = with_events(seen_by_pixels(speed.clip(0, 1.5), np.tile([0, 0, 1, 0, 0, 0], 500)))
    assert np.diff(times_of(fast["event"])).min() >= 0.2 - 1 / RATE
    arrivals = with_events(fast, beat=0.0)
    assert np.diff(times_of(arrivals["event"])).min() >= 0.24 - 1e-6 and len(times_of(arrivals["event"])) > 60


def test_whoever_moves_is_never_without_events_for_long():
    """Strokes become smaller and smaller: to 1/12 of the first ones, on top of a steady slow movement."""
    stops = np.arange(1.0, 24.0, 0.9)
    sizes = np.where(stops < 6, 1.0, 0.08)
    n_frames = 1200
    speed = 0.35 + sum(size * strokes([stop], n_frames) for stop, size in zip(stops, sizes, strict=True))
    controls = with_events(seen_by_pixels(speed))
    moving = controls["activity"] > 0.2
    found = times_of(controls["event"])
    assert moving[50:-50].all() and np.diff(found).max() < 1.5 and found[-1] > 22
    np.testing.assert_allclose(found[found > 7][:-1], stops[stops > 7][: (found > 7).sum() - 1] - 0.1, atol=0.1)


def test_events_stand_out_as_much_as_they_are_strong():
    curve = np.zeros(300)
    curve[[50, 150, 250]] = 1.0, 0.5, 0.1
    found = find_events(curve, RATE)
    assert found.times.tolist() == [1.01, 3.01], "0.1 does not stand out enough"
    assert found.strengths[0] == 1.0 and 0.7 < found.strengths[1] < 0.95
    drawn = event_curve(found, 300, RATE)
    assert drawn[[50, 150]] == pytest.approx(found.strengths) and drawn[100] < 1e-6


# Turns


def beats(period_s, n, spread_s=0.0, missing=(), seed=0):
    times = 0.5 + period_s * np.arange(n) + np.random.default_rng(seed).normal(0, spread_s, n)
    return Events(np.delete(times, missing), np.ones(n - len(missing)))


@pytest.mark.parametrize("period_s", [0.4, 0.6, 1.0])
def test_steady_turns_are_steady_and_stay_in_place(period_s):
    found = steadiness_of(beats(period_s, 20))
    assert found.share.min() > 0.99
    np.testing.assert_allclose(found.on_grid, beats(period_s, 20).times, atol=0.01)


def test_a_turn_that_is_late_is_put_on_the_beat_and_one_that_is_missing_does_no_harm():
    even = beats(0.6, 20)
    times = even.times.copy()
    times[10] += 0.06
    found = steadiness_of(replace(even, times=times))
    assert found.share.min() > 0.9 and found.on_grid[10] == pytest.approx(even.times[10], abs=0.02)
    assert steadiness_of(beats(0.6, 20, missing=(5, 12))).share.min() > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_unsteady_turns_are_not_steady(seed):
    rng = np.random.default_rng(seed)
    times = 0.5 + np.cumsum(np.exp(rng.uniform(np.log(0.35), np.log(1.6), 30)))
    assert steadiness_of(Events(times, np.ones(30))).share.mean() < 0.3
    assert not steadiness_of(Events(times[:4], np.ones(4))).share.any(), "four turns tell nothing"


TURNS, ARRIVALS = beats(0.6, 20, spread_s=0.01), Events(np.arange(0.9, 12, 1.7), np.full(7, 0.8))
UNSTEADY = Events(0.5 + np.cumsum(np.exp(np.random.default_rng(1).uniform(-1, 0.5, 12))), np.ones(12))


def test_turns_count_where_they_are_steady_and_arrivals_elsewhere():
    steady = find_person_events(TURNS, ARRIVALS, 650, RATE)
    np.testing.assert_allclose(steady.times, beats(0.6, 20).times - 0.03, atol=0.02)
    assert find_person_events(UNSTEADY, ARRIVALS, 650, RATE).times.tolist() == ARRIVALS.times.tolist()
    both = Events(np.append(TURNS.times, 13 + UNSTEADY.times), np.ones(32))
    late = Events(np.append(ARRIVALS.times, 13 + ARRIVALS.times), np.full(14, 0.8))
    found = find_person_events(both, late, 1300, RATE).times
    assert found[found < 9] == pytest.approx(steady.times[steady.times < 9], abs=0.05)
    assert set(found[found > 17]) == set(late.times[late.times > 17])


def test_the_knob_takes_arrivals_alone_or_turns_on_an_even_beat():
    gestures_only = find_person_events(TURNS, ARRIVALS, 650, RATE, beat=0.0)
    assert gestures_only.times.tolist() == ARRIVALS.times.tolist()
    even = find_person_events(UNSTEADY, ARRIVALS, 650, RATE, beat=1.0)
    on_grid = steadiness_of(UNSTEADY).on_grid - 0.03
    np.testing.assert_allclose(even.times, np.sort(on_grid[(on_grid >= 0) & (on_grid < 13)]))
    nobody_turns = Events(np.zeros(0), np.zeros(0))
    alone = find_person_events(nobody_turns, ARRIVALS, 650, RATE, beat=1.0)
    assert len(alone.times) == len(ARRIVALS.times), "arrivals are put on a beat where nothing turns"
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(ExpotionError, match="0 \\(gestures\\) to 1"):
            find_person_events(TURNS, ARRIVALS, 650, RATE, beat=wrong)


def test_events_stay_within_the_clip():
    turns = Events(np.arange(0.01, 12, 0.6), np.ones(20))
    for beat in (0.3, 0.5, 1.0):
        found = find_person_events(turns, Events(np.array([11.4]), np.ones(1)), 570, RATE, beat).times
        assert found.min() >= 0 and found.max() < 11.4 and (np.diff(found) >= 0).all()


def test_turns_are_read_back_from_the_pulse_that_was_made_of_them():
    rng = np.random.default_rng(0)
    times, heights = 0.5 + np.cumsum(rng.uniform(0.3, 0.9, 20)), rng.uniform(0.2, 1, 20)
    centres = frame_centres(round(times[-1] * RATE) + 20)
    found = turns_of(pulse_train(centres, times, heights).astype(np.float32), RATE)
    np.testing.assert_allclose(found.times, times, atol=0.004)
    np.testing.assert_allclose(found.strengths, heights, atol=0.03)


# A person


def test_a_nodding_person_has_an_event_at_each_nod_and_is_active_while_nodding():
    times = even_times(30, 20)
    nodding = (0.5 + 0.5 * np.cos(2 * np.pi * 1.5 * times)) * (times < 12)
    controls = extract_controls(stick_person(times, jitter=0.1, pitch=8 * nodding, y=0.1 * nodding))
    found = times_of(controls["event"])
    bottoms = np.arange(2, 17) / 1.5
    assert np.abs(found[:, None] - bottoms).min(axis=0).max() < 0.06
    assert found.max() < 12.5 and np.diff(found[found < 11]).std() < 0.02
    active = controls["activity"]
    assert active[50:550].mean() > 3 * active[700:].mean() and 0 <= active.min() <= active.max() <= 1


def test_events_follow_from_the_other_channels_alone():
    stops, n_frames = gestures()
    controls = with_events(seen_by_pixels(strokes(stops, n_frames)))
    changed = replace(controls, values=controls.values.copy())
    changed.values[:, [CHANNELS.index("event"), CHANNELS.index("activity")]] = 0.7
    np.testing.assert_array_equal(with_events(changed).values, controls.values)
    assert (changed["event"] == np.float32(0.7)).all(), "the controls that are given stay as they are"
    event, activity = person_curves(controls.values, CHANNELS, RATE)
    np.testing.assert_allclose(np.stack([event, activity]), [controls["event"], controls["activity"]], rtol=1e-6)
    with pytest.raises(ExpotionError, match="no channel"):
        with_events(controls.select(["event", "activity", "pulse"]))


@pytest.mark.parametrize("n_frames", [1, 2, 5])
@pytest.mark.parametrize("beat", [0.0, 0.5, 1.0])
def test_a_clip_of_a_few_frames_has_events_and_activity_within_range(n_frames, beat):
    controls = with_events(seen_by_pixels(np.linspace(1.5, 0, n_frames), 1.0), beat)
    for name in ("event", "activity"):
        assert np.isfinite(controls[name]).all() and 0 <= controls[name].min() <= controls[name].max() <= 1
