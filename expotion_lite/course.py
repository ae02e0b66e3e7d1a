"""Helpers of the lessons: check an exercise, make a stand-in for a large model, measure memory and time."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import MusicgenConfig


from .errors import ExpotionError


def check(answer: object, reached: Callable[[], bool]) -> None:
    """Say whether an exercise's target is reached.

    Args:
        answer: what was worked out, or a tuple of it; where dots (`...`) are left, only that is said.
        reached: asked whether it is right.

    Raises:
        AssertionError: the target is not reached, or the answer has another form.

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
        raise AssertionError(f"This answer has another form than is asked for beside the dots ({error}).") from error
    if not right:
        raise AssertionError("Not there yet: this answer misses the target that stands above the cell.")
    print("The target is reached.")


def shape() -> MusicgenConfig:
    """MusicGen small's: google-t5/t5-base's encoder, facebook/encodec_32khz, a decoder of 24 layers."""
    from transformers import EncodecConfig, MusicgenConfig, T5Config
    from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

    text = T5Config(vocab_size=32128, d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12)
    codec = EncodecConfig(
        sampling_rate=32000, target_bandwidths=[2.2], num_filters=64, upsampling_ratios=[8, 5, 4, 4],
        codebook_size=2048, codebook_dim=128, use_causal_conv=False, use_conv_shortcut=False,
    )  # fmt: skip
    decoder = MusicgenDecoderConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, ffn_dim=4096)
    return MusicgenConfig(text_encoder=text.to_dict(), audio_encoder=codec.to_dict(), decoder=decoder.to_dict())


def stand_in(folder: Path) -> str:
    """Save a model of that shape with random weights (1.2 GB, float16) and nano's words. Returns the folder's name.

    Notebook: notebooks/09_the_real_thing
    """
    import torch
    from transformers import (
        AutoTokenizer,
        EncodecFeatureExtractor,
        MusicgenForConditionalGeneration,
        MusicgenProcessor,
    )

    from .loading import NANO, quiet

    torch.manual_seed(0)
    with quiet():
        model = MusicgenForConditionalGeneration(shape()).half()
        for name, tensor in model.state_dict().items():  # else every sound would get the same codes
            if name.endswith("original0"):  # the size of a convolution's weights, parted from their direction
                tensor.fill_(1)
            elif name.endswith("codebook.embed"):
                tensor.normal_()
        model.save_pretrained(folder)
        features = EncodecFeatureExtractor(feature_size=1, sampling_rate=32000, padding_side="left")
        MusicgenProcessor(features, AutoTokenizer.from_pretrained(NANO)).save_pretrained(folder)
    return str(folder)


def held_gb(device: str = "cpu") -> float:
    """What this process holds of a device's memory, in GB, after what is free has gone back to the system.

    Notebook: notebooks/09_the_real_thing
    """
    import psutil
    import torch

    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    on_gpu = device.startswith("cuda")
    return (torch.cuda.memory_allocated() if on_gpu else psutil.Process().memory_info().rss) / 1e9


def shortest_s(work: Callable[[], object], device: str = "cpu") -> float:
    """Seconds of the shortest of the calls that fit into a second (20 at most), after one to warm up.

    Notebook: notebooks/09_the_real_thing
    """
    import torch

    wait, found = torch.cuda.synchronize if device.startswith("cuda") else lambda: None, []
    work()
    while sum(found) < 1 and len(found) < 20:
        start = time.perf_counter()
        work()
        wait()
        found.append(time.perf_counter() - start)
    return min(found)
