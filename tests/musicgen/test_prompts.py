"""Prompts: nano's vocabulary is case-sensitive, prompts need not be."""

from __future__ import annotations

import pytest

from expotion_lite.musicgen import unknown_words
from expotion_lite.musicgen.prompts import respell


@pytest.mark.parametrize(
    "prompt", ["Slow Piano with drums in D", "slow piano with DRUMS in d.", "slow piano with Drums in D"]
)
def test_words_are_known_in_any_case(nano, prompt):
    assert unknown_words(nano, prompt) == () and unknown_words(nano, prompt + " and Bach") == ("bach",)
    assert {"drums", "D"} <= {word.rstrip(".") for word in respell(nano, prompt).split()}
