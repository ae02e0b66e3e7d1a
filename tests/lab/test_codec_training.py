"""The codec's initial weights, its quantiser, and the stages of its training."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from expotion_lite.errors import ExpotionError
from expotion_lite.evaluation.metrics import cents_off, in_tune
from expotion_lite.lab import codec_training
from expotion_lite.lab.codec_start import FLAG, LOWEST, PHASORS, freeze_oscillators, initialise_oscillators
from expotion_lite.lab.codec_training import Quantiser, crops, new_codec, reconstruction_loss, train_codec
from expotion_lite.lab.discriminator import Discriminator, discriminator_loss, generator_loss
from expotion_lite.training.checkpoints import train_for


def test_a_new_codec_has_the_shape_that_musicgen_needs(tiny_codec):
    codes = tiny_codec.encode(torch.randn(2, 1, 16_000)).audio_codes[0]
    assert codes.shape == (2, 4, 50) and tiny_codec.config.frame_rate == 50
    assert new_codec(4, 1024).encode(torch.randn(1, 1, 3_200)).audio_codes.shape[2] == 4


@pytest.fixture(scope="module")
def initialised():
    """Return a codec with oscillators, before any training."""
    torch.manual_seed(0)
    codec = new_codec().eval()
    initialise_oscillators(codec, crops(0, 16, 6, 0.64))
    return codec


@pytest.mark.slow  # the fixture takes seconds
@pytest.mark.parametrize("pitch", [33, 57, 69, 88, 100])
def test_an_oscillator_sounds_its_pitch_from_the_start_and_never_fades(initialised, pitch):
    codec, nothing = deepcopy(initialised), torch.zeros(1, 128, 200)
    output_gates = codec.decoder.layers[1].lstm.bias_ih_l0[3 * 512 :]
    with torch.no_grad():
        rest = codec.decoder(nothing)
        output_gates[2 * (pitch - LOWEST) : 2 * (pitch - LOWEST) + 2] += 30.0
        tone = (codec.decoder(nothing) - rest)[0, 0].numpy()
    hz = 440 * 2 ** ((pitch - 69) / 12)
    assert abs(cents_off(tone[1_600:17_600], 16_000, hz)) < 2 and abs(cents_off(tone[-16_000:], 16_000, hz)) < 2
    early, late = tone[320:3_520].std(), tone[-16_000:].std()
    assert early == pytest.approx(late, rel=0.1) and late > 0.2


@pytest.mark.slow
def test_an_initialised_codec_reproduces_tones_before_any_training(initialised):
    """With random weights 0.4 of the notes would be in tune."""
    audio = crops(50, 6, 1, 4.0)
    with torch.no_grad():
        decoded = initialised.decoder(initialised.encoder(audio))
        mel, _ = reconstruction_loss(decoded, audio)
    assert np.mean([in_tune(clip, 16_000) for clip in decoded[:, 0].numpy()]) > 0.55
    assert float(mel) < 1.1 < float(reconstruction_loss(0 * audio, audio)[0]), "closer than silence"


@pytest.mark.slow  # the fixture takes seconds
def test_training_leaves_oscillators_and_resonators_in_tune(initialised):
    codec = deepcopy(initialised)
    freeze_oscillators(codec)
    audio = crops(60, 2, 1, 0.64)
    sum(reconstruction_loss(codec.decoder(codec.encoder(audio)), audio)).backward()
    oscillators, resonators = codec.decoder.layers[1].lstm, codec.encoder.layers[13].lstm
    cell, output = 2 * 512, 3 * 512
    assert not oscillators.weight_hh_l0.grad[cell : cell + FLAG + 1].any()
    assert not resonators.weight_hh_l0.grad[cell : cell + PHASORS].any()
    assert oscillators.weight_ih_l0.grad[output : output + PHASORS].any(), "output gates learn"
    assert not codec.decoder.layers[3].conv.parametrizations.weight.original1.grad[: FLAG + 1].any()


def test_a_codec_too_narrow_for_oscillators_is_refused(tiny_codec):
    with pytest.raises(ExpotionError, match="use 29 filters or more"):
        initialise_oscillators(tiny_codec, torch.randn(1, 1, 10_240))


def test_the_quantiser_equals_that_of_transformers(tiny_codec):
    audio = 0.1 * torch.randn(4, 1, 16_000)
    quantiser = Quantiser(tiny_codec)
    with torch.no_grad():
        latents = tiny_codec.encoder(audio)
        quantiser.fit(latents.transpose(1, 2).reshape(-1, 128))
        ours, commitment, perplexity = quantiser(latents, update=False)
        theirs = tiny_codec.quantizer.decode(tiny_codec.encode(audio).audio_codes[0].transpose(0, 1))
    assert torch.allclose(ours, theirs, atol=1e-4)
    assert float(commitment) == pytest.approx(float((latents - theirs).pow(2).mean()), rel=1e-3)
    assert len(perplexity) == 4 and 1 < min(perplexity) <= max(perplexity) <= 16


def test_k_means_finds_the_clusters():
    torch.manual_seed(3)
    codec, centres = new_codec(4, 8), torch.randn(8, 128)
    latents = (centres[torch.randint(8, (800,))] + 0.01 * torch.randn(800, 128)).T[None]
    Quantiser(codec).fit(latents[0].T)
    quantised, commitment, _ = Quantiser(codec)(latents, update=False)
    assert float(commitment) < 1e-3 and torch.allclose(quantised, latents, atol=0.1)


def test_unused_entries_are_replaced():
    codec = new_codec(4, 16)
    quantiser, latents = Quantiser(codec, decay=0.9), torch.randn(1, 128, 400)
    for book in quantiser.books:
        book.embed[8:] = 1e3  # out of reach
        book.embed_avg.copy_(book.embed)
        book.cluster_size.fill_(1.0)
    for _ in range(80):
        quantiser(latents, update=True)
    assert float(quantiser.books[0].embed.abs().max()) < 10


def test_a_discriminator_learns_to_tell_noise_from_tones():
    torch.manual_seed(0)
    discriminator = Discriminator(width=4)
    times = torch.arange(4_000) / 16_000
    tones = 0.1 * torch.sin(2 * torch.pi * 440 * times).expand(4, 1, -1)
    optimizer = torch.optim.AdamW(discriminator.parameters(), lr=1e-2)
    for _ in range(25):
        loss = discriminator_loss(discriminator(tones), discriminator(0.1 * torch.randn(4, 1, 4_000)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.5, "2 is to guess"
    with torch.no_grad():
        noise = discriminator(0.1 * torch.randn(4, 1, 4_000))
        noise_adversarial, noise_features = generator_loss(discriminator(tones), noise)
        same_adversarial, same_features = generator_loss(discriminator(tones), discriminator(tones))
    assert noise_adversarial > same_adversarial and same_features == 0 < noise_features


def test_clips_for_training_are_fresh_and_within_range():
    first, again, other = (crops(seed, pieces=2, each=2, seconds=0.5) for seed in (5, 5, 15))
    assert first.shape == (4, 1, 8_000) and first.abs().max() < 1.3 and first.std() > 1e-3
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.slow
def test_all_stages_train_and_resume_and_the_last_keeps_the_codes(tmp_path, monkeypatch):
    monkeypatch.setattr(codec_training, "sample_latents", partial(codec_training.sample_latents, pieces=10))
    monkeypatch.setattr(codec_training, "train_for", partial(train_for, max_steps=2))

    def train():
        codec = new_codec(filters=29, codebook_size=16)
        return train_codec(codec, tmp_path, hours=1.0, adversarial_share=0.3, workers=0)

    trained = train()
    stages = [json.loads(line)["stage"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(stages)) == ["autoencoder", "quantised", "opponent"]
    audio = crops(0, 2, 1, 4.0)
    codes = trained.encode(audio).audio_codes

    (tmp_path / "opponent.safetensors").unlink()  # as if killed before the last stage
    again = train()
    assert torch.equal(again.encode(audio).audio_codes, codes)
    before = {n.removeprefix("weight/"): w for n, w in load_file(tmp_path / "quantised.safetensors").items()}
    changed = {n.split(".")[0] for n, w in again.state_dict().items() if not torch.equal(w, before[n])}
    assert changed == {"decoder"}
