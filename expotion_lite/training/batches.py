"""Training batches: examples put together as tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..musicgen.prompts import respell

if TYPE_CHECKING:
    from ..data.examples import Examples
    from ..musicgen.loading import MusicGen


CROP_FRAMES = 240  # 4.8 s


@dataclass(frozen=True)
class Batch:
    """A batch of B examples.

    Attributes:
        codes: (B, K, T) int64, the music's codes; negative where a short example has none.
        controls: (B, T, C) float32, the person's controls.
        tokens: (B, L) int64, the captions' tokens.
        mask: (B, L) int64, 1 where the model may read a token; all 0 hides the caption.
        video: (B,) float32, 1 shows the video, 0 hides it.
        past: (B, T) float32, 1 where later frames may read this frame's codes, 0 where these are hidden.
        ahead: (B,) int64, how many frames of the controls each frame sees ahead, -1 for all; None shows all.
        foreseen: (B,) float32, 1 where events farther ahead are foreseen; None where all are shown.
    """

    codes: torch.Tensor
    controls: torch.Tensor
    tokens: torch.Tensor
    mask: torch.Tensor
    video: torch.Tensor
    past: torch.Tensor
    ahead: torch.Tensor | None = None
    foreseen: torch.Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Copy the batch to a device."""
        return Batch(**{name: value.to(device) for name, value in vars(self).items() if value is not None})


def collate(musicgen: MusicGen, examples: Examples, rows: np.ndarray) -> Batch:
    """Put examples together, cut to the longest of them. Nothing is hidden yet.

    Args:
        musicgen: the model, whose tokenizer reads the captions.
        examples: the examples to choose from.
        rows: (B,) integers, the numbers of the chosen examples.

    Notebook: notebooks/06_lora_finetuning
    """
    captions = [respell(musicgen, examples.captions[row]) for row in rows]
    tokens = musicgen.processor.tokenizer(captions, return_tensors="pt", padding=True)
    codes = examples.codes[rows]
    longest = int(np.flatnonzero((codes >= 0).any(axis=(0, 1)))[-1]) + 1
    return Batch(
        codes=torch.from_numpy(codes[..., :longest].astype(np.int64)),
        controls=torch.from_numpy(examples.controls[rows, :longest]),
        tokens=tokens.input_ids,
        mask=tokens.attention_mask,
        video=torch.ones(len(rows)),
        past=torch.ones(len(rows), longest),
    )


def crop(batch: Batch, rng: np.random.Generator) -> Batch:
    """Cut the same stretch of `CROP_FRAMES` frames out of every example; in three of ten cases it is the beginning.

    Args:
        batch: T frames; it stays as it is if there are no more than that.
        rng: source of the draws.
    """
    longest_start = batch.codes.shape[-1] - CROP_FRAMES
    if longest_start <= 0:
        return batch
    start = 0 if rng.random() < 0.3 else int(rng.integers(0, longest_start + 1))
    kept = slice(start, start + CROP_FRAMES)
    return replace(batch, codes=batch.codes[..., kept], controls=batch.controls[:, kept], past=batch.past[:, kept])
