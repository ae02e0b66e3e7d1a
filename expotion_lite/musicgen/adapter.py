"""The visual adapter and LoRA: what is trained so that a frozen MusicGen follows a face and a body."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import ExpotionError
from ..files import copy_files

if TYPE_CHECKING:
    from .loading import MusicGen

BUNDLED = Path(__file__).parents[1] / "assets" / "adapter"
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
DESCRIPTION = "visual_adapter.json"


@dataclass(frozen=True)
class AdapterConfig:
    """What a visual adapter is made of.

    Attributes:
        channels: names of the controls that it reads, in order.
        width: of the decoder that it speaks to.
        hidden: width of its two convolutions.
        kernel: frames that each convolution sees; two of 25 look 24 frames (0.48 s) both ways.
        rank: of LoRA; `alpha`: its scale is alpha / rank.
        probe: a few weights of the model that it was trained for, see `probe_of`; none in adapters from before.
    """

    channels: tuple[str, ...]
    width: int
    hidden: int = 128
    kernel: int = 25
    rank: int = 16
    alpha: int = 16
    probe: tuple[float, ...] = ()


class VisualAdapter(nn.Module):
    """Controls to something that can be added to the decoder's input: two convolutions, a projection and a gate.

    The projection reads the controls themselves beside the convolutions' features, so that what is simple (a pulse
    where a beat should be) is learned first. It starts at 0, so that an untrained adapter changes nothing (as in
    ControlNet, Zhang 2023, section 3.1). A gate that starts at 0 before a random projection changes nothing either,
    but what it would let in is noise, so that it stays shut for long; both at 0 would have no gradient.
    """

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        n_channels, pad = len(config.channels), config.kernel // 2
        self.inner = nn.Conv1d(n_channels, config.hidden, config.kernel, padding=pad)
        self.outer = nn.Conv1d(config.hidden, config.hidden, config.kernel, padding=pad)
        for convolution in (self.inner, self.outer):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)
        self.norm = nn.LayerNorm(config.hidden)
        self.project = nn.Linear(config.hidden + n_channels, config.width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        self.gate = nn.Parameter(torch.ones(1))

    def forward(self, controls: torch.Tensor) -> torch.Tensor:
        """controls: (B, T, C) at the model's frame rate. Returns (B, T, width), all zeros before training."""
        x = nn.functional.gelu(self.inner(controls.transpose(1, 2)))
        x = nn.functional.gelu(self.outer(x)).transpose(1, 2)
        features = self.norm(x) / x.shape[-1] ** 0.5  # one loud voice among the controls, not a hundred
        return self.gate * self.project(torch.cat([features, controls], dim=-1))


def attach(musicgen: MusicGen, config: AdapterConfig) -> Any:
    """Put an untrained adapter and LoRA on a MusicGen, in place; everything else is frozen.

    Args:
        musicgen: the model. It must not have an adapter yet.
        config: of the adapter.

    Returns:
        The `peft.PeftModel` around `musicgen.model`, whose trainable parameters are the adapter's and LoRA's.

    Raises:
        ExpotionError: the widths differ, or the model has an adapter already.

    Notebook: notebooks/00_start_here
    """
    from peft import LoraConfig, get_peft_model

    _add_module(musicgen, config)
    targets = rf".*decoder.*\.({'|'.join(LORA_TARGETS)})"
    lora = LoraConfig(
        r=config.rank, lora_alpha=config.alpha, target_modules=targets, modules_to_save=["visual_adapter"]
    )
    with warnings.catch_warnings():  # peft asks transformers 5.23 for a property that it is about to rename
        warnings.simplefilter("ignore", FutureWarning)
        model = get_peft_model(musicgen.model, lora)
    model.peft_config["default"].base_model_name_or_path = musicgen.name
    return model


def probe_of(musicgen: MusicGen) -> tuple[float, ...]:
    """Eight weights that an adapter does not change: they tell a model from others of its shape, at any precision."""
    return tuple(round(float(x), 6) for x in musicgen.model.decoder.lm_heads[0].weight.detach().flatten()[:8])


def _inner_decoder(model: Any) -> Any:
    """The stack of layers inside a MusicGen, with or without PEFT around it."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return base.decoder.model.decoder


def _add_module(musicgen: MusicGen, config: AdapterConfig) -> None:
    decoder = _inner_decoder(musicgen.model)
    if hasattr(decoder, "visual_adapter"):
        raise ExpotionError("This model has an adapter already; load the model anew before adding another.")
    if decoder.config.hidden_size != config.width:
        raise ExpotionError(
            f"The adapter is {config.width} wide and {musicgen.name} {decoder.config.hidden_size}: "
            "it was trained for another model; name the model it was trained for."
        )
    device = next(musicgen.model.decoder.parameters()).device
    decoder.visual_adapter = VisualAdapter(config).to(device, torch.float32)  # trained: never in half precision
    decoder.visual_embeds = None
    decoder.embed_positions.register_forward_hook(lambda _, __, positions: _add_control(decoder, positions))


def _add_control(decoder: Any, positions: torch.Tensor) -> torch.Tensor:
    """Forward hook: what is added to the summed code embeddings is position + control. positions: (S, D)."""
    if decoder.visual_embeds is None:
        return positions
    embeds = decoder.visual_embeds
    if embeds.shape[1] != len(positions):
        raise ValueError(f"{embeds.shape[1]} steps of control for {len(positions)} steps of music.")
    return positions + embeds.to(positions.dtype)


def embed_controls(model: Any, controls: torch.Tensor) -> torch.Tensor:
    """Run the model's visual adapter. controls: (B, T, C). Returns (B, T, D) to add at the decoder's input."""
    adapter = _inner_decoder(model).visual_adapter
    parameter = next(adapter.parameters())
    return adapter(controls.to(parameter.device, parameter.dtype))


def to_steps(embeds: torch.Tensor, n_codebooks: int) -> torch.Tensor:
    """Frames to decoder steps: the delay pattern adds n_codebooks - 1 steps, which hold the last frame's control.

    embeds: (B, T, D). Returns (B, T + n_codebooks - 1, D).
    """
    return torch.cat([embeds, embeds[:, -1:].expand(-1, n_codebooks - 1, -1)], dim=1)


@contextmanager
def conditioned(model: Any, embeds: torch.Tensor | None) -> Iterator[None]:
    """While the block runs, the decoder's input has `embeds` (B, S, D) added to it, step by step."""
    decoder = _inner_decoder(model)
    decoder.visual_embeds = embeds
    try:
        yield
    finally:
        decoder.visual_embeds = None


def save_adapter(peft_model: Any, config: AdapterConfig, folder: str | os.PathLike[str]) -> None:
    """Write adapter and LoRA in PEFT's format, and what the adapter reads (`visual_adapter.json`), to a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as place:
        peft_model.save_pretrained(place, save_embedding_layers=False)  # "auto" would ask the hub about the base model
        (Path(place) / "README.md").unlink(missing_ok=True)  # an empty form of PEFT's
        (Path(place) / DESCRIPTION).write_text(json.dumps(asdict(config), indent=1) + "\n")
        copy_files(Path(place), folder)


def read_config(folder: str | os.PathLike[str]) -> AdapterConfig:
    """The configuration of a saved adapter.

    Raises:
        ExpotionError: the folder holds none.
    """
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise ExpotionError(f"{folder} holds no adapter ({DESCRIPTION} is missing); give a folder that training wrote.")
    try:
        values = json.loads(path.read_text())
        channels, probe = tuple(map(str, values.pop("channels"))), tuple(map(float, values.pop("probe", ())))
        return AdapterConfig(channels=channels, probe=probe, **{name: int(value) for name, value in values.items()})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ExpotionError(f"{path} is damaged ({error}); copy or train the adapter anew.") from error


def load_adapter(musicgen: MusicGen, folder: str | os.PathLike[str]) -> tuple[Any, AdapterConfig]:
    """Put a trained adapter on a MusicGen, in place.

    Args:
        musicgen: the model it was trained for.
        folder: what `save_adapter` wrote.

    Returns:
        (the `peft.PeftModel`, the adapter's configuration)

    Raises:
        ExpotionError: it is missing, incomplete, or made for another model. It is never silently inactive.

    Notebook: notebooks/00_start_here
    """
    config = read_config(folder)
    tensors = _weights_in(folder)
    if config.width == musicgen.model.decoder.config.hidden_size and config.probe:
        apart = max(abs(a - b) for a, b in zip(config.probe, probe_of(musicgen), strict=False))
        if apart > 0.01 * max(map(abs, config.probe)):
            raise ExpotionError(
                f"The adapter in {folder} was trained for another model than {musicgen.name}, if of the same shape; "
                "name the model it was trained for."
            )
    peft_model = attach(musicgen, config)
    _put_in(peft_model, tensors, folder)
    return peft_model.eval(), config


def restore_adapter(peft_model: Any, folder: str | os.PathLike[str]) -> None:
    """Give a model with an adapter the weights that `save_adapter` wrote to a folder.

    Raises:
        ExpotionError: they are damaged, or made for a model or an adapter of another shape.
    """
    _put_in(peft_model, _weights_in(folder), folder)


def _weights_in(folder: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """The weights of a saved adapter by their names."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder) / "adapter_model.safetensors"
    if not path.is_file():
        raise ExpotionError(f"{folder} holds no adapter_model.safetensors; copy or train the adapter anew.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ExpotionError(f"{path} is damaged ({error}); copy or train the adapter anew.") from error


def _put_in(peft_model: Any, tensors: dict[str, torch.Tensor], folder: str | os.PathLike[str]) -> None:
    """Give a model with an adapter these weights, which are from a folder."""
    from peft import set_peft_model_state_dict

    name = peft_model.peft_config["default"].base_model_name_or_path
    wanted = {name for name, p in peft_model.named_parameters() if p.requires_grad}
    try:
        result = set_peft_model_state_dict(peft_model, tensors)
    except (RuntimeError, KeyError) as error:
        raise ExpotionError(f"The adapter in {folder} does not fit {name}: {str(error).splitlines()[0]}") from error
    missing = wanted & set(result.missing_keys)
    if missing or result.unexpected_keys:
        raise ExpotionError(
            f"The adapter in {folder} does not fit {name}: {len(missing)} weights are missing, "
            f"{len(result.unexpected_keys)} have no place; name the model it was trained for."
        )
