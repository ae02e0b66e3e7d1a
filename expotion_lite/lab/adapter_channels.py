"""Let a trained adapter read other channels: those it knows keep their weights, new ones begin with a relative's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from ..files import copy_files
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


def _column(name: str, known: Sequence[str]) -> int | None:
    """Return the column of a channel or of its relative; None if the adapter knows neither."""
    source = name if name in known else RELATIVES.get(name, name)
    return known.index(source) if source in known else None


def _take(weight: torch.Tensor, columns: Sequence[int | None]) -> torch.Tensor:
    """Return columns (dimension 1) of a weight, zeros for None."""
    chosen = [torch.zeros_like(weight[:, 0]) if column is None else weight[:, column] for column in columns]
    return torch.stack(chosen, dim=1).contiguous()
