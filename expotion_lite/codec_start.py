"""Where the training of nano's codec starts: at a lapped transform with its waveform intact, not at noise.

A codec that starts at random learns where energy lies long before it learns the phase of anything, and seldom gets
there: with codes that hold no phase, a steady tone decodes to something that repeats every 20 ms, so to a multiple of
50 Hz, and melodies are lost. So some channels are set to hand the samples on unchanged and to turn each 20 ms into the
coefficients of a modified discrete cosine transform (Princen, Johnson and Bradley 1987), and back. All others start at
random, to learn what a transform cannot do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from transformers.models.encodec.modeling_encodec import (
    EncodecConv1d,
    EncodecConvTranspose1d,
    EncodecLSTM,
    EncodecResnetBlock,
)

from .errors import ExpotionError

if TYPE_CHECKING:
    from transformers import EncodecModel

GAIN, SHIFT = (
    5.0,
    3.0,
)  # samples travel as GAIN x + SHIFT: nearly always positive, where the ELUs between change nothing
STEADY = 10.0  # norm of the directions of weights that hand on: the larger, the slower an optimiser turns them
ASIDE = 0.003  # how loudly the other branch of a residual block speaks to the channels that hand on, at the start


def lapped_transform(frame: int, size: int) -> torch.Tensor:
    """The lowest `size` basis functions of an MDCT with a sine window. Returns (size, 2 * frame), of unit energy.

    Example:
        >>> basis = lapped_transform(8, 8)
        >>> torch.allclose(basis @ basis.T, torch.eye(8), atol=1e-5)
        True
    """
    n, k = torch.arange(2 * frame), torch.arange(size)[:, None]
    window = torch.sin(math.pi * (n + 0.5) / (2 * frame))
    return window * torch.cos(math.pi / frame * (n + 0.5 + frame / 2) * (k + 0.5)) * math.sqrt(2 / frame)


@torch.no_grad()
def start_as_transform(codec: EncodecModel, audio: torch.Tensor, flatten: float = 0.5) -> None:
    """Set the weights of a codec, in place, so that its latents are an MDCT of the audio, and its decoder undoes that.

    The latents are the lowest `hidden_size` coefficients, weighted so that loud low ones do not take all the codes:
    by their RMS over `audio` to the power of -`flatten`, then all alike so that their variance is 1 on average.

    Args:
        codec: not causal, on `audio`'s device.
        audio: (B, 1, N) float32 in -1..1, N a multiple of the codec's hop; the channels that start at random are
            scaled to zero mean and unit variance over it (Salimans and Kingma 2016, Weight normalization, section 3).

    Raises:
        ExpotionError: the codec has no more channels than samples in a frame.
    """
    frame, size = codec.config.hop_length, codec.config.hidden_size
    channels = codec.config.num_filters * 2 ** len(codec.config.upsampling_ratios)
    if channels <= frame:
        raise ExpotionError(
            f"A codec of {codec.config.num_filters} filters has {channels} channels, too few to hand on the {frame} "
            f"samples of a frame; use {frame * codec.config.num_filters // channels + 1} filters or more."
        )
    basis = lapped_transform(frame, size).to(audio.device)
    windows = torch.nn.functional.pad(audio[:, 0], (frame, frame)).unfold(1, 2 * frame, frame)
    rms = (windows @ basis.T).pow(2).mean((0, 1)).sqrt()
    weights = (rms + 1e-4) ** -flatten
    weights = (weights / (weights * rms).pow(2).mean().sqrt())[:, None]
    latents = _start_encoder(list(codec.encoder.layers), audio, weights * basis / GAIN)
    _start_decoder(list(codec.decoder.layers), latents, (GAIN * basis / weights).T)


def _start_encoder(layers: list[torch.nn.Module], x: torch.Tensor, analysis: torch.Tensor) -> torch.Tensor:
    """Channels 0 to `kept` hold the samples of a frame; the last layer analyses (D, 2 frames). Returns latents."""
    kept = 1
    for layer in layers:
        if isinstance(layer, EncodecConv1d):
            weight, bias = _unit_outputs(layer, x)
            stride, centre = layer.conv.stride[0], weight.shape[2] // 2
            if layer is layers[0]:
                weight[0], bias[0] = 0.0, SHIFT
                weight[0, 0, centre] = GAIN
            elif layer is layers[-1]:
                weight.zero_()
                weight[:, :kept, centre], weight[:, :kept, centre + 1] = analysis.chunk(2, dim=1)
                bias = -SHIFT * weight.sum((1, 2))
            else:
                one = torch.arange(kept)
                weight[: kept * stride], bias[: kept * stride] = 0.0, 0.0
                for phase in range(stride):
                    weight[one + kept * phase, one, stride - stride // 2 + phase] = 1.0
                kept *= stride
            _set(layer.conv, weight, bias, kept)
        x = _pass_on(layer, x, kept)
    return x


def _start_decoder(layers: list[torch.nn.Module], x: torch.Tensor, synthesis: torch.Tensor) -> None:
    """The way back: the first layer puts frames together (2 frames, D), the others put their samples in turn."""
    kept = len(synthesis) // 2
    for layer in layers:
        if isinstance(layer, EncodecConv1d):
            weight, bias = _unit_outputs(layer, x)
            centre = weight.shape[2] // 2
            if layer is layers[0]:
                bias[:kept] = SHIFT
                weight[:kept] = 0.0
                weight[:kept, :, centre], weight[:kept, :, centre - 1] = synthesis.chunk(2)
            else:
                weight *= 0.1 * ASIDE
                weight[0, 0], bias[0] = 0.0, -SHIFT / GAIN
                weight[0, 0, centre] = 1.0 / GAIN
            _set(layer.conv, weight, bias, kept)
        elif isinstance(layer, EncodecConvTranspose1d):
            weight = layer.conv.weight.detach().clone()  # (inputs, outputs, kernel)
            stride = layer.conv.stride[0]
            weight[:kept] = 0.0
            others = torch.nn.functional.conv_transpose1d(x[:, kept:], weight[kept:], stride=stride)
            weight[kept:] /= others.std() + 1e-4
            one = torch.arange(kept // stride)
            weight[kept:, one] = 0.0
            for phase in range(stride):
                weight[one + len(one) * phase, one, stride - stride // 2 + phase] = 1.0
            _set(layer.conv, weight, torch.zeros_like(layer.conv.bias), kept)
            kept //= stride
        x = _pass_on(layer, x, kept)


def _pass_on(layer: torch.nn.Module, x: torch.Tensor, kept: int) -> torch.Tensor:
    """What a layer makes of x; if it is a residual block or an LSTM, it first learns to leave `kept` channels alone."""
    if isinstance(layer, EncodecResnetBlock):
        eye = torch.eye(x.shape[1], device=x.device)[:, :, None]
        _set(layer.shortcut.conv, eye, torch.zeros_like(x[0, :, 0]), kept)
        branch = x
        for inner in layer.block:
            if isinstance(inner, EncodecConv1d):
                weight, bias = _unit_outputs(inner, branch)
                if inner is layer.block[-1]:
                    weight, bias = 0.3 * weight, 0.3 * bias
                    weight[:kept] *= ASIDE / 0.3
                    bias[:kept] = 0.0
                _set(inner.conv, weight, bias, 0)
            branch = inner(branch)
    elif isinstance(layer, EncodecLSTM):
        outputs = 3 * layer.lstm.hidden_size  # input, forget and cell gates come first
        layer.lstm.bias_ih_l0[outputs : outputs + kept] -= 8.0
    return layer(x)


def _unit_outputs(layer: EncodecConv1d, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias (new ones) with which each output of a convolution has zero mean and unit variance over x."""
    out = layer(x)
    std = out.std((0, 2)) + 1e-4
    return layer.conv.weight.detach() / std[:, None, None], (layer.conv.bias - out.mean((0, 2))) / std


def _set(conv: torch.nn.Module, weight: torch.Tensor, bias: torch.Tensor, kept: int) -> None:
    """Give a weight-normalised convolution these values, of which the first `kept` rows shall change slowly."""
    parts = conv.parametrizations.weight
    norm = weight.flatten(1).norm(dim=1).view(parts.original0.shape)
    parts.original0.copy_(norm)
    parts.original1.copy_(weight)
    parts.original1[:kept] *= STEADY / norm[:kept]
    conv.bias.copy_(bias)
