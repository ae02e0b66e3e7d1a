"""Before music, words: the text encoder learns to tell from a caption what the piece is that it describes.

Told to predict music alone, a text encoder that starts from nothing learns slowly what words change little in the next
code, such as numbers. Asked for the tempo itself, it learns them in minutes. Captions need no audio, so they cost next
to nothing.
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
from .loaders import WORKERS, ahead
from .optimizers import optimizer_of

TEMPI = 50.0 * 1.03 ** np.arange(48)  # bpm, 50 to 200: classes 3 % apart
PLAYERS = (*INSTRUMENTS, "drums")
WORDINGS = 4  # captions of each piece
PIECE_S = 4.0  # a caption tells nothing of a piece's length
FIRST_SEED = 800_000_000  # pieces from here are read about, never heard


class Reader(torch.nn.Module):
    """A MusicGen's text encoder, and heads that say what it has read: tempo, style, tonic, mode, level, players.

    The heads look at what the decoder will look at, the encoder's states brought to the decoder's width, and are
    thrown away after the training.
    """

    def __init__(self, model: MusicgenForConditionalGeneration) -> None:
        """model: whose text encoder is trained, in place."""
        super().__init__()
        self.text_encoder = model.text_encoder
        self.enc_to_dec_proj = getattr(model, "enc_to_dec_proj", torch.nn.Identity())  # where the widths differ
        self.sizes = (len(TEMPI), len(band.STYLES), len(KEYS), 1, 1, len(PLAYERS))
        self.heads = torch.nn.Linear(model.decoder.config.hidden_size, sum(self.sizes))

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What is read of tokens (B, L) with mask (B, L).

        Returns:
            (tempo (B, 48), style (B, S), tonic (B, 12), dark (B, 1), level (B, 1), players (B, P))
        """
        states = self.enc_to_dec_proj(self.text_encoder(input_ids=tokens, attention_mask=mask).last_hidden_state)
        mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.heads(mean).split(self.sizes, dim=-1)

    def loss(self, tokens: torch.Tensor, mask: torch.Tensor, facts: dict[str, torch.Tensor]) -> torch.Tensor:
        """How far what is read of captions is from the facts of their pieces, from `captioned`."""
        tempo, style, tonic, dark, level, players = self(tokens, mask)
        return (
            F.cross_entropy(tempo, facts["tempo"])
            + F.cross_entropy(style, facts["style"])
            + F.cross_entropy(tonic, facts["tonic"])
            + F.binary_cross_entropy_with_logits(dark[:, 0], facts["dark"])
            + F.mse_loss(level[:, 0], facts["level"])
            + F.binary_cross_entropy_with_logits(players, facts["players"])
        )


def captioned(first_seed: int, size: int, i: int) -> tuple[list[str], dict[str, torch.Tensor]]:
    """Batch number i of pieces that no other batch has: `WORDINGS` captions of each of `size`, and the pieces' facts.

    Returns:
        (B captions, with B = size * `WORDINGS`; "tempo", "style" and "tonic" (B,) int64, "dark" and "level" (B,) and
        "players" (B, P) float32)
    """
    styles, captions, facts = list(band.STYLES), [], []
    for seed in range(first_seed + i * size, first_seed + (i + 1) * size):
        piece = band.compose(seed, PIECE_S)
        players = np.isin(PLAYERS, piece.instruments)
        fact = (
            np.abs(np.log(TEMPI / piece.tempo_bpm)).argmin(), styles.index(piece.style), KEYS.index(piece.key),
            piece.mode not in BRIGHT, piece.energy.mean(), players,
        )  # fmt: skip
        for wording in range(WORDINGS):
            captions.append(band.describe(piece, np.random.default_rng([seed, 2 + wording]), key=bool(wording % 2)))
            facts.append(fact)
    columns = [torch.from_numpy(np.array(column)) for column in zip(*facts, strict=True)]
    kinds = 3 * (torch.int64,) + 3 * (torch.float32,)
    names = ("tempo", "style", "tonic", "dark", "level", "players")
    return captions, {name: c.to(kind) for name, c, kind in zip(names, columns, kinds, strict=True)}


def learn_to_read(
    model: MusicgenForConditionalGeneration,
    tokenizer: T5Tokenizer,
    folder: Path,
    hours: float,
    *,
    size: int = 16,
    workers: int = WORKERS,
) -> None:
    """Train (or go on training) the text encoder on captions, in place, on the device where the model is.

    Args:
        model: from `language_training.new_musicgen`. tokenizer: its own.
        folder: for the checkpoint and the log, stage "reading".
        hours: of training in all.
        size: pieces a step; workers: processes that compose.
    """
    reader = Reader(model).to(model.device).train()
    optimizer = optimizer_of(reader)
    batches = ahead(partial(captioned, FIRST_SEED, size), workers)

    def read(captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = tokenizer(captions, return_tensors="pt", padding=True).to(model.device)
        return tokens.input_ids, tokens.attention_mask

    def step(i: int, progress: float) -> dict[str, float]:
        captions, facts = batches(i)
        loss = reader.loss(*read(captions), {name: fact.to(model.device) for name, fact in facts.items()})
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        return {"loss": float(loss.detach())}

    held_captions, held_facts = captioned(0, 32, 0)
    told = torch.tensor([any(word in caption.lower() for word in ("bpm", "beats per")) for caption in held_captions])

    @torch.no_grad()
    def validate() -> dict[str, float]:
        facts = {name: fact.to(model.device) for name, fact in held_facts.items()}
        said = reader(*read(held_captions))[0].argmax(-1).cpu()
        right = (said - held_facts["tempo"]).abs() <= 1
        return {"loss": float(reader.loss(*read(held_captions), facts)), "tempo": float(right[told].float().mean())}

    train_for(hours, folder, "reading", reader, optimizer, step, validate=validate)
    model.eval()
