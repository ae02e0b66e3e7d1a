"""The command that makes nano refuses what does not fit together, and continues an adapter."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from expotion_lite.data.examples import Examples
from expotion_lite.files import digest_of
from expotion_lite.lab import event_training
from expotion_lite.lab.pretraining import main
from expotion_lite.musicgen.adapter import BUNDLED, read_config


def test_the_command_refuses_what_does_not_fit_together(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plan.json").write_text("{}")
    for arguments, message in (
        (["--codec", tmp_path / "none"], "holds no model.safetensors"),
        (["--device", "quantum"], "use cpu or auto"),
        (["--opponent", "2"], "share of the time"),
        (["--adapter-only", "--nano", tmp_path / "none"], "holds no model.safetensors"),
        (["--adapter-only", "--adapter", tmp_path / "none"], "holds no adapter_model.safetensors"),
        (["--adapter", tmp_path / "none"], "only with --adapter-only"),
        (["--nano", tmp_path / "none"], "only with --adapter-only"),
        (["--adapter-only", "--average"], "--average needs --adapter"),
        (["--adapter-only", "--layers", "6"], "keeps a nano as it is"),
        (["--adapter-only", "--nano", tmp_path / "none", "--export"], "not with --codec-only or --nano"),
        (["--codec-only", "--export"], "not with --codec-only or --nano"),
        (["--start", tmp_path / "none"], "holds no model.safetensors"),
        (["--start", tmp_path / "none", "--codec-only"], "continues a nano with its codec"),
        ([], "--resume"),
    ):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in ["--folder", tmp_path / "run", *arguments]])
        assert stop.value.code == 2 and message in capsys.readouterr().err


@pytest.fixture
def few_examples(monkeypatch):
    """Replace the examples, which take minutes, by two of each kind; return what was asked of the pieces."""
    channels, rng, asked = read_config(BUNDLED).channels, np.random.default_rng(0), []
    few = Examples(
        codes=rng.integers(0, 1024, (2, 4, 100)).astype(np.int16),
        controls=rng.random((2, 100, len(channels)), np.float32),
        captions=("a waltz", "techno"),
        songs=np.arange(2),
        performers=np.arange(2),
        channels=channels,
    )

    def music(_, n, first, folder, elastic=True):
        """Return two pieces of the training, or two that are held out."""
        asked.append(elastic)
        numbers = few.songs + (2 if folder.name == "music" else 4)
        return Examples(**{**vars(few), "songs": numbers, "performers": numbers})

    monkeypatch.setattr(event_training, "cached_synthetic_split", lambda *_: (few, None))
    monkeypatch.setattr(event_training, "cached_music_examples", music)
    return asked


@pytest.mark.slow
def test_an_adapter_is_continued_from_its_weights(tmp_path, few_examples):
    arguments = ["--adapter-only", "--adapter", BUNDLED, "--hours", "1e-6", "--folder", tmp_path]
    assert main([str(argument) for argument in arguments]) == 0
    (row,) = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert row["stage"] == "adapter" and row["extra_loss"] > 0 and row["held_out_loss"] > 0
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in (BUNDLED, tmp_path / "adapter"))
    assert all(torch.allclose(before[name].float(), after[name].float(), atol=0.01) for name in before)
    assert json.loads((tmp_path / "plan.json").read_text())["adapter"] == digest_of(
        BUNDLED / "adapter_model.safetensors"
    )


@pytest.mark.slow
def test_the_mean_with_the_adapter_that_was_continued_is_kept(tmp_path, few_examples):
    arguments = ["--adapter-only", "--adapter", BUNDLED, "--steps", "1", "--average", "--folder", tmp_path]
    assert main([str(argument) for argument in arguments]) == 0
    trained = load_file(tmp_path / "adapter.safetensors")
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in (BUNDLED, tmp_path / "adapter"))
    (own,) = (float(weight) for key, weight in trained.items() if key.startswith("weight/") and key.endswith(".gate"))
    (first,), (mean,) = ([float(w) for key, w in read.items() if key.endswith(".gate")] for read in (before, after))
    assert own != first and mean == pytest.approx((own + first) / 2, abs=1e-4)


@pytest.mark.slow
def test_parts_of_the_training_can_be_left_out(tmp_path, few_examples):
    left_out = ["--without", "performances", "--without", "elastic", "--without", "imperfections"]
    assert main(["--adapter-only", "--steps", "1", "--folder", str(tmp_path), *left_out]) == 0
    (row,) = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert row["step"] == 1 and "extra_loss" not in row, "faces of performers are not asked for the key"
    assert few_examples == [False, True], "held-out pieces stay the same"
    assert json.loads((tmp_path / "plan.json").read_text())["without"] == left_out[1::2]
