"""The visual adapter and LoRA: the trained weights with which a frozen MusicGen follows face and body."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import ExpotionError, short_repr
from ..files import copy_files
from ..stored import read_json
from .checking import check_finite, check_folder, damaged

if TYPE_CHECKING:
    from .loading import MusicGen

BUNDLED = Path(__file__).parents[1] / "assets" / "adapter"
EVENT_CHANNELS = ("event", "pulse")
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
DESCRIPTION = "visual_adapter.json"
_MOST = {"width": 65_536, "hidden": 65_536, "kernel": 1_001, "rank": 4_096, "alpha": 65_536}
_MOST_CHANNELS = 1_000
_PROBED = 8  # weights of the model


@dataclass(frozen=True)
class AdapterConfig:
    """Architecture of a visual adapter and its LoRA.

    Attributes:
        channels: names of the controls that it reads, in order.
        width: width D of the decoder.
        hidden: channels of its two convolutions.
        kernel: frames that each convolution reads; two of 25 reach 24 frames (0.48 s) back and ahead.
        rank: rank of LoRA.
        alpha: LoRA's update is scaled by alpha / rank.
        probe: weights that identify the model it was trained for, see `probe_of`; empty in older adapters.

    Raises:
        ExpotionError: a value is of the wrong type or outside its range.

    Notebook: notebooks/06_lora_finetuning
    """

    channels: tuple[str, ...]
    width: int
    hidden: int = 128
    kernel: int = 25
    rank: int = 16
    alpha: int = 16
    probe: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the values."""
        for name, most in _MOST.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise ExpotionError(f"{name} is {short_repr(value)}; choose a whole number, 1 to {most}.")
        if self.kernel % 2 == 0:
            raise ExpotionError(f"kernel is {self.kernel}; choose an odd number, which has a middle.")
        if not self.channels or len(set(self.channels)) < len(self.channels) or len(self.channels) > _MOST_CHANNELS:
            raise ExpotionError(f"There are {len(self.channels)} channels; name 1 to {_MOST_CHANNELS}, each once.")
        if not all(isinstance(name, str) and 0 < len(name) <= 100 for name in self.channels):
            raise ExpotionError("A channel has no name, or a very long one; name channels as in `controls`.")
        finite = (type(x) in (int, float) and math.isfinite(x) for x in self.probe)
        if len(self.probe) not in (0, _PROBED) or not all(finite):
            raise ExpotionError(f"probe is {short_repr(self.probe)}; give {_PROBED} finite numbers, or none.")


class VisualAdapter(nn.Module):
    """Network that turns controls into a vector per frame, which is added to the decoder's input.

    The output is `gate * project([features, controls])`:

    - Convolutions (`inner`, `outer`): two over time, which compute features of the movement around each frame. `norm`
      normalizes the features, and they are scaled down so that they cannot drown the controls.
    - Projection (`project`): maps features and controls to the decoder's width. It reads the controls directly, so
      that simple relations (a pulse where a beat should be) are learned first. It starts at 0, so that an untrained
      adapter changes nothing (as in ControlNet, Zhang 2023, section 3.1).
    - Gate (`gate`): one trained factor that scales the whole output. It starts at 1. A gate at 0 before a
      random projection would change nothing either. But it would open slowly, because the random projection is noise.
      With both at 0, nothing could learn.

    Args:
        config: its architecture.

    Notebook: notebooks/06_lora_finetuning
    """

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        n_channels, pad = len(config.channels), config.kernel // 2
        self.inner = nn.Conv1d(n_channels, config.hidden, config.kernel, padding=pad)
        self.outer = nn.Conv1d(config.hidden, config.hidden, config.kernel, padding=pad)
        for convolution in (self.inner, self.outer):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
        self.norm = nn.LayerNorm(config.hidden)
        self.project = nn.Linear(config.hidden + n_channels, config.width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        self.gate = nn.Parameter(torch.ones(1))
        self.is_event = torch.tensor([name in EVENT_CHANNELS for name in config.channels])

    def forward(
        self, controls: torch.Tensor, ahead: torch.Tensor | None = None, foreseen: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Compute what is added to the decoder's input.

        In live playing, the future is not known. So each frame may see only a few frames ahead. Farther ahead, events
        are foreseen or none, and all other channels stay as they are at the last known frame.

        Args:
            controls: (B, T, C) at the model's frame rate.
            ahead: (B,) int64, how many frames each frame sees ahead; -1 sees all. None sees all throughout.
            foreseen: (B,) 1 where events farther ahead are foreseen, 0 where they are not; given with `ahead`.

        Returns:
            (B, T, D), all zeros before training.
        """
        x = nn.functional.gelu(self.inner(controls.transpose(1, 2)))
        x = nn.functional.gelu(self.outer(x)).transpose(1, 2)
        if ahead is not None and foreseen is not None and (rows := ahead >= 0).any():
            x = x.index_put((rows,), self._features_ahead(controls[rows], ahead[rows], foreseen[rows]))
        features = self.norm(x) / x.shape[-1] ** 0.5  # scaled down so that they cannot drown the controls
        embeds: torch.Tensor = self.gate * self.project(torch.cat([features, controls], dim=-1))
        return embeds

    def _features_ahead(self, controls: torch.Tensor, ahead: torch.Tensor, foreseen: torch.Tensor) -> torch.Tensor:
        """Compute the convolutions' features (B, T, H) with a window for each frame that holds what the frame sees."""
        batch, frames, channels = controls.shape
        reach = self.inner.kernel_size[0] - 1  # frames that the two convolutions read before and after a frame
        windows = nn.functional.pad(controls.transpose(1, 2), (reach, reach)).unfold(2, 2 * reach + 1, 1)
        offsets = torch.arange(-reach, reach + 1, device=controls.device)
        last = (torch.arange(frames, device=controls.device) + ahead[:, None]).clamp(max=frames - 1)  # (B, T)
        held = controls.gather(1, last[..., None].expand(-1, -1, channels)).transpose(1, 2)[..., None]  # (B, C, T, 1)
        is_event = self.is_event.to(controls.device)[:, None, None]
        guessed = torch.where(is_event, windows * foreseen.to(windows.dtype)[:, None, None, None], held)
        seen = torch.where(offsets <= ahead[:, None, None, None], windows, guessed)  # (B, C, T, W)
        x = seen.transpose(1, 2).flatten(0, 1)
        x = nn.functional.gelu(nn.functional.conv1d(x, self.inner.weight, self.inner.bias))
        x = nn.functional.gelu(nn.functional.conv1d(x, self.outer.weight, self.outer.bias))
        return x.view(batch, frames, -1)


def attach(musicgen: MusicGen, config: AdapterConfig) -> Any:
    """Add an untrained visual adapter and LoRA to a MusicGen, in place. All other weights are frozen.

    At first this changes nothing: the adapter's projection and LoRA's second matrix start at 0.

    Args:
        musicgen: the model. It must not have an adapter yet.
        config: architecture of the adapter.

    Returns:
        The `peft.PeftModel` around `musicgen.model`; its trainable parameters are those of the adapter and of LoRA.

    Raises:
        ExpotionError: the widths differ, or the model has an adapter already.

    Notebook: notebooks/06_lora_finetuning
    """
    from peft import LoraConfig, get_peft_model

    _add_module(musicgen, config)
    targets = rf".*decoder.*\.({'|'.join(LORA_TARGETS)})"
    lora = LoraConfig(
        r=config.rank, lora_alpha=config.alpha, target_modules=targets, modules_to_save=["visual_adapter"]
    )
    with warnings.catch_warnings():  # peft 0.21 reads a property that transformers 5.23 has deprecated
        warnings.simplefilter("ignore", FutureWarning)
        model = get_peft_model(musicgen.model, lora)
    model.peft_config["default"].base_model_name_or_path = musicgen.name
    return model


def probe_of(musicgen: MusicGen) -> tuple[float, ...]:
    """Return eight weights that identify a model among others of its shape.

    They are of an output layer, which an adapter does not change. Half precision changes them slightly.

    Args:
        musicgen: the model, with or without an adapter.
    """
    return tuple(round(float(x), 6) for x in musicgen.model.decoder.lm_heads[0].weight.detach().flatten()[:_PROBED])


def _inner_decoder(model: Any) -> Any:
    """Return the decoder's stack of layers, of a MusicGen with or without PEFT."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return base.decoder.model.decoder


def _add_module(musicgen: MusicGen, config: AdapterConfig) -> None:
    """Make the visual adapter a module of the decoder, and add its output to the decoder's input with a hook."""
    decoder = _inner_decoder(musicgen.model)
    if hasattr(decoder, "visual_adapter"):
        raise ExpotionError("This model has an adapter already; load the model again before adding another.")
    if decoder.config.hidden_size != config.width:
        raise ExpotionError(
            f"The adapter is {config.width} wide and {musicgen.name} {decoder.config.hidden_size}: "
            "it was trained for another model; name the model it was trained for."
        )
    device = next(musicgen.model.decoder.parameters()).device
    decoder.visual_adapter = VisualAdapter(config).to(
        device, torch.float32
    )  # also in a half-precision model: it is trained
    decoder.visual_embeds = None
    decoder.embed_positions.register_forward_hook(partial(_add_control, decoder))


def _add_control(decoder: Any, module: nn.Module, inputs: Any, positions: torch.Tensor) -> torch.Tensor:
    """Add the control to the position embeddings (S, D), which the decoder adds to its summed code embeddings.

    A forward hook of the module that returns the positions, bound to its decoder.
    """
    embeds = decoder.visual_embeds
    if embeds is None:
        return positions
    if embeds.shape[1] != len(positions):
        raise ValueError(f"{embeds.shape[1]} steps of control for {len(positions)} steps of music.")
    controlled: torch.Tensor = positions + embeds.to(positions.dtype)
    return controlled


def embed_controls(
    model: Any, controls: torch.Tensor, ahead: torch.Tensor | None = None, foreseen: torch.Tensor | None = None
) -> torch.Tensor:
    """Run the visual adapter of a model.

    Args:
        model: a MusicGen with an adapter, as `attach` returns it.
        controls: (B, T, C) at the model's frame rate.
        ahead: (B,) see `VisualAdapter.forward`; None sees all.
        foreseen: (B,) likewise.

    Returns:
        embeds: (B, T, D) to add to the decoder's input, on the model's device.

    Notebook: notebooks/06_lora_finetuning
    """
    adapter = _inner_decoder(model).visual_adapter
    parameter = next(adapter.parameters())
    embeds: torch.Tensor = adapter(controls.to(parameter.device, parameter.dtype), ahead, foreseen)
    return embeds


def frames_to_steps(embeds: torch.Tensor, n_codebooks: int) -> torch.Tensor:
    """Extend frames to decoder steps: in the n_codebooks - 1 steps that the delay pattern adds, hold the last frame.

    Args:
        embeds: (B, T, D) from `embed_controls`.
        n_codebooks: number of codes per frame.

    Returns:
        (B, T + n_codebooks - 1, D).

    Notebook: notebooks/06_lora_finetuning
    """
    return torch.cat([embeds, embeds[:, -1:].expand(-1, n_codebooks - 1, -1)], dim=1)


@contextmanager
def conditioned(model: Any, embeds: torch.Tensor | None) -> Iterator[None]:
    """Add `embeds` to the decoder's input while the block runs.

    Args:
        model: a MusicGen with an adapter, as `attach` returns it.
        embeds: (B, S, D), a row per decoder step, from `frames_to_steps`; None adds nothing.

    Notebook: notebooks/06_lora_finetuning
    """
    decoder = _inner_decoder(model)
    decoder.visual_embeds = embeds
    try:
        yield
    finally:
        decoder.visual_embeds = None


def save_adapter(peft_model: Any, config: AdapterConfig, folder: str | os.PathLike[str]) -> None:
    """Write adapter and LoRA to a folder, in PEFT's format, and the adapter's configuration (`visual_adapter.json`).

    Args:
        peft_model: a MusicGen with an adapter, as `attach` returns it.
        config: architecture of the adapter.
        folder: where to write; made if it does not exist.

    Notebook: notebooks/06_lora_finetuning
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for abandoned in folder.glob(".saving-*"):  # by a run that was killed
        shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as place:
        peft_model.save_pretrained(place, save_embedding_layers=False)  # "auto" would look the base model up on the hub
        (Path(place) / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
        (Path(place) / DESCRIPTION).write_text(json.dumps(asdict(config), indent=1) + "\n")
        copy_files(Path(place), folder)


def read_config(folder: str | os.PathLike[str]) -> AdapterConfig:
    """Read the configuration of a saved adapter.

    Args:
        folder: the folder that `save_adapter` wrote.

    Raises:
        ExpotionError: the folder holds no adapter, or its configuration is damaged.
    """
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise ExpotionError(f"{folder} holds no adapter ({DESCRIPTION} is missing); give a folder that training wrote.")
    check_folder(Path(folder), "adapter")
    try:
        values = read_json(path)
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
        channels, probe = values.pop("channels"), values.pop("probe", [])
        if unknown := sorted(values.keys() - _MOST.keys()):
            raise ValueError(f"it has an unknown field {short_repr(unknown[0])}")
        if not isinstance(channels, list) or not isinstance(probe, list):
            raise ValueError("channels and probe must be lists")
        return AdapterConfig(channels=tuple(channels), probe=tuple(probe), **values)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise damaged(path, error, "adapter") from error


def load_adapter(musicgen: MusicGen, folder: str | os.PathLike[str]) -> tuple[Any, AdapterConfig]:
    """Add a trained adapter to a MusicGen, in place.

    Args:
        musicgen: the model it was trained for.
        folder: the folder that `save_adapter` wrote.

    Returns:
        The `peft.PeftModel` in eval mode, and the adapter's configuration.

    Raises:
        ExpotionError: the adapter is missing, damaged, incomplete, or was trained for another model.
    """
    config = read_config(folder)
    tensors = _read_weights(folder)
    described = config.kernel * config.hidden * (config.hidden + len(config.channels))
    ranks = {tensor.shape[0] for name, tensor in tensors.items() if "lora_A" in name and tensor.ndim}
    if described > sum(map(torch.numel, tensors.values())) or ranks != {config.rank}:
        raise damaged(folder, f"its weights are not those that {DESCRIPTION} describes", "adapter")
    if config.width == musicgen.model.decoder.config.hidden_size and config.probe:
        difference = max(abs(a - b) for a, b in zip(config.probe, probe_of(musicgen), strict=True))
        if difference > 0.01 * max(map(abs, config.probe)):
            raise ExpotionError(
                f"The adapter in {folder} was trained for another model than {musicgen.name}, although of the same "
                "shape; name the model it was trained for."
            )
    peft_model = attach(musicgen, config)
    _set_weights(peft_model, tensors, folder)
    return peft_model.eval(), config


def restore_adapter(peft_model: Any, folder: str | os.PathLike[str]) -> None:
    """Load saved weights into a model that has an adapter already.

    Args:
        peft_model: a MusicGen with an adapter, as `attach` returns it.
        folder: the folder that `save_adapter` wrote.

    Raises:
        ExpotionError: the weights are missing, damaged, or belong to a model or an adapter of another shape.
    """
    _set_weights(peft_model, _read_weights(folder), folder)


def _read_weights(folder: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """Read the weights of a saved adapter, by name."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder) / "adapter_model.safetensors"
    if not path.is_file():
        raise ExpotionError(f"{folder} holds no adapter_model.safetensors; copy or train the adapter again.")
    try:
        weights: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(path, error, "adapter") from error
    if integers := [name for name, tensor in weights.items() if not tensor.is_floating_point()]:
        raise damaged(path, f"{integers[0]} holds no real numbers", "adapter")
    check_finite(weights.items(), path, "adapter")
    return weights


def _set_weights(peft_model: Any, tensors: dict[str, torch.Tensor], folder: str | os.PathLike[str]) -> None:
    """Set the weights of adapter and LoRA, and refuse missing and unknown ones. `folder` is for the error message."""
    from peft import set_peft_model_state_dict

    model = peft_model.peft_config["default"].base_model_name_or_path
    wanted = {name for name, p in peft_model.named_parameters() if p.requires_grad}
    try:
        result = set_peft_model_state_dict(peft_model, tensors)
    except (RuntimeError, KeyError) as error:
        raise ExpotionError(f"The adapter in {folder} does not fit {model}: {str(error).splitlines()[0]}") from error
    missing = wanted & set(result.missing_keys)
    if missing or result.unexpected_keys:
        raise ExpotionError(
            f"The adapter in {folder} does not fit {model}: {len(missing)} weights are missing, "
            f"{len(result.unexpected_keys)} have no place; name the model it was trained for."
        )
