"""Loads nano, one of the published MusicGen models, or a folder with one."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ExpotionError, short_repr
from ..stored import read_json
from .checking import check_folder, check_loaded, check_model_config, damaged

if TYPE_CHECKING:
    import torch

NANO = Path(__file__).parents[1] / "assets" / "nano"
DEVICES = ("cpu", "cuda", "mps", "xpu")
HUB_NAMES = ("facebook/musicgen-small", "facebook/musicgen-medium", "facebook/musicgen-large")


@dataclass(frozen=True)
class MusicGen:
    """A loaded MusicGen model.

    Attributes:
        model: transformers' `MusicgenForConditionalGeneration`, in eval mode.
        processor: its `MusicgenProcessor`, which holds the tokenizer.
        name: name or folder it was loaded from.
        window: frames of music that it was trained on at once; longer music is sampled window by window.
    """

    model: Any
    processor: Any
    name: str
    window: int

    @property
    def sample_rate(self) -> int:
        """Sample rate of the audio, in Hz."""
        return int(self.model.config.audio_encoder.sampling_rate)

    @property
    def frame_rate(self) -> float:
        """Code frames per second."""
        return float(self.model.config.audio_encoder.frame_rate)

    @property
    def hop(self) -> int:
        """Samples per code frame."""
        return round(self.sample_rate / self.frame_rate)

    @property
    def n_codebooks(self) -> int:
        """Number of codes per frame."""
        return int(self.model.decoder.config.num_codebooks)

    @property
    def pad(self) -> int:
        """Token in the places of the delay pattern that have no code."""
        return int(self.model.decoder.config.pad_token_id)


def model_folder(model: str | os.PathLike[str]) -> str:
    """Return where a model's files are: a folder, or a name on the Hugging Face hub.

    Args:
        model: "nano" (bundled), one of `HUB_NAMES`, or a folder.

    Raises:
        ExpotionError: the name is none of these, or the folder holds no MusicGen for mono audio.

    Example:
        >>> model_folder("facebook/musicgen-small")
        'facebook/musicgen-small'

    Notebook: notebooks/05_data
    """
    if isinstance(model, (str, os.PathLike)) and os.fspath(model):
        if str(model) == "nano":
            return str(NANO)
        path = Path(os.path.expanduser(model))
        if os.path.isdir(path):
            _check_folder(path)
            return str(path)
        if str(model) in HUB_NAMES:
            return str(model)
    raise ExpotionError(
        f"Unknown model {reprlib.repr(model)}; use nano, {', '.join(HUB_NAMES)}, or a folder that holds a MusicGen."
    )


def _check_folder(path: Path) -> None:
    """Refuse a folder that does not hold a MusicGen for mono audio."""
    if not (path / "config.json").is_file():
        raise ExpotionError(f"{path} holds no config.json; give the folder that save_pretrained wrote.")
    check_folder(path)
    config = read_json(path / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("decoder", {}), dict):
        raise damaged(path / "config.json", "it is not the configuration of a MusicGen")
    kind, channels = config.get("model_type"), config.get("decoder", {}).get("audio_channels", 1)
    if channels != 1:
        raise ExpotionError(f"{path} holds a stereo MusicGen; this library runs the mono ones.")
    if kind != "musicgen":
        raise ExpotionError(f"{path} holds a model of type {kind!r}; this library runs MusicGen (not the melody one).")
    check_model_config(config, path)


def load(model: str | os.PathLike[str] = "nano", *, device: str = "auto", dtype: str | None = None) -> MusicGen:
    """Load a MusicGen model. `nano` is bundled and needs no network.

    Args:
        model: "nano", "facebook/musicgen-small" (-medium, -large), or a folder.
        device: "auto" (a GPU where there is one, else the CPU), "cpu", "cuda", ...
        dtype: "float32", "bfloat16" or "float16"; None: float32 on a CPU, on a GPU the half precision that it supports
            (`precision.precision_of`). The codec always computes in float32, because half precision changes its codes.

    Raises:
        ExpotionError: there is no such model, device or dtype, or the weights are damaged or cannot be downloaded.
            Nothing in a model's folder is run.

    Example:
        >>> load("nano").frame_rate
        50.0

    Notebook: notebooks/04_inside_musicgen
    """
    import torch
    from transformers import AutoProcessor, MusicgenForConditionalGeneration

    folder = model_folder(model)
    if dtype not in (None, "float32", "bfloat16", "float16"):
        raise ExpotionError(f"There is no dtype {short_repr(dtype)} here; choose float32, bfloat16 or float16.")
    place = device_named(device)
    files = ("tokenizer.json", "spiece.model")  # without either, transformers makes a tokenizer without a vocabulary
    if Path(folder).is_dir() and not any((Path(folder) / file).is_file() for file in files):
        raise ExpotionError(f"{folder} holds no {' or '.join(files)}; copy or download the model again.")
    try:
        with quiet():
            network, report = MusicgenForConditionalGeneration.from_pretrained(
                folder,
                dtype=getattr(torch, dtype or _dtype_for(place)),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # of many kinds: tokenizers, for one, raises plain exceptions
        if Path(folder).is_dir():
            raise damaged(folder, error) from error
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ExpotionError(f"Cannot load {model}: {reason} Download it once while online, or use nano.") from error
    check_loaded(network, report["missing_keys"], folder)
    words = network.get_input_embeddings().num_embeddings
    if not 0 < len(processor.tokenizer) <= words:
        raise damaged(folder, f"its tokenizer has {len(processor.tokenizer)} words and its text encoder {words}")
    activation = network.decoder.config.activation_function
    if activation != "gelu":
        raise ExpotionError(f"Cannot load {model}: activation {activation!r}, not gelu.")
    network.audio_encoder.float()
    window = int(getattr(network.config, "window_frames", 1500))
    return MusicGen(network.to(place).eval(), processor, str(model), window)


def _dtype_for(place: torch.device) -> str:
    """Return the dtype to sample in. On every CPU it is float32, so that nano's music is the same on all of them."""
    if place.type == "cpu":
        return "float32"
    from .precision import precision_of

    return {"bf16": "bfloat16", "fp16": "float16"}.get(precision_of(place), "float32")


def device_named(name: str) -> torch.device:
    """Return the torch device of a name.

    Args:
        name: "auto" (a GPU where there is one, else the CPU), or a name of torch's such as "cpu", "cuda" or "cuda:1".

    Raises:
        ExpotionError: this computer has no such device.

    Example:
        >>> device_named("cpu")
        device(type='cpu')
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(name)
        if place.type in DEVICES and float(torch.zeros(1, device=place) + 1) == 1:
            return torch.zeros(1, device=place).device
    except (RuntimeError, AssertionError, TypeError):  # torch's words list all kinds of devices that there are
        pass
    raise ExpotionError(f"There is no device {short_repr(name)} on this computer; use cpu or auto.")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the log messages and progress bars of transformers and the hub while the block runs."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    level, hub_level, bars = logging.get_verbosity(), hub_logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub_logging.set_verbosity(hub_level)
        if bars:
            logging.enable_progress_bar()
