"""Loading: nano is a MusicGen that transformers can load, and what cannot be loaded is refused with advice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from expotion_lite.errors import ExpotionError
from expotion_lite.musicgen import encode, load
from expotion_lite.musicgen.loading import NANO
from expotion_lite.synthetic.band import compose, play


@pytest.mark.slow
def test_transformers_alone_loads_nano_and_generates_audio():
    from transformers import AutoProcessor, MusicgenForConditionalGeneration

    model = MusicgenForConditionalGeneration.from_pretrained(NANO)
    inputs = AutoProcessor.from_pretrained(NANO)(text=["fast techno with drums"], padding=True, return_tensors="pt")
    torch.manual_seed(0)
    audio = model.generate(**inputs, max_new_tokens=103).float()
    assert audio.shape == (1, 1, 100 * 320)
    assert audio.abs().max() > 0.05 and audio.std() > 0.01


def test_the_default_device_is_a_gpu_only_where_there_is_one(nano):
    assert nano.model.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["facebook/musicgen-melody", "nanno", "", "/no/such/folder", "../up", None, 3])
def test_an_unknown_model_is_refused_with_the_known_ones(name):
    with pytest.raises(ExpotionError, match="Unknown model.*use nano"):
        load(name)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (None, "no config.json"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"model_type": "t5"}', "of type 't5'"),
        ('{"model_type": "musicgen", "decoder": {"audio_channels": 2}}', "stereo"),
    ],
)
def test_a_folder_without_a_mono_musicgen_is_refused(config, says, tmp_path):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(ExpotionError, match=says):
        load(tmp_path)


@pytest.mark.slow
def test_a_hub_model_that_is_not_downloaded_is_named(tmp_path):
    """In its own process, because the place of the hub's cache is read once, at the first import."""
    code = "from expotion_lite import load\nload('facebook/musicgen-small')"
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("expotion_lite.errors.ExpotionError: Cannot load facebook/musicgen-small") and "nano" in last


@pytest.mark.parametrize("damage", ["no tokenizer", "other width", "other activation"])
def test_a_folder_whose_parts_do_not_fit_is_refused(damage, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(NANO, folder)
    config = json.loads((folder / "config.json").read_text())
    if damage == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif damage == "other width":
        config["decoder"]["hidden_size"] = 128
    else:
        config["decoder"]["activation_function"] = "relu"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ExpotionError, match="model"):
        load(folder)


@pytest.mark.parametrize(("wrong", "says"), [({"device": "gpu"}, "device 'gpu'"), ({"dtype": "foo"}, "dtype 'foo'")])
def test_an_unknown_device_or_dtype_is_named(wrong, says):
    with pytest.raises(ExpotionError, match=says):
        load("nano", **wrong)


def test_the_codec_computes_in_float32_whatever_the_dtype():
    audio = torch.from_numpy(play(compose(1, 3.0), 16_000))[None]
    whole, half = (load("nano", dtype=dtype) for dtype in ("float32", "float16"))
    assert half.model.decoder.lm_heads[0].weight.dtype == torch.float16
    assert torch.equal(encode(whole, audio), encode(half, audio))  # nano is stored as float16: nothing is rounded
