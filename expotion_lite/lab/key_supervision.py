"""What a face says of the key: an adapter in training is asked for it, as the language model was asked of words.

Whether music is major or minor changes few of its codes, so that an adapter that is told to foretell codes alone hardly
learns to see it in a smile. The language model has been asked which third lies above the tonic that words name
(`language_training.key_told`); what it makes of mood words there, the adapter now has to make of a face. It is asked in
short windows, in which the music so far tells little of it, beside the codes of these windows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from ..errors import ExpotionError
from ..musicgen.adapter import conditioned, embed_controls, to_steps
from ..musicgen.codes import inputs_and_labels
from ..synthetic import band
from ..training.loop import Batch, heard_past, without_hidden
from .language_training import EAR, PIECE_S, tonic_and_third

if TYPE_CHECKING:
    from ..data.examples import Examples
    from ..musicgen.loading import MusicGen

FACES, FRAMES = 32, 32  # windows a step, and their length
THIRD_WEIGHT = 0.5  # of the third's error beside that of the codes
AROUND = 24  # frames that the adapter looks at before and after


def load_ear(folder: str | Path) -> torch.nn.Linear:
    """What read the harmony off a nano's last states while it was trained.

    Raises:
        ExpotionError: the folder holds none.
    """
    from safetensors.torch import load_file

    path = Path(folder) / EAR
    if not path.is_file():
        raise ExpotionError(f"{folder} holds no {EAR}; name a nano that `expotion_lite.lab.pretraining` trained.")
    tensors = load_file(path)
    ear = torch.nn.Linear(*tensors["weight"].shape[::-1])
    ear.load_state_dict(tensors)
    return ear.requires_grad_(False)


def seen_losses(
    model: Any, ear: torch.nn.Linear, batch: Batch, first: torch.Tensor, thirds: torch.Tensor, pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """How badly a model foretells codes of short windows, and the third, where it sees the people and reads the tonic.

    Args:
        model: the `peft.PeftModel` of `adapter.attach`. ear: from `load_ear`.
        batch: codes (B, K, T), and controls (B, T + 2 * `AROUND`, C) that begin and end so much earlier and later.
        first: (B,) bool, which windows are the first of their clips, see `embed_windows`.
        thirds: (B,) pitch classes. pad: the model's pad token.

    Returns:
        (cross-entropy in nats a code, in nats a frame)
    """
    inputs, labels = inputs_and_labels(batch.codes, pad)
    with conditioned(model, to_steps(embed_windows(model, batch.controls, first), labels.shape[2])):
        out = model(
            input_ids=batch.tokens, attention_mask=batch.mask, labels=labels, output_hidden_states=True,
            decoder_input_ids=without_hidden(inputs, batch.past, pad), use_cache=False,
        )  # fmt: skip
    states = out.decoder_hidden_states[-1][:, : batch.past.shape[1]].float()
    third = ear(states).mT.chunk(3, dim=1)[2]
    return out.loss.float(), F.cross_entropy(third, thirds[:, None].expand(-1, third.shape[2]))


def embed_windows(model: Any, controls: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """What the model's visual adapter makes of windows, as if it saw their clips whole: (B, T, D).

    controls: (B, `AROUND` + T + `AROUND`, C). first: (B,) bool, where a clip begins with the window: nothing is before.
    """
    within = embed_controls(model, controls)[:, AROUND:-AROUND]
    begun = embed_controls(model, controls[:, AROUND:])[:, :-AROUND]
    return torch.where(first[:, None, None], begun, within)


def faces_tell(
    musicgen: MusicGen, examples: Examples, ear: torch.nn.Linear, seed: int = 0
) -> Callable[[Any, int], torch.Tensor]:
    """What `training.finetune` is to lower also: the losses of `seen_losses` on windows of these examples.

    Half of the windows are the first of their clips: a mode that music begins in it keeps.

    Args:
        musicgen: the model. examples: whose songs are pieces of the band. ear: from `load_ear`.
        seed: of which windows are drawn.
    """
    ear, tokenizer = ear.to(musicgen.model.device), musicgen.processor.tokenizer

    def loss(model: Any, i: int) -> torch.Tensor:
        rng = np.random.default_rng([21, seed, i])
        picks = rng.integers(len(examples), size=FACES)
        first = np.arange(FACES) < FACES // 2
        starts = rng.integers(AROUND, examples.controls.shape[1] - FRAMES - AROUND + 1, size=FACES) * ~first
        captions, thirds = [], []
        for song in examples.songs[picks]:
            piece = band.compose(int(song), PIECE_S)
            captions.append(band.describe(piece, rng, tempo=False, mood=False, key=True))
            thirds.append(tonic_and_third(piece)[1])
        read = tokenizer(captions, return_tensors="pt", padding=True)
        controls = np.pad(examples.controls[picks], ((0, 0), (AROUND, 0), (0, 0)))
        batch = Batch(
            torch.from_numpy(_windows(examples.codes[picks].swapaxes(1, 2), starts, FRAMES).swapaxes(1, 2).astype(int)),
            torch.from_numpy(_windows(controls, starts, FRAMES + 2 * AROUND)),
            read.input_ids,
            read.attention_mask,
            torch.ones(FACES),
            heard_past(FACES, FRAMES, 1.0, rng),
        ).to(musicgen.model.device)
        asked = (torch.from_numpy(values).to(batch.codes.device) for values in (first, np.array(thirds)))
        codes, third = seen_losses(model, ear, batch, *asked, musicgen.pad)
        return codes + THIRD_WEIGHT * third

    return loss


def _windows(values: np.ndarray, starts: np.ndarray, size: int) -> np.ndarray:
    """From each of N rows (N, T, C) the window that begins at its start (N,): (N, size, C)."""
    return values[np.arange(len(values))[:, None], starts[:, None] + np.arange(size)]
