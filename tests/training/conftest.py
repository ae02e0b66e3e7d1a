"""Fixtures of the tests of `expotion_lite.training`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expotion_lite.data.synthetic import synthetic_examples
from expotion_lite.musicgen.loading import load


@pytest.fixture(scope="session")
def examples():
    """Return eight examples of 3 s to train with, and eight that are held out."""
    musicgen = replace(load("nano"), window=150)
    return synthetic_examples(musicgen, 8, 3_100, 3_100), synthetic_examples(musicgen, 8, 3_200, 3_200)
