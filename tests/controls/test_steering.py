"""Steering: weights and drawn curves change the channels that they name, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from stick_people import even_times, stick_person

from expotion_lite.controls import GROUPS, Steering, extract_controls, group_of
from expotion_lite.errors import ExpotionError


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
        else:
            factor = {"head": 2.0, "arms": 0.0}.get(group_of(channel), 1.0)
            np.testing.assert_allclose(after, factor * before, err_msg=channel)


def test_a_channels_weight_multiplies_the_weight_of_its_group(controls):
    steered = Steering({"head": 0.5}, {"head_pitch": 2.0, "smile": 0.0}).apply(controls)
    np.testing.assert_allclose(steered["head_pitch"], controls["head_pitch"], rtol=1e-6)
    np.testing.assert_allclose(steered["head_yaw"], 0.5 * controls["head_yaw"])
    assert not steered["smile"].any()
    with pytest.raises(ExpotionError, match="no channel 'tail'"):
        Steering(channels={"tail": 1.5}).apply(controls)


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
    ],
)
def test_steering_that_means_nothing_is_refused(wrong):
    with pytest.raises(ExpotionError):
        Steering(**wrong)
