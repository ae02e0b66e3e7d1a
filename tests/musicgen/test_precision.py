"""Half precision is used where the hardware is faster in it."""

from __future__ import annotations

import pytest
import torch

from expotion_lite.musicgen.precision import autocast, bfloat16_pays, precision_of


@pytest.fixture
def speed(monkeypatch):
    """Return a function that sets how long a product takes in bfloat16, in units of one in float32."""

    def set_speed(seconds):
        taken = {torch.bfloat16: seconds, torch.float32: 1.0}
        monkeypatch.setattr("expotion_lite.musicgen.precision._seconds", taken.get)
        bfloat16_pays.cache_clear()

    yield set_speed
    bfloat16_pays.cache_clear()


@pytest.mark.parametrize(("half", "precision"), [(0.5, "bf16"), (0.9, "no"), (100.0, "no")])
def test_a_cpu_computes_in_bfloat16_where_it_is_faster(speed, half, precision):
    speed(half)
    assert precision_of(torch.device("cpu")) == precision and precision_of(torch.device("meta")) == "no"
    with autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == (torch.bfloat16 if half < 0.8 else torch.float32)
