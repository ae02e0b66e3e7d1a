"""Checks of folders with models and adapters: nothing in them is run, and what is damaged is refused by name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ExpotionError, short_repr
from ..limits import MAX_LAYERS, MAX_SIZE, MAX_WINDOW_FRAMES
from ..stored import read_json

if TYPE_CHECKING:
    import torch

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_VOCABULARIES = ("tokenizer.json", "vocab.json")  # large, and nothing reads code from them
SHORTEST_WINDOW = 16  # frames
_SIZE = re.compile(
    r"(size|_dim|filters|n_positions|position_embeddings|buckets|sampling_rate|audio_channels|compress)$|^d_(model|ff|kv)$"
)
_COUNT = re.compile(r"(layers|heads|codebooks|ratios)$")
_MAY_BE_ZERO = re.compile(r"ngram|residual|chunk")


def damaged(path: str | os.PathLike[str], reason: object, kind: str = "model") -> ExpotionError:
    """Return the error for a file or a folder that cannot be used as it is.

    Args:
        path: names it.
        reason: what is wrong with it.
        kind: "model" or "adapter".
    """
    first = (str(reason).strip() or "unreadable").splitlines()[0].rstrip(".")
    advice = "copy or train the adapter again" if kind == "adapter" else "copy or download the model again"
    return ExpotionError(f"{path} is damaged ({first[:300]}); {advice}.")


def check_folder(folder: Path, kind: str = "model") -> None:
    """Check what a folder holds, without loading it.

    Args:
        folder: as `save_pretrained` or `save_adapter` wrote it.
        kind: "model" or "adapter".

    Raises:
        ExpotionError: a configuration asks for code of its own, or the weights are pickled, which could run code.
    """
    for path in sorted(folder.glob("*.json")):
        if path.name in _VOCABULARIES:
            continue
        try:
            config = read_json(path)
        except (ValueError, OSError) as error:
            raise damaged(path, error, kind) from error
        if any(name == "auto_map" for name, _ in _walk(config)):
            raise ExpotionError(
                f"{path} wants to run code of its own (auto_map); nothing is run from a {kind}'s folder: use a {kind} "
                "without it."
            )
    names = sorted(path.name for path in folder.iterdir())
    pickles = [name for name in names if name.endswith(PICKLES)]
    if pickles and not any(name.endswith(".safetensors") for name in names):
        raise ExpotionError(
            f"{folder / pickles[0]} is pickled, and could run code; save the {kind} as safetensors: "
            "save_pretrained(folder, safe_serialization=True)."
        )


def check_model_config(config: Any, folder: Path) -> None:
    """Check the sizes in a model's `config.json`, and that the weights beside it can be as many as it says.

    Args:
        config: its content.
        folder: where it lies.

    Raises:
        ExpotionError: a size is no whole number, negative or far too large, or there are fewer weights than it says.
    """
    path = folder / "config.json"
    parts = [config.get(name, {}) for name in ("decoder", "text_encoder", "audio_encoder")]
    if not all(isinstance(part, dict) for part in parts):
        raise damaged(path, "decoder, text_encoder and audio_encoder must be objects")
    for name, value in _walk(config):
        most = MAX_LAYERS if _COUNT.search(name) else MAX_SIZE if _SIZE.search(name) else None
        if most is None or value is None or isinstance(value, dict):
            continue
        for each in value if isinstance(value, list) else [value]:
            if type(each) is not int or not (0 if _MAY_BE_ZERO.search(name) else 1) <= each <= most:
                raise damaged(path, f"{name} is {short_repr(each)}, not a whole number from 1 to {most}")
    window = config.get("window_frames", 1500)
    if type(window) is not int or not SHORTEST_WINDOW <= window <= MAX_WINDOW_FRAMES:
        raise damaged(
            path, f"window_frames is {short_repr(window)}, not a number from {SHORTEST_WINDOW} to {MAX_WINDOW_FRAMES}"
        )
    described = sum(map(_fewest_weights, parts))
    there = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if described > there:
        raise damaged(path, f"it describes {described:,} weights or more, and the files have {there:,} bytes")


def _fewest_weights(part: Mapping[str, Any]) -> int:
    """Return how many weights a part of a model has at least, from its configuration."""

    def number(*names: str) -> int:
        return int(next((part[name] for name in names if part.get(name)), 0))

    width = number("hidden_size", "d_model")
    layer = 2 * width * number("ffn_dim", "d_ff", "intermediate_size")
    weights = number("num_hidden_layers", "num_layers") * layer + width * number("vocab_size") * (width > 1)
    lstm = number("num_filters") * 2 ** min(len(part.get("upsampling_ratios") or ()), 20)
    return weights + 8 * lstm**2 * number("num_lstm_layers") + number("codebook_size") * number("codebook_dim")


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of all objects within a JSON value."""
    if isinstance(value, dict):
        yield from value.items()
        value = list(value.values())
    for child in value if isinstance(value, list) else []:
        yield from _walk(child)


def check_loaded(network: torch.nn.Module, missing: Iterable[str], folder: str) -> None:
    """Check a model that transformers has loaded.

    Args:
        network: the model.
        missing: names of weights that were not in the files, which transformers draws at random.
        folder: names the model.

    Raises:
        ExpotionError: weights are missing, or are not finite.
    """
    computed = "embed_positions.weights"  # a table of sines, which older files hold
    if absent := sorted(name for name in missing if not name.endswith(computed)):
        raise damaged(folder, f"{len(absent)} weights are missing; the first is {absent[0]}")
    check_finite(network.named_parameters(), folder)
    check_finite(network.named_buffers(), folder)


def check_finite(tensors: Iterable[tuple[str, torch.Tensor]], path: Path | str, kind: str = "model") -> None:
    """Check that all weights are finite.

    Args:
        tensors: names and values.
        path: names what is damaged.
        kind: "model" or "adapter".

    Raises:
        ExpotionError: a weight is NaN or infinite.
    """
    for name, tensor in tensors:
        if tensor.is_floating_point() and tensor.numel() and not tensor.detach().float().abs().amax().isfinite():
            raise damaged(path, f"{name} holds values that are NaN or infinite", kind)
