"""What does the music sound like? musicnn (Pons and Serra 2019, arXiv 1909.06654), a convolutional network trained on
the 50 commonest tags of MagnaTagATune: tags, embeddings, and the distance between two sets of embeddings.

The weights are those of the package `musicnn` (ISC licence), a TensorFlow checkpoint that is read here with numpy. That
package is never imported. The layers follow its MTT_musicnn; they were held against it in TensorFlow.

The network hears level as well as sound: bring what is compared to the same loudness first.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import ExpotionError

SAMPLE_RATE = 16_000
N_FFT, HOP, N_MELS = 512, 256, 96
PATCH_S, PATCH_FRAMES = 3.0, 187
BATCH = 16  # patches at a time: about 0.3 GB

TAGS = tuple(
    "guitar|classical|slow|techno|strings|drums|electronic|rock|fast|piano|ambient|beat|violin|vocal|synth|female|"
    "indian|opera|male|singing|vocals|no vocals|harpsichord|loud|quiet|flute|woman|male vocal|no vocal|pop|soft|"
    "sitar|solo|man|classic|choir|voice|new age|dance|male voice|female vocal|beats|harp|cello|no voice|weird|"
    "country|metal|female voice|choral".split("|")
)

_INSTALL = "pip install --no-deps musicnn==0.1.0"
_FILES = {  # name: SHA-256 of the one version that is known to work
    ".index": "da2d7bb670b2b31e9bc441bb1bd75eca31b5b061f963cc1f9630c1aff3238f57",
    ".data-00000-of-00001": "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab",
}


class _Layer(nn.Module):
    """A convolution, ReLU, and then batch normalisation, in this order."""

    def __init__(self, convolution: nn.Module, normalise: nn.Module) -> None:
        super().__init__()
        self.convolution, self.normalise = convolution, normalise

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.normalise(self.convolution(x).relu())


class Musicnn(nn.Module):
    """MTT_musicnn of Pons and Serra 2019, without its dropout.

    A front end of tall and of long filters (timbre, rhythm), each reduced to its maximum over frequency; three
    convolutions in time, two of them residual; the maximum and the mean over time of all that; two dense layers.
    """

    def __init__(self) -> None:
        super().__init__()
        eps = 1e-3  # TensorFlow's
        # Convolutions, norms and dense layers are registered in the order in which the checkpoint numbers them.
        self.normalise = nn.BatchNorm2d(1, eps)
        self.timbral = nn.ModuleList(
            _Layer(nn.Conv2d(1, 204, (7, bins), padding=(3, 0)), nn.BatchNorm2d(204, eps)) for bins in (38, 67)
        )
        self.temporal = nn.ModuleList(
            _Layer(nn.Conv2d(1, 51, (frames, 1)), nn.BatchNorm2d(51, eps)) for frames in (128, 64, 32)
        )
        self.middle = nn.ModuleList(
            _Layer(nn.Conv1d(width, 64, 7, padding=3), nn.BatchNorm1d(64, eps)) for width in (561, 64, 64)
        )
        self.normalise_pooled = nn.BatchNorm1d(1506, eps)
        self.dense = nn.Linear(1506, 200)
        self.normalise_dense = nn.BatchNorm1d(200, eps)
        self.output = nn.Linear(200, 50)

    def forward(self, mels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Hear patches of a log mel spectrogram.

        mels: (B, T, 96); T = 187 is what the network was trained on, others work.
        Returns (logits (B, 50) in the order of `TAGS`, embedding (B, 200), the normalised penultimate layer).
        """
        x = self.normalise(mels[:, None])  # (B, 1, T, 96)
        front = [layer(x).amax(3) for layer in self.timbral]
        for layer in self.temporal:
            size = layer.convolution.kernel_size[0]  # even: one zero more behind than before
            front.append(layer(nn.functional.pad(x, (0, 0, (size - 1) // 2, size // 2))).amax(3))
        features = [torch.cat(front, 1)]  # (B, 561, T)
        features.append(self.middle[0](features[0]))
        for layer in self.middle[1:]:
            features.append(layer(features[-1]) + features[-1])
        every = torch.cat(features, 1)  # (B, 753, T)
        pooled = torch.stack([every.amax(2), every.mean(2)], 2).flatten(1)  # maximum and mean take turns
        embedding = self.normalise_dense(self.dense(self.normalise_pooled(pooled)).relu())
        return self.output(embedding), embedding


@lru_cache(maxsize=1)
def load_musicnn() -> Musicnn:
    """Return the trained network in eval mode, the same one every time.

    Raises:
        ExpotionError: the package `musicnn` is not installed, or its files are not those of version 0.1.0.
    """
    model = Musicnn()
    model.load_state_dict(_state_dict(model, read_checkpoint(*_checkpoint_files())))
    return model.eval().requires_grad_(False)


def _checkpoint_files() -> tuple[bytes, bytes]:
    """The bytes of index and data of MTT_musicnn, from the installed package."""
    spec = importlib.util.find_spec("musicnn")  # finds the folder, imports nothing
    folders = [Path(folder) / "MTT_musicnn" for folder in (spec and spec.submodule_search_locations) or ()]
    folder = next((folder for folder in folders if all((folder / name).is_file() for name in _FILES)), None)
    if folder is None:
        raise ExpotionError(f"The weights of musicnn are not installed; run: {_INSTALL}")
    contents = [(folder / name).read_bytes() for name in _FILES]
    for (name, sha256), content in zip(_FILES.items(), contents, strict=True):
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ExpotionError(f"{folder / name} is not the file of musicnn 0.1.0; run: {_INSTALL} --force-reinstall")
    return contents[0], contents[1]


def _state_dict(model: Musicnn, tensors: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Give the checkpoint's tensors the names and the order of axes that torch wants."""
    seen = {"conv2d": 0, "batch_normalization": 0, "dense": 0}
    state = {}
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d)):
            kind, parts = "conv2d", {"weight": "kernel", "bias": "bias"}
        elif isinstance(module, nn.Linear):
            kind, parts = "dense", {"weight": "kernel", "bias": "bias"}
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            kind = "batch_normalization"
            parts = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        else:
            continue
        scope = f"{kind}_{seen[kind]}" if seen[kind] else kind
        seen[kind] += 1
        for ours, theirs in parts.items():
            value = tensors[f"{scope}/{theirs}"]
            if isinstance(module, nn.Conv2d) and theirs == "kernel":
                value = value.transpose(3, 2, 0, 1)  # (time, frequency, in, out)
            elif isinstance(module, nn.Conv1d) and theirs == "kernel":
                value = value[:, :, 0].transpose(2, 1, 0)  # (time, in, 1, out)
            elif theirs == "kernel":
                value = value.T  # (in, out)
            state[f"{name}.{ours}"] = torch.from_numpy(value.copy())
    return state


def patches(audio: np.ndarray, sample_rate: int, overlap_s: float = 0.0) -> np.ndarray:
    """Cut music into the patches that the network hears: log10(10000 mel power + 1).

    Args:
        audio: (N,) float, mono, -1..1; at least 3 s. An end that fills no patch is left out.
        sample_rate: in Hz; other rates than 16 kHz are resampled.
        overlap_s: how much of a patch the next one repeats, in seconds.

    Returns:
        (P, 187, 96) float32.

    Raises:
        ExpotionError: not mono, not finite, too short, or an overlap that is not in 0..3 s.
    """
    import librosa

    audio = np.asarray(audio, np.float32)
    if audio.ndim != 1:
        raise ExpotionError(f"Music of shape {audio.shape} is not mono; give one channel, or the mean of all.")
    if not np.isfinite(audio).all():
        raise ExpotionError("The music holds NaN or infinite samples; put 0 in their place.")
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
    # The ends are mirrored, as librosa did when the network was trained.
    power = librosa.feature.melspectrogram(
        y=audio, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS, pad_mode="reflect"
    )
    mels = np.log10(10_000 * power.T + 1)
    windows = np.lib.stride_tricks.sliding_window_view(mels, PATCH_FRAMES, axis=0)[::step]  # (P, 96, 187)
    return np.ascontiguousarray(windows.transpose(0, 2, 1), np.float32)


def embed(audio: np.ndarray, sample_rate: int, overlap_s: float = 1.5) -> np.ndarray:
    """Describe each patch of music by the network's penultimate layer. Arguments and errors as of `patches`.

    Returns:
        (P, 200) float32.
    """
    return _hear(patches(audio, sample_rate, overlap_s))[1].numpy()


def tag(audio: np.ndarray, sample_rate: int, overlap_s: float = 0.0) -> dict[str, float]:
    """Say how strongly each tag applies to music, on average over its patches. Arguments and errors as of `patches`.

    Returns:
        Tag -> 0..1, in the order of `TAGS`. Not calibrated: compare one tag between pieces, not tags with each other.
    """
    likelihood = _hear(patches(audio, sample_rate, overlap_s))[0].sigmoid().mean(0)
    return dict(zip(TAGS, likelihood.tolist(), strict=True))


@torch.inference_mode()
def _hear(mels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    model = load_musicnn()
    heard = [model(batch) for batch in torch.from_numpy(mels).split(BATCH)]
    return torch.cat([logits for logits, _ in heard]), torch.cat([embedding for _, embedding in heard])


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance of two sets as if each were normally distributed (Dowson and Landau 1982); of embeddings
    of music it is the Frechet audio distance (Kilgour 2019, arXiv 1812.08466):

        |mean(a) - mean(b)|^2 + trace(A + B - 2 sqrt(A B)), A and B being the covariances.

    The trace of the root is the sum of the singular values of X Y^T, where X^T X = A and Y^T Y = B, so that no root is
    taken of a rounded 0. Few samples make it larger: compare only distances between sets of the same sizes.

    Args:
        a, b: (N, D) and (M, D).

    Returns:
        0 or more, in squared units of the embedding.

    Raises:
        ExpotionError: shapes that do not fit together, fewer than 2 samples, or values that are not finite.

    Example:
        >>> square = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
        >>> round(frechet_distance(square, square + [3, 4]), 6)
        25.0
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ExpotionError(
            f"Sets of shapes {a.shape} and {b.shape} cannot be compared; give (N, D) and (M, D), 2 rows up."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ExpotionError("The sets hold NaN or infinite values; leave those rows out.")
    x, y = ((s - s.mean(0)) / math.sqrt(len(s) - 1) for s in (a, b))
    root = np.linalg.svd(np.linalg.qr(x, "r") @ np.linalg.qr(y, "r").T, compute_uv=False).sum()
    between = np.sum((a.mean(0) - b.mean(0)) ** 2)
    return max(0.0, float(between + np.sum(x**2) + np.sum(y**2) - 2 * root))


# A TensorFlow checkpoint (tensor_bundle.proto) is a file of plain numbers and an index. The index is a table in the
# format of LevelDB, from names to protobuf messages, each of which says where in the file a tensor lies.

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48  # bytes
_FLOAT32 = 1
_DAMAGED = "The TensorFlow checkpoint is damaged; fetch or install it anew."


def read_checkpoint(index: bytes, data: bytes) -> dict[str, np.ndarray]:
    """Read the tensors of a TensorFlow checkpoint without TensorFlow. Its checksums are not looked at.

    Args:
        index: content of the file *.index.
        data: content of the file *.data-00000-of-00001.

    Returns:
        Name -> float32 array, read-only.

    Raises:
        ExpotionError: damaged, compressed, in several data files, or of another type than float32.
    """
    if len(index) < _FOOTER or not index.endswith(_MAGIC):
        raise ExpotionError("This is not the index of a TensorFlow checkpoint; give the file that ends in .index.")
    tensors = {}
    try:
        _, at = _block(index, index[-_FOOTER:], 0)  # the index of metadata; there is none
        table, _ = _block(index, index[-_FOOTER:], at)
        for _, handle in _entries(table):
            block, _ = _block(index, handle, 0)
            for key, message in _entries(block):
                if key:  # the entry without a name says how many data files there are
                    tensors[key.decode()] = _tensor(message, data)
    except ExpotionError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise ExpotionError(_DAMAGED) from error
    return tensors


def _take(content: bytes, start: int, size: int) -> bytes:
    """So many bytes from `start` on. Every read goes through here, so that none goes beyond the end."""
    if start + size > len(content):
        raise ExpotionError(_DAMAGED)
    return content[start : start + size]


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A whole number in groups of 7 bits, the lowest first. Returns (number, where it ends)."""
    number, shift, more = 0, 0, True
    while more:
        (byte,) = _take(content, at, 1)
        number |= (byte & 127) << shift
        at, shift, more = at + 1, shift + 7, byte > 127 and shift < 63
    return number, at


def _block(index: bytes, handle: bytes, at: int) -> tuple[bytes, int]:
    """The block whose offset and size stand in `handle` at `at`. Returns (block, where the handle ends)."""
    offset, at = _varint(handle, at)
    size, at = _varint(handle, at)
    if _take(index, offset + size, 1) != b"\0":
        raise ExpotionError("The index of the TensorFlow checkpoint is compressed; save it without compression.")
    return _take(index, offset, size), at


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block. A key repeats the first `shared` bytes of the one before. Restarts end the block."""
    restarts = int.from_bytes(_take(block, max(0, len(block) - 4), 4), "little")
    end, at, key = len(block) - 4 * (restarts + 1), 0, b""
    while at < end:
        shared, at = _varint(block, at)
        new, at = _varint(block, at)
        size, at = _varint(block, at)
        key = _take(key, 0, shared) + _take(block, at, new)
        yield key, _take(block, at + new, size)
        at += new + size


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and values of a protobuf message: numbers, and bytes for what has a length."""
    at = 0
    while at < len(message):
        field, at = _varint(message, at)
        if field & 7 == 0:
            value, at = _varint(message, at)
        elif field & 7 == 2:
            size, at = _varint(message, at)
            value, at = _take(message, at, size), at + size
        elif field & 7 == 5:  # 4 bytes
            value, at = int.from_bytes(_take(message, at, 4), "little"), at + 4
        else:
            raise ExpotionError(_DAMAGED)
        yield field >> 3, value


def _tensor(message: bytes, data: bytes) -> np.ndarray:
    """The array that a BundleEntryProto describes: type, shape, data file, offset, size, checksum, slices."""
    fields = dict(_fields(message))
    kind, shape, file, offset, size = (fields.get(n, default) for n, default in enumerate((0, b"", 0, 0, 0), 1))
    if kind != _FLOAT32 or file or 7 in fields:
        raise ExpotionError("The TensorFlow checkpoint holds more than whole float32 tensors in one file; convert it.")
    sizes = [dict(_fields(axis)).get(1, 0) for number, axis in _fields(shape) if number == 2]
    return np.frombuffer(_take(data, offset, size), "<f4").reshape(sizes)
