"""Chooses the training dtype: half precision only where the hardware supports it."""

from __future__ import annotations

import time
from functools import cache

import torch


def precision_of(device: torch.device) -> str:
    """Return accelerate's name of the precision to train in.

    Args:
        device: where the model is.

    Returns:
        "bf16" where the hardware computes in bfloat16, "fp16" on other GPUs, else "no" (float32).
    """
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if device.type == "cpu" and bfloat16_pays() else "no"


def autocast(device: torch.device) -> torch.autocast:
    """Return a context in which a forward pass computes in bfloat16 where that is faster.

    Args:
        device: where the model is.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision_of(device) == "bf16")


@cache
def bfloat16_pays() -> bool:
    """Return whether this CPU multiplies matrices at least 1.2 times as fast in bfloat16 as in float32.

    CPUs without bfloat16 instructions emulate it and are many times slower. It is measured once per process, in a
    fraction of a second.
    """
    return 1.2 * _seconds(torch.bfloat16) < _seconds(torch.float32)


def _seconds(dtype: torch.dtype) -> float:
    """Return the seconds of the fastest of three small matrix products."""
    a, b = torch.ones(64, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        a @ b
        taken.append(time.perf_counter() - began)
    return min(taken)
