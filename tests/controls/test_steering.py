"""Steering: weights and drawn curves change the channels that they name, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from stick_people import even_times, stick_person

from expotion_lite.controls import GROUPS, Steering, extract_controls, group_of
from expotion_lite.controls.channels import ADAPTER_CHANNELS
from expotion_lite.controls.events import with_events
from expotion_lite.errors import ExpotionError

FOUND_ANEW = ("event", "activity")


@pytest.fixture(scope="module")
def controls():
    """Return the controls of two seconds of nodding."""
    times = even_times(25.0, 2.0)
    return extract_controls(stick_person(times, pitch=8 * np.sin(2 * np.pi * times)), duration_s=2.0)


def test_weights_and_curves_change_what_they_name_and_nothing_else(controls):
    steered = Steering({"head": 2.0, "arms": 0.0}).draw("pulse", [0, 1, 0]).apply(controls)
    for channel in controls.channels:
        before, after = controls[channel], steered[channel]
        if channel == "pulse":
            assert after.max() > 0.95 and after[0] == 0 and abs(int(after.argmax()) - len(after) // 2) <= 1
        elif channel == "arms_missing":
            assert (after == 1).all()
        elif channel not in FOUND_ANEW:
            factor = {"head": 2.0, "arms": 0.0}.get(group_of(channel), 1.0)
            np.testing.assert_allclose(after, factor * before, err_msg=channel)


def test_a_channels_weight_multiplies_the_weight_of_its_group(controls):
    steered = Steering({"head": 0.5}, {"head_pitch": 2.0, "smile": 0.0}).apply(controls)
    np.testing.assert_allclose(steered["head_pitch"], controls["head_pitch"], rtol=1e-6)
    np.testing.assert_allclose(steered["head_yaw"], 0.5 * controls["head_yaw"])
    assert not steered["smile"].any()
    with pytest.raises(ExpotionError, match="no channel 'tail'"):
        Steering(channels={"tail": 1.5}).apply(controls)


@pytest.fixture(scope="module")
def busy():
    """Return the controls of twelve seconds in which a hand waves once a second and the shoulders bounce thrice."""
    times = even_times(30.0, 12.0)
    hand = 0.5 + 0.5 * np.sign(np.sin(np.pi * times)) * np.abs(np.sin(np.pi * times)) ** 0.2
    bounce = 0.06 * np.sin(2 * np.pi * 3 * times) * (times > 6)
    return extract_controls(stick_person(times, right_wrist_y=0.5 * hand, shoulders_y=bounce, jitter=0.1))


def test_events_and_activity_follow_from_what_is_left_of_the_movements(busy):
    """With muted arms there is nothing in the first half."""
    muted = Steering({"arms": 0.0}).apply(busy)
    assert busy["event"][:280].max() > 0.5 and busy["activity"][50:280].mean() > 0.1
    assert muted["event"][:280].max() < 0.1 and muted["activity"][:280].max() < 0.1
    assert muted["event"][320:].max() > 0.5 and muted["activity"][350:].mean() > 0.3
    np.testing.assert_array_equal(with_events(muted).values, muted.values)


def test_weights_of_events_and_drawn_events_come_last(busy):
    halved = Steering({"pulse": 0.5}).apply(busy)
    anew = with_events(halved)
    for name in FOUND_ANEW:
        np.testing.assert_allclose(halved[name], 0.5 * anew[name], atol=1e-6)
    drawn = Steering({"head": 2.0, "arms": 0.5}).draw("event", [0, 1, 0]).apply(busy)
    assert abs(int(drawn["event"].argmax()) - 300) <= 1 and drawn["event"][150] == pytest.approx(0.5, abs=0.01)
    only_drawn = Steering().draw("activity", [0.25, 0.25]).apply(busy)
    assert (only_drawn["activity"] == 0.25).all()
    np.testing.assert_array_equal(only_drawn["event"], busy["event"])


def test_the_beat_goes_from_gestures_to_a_steady_beat(busy):
    for beat in (0.0, 0.3, 1.0):
        np.testing.assert_array_equal(Steering(beat=beat).apply(busy).values, with_events(busy, beat).values)
    assert Steering(beat=0.5).apply(busy) is not busy and Steering() == Steering(beat=0.5)
    gestures, beats = (Steering(beat=beat).apply(busy)["event"] for beat in (0.0, 1.0))
    assert np.abs(gestures - beats).max() > 0.5


@pytest.mark.parametrize(
    ("weights", "drawn", "missing"),
    [
        ({"arms": 0}, {}, False),
        ({"arms": 0, "shoulders": 0}, {}, False),
        ({"arms": 0, "shoulders": 0, "head": 0}, {}, True),
        ({"pulse": 0}, {}, True),
        ({"pulse": 0}, {"event": [0, 1]}, False),
    ],
)
def test_motion_is_flagged_as_missing_when_all_of_it_is_muted(busy, weights, drawn, missing):
    steered = Steering(weights, drawn=drawn).apply(busy)
    assert (steered["motion_missing"] == missing).all()
    if missing and "pulse" in weights:
        assert not steered["event"].any() and not steered["activity"].any()


def test_controls_of_some_channels_alone_can_be_steered(busy):
    """Without the channels that events are found from, only what is named changes."""
    few = busy.select(ADAPTER_CHANNELS)
    steered = Steering({"pulse": 0.5}, {"smile": 2.0}, beat=1.0).apply(few)
    np.testing.assert_allclose(steered["event"], 0.5 * few["event"])
    np.testing.assert_allclose(steered["smile"], 2 * few["smile"])


def test_no_steering_changes_nothing(controls):
    assert Steering().apply(controls).values.tolist() == controls.values.tolist()
    assert {group_of(channel) for channel in controls.channels} == {*GROUPS, None}


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": {"feet": 1}},
        {"weights": {"head": -1}},
        {"weights": {"head": "loud"}},
        {"weights": {"head": float("nan")}},
        {"drawn": {"pulse": [1]}},
        {"drawn": {"pulse": [0, float("inf")]}},
        {"drawn": {"pulse": "up"}},
        {"weights": 3},
        {"channels": {"smile": 3}},
        {"channels": ["smile"]},
        {"beat": -0.1},
        {"beat": 1.5},
        {"beat": "half"},
        {"beat": float("nan")},
    ],
)
def test_steering_that_means_nothing_is_refused(wrong):
    with pytest.raises(ExpotionError):
        Steering(**wrong)
