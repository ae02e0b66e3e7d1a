"""Helpers of the lessons: check an exercise, make a stand-in for a large model, measure memory and time."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ExpotionError

if TYPE_CHECKING:
    from transformers import MusicgenConfig


def check(answer: object, reached: Callable[[], bool]) -> None:
    """Print whether an exercise is solved.

    Args:
        answer: the answer, or a tuple of its parts. Where it is still dots (`...`), nothing is checked.
        reached: returns whether the target of the exercise is reached.

    Raises:
        AssertionError: the target is not reached, or the answer has another type or shape than asked for.

    Example:
        >>> answer = ...
        >>> check(answer, lambda: answer == 42)
        Not tried yet: put your answer in the place of the dots, and run this cell again.
        >>> answer = 42
        >>> check(answer, lambda: answer == 42)
        The target is reached.

    Notebook: notebooks/00_start_here
    """
    if any(part is ... for part in (answer if isinstance(answer, tuple) else (answer,))):
        print("Not tried yet: put your answer in the place of the dots, and run this cell again.")
        return
    try:
        right = reached()
    except ExpotionError as error:
        raise AssertionError(f"Not there yet: {error}") from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise AssertionError(
            f"The answer has the wrong type or shape; see the comment beside the dots ({error})."
        ) from error
    if not right:
        raise AssertionError("Not there yet: this answer misses the target that is given above the cell.")
    print("The target is reached.")


def musicgen_small_config() -> MusicgenConfig:
    """Return the sizes of MusicGen small: a T5-base encoder, EnCodec at 32 kHz, and a decoder of 24 layers.

    They are those of google-t5/t5-base, facebook/encodec_32khz and facebook/musicgen-small.
    """
    from transformers import EncodecConfig, MusicgenConfig, T5Config
    from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

    text = T5Config(vocab_size=32128, d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12)
    codec = EncodecConfig(
        sampling_rate=32000,
        target_bandwidths=[2.2],
        num_filters=64,
        upsampling_ratios=[8, 5, 4, 4],
        codebook_size=2048,
        codebook_dim=128,
        use_causal_conv=False,
        use_conv_shortcut=False,
    )
    decoder = MusicgenDecoderConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, ffn_dim=4096)
    return MusicgenConfig(text_encoder=text.to_dict(), audio_encoder=codec.to_dict(), decoder=decoder.to_dict())


def make_stand_in(folder: Path) -> str:
    """Save a model of MusicGen small's sizes with random weights (1.2 GB, float16) and with nano's tokenizer.

    Args:
        folder: where to save it.

    Returns:
        The folder, as the name to load it by.

    Notebook: notebooks/09_the_real_thing
    """
    import torch
    from transformers import (
        AutoTokenizer,
        EncodecFeatureExtractor,
        MusicgenForConditionalGeneration,
        MusicgenProcessor,
    )

    from .musicgen.loading import NANO, quiet

    torch.manual_seed(0)
    with quiet():
        model = MusicgenForConditionalGeneration(musicgen_small_config()).half()
        for name, tensor in model.state_dict().items():  # without this, every sound would get the same codes
            if name.endswith("original0"):  # the magnitudes of a weight-normalised convolution
                tensor.fill_(1)
            elif name.endswith("codebook.embed"):
                tensor.normal_()
        model.save_pretrained(folder)
        features = EncodecFeatureExtractor(feature_size=1, sampling_rate=32000, padding_side="left")
        MusicgenProcessor(features, AutoTokenizer.from_pretrained(NANO)).save_pretrained(folder)
    return str(folder)


def measure_memory_gb(device: str = "auto") -> float:
    """Return the memory that this process holds on a device, after freed memory has been given back.

    Args:
        device: "cpu", "cuda", ... or "auto", a GPU where there is one.

    Returns:
        GB, 1e9 bytes.

    Notebook: notebooks/09_the_real_thing
    """
    import psutil
    import torch

    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    on_gpu = _is_gpu(device)
    return (torch.cuda.memory_allocated() if on_gpu else psutil.Process().memory_info().rss) / 1e9


def measure_seconds(work: Callable[[], object], device: str = "auto") -> float:
    """Return the time of the shortest of several calls, after one call to warm up.

    Args:
        work: the function to measure. It is called for a second, at most 20 times.
        device: where it computes; a GPU is waited for.

    Notebook: notebooks/09_the_real_thing
    """
    import torch

    on_gpu = _is_gpu(device)
    times: list[float] = []
    work()
    while sum(times) < 1 and len(times) < 20:
        start = time.perf_counter()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def _is_gpu(device: str) -> bool:
    from .musicgen.loading import device_named

    return device_named(device).type == "cuda"
