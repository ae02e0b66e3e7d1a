"""Training hides captions, videos, modalities, past and future, each in its share of the examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from expotion_lite.controls.channels import CHANNELS, MODALITIES, hide
from expotion_lite.musicgen.codes import inputs_and_labels
from expotion_lite.training.batches import Batch
from expotion_lite.training.hiding import (
    MOST_AHEAD,
    hide_conditions,
    hide_future,
    hide_modalities,
    hide_past,
    mask_past,
)


@pytest.fixture
def batch():
    """Return 400 examples of 100 frames with random controls, of which nothing is hidden."""
    controls = np.random.default_rng(1).random((400, 100, len(CHANNELS)), np.float32)
    return Batch(
        codes=torch.zeros(400, 4, 100, dtype=torch.long),
        controls=torch.from_numpy(controls),
        tokens=torch.zeros(400, 3, dtype=torch.long),
        mask=torch.ones(400, 3, dtype=torch.long),
        video=torch.ones(400),
        past=torch.ones(400, 100),
    )


def test_captions_and_videos_are_hidden_independently(batch):
    hidden = hide_conditions(batch, 0.3, 0.2, np.random.default_rng(0))
    no_text, no_video = hidden.mask.sum(1) == 0, hidden.video == 0
    assert (no_text | (hidden.mask.sum(1) == 3)).all(), "a caption is hidden whole"
    assert 0.25 < no_text.float().mean() < 0.35 and 0.15 < no_video.float().mean() < 0.25
    assert 0.02 < (no_text & no_video).float().mean() < 0.1


def test_one_modality_is_hidden_at_a_time(batch):
    controls = batch.controls.numpy()
    some = hide_modalities(batch, CHANNELS, 0.2, np.random.default_rng(0)).controls.numpy()
    hidden = [(some == hide(controls, CHANNELS, modality)).all((1, 2)) for modality in MODALITIES]
    unchanged = (some == controls).all((1, 2))
    assert (hidden[0].astype(int) + hidden[1] + unchanged == 1).all()
    assert all(0.15 < rows.mean() < 0.25 for rows in hidden)


def test_the_past_is_hidden_in_stretches(batch):
    past = hide_past(batch, 0.5, np.random.default_rng(0)).past
    hidden = 1 - past.mean(1)
    assert 0.45 < (hidden == 0).float().mean() < 0.65, "half of the examples, and some by chance"
    assert hidden.max() > 0.8
    assert (past[:, :16] == past[:, :1]).all(), "a stretch is hidden whole"


def test_the_future_is_hidden_beyond_a_few_frames_and_events_may_be_foreseen(batch):
    hidden = hide_future(batch, 0.4, np.random.default_rng(0))
    some = hidden.ahead >= 0
    assert 0.33 < some.float().mean() < 0.47 and (hidden.ahead[~some] == -1).all()
    assert sorted(set(hidden.ahead[some].tolist())) == list(range(MOST_AHEAD + 1))
    assert 0.4 < hidden.foreseen[some].mean() < 0.6
    assert hidden.to(torch.device("cpu")).ahead is not None and batch.to(torch.device("cpu")).ahead is None


def test_hidden_frames_are_not_read_one_step_later():
    codes = torch.arange(2 * 4 * 50).view(2, 4, 50)
    inputs, _ = inputs_and_labels(codes, 999)
    past = torch.ones(2, 50)
    past[1, 10:12] = 0
    masked = mask_past(inputs, past, 999)
    assert torch.equal(masked[:4], inputs[:4]), "the first example hides nothing"
    changed = (masked[4:] != inputs[4:]).nonzero().tolist()
    assert changed == [[k, step] for k in range(4) for step in (11, 12)] and (masked[4:, 11:13] == 999).all()
