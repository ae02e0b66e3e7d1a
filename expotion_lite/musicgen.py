"""Load nano or any MusicGen, and the codes that it speaks: the delay pattern and EnCodec, there and back."""

from __future__ import annotations

import hashlib
import json
import os
import re
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ExpotionError

if TYPE_CHECKING:
    import torch

NANO = Path(__file__).parent / "assets" / "nano"
HUB_NAMES = ("facebook/musicgen-small", "facebook/musicgen-medium", "facebook/musicgen-large")
IGNORED = -100  # a label without a code
WORD = re.compile(r"""[^\s.,;:!?"'()]+""")  # of a prompt


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


def model_folder(name: str | os.PathLike) -> str:
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


def load(name: str | os.PathLike = "nano", *, device: str = "cpu", dtype: str | None = None) -> MusicGen:
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


def unknown_words(musicgen: MusicGen, prompt: str) -> tuple[str, ...]:
    """Words of a prompt that say nothing to nano, whose vocabulary is that of its captions; none for other models.

    Example:
        >>> unknown_words(load("nano"), "A Happy rock Polka in F# minor, with Guitar.")
        ('polka',)
    """
    if musicgen.name != "nano":
        return ()
    words = dict.fromkeys(match[0].lower() for match in WORD.finditer(prompt))
    return tuple(word for word in words if not word.isdigit() and known_form(musicgen, word) is None)


def known_form(musicgen: MusicGen, word: str) -> str | None:
    """A word as it stands in the vocabulary: as it is, in small letters, or with a capital; None if it does not."""
    known = musicgen.processor.tokenizer.tokenize
    return next((form for form in (word, word.lower(), word.capitalize()) if len(known(form)) == 1), None)


def respell(musicgen: MusicGen, prompt: str) -> str:
    """A prompt with each word in the letters in which nano's small vocabulary has it; as it is for other models.

    Example:
        >>> respell(load("nano"), "SLOW Drums and polka, in d.")
        'slow drums and polka, in D.'
    """
    if musicgen.name != "nano":
        return prompt
    return WORD.sub(lambda word: known_form(musicgen, word[0]) or word[0], prompt)


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


def delay(codes: torch.Tensor, pad: int) -> torch.Tensor:
    """Lay codes out in MusicGen's delay pattern: codebook k comes k steps late (Copet 2023, section 2.2).

    Args:
        codes: (..., K, T) integers.
        pad: what stands where no code is.

    Returns:
        (..., K, T + K - 1): codebook k of frame t is at step t + k.

    Example:
        >>> import torch
        >>> delay(torch.tensor([[1, 2, 3], [4, 5, 6]]), pad=9).tolist()
        [[1, 2, 3, 9], [9, 4, 5, 6]]
    """
    n_codebooks, n_frames = codes.shape[-2:]
    out = codes.new_full((*codes.shape[:-1], n_frames + n_codebooks - 1), pad)
    for k in range(n_codebooks):
        out[..., k, k : k + n_frames] = codes[..., k, :]
    return out


def undelay(steps: torch.Tensor) -> torch.Tensor:
    """Undo `delay`. steps: (..., K, T + K - 1). Returns (..., K, T)."""
    import torch

    n_codebooks = steps.shape[-2]
    n_frames = steps.shape[-1] - n_codebooks + 1
    return torch.stack([steps[..., k, k : k + n_frames] for k in range(n_codebooks)], dim=-2)


def inputs_and_labels(codes: torch.Tensor, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What the decoder reads and what it should say, for codes whose missing frames are negative.

    Args:
        codes: (B, K, T) integers; a negative code is no code: neither read nor learned (a short clip's end).
        pad: the model's pad token.

    Returns:
        inputs: (B * K, S) with S = T + K - 1, as transformers' decoder takes them: one step behind the labels.
        labels: (B, S, K), -100 where there is nothing to learn.
    """
    delayed = delay(codes, IGNORED)
    delayed = delayed.masked_fill(delayed < 0, IGNORED)
    shifted = delayed.roll(1, dims=-1)
    shifted[..., 0] = IGNORED
    inputs = shifted.masked_fill(shifted < 0, pad)
    return inputs.flatten(0, 1), delayed.transpose(1, 2)


def digest_of_codec(musicgen: MusicGen) -> str:
    """Sixteen hexadecimal digits that tell a model's codec from others by its weights."""
    digest = hashlib.sha256()
    for name, value in musicgen.model.audio_encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(value.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def encode(musicgen: MusicGen, audio: torch.Tensor, *, chunk: int = 500, margin: int = 25) -> torch.Tensor:
    """Audio to codes, what `EncodecModel.encode` gives, with bounded memory, as in `decode`.

    Args:
        audio: (B, N) float32 at the model's sample rate.
        chunk, margin: see `decode`.

    Returns:
        codes: (B, K, T) int64, T = N / hop, rounded up.
    """
    import torch

    codec, hop = musicgen.model.audio_encoder, round(musicgen.sample_rate / musicgen.frame_rate)
    before, memory, after = in_three(codec.encoder)
    audio, pieces = audio[:, None].to(codec.device, codec.dtype), []
    with torch.no_grad():
        for left, first, last, right in _chunks(-(-audio.shape[-1] // hop), chunk, margin):
            pieces.append(before(audio[..., left * hop : right * hop])[..., first - left : last - left])
        hidden = after(memory(torch.cat(pieces, dim=-1)))
        return codec.quantizer.encode(hidden, codec.config.target_bandwidths[0]).transpose(0, 1)


def in_three(half: torch.nn.Module) -> tuple[torch.nn.Module, torch.nn.Module, torch.nn.Module]:
    """A codec's encoder or decoder in three: what comes before its memory, the memory (an `EncodecLSTM`), the rest."""
    import torch

    layers = list(half.layers)
    memory = next(i for i, layer in enumerate(layers) if hasattr(layer, "lstm"))
    return torch.nn.Sequential(*layers[:memory]), layers[memory], torch.nn.Sequential(*layers[memory + 1 :])


def _chunks(n: int, chunk: int, margin: int) -> Iterator[tuple[int, int, int, int]]:
    """Of n frames `chunk` at a time: where the margin before begins, first, last, and where the one after ends."""
    for first in range(0, n, chunk):
        last = min(first + chunk, n)
        yield max(0, first - margin), first, last, min(n, last + margin)


def latents_of(musicgen: MusicGen, codes: torch.Tensor) -> torch.Tensor:
    """What codes (B, K, T) stand for, (B, D, T): the sum of their codebooks' entries."""
    codec = musicgen.model.audio_encoder
    return codec.quantizer.decode(codes.transpose(0, 1).to(codec.device))


def decode(musicgen: MusicGen, codes: torch.Tensor, *, chunk: int = 500, margin: int = 25) -> torch.Tensor:
    """Codes to audio. What has a memory runs over all frames; the rest in chunks, so that memory stays bounded.

    Args:
        codes: (B, K, T) integers.
        chunk: frames decoded at once; margin: frames of context on either side, decoded and thrown away.

    Returns:
        audio: (B, T * hop) float32 at the model's sample rate.
    """
    import torch

    hop, pieces = round(musicgen.sample_rate / musicgen.frame_rate), []
    before, memory, after = in_three(musicgen.model.audio_encoder.decoder)
    with torch.no_grad():
        hidden = memory(before(latents_of(musicgen, codes)))
        for left, first, last, right in _chunks(codes.shape[-1], chunk, margin):
            audio = after(hidden[..., left:right])
            pieces.append(audio[:, 0, (first - left) * hop : (last - left) * hop].float().cpu())
    return torch.cat(pieces, dim=1)
