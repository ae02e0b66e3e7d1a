"""The training loop of fine-tuning: configuration, loss, held-out losses, and `train_adapter`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from ..data.examples import Examples, check_split
from ..errors import ExpotionError
from ..musicgen.adapter import (
    AdapterConfig,
    attach,
    conditioned,
    embed_controls,
    frames_to_steps,
    load_adapter,
    probe_of,
    restore_adapter,
    save_adapter,
)
from ..musicgen.codes import IGNORED, inputs_and_labels
from ..musicgen.loading import MusicGen
from ..musicgen.precision import precision_of
from .batches import Batch, collate, crop
from .checkpoints import read_log, train_for
from .hiding import hide_conditions, hide_future, hide_modalities, hide_past, mask_past

if TYPE_CHECKING:
    from accelerate import Accelerator
    from peft import PeftModel

STAGE = "adapter"  # names the checkpoint and the lines of the log


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a fine-tuning.

    Attributes:
        hours: training time in all, over as many runs as it takes.
        max_steps: number of steps to take instead; None trains for `hours`.
        batch: examples per step.
        lr: peak learning rate of LoRA.
        adapter_lr: peak learning rate of the visual adapter.
        text_dropout: share of the examples whose caption is hidden. `training.hiding` explains this and the next four.
        video_dropout: share whose video is hidden, drawn independently.
        modality_dropout: share whose expression is hidden, and share of others whose motion is; at most 0.5.
        past_dropout: share in which stretches of the music so far are hidden.
        future_dropout: share in which the person's future is hidden, as live playing needs it.
        clip: largest gradient norm.
        seed: determines the adapter's first weights, the batches, and what is hidden in them.
        crop: share of the steps that train on stretches of `batches.CROP_FRAMES` instead of whole examples: faster, and
            the model meets every part of a piece as a beginning.
        keep: which weights of all validations to keep: "loss", those with the lowest held-out loss, or "last". A
            lower loss need not mean that music follows better.
        patience: stop after this many validations without better weights; there is one every 100 steps.
        gradient_checkpointing: recompute activations in the backward pass instead of keeping them: slower, but with
            much less memory, as the real MusicGen needs on a small GPU.

    Raises:
        ExpotionError: a value is out of range.

    Notebook: notebooks/06_lora_finetuning
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
    future_dropout: float = 0.0
    crop: float = 0.0
    keep: str = "loss"
    clip: float = 1.0
    seed: int = 0
    patience: int = 10
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("hours", "batch", "lr", "adapter_lr", "clip", "patience"):
            if not 0 < getattr(self, name) < math.inf:
                raise ExpotionError(f"{name} is {getattr(self, name)}; choose a number above 0.")
        if not 0 <= self.seed < 2**32:
            raise ExpotionError(f"seed is {self.seed}; choose a whole number, 0 to {2**32 - 1}.")
        for name, most in (
            ("text_dropout", 1),
            ("video_dropout", 1),
            ("modality_dropout", 0.5),
            ("past_dropout", 1),
            ("future_dropout", 1),
            ("crop", 1),
        ):
            if not 0 <= getattr(self, name) <= most:
                raise ExpotionError(f"{name} is {getattr(self, name)}; choose a number from 0 to {most}.")
        if self.keep not in ("loss", "last"):
            raise ExpotionError(f'keep is {self.keep!r}; choose "loss" or "last".')
        if self.max_steps is not None and self.max_steps < 1:
            raise ExpotionError(f"max_steps is {self.max_steps}; choose 1 or more, or None to train for hours.")


def loss_of(model: PeftModel, batch: Batch, pad: int) -> torch.Tensor:
    """Compute the cross-entropy of the next codes in nats, averaged over the codebooks as in transformers.

    Args:
        model: the model with its adapter, from `musicgen.attach` or `musicgen.load_adapter`.
        batch: the batch to predict.
        pad: the model's pad token.

    Notebook: notebooks/06_lora_finetuning
    """
    inputs, labels = inputs_and_labels(batch.codes, pad)
    inputs = mask_past(inputs, batch.past, pad)
    visual = embed_controls(model, batch.controls, batch.ahead, batch.foreseen) * batch.video[:, None, None]
    with conditioned(model, frames_to_steps(visual, labels.shape[2])):
        out = model(input_ids=batch.tokens, attention_mask=batch.mask, decoder_input_ids=inputs, use_cache=False)
    logits = out.logits.float().unflatten(0, (len(labels), -1))  # (B, K, S, V)
    losses = [
        F.cross_entropy(logits[:, k].flatten(0, 1), labels[..., k].flatten(), ignore_index=IGNORED)
        for k in range(labels.shape[2])
    ]
    return torch.stack(losses).mean()


def held_out_losses(model: PeftModel, musicgen: MusicGen, examples: Examples, batch: int = 8) -> dict[str, float]:
    """Measure the loss on held-out examples, with nothing hidden but what the comparison is about.

    Args:
        model: the model with its adapter.
        musicgen: the MusicGen inside it.
        examples: two or more.
        batch: examples to compute at once.

    Returns:
        "loss" with each example's own video, "loss_shuffled" with the video of another example (the control, see
        `mismatched_rows`), and "loss_none" without a video; in nats.

    Raises:
        ExpotionError: there are fewer than two examples, and so no other video.

    Notebook: notebooks/06_lora_finetuning
    """
    if len(examples) < 2:
        raise ExpotionError(f"{len(examples)} held-out examples are too few to shuffle; hold out two or more.")
    totals = {"loss": 0.0, "loss_shuffled": 0.0, "loss_none": 0.0}
    controls = torch.from_numpy(examples.controls[mismatched_rows(examples)])
    for rows in np.array_split(np.arange(len(examples)), -(-len(examples) // batch)):
        own = collate(musicgen, examples, rows)
        shuffled = replace(own, controls=controls[rows, : own.controls.shape[1]])
        none = replace(own, video=torch.zeros(len(rows)))
        for name, each in zip(totals, (own, shuffled, none), strict=True):
            loss = loss_of(model, each.to(musicgen.model.device), musicgen.pad)
            totals[name] += float(loss.detach()) * len(rows) / len(examples)
    return totals


def mismatched_rows(examples: Examples) -> np.ndarray:
    """Choose for each example another one whose video does not belong to its music: (N,) integers.

    It is of another performer and another song where there is one: neighbours may be windows of one recording. Else it
    differs in either, or is just another example.
    """
    n, chosen = len(examples), []
    songs, performers = np.asarray(examples.songs), np.asarray(examples.performers)
    for i in range(n):
        before = (i - np.arange(1, n)) % n
        differences = (songs[before] != songs[i]).astype(int) + (performers[before] != performers[i])
        chosen.append(before[differences.argmax()])  # the nearest before it, of those that differ most
    return np.array(chosen)


def train_adapter(
    musicgen: MusicGen,
    train: Examples,
    held_out: Examples | None,
    folder: Path,
    config: TrainingConfig,
    *,
    start: str | os.PathLike[str] | None = None,
    extra_loss: Callable[[PeftModel, int], torch.Tensor | None] | None = None,
    draw_controls: Callable[[int, np.ndarray, np.random.Generator], np.ndarray] | None = None,
    progress: bool = False,
    print_log: bool = False,
) -> tuple[PeftModel, AdapterConfig]:
    """Train an adapter and LoRA on a MusicGen, in place, and keep weights in `folder/adapter`.

    `config.keep` says which weights of all validations are kept. A training that was killed continues where it
    was when it is called again with the same folder.

    Args:
        musicgen: a freshly loaded model.
        train: the examples to learn from.
        held_out: two or more examples to validate with, without a song or a performer of `train`. None keeps the last
            weights, and nothing tells how good they are.
        folder: where to keep the checkpoint, the log and the adapter. The lines of `log.jsonl` hold losses, the gate,
            and `added`, the mean length of the vectors that the adapter adds.
        config: the settings of the training.
        start: the folder of an adapter to continue from; None starts a new one.
        extra_loss: a second loss, computed from the model and the number of the step, to add to that of the codes; it
            may be None in some steps.
        draw_controls: called with the number of an example, its controls (T, C) and a source of draws; returns the
            controls to train with in this step. None takes those of the example.
        progress: show a progress bar.
        print_log: print each line of the log.

    Returns:
        (the model in eval mode with the kept weights, the adapter's configuration)

    Raises:
        ExpotionError: there are too few examples, the split leaks, the model has an adapter already, or the adapter to
            continue from does not fit.

    Notebook: notebooks/06_lora_finetuning
    """
    if len(train) < 1 or (held_out is not None and len(held_out) < 2):
        raise ExpotionError(
            f"{len(train)} examples to train with and {len(held_out or ())} held out; give at least 1 and 2 "
            "(one to shuffle)."
        )
    torch.manual_seed(config.seed)
    model, adapter = _prepare_model(musicgen, train.channels, start)
    if start is not None:  # it reads channels of its own choice
        train = train.select(adapter.channels)
        held_out = None if held_out is None else held_out.select(adapter.channels)
    if held_out is not None:
        check_split(train, held_out)
    if config.gradient_checkpointing:
        checkpoint_activations(musicgen)

    folder.mkdir(parents=True, exist_ok=True)
    training = _AdapterTraining(musicgen, model, adapter, train, folder, config, extra_loss, draw_controls)
    train_for(
        config.hours,
        folder,
        STAGE,
        training.model,
        training.optimizer,
        training.step,
        validate=None if held_out is None else partial(training.validate, held_out),
        log_every=10,
        max_steps=config.max_steps,
        enough=training.out_of_patience,
        progress=progress,
        print_log=print_log,
    )
    if held_out is None:
        training.save()
    else:
        training.restore_best()
    return training.finished_model(), adapter


def _prepare_model(
    musicgen: MusicGen, channels: Sequence[str], start: str | os.PathLike[str] | None
) -> tuple[PeftModel, AdapterConfig]:
    """Put a new adapter on the model, or the one to continue from, in training mode."""
    if start is None:
        width = musicgen.model.decoder.config.hidden_size
        adapter = AdapterConfig(tuple(channels), width, probe=probe_of(musicgen))
        model = attach(musicgen, adapter)
    else:
        model, adapter = load_adapter(musicgen, start)
        adapter = replace(adapter, probe=probe_of(musicgen))
    return model.train(), adapter  # models load in eval mode, which turns dropout and gradient checkpointing off


class _AdapterTraining:
    """The state of a training, and its steps: take an optimiser step, validate, save and restore.

    Attributes:
        model: the model with its adapter, as accelerate prepared it.
        optimizer: over the trainable parameters, with a learning rate each for LoRA and the adapter.
    """

    def __init__(
        self,
        musicgen: MusicGen,
        model: PeftModel,
        adapter: AdapterConfig,
        train: Examples,
        folder: Path,
        config: TrainingConfig,
        extra_loss: Callable[[PeftModel, int], torch.Tensor | None] | None,
        draw_controls: Callable[[int, np.ndarray, np.random.Generator], np.ndarray] | None,
    ) -> None:
        """Make the optimiser and prepare the model for the device where it is."""
        self.musicgen, self.adapter, self.train, self.folder = musicgen, adapter, train, folder
        self.config, self.extra_loss, self.draw_controls = config, extra_loss, draw_controls
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.parameters = list(trained.values())
        self.gate = next(p for name, p in trained.items() if name.endswith("gate"))
        groups = [
            {"params": [p for name, p in trained.items() if "visual_adapter" not in name], "lr": config.lr},
            {"params": [p for name, p in trained.items() if "visual_adapter" in name], "lr": config.adapter_lr},
        ]
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.01)
        self.accelerator = _accelerator(musicgen.model.device)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)

    def step(self, i: int, progress: float) -> dict[str, float]:
        """Take optimiser step number i. Return what to log."""
        batch = self.draw_batch(i).to(self.musicgen.model.device)
        with self.accelerator.autocast():
            loss = loss_of(self.model, batch, self.musicgen.pad)
            extra = None if self.extra_loss is None else self.extra_loss(self.model, i)
        self.optimizer.zero_grad()
        self.accelerator.backward(loss if extra is None else loss + extra.to(loss.device))
        self.accelerator.clip_grad_norm_(self.parameters, self.config.clip)
        self.optimizer.step()
        with torch.no_grad():
            added = embed_controls(self.unwrapped(), batch.controls).float().norm(dim=-1).mean()
        logged = {"loss": loss, "gate": self.gate, "added": added} | ({} if extra is None else {"extra_loss": extra})
        return {name: float(value.detach()) for name, value in logged.items()}

    def draw_batch(self, i: int) -> Batch:
        """Draw the batch of step i, and hide parts of it from the model (see `training.hiding`)."""
        config, rng = self.config, np.random.default_rng([self.config.seed, i])
        rows = rng.integers(len(self.train), size=config.batch)
        batch = collate(self.musicgen, self.train, rows)
        if self.draw_controls is not None:
            drawn = [self.draw_controls(int(row), self.train.controls[row], rng) for row in rows]
            batch = replace(batch, controls=torch.from_numpy(np.stack(drawn)[:, : batch.codes.shape[-1]]))
        if config.crop and rng.random() < config.crop:
            batch = crop(batch, rng)
        batch = hide_conditions(batch, config.text_dropout, config.video_dropout, rng)
        batch = hide_modalities(batch, self.train.channels, config.modality_dropout, rng)
        batch = hide_past(batch, config.past_dropout, rng)
        return hide_future(batch, config.future_dropout, rng)

    @torch.no_grad()
    def validate(self, held_out: Examples) -> dict[str, float]:
        """Measure the held-out losses, and save the adapter if it is the best so far, or the last is to be kept."""
        self.model.eval()
        with self.accelerator.autocast():
            measured = held_out_losses(self.model, self.musicgen, held_out)
        self.model.train()
        if self.config.keep == "last" or measured["loss"] <= min(self.validations(), default=math.inf):
            self.save()
        return measured

    def validations(self) -> list[float]:
        """Read from the log the held-out losses of all validations, of this run and of earlier ones."""
        return [losses["loss"] for losses in _validated_losses(self.folder / "log.jsonl")]

    def out_of_patience(self) -> bool:
        """Return whether the best weights are to be kept, and none were better for `patience` validations."""
        losses = self.validations()
        since_best = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
        return self.config.keep == "loss" and since_best >= self.config.patience

    def unwrapped(self) -> PeftModel:
        """Return the model without accelerate's wrapper."""
        return self.accelerator.unwrap_model(self.model)

    def save(self) -> None:
        """Write the current weights to `folder/adapter`."""
        save_adapter(self.unwrapped(), self.adapter, self.folder / "adapter")

    def restore_best(self) -> None:
        """Load the weights that were saved last, which are the best."""
        restore_adapter(self.unwrapped(), self.folder / "adapter")

    def finished_model(self) -> PeftModel:
        """Return the model in eval mode, without the half precision that accelerate puts around its forward pass."""
        return self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False).eval()


def _accelerator(device: torch.device) -> Accelerator:
    """Return an accelerator for the device where the model is, in the precision that suits the device.

    accelerate keeps one state per process, which is reset here, and by itself would move the model to a device of its
    own choice.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    on_cpu = device.type == "cpu"
    return Accelerator(cpu=on_cpu, device_placement=False, mixed_precision=precision_of(device))


def checkpoint_activations(musicgen: MusicGen) -> None:
    """Turn gradient checkpointing on (Chen et al. 2016): recompute the decoder's activations in the backward pass."""
    decoder = musicgen.model.decoder
    newer_name = "activation_checkpointing_enable"  # newer versions of transformers call it so
    enable = getattr(decoder, newer_name if hasattr(decoder, newer_name) else "gradient_checkpointing_enable")
    enable({"use_reentrant": False})


def kept_losses(log: Path, keep: str) -> dict[str, float]:
    """Read from a log the held-out losses of the weights that were kept; empty if nothing was held out.

    Args:
        log: the training's `log.jsonl`.
        keep: as in `TrainingConfig`.
    """
    losses = _validated_losses(log)
    if keep == "last":
        return losses[-1] if losses else {}
    return min(losses, key=lambda each: each["loss"], default={})


def _validated_losses(log: Path) -> list[dict[str, float]]:
    """Read the results of `held_out_losses` from a log."""
    return [
        {name.removeprefix("held_out_"): float(value) for name, value in row.items() if name.startswith("held_out_")}
        for row in validation_rows(log)
    ]


def validation_rows(log: Path) -> list[dict[str, Any]]:
    """Read the lines of a log that hold validations of an adapter."""
    return [row for row in read_log(log) if row["stage"] == STAGE and "held_out_loss" in row]
