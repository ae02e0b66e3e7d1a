"""Regression test: the bundled weights give the recorded codes for one seed, with and without video."""

from __future__ import annotations

import hashlib

import pytest

from expotion_lite import Pipeline, Settings, generate_codes, load
from expotion_lite.data import synthetic_pair
from expotion_lite.musicgen import BUNDLED, StepDecoder, load_adapter


@pytest.fixture(scope="module")
def pipeline():
    """Nano and its adapter on the CPU in float64, where rounding differs too little between CPUs to change a code."""
    musicgen = load("nano", device="cpu")
    musicgen.model.double()
    peft_model, config = load_adapter(musicgen, BUNDLED)
    peft_model.double()
    return Pipeline(musicgen, StepDecoder(musicgen.model.decoder), peft_model, config)


@pytest.mark.slow
@pytest.mark.parametrize(("visual_guidance", "expected"), [(0.0, "361656dffe5214b9"), (5.5, "6cd32f8b06bd6785")])
def test_three_seconds_of_codes_equal_the_recorded_ones(pipeline, visual_guidance, expected):
    """Recorded with the weights of nano and its adapter in `assets`; new weights need new hashes."""
    _, controls = synthetic_pair(2_000, 2_000, 3.0)
    settings = Settings(seed=7, visual_guidance=visual_guidance)
    codes = generate_codes(pipeline, ["happy rock with guitar, bass and drums"], [controls], settings)[0]
    assert codes.shape == (4, 150)
    assert hashlib.sha256(codes.astype("<i8").tobytes()).hexdigest()[:16] == expected
