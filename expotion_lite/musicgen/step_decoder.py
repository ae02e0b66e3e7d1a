"""MusicGen's decoder for sampling: one step at a time, faster than transformers' general `forward`.

The weights are those of the transformers model, and the logits equal its logits (a test checks this). The speed comes
from four changes: projections that read the same input are one matrix product, LoRA is merged into the weights, the
key-value cache is allocated once, and keys and values of the text are computed once. A small model makes several times
as many steps a second as with `generate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional as F


class Decoder(Protocol):
    """Interface between the sampling loop and a decoder: `start` begins a window, `step` returns the next logits.

    `StepDecoder` implements it; `live_audio.ObservedDecoder` wraps another decoder.
    """

    def start(self, text: torch.Tensor, text_mask: torch.Tensor, max_steps: int) -> None:
        """Begin a window. See `StepDecoder.start`."""

    def step(self, tokens: torch.Tensor, control: torch.Tensor | None = None) -> torch.Tensor:
        """Read tokens and return the logits of the next ones. See `StepDecoder.step`."""


@dataclass(frozen=True)
class _Norm:
    """Layer normalization."""

    weight: torch.Tensor
    bias: torch.Tensor
    eps: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class _Layer:
    """One decoder layer. Weights are (out, in); MusicGen's projections have no biases."""

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


@dataclass(frozen=True)
class _TextCache:
    """Keys and values of the text for one layer, both (B, heads, L, d).

    In merged form the layer's query and output weights are multiplied in: keys (B, D, heads * L), values
    (B, heads * L, D). See `_merge_projections`.
    """

    keys: torch.Tensor
    values: torch.Tensor


class StepDecoder:
    """A MusicGen decoder for sampling. Make one per model; `start` begins a window of music, `step` continues it.

    Args:
        causal_lm: transformers' `MusicgenForCausalLM`, with or without LoRA layers.

    Raises:
        ValueError: the model is not built like MusicGen.

    Notebook: notebooks/04_inside_musicgen
    """

    def __init__(self, causal_lm: Any) -> None:
        decoder = causal_lm.model.decoder
        if decoder.config.activation_function != "gelu":
            raise ValueError(f"Activation {decoder.config.activation_function!r} is not supported; MusicGen uses gelu.")
        self.heads = decoder.config.num_attention_heads
        self.positions = decoder.embed_positions
        self.codes = torch.cat([table.weight.detach() for table in decoder.embed_tokens])
        rows = decoder.config.vocab_size + 1  # of each codebook's table: its codes and the pad token
        self.offsets = rows * torch.arange(len(decoder.embed_tokens), device=self.codes.device)
        self.layers = [_collect(layer) for layer in decoder.layers]
        self.norm = _norm(decoder.layer_norm)
        self.lm_heads = _side_by_side(*causal_lm.lm_heads)

    @torch.inference_mode()
    def start(self, text: torch.Tensor, text_mask: torch.Tensor, max_steps: int) -> None:
        """Begin a window of music.

        Args:
            text: (B, L, D) projected hidden states of the prompts, zeros where masked.
            text_mask: (B, L), 1 for words; a row of zeros means no text.
            max_steps: number of steps of the window.
        """
        batch, _, width = text.shape
        self.done = 0
        self.table = _position_table(self.positions, max_steps, self.codes)
        cache = (batch, self.heads, max_steps, width // self.heads)
        self.keys = [text.new_zeros(cache) for _ in self.layers]
        self.values = [text.new_zeros(cache) for _ in self.layers]
        self.read_text(text, text_mask)

    @torch.inference_mode()
    def read_text(self, text: torch.Tensor, text_mask: torch.Tensor) -> None:
        """Exchange the text of a window; the music that is read stays.

        Args:
            text: see `start`.
            text_mask: see `start`.
        """
        _, length, width = text.shape
        attended = text_mask.bool().clone()
        attended[~attended.any(1)] = True  # a row without text attends to zeros, which adds nothing
        self.text_bias = torch.zeros_like(attended, dtype=text.dtype).masked_fill_(~attended, -torch.inf)[:, None, None]
        self.merged = self.heads * length <= width  # the text is short enough, see `_merge_projections`
        self.text_cache = [self._cache_text(text, layer) for layer in self.layers]

    @torch.inference_mode()
    def step(self, tokens: torch.Tensor, control: torch.Tensor | None = None) -> torch.Tensor:
        """Read the next tokens and return the logits of those that follow.

        Args:
            tokens: (B, K, n) in the delay pattern.
            control: (B, n, D) to add to the decoder's input, or None.

        Returns:
            logits: (B, K, V) after the last of these tokens.
        """
        n = tokens.shape[-1]
        end = self.done + n
        x = self.codes[(tokens.transpose(1, 2) + self.offsets)].sum(2) + self.table[self.done : end]
        if control is not None:
            x = x + control.to(x.dtype)
        for i, layer in enumerate(self.layers):
            x = x + self._self_attention(layer.norm(x), i, end)
            x = x + self._cross_attention(layer.cross_norm(x), i)
            x = x + F.linear(F.gelu(F.linear(layer.mlp_norm(x), layer.up)), layer.down)
        self.done = end
        logits = F.linear(self.norm(x[:, -1]), self.lm_heads)
        return logits.view(len(logits), len(self.offsets), -1)

    def _self_attention(self, x: torch.Tensor, i: int, end: int) -> torch.Tensor:
        """Attend from x (B, n, D) to all steps before `end` in layer i, and add x to the key-value cache."""
        q, k, v = self._split(F.linear(x, self.layers[i].qkv), 3)
        self.keys[i][:, :, self.done : end] = k
        self.values[i][:, :, self.done : end] = v
        keys, values = self.keys[i][:, :, :end], self.values[i][:, :, :end]
        n = x.shape[1]
        earlier = None  # (n, end): what each step may read
        if n > 1 and self.done > 0:
            earlier = torch.ones(n, end, dtype=torch.bool, device=x.device).tril(self.done)
        attended = F.scaled_dot_product_attention(
            q, keys, values, attn_mask=earlier, is_causal=n > 1 and earlier is None
        )
        return F.linear(self._join(attended), self.layers[i].out)

    def _cross_attention(self, x: torch.Tensor, i: int) -> torch.Tensor:
        """Attend from x (B, n, D) to the text in layer i."""
        keys, values = self.text_cache[i].keys, self.text_cache[i].values
        if self.merged:
            scores = torch.bmm(x, keys).unflatten(2, (self.heads, -1)) + self.text_bias
            return torch.bmm(scores.softmax(-1).flatten(2), values)
        (q,) = self._split(F.linear(x, self.layers[i].cross_q), 1)
        attended = F.scaled_dot_product_attention(q, keys, values, attn_mask=self.text_bias)
        return F.linear(self._join(attended), self.layers[i].cross_out)

    def _cache_text(self, text: torch.Tensor, layer: _Layer) -> _TextCache:
        """Compute a layer's keys and values of the text (B, L, D)."""
        keys, values = self._split(F.linear(text, layer.cross_kv), 2)
        return self._merge_projections(keys, values, layer) if self.merged else _TextCache(keys, values)

    def _merge_projections(self, k: torch.Tensor, v: torch.Tensor, layer: _Layer) -> _TextCache:
        """Multiply keys and values (B, heads, L, d) of the text with the query and output weights, once for all steps.

        The scores are (x Wq) k^T = x (Wq k^T), and the output is (a v) Wo = a (v Wo). The products in the brackets on
        the right are smaller than the weights while heads * L <= D.
        """
        d = k.shape[-1]
        keys = torch.einsum("bhld,hde->behl", k / d**0.5, layer.cross_q.unflatten(0, (self.heads, d)))
        values = torch.einsum("bhld,ehd->bhle", v, layer.cross_out.unflatten(1, (self.heads, d)))
        return _TextCache(keys.flatten(2), values.flatten(1, 2))

    def _split(self, x: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """Split (B, n, parts * D) into parts of (B, heads, n, D / heads)."""
        batch, n, _ = x.shape
        return x.view(batch, n, parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    @staticmethod
    def _join(x: torch.Tensor) -> torch.Tensor:
        """Join the heads: (B, heads, n, d) to (B, n, heads * d)."""
        return x.transpose(1, 2).flatten(2)


def _collect(layer: Any) -> _Layer:
    """Collect the weights of a transformers decoder layer."""
    own, cross = layer.self_attn, layer.encoder_attn
    return _Layer(
        norm=_norm(layer.self_attn_layer_norm),
        qkv=_side_by_side(own.q_proj, own.k_proj, own.v_proj),
        out=_weight(own.out_proj),
        cross_norm=_norm(layer.encoder_attn_layer_norm),
        cross_q=_weight(cross.q_proj),
        cross_kv=_side_by_side(cross.k_proj, cross.v_proj),
        cross_out=_weight(cross.out_proj),
        mlp_norm=_norm(layer.final_layer_norm),
        up=_side_by_side(layer.fc1),
        down=_weight(layer.fc2),
    )


def _norm(module: Any) -> _Norm:
    """Collect the weights of a LayerNorm module."""
    return _Norm(module.weight.detach(), module.bias.detach(), module.eps)


def _weight(linear: Any) -> torch.Tensor:
    """Return a linear layer's weight, with LoRA's update added if it has one (Hu 2021: W + alpha / r * B A)."""
    weight = linear.weight
    if linear.bias is not None:
        raise ValueError("MusicGen's projections have no bias; this one has.")
    if hasattr(linear, "lora_A") and not linear.disable_adapters and not linear.merged:
        for name in linear.active_adapters:
            weight = weight + linear.get_delta_weight(name).to(weight.dtype)
    return weight.detach()


def _side_by_side(*linears: Any) -> torch.Tensor:
    """Stack the weights of layers that read the same input, (sum of outs, in).

    The memory layout is column-major: products with few rows, as in sampling, are fastest so.
    """
    return torch.cat([_weight(linear) for linear in linears]).t().contiguous().t()


def _position_table(positions: Any, n: int, like: torch.Tensor) -> torch.Tensor:
    """Return MusicGen's sinusoidal positions 0..n-1, (n, D), without running the hook that adds the controls."""
    table = positions.get_embedding(max(n, 1), like.shape[1])
    return table.to(like.device, like.dtype)
