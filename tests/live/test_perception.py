"""Perception of the last seconds: frames in any order, bounded memory, and the same controls as of a recording."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from expotion_lite.controls import extract_controls
from expotion_lite.errors import ExpotionError
from expotion_lite.live import RecentControls, RecentLandmarks
from expotion_lite.synthetic.band import compose
from expotion_lite.synthetic.camera import to_landmarks
from expotion_lite.synthetic.people import draw_performer
from expotion_lite.synthetic.performer import perform


@pytest.fixture(scope="module")
def landmarks():
    performer = replace(draw_performer(3), face_seen=True, body_seen=True, frame_rate=25.0, uneven=False)
    seen = to_landmarks(perform(compose(5, 12.0), performer), performer)
    return replace(seen, times=seen.times + 100.0)


def _shown(landmarks, order):
    recent = RecentLandmarks()
    for i in order:
        recent.add(landmarks.part(i, i + 1))
    return recent


def test_it_is_what_a_recording_of_the_last_seconds_would_be(landmarks):
    seen = _shown(landmarks, range(len(landmarks.times))).recent()
    first = int(np.searchsorted(landmarks.times, seen.start_s - 1e-6))
    assert 7.9 < landmarks.times[-1] - landmarks.times[first] <= 8.0
    part = landmarks.part(first, len(landmarks.times))
    expected = extract_controls(replace(part, times=part.times - part.times[0]))
    np.testing.assert_allclose(seen.controls.values, expected.values, atol=1e-5)
    assert seen.start_s == pytest.approx(part.times[0]) and seen.end_s == pytest.approx(112.0, abs=0.05)


def test_late_frames_are_put_in_order_and_frames_that_come_twice_count_once(landmarks):
    n = len(landmarks.times)
    order = list(range(n))
    order[50], order[53] = order[53], order[50]
    shuffled = _shown(landmarks, [*order, 5, 120, 121]).recent()
    np.testing.assert_array_equal(shuffled.controls.values, _shown(landmarks, range(n)).recent().controls.values)


def test_lost_frames_and_a_person_who_leaves_are_told(landmarks):
    kept = np.flatnonzero(np.random.default_rng(1).random(len(landmarks.times)) < 0.6)
    assert np.isfinite(_shown(landmarks, kept).recent().controls.values).all()
    nobody = replace(
        landmarks,
        face_found=np.zeros_like(landmarks.face_found),
        body_found=np.zeros_like(landmarks.body_found),
        face=np.full_like(landmarks.face, np.nan),
        body=np.full_like(landmarks.body, np.nan),
    )
    recent = _shown(landmarks, range(200))
    for i in range(200, 230):
        recent.add(nobody.part(i, i + 1))
    seen = recent.recent().controls
    assert seen.found[:330].all() and not seen.found[-50:].any()


def test_too_little_is_nothing_and_a_camera_that_changes_its_size_begins_anew(landmarks):
    assert RecentLandmarks().recent() is None and _shown(landmarks, range(3)).recent() is None
    recent = _shown(landmarks, range(100))
    for i in range(100, 103):
        recent.add(replace(landmarks.part(i, i + 1), width=landmarks.width * 2))
    assert recent.recent() is None
    recent.add(replace(landmarks.part(103, 104), width=landmarks.width * 2))
    assert recent.recent().start_s == pytest.approx(landmarks.times[100])


def test_several_frames_at_once_are_refused(landmarks):
    with pytest.raises(ExpotionError, match="one by one"):
        RecentLandmarks().add(landmarks.part(0, 2))


def test_recorded_controls_show_nothing_of_the_future(landmarks):
    controls = extract_controls(replace(landmarks, times=landmarks.times - 100.0))
    eyes = RecentControls(controls)
    assert eyes.recent() is None
    eyes.now_s = 9.0
    seen = eyes.recent()
    assert seen.start_s == pytest.approx(1.0) and seen.end_s == pytest.approx(9.0)
    column = controls.channels.index("head_pitch")
    np.testing.assert_array_equal(seen.controls.values[:, column], controls.values[50:450, column])
