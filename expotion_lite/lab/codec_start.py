"""The initial weights of nano's codec: a bank of resonators and oscillators, which code tones in tune from the start.

A decoder treats all frames of codes alike. So where a steady tone has steady codes, its output repeats with every
frame, 50 times a second, and contains multiples of 50 Hz only: a codec with random initial weights plays out of tune,
by a quarter tone and more. Codes could tell the phase of every tone anew in each frame, but such codes are mostly noise
to a language model. A decoder with memory can keep the phase itself. EnCodec's decoder has an LSTM, but training hardly
finds this solution. So the weights are set to it here, and training continues from there:

- In the decoder, pairs of LSTM units rotate by the angle by which a tone of the tempered scale advances in a frame:
  oscillators, which never fade. The next layer holds the waveform of each within a frame. An output gate, which reads
  the latents, sets its amplitude.
- In the encoder, pairs of LSTM units are resonators at the same pitches. Further units smooth their energy, from which
  the first latents are computed.
- All other channels start at random, to learn what is no tone: drums, breath, the room.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F
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
PHASORS = 2 * PITCHES  # channels that hold a phasor, two numbers, for each pitch
BANKS = 2 * PHASORS  # encoder: resonators, then energies; decoder: gated copies of the oscillators, then these
FLAG = BANKS  # decoder: the LSTM unit after the banks; its recurrent input is 0 in the first frame, then constant
GAIN, SHIFT = 5.0, 3.0  # a sample x travels as GAIN x + SHIFT, which is nearly always positive: ELUs leave it as it is
FEEDBACK = 1.1  # of an oscillator: above 1 it never fades; the closer to 1, the purer
LOUDEST = 0.5  # amplitude of a tone whose gate is open
SLOW_NORM = (
    10.0  # norm of weight directions that shall change slowly: the larger, the less an optimizer step turns them
)
SIDE_GAIN = 0.003  # initial weight of other channels where they enter the channels that carry samples
OPEN, SHUT = 6.0, -10.0  # biases of gates


def frequencies() -> torch.Tensor:
    """Return the frequencies of the pitches, (PITCHES,) in Hz, a semitone apart."""
    return 440 * 2 ** ((torch.arange(LOWEST, LOWEST + PITCHES) - 69) / 12)


def rotations(frame_s: float) -> torch.Tensor:
    """Return (PITCHES, 2, 2) rotations by the angle that each pitch advances in `frame_s` seconds.

    Example:
        >>> a = rotations(1 / 440)[69 - LOWEST]  # a whole period of A
        >>> torch.allclose(a, torch.eye(2), atol=1e-4)
        True
    """
    angles = 2 * math.pi * frequencies().double() * frame_s
    return torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], 1).view(-1, 2, 2).float()


def windowed_tones(frame: int, sample_rate: int) -> torch.Tensor:
    """Return (PHASORS, 2 * frame) cosine and minus sine of each pitch around a frame's middle, windowed.

    The windows of neighbouring frames overlap and add up to 1.
    """
    times = torch.arange(-frame, frame) + 0.5
    angles = 2 * math.pi / sample_rate * frequencies()[:, None] * times
    tones = torch.stack([angles.cos(), -angles.sin()], 1).flatten(0, 1)
    return tones * torch.cos(math.pi / 2 * times / frame) ** 2


def semitone_spectrum(audio: torch.Tensor, sample_rate: int, hop: int, n_fft: int = 4096) -> torch.Tensor:
    """Compute the amplitudes around each pitch.

    Args:
        audio: (B, N), N above n_fft / 2.
        sample_rate: of the audio, in Hz.
        hop: samples between two columns.
        n_fft: samples per window.

    Returns:
        (B, PITCHES, N // hop + 1)
    """
    window = torch.hann_window(n_fft, device=audio.device)
    spectrum = torch.stft(audio, n_fft, hop, window=window, return_complex=True).abs() / (n_fft / 4)
    bins = 12 * torch.log2((torch.arange(n_fft // 2 + 1) * sample_rate / n_fft).clamp(min=1) / 440) + 69
    near = torch.exp(-0.5 * ((bins - torch.arange(LOWEST, LOWEST + PITCHES)[:, None]) / 0.35) ** 2)
    return (near / near.sum(1, keepdim=True).clamp(min=1e-3)).to(audio.device) @ spectrum


@torch.no_grad()
def initialise_oscillators(codec: EncodecModel, audio: torch.Tensor) -> None:
    """Set the weights of a codec, in place, so that it reproduces the tones in its input before any training.

    Args:
        codec: from `codec_training.new_codec`, on `audio`'s device.
        audio: (B, 1, N) float32 in -1..1, N a multiple of the codec's hop and above 2048. The gates are fitted to it,
            and the channels that start at random are scaled to zero mean and unit variance over it (Salimans and
            Kingma 2016, Weight normalization, section 3).

    Raises:
        ExpotionError: the codec has too few channels.
    """
    config = codec.config
    channels = config.num_filters * 2 ** len(config.upsampling_ratios)
    if channels <= BANKS + PITCHES:
        raise ExpotionError(
            f"A codec of {config.num_filters} filters has {channels} channels, too few for oscillators at {PITCHES} "
            f"pitches; use {(BANKS + PITCHES) * config.num_filters // channels + 1} filters or more."
        )
    tones = windowed_tones(config.hop_length, config.sampling_rate).to(audio.device)
    rotation = rotations(config.hop_length / config.sampling_rate).to(audio.device)
    latents = _initialise_encoder(list(codec.encoder.layers), audio, 2 / config.hop_length * tones, rotation)
    amplitudes = semitone_spectrum(audio[:, 0], config.sampling_rate, config.hop_length)[..., : latents.shape[-1]]
    _initialise_decoder(list(codec.decoder.layers), latents, tones, rotation, amplitudes)


def freeze_oscillators(codec: EncodecModel) -> None:
    """Block the gradients of the resonators, the oscillators and their waveforms, which would go out of tune.

    The weights that read the resonators and those of the oscillators' output gates still learn.
    """
    encoder_lstm = next(layer.lstm for layer in codec.encoder.layers if isinstance(layer, EncodecLSTM))
    decoder_lstm = next(layer.lstm for layer in codec.decoder.layers if isinstance(layer, EncodecLSTM))
    for lstm, frozen in ((encoder_lstm, PHASORS), (decoder_lstm, FLAG + 1)):
        unit = torch.arange(lstm.hidden_size).repeat(4)
        gate = torch.arange(4).repeat_interleave(lstm.hidden_size)
        free = unit >= frozen
        if lstm is decoder_lstm:
            free |= (gate == 3) & (unit < PHASORS)  # the output gates of the gated copies
        for parameter in lstm.parameters():
            _mask_gradient(parameter, free)
    first, waveforms = codec.decoder.layers[0].conv, codec.decoder.layers[3].conv
    for conv in (first, waveforms):
        for parameter in (conv.parametrizations.weight.original0, conv.parametrizations.weight.original1):
            _mask_gradient(parameter, torch.arange(len(parameter)) > FLAG)
    _mask_gradient(first.bias, torch.arange(len(first.bias)) > FLAG)


def _mask_gradient(parameter: torch.nn.Parameter, free: torch.Tensor) -> None:
    """Let gradients reach only the rows of a parameter that are free."""
    mask = free.to(parameter).view(-1, *[1] * (parameter.dim() - 1))
    parameter.register_hook(lambda gradient: gradient * mask)


def _initialise_encoder(
    layers: list[torch.nn.Module], x: torch.Tensor, analysis: torch.Tensor, rotation: torch.Tensor
) -> torch.Tensor:
    """Initialise the encoder's layers in turn, for audio x (B, 1, N). Return the latents.

    Channels 0 to `kept` carry the samples of a frame up to the convolution that correlates them with the tones of
    `analysis`, (PHASORS, 2 frames).
    """
    kept = 1
    for layer in layers:
        if isinstance(layer, EncodecConv1d):
            weight, bias = _normalised_weights(layer, x)
            if layer is layers[0]:
                slow = 1
                weight[0], bias[0] = 0.0, SHIFT
                weight[0, 0, weight.shape[2] // 2] = GAIN
            elif layer is layers[-1]:
                slow = 0
                _read_energies(weight, bias, x)
            elif len(weight) > BANKS:
                slow = BANKS
                _correlate(weight, bias, analysis, kept)
                kept = 0
            else:
                kept = _fold_samples(weight, bias, kept, layer.conv.stride[0])
                slow = kept
            _set_weights(layer.conv, weight, bias, slow)
        elif isinstance(layer, EncodecLSTM):
            _initialise_resonators(layer, x, rotation)
        x = _initialise_block(layer, x, kept)
    return x


def _fold_samples(weight: torch.Tensor, bias: torch.Tensor, kept: int, stride: int) -> int:
    """Let a strided convolution put the samples of its steps side by side in channels. Return their new number."""
    channels = torch.arange(kept)
    weight[: kept * stride], bias[: kept * stride] = 0.0, 0.0
    for phase in range(stride):
        weight[channels + kept * phase, channels, stride - stride // 2 + phase] = 1.0
    return kept * stride


def _correlate(weight: torch.Tensor, bias: torch.Tensor, analysis: torch.Tensor, kept: int) -> None:
    """Let a convolution correlate the samples with the tones; four taps of half a frame make the window."""
    weight[:BANKS] *= 1e-5
    weight[:PHASORS], bias[:BANKS] = 0.0, 0.0
    weight[:PHASORS, :kept] = analysis.view(PHASORS, 4, kept).transpose(1, 2)
    bias[:PHASORS] = -SHIFT * weight[:PHASORS].sum((1, 2))


def _read_energies(weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> None:
    """Let the last convolution average the energies into latents of zero mean and unit variance."""
    pitches, energy = torch.arange(PITCHES), torch.zeros_like(weight[:PITCHES])
    for part in range(2):
        energy[pitches, PHASORS + 2 * pitches + part, 2:5] = 1 / 3
    before = F.conv1d(F.pad(x, (3, 3), mode="reflect"), energy)
    std = before.std((0, 2)) + 1e-2
    weight[:PITCHES], bias[:PITCHES] = energy / std[:, None, None], -before.mean((0, 2)) / std


def _initialise_resonators(layer: EncodecLSTM, x: torch.Tensor, rotation: torch.Tensor) -> None:
    """Make units 0 to PHASORS resonate at their pitches, the lower the longer; as many more smooth their energy."""
    lstm, phasors = layer.lstm, torch.arange(PHASORS)
    inputs, forget, cell, outputs = _clear_units(lstm, BANKS)
    lstm.bias_ih_l0[inputs + phasors], lstm.bias_ih_l0[forget + phasors] = OPEN, SHUT
    lstm.bias_ih_l0[outputs : outputs + BANKS] = OPEN
    decay = (1 - 0.002 * frequencies()).clamp(0.5, 0.88).to(x)  # rings as long as it takes to tell a semitone
    rows = (cell + phasors).view(-1, 2)
    lstm.weight_hh_l0[rows[:, :, None], phasors.view(-1, 2)[:, None]] = decay[:, None, None] * rotation
    lstm.weight_ih_l0[cell + phasors, phasors] = (0.3 * (1 - decay)).repeat_interleave(2)
    rms = (layer(x) - x)[:, :PHASORS].pow(2).mean((0, 2)).view(-1, 2).mean(1).sqrt().repeat_interleave(2) + 3e-4
    for gate in (inputs, cell):  # sigmoid(z) tanh(z) has an even part, which grows with |z|
        lstm.weight_hh_l0[gate + PHASORS + phasors, phasors] = 1 / rms
    lstm.bias_ih_l0[forget + PHASORS + phasors] = 0.4


def _initialise_decoder(
    layers: list[torch.nn.Module],
    x: torch.Tensor,
    tones: torch.Tensor,
    rotation: torch.Tensor,
    amplitudes: torch.Tensor,
) -> None:
    """Initialise the decoder's layers in turn: gates, oscillators, their waveforms, and the way back to samples.

    Args:
        layers: the decoder's.
        x: the latents, (B, D, T).
        tones: the waveforms, (PHASORS, 2 frames).
        rotation: (PITCHES, 2, 2), of the oscillators in a frame.
        amplitudes: (B, PITCHES, T), which the gates are fitted to.
    """
    kept, radius = tones.shape[1] // 2, 0.97 * math.sqrt(2 * (1 - 1 / FEEDBACK)) / FEEDBACK
    flag = 0.0
    for layer in layers:
        if isinstance(layer, EncodecConv1d) and layer is layers[0]:
            _initialise_gates(layer, x, amplitudes)
        elif isinstance(layer, EncodecConv1d):
            _initialise_output(layer, x)
        elif isinstance(layer, EncodecLSTM):
            flag = _initialise_oscillator_units(layer, rotation, radius)
        elif isinstance(layer, EncodecConvTranspose1d):
            stride = layer.conv.stride[0]
            if layer.conv.in_channels > BANKS:
                weight, bias = _scaled_transposed_weights(layer, x, FLAG + 1, kept // stride)
                _set_waveforms(weight, bias, GAIN * LOUDEST / radius * tones, kept // stride, flag)
                _set_weights(layer.conv, weight, bias, FLAG + 1)
            else:
                weight, bias = _scaled_transposed_weights(layer, x, kept, kept // stride)
                _unfold_samples(weight, kept, stride)
                _set_weights(layer.conv, weight, bias, kept)
            kept //= stride
        x = _initialise_block(layer, x, kept)


def _initialise_gates(layer: EncodecConv1d, x: torch.Tensor, amplitudes: torch.Tensor) -> None:
    """Let the first convolution compute the oscillators' gates from the latents; banks and flag are constant."""
    weight, bias = _normalised_weights(layer, x)
    gates = FLAG + 1 + torch.arange(PITCHES)
    weight[: FLAG + 1] *= 1e-3
    bias[: FLAG + 1], bias[:PHASORS], bias[FLAG] = 0.0, 1.0, 1.0  # above -1, so that the ELU changes nothing
    slope, offset = _fit_line(x[:, :PITCHES], (amplitudes.clamp(min=1e-4) / LOUDEST).log())
    weight[gates], bias[gates] = 0.0, offset
    weight[gates, torch.arange(PITCHES), weight.shape[2] // 2] = slope
    _set_weights(layer.conv, weight, bias, FLAG + 1)


def _initialise_oscillator_units(layer: EncodecLSTM, rotation: torch.Tensor, radius: float) -> float:
    """Make units PHASORS to BANKS oscillate for ever, and units 0 to PHASORS copies scaled by their output gates.

    Returns:
        The output of the flag unit. Its recurrent input is 0 in the first frame only, in which the oscillators are set
        to their initial phases.
    """
    lstm, phasors = layer.lstm, torch.arange(PHASORS)
    inputs, forget, cell, outputs = _clear_units(lstm, FLAG + 1)
    lstm.bias_ih_l0[inputs : inputs + FLAG + 1] = lstm.bias_ih_l0[outputs : outputs + FLAG + 1] = OPEN
    lstm.bias_ih_l0[forget : forget + FLAG + 1] = SHUT
    gate = 1 / (1 + math.exp(-OPEN))
    lstm.bias_ih_l0[cell + FLAG] = 3.0
    flag = gate * math.tanh(gate * math.tanh(3.0))
    phases = 2 * math.pi * torch.rand(PITCHES, generator=torch.Generator().manual_seed(0)).to(rotation)
    initial = radius * torch.stack([phases.cos(), phases.sin()], 1).flatten()
    push = torch.atanh(torch.atanh(initial / gate) / gate)
    for first in (0, PHASORS):
        rows = cell + first + phasors
        lstm.weight_hh_l0[rows.view(-1, 2)[:, :, None], PHASORS + phasors.view(-1, 2)[:, None]] = FEEDBACK * rotation
        lstm.bias_ih_l0[rows], lstm.weight_hh_l0[rows, FLAG] = push, -push / flag
    lstm.bias_ih_l0[outputs : outputs + PHASORS] = 0.0
    lstm.weight_ih_l0[outputs + phasors, FLAG + 1 + phasors // 2] = 1.0
    return flag


def _scaled_transposed_weights(
    layer: EncodecConvTranspose1d, x: torch.Tensor, fixed: int, kept: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return new weights (in, out, kernel) and biases of a transposed convolution.

    The inputs from `fixed` on keep their random weights, scaled to unit variance over x, but do not reach the first
    `kept` outputs, which carry samples.
    """
    weight, bias = layer.conv.weight.detach().clone(), torch.zeros_like(layer.conv.bias)
    others = F.conv_transpose1d(x[:, fixed:], weight[fixed:], stride=layer.conv.stride[0])
    weight[fixed:] /= others.std() + 1e-4
    weight[fixed:, torch.arange(kept)] = 0.0
    return weight, bias


def _set_waveforms(weight: torch.Tensor, bias: torch.Tensor, tones: torch.Tensor, kept: int, flag: float) -> None:
    """Let the first transposed convolution turn phasors into waveforms, in four taps of half a frame."""
    samples = torch.arange(kept)
    weight[: FLAG + 1] *= 1e-6
    weight[:PHASORS] = 0.0
    weight[:PHASORS, samples] = tones.view(PHASORS, 4, -1).transpose(1, 2)
    weight[FLAG] = -weight[:PHASORS].sum(0) / (
        1.0 + flag
    )  # cancels what the constants in the first PHASORS channels add
    bias[samples] = SHIFT


def _unfold_samples(weight: torch.Tensor, kept: int, stride: int) -> None:
    """Let a transposed convolution put samples that lie side by side in channels one after the other."""
    channels = torch.arange(kept // stride)
    weight[:kept] = 0.0
    for phase in range(stride):
        weight[channels + len(channels) * phase, channels, stride - stride // 2 + phase] = 1.0


def _initialise_output(layer: EncodecConv1d, x: torch.Tensor) -> None:
    """Let the last convolution undo GAIN and SHIFT, and let other channels hardly be heard."""
    weight, bias = _normalised_weights(layer, x)
    weight *= 0.002
    weight[0, 0], bias[0] = 0.0, -SHIFT / GAIN
    weight[0, 0, weight.shape[2] // 2] = 1.0 / GAIN
    _set_weights(layer.conv, weight, bias, 1)


def _fit_line(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit a line from x to y (B, C, T) for each channel. Return slopes and offsets."""
    x_mean, y_mean = x.mean((0, 2), keepdim=True), y.mean((0, 2), keepdim=True)
    slope = ((x - x_mean) * (y - y_mean)).mean((0, 2)) / ((x - x_mean).pow(2).mean((0, 2)) + 1e-2)
    slope = slope.clamp(0.05, 3)  # never 0, which a weight-normalised convolution cannot hold
    return slope, y_mean.flatten() - slope * x_mean.flatten()


def _clear_units(lstm: torch.nn.LSTM, units: int) -> tuple[int, int, int, int]:
    """Set the weights of the first units to 0. Return the first rows of input, forget, cell and output gates."""
    size = lstm.hidden_size
    first_rows = (0, size, 2 * size, 3 * size)
    for parameter in lstm.parameters():
        for row in first_rows:
            parameter[row : row + units] = 0.0
    return first_rows


def _initialise_block(layer: torch.nn.Module, x: torch.Tensor, kept: int) -> torch.Tensor:
    """Make a residual block leave channels 0 to `kept` nearly as they are. Return the output of any layer for x."""
    if isinstance(layer, EncodecResnetBlock):
        identity = torch.eye(x.shape[1], device=x.device)[:, :, None]
        _set_weights(layer.shortcut.conv, identity, torch.zeros_like(x[0, :, 0]), kept)
        branch = x
        for inner in layer.block:
            if isinstance(inner, EncodecConv1d):
                weight, bias = _normalised_weights(inner, branch)
                if inner is layer.block[-1]:
                    weight, bias = 0.3 * weight, 0.3 * bias
                    weight[:kept] *= SIDE_GAIN / 0.3
                    bias[:kept] = 0.0
                _set_weights(inner.conv, weight, bias, 0)
            branch = inner(branch)
    return layer(x)


def _normalised_weights(layer: EncodecConv1d, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return new weights and biases with which each output of a convolution has zero mean and unit variance over x."""
    out = layer(x)
    std = out.std((0, 2)) + 1e-4
    return layer.conv.weight.detach() / std[:, None, None], (layer.conv.bias - out.mean((0, 2))) / std


def _set_weights(conv: Any, weight: torch.Tensor, bias: torch.Tensor, slow: int) -> None:
    """Set the weights of a weight-normalised convolution. Its first `slow` rows are set to change slowly in training.

    Such a convolution (torch types its parts as `Tensor | Module`) keeps norms and directions apart.
    """
    norms, directions = conv.parametrizations.weight.original0, conv.parametrizations.weight.original1
    norm = weight.flatten(1).norm(dim=1).view(norms.shape)
    norms.copy_(norm)
    directions.copy_(weight)
    directions[:slow] *= SLOW_NORM / norm[:slow]
    conv.bias.copy_(bias)
