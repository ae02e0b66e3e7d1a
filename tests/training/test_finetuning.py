"""Fine-tuning, from recordings or synthetic performers to an adapter that generates."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from recorded import nodding, write_class

from expotion_lite.cli import main
from expotion_lite.errors import ExpotionError
from expotion_lite.generation import load_pipeline
from expotion_lite.training import finetuning
from expotion_lite.training.finetuning import Trained, finetune
from expotion_lite.training.loop import TrainingConfig


@pytest.mark.slow
def test_a_folder_of_recordings_trains_an_adapter_that_generates(monkeypatch, tmp_path, capsys):
    """Through the command, from recordings to a folder that `--adapter` takes; then resumed; then refused."""
    monkeypatch.setattr("expotion_lite.landmarks.extraction.extract_landmarks", nodding)
    recordings, adapter = write_class(tmp_path / "class"), tmp_path / "mine"
    arguments = ["finetune", str(recordings), "-o", str(adapter), "--minutes", "0.05", "--held-out", "0"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "left out" in printed and "silent.mp4" in printed and "trained on 3 examples" in printed
    assert load_pipeline("nano", str(adapter)).config.channels
    before = (adapter / "adapter_model.safetensors").read_bytes()
    assert main(arguments) == 2 and "--resume" in capsys.readouterr().err
    assert (adapter / "adapter_model.safetensors").read_bytes() == before
    assert main([*arguments, "--resume", "--quiet"]) == 0
    shutil.copytree(adapter, tmp_path / "given", ignore=shutil.ignore_patterns("training"))
    given = [str(tmp_path / "given") if word == str(adapter) else word for word in arguments]
    assert main(given) == 2 and "holds an adapter already" in capsys.readouterr().err
    (recordings / "somebody_new.mp4").write_bytes(b"never read")
    assert main([*arguments, "--resume"]) == 2
    message = capsys.readouterr().err
    assert "recordings 4" in message and "recordings 5" in message


@pytest.mark.slow
def test_a_short_synthetic_training_reports_its_losses(examples, monkeypatch, tmp_path):
    monkeypatch.setattr("expotion_lite.data.synthetic.cached_synthetic_split", lambda *_: examples)
    config = TrainingConfig(max_steps=3, batch=2)
    trained = finetune("synthetic", tmp_path / "a", config=config, n_synthetic=4, progress=False)
    assert trained.examples == 8 and trained.held_out == 8
    assert set(trained.losses) == {"loss", "loss_shuffled", "loss_none"}
    with pytest.raises(ExpotionError, match="holds a training already"):
        finetune("synthetic", tmp_path / "a", config=config, n_synthetic=4, progress=False)
    again = finetune("synthetic", tmp_path / "a", config=config, n_synthetic=4, progress=False, overwrite=True)
    assert again.losses == trained.losses, "the same seed"
    with pytest.raises(ExpotionError, match="There is no folder"):
        finetune(tmp_path / "nowhere", tmp_path / "a", overwrite=True)
    assert (tmp_path / "a" / "training" / "log.jsonl").exists(), "bad input loses nothing"
    with pytest.raises(ExpotionError, match="There is no folder"):
        finetune(tmp_path / "nowhere", tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(("single", "message"), [(True, "of the same person"), (False, "with another's")])
def test_the_command_says_whose_the_other_video_is(single, message, tmp_path, monkeypatch, capsys):
    losses = {"loss": 2.0, "loss_shuffled": 2.1, "loss_none": 2.2}
    trained = Trained(tmp_path, 8, 2, {}, losses, single)
    monkeypatch.setattr(finetuning, "finetune", lambda *_, **__: trained)
    assert main(["finetune", "synthetic", "-o", str(tmp_path)]) == 0
    assert message in capsys.readouterr().out


@pytest.mark.parametrize(
    ("losses", "held_out", "said"),
    [
        (
            {"loss": 2.5, "loss_shuffled": 2.52, "loss_none": 2.6},
            ("ben",),
            "It sees: with the own video the loss is 0.020",
        ),
        (
            {"loss": 2.5, "loss_shuffled": 2.501, "loss_none": 2.6},
            ("ben",),
            "It does not see yet: the own video lowers",
        ),
        ({}, (), "Nothing was held out"),
    ],
)
def test_the_result_is_told_in_words(losses, held_out, said):
    people = ("anna", "cleo")
    trained = Trained(Path("mine"), 6, len(held_out), {}, losses, people=people, held_out_people=held_out)
    lines = trained.words()
    assert lines[-1].startswith(said)
    assert ("of ben; 1 of 3 people" in lines[0]) == bool(held_out)


def test_a_large_share_of_held_out_people_is_explained():
    trained = Trained(Path("mine"), 6, 4, {}, {}, people=("anna",), held_out_people=("ben", "cleo"))
    assert "share a song" in trained.words()[1]
