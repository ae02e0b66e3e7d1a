"""An adapter in training is asked what a face says of the key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from expotion_lite.data.examples import Examples
from expotion_lite.data.synthetic import CHOOSING, HELD_OUT_PERFORMERS, HELD_OUT_SONGS, synthetic_pair
from expotion_lite.errors import ExpotionError
from expotion_lite.lab.key_supervision import AROUND, FRAMES, embed_windows, faces_tell, load_ear, seen_losses
from expotion_lite.lab.language_training import tonic_and_third
from expotion_lite.musicgen.adapter import BUNDLED, AdapterConfig, attach, embed_controls, load_adapter
from expotion_lite.musicgen.loading import NANO, load
from expotion_lite.synthetic import band
from expotion_lite.synthetic.harmony import BRIGHT
from expotion_lite.training.loop import Batch, TrainingConfig, train_adapter


@pytest.fixture(scope="module")
def people():
    """24 held-out performers: examples without music, which nothing here hears."""
    numbers = np.arange(24) + CHOOSING
    pairs = [synthetic_pair(int(HELD_OUT_SONGS + n), int(HELD_OUT_PERFORMERS + n), 6.0) for n in numbers]
    controls = np.stack([moves.values for _, moves in pairs])
    codes = np.zeros((len(pairs), 4, controls.shape[1]), np.int16)
    return Examples(
        codes,
        controls,
        ("",) * len(pairs),
        HELD_OUT_SONGS + numbers,
        HELD_OUT_PERFORMERS + numbers,
        pairs[0][1].channels,
    )


def window(musicgen, people, faces=None, begins=0):
    """Frames of people from `begins` on, of whose music nothing is heard, and where the thirds of their songs lie."""
    pieces = [band.compose(int(song), 10.0) for song in people.songs]
    captions = [f"a waltz in {piece.key}" for piece in pieces]
    read = musicgen.processor.tokenizer(captions, return_tensors="pt", padding=True)
    controls = np.pad(people.controls if faces is None else people.controls[faces], ((0, 0), (AROUND, 0), (0, 0)))
    batch = Batch(
        torch.zeros(len(people), 4, FRAMES, dtype=torch.long),
        torch.from_numpy(controls[:, begins : begins + FRAMES + 2 * AROUND]),
        read.input_ids,
        read.attention_mask,
        torch.ones(len(people)),
        torch.zeros(len(people), FRAMES),
    )
    first = torch.full((len(people),), begins == 0)
    return batch, first, torch.tensor([tonic_and_third(piece)[1] for piece in pieces])


def test_an_untrained_adapter_sees_nothing_and_learns_from_what_it_is_asked(people):
    musicgen = load("nano")
    model = attach(musicgen, AdapterConfig(people.channels, musicgen.model.decoder.config.hidden_size))
    ear, others = load_ear(NANO), np.roll(np.arange(len(people)), 1)
    with torch.no_grad():
        losses = [seen_losses(model, ear, *window(musicgen, people, faces), musicgen.pad) for faces in (None, others)]
    assert losses[0] == losses[1]
    assert float(losses[0][1]) == pytest.approx(np.log(2), abs=0.4), "one of the two thirds above the tonic"
    asked = faces_tell(musicgen, people, ear)
    asked(model, 0).backward()
    learns = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert any("visual_adapter" in name for name in learns) and any("lora" in name for name in learns)
    assert ear.weight.grad is None and float(asked(model, 3).detach()) == float(asked(model, 3).detach())


def test_a_window_is_seen_as_within_its_clip(people):
    musicgen = load("nano")
    model, config = load_adapter(musicgen, BUNDLED)
    seen = people.select(config.channels)
    with torch.no_grad():
        whole = embed_controls(model, torch.from_numpy(seen.controls))
        for begins in (0, 90):
            batch, first, _ = window(musicgen, seen, begins=begins)
            batch.controls[first, :AROUND] = 7.0  # never looked at
            torch.testing.assert_close(embed_windows(model, batch.controls, first), whole[:, begins : begins + FRAMES])


@pytest.mark.parametrize("begins", [0, 100])
def test_the_bundled_adapter_knows_the_third_by_the_faces_of_people_whom_it_never_saw(people, begins):
    musicgen = load("nano")
    model, config = load_adapter(musicgen, BUNDLED)
    seen, bright = people.select(config.channels), [band.compose(int(s), 10.0).mode in BRIGHT for s in people.songs]
    of_other_mode = np.array([bright.index(not mode) for mode in bright])
    with torch.no_grad():
        own, other = (
            float(seen_losses(model, load_ear(NANO), *window(musicgen, seen, faces, begins), musicgen.pad)[1])
            for faces in (None, of_other_mode)
        )
    assert own < 0.9 * np.log(2) < other, "nats; log(2) does not know which of the two"


def test_what_is_asked_beside_the_codes_is_learned_with_them(people, tmp_path):
    musicgen = replace(load("nano"), window=people.controls.shape[1])
    config, asked = TrainingConfig(max_steps=2, batch=2), []

    def also(model, i):
        asked.append(i)
        return faces_tell(musicgen, people, load_ear(NANO))(model, i)

    train_adapter(musicgen, people, None, tmp_path, config, extra_loss=also)
    assert asked == [0, 1] and '"extra_loss"' in (tmp_path / "log.jsonl").read_text()


def test_a_nano_without_an_ear_is_named(tmp_path):
    with pytest.raises(ExpotionError, match="holds no ear.safetensors"):
        load_ear(tmp_path)
