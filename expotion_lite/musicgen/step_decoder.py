"""MusicGen's decoder, one step at a time, without the overhead of a general-purpose `forward`.

The weights stay transformers'; what is here is the order of the sums. Projections that read the same input are put side
by side, LoRA is folded in, keys and values have their place from the start, and the text's are computed once. Its
logits equal transformers' (a test holds this), at several times the steps a second of `generate` on a small model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class _Norm:
    weight: torch.Tensor
    bias: torch.Tensor
    eps: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class _Layer:
    """One decoder layer: weights (out, in), MusicGen's projections have no biases."""

    norm: _Norm
    qkv: torch.Tensor
    out: torch.Tensor
    cross_norm: _Norm
    cross_q: torch.Tensor
    cross_kv: torch.Tensor
    cross_out: torch.Tensor
    mlp_norm: _Norm
    up: torch.Tensor
    down: torch.Tensor


def _weight(linear: Any) -> torch.Tensor:
    """The weight of a linear layer, with LoRA's update added if it carries one (Hu 2021: W + alpha / r * B A)."""
    weight = linear.weight
    if linear.bias is not None:
        raise ValueError("MusicGen's projections have no bias; this one does.")
    if hasattr(linear, "lora_A") and not linear.disable_adapters and not linear.merged:
        for name in linear.active_adapters:
            weight = weight + linear.get_delta_weight(name).to(weight.dtype)
    return weight.detach()


def _side_by_side(*linears: Any) -> torch.Tensor:
    """Weights that read the same input, (sum of outs, in), laid out in memory as a few rows times them read fastest."""
    return torch.cat([_weight(linear) for linear in linears]).t().contiguous().t()


def _norm(module: Any) -> _Norm:
    return _Norm(module.weight.detach(), module.bias.detach(), module.eps)


class StepDecoder:
    """A MusicGen decoder for sampling. Make one per model; `start` begins a piece, `step` goes on with it."""

    def __init__(self, causal_lm: Any) -> None:
        """causal_lm: transformers' `MusicgenForCausalLM`, with or without LoRA layers in it."""
        decoder = causal_lm.model.decoder
        if decoder.config.activation_function != "gelu":
            raise ValueError(f"Activation {decoder.config.activation_function!r} is not supported; MusicGen uses gelu.")
        self.heads = decoder.config.num_attention_heads
        self.positions = decoder.embed_positions
        self.codes = torch.cat([_table.weight.detach() for _table in decoder.embed_tokens])
        self.offsets = torch.arange(len(decoder.embed_tokens), device=self.codes.device) * (
            decoder.config.vocab_size + 1
        )
        self.layers = [_collect(layer) for layer in decoder.layers]
        self.norm = _norm(decoder.layer_norm)
        self.lm_heads = _side_by_side(*causal_lm.lm_heads)

    @torch.inference_mode()
    def start(self, text: torch.Tensor, text_mask: torch.Tensor, max_steps: int) -> None:
        """Begin a piece.

        Args:
            text: (B, L, D) projected hidden states of the prompts, zeros where masked.
            text_mask: (B, L), 1 for words; a row of zeros means no text.
            max_steps: how many steps there will be, with those of the first `step`.
        """
        batch, _, width = text.shape
        shape = (batch, self.heads, max_steps, width // self.heads)
        self.done = 0
        self.table = _position_table(self.positions, max_steps, self.codes)
        self.keys = [text.new_zeros(shape) for _ in self.layers]
        self.values = [text.new_zeros(shape) for _ in self.layers]
        seen = text_mask.bool().clone()
        seen[~seen.any(1)] = True  # a row without text attends to zeros, which adds nothing
        self.unseen = torch.zeros_like(seen, dtype=text.dtype).masked_fill_(~seen, -torch.inf)[:, None, None]
        self.folds = self.heads * text.shape[1] <= width  # a short text: see `_fold`
        self.cross = [self._split(F.linear(text, layer.cross_kv), 2) for layer in self.layers]
        if self.folds:
            self.cross = [self._fold(*kv, layer) for kv, layer in zip(self.cross, self.layers, strict=True)]

    @torch.inference_mode()
    def step(self, tokens: torch.Tensor, control: torch.Tensor | None = None) -> torch.Tensor:
        """Read more tokens and say what comes next.

        Args:
            tokens: (B, K, n) in the delay pattern; n > 1 only in the first call.
            control: (B, n, D) to add at the input, or None.

        Returns:
            logits: (B, K, V) after the last of these tokens.
        """
        n = tokens.shape[-1]
        x = self.codes[(tokens.transpose(1, 2) + self.offsets)].sum(2) + self.table[self.done : self.done + n]
        if control is not None:
            x = x + control.to(x.dtype)
        end = self.done + n
        for i, layer in enumerate(self.layers):
            q, k, v = self._split(F.linear(layer.norm(x), layer.qkv), 3)
            self.keys[i][:, :, self.done : end] = k
            self.values[i][:, :, self.done : end] = v
            attended = F.scaled_dot_product_attention(
                q, self.keys[i][:, :, :end], self.values[i][:, :, :end], is_causal=n > 1
            )
            x = x + F.linear(self._join(attended), layer.out)
            x = x + self._hear(layer.cross_norm(x), i)
            x = x + F.linear(F.gelu(F.linear(layer.mlp_norm(x), layer.up)), layer.down)
        self.done = end
        logits = F.linear(self.norm(x[:, -1]), self.lm_heads)
        return logits.view(len(logits), len(self.offsets), -1)

    def _hear(self, x: torch.Tensor, i: int) -> torch.Tensor:
        """Cross-attention of layer i: what the text has to say to x (B, n, D)."""
        if self.folds:
            asks, says = self.cross[i]
            scores = torch.bmm(x, asks).unflatten(2, (self.heads, -1)) + self.unseen
            return torch.bmm(scores.softmax(-1).flatten(2), says)
        (q,) = self._split(F.linear(x, self.layers[i].cross_q), 1)
        attended = F.scaled_dot_product_attention(q, *self.cross[i], attn_mask=self.unseen)
        return F.linear(self._join(attended), self.layers[i].cross_out)

    def _fold(self, k: torch.Tensor, v: torch.Tensor, layer: _Layer) -> tuple[torch.Tensor, torch.Tensor]:
        """Multiply the text's keys and values, (B, heads, L, d), by the weights beyond them, once for all steps.

        A query meets a key as (x Wq) k^T = x (Wq k^T), and a value goes out as (a v) Wo = a (v Wo); the brackets on the
        right, (B, D, heads * L) and (B, heads * L, D), are smaller than the weights while heads * L <= D.
        """
        d = k.shape[-1]
        asks = torch.einsum("bhld,hde->behl", k / d**0.5, layer.cross_q.unflatten(0, (self.heads, d)))
        says = torch.einsum("bhld,ehd->bhle", v, layer.cross_out.unflatten(1, (self.heads, d)))
        return asks.flatten(2), says.flatten(1, 2)

    def _split(self, x: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """(B, n, parts * D) -> parts of (B, heads, n, D / heads)."""
        batch, n, _ = x.shape
        return x.view(batch, n, parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    @staticmethod
    def _join(x: torch.Tensor) -> torch.Tensor:
        """(B, heads, n, d) -> (B, n, heads * d)."""
        return x.transpose(1, 2).flatten(2)


def _collect(layer: Any) -> _Layer:
    own, cross = layer.self_attn, layer.encoder_attn
    return _Layer(
        _norm(layer.self_attn_layer_norm),
        _side_by_side(own.q_proj, own.k_proj, own.v_proj),
        _weight(own.out_proj),
        _norm(layer.encoder_attn_layer_norm),
        _weight(cross.q_proj),
        _side_by_side(cross.k_proj, cross.v_proj),
        _weight(cross.out_proj),
        _norm(layer.final_layer_norm),
        _side_by_side(layer.fc1),
        _weight(layer.fc2),
    )


def _position_table(positions: Any, n: int, like: torch.Tensor) -> torch.Tensor:
    """MusicGen's sinusoidal positions 0..n-1, (n, D). Asked of the weights, past any hook on the module."""
    table = positions.get_embedding(max(n, 1), like.shape[1])
    return table.to(like.device, like.dtype)
