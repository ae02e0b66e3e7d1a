"""Fine-tuning: a frozen MusicGen learns, through an adapter and LoRA, to follow a person."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from ..controls.channels import MODALITIES, hide
from ..data.examples import Examples, check_split
from ..errors import ExpotionError
from ..musicgen.adapter import (
    AdapterConfig,
    attach,
    conditioned,
    embed_controls,
    load_adapter,
    probe_of,
    restore_adapter,
    save_adapter,
    to_steps,
)
from ..musicgen.codes import IGNORED, inputs_and_labels
from ..musicgen.loading import MusicGen
from ..musicgen.precision import precision_of
from ..musicgen.prompts import respell
from .checkpoints import train_for

if TYPE_CHECKING:
    from accelerate import Accelerator

STRETCH = 16  # frames of the music so far that are hidden together


@dataclass(frozen=True)
class TrainingConfig:
    """How to fine-tune.

    Attributes:
        hours: training time in all, over as many runs as it takes; `max_steps`: so many steps instead.
        batch: examples a step.
        lr: peak learning rate of LoRA. `adapter_lr`: of the visual adapter.
        text_dropout, video_dropout: how often each condition is left out, independently, so that both can be guided.
        modality_dropout: how often expression alone is hidden from the model, and as often motion alone, so that it
            makes something of each (`controls.MODALITIES`).
        past_dropout: in how many of the examples a part of the music so far is hidden, from none to all of it. Music
            tells its own beat, so that a model that hears all of it gains little by watching (word dropout, Bowman et
            al. 2016, section 3.1, is against the same).
        clip: largest gradient norm.
        seed: of the adapter's first weights and of which examples are drawn.
        patience: stop after so many validations without a lower held-out loss; there is one every 100 steps.
        gradient_checkpointing: compute activations anew where they are needed: slower, and much less memory, which
            real MusicGen needs on a small GPU.
    """

    hours: float = 0.05
    max_steps: int | None = None
    batch: int = 8
    lr: float = 1e-3
    adapter_lr: float = 2e-3
    text_dropout: float = 0.2
    video_dropout: float = 0.2
    modality_dropout: float = 0.1
    past_dropout: float = 0.7
    clip: float = 1.0
    seed: int = 0
    patience: int = 10
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        """Raises ExpotionError for a value that cannot be trained with."""
        for name in ("hours", "batch", "lr", "adapter_lr", "clip", "patience"):
            if not getattr(self, name) > 0:
                raise ExpotionError(f"{name} is {getattr(self, name)}; choose a number above 0.")
        for name, most in (("text_dropout", 1), ("video_dropout", 1), ("modality_dropout", 0.5), ("past_dropout", 1)):
            if not 0 <= getattr(self, name) <= most:
                raise ExpotionError(f"{name} is {getattr(self, name)}; choose a number from 0 to {most}.")
        if self.max_steps is not None and self.max_steps < 1:
            raise ExpotionError(f"max_steps is {self.max_steps}; choose 1 or more, or None to train for hours.")


@dataclass(frozen=True)
class Batch:
    """`codes` (B, K, T) int64, `controls` (B, T, C), `tokens` (B, L) of the captions and their `mask` (B, L);
    `video` (B,), 1 where the video is shown and 0 where it is left out; `past` (B, T), 1 where a frame may be heard by
    those after it."""

    codes: torch.Tensor
    controls: torch.Tensor
    tokens: torch.Tensor
    mask: torch.Tensor
    video: torch.Tensor
    past: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(**{name: value.to(device) for name, value in vars(self).items()})


def collate(musicgen: MusicGen, examples: Examples, picks: np.ndarray, texts: np.ndarray, video: np.ndarray) -> Batch:
    """Put examples together, no longer than the longest of them. texts, video: (B,) 0 or 1, whether each is shown."""
    captions = [respell(musicgen, examples.captions[i]) for i in picks]
    tokens = musicgen.processor.tokenizer(captions, return_tensors="pt", padding=True)
    codes = examples.codes[picks]
    longest = int(np.flatnonzero((codes >= 0).any(axis=(0, 1)))[-1]) + 1
    return Batch(
        torch.from_numpy(codes[..., :longest].astype(np.int64)),
        torch.from_numpy(examples.controls[picks, :longest]),
        tokens.input_ids,
        tokens.attention_mask * torch.from_numpy(texts.astype(np.int64))[:, None],
        torch.from_numpy(video.astype(np.float32)),
        torch.ones(len(picks), longest),
    )


def hide_some(batch: Batch, channels: Sequence[str], share: float, rng: np.random.Generator) -> Batch:
    """The batch, with expression hidden in about this share of the examples and motion in as many others."""
    controls, drawn = batch.controls.numpy().copy(), rng.random(len(batch.controls))
    for i, modality in enumerate(MODALITIES):
        rows = (drawn >= i * share) & (drawn < (i + 1) * share)
        controls[rows] = hide(controls[rows], channels, modality)
    return replace(batch, controls=torch.from_numpy(controls))


def hide_past(batch: Batch, share: float, rng: np.random.Generator) -> Batch:
    """The batch, with all or some of the music so far hidden in a share of the examples, see `TrainingConfig`."""
    return replace(batch, past=heard_past(*batch.past.shape, share, rng))


def heard_past(n: int, frames: int, share: float, rng: np.random.Generator) -> torch.Tensor:
    """Draw which frames of n examples may be heard by those after them: (n, frames) float32, 1 or 0.

    In a share of the examples some stretches are hidden, in each another part of it.
    """
    part = rng.random((n, 1)) * (rng.random((n, 1)) < share)
    hidden = rng.random((n, -(-frames // STRETCH))) < part
    return torch.from_numpy((~hidden.repeat(STRETCH, axis=1)[:, :frames]).astype(np.float32))


def without_hidden(inputs: torch.Tensor, past: torch.Tensor, pad: int) -> torch.Tensor:
    """What the decoder reads, (B * K, S), with pad for what was said at steps whose frame (B, T) is hidden."""
    shown = F.pad(past, (1, inputs.shape[1] - past.shape[1] - 1), value=1.0)  # a step reads what the one before said
    return torch.where(shown.repeat_interleave(len(inputs) // len(past), dim=0) > 0, inputs, pad)


def loss_of(model: Any, batch: Batch, pad: int) -> torch.Tensor:
    """Mean over the codebooks of the cross-entropy of their next codes, which is transformers' own loss.

    Args:
        model: the `peft.PeftModel` of `adapter.attach`.
        batch: what to learn from.
        pad: the model's pad token.
    """
    inputs, labels = inputs_and_labels(batch.codes, pad)
    inputs = without_hidden(inputs, batch.past, pad)
    visual = embed_controls(model, batch.controls) * batch.video[:, None, None]
    with conditioned(model, to_steps(visual, labels.shape[2])):
        out = model(
            input_ids=batch.tokens, attention_mask=batch.mask, decoder_input_ids=inputs, use_cache=False
        )  # fmt: skip
    logits = out.logits.float().unflatten(0, (len(labels), -1))  # (B, K, S, V)
    losses = [
        F.cross_entropy(logits[:, k].flatten(0, 1), labels[..., k].flatten(), ignore_index=IGNORED)
        for k in range(labels.shape[2])
    ]
    return torch.stack(losses).mean()


def held_out_losses(model: Any, musicgen: MusicGen, examples: Examples, batch: int = 8) -> dict[str, float]:
    """The loss on held-out examples with their own video, with another's (the control), and with none.

    Another's is of another performer and another song, where there is one: neighbours may be windows of one recording.

    Raises:
        ExpotionError: fewer than two examples: there is no other video.
    """
    if len(examples) < 2:
        raise ExpotionError(f"{len(examples)} held-out examples are too few to shuffle; hold out two or more.")
    totals = {"loss": 0.0, "loss_shuffled": 0.0, "loss_none": 0.0}
    controls = torch.from_numpy(examples.controls[_strangers(examples)])
    for rows in np.array_split(np.arange(len(examples)), -(-len(examples) // batch)):
        own = collate(musicgen, examples, rows, np.ones(len(rows)), np.ones(len(rows)))
        others = replace(own, controls=controls[rows, : own.controls.shape[1]])
        none = replace(own, video=torch.zeros(len(rows)))
        for name, each in zip(totals, (own, others, none), strict=True):
            loss = loss_of(model, each.to(musicgen.model.device), musicgen.pad)
            totals[name] += float(loss.detach()) * len(rows) / len(examples)
    return totals


def _strangers(examples: Examples) -> np.ndarray:
    """For each example another, (N,): the last one before it, in a circle, of another performer and another song.

    Where there is none, one that differs in either, or else just another.
    """
    n, found = len(examples), []
    songs, performers = np.asarray(examples.songs), np.asarray(examples.performers)
    for i in range(n):
        before = (i - np.arange(1, n)) % n
        unlike = (songs[before] != songs[i]).astype(int) + (performers[before] != performers[i])
        found.append(before[unlike.argmax()])
    return np.array(found)


def train_adapter(
    musicgen: MusicGen,
    train: Examples,
    held_out: Examples | None,
    folder: Path,
    config: TrainingConfig,
    *,
    start: str | os.PathLike[str] | None = None,
    extra_loss: Callable[[Any, int], torch.Tensor] | None = None,
    progress: bool | None = False,
) -> tuple[Any, AdapterConfig]:
    """Train an adapter and LoRA on a MusicGen, in place, and keep the best under `folder/adapter`.

    The best has the lowest held-out loss of all validations. Killed and called again with the same folder, it goes on
    where it was.

    Args:
        musicgen: freshly loaded.
        train, held_out: no song and no performer may be in both. Without held-out examples the last weights are kept,
            and nothing tells whether they are any good.
        folder: for the checkpoint, the log (`log.jsonl`: losses, the gate, and `added`, the mean length of the vectors
            that a video adds) and the adapter.
        config: how to train.
        start: the folder of an adapter to go on from; None starts a new one.
        extra_loss: a second loss to add to that of the codes, from the model and the number of the step.
        progress: True shows a bar with the time left, False prints the log, None says nothing (for a thread).

    Returns:
        (the `peft.PeftModel` in eval mode, the adapter's configuration)

    Raises:
        ExpotionError: the split leaks, the model has an adapter already, or the one to start from does not fit.

    Notebook: notebooks/00_start_here
    """
    if len(train) < 1 or (held_out is not None and len(held_out) < 2):
        raise ExpotionError(
            f"{len(train)} examples to train with and {len(held_out or ())} held out; give at least 1 and 2 "
            "(one to shuffle)."
        )
    torch.manual_seed(config.seed)
    if start is None:
        width = musicgen.model.decoder.config.hidden_size
        adapter = AdapterConfig(train.channels, width, probe=probe_of(musicgen))
        model = attach(musicgen, adapter)
    else:
        model, adapter = load_adapter(musicgen, start)
        adapter = replace(adapter, probe=probe_of(musicgen))
        train = train.select(adapter.channels)
        held_out = held_out and held_out.select(adapter.channels)
    if held_out is not None:
        check_split(train, held_out)
    model.train()  # what was loaded to play comes in eval mode, in which nothing is dropped out or checkpointed
    if config.gradient_checkpointing:
        spare_memory(musicgen)
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in named if "visual_adapter" not in name], "lr": config.lr},
        {"params": [p for name, p in named if "visual_adapter" in name], "lr": config.adapter_lr},
    ]
    accelerator = _accelerator(musicgen.model.device)
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.01))

    def step(i: int, progress: float) -> dict[str, float]:
        rng = np.random.default_rng([config.seed, i])
        picks = rng.integers(len(train), size=config.batch)
        shown = rng.random((2, config.batch)) >= np.array([[config.text_dropout], [config.video_dropout]])
        batch = hide_some(collate(musicgen, train, picks, *shown), train.channels, config.modality_dropout, rng)
        batch = hide_past(batch, config.past_dropout, rng)
        with accelerator.autocast():
            batch = batch.to(musicgen.model.device)
            loss = loss_of(model, batch, musicgen.pad)
            beside = extra_loss(model, i) if extra_loss else torch.zeros(())
        optimizer.zero_grad()
        accelerator.backward(loss + beside.to(loss.device))
        accelerator.clip_grad_norm_([p for _, p in named], config.clip)
        optimizer.step()
        gate = next(p for name, p in named if name.endswith("gate"))
        with torch.no_grad():
            added = embed_controls(accelerator.unwrap_model(model), batch.controls).float().norm(dim=-1).mean()
        logged = {"loss": loss.detach(), "gate": gate.detach(), "added": added} | (
            {"extra_loss": beside.detach()} if extra_loss else {}
        )
        return {name: float(value) for name, value in logged.items()}

    folder.mkdir(parents=True, exist_ok=True)
    losses = lambda: [row["held_out_loss"] for row in past_rows(folder / "log.jsonl")]  # noqa: E731

    @torch.no_grad()
    def validate() -> dict[str, float]:
        model.eval()
        with accelerator.autocast():
            measured = held_out_losses(model, musicgen, held_out)
        model.train()
        if measured["loss"] <= min(losses(), default=math.inf):
            save_adapter(accelerator.unwrap_model(model), adapter, folder / "adapter")
        return measured

    train_for(
        config.hours, folder, "adapter", model, optimizer, step,
        validate=None if held_out is None else validate, log_every=10, max_steps=config.max_steps,
        enough=lambda: _since_the_best(losses()) >= config.patience, progress=progress,
    )  # fmt: skip
    if held_out is None:
        save_adapter(accelerator.unwrap_model(model), adapter, folder / "adapter")
    else:
        restore_adapter(accelerator.unwrap_model(model), folder / "adapter")
    # accelerate makes a prepared model compute in half precision even outside of its training: no longer
    return accelerator.unwrap_model(model, keep_fp32_wrapper=False).eval(), adapter


def _accelerator(device: torch.device) -> Accelerator:
    """What computes on the device where the model is, in the precision that it is made for.

    accelerate keeps one state for a process, and would move all that is trained to a device of its own choice.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)  # an earlier training's
    on_cpu = device.type == "cpu"
    return Accelerator(cpu=on_cpu, device_placement=False, mixed_precision=precision_of(device))


def spare_memory(musicgen: MusicGen) -> None:
    """From now on compute the decoder's activations anew where a gradient needs them (Chen et al. 2016)."""
    decoder = musicgen.model.decoder
    named = "activation_checkpointing_enable"  # its newer name in transformers
    enable = getattr(decoder, named if hasattr(decoder, named) else "gradient_checkpointing_enable")
    enable({"use_reentrant": False})


def _since_the_best(losses: Sequence[float]) -> int:
    """How many validations came after the best one; 0 before there is any."""
    return len(losses) - 1 - int(np.argmin(losses)) if losses else 0


def past_rows(log: Path) -> list[dict[str, Any]]:
    """The lines of a log at which an adapter in training was validated."""
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [row for row in rows if row["stage"] == "adapter" and "held_out_loss" in row]
