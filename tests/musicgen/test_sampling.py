"""The sampling loop is transformers' `generate`, and more."""

from __future__ import annotations

import threading

import pytest
import torch

from expotion_lite.errors import ExpotionError
from expotion_lite.musicgen.adapter import (
    AdapterConfig,
    attach,
    conditioned,
    embed_controls,
    load_adapter,
    save_adapter,
    to_steps,
)
from expotion_lite.musicgen.codes import decode, inputs_and_labels
from expotion_lite.musicgen.loading import load
from expotion_lite.musicgen.sampling import Condition, encode_prompts, sample_codes
from expotion_lite.musicgen.settings import Settings
from expotion_lite.musicgen.step_decoder import StepDecoder

PROMPT = "a slow sad piano ballad with piano"
FRAMES = 60


@pytest.fixture(scope="module")
def nano():
    return load("nano")


def sample(musicgen, settings, frames=FRAMES, visual=None, prompts=(PROMPT,), **more):
    condition = Condition(*encode_prompts(musicgen, list(prompts)), visual)
    return sample_codes(musicgen, StepDecoder(musicgen.model.decoder), condition, frames, settings, **more)


@pytest.mark.parametrize(
    "settings, arguments",
    [
        (Settings(top_k=1), {"do_sample": False}),
        (Settings(seed=3, top_k=50), {"do_sample": True, "top_k": 50}),
        (Settings(seed=4, temperature=0.8, guidance=2.0), {"do_sample": True, "top_k": 250, "temperature": 0.8}),
    ],
)
def test_same_tokens_as_transformers_generate(nano, settings, arguments):
    """Greedy, and sampled with the same seed: every token, seen through the codes that generate decodes."""
    seen = []
    original = nano.model.audio_encoder.decode
    nano.model.audio_encoder.decode = lambda codes, *rest, **more: seen.append(codes) or original(codes, *rest, **more)
    try:
        inputs = nano.processor(text=[PROMPT], padding=True, return_tensors="pt")
        torch.manual_seed(settings.seed)
        nano.model.generate(
            **inputs, guidance_scale=settings.guidance, max_new_tokens=FRAMES + nano.n_codebooks - 1, **arguments
        )
    finally:
        nano.model.audio_encoder.decode = original
    assert torch.equal(sample(nano, settings), seen[0][0])


@pytest.mark.parametrize("prompt", [PROMPT, "piano and strings " * 40], ids=["short", "long"])
def test_logits_equal_transformers_with_adapter_lora_and_two_prompts(prompt, tmp_path):
    musicgen = load("nano")
    config = AdapterConfig(("a", "b"), musicgen.model.decoder.config.hidden_size)
    model = attach(musicgen, config)
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    codes, controls = torch.randint(0, 256, (2, 4, 20)), torch.randn(2, 20, 2)
    inputs, _ = inputs_and_labels(codes, musicgen.pad)
    tokens = musicgen.processor.tokenizer([prompt, "techno"], return_tensors="pt", padding=True)

    def whole(model):
        with torch.no_grad(), conditioned(model, to_steps(embed_controls(model, controls), 4)):
            return model(**tokens, decoder_input_ids=inputs).logits.view(2, 4, 23, -1)

    reference = whole(model)
    decoder = StepDecoder(musicgen.model.decoder)
    decoder.start(*encode_prompts(musicgen, [prompt, "techno"]), 23)
    steps, control = inputs.view(2, 4, 23), to_steps(embed_controls(model, controls), 4).detach()
    logits = [decoder.step(steps[..., :6], control[:, :6])]
    logits += [decoder.step(steps[..., s : s + 1], control[:, s : s + 1]) for s in range(6, 23)]
    assert torch.allclose(torch.stack(logits, 2), reference[:, :, 5:], atol=1e-4)

    save_adapter(model, config, tmp_path / "adapter")
    again, _ = load_adapter(load("nano"), tmp_path / "adapter")
    assert torch.equal(whole(again), reference)


def test_an_untrained_adapter_changes_nothing():
    plain = load("nano")
    before = sample(plain, Settings(seed=5))
    model = attach(plain, AdapterConfig(("a",), plain.model.decoder.config.hidden_size))
    visual = embed_controls(model, torch.randn(1, FRAMES, 1)).detach()
    assert torch.equal(sample(plain, Settings(seed=5, visual_guidance=1.0), visual=visual), before)


def test_music_longer_than_the_window_goes_on_from_what_is_there(nano):
    from dataclasses import replace

    short = replace(nano, window=40)
    codes = sample(short, Settings(seed=1), frames=130)
    assert codes.shape == (1, 4, 130)
    assert codes.min() >= 0 and codes.max() < nano.model.decoder.config.vocab_size
    assert torch.equal(codes[..., :30], sample(short, Settings(seed=1), frames=40)[..., :30])


def test_prompts_in_a_batch_do_not_disturb_each_other(nano):
    both = sample(nano, Settings(top_k=1), prompts=(PROMPT, "fast loud techno with synth lead and drums"))
    assert torch.equal(both[:1, :, :20], sample(nano, Settings(top_k=1))[..., :20])


def test_one_thread_makes_a_single_piece_and_the_others_come_back(nano):
    """Several starve one another beside a busy process; of many pieces at once the products are large enough."""
    before, used = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        sample(nano, Settings(), frames=3, progress=lambda done: used.append(torch.get_num_threads()))
        assert set(used) == {1} and torch.get_num_threads() == 2
        used.clear()
        sample(
            nano, Settings(), frames=3, prompts=3 * (PROMPT,), progress=lambda _: used.append(torch.get_num_threads())
        )
        assert set(used) == {2}
    finally:
        torch.set_num_threads(before)


def test_cancel_keeps_what_was_made(nano):
    cancel, seen = threading.Event(), []

    def progress(done):
        seen.append(done)
        if done >= 20:
            cancel.set()

    codes = sample(nano, Settings(), frames=400, progress=progress, cancel=cancel)
    assert 20 <= codes.shape[-1] < 60
    assert torch.equal(codes, sample(nano, Settings(), frames=400)[..., : codes.shape[-1]])
    assert decode(nano, codes).shape[1] == codes.shape[-1] * 320


def test_controls_that_are_too_short_are_refused(nano):
    with pytest.raises(ExpotionError, match="60"):
        sample(nano, Settings(), visual=torch.zeros(1, 30, 256))
