"""Training of nano's language model from scratch: text encoder and decoder, on captions and codes of the band's music.

Besides the next codes, the decoder learns three auxiliary tasks. Linear probes on its last states must tell the
position in beat and bar, and the harmony: chord and key. From captions alone, with all music hidden, the harmony probe
must tell the key. This probe is kept in a file beside nano: `key_supervision` trains the adapter with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import EncodecModel, MusicgenForConditionalGeneration, T5Tokenizer
from transformers.modeling_outputs import BaseModelOutput

from ..files import atomic_write
from ..musicgen.codes import inputs_and_labels
from ..musicgen.loading import MusicGen
from ..musicgen.precision import autocast
from ..training.checkpoints import train_for
from ..training.hiding import draw_past, mask_past
from .codec_training import SAMPLE_RATE, TRAIN_SEEDS
from .language_data import (
    Pieces,
    encode_pieces,
    fresh_pieces,
    in_short_windows,
    key_caption_pairs,
    tokenize,
    tokenize_with_dropout,
)
from .language_model import PIECE_S, WINDOW, processor_of
from .loaders import WORKERS, prefetch_with_thread, prefetch_with_workers
from .optimizers import new_optimizer

STAGE = "language"  # names the checkpoint and the lines of the log
PAST_DROPOUT = 0.35  # share of the examples in which stretches of the music so far are hidden
PHASE_WEIGHT, HARMONY_WEIGHT, KEY_WEIGHT = 4.0, 2.0, 0.5  # of the auxiliary losses; that of the codes weighs 1
KEY_PIECES, KEY_STEPS = (
    16,
    8,
)  # pieces per step that are only described, and decoder steps in which the key is asked for
KEY_SEEDS = 900_000_000  # these pieces' seeds begin here; none of them is ever played
HARMONY_PROBE = "ear.safetensors"  # the file for the harmony probe
SAMPLE_PROMPTS = (  # a model in training plays these at each validation, for people to listen to
    "calm lo-fi hip hop with electric piano, 80 bpm",
    "happy waltz with accordion and upright bass, 120 bpm",
    "driving techno with synth lead, 132 bpm",
    "sad piano ballad, 66 bpm",
    "proud march with brass, 112 bpm",
)


def language_losses(
    model: MusicgenForConditionalGeneration,
    phase_probe: torch.nn.Linear,
    harmony_probe: torch.nn.Linear,
    pieces: Pieces,
    tokens: torch.Tensor,
    mask: torch.Tensor,
    past: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute the losses of the next codes, of the phases and of the harmony.

    Args:
        model: the model in training.
        phase_probe: reads the phases off the decoder's last states.
        harmony_probe: reads the harmony off them.
        pieces: with codes (B, K, T).
        tokens: (B, L), of the captions.
        mask: (B, L), of the tokens.
        past: (B, T), 1 where later frames may read a frame's codes.

    Returns:
        (cross-entropy of the codes in nats; mean squared error of `phase_targets`, 0.5 for a probe that always says 0;
        mean binary cross-entropy of `harmony_targets`, about 0.4 for a probe that only knows how often each is 1)
    """
    pad, device = model.decoder.config.pad_token_id, model.device
    inputs, labels = inputs_and_labels(pieces.music, pad)
    inputs, labels = mask_past(inputs, past, pad).to(device), labels.to(device)
    with autocast(device):
        out = model(
            input_ids=tokens.to(device),
            attention_mask=mask.to(device),
            decoder_input_ids=inputs,
            labels=labels,
            output_hidden_states=True,
        )
    states = out.decoder_hidden_states[-1][:, : pieces.phases.shape[1]].float()
    phase_loss = (phase_probe(states) - pieces.phases.to(device)).square().mean()
    harmony_loss = F.binary_cross_entropy_with_logits(harmony_probe(states), pieces.harmonies.to(device))
    return out.loss.float(), phase_loss, harmony_loss


def key_logits(
    model: MusicgenForConditionalGeneration, harmony_probe: torch.nn.Linear, *texts: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Predict the key from captions alone, with all music hidden.

    The third follows from tonic and mode together. Each text is encoded by itself, so the decoder must combine them.
    Later the mode may then come from a face, which the text encoder does not see.

    Args:
        model: the model in training.
        harmony_probe: reads the harmony off its last states.
        texts: tokens (B, L) and mask (B, L) of one or more captions of the same pieces.

    Returns:
        Logits (B, 12, `KEY_STEPS`) of the tonic's pitch class and of the third's.
    """
    config, device = model.decoder.config, model.device
    placed = [(tokens.to(device), mask.to(device)) for tokens, mask in texts]
    mask = torch.cat([mask for _, mask in placed], 1)
    no_codes = torch.full((len(mask) * config.num_codebooks, KEY_STEPS), config.pad_token_id, device=device)
    with autocast(device):
        read = [model.text_encoder(input_ids=tokens, attention_mask=mask).last_hidden_state for tokens, mask in placed]
        out = model(
            encoder_outputs=BaseModelOutput(torch.cat(read, 1)),
            attention_mask=mask,
            decoder_input_ids=no_codes,
            output_hidden_states=True,
        )
    _, tonic, third = harmony_probe(out.decoder_hidden_states[-1].float()).mT.chunk(3, dim=1)
    return tonic, third


def key_loss(logits: tuple[torch.Tensor, torch.Tensor], keys: torch.Tensor) -> torch.Tensor:
    """Compute the cross-entropy of the tonic plus that of the third, in nats.

    Args:
        logits: from `key_logits`.
        keys: (B, 2), from `key_caption_pairs`.
    """
    targets = keys.to(logits[0].device)[..., None].expand(-1, -1, KEY_STEPS)
    return F.cross_entropy(logits[0], targets[:, 0]) + F.cross_entropy(logits[1], targets[:, 1])


def train_language(
    model: MusicgenForConditionalGeneration,
    tokenizer: T5Tokenizer,
    folder: Path,
    hours: float,
    *,
    batch: int = 8,
    workers: int = WORKERS,
    max_steps: int | None = None,
) -> MusicgenForConditionalGeneration:
    """Train text encoder and decoder, in place, on the device where the model is; resume if it was begun.

    No piece is heard twice: worker processes render new ones. In every second batch they are cut into short windows;
    in some examples stretches of the music so far are hidden.

    Args:
        model: from `language_model.new_musicgen`. Its codec is trained already and stays as it is.
        tokenizer: from `language_model.new_tokenizer`.
        folder: for the checkpoint, the log, samples and the harmony probe.
        hours: training time in all.
        batch: pieces per step.
        workers: processes that render pieces.
        max_steps: number of steps to take instead of `hours`.

    Returns:
        The model in eval mode.
    """
    codec, width = model.audio_encoder.eval(), model.decoder.config.hidden_size
    torch.manual_seed(2)
    model.clock = phase_probe = torch.nn.Linear(width, 6).to(model.device)  # checkpoints know the probes by these names
    model.ear = harmony_probe = torch.nn.Linear(width, 36).to(model.device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = new_optimizer(model)
    heard = getattr(model.config, "pieces_heard", 0)  # in an earlier training
    examples = _examples(codec, tokenizer, TRAIN_SEEDS + heard, batch, workers)
    held_out = [_example(codec, tokenizer, fresh_pieces(0, 8, i), 2 * i) for i in range(4)]  # even: not cut
    held_out_pairs = key_caption_pairs(0, 32)

    def step(i: int, progress: float) -> dict[str, float]:
        (pieces, tokens, mask), (tonics, moods, keys) = examples(i)
        past = draw_past(len(mask), pieces.music.shape[-1], PAST_DROPOUT, np.random.default_rng([9, i]))
        loss, phase, harmony = language_losses(model, phase_probe, harmony_probe, pieces, tokens, mask, past)
        texts = tokenize(tokenizer, tonics), tokenize(tokenizer, moods)
        key = key_loss(key_logits(model, harmony_probe, *texts), keys)
        optimizer.zero_grad()
        (loss + PHASE_WEIGHT * phase + HARMONY_WEIGHT * harmony + KEY_WEIGHT * key).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        logged = {"loss": loss, "clock": phase, "ear": harmony, "key": key}  # names as in figures/training.jsonl
        return {name: float(value.detach()) for name, value in logged.items()}

    @torch.no_grad()
    def validate() -> dict[str, float]:
        model.eval()
        nothing_hidden = torch.ones(8, WINDOW)
        losses = [language_losses(model, phase_probe, harmony_probe, *each, nothing_hidden) for each in held_out]
        loss, phase, harmony = torch.tensor(losses).mean(0)
        tonics, moods, keys = held_out_pairs
        logits = key_logits(model, harmony_probe, tokenize(tokenizer, tonics), tokenize(tokenizer, moods))
        answers = [each.mean(2).argmax(1).cpu() for each in logits]
        tonic, third = ((answer == right).float().mean() for answer, right in zip(answers, keys.T, strict=True))
        write_samples(model, tokenizer, folder / "samples")
        model.train()
        codec.eval()
        measured = {"loss": loss, "clock": phase, "ear": harmony, "tonic": tonic, "third": third}
        return {name: float(value) for name, value in measured.items()}

    model.train()
    codec.eval()
    steps = train_for(
        hours, folder, STAGE, model, optimizer, step, validate=validate, max_steps=max_steps, print_log=True
    )
    model.config.pieces_heard = heard + steps * batch
    with atomic_write(folder / HARMONY_PROBE, overwrite=True) as temporary:
        save_file({name: p.detach().cpu() for name, p in harmony_probe.named_parameters()}, temporary)
    del model.clock, model.ear
    return model.eval()


Example = tuple[Pieces, torch.Tensor, torch.Tensor]  # codes with their targets, tokens, mask
KeyCaptions = tuple[list[str], list[str], torch.Tensor]  # see `key_caption_pairs`


def _example(codec: EncodecModel, tokenizer: T5Tokenizer, pieces: Pieces, i: int) -> Example:
    """Encode the pieces of batch number i, cut them into short windows if i is odd, and tokenize their captions."""
    pieces = replace(pieces, music=encode_pieces(codec, pieces.music))
    if i % 2:
        pieces = in_short_windows(pieces)
    return pieces, *tokenize_with_dropout(tokenizer, pieces.captions, i)


def _examples(
    codec: EncodecModel, tokenizer: T5Tokenizer, first_seed: int, size: int, workers: int
) -> Callable[[int], tuple[Example, KeyCaptions]]:
    """Return a function that gives the data of step i: rendered by workers, encoded ahead of time by a thread."""
    rendered = prefetch_with_workers(partial(fresh_pieces, first_seed, size), workers)

    def make(i: int) -> tuple[Example, KeyCaptions]:
        return _example(codec, tokenizer, rendered(i), i), key_caption_pairs(KEY_SEEDS + i * KEY_PIECES, KEY_PIECES)

    return prefetch_with_thread(make)


def write_samples(model: MusicgenForConditionalGeneration, tokenizer: T5Tokenizer, folder: Path) -> None:
    """Let a model in training play each of `SAMPLE_PROMPTS` for 10 s, into FOLDER/1.wav, 2.wav, ... (replaced)."""
    from ..generation import generate_from_text
    from ..video.writing import write_wav

    folder.mkdir(exist_ok=True)
    musicgen = MusicGen(model, processor_of(tokenizer), "in training", WINDOW)
    audio, _ = generate_from_text(musicgen, list(SAMPLE_PROMPTS), PIECE_S)
    for number, clip in enumerate(audio, 1):
        write_wav(folder / f"{number}.wav", clip, SAMPLE_RATE, overwrite=True)
