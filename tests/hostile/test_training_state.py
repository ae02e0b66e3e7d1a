"""Damaged caches are computed anew, which is said; damaged training state is refused, with what to remove."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_inputs import assert_refused, fingerprint
from recorded import nodding, tune, write_recording
from safetensors.torch import load_file, save_file

from expotion_lite.data import examples as examples_module
from expotion_lite.data.examples import Examples
from expotion_lite.data.recordings import CACHE_FOLDER, RecordedFolder
from expotion_lite.data.synthetic import cached_synthetic_examples
from expotion_lite.musicgen.loading import load
from expotion_lite.training.checkpoints import keep_plan, load_checkpoint, read_log, save_checkpoint, train_for
from expotion_lite.training.loop import TrainingConfig, kept_losses

PLANS = ["", "{", "[]", "null", "7", "[" * 10**5, "\x00", '{"seed": 1', '"plan"', "{" + '"a":{' * 60 + "}" * 61]
LOGS = [
    "{",
    "[]",
    "null",
    "7",
    "{}",
    '{"stage": 1, "step": 1}',
    '{"stage": "adapter"}',
    '{"stage": "adapter", "step": "1"}',
    "\x00",
    '{"stage": "adapter", "step": 1, "held_out_loss": "low"}',
    "[" * 10**5,
    '{"stage": "adapter", "step": 1.5}',
]
FINE = {"stage": "adapter", "step": 100, "minutes": 1.0, "held_out_loss": 2.5, "held_out_loss_shuffled": 2.6}


@pytest.mark.parametrize("index", range(len(PLANS)))
def test_a_damaged_plan_is_refused(index, tmp_path):
    (tmp_path / "plan.json").write_text(PLANS[index])
    before = fingerprint(tmp_path)
    message = assert_refused(lambda: keep_plan(tmp_path, {"seed": 1}, resume=True))
    assert "plan.json is damaged" in message and "--overwrite" in message
    assert fingerprint(tmp_path) == before


def test_a_plan_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "plan.json").write_bytes(b"\xff\xfe\x00")
    assert_refused(lambda: keep_plan(tmp_path, {"seed": 1}, resume=True))


@pytest.mark.parametrize("index", range(len(LOGS)))
def test_a_damaged_line_of_a_log_is_named(index, tmp_path, capsys):
    log = tmp_path / "log.jsonl"
    log.write_text(f"{json.dumps(FINE)}\n{LOGS[index]}\n{json.dumps(FINE | {'step': 200})}\n")
    assert [row["step"] for row in read_log(log)] == [100, 200]
    assert kept_losses(log, "loss") == {"loss": 2.5, "loss_shuffled": 2.6}
    said = capsys.readouterr().err
    assert said.startswith("Line 2 of ") and "is damaged, and left out" in said


def test_a_line_that_a_kill_has_cut_off_needs_no_word(tmp_path, capsys):
    (tmp_path / "log.jsonl").write_text(f'{json.dumps(FINE)}\n{{"stage": "ada')
    assert len(read_log(tmp_path / "log.jsonl")) == 1 and capsys.readouterr().err == ""


def test_a_log_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(b"\xff" * 99)
    assert "remove it" in assert_refused(lambda: read_log(tmp_path / "log.jsonl"))


@pytest.mark.parametrize(
    "damage",
    [
        "empty",
        "cut",
        "text",
        "no state",
        "state is a list",
        "state without step",
        "step -1",
        "step a text",
        "infinite time",
        "NaN weight",
        "infinite moment",
        "moment of another shape",
        "moment of another weight",
        "weight missing",
        "a key without a kind",
        "other shape",
    ],
)
def test_a_damaged_checkpoint_is_refused(damage, tmp_path):
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, module, optimizer, {"step": 1, "seconds": 2.0})
    assert load_checkpoint(path, module, optimizer) == {"step": 1, "seconds": 2.0}
    whole, tensors, state = path.read_bytes(), load_file(path), json.dumps({"step": 1, "seconds": 2.0})
    states = {
        "state is a list": "[]",
        "state without step": "{}",
        "step -1": '{"step": -1, "seconds": 1}',
        "step a text": '{"step": "1", "seconds": 1}',
        "infinite time": '{"step": 1, "seconds": Infinity}',
    }
    if damage in ("empty", "cut", "text"):
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"weights" * 50}[damage])
    else:
        if damage == "weight missing":
            del tensors["weight/bias"]
        tensors |= {
            "NaN weight": {"weight/bias": torch.full((2,), torch.nan)},
            "infinite moment": {"optimizer/exp_avg/bias": torch.full((2,), torch.inf)},
            "moment of another shape": {"optimizer/exp_avg/bias": torch.ones(7)},
            "moment of another weight": {"optimizer/exp_avg/other": torch.ones(2)},
            "a key without a kind": {"bias": torch.ones(2)},
            "other shape": {"weight/bias": torch.ones(7)},
        }.get(damage, {})
        save_file(tensors, path, None if damage == "no state" else {"state": states.get(damage, state)})
    before = fingerprint(tmp_path)
    assert str(path) in assert_refused(lambda: load_checkpoint(path, module, optimizer))
    assert fingerprint(tmp_path) == before


def test_a_training_goes_on_beside_a_damaged_log(tmp_path, capsys):
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    (tmp_path / "log.jsonl").write_text("\x1b[31m\n" + json.dumps(FINE | {"step": 1}) + "\n")
    steps = train_for(1.0, tmp_path, "s", module, optimizer, lambda *_: {"loss": 1.0}, max_steps=3, log_every=1)
    assert steps == 3 and len(read_log(tmp_path / "log.jsonl")) == 4
    assert "Line 1 of" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        {"hours": float("nan")},
        {"hours": float("inf")},
        {"seed": -1},
        {"seed": 2**32},
        {"lr": float("inf")},
        {"batch": 0},
        {"clip": -1.0},
    ],
    ids=str,
)
def test_hostile_settings_of_a_training_are_refused(wrong):
    assert_refused(lambda: TrainingConfig(**wrong))


@pytest.fixture(scope="module")
def musicgen():
    return replace(load("nano"), window=100)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, musicgen):
    """A folder with one recording whose controls and codes are cached."""
    folder = tmp_path_factory.mktemp("class")
    write_recording(folder / "anna" / "one.mp4", tune(440))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("expotion_lite.landmarks.extraction.extract_landmarks", nodding)
        whole = RecordedFolder(folder).examples(musicgen)
    return folder, whole


@pytest.mark.parametrize("kind", ["controls", "codes"])
@pytest.mark.parametrize("damage", ["empty", "cut", "text", "other arrays", "of another kind", "a folder"])
def test_a_damaged_cache_of_recordings_is_computed_anew(kind, damage, recorded, musicgen, monkeypatch, capsys):
    monkeypatch.setattr("expotion_lite.landmarks.extraction.extract_landmarks", nodding)
    folder, whole = recorded
    (path,) = (folder / CACHE_FOLDER).glob(f"{kind}-*.npz")
    data = path.read_bytes()
    if damage == "of another kind":
        arrays = dict(np.load(path))
        changes = {"codes": arrays.get("codes", np.zeros(1)) + 5000} if kind == "codes" else {"frame_rate": 25.0}
        np.savez(path, **arrays | changes)
    elif damage == "other arrays":
        np.savez(path, a=np.zeros(3))
    elif damage != "a folder":
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "text": b"PK\x03\x04"}[damage])
    else:
        path.rename(folder / "kept")
        path.mkdir()
        assert_refused(lambda: RecordedFolder(folder).examples(musicgen))
        path.rmdir()
        (folder / "kept").rename(path)
        return
    again = RecordedFolder(folder).examples(musicgen)
    assert np.array_equal(again.codes, whole.codes) and np.allclose(again.controls, whole.controls)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and path.name in said and "is damaged and is computed anew" in said
    RecordedFolder(folder).examples(musicgen)
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_what_is_computed_of_recordings_is_private(recorded):
    cache = recorded[0] / CACHE_FOLDER
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in cache.iterdir()} == {0o600}


def test_a_damaged_cache_of_examples_is_computed_anew(musicgen, tmp_path, monkeypatch, capsys):
    whole = Examples(
        codes=np.zeros((1, 4, 100), np.int16),
        controls=np.zeros((1, 100, 1), np.float32),
        captions=("rock",),
        songs=np.array([1]),
        performers=np.array([1]),
        channels=("smile",),
    )
    monkeypatch.setattr("expotion_lite.data.synthetic.synthetic_examples", lambda *_, **__: whole)
    cached_synthetic_examples(musicgen, 1, 1, 1, tmp_path)
    (path,) = tmp_path.glob("*.npz")
    for data in (b"", b"PK\x03\x04", path.read_bytes()[:-40]):
        path.write_bytes(data)
        assert cached_synthetic_examples(musicgen, 1, 1, 1, tmp_path).captions == ("rock",)
        assert "computed anew" in capsys.readouterr().err
    cached_synthetic_examples(musicgen, 1, 1, 1, tmp_path)
    assert "anew" not in capsys.readouterr().err


def test_a_file_that_is_not_there_needs_no_word(capsys):
    assert examples_module.load_cached(Path("nowhere"), lambda: 1) is None and capsys.readouterr().err == ""
