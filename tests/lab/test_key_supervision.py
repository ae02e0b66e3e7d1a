"""The auxiliary loss with which the adapter learns to tell the mode from a face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from expotion_lite.data.examples import Examples
from expotion_lite.data.synthetic import HELD_OUT_PERFORMERS, HELD_OUT_SONGS, VALIDATION_OFFSET, synthetic_pair
from expotion_lite.errors import ExpotionError
from expotion_lite.lab.key_supervision import (
    CONTEXT,
    WINDOW_FRAMES,
    embed_windows,
    key_loss_from_faces,
    load_harmony_probe,
    window_losses,
)
from expotion_lite.lab.language_data import tonic_and_third
from expotion_lite.musicgen.adapter import BUNDLED, AdapterConfig, attach, embed_controls, load_adapter
from expotion_lite.musicgen.loading import NANO, load
from expotion_lite.synthetic import band
from expotion_lite.synthetic.harmony import BRIGHT
from expotion_lite.training.batches import Batch
from expotion_lite.training.loop import TrainingConfig, train_adapter

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def people():
    """Return 24 held-out performers, as examples whose codes are all 0: no test here uses their music."""
    numbers = np.arange(24) + VALIDATION_OFFSET
    pairs = [synthetic_pair(int(HELD_OUT_SONGS + n), int(HELD_OUT_PERFORMERS + n), 6.0) for n in numbers]
    controls = np.stack([moves.values for _, moves in pairs])
    return Examples(
        codes=np.zeros((len(pairs), 4, controls.shape[1]), np.int16),
        controls=controls,
        captions=("",) * len(pairs),
        songs=HELD_OUT_SONGS + numbers,
        performers=HELD_OUT_PERFORMERS + numbers,
        channels=pairs[0][1].channels,
    )


def windows(musicgen, people, faces=None, start=0):
    """Return windows of people from frame `start` on with all music hidden, which are first, and their songs' thirds.

    faces: whose controls each of them gets, by number; by default its own.
    """
    pieces = [band.compose(int(song), 10.0) for song in people.songs]
    captions = [f"a waltz in {piece.key}" for piece in pieces]
    tokens = musicgen.processor.tokenizer(captions, return_tensors="pt", padding=True)
    controls = np.pad(people.controls if faces is None else people.controls[faces], ((0, 0), (CONTEXT, 0), (0, 0)))
    batch = Batch(
        codes=torch.zeros(len(people), 4, WINDOW_FRAMES, dtype=torch.long),
        controls=torch.from_numpy(controls[:, start : start + WINDOW_FRAMES + 2 * CONTEXT]),
        tokens=tokens.input_ids,
        mask=tokens.attention_mask,
        video=torch.ones(len(people)),
        past=torch.zeros(len(people), WINDOW_FRAMES),
    )
    first = torch.full((len(people),), start == 0)
    return batch, first, torch.tensor([tonic_and_third(piece)[1] for piece in pieces])


def test_an_untrained_adapter_ignores_faces_and_gets_gradients(people):
    musicgen = load("nano")
    model = attach(musicgen, AdapterConfig(people.channels, musicgen.model.decoder.config.hidden_size))
    probe, others = load_harmony_probe(NANO), np.roll(np.arange(len(people)), 1)
    with torch.no_grad():
        own, other = (
            window_losses(model, probe, *windows(musicgen, people, faces), musicgen.pad) for faces in (None, others)
        )
    assert own == other
    assert float(own[1]) == pytest.approx(np.log(2), abs=0.4), "one of the two thirds above the tonic"
    loss = key_loss_from_faces(musicgen, people, probe)
    loss(model, 0).backward()
    learning = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert any("visual_adapter" in name for name in learning) and any("lora" in name for name in learning)
    assert probe.weight.grad is None, "the probe stays as it is"
    assert float(loss(model, 4).detach()) == float(loss(model, 4).detach()), "a step's windows are always the same"
    assert [loss(model, i) for i in (1, 2, 3, 5)] == [None] * 4, "it is computed in one step of four"


def test_a_window_gets_the_embeddings_that_it_has_in_its_clip(people):
    musicgen = load("nano")
    model, config = load_adapter(musicgen, BUNDLED)
    people = people.select(config.channels)
    with torch.no_grad():
        whole = embed_controls(model, torch.from_numpy(people.controls))
        for start in (0, 90):
            batch, first, _ = windows(musicgen, people, start=start)
            batch.controls[first, :CONTEXT] = 7.0  # never read
            expected = whole[:, start : start + WINDOW_FRAMES]
            torch.testing.assert_close(embed_windows(model, batch.controls, first), expected)


@pytest.mark.parametrize("start", [0, 100])
def test_the_bundled_adapter_tells_the_mode_from_faces_that_it_never_saw(people, start):
    musicgen = load("nano")
    model, config = load_adapter(musicgen, BUNDLED)
    people = people.select(config.channels)
    bright = [band.compose(int(song), 10.0).mode in BRIGHT for song in people.songs]
    of_other_mode = np.array([bright.index(not mode) for mode in bright])
    with torch.no_grad():
        own, other = (
            float(
                window_losses(model, load_harmony_probe(NANO), *windows(musicgen, people, faces, start), musicgen.pad)[
                    1
                ]
            )
            for faces in (None, of_other_mode)
        )
    assert own < 0.9 * np.log(2) < other, "nats; log(2) is to guess between major and minor"


def test_the_loss_is_trained_beside_that_of_the_codes(people, tmp_path):
    musicgen = replace(load("nano"), window=people.controls.shape[1])
    loss = key_loss_from_faces(musicgen, people, load_harmony_probe(NANO))
    train_adapter(musicgen, people, None, tmp_path, TrainingConfig(max_steps=2, batch=2), extra_loss=loss)
    assert '"extra_loss"' in (tmp_path / "log.jsonl").read_text()


def test_a_nano_without_a_probe_is_named(tmp_path):
    with pytest.raises(ExpotionError, match="holds no ear.safetensors"):
        load_harmony_probe(tmp_path)
