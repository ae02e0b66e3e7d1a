"""Fixtures of the tests of `expotion_lite.musicgen`."""

from __future__ import annotations

import pytest

from expotion_lite.musicgen import load


@pytest.fixture(scope="session")
def nano():
    """Nano without an adapter. Tests that change the model load their own."""
    return load("nano")
