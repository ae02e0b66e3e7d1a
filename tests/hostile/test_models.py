"""Folders with models and adapters that are damaged, wrong, or want to run code: each is refused on one line."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from hostile_inputs import assert_refused, fingerprint
from safetensors.torch import load_file, save_file

from expotion_lite.assets import example_clip
from expotion_lite.errors import ExpotionError
from expotion_lite.generation import generate
from expotion_lite.landmarks import extraction
from expotion_lite.musicgen.adapter import BUNDLED, DESCRIPTION, load_adapter, read_config
from expotion_lite.musicgen.loading import NANO, load, model_folder

CONFIGS = {
    "auto_map at the top": {"auto_map": {"AutoModel": "evil.Model"}},
    "auto_map in a part": {"text_encoder": {"auto_map": {"AutoModel": "evil.Model"}}},
    "auto_map in a list": {"extra": [{"auto_map": {}}]},
    "no decoder": {"decoder": None},
    "decoder is a list": {"decoder": []},
    "decoder is a number": {"decoder": 7},
    "text encoder is a text": {"text_encoder": "t5"},
    "melody": {"model_type": "musicgen_melody"},
    "stereo": {"decoder": {"audio_channels": 2}},
    **{f"window_frames {value!r}": {"window_frames": value} for value in (0, -1, 1, 10**9, 500.0, "500", None, True)},
    **{
        f"{part}.{name} {value!r}": {part: {name: value}}
        for part, name in (
            ("decoder", "hidden_size"),
            ("decoder", "num_hidden_layers"),
            ("decoder", "num_attention_heads"),
            ("decoder", "ffn_dim"),
            ("decoder", "vocab_size"),
            ("decoder", "num_codebooks"),
            ("text_encoder", "d_model"),
            ("text_encoder", "num_layers"),
            ("audio_encoder", "sampling_rate"),
            ("audio_encoder", "num_filters"),
            ("audio_encoder", "codebook_size"),
        )
        for value in (0, -4, 10**12, "256", 2.5)
    },
    "huge but allowed width": {"decoder": {"hidden_size": 900_000}},
    "many layers": {"decoder": {"num_hidden_layers": 999}},
    "huge codec": {"audio_encoder": {"num_filters": 60_000}},
    "upsampling by 0": {"audio_encoder": {"upsampling_ratios": [0, 4]}},
    "upsampling by a text": {"audio_encoder": {"upsampling_ratios": ["2"]}},
}


@pytest.fixture
def model(tmp_path):
    """A copy of nano whose weights are links, to be damaged."""
    return copy_of(NANO, tmp_path / "model")


def copy_of(source: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).symlink_to(file) if file.suffix == ".safetensors" else shutil.copy(file, folder)
    return folder


def changed(config: dict, changes: dict) -> dict:
    merged = dict(config)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = changed(merged[name], value) if both else value
    return merged


def test_what_is_not_damaged_is_accepted(model, tmp_path):
    assert model_folder(model) == str(model)
    assert read_config(copy_of(BUNDLED, tmp_path / "adapter")).rank == 16


@pytest.mark.parametrize("name", CONFIGS)
def test_a_hostile_config_is_refused_before_anything_is_loaded(name, model):
    path = model / "config.json"
    path.write_text(json.dumps(changed(json.loads(path.read_text()), CONFIGS[name])))
    before = fingerprint(model)
    message = assert_refused(lambda: model_folder(model))
    wrong = name.split()[0].rpartition(".")[2]
    kinds = {
        "auto_map": "wants to run code",
        "huge": "describes",
        "many": "describes",
        "upsampling": "ratios",
        "decoder": "of a MusicGen",
    }
    if wrong not in ("no", "text"):
        assert kinds.get(wrong, wrong) in message
    assert str(model) in message
    assert fingerprint(model) == before


@pytest.mark.parametrize(
    "text", ["", "{", "null", "7", "[]", "[" * 10**5, '{"a":' * 200 + "1" + "}" * 200, "\x00", "{}"]
)
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_broken_json_is_refused_or_ignored(file, text, model):
    (model / file).write_text(text)
    said = ""
    try:
        model_folder(model)
    except ExpotionError as error:
        said = str(error)
    assert "\n" not in said and (file in said or "holds a model of type" in said or file != "config.json")


@pytest.mark.parametrize("file", ["tokenizer_config.json", "processor_config.json", "generation_config.json"])
def test_no_configuration_may_bring_code(file, model):
    (model / file).write_text(json.dumps({"a": {"auto_map": {"AutoTokenizer": ["evil.T", None]}}}))
    (model / "evil.py").write_text("raise SystemExit('code was run')")
    assert file in assert_refused(lambda: load(model))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt", "model.pth", "weights.pkl"])
def test_pickled_weights_are_not_opened(name, model):
    (model / "model.safetensors").unlink()
    (model / "ear.safetensors").unlink(missing_ok=True)
    (model / name).write_bytes(pickle.dumps(Bomb()))
    assert "safetensors" in assert_refused(lambda: load(model))


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        "no layer 0",
        "no codebook",
        "no text embedding",
        "NaN",
        "infinite",
        "cut",
        "empty",
        "text",
        "other shape",
        "tokenizer of another",
        "tokenizer cut",
        "tokenizer is a list",
        "tokenizer_config is a list",
        "generation_config is a list",
        "processor_config is a list",
    ],
)
def test_damaged_weights_are_refused_on_loading(damage, model):
    path = model / "model.safetensors"
    whole = path.read_bytes()
    tensors = load_file(path)
    path.unlink()
    first = next(name for name in sorted(tensors) if "decoder.model.decoder.layers.0.fc1.weight" in name)
    parts = {"no layer 0": "layers.0.", "no codebook": "codebook.embed", "no text embedding": "text_encoder.shared"}
    if damage in parts:
        gone = [name for name in tensors if parts[damage] in name]
        save_file({name: tensor for name, tensor in tensors.items() if name not in gone}, path, {"format": "pt"})
    elif damage in ("NaN", "infinite"):
        tensors[first] = tensors[first].clone()
        tensors[first][0, 0] = torch.nan if damage == "NaN" else torch.inf
        save_file(tensors, path, {"format": "pt"})
    elif damage == "other shape":
        save_file(tensors | {first: tensors[first][:, :7].clone()}, path, {"format": "pt"})
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"weights" * 999}.get(damage, whole))
    tokenizer = model / "tokenizer.json"
    if damage == "tokenizer of another":
        content = json.loads(tokenizer.read_text())
        content["added_tokens"].append(content["added_tokens"][0] | {"id": 5000, "content": "<more>", "special": False})
        content["model"]["vocab"] += [[f"word{i}", -1.0] for i in range(300)]
        tokenizer.write_text(json.dumps(content))
    elif damage == "tokenizer cut":
        tokenizer.write_text(tokenizer.read_text()[:999])
    elif " is a list" in damage:
        (model / f"{damage.split()[0]}.json").write_text("[1]")
    assert str(model) in assert_refused(lambda: load(model))


ADAPTERS = {
    **{
        f"{name} {value!r}": {name: value}
        for name in ("width", "hidden", "kernel", "rank", "alpha")
        for value in (0, -1, 10**12, 16.5, "16", None, True, [16])
    },
    "even kernel": {"kernel": 24},
    "unknown field": {"depth": 3},
    "auto_map": {"auto_map": {"AutoModel": "evil.Model"}},
    "no channels": {"channels": []},
    "channels twice": {"channels": ["event", "event"]},
    "channels are numbers": {"channels": [1, 2]},
    "channels are a text": {"channels": "event"},
    "a long name": {"channels": ["x" * 10**5]},
    "many channels": {"channels": [f"c{i}" for i in range(5000)]},
    "probe of NaN": {"probe": [float("nan")] * 8},
    "infinite probe": {"probe": [float("inf")] * 8},
    "short probe": {"probe": [0.076355]},
    "probe of texts": {"probe": ["0.1"] * 8},
    "probe is a number": {"probe": 3},
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_hostile_description_of_an_adapter_is_refused(name, tmp_path):
    folder = copy_of(BUNDLED, tmp_path / "adapter")
    path = folder / DESCRIPTION
    path.write_text(json.dumps(json.loads(path.read_text()) | ADAPTERS[name]))
    before = fingerprint(folder)
    message = assert_refused(lambda: read_config(folder))
    assert "copy or train the adapter again" in message or "auto_map" in message
    assert fingerprint(folder) == before


@pytest.mark.parametrize("damage", ["NaN", "infinite", "whole numbers", "cut", "empty", "rank 4", "pickled"])
def test_hostile_weights_of_an_adapter_are_refused(damage, tmp_path, nano_for_adapters):
    folder = copy_of(BUNDLED, tmp_path / "adapter")
    path = folder / "adapter_model.safetensors"
    whole, tensors = path.read_bytes(), load_file(path)
    path.unlink()
    name = next(name for name in sorted(tensors) if "lora_A" in name)
    if damage == "whole numbers":
        save_file(tensors | {name: torch.ones(tensors[name].shape, dtype=torch.int64)}, path)
    elif damage in ("NaN", "infinite"):
        tensors[name][0, 0] = torch.nan if damage == "NaN" else torch.inf
        save_file(tensors, path)
    elif damage == "rank 4":
        save_file({key: value[:4].clone() if "lora_A" in key else value for key, value in tensors.items()}, path)
    elif damage == "pickled":
        (folder / "adapter_model.bin").write_bytes(pickle.dumps(Bomb()))
    else:
        path.write_bytes(whole[: len(whole) // 3] if damage == "cut" else b"")
    assert_refused(lambda: load_adapter(nano_for_adapters(), folder))


@pytest.fixture
def nano_for_adapters():
    """Load nano only where a test gets as far as the adapter's shape."""
    return lambda: load("nano")


def test_a_shard_outside_the_folder_is_not_read(model, tmp_path):
    (model / "model.safetensors").unlink()
    (tmp_path / "secret.safetensors").write_bytes(b"")
    index = {"metadata": {}, "weight_map": {"a": "../secret.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    assert_refused(lambda: load(model))


def test_an_unknown_channel_of_an_adapter_is_told_before_the_landmarks(tmp_path, monkeypatch):
    folder = copy_of(BUNDLED, tmp_path / "adapter")
    path = folder / DESCRIPTION
    described = json.loads(path.read_text())
    path.write_text(json.dumps(described | {"channels": ["tail_wag", *described["channels"][1:]]}))
    monkeypatch.setattr(extraction, "extract_landmarks", lambda *_, **__: pytest.fail("the long work has begun"))
    message = assert_refused(lambda: generate(example_clip(), "calm piano", adapter=folder, progress=False))
    assert "reads tail_wag" in message and "train it again" in message
