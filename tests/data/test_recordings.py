"""Recordings become examples: each once, with its sound and its person, and nobody is on both sides of a split."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from expotion_lite.cli import main
from expotion_lite.data.examples import Examples, check_split, split
from expotion_lite.data.recordings import KEPT, RecordedFolder
from expotion_lite.errors import ExpotionError
from expotion_lite.generation import load_pipeline
from expotion_lite.musicgen.loading import load
from expotion_lite.synthetic.performer import bundled_performance, render_frames
from expotion_lite.training import finetuning
from expotion_lite.training.finetuning import Trained, finetune
from expotion_lite.training.loop import TrainingConfig
from expotion_lite.video.writing import mux_audio, write_video

RATE = 16_000


def tune(hz: float, seconds: float = 4.5) -> np.ndarray:
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * hz * times) * (np.sin(4 * np.pi * times) > 0)).astype(np.float32)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """A class of three: anna and ben move to one song, which sounds different in their rooms; one file has no sound."""
    folder = tmp_path_factory.mktemp("class")
    silent = folder / "silent.mp4"
    take = bundled_performance(27)
    frames = take.times < 4.5
    short = replace(take, times=take.times[frames], curves={k: v[frames] for k, v in take.curves.items()})
    write_video(silent, render_frames(short))
    for name, hz in (("anna/one.mp4", 440), ("ben/one.mp4", 441), ("cleo/two.mp4", 660)):
        (folder / name).parent.mkdir()
        mux_audio(silent, tune(hz), RATE, folder / name)
    (folder / "captions.csv").write_text("\ufefffile;caption\nanna/one.mp4;a tune, slowly\n", encoding="utf-8")
    return folder


@pytest.fixture
def musicgen():
    return replace(load("nano"), window=100)  # 2 s


def test_every_recording_is_cut_into_windows_and_says_whose_it_is(filmed, musicgen):
    data = RecordedFolder(filmed)
    assert [r.path.name for r in data.recordings] == ["one.mp4", "one.mp4", "two.mp4", "silent.mp4"]
    assert [r.performer for r in data.recordings] == ["anna", "ben", "cleo", ""]
    examples = data.examples(musicgen)
    assert examples.codes.shape == (6, 4, 100) and examples.controls.shape[:2] == (6, 100)
    assert examples.captions == ("a tune, slowly", "a tune, slowly", "", "", "", "")
    assert len(set(examples.performers)) == 3 and len(set(examples.songs)) == 2, "the same name is the same song"
    assert examples.performers[0] == examples.performers[1] != examples.performers[2]
    ((path, why),) = data.left_out.items()
    assert path.name == "silent.mp4" and "no sound" in why
    assert np.abs(examples.controls[0, :, examples.channels.index("head_pitch")]).max() > 0.3


def test_what_was_computed_is_kept_until_something_changes(filmed, musicgen, monkeypatch, tmp_path):
    shutil.copytree(filmed, tmp_path / "class", ignore=shutil.ignore_patterns("silent.mp4", KEPT, "ben", "cleo"))
    folder = tmp_path / "class"
    first = RecordedFolder(folder).examples(musicgen)
    kept = {path.name for path in (folder / KEPT).iterdir()}
    assert len(kept) == 2

    def never(*_, **__):
        raise AssertionError("computed again")

    with monkeypatch.context() as patched:
        patched.setattr("expotion_lite.landmarks.extraction.extract_landmarks", never)
        patched.setattr("expotion_lite.musicgen.loading.encode", never)
        again = RecordedFolder(folder).examples(musicgen)
        assert np.array_equal(again.codes, first.codes) and np.allclose(again.controls, first.controls)
        longer = RecordedFolder(folder).examples(replace(musicgen, window=200))  # another window needs nothing new
        assert longer.codes.shape == (1, 4, 200)
        mux_audio(filmed / "silent.mp4", tune(550), RATE, folder / "anna" / "one.mp4", overwrite=True)
        with pytest.raises(AssertionError, match="computed again"):
            RecordedFolder(folder).examples(musicgen)
    RecordedFolder(folder).examples(musicgen)
    assert {path.name for path in (folder / KEPT).iterdir()} > kept
    with musicgen_of_another_codec(musicgen) as other:
        assert not np.array_equal(RecordedFolder(folder).examples(other).codes, first.codes)


class musicgen_of_another_codec:
    """While the block runs, the codec's first weights are others."""

    def __init__(self, musicgen):
        self.musicgen = musicgen

    def __enter__(self):
        self.bias = self.musicgen.model.audio_encoder.encoder.layers[0].conv.bias
        self.bias.data += 0.5
        return self.musicgen

    def __exit__(self, *_):
        self.bias.data -= 0.5


def test_a_short_recordings_rest_is_masked_and_nobody_is_seen_there(filmed, musicgen):
    examples = RecordedFolder(filmed).examples(replace(musicgen, window=300))
    assert (examples.codes[:, :, 227:] == -1).all() and (examples.codes[:, :, :224] >= 0).all()
    missing = examples.controls[:, :, examples.channels.index("face_missing")]
    assert missing[:, 230:].all() and not missing[:, :200].any()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("name,caption\na,b\n", "it wants file, caption, performer, song"),
        ("file,caption\nnobody.mp4,x\n", "names nobody.mp4, which is not there"),
        ("file,caption\na.mp4,x\na.mp4,y\n", "twice"),
        ("file,caption\na.mp4,x, y\n", "captions with commas in quotes"),
    ],
)
def test_a_table_that_is_wrong_is_explained(tmp_path, table, says):
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / "captions.csv").write_text(table)
    with pytest.raises(ExpotionError, match=says):
        RecordedFolder(tmp_path)


def test_a_folder_without_anything_usable_is_explained(tmp_path, musicgen):
    with pytest.raises(ExpotionError, match="holds no video"):
        RecordedFolder(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(ExpotionError, match="No recording in .* can be used; a.mp4"):
        RecordedFolder(tmp_path).examples(musicgen)


def examples_of(pairs: list[tuple[int, int]]) -> Examples:
    performers, songs = np.array(pairs).T
    n = len(pairs)
    return Examples(
        np.zeros((n, 4, 5), np.int16), np.zeros((n, 5, 1), np.float32), ("",) * n, songs, performers, ("a",)
    )


@pytest.mark.parametrize(
    "pairs",
    [
        [(p, 10 * p + s) for p in range(5) for s in range(4)],  # songs of their own
        [(p, s) for p in range(6) for s in range(6)],  # everybody moves to everything
        [(p, s) for p in range(30) for s in (p % 4, 4 + p % 3)],
        [(p, p) for p in range(5) for _ in range(6)],  # a recording each, in six windows
    ],
)
def test_a_split_never_leaks_and_loses_little(pairs):
    examples = examples_of(pairs)
    train, held_out = split(examples, 0.2)
    check_split(train, held_out)
    assert len(set(held_out.performers)) > 1 and len(set(held_out.songs)) > 1, "somebody else's video is another's"
    assert len(held_out) >= 2 and len(train) >= 0.4 * len(examples)
    if len(set(songs := [s for _, s in pairs])) == len(songs):
        assert len(train) + len(held_out) == len(examples), "nothing needs to be lost"


@pytest.mark.parametrize("pairs", [[(0, s) for s in range(9)], [(p, 0) for p in range(9)], [(0, 0), (1, 1)]])
def test_what_cannot_be_split_is_explained(pairs):
    with pytest.raises(ExpotionError, match="Record more people"):
        split(examples_of(pairs))


def test_a_class_trains_an_adapter_that_generates(filmed, tmp_path, capsys):
    """Through the command, from recordings to a folder that `--adapter` takes; then resumed; then refused."""
    arguments = ["finetune", str(filmed), "-o", str(tmp_path / "mine"), "--minutes", "0.05", "--held-out", "0"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "left out" in said and "silent.mp4" in said and "trained on 3 examples" in said
    assert load_pipeline("nano", str(tmp_path / "mine")).config.channels
    before = (tmp_path / "mine" / "adapter_model.safetensors").read_bytes()
    assert main(arguments) == 2 and "--resume" in capsys.readouterr().err
    assert (tmp_path / "mine" / "adapter_model.safetensors").read_bytes() == before
    assert main([*arguments, "--resume", "--quiet"]) == 0
    shutil.copytree(tmp_path / "mine", tmp_path / "given", ignore=shutil.ignore_patterns("training"))
    given = [str(tmp_path / "given") if word == str(tmp_path / "mine") else word for word in arguments]
    assert main(given) == 2 and "holds an adapter already" in capsys.readouterr().err
    another = filmed / "somebody_new.mp4"
    another.write_bytes(b"not looked at")
    try:
        assert main([*arguments, "--resume"]) == 2
        assert "was begun with recordings 4" in (said := capsys.readouterr().err) and "not recordings 5" in said
    finally:
        another.unlink()


def test_a_little_synthetic_training_says_what_it_was_worth(tmp_path):
    config = TrainingConfig(max_steps=3, batch=2)
    trained = finetune("synthetic", tmp_path / "a", config=config, n_synthetic=4, progress=False)
    assert trained.examples == 4 and trained.held_out == 32 and set(trained.losses) == {
        "loss", "loss_shuffled", "loss_none",
    }  # fmt: skip
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


@pytest.mark.parametrize(("alone", "says"), [(True, "of the same person's"), (False, "with another's")])
def test_the_command_says_whose_the_other_video_is(alone, says, tmp_path, monkeypatch, capsys):
    losses = {"loss": 2.0, "loss_shuffled": 2.1, "loss_none": 2.2}
    monkeypatch.setattr(finetuning, "finetune", lambda *_, **__: Trained(tmp_path, 8, 2, {}, losses, alone))
    assert main(["finetune", "synthetic", "-o", str(tmp_path)]) == 0
    assert says in capsys.readouterr().out
