"""Training of nano's text encoder on captions alone, before it sees any music.

The encoder learns to predict facts about the piece that a caption describes: tempo, style, tonic, mode, energy and
instruments. A text encoder that is trained from scratch on music alone learns slowly what changes the next code little,
such as the number of a tempo. Asked for the tempo itself, it learns it in minutes. Captions need no audio, so they cost
next to nothing.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers import MusicgenForConditionalGeneration, T5Tokenizer

from ..synthetic import band
from ..synthetic.harmony import BRIGHT, KEYS
from ..synthetic.instruments import INSTRUMENTS
from ..training.checkpoints import train_for
from .loaders import WORKERS, prefetch_with_workers
from .optimizers import new_optimizer

STAGE = "reading"  # names the checkpoint and the lines of the log
TEMPI = 50.0 * 1.03 ** np.arange(48)  # bpm, 50 to 200: classes 3 % apart
INSTRUMENT_NAMES = (*INSTRUMENTS, "drums")
WORDINGS = 4  # captions per piece
PIECE_S = 4.0  # any length will do: captions do not name it
FIRST_SEED = 800_000_000  # pieces from this seed on only get captions; none is ever played


class CaptionEncoderProbe(torch.nn.Module):
    """A MusicGen's text encoder with linear heads that predict the facts about a piece from its caption.

    The heads read what the decoder will read: the encoder's states, projected to the decoder's width. They are thrown
    away after the training.
    """

    def __init__(self, model: MusicgenForConditionalGeneration) -> None:
        """Put heads on the text encoder of `model`, which is trained in place."""
        super().__init__()
        self.text_encoder = model.text_encoder
        self.enc_to_dec_proj = getattr(model, "enc_to_dec_proj", torch.nn.Identity())  # only where the widths differ
        self.sizes = (len(TEMPI), len(band.STYLES), len(KEYS), 1, 1, len(INSTRUMENT_NAMES))
        self.heads = torch.nn.Linear(model.decoder.config.hidden_size, sum(self.sizes))

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Predict the facts from tokens (B, L) with mask (B, L).

        Returns:
            (logits of tempo (B, 48), style (B, S), tonic (B, 12) and minor (B, 1); energy (B, 1); logits of the
            instruments (B, P))
        """
        states = self.enc_to_dec_proj(self.text_encoder(input_ids=tokens, attention_mask=mask).last_hidden_state)
        mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.heads(mean).split(self.sizes, dim=-1)

    def loss(self, tokens: torch.Tensor, mask: torch.Tensor, facts: dict[str, torch.Tensor]) -> torch.Tensor:
        """Compute the sum of the heads' losses, given the facts that `caption_batch` returns."""
        tempo, style, tonic, minor, energy, instruments = self(tokens, mask)
        return (
            F.cross_entropy(tempo, facts["tempo"])
            + F.cross_entropy(style, facts["style"])
            + F.cross_entropy(tonic, facts["tonic"])
            + F.binary_cross_entropy_with_logits(minor[:, 0], facts["minor"])
            + F.mse_loss(energy[:, 0], facts["energy"])
            + F.binary_cross_entropy_with_logits(instruments, facts["instruments"])
        )


def caption_batch(first_seed: int, size: int, i: int) -> tuple[list[str], dict[str, torch.Tensor]]:
    """Make batch number i: `WORDINGS` captions for each of `size` pieces, which no other batch has, and their facts.

    Returns:
        (B captions, with B = size * `WORDINGS`; the facts: "tempo", "style" and "tonic" (B,) int64, "minor" and
        "energy" (B,) float32, "instruments" (B, P) float32)
    """
    styles, captions, facts = list(band.STYLES), [], []
    for seed in range(first_seed + i * size, first_seed + (i + 1) * size):
        piece = band.compose(seed, PIECE_S)
        fact = (
            np.abs(np.log(TEMPI / piece.tempo_bpm)).argmin(),
            styles.index(piece.style),
            KEYS.index(piece.key),
            piece.mode not in BRIGHT,
            piece.energy.mean(),
            np.isin(INSTRUMENT_NAMES, piece.instruments),
        )
        for wording in range(WORDINGS):
            captions.append(band.describe(piece, np.random.default_rng([seed, 2 + wording]), key=bool(wording % 2)))
            facts.append(fact)
    columns = [torch.from_numpy(np.array(column)) for column in zip(*facts, strict=True)]
    kinds = 3 * (torch.int64,) + 3 * (torch.float32,)
    names = ("tempo", "style", "tonic", "minor", "energy", "instruments")
    return captions, {name: c.to(kind) for name, c, kind in zip(names, columns, kinds, strict=True)}


def train_caption_encoder(
    model: MusicgenForConditionalGeneration,
    tokenizer: T5Tokenizer,
    folder: Path,
    hours: float,
    *,
    size: int = 16,
    workers: int = WORKERS,
) -> None:
    """Train the text encoder on captions, in place, on the device where the model is; resume if it was begun.

    Args:
        model: from `language_model.new_musicgen`.
        tokenizer: the model's.
        folder: for the checkpoint and the log.
        hours: training time in all.
        size: pieces per step.
        workers: processes that compose pieces.
    """
    probe = CaptionEncoderProbe(model).to(model.device).train()
    optimizer = new_optimizer(probe)
    batches = prefetch_with_workers(partial(caption_batch, FIRST_SEED, size), workers)
    held_captions, held_facts = caption_batch(0, 32, 0)
    names_tempo = torch.tensor(
        [any(word in caption.lower() for word in ("bpm", "beats per")) for caption in held_captions]
    )

    def tokenize(captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = tokenizer(captions, return_tensors="pt", padding=True).to(model.device)
        return tokens.input_ids, tokens.attention_mask

    def to_device(facts: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: fact.to(model.device) for name, fact in facts.items()}

    def step(i: int, progress: float) -> dict[str, float]:
        captions, facts = batches(i)
        loss = probe.loss(*tokenize(captions), to_device(facts))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(probe.parameters(), 1.0)
        optimizer.step()
        return {"loss": float(loss.detach())}

    @torch.no_grad()
    def validate() -> dict[str, float]:
        tokens, mask = tokenize(held_captions)
        predicted = probe(tokens, mask)[0].argmax(-1).cpu()
        right = (predicted - held_facts["tempo"]).abs() <= 1
        loss = probe.loss(tokens, mask, to_device(held_facts))
        return {"loss": float(loss), "tempo": float(right[names_tempo].float().mean())}

    train_for(hours, folder, STAGE, probe, optimizer, step, validate=validate, print_log=True)
    model.eval()
