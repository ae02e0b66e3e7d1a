"""Batches of examples of different lengths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from expotion_lite.musicgen.adapter import AdapterConfig, attach
from expotion_lite.musicgen.loading import load
from expotion_lite.training.batches import CROP_FRAMES, Batch, collate, crop
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


def numbered_batch(frames):
    """Return a batch whose values tell their example and frame."""
    numbers = torch.arange(frames) + 10_000 * torch.arange(3)[:, None]
    codes, tokens = numbers[:, None].expand(3, 4, frames), torch.ones(3, 2, dtype=torch.long)
    return Batch(codes, numbers[..., None].float(), tokens, tokens, torch.ones(3), numbers.float())


def test_a_crop_is_the_same_stretch_of_codes_controls_and_past():
    batch, starts = numbered_batch(500), []
    for seed in range(200):
        cut = crop(batch, np.random.default_rng(seed))
        start = int(cut.codes[0, 0, 0])
        assert cut.codes.shape == (3, 4, CROP_FRAMES)
        for part in (cut.codes[:, 0], cut.controls[..., 0], cut.past):
            assert torch.equal(part.long(), batch.codes[:, 0, start : start + CROP_FRAMES])
        assert cut.tokens is batch.tokens and cut.mask is batch.mask and cut.video is batch.video
        starts.append(start)
    assert 0.2 < np.mean(np.array(starts) == 0) < 0.45, "the beginning more often than chance"
    assert max(starts) > 500 - CROP_FRAMES - 20 and max(starts) <= 500 - CROP_FRAMES


def test_what_is_short_is_not_cropped():
    for frames in (CROP_FRAMES, 30):
        assert crop(numbered_batch(frames), np.random.default_rng(0)).codes.shape[-1] == frames
