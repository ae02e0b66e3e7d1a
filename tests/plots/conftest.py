"""A person who nods, and figures that every test closes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expotion_lite import Landmarks
from expotion_lite.synthetic import draw_performer, perform, to_landmarks
from expotion_lite.synthetic.band import compose


@pytest.fixture(autouse=True)
def _closed():
    """Close all figures after each test."""
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="session")
def nodder() -> Landmarks:
    """Return six seconds of nodding at 100 beats per minute, with the face found in every frame."""
    steady = {"lead": "nod", "every": 1, "offbeat": False, "uneven": False, "frame_rate": 25.0, "losses_per_s": 0.0}
    seen = {"nod_deg": 15.0, "timing_sd_s": 0.0, "face_seen": True, "body_seen": True, "size": (160, 120)}
    person = replace(draw_performer(3), **steady, **seen)
    return to_landmarks(perform(compose(1, 6.0, tempo_bpm=100.0), person), person)
