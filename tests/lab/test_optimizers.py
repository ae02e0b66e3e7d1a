"""Muon equals torch's, and two optimizers resume from one checkpoint."""

from __future__ import annotations

import pytest
import torch

from expotion_lite.lab.language_model import new_musicgen
from expotion_lite.lab.optimizers import Muon, new_optimizer
from expotion_lite.training.checkpoints import load_checkpoint, save_checkpoint


def take_steps(model, optimizer, seeds):
    """Take a step with random gradients for each seed."""
    for seed in seeds:
        torch.manual_seed(seed)
        optimizer.zero_grad()
        for p in model.parameters():
            p.grad = torch.randn_like(p) if p.requires_grad else None
        optimizer.step()


def test_two_optimizers_resume_from_a_checkpoint_as_one(tiny_codec, tokenizer, tmp_path):
    """Inner matrices are Muon's, all else AdamW's. A resumed step equals the step of an uninterrupted training."""
    whole, begun, resumed = (new_musicgen(tiny_codec, len(tokenizer), width=64, layers=1) for _ in range(3))
    optimizer = new_optimizer(whole)
    names = {p: name for name, p in whole.named_parameters()}
    adamw, muon = ([names[p] for p in group["params"]] for group in optimizer.param_groups)
    assert {"decoder.lm_heads.0.weight", "text_encoder.shared.weight"} < set(adamw)
    assert {n.split(".")[0] for n in muon} == {"decoder", "text_encoder"} and any("fc1" in name for name in muon)
    take_steps(whole, optimizer, range(3))

    optimizer = new_optimizer(begun)
    take_steps(begun, optimizer, range(2))
    save_checkpoint(tmp_path / "a.safetensors", begun, optimizer, {"step": 2, "seconds": 1.0})
    optimizer = new_optimizer(resumed)
    load_checkpoint(tmp_path / "a.safetensors", resumed, optimizer)
    take_steps(resumed, optimizer, range(2, 3))
    for (name, a), b in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("shape", [(12, 5), (5, 12)])
def test_muon_steps_like_torchs_own(shape):
    """torch's rounds to bfloat16 on the way."""
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), torch.randn(4, *shape)
    ends = []
    for make in (Muon, torch.optim.Muon):
        matrix = torch.nn.Parameter(start.clone())
        optimizer = make([matrix], lr=0.1, momentum=0.95, weight_decay=0.05)
        for gradient in gradients:
            matrix.grad = gradient.clone()
            optimizer.step()
        ends.append(matrix.detach() - start)
    assert float((ends[0] - ends[1]).norm() / ends[1].norm()) < 0.02
