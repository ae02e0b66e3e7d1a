"""An auxiliary loss for the adapter: it must tell the key's mode from the face.

Whether music is major or minor changes few of its codes. An adapter that is trained on codes alone therefore hardly
learns to read the mode from a smile. The language model was asked for the third above the tonic, given words for tonic
and mood (`language_training.key_logits`); its harmony probe is kept. Here the adapter is asked the same, with a face in
place of the mood. It is asked in short windows, in which the music so far tells little of the mode.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from ..errors import ExpotionError
from ..musicgen.adapter import conditioned, embed_controls, frames_to_steps
from ..musicgen.codes import inputs_and_labels
from ..synthetic import band
from ..training.batches import Batch
from ..training.hiding import draw_past, mask_past
from .language_data import tokenize, tonic_and_third
from .language_model import PIECE_S
from .language_training import HARMONY_PROBE

if TYPE_CHECKING:
    from peft import PeftModel

    from ..data.examples import Examples
    from ..musicgen.loading import MusicGen

WINDOWS, WINDOW_FRAMES = 32, 32  # windows per step, and their length
CONTEXT = 24  # frames that the adapter reads before and after a frame
THIRD_WEIGHT = 0.5  # of the third's loss; that of the codes weighs 1


def load_harmony_probe(folder: str | Path) -> torch.nn.Linear:
    """Load the linear layer that reads the harmony off a nano's last states, frozen.

    Raises:
        ExpotionError: the folder holds none.
    """
    from safetensors.torch import load_file

    path = Path(folder) / HARMONY_PROBE
    if not path.is_file():
        raise ExpotionError(
            f"{folder} holds no {HARMONY_PROBE}; name a nano that `expotion_lite.lab.pretraining` trained."
        )
    tensors = load_file(path)
    probe = torch.nn.Linear(*tensors["weight"].shape[::-1])
    probe.load_state_dict(tensors)
    return probe.requires_grad_(False)


def window_losses(
    model: PeftModel,
    harmony_probe: torch.nn.Linear,
    batch: Batch,
    first: torch.Tensor,
    thirds: torch.Tensor,
    pad: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the losses of the codes and of the third in short windows, given the people and captions with the tonic.

    Args:
        model: the model with its adapter.
        harmony_probe: from `load_harmony_probe`.
        batch: codes (B, K, T), and controls (B, T + 2 * `CONTEXT`, C) that begin and end `CONTEXT` frames further out.
        first: (B,) bool, which windows are the first of their clips, see `embed_windows`.
        thirds: (B,) int64, pitch classes of the thirds.
        pad: the model's pad token.

    Returns:
        (cross-entropy of the codes, cross-entropy of the third in each frame), in nats
    """
    inputs, labels = inputs_and_labels(batch.codes, pad)
    with conditioned(model, frames_to_steps(embed_windows(model, batch.controls, first), labels.shape[2])):
        out = model(
            input_ids=batch.tokens,
            attention_mask=batch.mask,
            labels=labels,
            output_hidden_states=True,
            decoder_input_ids=mask_past(inputs, batch.past, pad),
            use_cache=False,
        )
    states = out.decoder_hidden_states[-1][:, : batch.past.shape[1]].float()
    third = harmony_probe(states).mT.chunk(3, dim=1)[2]
    return out.loss.float(), F.cross_entropy(third, thirds[:, None].expand(-1, third.shape[2]))


def embed_windows(model: PeftModel, controls: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """Compute the visual embeddings of windows as if the adapter saw their whole clips.

    Args:
        model: the model with its adapter.
        controls: (B, `CONTEXT` + T + `CONTEXT`, C).
        first: (B,) bool, where the clip begins with the window, so that no frames come before it.

    Returns:
        (B, T, D)
    """
    within = embed_controls(model, controls)[:, CONTEXT:-CONTEXT]
    beginning = embed_controls(model, controls[:, CONTEXT:])[:, :-CONTEXT]
    return torch.where(first[:, None, None], beginning, within)


def key_loss_from_faces(
    musicgen: MusicGen, examples: Examples, harmony_probe: torch.nn.Linear, seed: int = 0, every: int = 4
) -> Callable[[PeftModel, int], torch.Tensor | None]:
    """Make the extra loss for `training.train_adapter`: that of `window_losses` on random windows of the examples.

    Half of the windows are the first of their clips, since music tends to keep the mode in which it begins.

    Args:
        musicgen: the model in training.
        examples: their songs are seeds of the band's pieces.
        harmony_probe: from `load_harmony_probe`.
        seed: determines which windows are drawn.
        every: compute the loss in one of this many steps, since it takes as long as the rest of a step.
    """
    harmony_probe, tokenizer = harmony_probe.to(musicgen.model.device), musicgen.processor.tokenizer
    compose = lru_cache(maxsize=None)(band.compose)  # each song is asked for many times

    def loss(model: PeftModel, i: int) -> torch.Tensor | None:
        if i % every:
            return None
        rng = np.random.default_rng([21, seed, i])
        rows = rng.integers(len(examples), size=WINDOWS)
        first = np.arange(WINDOWS) < WINDOWS // 2
        last_start = examples.controls.shape[1] - WINDOW_FRAMES - CONTEXT
        starts = rng.integers(CONTEXT, last_start + 1, size=WINDOWS) * ~first
        captions, thirds = [], []
        for song in examples.songs[rows]:
            piece = compose(int(song), PIECE_S)
            captions.append(band.describe(piece, rng, tempo=False, mood=False, key=True))
            thirds.append(tonic_and_third(piece)[1])
        tokens, mask = tokenize(tokenizer, captions)
        codes = _cut(examples.codes[rows].swapaxes(1, 2), starts, WINDOW_FRAMES).swapaxes(1, 2)
        controls = np.pad(examples.controls[rows], ((0, 0), (CONTEXT, 0), (0, 0)))
        batch = Batch(
            codes=torch.from_numpy(codes.astype(int)),
            controls=torch.from_numpy(_cut(controls, starts, WINDOW_FRAMES + 2 * CONTEXT)),
            tokens=tokens,
            mask=mask,
            video=torch.ones(WINDOWS),
            past=draw_past(WINDOWS, WINDOW_FRAMES, 1.0, rng),
        ).to(musicgen.model.device)
        device = batch.codes.device
        codes_loss, third_loss = window_losses(
            model,
            harmony_probe,
            batch,
            torch.from_numpy(first).to(device),
            torch.tensor(thirds, device=device),
            musicgen.pad,
        )
        return codes_loss + THIRD_WEIGHT * third_loss

    return loss


def _cut(values: np.ndarray, starts: np.ndarray, size: int) -> np.ndarray:
    """Cut from each of N rows (N, T, C) the window that begins at its start (N,): (N, size, C)."""
    return values[np.arange(len(values))[:, None], starts[:, None] + np.arange(size)]
