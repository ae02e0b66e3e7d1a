"""The optimizer of nano's text encoder and language model: Muon and AdamW, which step as one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch

from ..musicgen.precision import precision_of

LR, MUON_LR = 3e-3, 0.02  # peaks, of AdamW and of Muon


class Muon(torch.optim.Optimizer):
    """Momentum whose update has nearly equal singular values (Jordan 2024, kellerjordan.github.io/posts/muon).

    torch has the same from 2.9 on, but always computes it in bfloat16, which is very slow on some processors. This one
    computes in the precision that `precision_of` chooses.
    """

    def __init__(
        self, matrices: Iterable[torch.Tensor], lr: float, *, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        """Take parameters with two axes; `weight_decay` is decoupled from the gradient."""
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure is used
        """Take one step with Nesterov momentum."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(matrix)
                momentum = state["momentum_buffer"].lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonalise(matrix.grad.lerp(momentum, group["momentum"]))
                size = group["lr"] * math.sqrt(max(1, matrix.shape[0] / matrix.shape[1]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(update.to(matrix), alpha=-size)


def orthogonalise(matrix: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Bring all singular values of a matrix near 1, by the Newton-Schulz iteration in Jordan's version.

    Example:
        >>> singular = torch.linalg.svdvals(orthogonalise(torch.diag(torch.tensor([1.0, 2.0, 3.0]))).float())
        >>> bool((singular > 0.5).all() and (singular < 1.3).all())
        True
    """
    x = matrix.bfloat16() if precision_of(matrix.device) == "bf16" else matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.775, alpha=2.0315), x, beta=3.4445)
    return x.T if tall else x


class CombinedOptimizer:
    """Several optimizers of different parameters that step as one, for `checkpoints.train_for`."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        """Combine them, with one shared state."""
        self.optimizers, self.defaults = optimizers, optimizers[0].defaults
        self.param_groups = [group for each in optimizers for group in each.param_groups]
        self.state: defaultdict[torch.Tensor, Any] = defaultdict(dict)
        for each in optimizers:
            each.state = self.state

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for each in self.optimizers:
            each.zero_grad()

    def step(self) -> None:
        """Take one step with each optimizer."""
        for each in self.optimizers:
            each.step()


def new_optimizer(model: torch.nn.Module) -> CombinedOptimizer:
    """Make an optimizer: Muon for the matrices in a transformer's blocks, AdamW for everything else.

    Everything else is embeddings, output heads, norms and biases.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    inner = {n for n, p in trained.items() if p.ndim == 2 and (".layers." in n or ".block." in n) and "bias" not in n}
    return CombinedOptimizer(
        torch.optim.AdamW(
            [p for n, p in trained.items() if n not in inner], lr=LR, betas=(0.9, 0.95), weight_decay=0.05, fused=True
        ),
        Muon([p for n, p in trained.items() if n in inner], lr=MUON_LR, weight_decay=0.05),
    )
