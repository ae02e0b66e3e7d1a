"""Trained adapters made into others: one that reads other channels, or the mean of two.

Channels that an adapter knows keep their weights, and new ones begin with a relative's. The mean of the weights before
and after a training can keep the good of both (Wortsman et al. 2022, Robust fine-tuning of zero-shot models).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from ..errors import ExpotionError
from ..files import atomic_write, copy_files
from ..musicgen.adapter import DESCRIPTION, read_config

RELATIVES = {"event": "pulse", "activity": "motion_energy", "motion_missing": "body_missing"}
WEIGHTS = "adapter_model.safetensors"


def change_channels(folder: Path, channels: Sequence[str], output: Path) -> None:
    """Write an adapter that reads other channels.

    The weights that read a channel are taken over by name. A channel that the adapter does not know takes those of its
    relative in `RELATIVES`, else zeros.

    Args:
        folder: of the adapter.
        channels: what it shall read.
        output: the folder to write to.
    """
    from safetensors.torch import load_file, save_file

    config, tensors = read_config(folder), load_file(folder / WEIGHTS)
    columns = [_column(name, config.channels) for name in channels]
    for name, weight in tensors.items():
        if name.endswith("visual_adapter.inner.weight"):  # (hidden, C, kernel)
            tensors[name] = _take(weight, columns)
        elif name.endswith("visual_adapter.project.weight"):  # (D, hidden + C)
            features, direct = weight[:, : config.hidden], weight[:, config.hidden :]
            tensors[name] = torch.cat([features, _take(direct, columns)], dim=1)
    copy_files(folder, output)
    save_file(tensors, output / WEIGHTS, metadata={"format": "pt"})
    description = asdict(replace(config, channels=tuple(channels)))
    (output / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n")


def average(first: Path, second: Path, output: Path) -> None:
    """Write the mean of two adapters.

    Args:
        first: the folder of one adapter.
        second: the folder of another that continued its training.
        output: the folder to write to, which may be one of them.

    Raises:
        ExpotionError: they differ in their channels or sizes.
    """
    from safetensors.torch import load_file, save_file

    if read_config(first) != read_config(second):
        raise ExpotionError(f"The adapters in {first} and {second} differ in their channels or sizes.")
    ours, theirs = load_file(first / WEIGHTS), load_file(second / WEIGHTS)
    copy_files(second, output)
    mean = {name: ((ours[name].float() + weight.float()) / 2).to(weight.dtype) for name, weight in theirs.items()}
    with atomic_write(output / WEIGHTS, overwrite=True) as temporary:
        save_file(mean, temporary, metadata={"format": "pt"})


def _column(name: str, known: Sequence[str]) -> int | None:
    """Return the column of a channel or of its relative; None if the adapter knows neither."""
    source = name if name in known else RELATIVES.get(name, name)
    return known.index(source) if source in known else None


def _take(weight: torch.Tensor, columns: Sequence[int | None]) -> torch.Tensor:
    """Return columns (dimension 1) of a weight, zeros for None."""
    chosen = [torch.zeros_like(weight[:, 0]) if column is None else weight[:, column] for column in columns]
    return torch.stack(chosen, dim=1).contiguous()
