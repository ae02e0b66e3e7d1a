"""Fine-tuning: the loss is transformers', splits do not leak, a killed run goes on, and a little of it helps."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from expotion_lite.controls.channels import CHANNELS, MODALITIES, hide
from expotion_lite.data.examples import Examples, check_split
from expotion_lite.data.synthetic import kept_synthetic_examples, synthetic_examples
from expotion_lite.errors import ExpotionError
from expotion_lite.files import copy_files
from expotion_lite.musicgen.adapter import (
    BUNDLED,
    AdapterConfig,
    attach,
    conditioned,
    embed_controls,
    load_adapter,
    read_config,
    to_steps,
)
from expotion_lite.musicgen.codes import inputs_and_labels
from expotion_lite.musicgen.loading import load
from expotion_lite.musicgen.precision import autocast, bfloat16_pays, precision_of
from expotion_lite.training import loop as training
from expotion_lite.training.checkpoints import keep_plan, train_for
from expotion_lite.training.loop import (
    Batch,
    TrainingConfig,
    _strangers,
    collate,
    held_out_losses,
    hide_past,
    hide_some,
    loss_of,
    spare_memory,
    train_adapter,
    without_hidden,
)


@pytest.fixture(scope="module")
def examples():
    musicgen = replace(load("nano"), window=150)
    return synthetic_examples(musicgen, 8, 3_100, 3_100), synthetic_examples(musicgen, 8, 3_200, 3_200)


def test_a_model_is_trained_where_it_is(examples, tmp_path, monkeypatch):
    """accelerate would take the GPU, here one that can hold nothing."""
    from accelerate.state import PartialState

    monkeypatch.setattr(PartialState, "default_device", torch.device("meta"))
    musicgen = replace(load("nano"), window=150)
    model, _ = train_adapter(musicgen, *examples, tmp_path, TrainingConfig(max_steps=1, batch=2))
    assert {p.device.type for p in model.parameters()} == {"cpu"}


def test_loss_equals_transformers_own():
    musicgen = load("nano")
    model = attach(musicgen, AdapterConfig(("a",), musicgen.model.decoder.config.hidden_size))
    codes, controls = torch.randint(0, 256, (2, 4, 25)), torch.randn(2, 25, 1)
    codes[1, :, 18:] = -1
    tokens = musicgen.processor.tokenizer(["a fast march", "ambient"], return_tensors="pt", padding=True)
    inputs, labels = inputs_and_labels(codes, musicgen.pad)
    with torch.no_grad(), conditioned(model, to_steps(embed_controls(model, controls), 4)):
        theirs = model(**tokens, decoder_input_ids=inputs, labels=labels).loss
    batch = Batch(codes, controls, tokens.input_ids, tokens.attention_mask, torch.ones(2), torch.ones(2, 25))
    assert torch.allclose(loss_of(model, batch, musicgen.pad), theirs, atol=1e-5)


def test_each_modality_is_hidden_now_and_then_never_both():
    controls = np.random.default_rng(1).random((400, 3, len(CHANNELS)), np.float32)
    batch = Batch(*[torch.zeros(400)] * 6)
    batch = replace(batch, controls=torch.from_numpy(controls))
    some = hide_some(batch, CHANNELS, 0.2, np.random.default_rng(0)).controls.numpy()
    gone = [(some == hide(controls, CHANNELS, modality)).all((1, 2)) for modality in MODALITIES]
    untouched = (some == controls).all((1, 2))
    assert (gone[0].astype(int) + gone[1] + untouched == 1).all()
    assert all(0.15 < share.mean() < 0.25 for share in gone)


def test_hidden_stretches_of_the_past_are_not_read_by_the_steps_that_follow():
    codes = torch.arange(2 * 4 * 50).view(2, 4, 50)
    inputs, _ = inputs_and_labels(codes, 999)
    past = torch.ones(2, 50)
    past[1, 10:12] = 0
    read = without_hidden(inputs, past, 999)
    assert torch.equal(read[:4], inputs[:4]), "the first example hides nothing"
    changed = (read[4:] != inputs[4:]).nonzero().tolist()
    assert changed == [[k, step] for k in range(4) for step in (11, 12)] and (read[4:, 11:13] == 999).all()

    batch = Batch(*[torch.zeros(300)] * 5, past=torch.ones(300, 100))
    past = hide_past(batch, 0.5, np.random.default_rng(0)).past
    share = 1 - past.mean(1)
    assert 0.5 < (share == 0).float().mean() < 0.65 and share.max() > 0.8
    assert (past[:, :16] == past[:, :1]).all(), "a stretch is hidden whole"


def test_finetuning_hides_modalities_as_often_as_it_is_told(examples, tmp_path, monkeypatch):
    shares = []
    monkeypatch.setattr(training, "hide_some", lambda batch, channels, share, rng: shares.append(share) or batch)
    train_adapter(load("nano"), examples[0], None, tmp_path, TrainingConfig(max_steps=2, batch=2, modality_dropout=0.3))
    assert shares == [0.3, 0.3]
    with pytest.raises(ExpotionError, match="expression or motion"):
        hide(examples[0].controls, examples[0].channels, "smell")


def test_a_leaking_split_is_refused(examples):
    train, held_out = examples
    check_split(train, held_out)
    with pytest.raises(ExpotionError, match="song"):
        check_split(train, replace(held_out, songs=train.songs))
    with pytest.raises(ExpotionError, match="performer"):
        check_split(train, replace(held_out, performers=train.performers))


def test_the_control_is_never_the_same_persons_nor_the_same_songs_where_there_is_another(examples):
    held_out = replace(
        examples[0], songs=np.array([1, 1, 1, 2, 2, 3, 3, 3]), performers=np.array([5, 5, 6, 6, 6, 5, 7, 7])
    )
    for i, j in enumerate(_strangers(held_out)):
        assert held_out.songs[i] != held_out.songs[j] and held_out.performers[i] != held_out.performers[j]
    one_song = replace(held_out, songs=np.full(8, 1))
    assert all(one_song.performers[i] != one_song.performers[j] for i, j in enumerate(_strangers(one_song)))
    alone = replace(one_song, performers=np.full(8, 5))
    assert sorted(_strangers(alone)) == list(range(8)) and (_strangers(alone) != np.arange(8)).all()


def test_examples_survive_a_file(examples, tmp_path):
    again = Examples.load(examples[0].save(tmp_path / "examples.npz"))
    assert np.array_equal(again.codes, examples[0].codes) and again.captions == examples[0].captions
    assert np.allclose(again.controls, examples[0].controls, atol=1e-3)
    with pytest.raises(ExpotionError, match="not a file of examples"):
        Examples.load(__file__)


def test_finetuning_lowers_the_loss_saves_and_resumes(examples, tmp_path, capsys):
    train, _ = examples
    other = replace(examples[1])
    config = TrainingConfig(max_steps=20, batch=4, lr=3e-3)
    model, adapter = train_adapter(load("nano"), train, other, tmp_path, config)
    with torch.no_grad():
        after = held_out_losses(model, load("nano"), train)["loss"]
        fresh = attach(musicgen := load("nano"), adapter)
        assert after < held_out_losses(fresh, musicgen, train)["loss"]
        loaded, _ = load_adapter(load("nano"), tmp_path / "adapter")
        assert held_out_losses(loaded, load("nano"), train)["loss"] == pytest.approx(after, abs=2e-2)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"stage": "adapter", "step": 30, "held_out_loss": 0.0}\n{"stage": "ada')  # steps lost with a kill
    capsys.readouterr()
    train_adapter(load("nano"), train, other, tmp_path, replace(config, max_steps=25))
    assert "resumes at step 20" in capsys.readouterr().out
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [10, 20, 25]


KILLED = """
import json, os, sys, time
from pathlib import Path
import torch
from expotion_lite.training.checkpoints import train_for

folder, kill_at = Path(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(0)
module = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))
optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)

def step(i, progress):
    if i == kill_at:
        os.kill(os.getpid(), 9)
    loss = (module(torch.randn(4, 3)) - 1).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": float(loss)}

train_for(1, folder, "x", module, optimizer, step, checkpoint_s=0, log_every=1, max_steps=10)
"""


def test_a_training_that_was_killed_ends_as_if_it_had_not_been(tmp_path):
    """SIGKILL in the middle of step 5: weights, moments, buffers, random draws and the log are those of one run."""
    for folder, kills in (("once", [-1]), ("twice", [5, -1])):
        (tmp_path / folder).mkdir()
        for kill_at in kills:
            run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / folder), str(kill_at)])
            assert run.returncode == (-signal.SIGKILL if kill_at >= 0 else 0)
    once, twice = (load_file(tmp_path / folder / "x.safetensors") for folder in ("once", "twice"))
    assert once.keys() == twice.keys() and all(torch.equal(once[name], twice[name]) for name in once)
    logs = [(tmp_path / folder / "log.jsonl").read_text().splitlines() for folder in ("once", "twice")]
    losses, again = ([json.loads(line)["loss"] for line in log] for log in logs)
    assert len(losses) == 10 and losses == again


def test_a_folder_is_not_gone_on_with_as_something_else(tmp_path):
    keep_plan(tmp_path / "run", {"hours": 1.0}, resume=False)
    keep_plan(tmp_path / "run", {"hours": 1.0}, resume=True)
    with pytest.raises(ExpotionError, match="go on with it .--resume."):
        keep_plan(tmp_path / "run", {"hours": 1.0}, resume=False)
    with pytest.raises(ExpotionError, match="was begun with hours 1.0, not hours 2.0; .* name another folder"):
        keep_plan(tmp_path / "run", {"hours": 2.0}, resume=True)


def test_kept_examples_are_made_once_in_parts_and_are_the_same(examples, tmp_path, monkeypatch):
    musicgen = replace(load("nano"), window=150)
    whole = examples[0]
    kept = kept_synthetic_examples(musicgen, 8, 3_100, 3_100, tmp_path, part=5)
    assert [path.name[:7] for path in sorted(tmp_path.iterdir())] == ["000000-", "000005-"]
    assert kept.captions == whole.captions and kept.channels == whole.channels
    for name in ("songs", "performers"):
        assert np.array_equal(getattr(kept, name), getattr(whole, name))
    assert np.allclose(kept.controls, whole.controls, atol=1e-3)
    assert (kept.codes == whole.codes).mean() > 0.99  # batches of another size round differently
    with monkeypatch.context() as patched:
        patched.setattr("expotion_lite.data.synthetic.synthetic_examples", None)
        kept_synthetic_examples(musicgen, 8, 3_100, 3_100, tmp_path, part=5)
    made = []
    monkeypatch.setattr(
        "expotion_lite.data.synthetic.synthetic_examples",
        lambda *which: made.append(which) or whole.pick(np.arange(2)),
    )
    kept_synthetic_examples(replace(musicgen, window=100), 5, 3_100, 3_100, tmp_path, part=5)
    kept_synthetic_examples(musicgen, 5, 3_101, 3_100, tmp_path, part=5)
    kept_synthetic_examples(musicgen, 4, 3_100, 3_100, tmp_path, part=5)
    assert len(made) == 3, "another window, other songs and a shorter part are made anew"


def test_the_time_budget_counts_all_runs_together(tmp_path):
    module = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(module.parameters())
    first = train_for(0.2 / 3600, tmp_path, "y", module, optimizer, lambda i, p: {"p": p}, log_every=10_000)
    again = train_for(0.2 / 3600, tmp_path, "y", module, optimizer, lambda i, p: {"p": p}, log_every=10_000)
    assert first == again


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
def test_an_adapter_that_does_not_fit_is_an_error_never_silent(damage, tmp_path):
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


@pytest.mark.parametrize(
    "wrong",
    [
        {"hours": 0},
        {"max_steps": 0},
        {"batch": 0},
        {"text_dropout": 3},
        {"modality_dropout": 0.7},
        {"past_dropout": -1},
        {"lr": -1.0},
    ],
)
def test_a_training_that_cannot_be_is_refused_by_name(wrong):
    with pytest.raises(ExpotionError, match=next(iter(wrong))):
        TrainingConfig(**wrong)


def test_too_few_examples_are_refused_before_training(examples, tmp_path):
    train, held_out = examples
    few = Examples(**{name: value if name == "channels" else value[:1] for name, value in vars(held_out).items()})
    with pytest.raises(ExpotionError, match="1 held out"):
        train_adapter(load("nano"), train, few, tmp_path, TrainingConfig(max_steps=1))
    with pytest.raises(ExpotionError, match="different channels"):
        train_adapter(
            load("nano"), train, replace(held_out, channels=("pulse",)), tmp_path, TrainingConfig(max_steps=1)
        )
    assert not list(tmp_path.iterdir())


def test_a_training_stops_when_it_is_enough(tmp_path):
    module, seen = torch.nn.Linear(1, 1), []
    run = partial(
        train_for, 1, tmp_path, "x", module, torch.optim.AdamW(module.parameters()), lambda i, through: {"loss": 0.0},
        validate=lambda: seen.append(1) or {"loss": 0.0}, log_every=1, max_steps=100, enough=lambda: len(seen) >= 2,
    )  # fmt: skip
    assert run() == 20, "a validation every ten log lines"
    assert run() == 20, "nor does it go on when called again"


def test_gradient_checkpointing_changes_memory_not_gradients(examples):
    gradients = []
    for on in (False, True):
        musicgen = load("nano")
        torch.manual_seed(0)
        model = attach(musicgen, AdapterConfig(examples[0].channels, musicgen.model.decoder.config.hidden_size)).train()
        if on:
            spare_memory(musicgen)
            assert any(getattr(m, "gradient_checkpointing", False) for m in musicgen.model.decoder.modules())
        loss_of(model, collate(musicgen, examples[0], np.arange(2), np.ones(2), np.ones(2)), musicgen.pad).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad and p.grad is not None})
    plain, again = gradients
    assert plain.keys() == again.keys() and len(plain) > 10
    assert all(torch.allclose(plain[name], again[name], atol=1e-6) for name in plain)


def test_an_adapter_of_another_model_of_the_same_shape_is_refused(examples, tmp_path):
    """And one from before adapters knew their model still loads."""
    train_adapter(load("nano"), *examples, tmp_path, TrainingConfig(max_steps=1, batch=1))
    load_adapter(load("nano"), tmp_path / "adapter")
    load_adapter(load("nano", dtype="bfloat16"), tmp_path / "adapter")
    other = load("nano")
    other.model.decoder.lm_heads[0].weight.data += 0.05
    with pytest.raises(ExpotionError, match="trained for another model than nano"):
        load_adapter(other, tmp_path / "adapter")
    config = tmp_path / "adapter" / "visual_adapter.json"
    config.write_text(json.dumps({k: v for k, v in json.loads(config.read_text()).items() if k != "probe"}))
    load_adapter(other, tmp_path / "adapter")


def test_training_goes_on_from_an_adapter_by_the_channels_that_it_reads(examples, tmp_path):
    config = TrainingConfig(max_steps=1, batch=1, lr=1e-9, adapter_lr=1e-9)
    _, adapter = train_adapter(load("nano"), *examples, tmp_path, config, start=BUNDLED)
    assert adapter.channels == read_config(BUNDLED).channels
    before = load_file(BUNDLED / "adapter_model.safetensors")
    after = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name].float(), after[name].float(), atol=1e-3) for name in before)


@pytest.mark.parametrize(("half", "precision"), [(0.5, "bf16"), (0.9, "no"), (100.0, "no")])
def test_half_precision_is_used_where_it_pays(monkeypatch, half, precision):
    seconds = {torch.bfloat16: half, torch.float32: 1.0}
    monkeypatch.setattr("expotion_lite.musicgen.precision._seconds", seconds.get)
    bfloat16_pays.cache_clear()
    assert precision_of(torch.device("cpu")) == precision and precision_of(torch.device("meta")) == "no"
    with autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == (torch.bfloat16 if half < 0.8 else torch.float32)
    bfloat16_pays.cache_clear()


def test_a_new_adapter_is_trained_in_training_mode_from_the_first_step(examples, tmp_path, monkeypatch):
    """In eval mode nothing is dropped out, and gradient checkpointing does nothing."""
    modes = []
    real = training.loss_of
    monkeypatch.setattr(training, "loss_of", lambda model, *rest: modes.append(model.training) or real(model, *rest))
    model, _ = train_adapter(load("nano"), *examples, tmp_path, TrainingConfig(max_steps=1, batch=2))
    assert modes[0] and not model.training


def test_a_batch_is_no_longer_than_its_longest_example(examples):
    musicgen, short = load("nano"), examples[0].codes.copy()
    short[:, :, 40:], short[1, :, 30:] = -1, -1
    some = replace(examples[0], codes=short)
    batch = collate(musicgen, some, np.arange(2), np.ones(2), np.ones(2))
    assert batch.codes.shape[-1] == batch.controls.shape[1] == batch.past.shape[1] == 40
    model = attach(musicgen, AdapterConfig(some.channels, musicgen.model.decoder.config.hidden_size))
    whole = replace(
        batch, codes=torch.from_numpy(short[:2].astype(np.int64)), controls=torch.from_numpy(some.controls[:2]),
        past=torch.ones(2, short.shape[-1]),
    )  # fmt: skip
    with torch.no_grad():
        assert torch.allclose(loss_of(model, batch, musicgen.pad), loss_of(model, whole, musicgen.pad), atol=1e-5)


def test_what_a_killed_save_left_is_not_copied(tmp_path):
    (tmp_path / "a" / ".saving-x").mkdir(parents=True)
    (tmp_path / "a" / ".adapter_model-y.safetensors").write_bytes(b"half")
    (tmp_path / "a" / "adapter_config.json").write_text("{}")
    (tmp_path / "b").mkdir()
    copy_files(tmp_path / "a", tmp_path / "b")
    assert [file.name for file in (tmp_path / "b").iterdir()] == ["adapter_config.json"]
