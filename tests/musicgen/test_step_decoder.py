"""The step decoder: its logits equal those of transformers."""

from __future__ import annotations

import pytest
import torch

from expotion_lite.musicgen import (
    AdapterConfig,
    StepDecoder,
    attach,
    conditioned,
    embed_controls,
    encode_prompts,
    frames_to_steps,
    inputs_and_labels,
    load,
    load_adapter,
    save_adapter,
)

PROMPT = "a slow sad piano ballad with piano"


@pytest.mark.parametrize("prompt", [PROMPT, "piano and strings " * 40], ids=["short", "long"])
def test_logits_equal_transformers_with_adapter_lora_and_two_prompts(prompt, tmp_path):
    """Short and long prompts take different paths of the cross-attention. A saved adapter gives the same logits."""
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

    def transformers_logits(model):
        with torch.no_grad(), conditioned(model, frames_to_steps(embed_controls(model, controls), 4)):
            return model(**tokens, decoder_input_ids=inputs).logits.view(2, 4, 23, -1)

    expected = transformers_logits(model)
    decoder = StepDecoder(musicgen.model.decoder)
    decoder.start(*encode_prompts(musicgen, [prompt, "techno"]), 23)
    steps, control = inputs.view(2, 4, 23), frames_to_steps(embed_controls(model, controls), 4).detach()
    logits = [decoder.step(steps[..., :6], control[:, :6])]
    logits += [decoder.step(steps[..., s : s + 1], control[:, s : s + 1]) for s in range(6, 23)]
    assert torch.allclose(torch.stack(logits, 2), expected[:, :, 5:], atol=1e-4)

    decoder.start(*encode_prompts(musicgen, ["piano", "silence, nothing"]), 23)
    decoder.read_text(*encode_prompts(musicgen, [prompt, "techno"]))
    for first, last in ((0, 5), (5, 6), (6, 15), (15, 23)):  # several steps at once, at the start and later
        read = decoder.step(steps[..., first:last], control[:, first:last])
        assert torch.allclose(read, expected[:, :, last - 1], atol=1e-4)

    save_adapter(model, config, tmp_path / "adapter")
    again, _ = load_adapter(load("nano"), tmp_path / "adapter")
    assert torch.equal(transformers_logits(again), expected)
