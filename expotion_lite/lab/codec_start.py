"""Where the training of nano's codec starts: at an organ that hears which of its pipes to sound, not at noise.

A decoder does the same to every frame of codes. So if a steady tone has steady codes, what comes out repeats with every
frame, 50 times a second, and is a multiple of 50 Hz: a codec that starts at random plays out of tune, by a quarter tone
and more. Its codes could tell the phase of every tone anew in each frame, but such codes are mostly noise to a language
model. A decoder with a memory can keep the phase itself, and EnCodec's has an LSTM, which would hardly find that out
alone. So the weights are set here to where it works, and training goes on from there:

- In the decoder, pairs of the LSTM's units turn by the angle by which a tone of the tempered scale advances in a frame,
  for ever, like the wheels of a tonewheel organ. What a wheel sounds like in a frame lies in the next layer; how loudly
  it sounds, an output gate says, which reads the latents.
- In the encoder, pairs of units are resonators at the same pitches, and others gather their energy, of which the first
  latents are made.
- All other channels start at random, to learn what is no tone: drums, breath, the room.
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

from ..errors import ExpotionError

if TYPE_CHECKING:
    from transformers import EncodecModel

LOWEST, PITCHES = 28, 92  # MIDI pitches E1 (41 Hz) to B8 (7.9 kHz)
PAIRS = 2 * PITCHES  # channels that hold two numbers for each pitch
STARTED = 2 * PAIRS  # in the decoder: the channel after those that sound and those that turn; is 0 in the first frame
GAIN, SHIFT = (
    5.0,
    3.0,
)  # samples travel as GAIN x + SHIFT: nearly always positive, where the ELUs between change nothing
FEEDBACK = 1.1  # of a wheel: above 1 it turns for ever, the less above the rounder
LOUDEST = 0.5  # amplitude of a tone whose gate is open
STEADY = 10.0  # norm of the directions of weights that were set: the larger, the slower an optimiser turns them
ASIDE = 0.003  # how loudly other channels speak to those that hand samples on, at the start
OPEN, SHUT = 6.0, -10.0  # biases of gates


def frequencies() -> torch.Tensor:
    """(PITCHES,) Hz, a semitone apart."""
    return 440 * 2 ** ((torch.arange(LOWEST, LOWEST + PITCHES) - 69) / 12)


def turns(frame_s: float) -> torch.Tensor:
    """(PITCHES, 2, 2) rotations by the angle that each pitch advances in a frame.

    Example:
        >>> a = turns(1 / 440)[69 - LOWEST]  # a whole period of A
        >>> torch.allclose(a, torch.eye(2), atol=1e-4)
        True
    """
    angles = 2 * math.pi * frequencies().double() * frame_s
    return torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], 1).view(-1, 2, 2).float()


def windowed_tones(frame: int, sample_rate: int) -> torch.Tensor:
    """(PAIRS, 2 * frame) cosine and minus sine of each pitch around a frame's middle, in windows that add up to 1."""
    times = torch.arange(-frame, frame) + 0.5
    angles = 2 * math.pi / sample_rate * frequencies()[:, None] * times
    tones = torch.stack([angles.cos(), -angles.sin()], 1).flatten(0, 1)
    return tones * torch.cos(math.pi / 2 * times / frame) ** 2


def semitone_spectrum(audio: torch.Tensor, sample_rate: int, hop: int, n_fft: int = 4096) -> torch.Tensor:
    """Amplitudes around each pitch. audio: (B, N), N above n_fft / 2. Returns (B, PITCHES, N // hop + 1)."""
    window = torch.hann_window(n_fft, device=audio.device)
    spectrum = torch.stft(audio, n_fft, hop, window=window, return_complex=True).abs() / (n_fft / 4)
    bins = 12 * torch.log2((torch.arange(n_fft // 2 + 1) * sample_rate / n_fft).clamp(min=1) / 440) + 69
    near = torch.exp(-0.5 * ((bins - torch.arange(LOWEST, LOWEST + PITCHES)[:, None]) / 0.35) ** 2)
    return (near / near.sum(1, keepdim=True).clamp(min=1e-3)).to(audio.device) @ spectrum


@torch.no_grad()
def start_as_organ(codec: EncodecModel, audio: torch.Tensor) -> None:
    """Set the weights of a codec, in place, so that before any training it plays the tones that it hears.

    Args:
        codec: from `codec_training.new_codec`, on `audio`'s device.
        audio: (B, 1, N) float32 in -1..1, N a multiple of the codec's hop and above 2048. The gates are fitted to it,
            and the channels that start at random are scaled to zero mean and unit variance over it (Salimans and
            Kingma 2016, Weight normalization, section 3).

    Raises:
        ExpotionError: the codec has too few channels for the organ.
    """
    config = codec.config
    channels = config.num_filters * 2 ** len(config.upsampling_ratios)
    if channels <= STARTED + PITCHES:
        raise ExpotionError(
            f"A codec of {config.num_filters} filters has {channels} channels, too few for an organ of {PITCHES} "
            f"pitches; use {(STARTED + PITCHES) * config.num_filters // channels + 1} filters or more."
        )
    tones = windowed_tones(config.hop_length, config.sampling_rate).to(audio.device)
    turn = turns(config.hop_length / config.sampling_rate).to(audio.device)
    latents = _start_encoder(list(codec.encoder.layers), audio, 2 / config.hop_length * tones, turn)
    heard = semitone_spectrum(audio[:, 0], config.sampling_rate, config.hop_length)[..., : latents.shape[-1]]
    _start_decoder(list(codec.decoder.layers), latents, tones, turn, heard)


def hold_the_organ(codec: EncodecModel) -> None:
    """From now on, let no gradient reach the resonators, the wheels and their tones: they would go out of tune.

    What reads the resonators and what opens the wheels' gates goes on learning.
    """
    hearing = next(layer.lstm for layer in codec.encoder.layers if isinstance(layer, EncodecLSTM))
    playing = next(layer.lstm for layer in codec.decoder.layers if isinstance(layer, EncodecLSTM))
    for lstm, fixed in ((hearing, PAIRS), (playing, STARTED + 1)):
        rows = torch.arange(lstm.hidden_size).repeat(4)
        gate = torch.arange(4).repeat_interleave(lstm.hidden_size)
        free = rows >= fixed
        if lstm is playing:
            free |= (gate == 3) & (rows < PAIRS)  # the output gates: how loudly
        for parameter in (lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0):
            _mask(parameter, free)
    first, tones = codec.decoder.layers[0].conv, codec.decoder.layers[3].conv
    for conv in (first, tones):
        for parameter in (conv.parametrizations.weight.original0, conv.parametrizations.weight.original1):
            _mask(parameter, torch.arange(len(parameter)) > STARTED)
    _mask(first.bias, torch.arange(len(first.bias)) > STARTED)


def _mask(parameter: torch.nn.Parameter, free: torch.Tensor) -> None:
    mask = free.to(parameter).view(-1, *[1] * (parameter.dim() - 1))
    parameter.register_hook(lambda gradient: gradient * mask)


def _start_encoder(
    layers: list[torch.nn.Module], x: torch.Tensor, analysis: torch.Tensor, turn: torch.Tensor
) -> torch.Tensor:
    """Channels 0 to `kept` hold the samples of a frame, until they are analysed (PAIRS, 2 frames). Returns latents."""
    kept, analysed = 1, False
    for layer in layers:
        if isinstance(layer, EncodecConv1d):
            weight, bias = _unit_outputs(layer, x)
            stride, steady, one = layer.conv.stride[0], 0, torch.arange(kept)
            if layer is layers[0]:
                weight[0], bias[0], steady = 0.0, SHIFT, 1
                weight[0, 0, weight.shape[2] // 2] = GAIN
            elif layer is layers[-1]:
                energy = torch.zeros_like(weight[:PITCHES])
                for pair in range(2):
                    energy[torch.arange(PITCHES), PAIRS + 2 * torch.arange(PITCHES) + pair, 2:5] = 1 / 3
                before = torch.nn.functional.conv1d(torch.nn.functional.pad(x, (3, 3), mode="reflect"), energy)
                std = before.std((0, 2)) + 1e-2
                weight[:PITCHES], bias[:PITCHES] = energy / std[:, None, None], -before.mean((0, 2)) / std
            elif weight.shape[0] > STARTED:  # samples of half a frame each, four of them make the window
                weight[:STARTED] *= 1e-5
                weight[:PAIRS], bias[:STARTED], steady = 0.0, 0.0, STARTED
                weight[:PAIRS, :kept] = analysis.view(PAIRS, 4, kept).transpose(1, 2)
                bias[:PAIRS], analysed = -SHIFT * weight[:PAIRS].sum((1, 2)), True
            else:
                weight[: kept * stride], bias[: kept * stride] = 0.0, 0.0
                for phase in range(stride):
                    weight[one + kept * phase, one, stride - stride // 2 + phase] = 1.0
                kept, steady = kept * stride, kept * stride
            _set(layer.conv, weight, bias, steady)
        elif isinstance(layer, EncodecLSTM):
            _start_resonators(layer, x, turn)
        x = _pass_on(layer, x, 0 if analysed else kept)
    return x


def _start_resonators(layer: EncodecLSTM, x: torch.Tensor, turn: torch.Tensor) -> None:
    """Units 0 to PAIRS ring at their pitches, the lower the longer; as many more gather what these ring with."""
    lstm, pairs = layer.lstm, torch.arange(PAIRS)
    inputs, forget, cell, outputs = _gates(lstm, STARTED)
    lstm.bias_ih_l0[inputs + pairs], lstm.bias_ih_l0[forget + pairs] = OPEN, SHUT
    lstm.bias_ih_l0[outputs : outputs + STARTED] = OPEN
    stays = (1 - 0.002 * frequencies()).clamp(0.5, 0.88).to(x)  # as long as it takes to tell a semitone
    rows = (cell + pairs).view(-1, 2)
    lstm.weight_hh_l0[rows[:, :, None], pairs.view(-1, 2)[:, None]] = stays[:, None, None] * turn
    lstm.weight_ih_l0[cell + pairs, pairs] = (0.3 * (1 - stays)).repeat_interleave(2)
    rms = (layer(x) - x)[:, :PAIRS].pow(2).mean((0, 2)).view(-1, 2).mean(1).sqrt().repeat_interleave(2) + 3e-4
    for gate in (inputs, cell):  # sigmoid(z) tanh(z) has an even part: that of |z|
        lstm.weight_hh_l0[gate + PAIRS + pairs, pairs] = 1 / rms
    lstm.bias_ih_l0[forget + PAIRS + pairs] = 0.4


def _start_decoder(
    layers: list[torch.nn.Module], x: torch.Tensor, tones: torch.Tensor, turn: torch.Tensor, heard: torch.Tensor
) -> None:
    """Gates, wheels, their tones (PAIRS, 2 frames), and the way back to samples in turn."""
    kept, radius = tones.shape[1] // 2, 0.97 * math.sqrt(2 * (1 - 1 / FEEDBACK)) / FEEDBACK
    for layer in layers:
        if isinstance(layer, EncodecConv1d):
            weight, bias = _unit_outputs(layer, x)
            steady, centre = kept, weight.shape[2] // 2
            if layer is layers[0]:
                steady, gates = STARTED + 1, STARTED + 1 + torch.arange(PITCHES)
                weight[:steady] *= 1e-3
                bias[:steady], bias[:PAIRS], bias[STARTED] = 0.0, 1.0, 1.0  # above -1 the ELU changes nothing
                slope, rest = _fit(x[:, :PITCHES], (heard.clamp(min=1e-4) / LOUDEST).log())
                weight[gates], bias[gates] = 0.0, rest
                weight[gates, torch.arange(PITCHES), centre] = slope
            else:
                weight *= 0.002
                weight[0, 0], bias[0] = 0.0, -SHIFT / GAIN
                weight[0, 0, centre] = 1.0 / GAIN
            _set(layer.conv, weight, bias, steady)
        elif isinstance(layer, EncodecLSTM):
            started = _start_wheels(layer, turn, radius)
        elif isinstance(layer, EncodecConvTranspose1d):
            weight, bias = layer.conv.weight.detach().clone(), torch.zeros_like(layer.conv.bias)  # (in, out, kernel)
            stride, first = layer.conv.stride[0], len(weight) > STARTED
            fixed, one = STARTED + 1 if first else kept, torch.arange(kept // stride)
            others = torch.nn.functional.conv_transpose1d(x[:, fixed:], weight[fixed:], stride=stride)
            weight[fixed:] /= others.std() + 1e-4
            weight[fixed:, one] = 0.0
            if first:  # four taps of half a frame
                weight[:fixed] *= 1e-6
                weight[:PAIRS] = 0.0
                weight[:PAIRS, one] = (GAIN * LOUDEST / radius * tones).view(PAIRS, 4, -1).transpose(1, 2)
                weight[STARTED] = -weight[:PAIRS].sum(0) / (
                    1.0 + started
                )  # takes out what the biases above would sound
                bias[one] = SHIFT
            else:
                weight[:fixed] = 0.0
                for phase in range(stride):
                    weight[one + len(one) * phase, one, stride - stride // 2 + phase] = 1.0
            _set(layer.conv, weight, bias, fixed)
            kept //= stride
        x = _pass_on(layer, x, kept)


def _start_wheels(layer: EncodecLSTM, turn: torch.Tensor, radius: float) -> float:
    """Units PAIRS to STARTED turn; units 0 to PAIRS turn with them, as loudly as their output gates let them.

    Returns what the unit STARTED holds from the first frame on; until then it lets the wheels be pushed.
    """
    lstm, pairs = layer.lstm, torch.arange(PAIRS)
    inputs, forget, cell, outputs = _gates(lstm, STARTED + 1)
    lstm.bias_ih_l0[inputs : inputs + STARTED + 1] = lstm.bias_ih_l0[outputs : outputs + STARTED + 1] = OPEN
    lstm.bias_ih_l0[forget : forget + STARTED + 1] = SHUT
    gate = 1 / (1 + math.exp(-OPEN))
    lstm.bias_ih_l0[cell + STARTED] = 3.0
    started = gate * math.tanh(gate * math.tanh(3.0))
    phases = 2 * math.pi * torch.rand(PITCHES, generator=torch.Generator().manual_seed(0)).to(turn)
    places = radius * torch.stack([phases.cos(), phases.sin()], 1).flatten()
    push = torch.atanh(torch.atanh(places / gate) / gate)
    for first in (0, PAIRS):
        rows = cell + first + pairs
        lstm.weight_hh_l0[rows.view(-1, 2)[:, :, None], PAIRS + pairs.view(-1, 2)[:, None]] = FEEDBACK * turn
        lstm.bias_ih_l0[rows], lstm.weight_hh_l0[rows, STARTED] = push, -push / started
    lstm.bias_ih_l0[outputs : outputs + PAIRS] = 0.0
    lstm.weight_ih_l0[outputs + pairs, STARTED + 1 + pairs // 2] = 1.0
    return started


def _fit(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Slope and offset of the line from x to y (B, C, T), for each channel."""
    x_mean, y_mean = x.mean((0, 2), keepdim=True), y.mean((0, 2), keepdim=True)
    slope = ((x - x_mean) * (y - y_mean)).mean((0, 2)) / ((x - x_mean).pow(2).mean((0, 2)) + 1e-2)
    slope = slope.clamp(0.05, 3)  # never 0, which a weight-normalised convolution cannot hold
    return slope, y_mean.flatten() - slope * x_mean.flatten()


def _gates(lstm: torch.nn.LSTM, units: int) -> tuple[int, int, int, int]:
    """Let the first units forget what they were; return the first rows of input, forget, cell and output gates."""
    first = tuple(gate * lstm.hidden_size for gate in range(4))
    for parameter in (lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0):
        for row in first:
            parameter[row : row + units] = 0.0
    return first


def _pass_on(layer: torch.nn.Module, x: torch.Tensor, kept: int) -> torch.Tensor:
    """What a layer makes of x; a residual block first learns to leave channels 0 to `kept` alone."""
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
    return layer(x)


def _unit_outputs(layer: EncodecConv1d, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias (new ones) with which each output of a convolution has zero mean and unit variance over x."""
    out = layer(x)
    std = out.std((0, 2)) + 1e-4
    return layer.conv.weight.detach() / std[:, None, None], (layer.conv.bias - out.mean((0, 2))) / std


def _set(conv: torch.nn.Module, weight: torch.Tensor, bias: torch.Tensor, steady: int) -> None:
    """Give a weight-normalised convolution these values, of which the first `steady` rows shall change slowly."""
    parts = conv.parametrizations.weight
    norm = weight.flatten(1).norm(dim=1).view(parts.original0.shape)
    parts.original0.copy_(norm)
    parts.original1.copy_(weight)
    parts.original1[:steady] *= STEADY / norm[:steady]
    conv.bias.copy_(bias)
