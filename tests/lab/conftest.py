"""Fixtures of the tests of `expotion_lite.lab`."""

from __future__ import annotations

import pytest

from expotion_lite.lab.codec_training import new_codec
from expotion_lite.lab.language_model import new_musicgen, new_tokenizer


@pytest.fixture(scope="session")
def tokenizer():
    """Return nano's tokenizer, made from fewer captions."""
    return new_tokenizer(n_captions=200)


@pytest.fixture
def tiny_codec():
    """Return an untrained codec with codebooks of 16 entries."""
    return new_codec(filters=4, codebook_size=16).eval()


@pytest.fixture
def tiny_model(tiny_codec, tokenizer):
    """Return an untrained language model of one layer."""
    return new_musicgen(tiny_codec, len(tokenizer), width=64, layers=1)
