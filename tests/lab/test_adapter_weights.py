"""An adapter that is made to read other channels does with those it knows what it did before; two have a mean."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from expotion_lite.controls.channels import ADAPTER_CHANNELS
from expotion_lite.errors import ExpotionError
from expotion_lite.lab.adapter_weights import WEIGHTS, average, change_channels
from expotion_lite.musicgen.adapter import (
    BUNDLED,
    AdapterConfig,
    attach,
    embed_controls,
    load_adapter,
    probe_of,
    read_config,
    save_adapter,
)
from expotion_lite.musicgen.loading import load

pytestmark = pytest.mark.slow

OLD = ("smile", "pulse", "motion_energy", "head_x", "body_missing")


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """Return the folder of an adapter with random weights that reads `OLD`."""
    torch.manual_seed(0)
    folder, musicgen = tmp_path_factory.mktemp("old"), load("nano")
    config = AdapterConfig(OLD, musicgen.model.decoder.config.hidden_size, probe=probe_of(musicgen))
    model = attach(musicgen, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "visual_adapter" in name:
                parameter.normal_(0, 0.3)
    save_adapter(model, config, folder)
    return folder


def vectors(folder, channels, controls):
    """Return what an adapter adds for controls (T, C) whose channels are named, (T, D); all others are 0."""
    model, config = load_adapter(load("nano"), folder)
    values = np.zeros((1, len(controls), len(config.channels)), np.float32)
    for name, curve in zip(channels, controls.T, strict=True):
        values[0, :, config.channels.index(name)] = curve
    with torch.no_grad():
        return embed_controls(model, torch.from_numpy(values))[0].float()


@pytest.fixture(scope="module")
def controls():
    return np.random.default_rng(0).normal(0, 1, (60, len(OLD))).astype(np.float32)


@pytest.mark.parametrize("order", [OLD, OLD[::-1], (*OLD[3:], *OLD[:3])], ids=str)
def test_the_same_channels_in_any_order_give_the_same(old, controls, tmp_path, order):
    change_channels(old, order, tmp_path / "new")
    assert read_config(tmp_path / "new").channels == order
    before, after = vectors(old, OLD, controls), vectors(tmp_path / "new", OLD, controls)
    assert before.abs().mean() > 0.01 and torch.allclose(after, before, atol=1e-4)


def test_new_channels_begin_with_the_weights_of_their_relatives_or_with_nothing(old, controls, tmp_path):
    wanted = ("event", "smile", "activity", "motion_missing", "jaw_open")
    change_channels(old, wanted, tmp_path / "new")
    relatives = {"event": "pulse", "activity": "motion_energy", "motion_missing": "body_missing", "smile": "smile"}
    shown = controls[:, [OLD.index(relative) for relative in relatives.values()]]
    before = vectors(old, tuple(relatives.values()), shown)
    after = vectors(tmp_path / "new", tuple(relatives), shown)
    assert torch.allclose(after, before, atol=1e-4)
    ignored = vectors(tmp_path / "new", (*relatives, "jaw_open"), np.column_stack([shown, controls[:, 3]]))
    assert torch.allclose(ignored, after, atol=1e-6)


def test_fewer_channels_are_as_if_the_others_were_zero(old, controls, tmp_path):
    change_channels(old, ("pulse", "smile"), tmp_path / "new")
    shown = controls[:, [1, 0]]
    before, after = (vectors(folder, ("pulse", "smile"), shown) for folder in (old, tmp_path / "new"))
    assert torch.allclose(after, before, atol=1e-4)


def test_the_bundled_adapter_reads_the_channels_of_a_new_one_and_stays_as_it_is(tmp_path):
    before = (BUNDLED / "visual_adapter.json").read_bytes()
    assert read_config(BUNDLED).channels == ADAPTER_CHANNELS
    change_channels(BUNDLED, ADAPTER_CHANNELS, tmp_path / "same")
    controls = np.random.default_rng(1).random((50, len(ADAPTER_CHANNELS))).astype(np.float32)
    same, own = (vectors(folder, ADAPTER_CHANNELS, controls) for folder in (tmp_path / "same", BUNDLED))
    assert torch.equal(same, own) and (BUNDLED / "visual_adapter.json").read_bytes() == before


def test_the_mean_of_two_adapters_lies_halfway_and_replaces_one_of_them(tmp_path):
    other = tmp_path / "other"
    shutil.copytree(BUNDLED, other)
    theirs = {name: weight + 1 for name, weight in load_file(BUNDLED / WEIGHTS).items()}
    save_file(theirs, other / WEIGHTS, metadata={"format": "pt"})
    average(BUNDLED, other, other)
    for name, weight in load_file(other / WEIGHTS).items():
        assert weight.dtype == theirs[name].dtype and torch.allclose(weight, theirs[name] - 0.5, atol=1e-3), name
    load_adapter(load("nano"), other)


def test_adapters_that_differ_have_no_mean(old, tmp_path):
    with pytest.raises(ExpotionError, match="differ in their channels or sizes"):
        average(BUNDLED, old, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
