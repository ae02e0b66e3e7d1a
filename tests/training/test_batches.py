"""Batches of examples of different lengths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from expotion_lite.musicgen.adapter import AdapterConfig, attach
from expotion_lite.musicgen.loading import load
from expotion_lite.training.batches import collate
from expotion_lite.training.loop import loss_of

pytestmark = pytest.mark.slow


def test_a_batch_is_as_long_as_its_longest_example(examples):
    musicgen, short = load("nano"), examples[0].codes.copy()
    short[:, :, 40:], short[1, :, 30:] = -1, -1
    some = replace(examples[0], codes=short)
    batch = collate(musicgen, some, np.arange(2))
    assert batch.codes.shape[-1] == batch.controls.shape[1] == batch.past.shape[1] == 40
    model = attach(musicgen, AdapterConfig(some.channels, musicgen.model.decoder.config.hidden_size))
    whole = replace(
        batch,
        codes=torch.from_numpy(short[:2].astype(np.int64)),
        controls=torch.from_numpy(some.controls[:2]),
        past=torch.ones(2, short.shape[-1]),
    )
    with torch.no_grad():
        assert torch.allclose(loss_of(model, batch, musicgen.pad), loss_of(model, whole, musicgen.pad), atol=1e-5)
