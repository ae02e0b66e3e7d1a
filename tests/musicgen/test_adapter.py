"""Adapters that do not fit a model are refused, never silently inactive."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from expotion_lite.errors import ExpotionError
from expotion_lite.musicgen.adapter import (
    BUNDLED,
    AdapterConfig,
    VisualAdapter,
    attach,
    load_adapter,
    probe_of,
    save_adapter,
)
from expotion_lite.musicgen.loading import load


@pytest.mark.parametrize(
    "damage",
    [
        "nothing there",
        "no weights",
        "other width",
        "no LoRA weight",
        "no gate",
        "no convolution",
        "half a file",
        "broken description",
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(damage, tmp_path):
    folder = tmp_path / "adapter"
    shutil.copytree(BUNDLED, folder)
    weights, description = folder / "adapter_model.safetensors", folder / "visual_adapter.json"
    if damage == "nothing there":
        description.unlink()
    elif damage == "no weights":
        weights.unlink()
    elif damage == "other width":
        description.write_text(description.read_text().replace('"width": 256', '"width": 128'))
    elif damage == "half a file":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif damage.startswith("no "):
        tensors, part = load_file(weights), {"LoRA weight": "lora_A", "gate": "gate", "convolution": "inner.weight"}
        tensors.pop(next(name for name in sorted(tensors) if part[damage[3:]] in name))
        save_file(tensors, weights)
    else:
        description.write_text("{")
    with pytest.raises(ExpotionError, match=r"no adapter|damaged|was trained for|does not fit"):
        load_adapter(load("nano"), folder)


@pytest.mark.slow
def test_an_adapter_of_another_model_of_the_same_shape_is_refused(tmp_path):
    """An adapter from before adapters named their model still loads."""
    musicgen = load("nano")
    config = AdapterConfig(("a",), musicgen.model.decoder.config.hidden_size, probe=probe_of(musicgen))
    save_adapter(attach(musicgen, config), config, tmp_path)
    load_adapter(load("nano"), tmp_path)
    load_adapter(load("nano", dtype="bfloat16"), tmp_path)
    other = load("nano")
    other.model.decoder.lm_heads[0].weight.data += 0.05
    with pytest.raises(ExpotionError, match="trained for another model than nano"):
        load_adapter(other, tmp_path)
    description = tmp_path / "visual_adapter.json"
    values = {name: value for name, value in json.loads(description.read_text()).items() if name != "probe"}
    description.write_text(json.dumps(values))
    load_adapter(other, tmp_path)


@pytest.fixture
def random_adapter():
    torch.manual_seed(0)
    adapter = VisualAdapter(AdapterConfig(("event", "smile"), 32))
    torch.nn.init.normal_(adapter.project.weight)
    return adapter.eval()


def test_frames_that_see_all_that_the_convolutions_read_are_as_without_a_limit(random_adapter):
    controls = torch.randn(3, 150, 2)
    limited = random_adapter(controls, torch.tensor([24, -1, 40]), torch.zeros(3))
    torch.testing.assert_close(limited[:, 24:-24], random_adapter(controls)[:, 24:-24], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("foreseen", [0.0, 1.0])
def test_a_frame_reads_nothing_beyond_what_it_sees_but_events_that_are_foreseen(random_adapter, foreseen):
    controls, ahead, shown = torch.randn(1, 100, 2), torch.tensor([5]), torch.tensor([foreseen])
    before = random_adapter(controls, ahead, shown)
    for channel, is_foreseen in ((0, foreseen > 0), (1, False)):
        other = controls.clone()
        other[:, 60:, channel] += 1
        changed = (random_adapter(other, ahead, shown) != before).any(-1)[0].nonzero()[0, 0]
        assert int(changed) == (60 - 24 if is_foreseen else 60 - 5)
