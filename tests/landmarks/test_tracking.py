"""Choice of one person among several, and what happens when they leave or somebody else comes closer."""

from __future__ import annotations

import numpy as np
import pytest
from astronaut import extract, head_x, needs_models, scene

pytestmark = needs_models


@pytest.mark.parametrize("people, expected", [([(170, 0.6), (480, 0.45)], 170), ([(160, 0.4), (470, 0.6)], 470)])
def test_the_largest_face_is_chosen_with_its_own_body(photo, people, expected):
    landmarks = extract(*[scene(photo, *people)] * 3)
    assert landmarks.face_found.all() and landmarks.body_found.all()
    assert np.abs(head_x(landmarks) - expected).max() < 40
    assert np.abs(landmarks.body[:, :11, 0].mean(1) * 640 - head_x(landmarks)).max() < 20


def test_nobody_takes_over_by_growing_a_little(photo):
    images = [scene(photo, (170, 0.5), (470, 0.42 + 0.012 * step)) for step in range(16)]
    landmarks = extract(*images, frame_rate=5)
    assert landmarks.face_found.all()
    assert np.abs(head_x(landmarks) - 170).max() < 40
    bodies = landmarks.body[landmarks.body_found, 0, 0] * 640
    assert len(bodies) >= 14 and np.abs(bodies - 170).max() < 40


def test_somebody_much_larger_takes_over(photo):
    images = [scene(photo, (150, 0.35))] * 2 + [scene(photo, (150, 0.35), (450, 0.65))] * 10
    x = head_x(extract(*images, frame_rate=3))
    assert np.abs(x[:4] - 150).max() < 40
    assert np.abs(x[-3:] - 450).max() < 40


def test_a_second_after_the_person_leaves_the_next_one_is_followed(photo):
    images = [scene(photo, (170, 0.6), (480, 0.5))] * 3 + [scene(photo, (480, 0.5))] * 9
    landmarks = extract(*images, frame_rate=5)
    assert not landmarks.face_found[3:7].any() and not landmarks.body_found[3:7].any()
    assert landmarks.face_found[-3:].all() and np.abs(head_x(landmarks)[-3:] - 480).max() < 40


def test_after_a_short_absence_the_same_person_is_followed(photo):
    both = scene(photo, (170, 0.5), (480, 0.5))
    first = extract(both)
    left_is_followed = head_x(first)[0] < 320
    gone = scene(photo, (480, 0.5)) if left_is_followed else scene(photo, (170, 0.5))
    landmarks = extract(both, both, gone, gone, both, both, frame_rate=10)
    assert landmarks.face_found.tolist() == [True, True, False, False, True, True]
    assert np.abs(head_x(landmarks)[[0, 1, 4, 5]] - head_x(first)[0]).max() < 10
