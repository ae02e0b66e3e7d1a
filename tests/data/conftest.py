"""A model with short windows, and landmarks without MediaPipe."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recorded import nodding

from expotion_lite.musicgen.loading import load


@pytest.fixture(scope="session")
def musicgen():
    """Nano with windows of 2 s."""
    return replace(load("nano"), window=100)


@pytest.fixture
def quick_landmarks(monkeypatch):
    """Replace MediaPipe by landmarks of a person who nods; return the list of the videos that they were taken from."""
    asked = []

    def extract_landmarks(video, **options):
        asked.append(video)
        return nodding(video, **options)

    monkeypatch.setattr("expotion_lite.landmarks.extraction.extract_landmarks", extract_landmarks)
    return asked
