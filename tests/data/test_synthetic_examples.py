"""Synthetic examples, their cache, and their split into training and validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from expotion_lite.data.examples import check_split
from expotion_lite.data.synthetic import (
    UNDETECTED_EXPRESSIONS,
    cached_synthetic_examples,
    cached_synthetic_split,
    synthetic_examples,
)
from expotion_lite.musicgen.loading import load


def test_examples_are_drawn_once_and_again_when_something_changes(tmp_path, monkeypatch):
    musicgen = replace(load("nano"), window=50)
    whole = synthetic_examples(musicgen, 4, 3_100, 3_100)
    cached = cached_synthetic_examples(musicgen, 4, 3_100, 3_100, tmp_path, part=3)
    assert [path.name[:7] for path in sorted(tmp_path.iterdir())] == ["000000-", "000003-"]
    assert cached.captions == whole.captions and cached.channels == whole.channels
    for name in ("songs", "performers"):
        assert np.array_equal(getattr(cached, name), getattr(whole, name))
    assert np.allclose(cached.controls, whole.controls, atol=1e-3)
    assert (cached.codes == whole.codes).mean() > 0.98  # batches of another size round differently
    with monkeypatch.context() as patched:
        patched.setattr("expotion_lite.data.synthetic.synthetic_examples", None)
        cached_synthetic_examples(musicgen, 4, 3_100, 3_100, tmp_path, part=3)
    monkeypatch.setattr("expotion_lite.data.synthetic.synthetic_examples", lambda *_: whole.pick(np.arange(2)))
    for changed in (
        lambda: cached_synthetic_examples(replace(musicgen, window=40), 4, 3_100, 3_100, tmp_path, part=4),
        lambda: cached_synthetic_examples(musicgen, 3, 3_101, 3_100, tmp_path, part=3),
        lambda: cached_synthetic_examples(musicgen, 2, 3_100, 3_100, tmp_path, part=3),
    ):
        before = len(list(tmp_path.iterdir()))
        changed()
        assert len(list(tmp_path.iterdir())) == before + 1


@pytest.mark.slow
def test_training_and_validation_share_no_song_performer_or_undetected_channel(tmp_path):
    train, held_out = cached_synthetic_split(replace(load("nano"), window=50), 2, tmp_path)
    check_split(train, held_out)
    assert len(train) == 2 and len(held_out) == 32
    assert "smile" in train.channels and not set(UNDETECTED_EXPRESSIONS) & set(train.channels)
