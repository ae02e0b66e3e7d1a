"""The discriminator for the codec's adversarial training: tells decoded music from the original by its spectrograms.

It follows Défossez et al. 2022 (High Fidelity Neural Audio Compression, section 3.4), but is smaller: it reads
magnitudes instead of complex numbers, and its first layer already strides over the frequencies. A spectrogram loss
alone rewards the mean of all plausible outputs, so noise-like sounds (hats, breath, bows) come out too soft. A
discriminator learns to recognise such a mean as decoded.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

RESOLUTIONS = (1024, 512, 256)  # window lengths, in samples


class Discriminator(nn.Module):
    """One convolutional network per spectrogram resolution."""

    def __init__(self, width: int = 16) -> None:
        """Make networks of `width` to 2 * `width` channels."""
        super().__init__()
        self.networks = nn.ModuleList(_network(width) for _ in RESOLUTIONS)

    def forward(self, audio: torch.Tensor) -> list[list[torch.Tensor]]:
        """Judge audio (B, 1, N). Return each network's layer outputs (B, C, frames, bins); the last is its score."""
        outputs = []
        for n_fft, network in zip(RESOLUTIONS, self.networks, strict=True):
            assert isinstance(network, nn.ModuleList)
            window = torch.hann_window(n_fft, device=audio.device)
            spectrum = torch.stft(audio[:, 0], n_fft, n_fft // 4, window=window, return_complex=True)
            x, layers = torch.log1p(spectrum.abs() * 50).transpose(1, 2)[:, None], []
            for layer in network:
                x = layer(x)
                layers.append(x)
            outputs.append(layers)
        return outputs


def _network(width: int) -> nn.ModuleList:
    """Return the layers of one network."""

    def layer(inner: int, outer: int, kernel: tuple[int, int], stride: int) -> nn.Module:
        padding = (kernel[0] // 2, kernel[1] // 2)
        return nn.utils.parametrizations.weight_norm(nn.Conv2d(inner, outer, kernel, (1, stride), padding))

    widths = (1, width, width + width // 2, 2 * width, 2 * width)
    layers = [nn.Sequential(layer(a, b, (3, 7 if a == 1 else 5), 2), nn.LeakyReLU(0.2)) for a, b in pairwise(widths)]
    return nn.ModuleList([*layers, layer(widths[-1], 1, (3, 3), 1)])


def discriminator_loss(real: list[list[torch.Tensor]], decoded: list[list[torch.Tensor]]) -> torch.Tensor:
    """Compute the discriminator's hinge loss, averaged over the resolutions; it is 2 for one that only guesses.

    Args:
        real: the discriminator's outputs for the original music.
        decoded: its outputs for the decoded music.
    """
    pairs = [(r[-1], d[-1]) for r, d in zip(real, decoded, strict=True)]
    return torch.stack([F.relu(1 - r).mean() + F.relu(1 + d).mean() for r, d in pairs]).mean()


def generator_loss(
    real: list[list[torch.Tensor]], decoded: list[list[torch.Tensor]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the decoder's losses against the discriminator.

    Args:
        real: the discriminator's outputs for the original music.
        decoded: its outputs for the decoded music.

    Returns:
        (the adversarial hinge loss; the feature-matching loss: the L1 distance of the layers' outputs, relative to
        those for the original)
    """
    adversarial = torch.stack([F.relu(1 - d[-1]).mean() for d in decoded]).mean()
    distances = [
        (r.detach() - d).abs().mean() / r.detach().abs().mean().clamp(min=1e-4)
        for real_layers, decoded_layers in zip(real, decoded, strict=True)
        for r, d in zip(real_layers[:-1], decoded_layers[:-1], strict=True)
    ]
    return adversarial, torch.stack(distances).mean()
