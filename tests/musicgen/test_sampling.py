"""The sampling loop: it equals transformers' `generate`, and goes on where that ends."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch

from expotion_lite.errors import ExpotionError
from expotion_lite.musicgen import (
    AdapterConfig,
    Condition,
    Settings,
    StepDecoder,
    attach,
    decode,
    embed_controls,
    encode_prompts,
    load,
    sample_codes,
)

PROMPT = "a slow sad piano ballad with piano"
FRAMES = 60


def sample(musicgen, settings, frames=FRAMES, visual=None, prompts=(PROMPT,), emphasis=None, **more):
    condition = Condition(*encode_prompts(musicgen, list(prompts)), visual, emphasis)
    return sample_codes(musicgen, StepDecoder(musicgen.model.decoder), condition, frames, settings, **more)


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        (Settings(top_k=1), {"do_sample": False}),
        (Settings(seed=3, temperature=1.0, top_k=50), {"do_sample": True, "top_k": 50}),
        (Settings(seed=4, temperature=0.8, guidance=2.0), {"do_sample": True, "top_k": 100, "temperature": 0.8}),
    ],
)
def test_tokens_equal_those_of_transformers_generate(nano, settings, arguments):
    """Greedy, and sampled with the same seed: the codes that `generate` gives to its codec are ours."""
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


def test_an_untrained_adapter_changes_nothing():
    plain = load("nano")
    before = sample(plain, Settings(seed=5))
    model = attach(plain, AdapterConfig(("a",), plain.model.decoder.config.hidden_size))
    visual = embed_controls(model, torch.randn(1, FRAMES, 1)).detach()
    assert torch.equal(sample(plain, Settings(seed=5, visual_guidance=1.0), visual=visual), before)


def test_the_visual_guidance_is_at_most_1_where_nothing_is_emphasised():
    """Codebook k of a frame is drawn k steps later, with the weight of its own frame."""
    musicgen = load("nano")
    model = attach(musicgen, AdapterConfig(("a",), musicgen.model.decoder.config.hidden_size))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "visual_adapter" in name or "lora_B" in name:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    visual = embed_controls(model, torch.randn(1, FRAMES, 1, generator=torch.Generator().manual_seed(2))).detach()
    high, low = Settings(visual_guidance=6.0), Settings(visual_guidance=1.0)
    half = torch.zeros(1, FRAMES)
    half[:, FRAMES // 2 :] = 1
    codes = {
        name: sample(musicgen, settings, visual=visual, emphasis=emphasis)
        for name, settings, emphasis in (
            ("high", high, None),
            ("low", low, None),
            ("all", high, torch.ones(1, FRAMES)),
            ("nothing", high, torch.zeros(1, FRAMES)),
            ("second half", high, half),
            ("little guidance", low, half),
            ("equal to the text's", Settings(guidance=3.0, visual_guidance=3.0), torch.zeros(1, FRAMES)),
        )
    }
    assert torch.equal(codes["equal to the text's"], codes["low"]), "a condition of weight 0 counts where it is calm"
    assert torch.equal(codes["all"], codes["high"]) and torch.equal(codes["nothing"], codes["low"])
    assert torch.equal(codes["little guidance"], codes["low"]) and not torch.equal(codes["high"], codes["low"])
    until = FRAMES // 2
    assert torch.equal(codes["second half"][..., : until - 3], codes["low"][..., : until - 3])
    assert not torch.equal(codes["second half"][..., until:], codes["low"][..., until:])


def test_music_longer_than_the_window_continues_the_first_window(nano):
    short = replace(nano, window=40)
    codes = sample(short, Settings(seed=1), frames=130)
    assert codes.shape == (1, 4, 130)
    assert codes.min() >= 0 and codes.max() < nano.model.decoder.config.vocab_size
    assert torch.equal(codes[..., :40], sample(short, Settings(seed=1), frames=40))


def test_a_batch_gives_each_prompt_the_same_codes_as_alone(nano):
    both = sample(nano, Settings(top_k=1), prompts=(PROMPT, "fast loud techno with synth lead and drums"))
    assert torch.equal(both[:1, :, :20], sample(nano, Settings(top_k=1))[..., :20])


@pytest.mark.slow
def test_one_piece_is_sampled_with_one_thread_and_a_batch_with_all(nano):
    before = torch.get_num_threads()
    torch.set_num_threads(2)

    def threads_used(n_pieces):
        used = set()

        def progress(done):
            used.add(torch.get_num_threads())

        sample(nano, Settings(), frames=3, prompts=n_pieces * (PROMPT,), progress=progress)
        return used

    try:
        assert threads_used(1) == {1} and torch.get_num_threads() == 2
        assert threads_used(3) == {2}
    finally:
        torch.set_num_threads(before)


def test_cancel_keeps_the_frames_that_are_finished(nano):
    cancel = threading.Event()

    def progress(done):
        if done >= 20:
            cancel.set()

    codes = sample(nano, Settings(), frames=400, progress=progress, cancel=cancel)
    assert 20 <= codes.shape[-1] < 60
    assert torch.equal(codes, sample(nano, Settings(), frames=100)[..., : codes.shape[-1]])
    assert decode(nano, codes).shape[1] == codes.shape[-1] * nano.hop


def test_controls_shorter_than_the_music_are_refused(nano):
    with pytest.raises(ExpotionError, match="60"):
        sample(nano, Settings(), visual=torch.zeros(1, 30, 256))
