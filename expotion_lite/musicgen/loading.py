"""Load nano or any MusicGen, and the codes that it speaks: the delay pattern and EnCodec, there and back."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ExpotionError

if TYPE_CHECKING:
    import torch
NANO = Path(__file__).parents[1] / "assets" / "nano"
HUB_NAMES = ("facebook/musicgen-small", "facebook/musicgen-medium", "facebook/musicgen-large")


@dataclass(frozen=True)
class MusicGen:
    """A MusicGen and what belongs to it.

    Attributes:
        model: transformers' `MusicgenForConditionalGeneration`, in eval mode.
        processor: its `MusicgenProcessor` (tokenizer of the prompt).
        name: what it was loaded by.
        window: frames of music that it was trained on at once; longer music is made window by window.
    """

    model: Any
    processor: Any
    name: str
    window: int

    @property
    def sample_rate(self) -> int:
        """Of its audio, in Hz."""
        return int(self.model.config.audio_encoder.sampling_rate)

    @property
    def frame_rate(self) -> float:
        """Code frames a second."""
        return float(self.model.config.audio_encoder.frame_rate)

    @property
    def n_codebooks(self) -> int:
        """How many codes make a frame."""
        return int(self.model.decoder.config.num_codebooks)

    @property
    def pad(self) -> int:
        """The token that stands where the delay pattern has no code."""
        return int(self.model.decoder.config.pad_token_id)


def model_folder(name: str | os.PathLike[str]) -> str:
    """Where a model's files are: the bundled nano, a folder, or a name on the Hugging Face hub.

    Raises:
        ExpotionError: the name is none of these.

    Example:
        >>> model_folder("facebook/musicgen-small")
        'facebook/musicgen-small'
    """
    unknown = ExpotionError(
        f"Unknown model {reprlib.repr(name)}; use nano, {', '.join(HUB_NAMES)}, or a folder that holds a MusicGen."
    )
    if not isinstance(name, (str, os.PathLike)) or not os.fspath(name):
        raise unknown
    if str(name) == "nano":
        return str(NANO)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ExpotionError(f"{path} holds no config.json; give the folder that save_pretrained wrote.")
        try:
            config = json.loads((path / "config.json").read_text())
            kind, channels = config.get("model_type"), config.get("decoder", {}).get("audio_channels", 1)
        except (ValueError, AttributeError) as error:
            raise ExpotionError(f"{path}/config.json is damaged ({error}); copy or download the model anew.") from error
        if channels != 1:
            raise ExpotionError(f"{path} holds a stereo MusicGen; this library runs the mono ones.")
        if kind != "musicgen":
            raise ExpotionError(
                f"{path} holds a model of type {kind!r}; this library runs MusicGen (not the melody one)."
            )
        return str(path)
    if str(name) in HUB_NAMES:
        return str(name)
    raise unknown


def load(name: str | os.PathLike[str] = "nano", *, device: str = "cpu", dtype: str | None = None) -> MusicGen:
    """Load a MusicGen by name. `nano` is bundled and needs no network.

    Args:
        name: "nano", "facebook/musicgen-small" (-medium, -large), or a folder.
        device: "cpu", "cuda", ... or "auto", a GPU where there is one.
        dtype: "float32", "bfloat16" or "float16"; by default float32 on a CPU, and on a GPU what it is
            made for (`precision.precision_of`). The codec computes in float32 whatever it is: its codes would differ.

    Raises:
        ExpotionError: no such model, device or dtype, or the weights are neither here nor to be had.

    Example:
        >>> load("nano").frame_rate
        50.0

    Notebook: notebooks/00_start_here
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoProcessor, MusicgenForConditionalGeneration

    folder = model_folder(name)
    if dtype not in (None, "float32", "bfloat16", "float16"):
        raise ExpotionError(f"There is no dtype {dtype!r} here; choose float32, bfloat16 or float16.")
    place = device_named(device)
    files = ("tokenizer.json", "spiece.model")  # without either, transformers makes up a tokenizer that knows no words
    if Path(folder).is_dir() and not any((Path(folder) / file).is_file() for file in files):
        raise ExpotionError(f"{folder} holds no {' or '.join(files)}; copy or download the model anew.")
    kind = getattr(torch, dtype or _dtype_for(place))
    try:
        with quiet():
            model = MusicgenForConditionalGeneration.from_pretrained(folder, dtype=kind)
            processor = AutoProcessor.from_pretrained(folder)
        model.audio_encoder.float()
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ExpotionError(
            f"Cannot load {name}: {str(error).splitlines()[0]} Download it once while online, or use nano."
        ) from error
    if model.decoder.config.activation_function != "gelu":
        raise ExpotionError(f"Cannot load {name}: activation {model.decoder.config.activation_function!r}, not gelu.")
    window = int(getattr(model.config, "window_frames", 1500))
    return MusicGen(model.to(place).eval(), processor, str(name), window)


def _dtype_for(place: torch.device) -> str:
    """On a CPU float32, even where a training computes in bfloat16: what nano plays stays the same everywhere."""
    if place.type == "cpu":
        return "float32"
    from .precision import precision_of

    return {"bf16": "bfloat16", "fp16": "float16"}.get(precision_of(place), "float32")


def device_named(name: str) -> torch.device:
    """The device of that name; "auto" is the GPU where there is one.

    Raises:
        ExpotionError: no such device here.

    Example:
        >>> device_named("cpu")
        device(type='cpu')
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ExpotionError(f"No device {name!r} here ({str(error).splitlines()[0]}); use cpu or auto.") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep from the terminal: progress bars of loading and saving, remarks on the configuration (of every MusicGen),
    and the hub's on each of its retries."""
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
