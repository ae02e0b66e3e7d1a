"""The cards of the studio: the steering that they show, and the takes that they offer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("anywidget", reason="the notebook extra is not installed: pip install -e '.[notebooks]'")

from expotion_lite.controls import Steering
from expotion_lite.studio.panels import SteerPanel, TakesPanel


def test_each_channel_keeps_its_drawn_curve(gesture):
    panel = SteerPanel()
    panel.reset_curve(gesture.controls)
    panel.curve.values = [0.5] * len(panel.curve.values)
    panel.channel.value = "smile"
    assert not panel.curve.is_drawn and set(panel.steering().drawn) == {"event"}
    panel.curve.values = [1.0] * len(panel.curve.values)
    assert set(panel.steering().drawn) == {"event", "smile"}
    panel.channel.value = "event"
    assert panel.curve.values[0] == 0.5 and set(panel.steering().drawn) == {"event", "smile"}


def test_single_channels_have_weights_of_their_own(gesture):
    panel = SteerPanel()
    panel.reset_curve(gesture.controls)
    panel.weighted_channel.value = "smile"
    panel.channel_weight.value = 0.0
    panel.weighted_channel.value = "head_pitch"
    assert panel.channel_weight.value == 1.0
    panel.channel_weight.value = 2.0
    assert panel.steering() == Steering(channels={"smile": 0.0, "head_pitch": 2.0})
    assert "smile 0.0, head_pitch 2.0" in panel.channel_weights.value
    panel.channel_weight.value = 1.0
    assert panel.steering() == Steering(channels={"smile": 0.0})


def test_a_muted_group_has_weight_0():
    panel = SteerPanel()
    panel.mutes["arms"].value = True
    panel.weights["head"].value = 0.5
    assert panel.steering() == Steering({"arms": 0.0, "head": 0.5})


def test_a_slider_goes_from_gestures_to_a_steady_beat():
    panel = SteerPanel()
    assert panel.steering() == Steering() and (panel.beat.min, panel.beat.max, panel.beat.step) == (0, 1, 0.05)
    panel.beat.value = 0.85
    assert panel.steering() == Steering(beat=0.85)
    panel.mutes["arms"].value = True
    assert panel.steering() == Steering({"arms": 0.0}, beat=0.85)


def test_the_newest_takes_become_a_and_b_until_another_b_is_chosen():
    panel = TakesPanel()
    takes = [SimpleNamespace(name=f"take {n}") for n in range(4)]
    panel.list_takes(takes[:2])
    assert (panel.a.value, panel.b.value) == (1, 0)
    panel.list_takes(takes[:3])
    assert (panel.a.value, panel.b.value) == (2, 1)
    panel.b.value = 0
    panel.list_takes(takes)
    assert (panel.a.value, panel.b.value) == (3, 0)
