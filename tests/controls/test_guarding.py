"""The guard of the adapter's input: bumps and real faces' ranges, whatever was given, and emphasis near events."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import find_peaks

from expotion_lite.controls.channels import ADAPTER_CHANNELS, Controls
from expotion_lite.controls.events import Events, event_curve
from expotion_lite.controls.guarding import emphasis_of, guard

FRAMES = 600
TIMES = np.array([1.0, 1.5, 2.1, 8.0, 8.4])
EVENT, ACTIVITY, SMILE, FACE_MISSING, MOTION_MISSING = (
    ADAPTER_CHANNELS.index(name) for name in ("event", "activity", "smile", "face_missing", "motion_missing")
)


def person(**columns):
    """Return controls with events at TIMES, activity around them, and the given channels."""
    values = np.zeros((FRAMES, len(ADAPTER_CHANNELS)), np.float32)
    values[:, EVENT] = event_curve(Events(TIMES, np.ones(len(TIMES))), FRAMES, 50.0)
    values[50:120, ACTIVITY] = values[390:430, ACTIVITY] = 0.6
    for name, column in columns.items():
        values[:, ADAPTER_CHANNELS.index(name)] = column
    return Controls(values, ADAPTER_CHANNELS, 50.0, np.ones(FRAMES, bool))


def test_people_stay_as_they_are():
    controls = person(smile=np.linspace(-0.3, 1.0, FRAMES), expression_energy=0.5)
    np.testing.assert_allclose(guard(controls).values, controls.values, atol=1e-3)
    few = controls.select(["smile", "event"])
    np.testing.assert_array_equal(guard(few).values, few.values)


@pytest.mark.parametrize("seed", range(3))
def test_noise_becomes_bumps_and_extreme_faces_real_ones(seed):
    rng = np.random.default_rng(seed)
    noise = person(event=rng.random(FRAMES), smile=rng.normal(0, 2, FRAMES), expression_energy=rng.normal(0, 2, FRAMES))
    given = noise.values.copy()
    guarded = guard(noise)
    assert np.array_equal(noise.values, given), "the controls themselves stay"
    event = guarded["event"]
    assert np.abs(np.diff(event)).max() < 0.3 and np.diff(find_peaks(event)[0]).min() >= 10
    assert guarded["smile"].min() >= -0.35 and guarded["smile"].max() <= 1.1
    assert guarded["expression_energy"].min() >= 0 and guarded["expression_energy"].max() <= 1


@pytest.mark.parametrize("height", [0.5, 1.0])
def test_a_constant_is_nobody_who_moves(height):
    guarded = guard(person(event=height, activity=height))
    assert not guarded["event"].any() and not guarded["activity"].any() and not emphasis_of(guarded).any()


def test_a_curve_of_square_blocks_has_its_events():
    blocks = np.zeros(FRAMES)
    for time in TIMES:
        blocks[round(50 * time) - 3 : round(50 * time) + 3] = 1
    found = (find_peaks(guard(person(event=blocks))["event"], height=0.1)[0] + 0.5) / 50
    np.testing.assert_allclose(found, TIMES, atol=0.03)


def test_the_video_is_magnified_within_two_seconds_of_an_event():
    emphasis = emphasis_of(person())
    assert emphasis.dtype == np.float32 and emphasis.shape == (FRAMES,)
    assert emphasis[:180].min() > 0.99 and emphasis[260:270].max() < 0.01 and emphasis[340:480].min() > 0.99


def test_a_face_without_a_body_counts_and_nobody_does_not():
    face = person(event=0, motion_missing=1)
    nobody = person(event=0, motion_missing=1, face_missing=1)
    assert emphasis_of(face).min() == 1 and not emphasis_of(nobody).any()
