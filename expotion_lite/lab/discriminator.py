"""An opponent for nano's codec: tells decoded music from the band's by its spectrogram, at several resolutions.

After Défossez 2022 (High fidelity neural audio compression, section 3.4), smaller: magnitudes instead of complex
numbers, and a stride over the frequencies from the first layer on. A loss in spectrograms alone rewards the mean of all
that may be there, so that noise (hats, breath, bows) comes out too soft; to an opponent the mean looks wrong.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

RESOLUTIONS = (1024, 512, 256)  # samples of the windows


class Discriminator(nn.Module):
    """One convolutional network for each resolution."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.networks = nn.ModuleList(_network(width) for _ in RESOLUTIONS)

    def forward(self, audio: torch.Tensor) -> list[list[torch.Tensor]]:
        """audio: (B, 1, N). Returns each resolution's layer outputs (B, C, frames, bins); the last is the verdict."""
        outputs = []
        for n_fft, network in zip(RESOLUTIONS, self.networks, strict=True):
            window = torch.hann_window(n_fft, device=audio.device)
            spectrum = torch.stft(audio[:, 0], n_fft, n_fft // 4, window=window, return_complex=True)
            x, layers = torch.log1p(spectrum.abs() * 50).transpose(1, 2)[:, None], []
            for layer in network:
                x = layer(x)
                layers.append(x)
            outputs.append(layers)
        return outputs


def _network(width: int) -> nn.ModuleList:
    def layer(inner: int, outer: int, kernel: tuple[int, int], stride: int) -> nn.Module:
        padding = (kernel[0] // 2, kernel[1] // 2)
        return nn.utils.parametrizations.weight_norm(nn.Conv2d(inner, outer, kernel, (1, stride), padding))

    widths = (1, width, width + width // 2, 2 * width, 2 * width)
    layers = [nn.Sequential(layer(a, b, (3, 7 if a == 1 else 5), 2), nn.LeakyReLU(0.2)) for a, b in pairwise(widths)]
    return nn.ModuleList([*layers, layer(widths[-1], 1, (3, 3), 1)])


def discriminator_loss(real: list[list[torch.Tensor]], decoded: list[list[torch.Tensor]]) -> torch.Tensor:
    """Hinge loss of telling the two apart, mean over the resolutions; 2 for an opponent that knows nothing."""
    pairs = [(r[-1], d[-1]) for r, d in zip(real, decoded, strict=True)]
    return torch.stack([F.relu(1 - r).mean() + F.relu(1 + d).mean() for r, d in pairs]).mean()


def deceiving_loss(
    real: list[list[torch.Tensor]], decoded: list[list[torch.Tensor]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(how surely the decoded is recognised, how far its layers' outputs are from the real ones', relative to these)"""
    verdict = torch.stack([F.relu(1 - d[-1]).mean() for d in decoded]).mean()
    apart = [
        (r.detach() - d).abs().mean() / r.detach().abs().mean().clamp(min=1e-4)
        for rs, ds in zip(real, decoded, strict=True)
        for r, d in zip(rs[:-1], ds[:-1], strict=True)
    ]
    return verdict, torch.stack(apart).mean()
