"""Which numbers a training computes in: half of them where the processor is made for it, and nowhere else."""

from __future__ import annotations

import time
from functools import cache

import torch


def precision_of(device: torch.device) -> str:
    """What accelerate computes in: "bf16" where it pays, else "fp16" on CUDA, else "no", which is float32."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if device.type == "cpu" and bfloat16_pays() else "no"


def autocast(device: torch.device) -> torch.autocast:
    """A context in which a forward pass computes in bfloat16, where that pays."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision_of(device) == "bf16")


@cache
def bfloat16_pays() -> bool:
    """Whether this CPU multiplies matrices in bfloat16 faster than in float32; measured once, in part of a second.

    Processors differ widely: those made for it gain, others emulate it and are many times slower.
    """
    return 1.2 * _seconds(torch.bfloat16) < _seconds(torch.float32)


def _seconds(dtype: torch.dtype) -> float:
    """The fastest of three small matrix products."""
    a, b = torch.ones(64, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        a @ b
        taken.append(time.perf_counter() - began)
    return min(taken)
