"""The training loop: its loss equals transformers', it lowers the loss, resumes, and refuses what cannot be trained."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from expotion_lite.data.examples import Examples
from expotion_lite.errors import ExpotionError
from expotion_lite.musicgen.adapter import (
    BUNDLED,
    AdapterConfig,
    attach,
    conditioned,
    embed_controls,
    frames_to_steps,
    load_adapter,
    read_config,
)
from expotion_lite.musicgen.codes import inputs_and_labels
from expotion_lite.musicgen.loading import load
from expotion_lite.training.batches import Batch, collate
from expotion_lite.training.loop import (
    TrainingConfig,
    checkpoint_activations,
    held_out_losses,
    kept_losses,
    loss_of,
    mismatched_rows,
    train_adapter,
)

pytestmark = pytest.mark.slow


def test_the_loss_equals_that_of_transformers():
    musicgen = load("nano")
    model = attach(musicgen, AdapterConfig(("a",), musicgen.model.decoder.config.hidden_size))
    codes, controls = torch.randint(0, 256, (2, 4, 25)), torch.randn(2, 25, 1)
    codes[1, :, 18:] = -1
    tokens = musicgen.processor.tokenizer(["a fast march", "ambient"], return_tensors="pt", padding=True)
    inputs, labels = inputs_and_labels(codes, musicgen.pad)
    with torch.no_grad(), conditioned(model, frames_to_steps(embed_controls(model, controls), 4)):
        theirs = model(**tokens, decoder_input_ids=inputs, labels=labels).loss
    batch = Batch(codes, controls, tokens.input_ids, tokens.attention_mask, torch.ones(2), torch.ones(2, 25))
    assert torch.allclose(loss_of(model, batch, musicgen.pad), theirs, atol=1e-5)


def test_a_mismatched_video_is_of_another_performer_and_song_where_there_is_one(examples):
    held_out = replace(
        examples[0], songs=np.array([1, 1, 1, 2, 2, 3, 3, 3]), performers=np.array([5, 5, 6, 6, 6, 5, 7, 7])
    )
    for i, j in enumerate(mismatched_rows(held_out)):
        assert held_out.songs[i] != held_out.songs[j] and held_out.performers[i] != held_out.performers[j]
    one_song = replace(held_out, songs=np.full(8, 1))
    rows = mismatched_rows(one_song)
    assert (one_song.performers != one_song.performers[rows]).all()
    one_performer = replace(one_song, performers=np.full(8, 5))
    rows = mismatched_rows(one_performer)
    assert sorted(rows) == list(range(8)) and (rows != np.arange(8)).all()


def test_training_lowers_the_loss_and_saves_and_resumes(examples, tmp_path):
    train, held_out = examples
    config = TrainingConfig(max_steps=20, batch=4, lr=3e-3)
    model, adapter = train_adapter(load("nano"), train, held_out, tmp_path, config)
    with torch.no_grad():
        after = held_out_losses(model, load("nano"), train)["loss"]
        fresh = attach(musicgen := load("nano"), adapter)
        assert after < held_out_losses(fresh, musicgen, train)["loss"]
        loaded, _ = load_adapter(load("nano"), tmp_path / "adapter")
        assert held_out_losses(loaded, load("nano"), train)["loss"] == pytest.approx(after, abs=2e-2)
    train_adapter(load("nano"), train, held_out, tmp_path, replace(config, max_steps=25))
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [10, 20, 25]


def test_a_model_is_trained_where_it_is(examples, tmp_path, monkeypatch):
    """By itself accelerate would move it to a GPU; here the GPU can hold nothing."""
    from accelerate.state import PartialState

    monkeypatch.setattr(PartialState, "default_device", torch.device("meta"))
    config = TrainingConfig(max_steps=1, batch=1)
    model, _ = train_adapter(load("nano"), examples[0], None, tmp_path, config)
    assert {p.device.type for p in model.parameters()} == {"cpu"}


def test_a_model_is_in_training_mode_from_the_first_step_and_in_eval_mode_afterwards(examples, tmp_path):
    """In eval mode dropout and gradient checkpointing do nothing."""
    modes = []

    def extra_loss(model, i):
        modes.append((i, model.training))
        return torch.ones(())

    config = TrainingConfig(max_steps=2, batch=1)
    model, _ = train_adapter(load("nano"), examples[0], None, tmp_path, config, extra_loss=extra_loss)
    assert modes == [(0, True), (1, True)] and not model.training
    (row,) = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert row["extra_loss"] == 1.0 and row["loss"] > 1.5, "they are logged apart"


LOSSES = ((2.0, 2.1), (1.9, 2.0), (2.2, 2.6))  # with the own video and with another's, at three validations


@pytest.mark.parametrize("keep, best", [("loss", 1), ("last", 2)])
def test_the_weights_with_the_lowest_loss_or_the_last_are_kept(examples, tmp_path, monkeypatch, keep, best):
    left, saved = list(LOSSES), []
    names = ("loss", "loss_shuffled")
    monkeypatch.setattr(
        "expotion_lite.training.loop.held_out_losses", lambda *_: dict(zip(names, left.pop(0), strict=True))
    )
    train, held_out = (each.pick(np.arange(2)) for each in examples)
    for steps in (1, 2, 3):  # a validation ends each call
        config = TrainingConfig(max_steps=steps, batch=1, lr=1e-2, keep=keep)
        model, _ = train_adapter(load("nano"), train, held_out, tmp_path, config)
        saved.append(load_file(tmp_path / "adapter" / "adapter_model.safetensors"))
    assert [not same_tensors(a, b) for a, b in pairwise(saved)] == [True, best == 2]
    fresh, _ = load_adapter(load("nano"), tmp_path / "adapter")
    kept, loaded = ({n: p.float() for n, p in each.named_parameters() if "lora_B" in n} for each in (model, fresh))
    assert all(torch.allclose(kept[name], loaded[name], atol=1e-3) for name in kept), "the model has the kept weights"
    assert kept_losses(tmp_path / "log.jsonl", keep) == dict(zip(names, LOSSES[best], strict=True))


def same_tensors(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_patience_ends_where_the_best_weights_are_kept_and_not_where_the_last_are(examples, tmp_path, monkeypatch):
    """The loss rises from the start."""
    for keep, stopped_after in (("loss", 2), ("last", 4)):
        step = iter(range(10))
        monkeypatch.setattr(
            "expotion_lite.training.loop.held_out_losses",
            lambda *_, step=step: {"loss": 2.0 + (i := next(step)), "loss_shuffled": 2.0 + 2 * i},
        )
        train, held_out = (each.pick(np.arange(2)) for each in examples)
        for steps in range(1, 5):
            config = TrainingConfig(max_steps=steps, batch=1, patience=1, keep=keep)
            train_adapter(load("nano"), train, held_out, tmp_path / keep, config)
        assert len((tmp_path / keep / "log.jsonl").read_text().splitlines()) == stopped_after


def test_without_a_validation_nothing_is_the_best(tmp_path):
    assert kept_losses(tmp_path / "log.jsonl", "last") == {}


def test_controls_can_be_drawn_anew_at_each_step(examples, tmp_path, monkeypatch):
    """The model sees the controls that were drawn for an example; crops come after them."""
    asked, seen = [], []
    train = examples[0].pick(np.arange(3))

    def draw(row, controls, rng):
        assert np.array_equal(controls, train.controls[row])
        asked.append(row)
        return np.full_like(controls, 0.1 * (row + 1) + 0.01 * rng.random())

    def watch(model, batch, *rest):
        seen.append(batch.controls)
        return loss_of(model, batch, *rest)

    monkeypatch.setattr("expotion_lite.training.loop.loss_of", watch)
    monkeypatch.setattr("expotion_lite.training.batches.CROP_FRAMES", 60)
    config = TrainingConfig(max_steps=2, batch=4, crop=1.0, video_dropout=0, modality_dropout=0)
    train_adapter(load("nano"), train, None, tmp_path, config, draw_controls=draw)
    assert len(asked) == 8 and {controls.shape[1] for controls in seen} == {60}
    shown = torch.cat([controls[:, 0, 0] for controls in seen])
    assert torch.allclose(torch.floor(10 * shown + 1e-4), torch.tensor(asked) + 1.0)
    assert len(set(shown.tolist())) == 8


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
        {"crop": 1.5},
        {"keep": "gate"},
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(ExpotionError, match=next(iter(wrong))):
        TrainingConfig(**wrong)


def test_too_few_examples_or_other_channels_are_refused_before_training(examples, tmp_path):
    train, held_out = examples
    few = Examples(**{name: value if name == "channels" else value[:1] for name, value in vars(held_out).items()})
    with pytest.raises(ExpotionError, match="1 held out"):
        train_adapter(load("nano"), train, few, tmp_path, TrainingConfig(max_steps=1))
    other = replace(held_out, channels=("pulse",))
    with pytest.raises(ExpotionError, match="different channels"):
        train_adapter(load("nano"), train, other, tmp_path, TrainingConfig(max_steps=1))
    assert not list(tmp_path.iterdir())


def test_gradient_checkpointing_does_not_change_gradients(examples):
    gradients = []
    for on in (False, True):
        musicgen = load("nano")
        torch.manual_seed(0)
        model = attach(musicgen, AdapterConfig(examples[0].channels, musicgen.model.decoder.config.hidden_size)).train()
        if on:
            checkpoint_activations(musicgen)
            assert any(getattr(m, "gradient_checkpointing", False) for m in musicgen.model.decoder.modules())
        loss_of(model, collate(musicgen, examples[0], np.arange(2)), musicgen.pad).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad and p.grad is not None})
    plain, recomputed = gradients
    assert plain.keys() == recomputed.keys() and len(plain) > 10
    assert all(torch.allclose(plain[name], recomputed[name], atol=1e-6) for name in plain)


def test_a_training_continues_from_an_adapter_with_the_channels_that_it_reads(examples, tmp_path):
    config = TrainingConfig(max_steps=1, batch=1, lr=1e-9, adapter_lr=1e-9)
    _, adapter = train_adapter(load("nano"), examples[0], None, tmp_path, config, start=BUNDLED)
    assert adapter.channels == read_config(BUNDLED).channels
    before = load_file(BUNDLED / "adapter_model.safetensors")
    after = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name].float(), after[name].float(), atol=1e-3) for name in before)
