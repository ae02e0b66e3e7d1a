"""Advice on recordings that are hard to follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stick_people import stick_person

from expotion_lite.landmarks import Landmarks, extract_landmarks
from expotion_lite.landmarks.advice import advice_on
from expotion_lite.video import Frame

TIMES = np.arange(0, 4, 0.04)


def of_photo(image: np.ndarray) -> Landmarks:
    """Find the person in a picture that is shown for a second."""
    frames = [Frame(np.ascontiguousarray(image), index / 12) for index in range(12)]
    return extract_landmarks(frames, progress=False)


def test_a_good_recording_needs_none(photo):
    assert advice_on(of_photo(photo)) == []


@pytest.mark.parametrize(("turns", "words"), [(1, "on its side"), (2, "upside down"), (3, "on its side")])
def test_a_turned_picture_is_told(photo, turns, words):
    (line,) = (line for line in advice_on(of_photo(np.rot90(photo, turns))) if "stands" in line)
    assert words in line


def test_a_dark_picture_is_told(photo):
    assert "dark, 5% of full brightness" in " ".join(advice_on(of_photo((photo * 0.12).astype(np.uint8))))


def test_few_frames_are_told():
    assert "2.0 frames a second" in " ".join(advice_on(stick_person(np.arange(0, 10, 0.5))))


def test_the_share_in_which_nobody_was_found_is_told():
    person = stick_person(TIMES)
    seen = np.arange(len(TIMES)) < 48
    half = replace(person, face_found=person.face_found & seen, body_found=person.body_found & seen)
    assert advice_on(half)[0].startswith("A person was found in 48% of the frames")
