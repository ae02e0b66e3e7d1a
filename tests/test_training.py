"""Fine-tuning: the loss is transformers', splits do not leak, a killed run goes on, and a little of it helps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from expotion_lite.adapter import BUNDLED, AdapterConfig, attach, conditioned, embed_controls, load_adapter, to_steps
from expotion_lite.checkpoints import load_checkpoint, save_checkpoint, train_for
from expotion_lite.data import Examples, check_split, synthetic_examples
from expotion_lite.errors import ExpotionError
from expotion_lite.musicgen import inputs_and_labels, load
from expotion_lite.training import Batch, TrainingConfig, finetune, held_out_losses, loss_of


@pytest.fixture(scope="module")
def examples():
    musicgen = replace(load("nano"), window=150)
    return synthetic_examples(musicgen, 8, 3_100, 3_100), synthetic_examples(musicgen, 8, 3_200, 3_200)


def test_loss_equals_transformers_own():
    musicgen = load("nano")
    model = attach(musicgen, AdapterConfig(("a",), musicgen.model.decoder.config.hidden_size))
    codes, controls = torch.randint(0, 256, (2, 4, 25)), torch.randn(2, 25, 1)
    codes[1, :, 18:] = -1
    tokens = musicgen.processor.tokenizer(["a fast march", "ambient"], return_tensors="pt", padding=True)
    inputs, labels = inputs_and_labels(codes, musicgen.pad)
    with torch.no_grad(), conditioned(model, to_steps(embed_controls(model, controls), 4)):
        theirs = model(**tokens, decoder_input_ids=inputs, labels=labels).loss
    batch = Batch(codes, controls, tokens.input_ids, tokens.attention_mask, torch.ones(2))
    assert torch.allclose(loss_of(model, batch, musicgen.pad), theirs, atol=1e-5)


def test_a_leaking_split_is_refused(examples):
    train, held_out = examples
    check_split(train, held_out)
    with pytest.raises(ExpotionError, match="song"):
        check_split(train, replace(held_out, songs=train.songs))
    with pytest.raises(ExpotionError, match="performer"):
        check_split(train, replace(held_out, performers=train.performers))


def test_examples_survive_a_file(examples, tmp_path):
    again = Examples.load(examples[0].save(tmp_path / "examples.npz"))
    assert np.array_equal(again.codes, examples[0].codes) and again.captions == examples[0].captions
    assert np.allclose(again.controls, examples[0].controls, atol=1e-3)
    with pytest.raises(ExpotionError, match="not a file of examples"):
        Examples.load(__file__)


def test_finetuning_lowers_the_loss_saves_and_resumes(examples, tmp_path):
    train, _ = examples
    other = replace(examples[1])
    config = TrainingConfig(max_steps=20, batch=4, lr=3e-3)
    model, adapter = finetune(load("nano"), train, other, tmp_path, config)
    with torch.no_grad():
        after = held_out_losses(model, load("nano"), train)["loss"]
        fresh = attach(musicgen := load("nano"), adapter)
        assert after < held_out_losses(fresh, musicgen, train)["loss"]
        loaded, _ = load_adapter(load("nano"), tmp_path / "adapter")
        assert held_out_losses(loaded, load("nano"), train)["loss"] == pytest.approx(after, abs=2e-2)
    steps = (tmp_path / "log.jsonl").read_text().count("\n")
    finetune(load("nano"), train, other, tmp_path, replace(config, max_steps=25))
    assert (tmp_path / "log.jsonl").read_text().count("\n") > steps


def test_training_goes_on_where_it_was_killed(tmp_path):
    """Interrupted and resumed, the weights are those of an uninterrupted run with the same number of steps."""

    def run(folder, stop_at):
        torch.manual_seed(0)
        module = torch.nn.Linear(3, 1)
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
        state = {"step": 0}
        if (folder / "x.safetensors").exists():
            state = load_checkpoint(folder / "x.safetensors", module, optimizer)
        for i in range(state["step"], stop_at):
            loss = (module(torch.randn(4, 3, generator=torch.Generator().manual_seed(i))) - 1).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        save_checkpoint(folder / "x.safetensors", module, optimizer, {"step": stop_at})
        return module.weight.detach().clone()

    once, twice = tmp_path / "once", tmp_path / "twice"
    once.mkdir()
    twice.mkdir()
    reference = run(once, 10)
    run(twice, 4)
    assert torch.equal(run(twice, 10), reference)


def test_the_time_budget_counts_all_runs_together(tmp_path):
    module = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(module.parameters())
    first = train_for(0.2 / 3600, tmp_path, "y", module, optimizer, lambda i, p: {"p": p}, log_every=10_000)
    again = train_for(0.2 / 3600, tmp_path, "y", module, optimizer, lambda i, p: {"p": p}, log_every=10_000)
    assert first == again


@pytest.mark.parametrize("damage", ["nothing there", "no weights", "other width", "cut weights", "broken description"])
def test_an_adapter_that_does_not_fit_is_an_error_never_silent(damage, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "adapter"
    shutil.copytree(BUNDLED, folder)
    weights, description = folder / "adapter_model.safetensors", folder / "visual_adapter.json"
    if damage == "nothing there":
        description.unlink()
    elif damage == "no weights":
        weights.unlink()
    elif damage == "other width":
        description.write_text(description.read_text().replace('"width": 256', '"width": 128'))
    elif damage == "cut weights":
        tensors = load_file(weights)
        tensors.pop(sorted(tensors)[0])
        save_file(tensors, weights)
    else:
        description.write_text("{")
    with pytest.raises(ExpotionError):
        load_adapter(load("nano"), folder)
