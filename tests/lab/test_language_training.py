"""The training of the language model and of its text encoder, at the smallest size."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from expotion_lite.lab.caption_encoder import TEMPI, caption_batch, train_caption_encoder
from expotion_lite.lab.language_data import (
    Pieces,
    harmony_targets,
    key_caption_pairs,
    phase_targets,
    tokenize,
    tokenize_with_dropout,
)
from expotion_lite.lab.language_model import WINDOW, embed_numbers_by_value, save_nano
from expotion_lite.lab.language_training import (
    SAMPLE_PROMPTS,
    key_logits,
    key_loss,
    language_losses,
    train_language,
)
from expotion_lite.musicgen.loading import load
from expotion_lite.synthetic import band
from expotion_lite.synthetic.harmony import KEYS


def test_the_losses_of_the_probes_ignore_the_hidden_past(tiny_model, tokenizer):
    model = tiny_model.eval()
    text = tokenize_with_dropout(tokenizer, ["slow waltz"] * 2, 0)
    phases, harmonies = (
        torch.from_numpy(np.stack([targets(band.compose(i, 2.0), 100) for i in range(2)]))
        for targets in (phase_targets, harmony_targets)
    )
    codes = torch.randint(0, 16, (2, 4, 100))
    other = torch.cat([codes[..., :20], codes[..., 20:].flip(-1)], -1)
    past = torch.ones(2, 100)
    past[:, 20:] = 0
    phase_probe, harmony_probe = torch.nn.Linear(64, 6), torch.nn.Linear(64, 36)

    def losses(music: torch.Tensor, past: torch.Tensor) -> tuple[float, ...]:
        pieces = Pieces(music, ("a", "b"), phases, harmonies)
        with torch.no_grad():
            return tuple(map(float, language_losses(model, phase_probe, harmony_probe, pieces, *text, past)))

    assert losses(codes, past)[1:] == losses(other, past)[1:]
    heard, differently = losses(codes, torch.ones(2, 100)), losses(other, torch.ones(2, 100))
    assert heard[1] != differently[1] and heard[2] != differently[2]
    for probe in (phase_probe, harmony_probe):
        torch.nn.init.zeros_(probe.weight)
        torch.nn.init.zeros_(probe.bias)
    loss, phase, harmony = losses(codes, past)
    assert loss == pytest.approx(np.log(16), abs=0.5) and phase == pytest.approx(0.5)
    assert harmony == pytest.approx(np.log(2))


@pytest.mark.slow
def test_a_decoder_learns_to_combine_tonic_and_mood(tiny_model, tokenizer):
    probe = torch.nn.Linear(64, 36)
    *captions, keys = key_caption_pairs(40, 8)
    texts = [tokenize(tokenizer, each) for each in captions]
    trained = [*(p for p in tiny_model.parameters() if p.requires_grad), *probe.parameters()]
    optimizer, losses = torch.optim.AdamW(trained, 3e-3), []
    for _ in range(40):
        optimizer.zero_grad()
        loss = key_loss(key_logits(tiny_model, probe, *texts), keys)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 4 and losses[-1] < 0.5, "nats; 2 * log(12), about 5, is a guess"
    with torch.no_grad():
        third = key_logits(tiny_model, probe, *texts)[1]
        tokens, mask = texts[1]
        padded = torch.nn.functional.pad(tokens, (0, 3)), torch.nn.functional.pad(mask, (0, 3))
        torch.testing.assert_close(key_logits(tiny_model, probe, texts[0], padded)[1], third, rtol=0.05, atol=0.05)
        without_mood = key_logits(tiny_model, probe, texts[0], (tokens, 0 * mask))[1]
    assert (without_mood - third).abs().max() > 0.5, "the third depends on the mood"


def test_facts_about_a_piece_go_with_each_of_its_captions():
    captions, facts = caption_batch(0, 2, 0)
    piece = band.compose(0, 4.0)
    assert len(captions) == 8 and abs(TEMPI[facts["tempo"][0]] / piece.tempo_bpm - 1) < 0.02
    assert list(band.STYLES)[facts["style"][0]] == piece.style and KEYS[facts["tonic"][0]] == piece.key
    assert facts["instruments"][0].sum() == len(piece.instruments)


@pytest.mark.slow
def test_a_text_encoder_learns_facts_from_captions(tiny_model, tokenizer, tmp_path):
    embed_numbers_by_value(tiny_model, tokenizer)
    train_caption_encoder(tiny_model, tokenizer, tmp_path, 3 / 3600, size=2, workers=0)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    guess = np.log(len(TEMPI)) + np.log(len(band.STYLES)) + np.log(12) + 2 * np.log(2)
    assert last["stage"] == "reading" and last["held_out_loss"] < guess + 0.5
    assert 0 <= last["held_out_tempo"] <= 1


@pytest.mark.slow
def test_a_language_model_is_trained_saved_and_loaded(tiny_model, tokenizer, tmp_path):
    before = {name: value.clone() for name, value in tiny_model.audio_encoder.state_dict().items()}
    train_language(tiny_model, tokenizer, tmp_path, 1.0, batch=2, workers=0, max_steps=2)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["stage"] == "language" and np.isfinite(last["loss"]) and np.isfinite(last["held_out_loss"])
    assert len(list((tmp_path / "samples").glob("*.wav"))) == len(SAMPLE_PROMPTS)
    assert (tmp_path / "ear.safetensors").exists(), "the harmony probe"
    assert all(torch.equal(value, before[name]) for name, value in tiny_model.audio_encoder.state_dict().items())
    save_nano(tiny_model, tokenizer, tmp_path / "nano")
    musicgen = load(tmp_path / "nano")
    assert musicgen.window == WINDOW
    assert musicgen.model.config.pieces_heard == 4, "a longer training continues after these pieces"


@pytest.mark.slow
def test_a_longer_training_hears_other_pieces(tiny_model, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("expotion_lite.lab.language_training.write_samples", lambda *_: None)
    start = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    losses = []
    for heard in (0, 0, 24):
        tiny_model.load_state_dict(start)
        tiny_model.config.pieces_heard = heard
        folder = tmp_path / str(len(losses))
        folder.mkdir()
        train_language(tiny_model, tokenizer, folder, 1.0, batch=1, workers=0, max_steps=1)
        losses.append(json.loads((folder / "log.jsonl").read_text())["loss"])
        assert tiny_model.config.pieces_heard == heard + 1
    assert losses[0] == losses[1] != losses[2]
