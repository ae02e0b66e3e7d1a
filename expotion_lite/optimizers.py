"""The optimizer of nano's text encoder and language model: two that step as one."""

from __future__ import annotations

from collections import defaultdict

import torch

LR, MUON_LR = 3e-3, 0.02  # peaks, of AdamW and of Muon


class Together:
    """Optimizers of different parameters that step as one, for `checkpoints.train_for`."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers, self.defaults = optimizers, optimizers[0].defaults
        self.param_groups = [group for each in optimizers for group in each.param_groups]
        self.state = defaultdict(dict)
        for each in optimizers:
            each.state = self.state

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for each in self.optimizers:
            each.zero_grad()

    def step(self) -> None:
        """Take one step with each."""
        for each in self.optimizers:
            each.step()


def optimizer_of(model: torch.nn.Module) -> Together:
    """AdamW for embeddings, heads, norms and biases; Muon for the matrices in a transformer's blocks.

    Muon (Jordan 2024, kellerjordan.github.io/posts/muon) takes steps that are equally large in all directions of a
    matrix. torch has it from 2.9 on.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    inner = {n for n, p in trained.items() if p.ndim == 2 and (".layers." in n or ".block." in n) and "bias" not in n}
    return Together(
        torch.optim.AdamW(
            [p for n, p in trained.items() if n not in inner], lr=LR, betas=(0.9, 0.95), weight_decay=0.05, fused=True
        ),
        torch.optim.Muon([p for n, p in trained.items() if n in inner], lr=MUON_LR, weight_decay=0.05),
    )
