"""Hiding of captions, videos, modalities, past and future from the model in training, and the reasons for it.

A model that always gets everything learns to rely on what is easiest to use. So each training batch hides five things,
in shares of the examples that `TrainingConfig` sets:

- The words (`text_dropout`), and independently the video (`video_dropout`). The model then also learns to predict
  without them. Classifier-free guidance needs these predictions: it amplifies the difference that a condition makes.
- One modality, expression or motion (`modality_dropout`), never both. The model must then use the other one, and so
  learns to use either.
- Stretches of the music so far (`past_dropout`), from none to all of it. Music tells its own next beat, so a model that
  hears all of the past gains little by watching. Word dropout (Bowman et al. 2016, section 3.1) serves the same end.
- What the person will do (`future_dropout`). In live playing it is not known yet: a beat can be foreseen, any other
  movement not.

The first three change the batch's `mask`, `video` and `controls`, the last one its `ahead`. For the past, `Batch.past`
marks the hidden frames, and `mask_past` replaces their codes by the pad token where the decoder reads them. They remain
labels to predict. Held-out losses are measured with nothing hidden, except for the one without a video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from ..controls.channels import MODALITIES, hide
from .batches import Batch

STRETCH = 16  # frames of the past that are hidden together
MOST_AHEAD = 12  # frames that are known ahead where the future is hidden: 0.24 s


def hide_conditions(batch: Batch, text_share: float, video_share: float, rng: np.random.Generator) -> Batch:
    """Hide the caption in a share of the examples, and independently the video in another share."""
    shown = rng.random((2, len(batch.video))) >= np.array([[text_share], [video_share]])
    texts, video = torch.from_numpy(shown)
    return replace(batch, mask=batch.mask * texts[:, None], video=batch.video * video)


def hide_modalities(batch: Batch, channels: Sequence[str], share: float, rng: np.random.Generator) -> Batch:
    """Hide expression in about this share of the examples, and motion in about as many others.

    Args:
        batch: the batch, on the CPU.
        channels: names of its C controls.
        share: 0 to 0.5.
        rng: source of the random draws.
    """
    controls, drawn = batch.controls.numpy().copy(), rng.random(len(batch.controls))
    for i, modality in enumerate(MODALITIES):
        rows = (drawn >= i * share) & (drawn < (i + 1) * share)
        controls[rows] = hide(controls[rows], channels, modality)
    return replace(batch, controls=torch.from_numpy(controls))


def hide_past(batch: Batch, share: float, rng: np.random.Generator) -> Batch:
    """Hide stretches of the music so far in a share of the examples.

    Notebook: notebooks/06_lora_finetuning
    """
    n, frames = batch.past.shape
    return replace(batch, past=draw_past(n, frames, share, rng))


def hide_future(batch: Batch, share: float, rng: np.random.Generator) -> Batch:
    """Hide the future in a share of the examples, from 0 to `MOST_AHEAD` frames ahead on.

    In half of these, events stay, as if they were foreseen.
    """
    n = len(batch.video)
    hidden, foreseen = rng.random((2, n)) < np.array([[share], [0.5]])
    ahead = np.where(hidden, rng.integers(0, MOST_AHEAD + 1, n), -1)
    return replace(batch, ahead=torch.from_numpy(ahead), foreseen=torch.from_numpy(foreseen.astype(np.float32)))


def draw_past(n: int, frames: int, share: float, rng: np.random.Generator) -> torch.Tensor:
    """Draw which frames later frames may read: (n, frames) float32, 1 or 0.

    In a share of the n examples, stretches of `STRETCH` frames are hidden at random. For each such example a share is
    drawn evenly from 0 to 1, and each stretch is hidden with this probability.
    """
    part = rng.random((n, 1)) * (rng.random((n, 1)) < share)
    hidden = rng.random((n, -(-frames // STRETCH))) < part
    return torch.from_numpy((~hidden.repeat(STRETCH, axis=1)[:, :frames]).astype(np.float32))


def mask_past(inputs: torch.Tensor, past: torch.Tensor, pad: int) -> torch.Tensor:
    """Replace the codes of hidden frames in the decoder's input.

    Args:
        inputs: (B * K, S), the first result of `inputs_and_labels`.
        past: (B, T), 0 where a frame is hidden.
        pad: the token to put there.

    Returns:
        (B * K, S). The decoder reads the codes of a step one step later, so the hidden steps are shifted by one.
    """
    shown = F.pad(past, (1, inputs.shape[1] - past.shape[1] - 1), value=1.0)
    return torch.where(shown.repeat_interleave(len(inputs) // len(past), dim=0) > 0, inputs, pad)
