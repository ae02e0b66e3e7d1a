"""musicnn (Pons and Serra 2019, arXiv 1909.06654) in PyTorch: tags and embeddings of music, and their Frechet distance.

The network was trained on the 50 most frequent tags of MagnaTagATune. `musicnn.safetensors` holds the weights of
MTT_musicnn from the Python package musicnn 0.1.0, converted once from its TensorFlow checkpoint. They are under the ISC
licence in `musicnn.LICENSE.md`, copyright Music Technology Group, Universitat Pompeu Fabra; developed by Jordi Pons.
`tests/lab/test_musicnn.py` compares the port with what the original computed in TensorFlow.

The network is sensitive to level: bring clips to the same loudness before you compare them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..errors import ExpotionError

SAMPLE_RATE = 16_000
N_FFT, HOP, N_MELS = 512, 256, 96
PATCH_S, PATCH_FRAMES = 3.0, 187
BATCH = 16  # patches at a time, which take about 0.3 GB
TEMPORAL_FRAMES = (128, 64, 32)  # lengths of the filters for rhythm
WEIGHTS = Path(__file__).with_name("musicnn.safetensors")

TAGS = tuple(
    "guitar|classical|slow|techno|strings|drums|electronic|rock|fast|piano|ambient|beat|violin|vocal|synth|female|"
    "indian|opera|male|singing|vocals|no vocals|harpsichord|loud|quiet|flute|woman|male vocal|no vocal|pop|soft|"
    "sitar|solo|man|classic|choir|voice|new age|dance|male voice|female vocal|beats|harp|cello|no voice|weird|"
    "country|metal|female voice|choral".split("|")
)


class _Layer(nn.Module):
    """A convolution, then ReLU, then batch normalisation."""

    def __init__(self, convolution: nn.Conv1d | nn.Conv2d, normalise: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.convolution, self.normalise = convolution, normalise

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.normalise(self.convolution(x).relu())


class Musicnn(nn.Module):
    """MTT_musicnn of Pons and Serra 2019, without its dropout.

    1. The front end has tall filters (timbre) and long filters (rhythm), each reduced to its maximum over frequency.
    2. Three convolutions over time follow; the second and the third are residual.
    3. All features are pooled over time to their maximum and their mean.
    4. Two dense layers give the embedding and the logits of the tags.
    """

    def __init__(self) -> None:
        """Build the network without its trained weights; `load_musicnn` loads them."""
        super().__init__()
        eps = 1e-3  # TensorFlow's default
        self.normalise = nn.BatchNorm2d(1, eps)
        self.timbral = nn.ModuleList(
            _Layer(nn.Conv2d(1, 204, (7, bins), padding=(3, 0)), nn.BatchNorm2d(204, eps)) for bins in (38, 67)
        )
        self.temporal = nn.ModuleList(
            _Layer(nn.Conv2d(1, 51, (frames, 1)), nn.BatchNorm2d(51, eps)) for frames in TEMPORAL_FRAMES
        )
        self.middle = nn.ModuleList(
            _Layer(nn.Conv1d(width, 64, 7, padding=3), nn.BatchNorm1d(64, eps)) for width in (561, 64, 64)
        )
        self.normalise_pooled = nn.BatchNorm1d(1506, eps)
        self.dense = nn.Linear(1506, 200)
        self.normalise_dense = nn.BatchNorm1d(200, eps)
        self.output = nn.Linear(200, 50)

    def forward(self, mels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute tags and embeddings of patches of a log mel spectrogram.

        Args:
            mels: (B, T, 96). The network was trained with T = 187; other lengths work, too.

        Returns:
            (logits (B, 50) in the order of `TAGS`, embedding (B, 200): the normalised penultimate layer)
        """
        x = self.normalise(mels[:, None])  # (B, 1, T, 96)
        front = [layer(x).amax(3) for layer in self.timbral]
        for layer, size in zip(self.temporal, TEMPORAL_FRAMES, strict=True):
            before, after = (size - 1) // 2, size // 2  # sizes are even: one zero more after than before
            front.append(layer(nn.functional.pad(x, (0, 0, before, after))).amax(3))
        features = [torch.cat(front, 1)]  # (B, 561, T)
        features.append(self.middle[0](features[0]))
        for layer in self.middle[1:]:
            features.append(layer(features[-1]) + features[-1])
        stacked = torch.cat(features, 1)  # (B, 753, T)
        pooled = torch.stack([stacked.amax(2), stacked.mean(2)], 2).flatten(1)  # maximum and mean alternate
        embedding = self.normalise_dense(self.dense(self.normalise_pooled(pooled)).relu())
        return self.output(embedding), embedding


@lru_cache(maxsize=1)
def load_musicnn() -> Musicnn:
    """Return the trained network in evaluation mode. It is loaded once and shared."""
    from safetensors.torch import load_file

    model = Musicnn()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval().requires_grad_(False)


def patches(audio: np.ndarray, sample_rate: int, overlap_s: float = 0.0) -> np.ndarray:
    """Cut music into the network's input: patches of log10(10000 mel power + 1).

    Args:
        audio: (N,) float, mono, -1..1; at least 3 s. A rest that fills no patch is dropped.
        sample_rate: in Hz. Other rates than 16 kHz are resampled.
        overlap_s: the overlap of neighbouring patches, in seconds.

    Returns:
        (P, 187, 96) float32.

    Raises:
        ExpotionError: not mono, not finite, too short, or an overlap that is not in 0..3 s.
    """
    import librosa

    audio = np.asarray(audio, np.float32)
    if audio.ndim != 1:
        raise ExpotionError(f"Music of shape {audio.shape} is not mono; give one channel, or the mean of all channels.")
    if not np.isfinite(audio).all():
        raise ExpotionError("The music contains NaN or infinite samples; replace them by 0.")
    if len(audio) < PATCH_S * sample_rate:
        raise ExpotionError(
            f"{len(audio)} samples at {sample_rate} Hz are too few for musicnn; give it at least {PATCH_S:g} s."
        )
    step = PATCH_FRAMES - round(overlap_s * SAMPLE_RATE / HOP)
    if overlap_s < 0 or step < 1:
        raise ExpotionError(
            f"Patches of {PATCH_S:g} s cannot overlap by {overlap_s:g} s; use 0 or more, and less than 3."
        )
    if sample_rate != SAMPLE_RATE:
        audio = librosa.resample(audio, orig_sr=sample_rate, target_sr=SAMPLE_RATE)
    # The ends are mirrored, as librosa did by default when the network was trained.
    power = librosa.feature.melspectrogram(
        y=audio, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS, pad_mode="reflect"
    )
    mels = np.log10(10_000 * power.T + 1)
    windows = np.lib.stride_tricks.sliding_window_view(mels, PATCH_FRAMES, axis=0)[::step]  # (P, 96, 187)
    return np.ascontiguousarray(windows.transpose(0, 2, 1), np.float32)


def embed(audio: np.ndarray, sample_rate: int, overlap_s: float = 1.5) -> np.ndarray:
    """Return the network's penultimate layer for each patch of music.

    Args:
        audio: as of `patches`.
        sample_rate: as of `patches`.
        overlap_s: as of `patches`.

    Returns:
        (P, 200) float32.
    """
    return _apply(patches(audio, sample_rate, overlap_s))[1].numpy()


def tag(audio: np.ndarray, sample_rate: int, overlap_s: float = 0.0) -> dict[str, float]:
    """Return how strongly each tag applies to music: the mean over its patches.

    Args:
        audio: as of `patches`.
        sample_rate: as of `patches`.
        overlap_s: as of `patches`.

    Returns:
        Tag -> 0..1, in the order of `TAGS`. The values are not calibrated: compare one tag between pieces, not tags
        with each other.
    """
    likelihood = _apply(patches(audio, sample_rate, overlap_s))[0].sigmoid().mean(0)
    return dict(zip(TAGS, likelihood.tolist(), strict=True))


@torch.inference_mode()
def _apply(mels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (P, 50) and embeddings (P, 200) of patches (P, T, 96)."""
    model = load_musicnn()
    outputs = [model(batch) for batch in torch.from_numpy(mels).split(BATCH)]
    return torch.cat([logits for logits, _ in outputs]), torch.cat([embedding for _, embedding in outputs])


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the squared Frechet distance of two sets as if both were normally distributed (Dowson and Landau 1982).

    With A and B the covariances:

        |mean(a) - mean(b)|^2 + trace(A + B - 2 sqrt(A B))

    Between embeddings of music this is the Frechet audio distance (Kilgour 2019, arXiv 1812.08466). The trace of the
    root is computed as the sum of the singular values of X Y^T, where X^T X = A and Y^T Y = B. This avoids the root of
    a nearly singular matrix. Small sets give larger distances: compare only distances between sets of equal sizes.

    Args:
        a: (N, D).
        b: (M, D).

    Returns:
        0 or more, in squared units of the embedding.

    Raises:
        ExpotionError: the shapes do not match, a set has fewer than 2 rows, or values are not finite.

    Example:
        >>> square = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
        >>> round(frechet_distance(square, square + [3, 4]), 6)
        25.0
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ExpotionError(
            f"Sets of shapes {a.shape} and {b.shape} cannot be compared; give (N, D) and (M, D) with at least 2 rows."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ExpotionError("The sets contain NaN or infinite values; leave those rows out.")
    x, y = _covariance_factor(a), _covariance_factor(b)
    trace_of_root = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    between_means = np.sum((a.mean(0) - b.mean(0)) ** 2)
    return max(0.0, float(between_means + np.sum(x**2) + np.sum(y**2) - 2 * trace_of_root))


def _covariance_factor(samples: np.ndarray) -> np.ndarray:
    """Return X, with at most D rows, such that X^T X is the covariance of samples (N, D)."""
    return np.linalg.qr((samples - samples.mean(0)) / math.sqrt(len(samples) - 1)).R
