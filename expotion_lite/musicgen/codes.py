"""The codes that MusicGen speaks: the delay pattern, and EnCodec there and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from .loading import MusicGen
IGNORED = -100  # a label without a code

# Raise this when the same sound gives other codes by the same weights; caches are then computed anew.
CODES_VERSION = 1


def delay(codes: torch.Tensor, pad: int) -> torch.Tensor:
    """Lay codes out in MusicGen's delay pattern: codebook k comes k steps late (Copet 2023, section 2.2).

    Args:
        codes: (..., K, T) integers.
        pad: what stands where no code is.

    Returns:
        (..., K, T + K - 1): codebook k of frame t is at step t + k.

    Example:
        >>> import torch
        >>> delay(torch.tensor([[1, 2, 3], [4, 5, 6]]), pad=9).tolist()
        [[1, 2, 3, 9], [9, 4, 5, 6]]
    """
    n_codebooks, n_frames = codes.shape[-2:]
    out = codes.new_full((*codes.shape[:-1], n_frames + n_codebooks - 1), pad)
    for k in range(n_codebooks):
        out[..., k, k : k + n_frames] = codes[..., k, :]
    return out


def undelay(steps: torch.Tensor) -> torch.Tensor:
    """Undo `delay`. steps: (..., K, T + K - 1). Returns (..., K, T)."""
    import torch

    n_codebooks = steps.shape[-2]
    n_frames = steps.shape[-1] - n_codebooks + 1
    return torch.stack([steps[..., k, k : k + n_frames] for k in range(n_codebooks)], dim=-2)


def inputs_and_labels(codes: torch.Tensor, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What the decoder reads and what it should say, for codes whose missing frames are negative.

    Args:
        codes: (B, K, T) integers; a negative code is no code: neither read nor learned (a short clip's end).
        pad: the model's pad token.

    Returns:
        inputs: (B * K, S) with S = T + K - 1, as transformers' decoder takes them: one step behind the labels.
        labels: (B, S, K), -100 where there is nothing to learn.
    """
    delayed = delay(codes, IGNORED)
    delayed = delayed.masked_fill(delayed < 0, IGNORED)
    shifted = delayed.roll(1, dims=-1)
    shifted[..., 0] = IGNORED
    inputs = shifted.masked_fill(shifted < 0, pad)
    return inputs.flatten(0, 1), delayed.transpose(1, 2)


def digest_of_codec(musicgen: MusicGen) -> str:
    """Sixteen hexadecimal digits that tell a model's codec from others by its weights."""
    digest = hashlib.sha256()
    for name, value in musicgen.model.audio_encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(value.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def encode(musicgen: MusicGen, audio: torch.Tensor, *, chunk: int = 500, margin: int = 25) -> torch.Tensor:
    """Audio to codes, what `EncodecModel.encode` gives, with bounded memory, as in `decode`.

    Args:
        audio: (B, N) float32 at the model's sample rate.
        chunk, margin: see `decode`.

    Returns:
        codes: (B, K, T) int64, T = N / hop, rounded up.
    """
    import torch

    codec, hop = musicgen.model.audio_encoder, round(musicgen.sample_rate / musicgen.frame_rate)
    before, memory, after = in_three(codec.encoder)
    audio, pieces = audio[:, None].to(codec.device, codec.dtype), []
    with torch.no_grad():
        for left, first, last, right in _chunks(-(-audio.shape[-1] // hop), chunk, margin):
            pieces.append(before(audio[..., left * hop : right * hop])[..., first - left : last - left])
        hidden = after(memory(torch.cat(pieces, dim=-1)))
        return codec.quantizer.encode(hidden, codec.config.target_bandwidths[0]).transpose(0, 1)


def in_three(half: torch.nn.Module) -> tuple[torch.nn.Module, torch.nn.Module, torch.nn.Module]:
    """A codec's encoder or decoder in three: what comes before its memory, the memory (an `EncodecLSTM`), the rest."""
    import torch

    layers = list(half.layers)
    memory = next(i for i, layer in enumerate(layers) if hasattr(layer, "lstm"))
    return torch.nn.Sequential(*layers[:memory]), layers[memory], torch.nn.Sequential(*layers[memory + 1 :])


def _chunks(n: int, chunk: int, margin: int) -> Iterator[tuple[int, int, int, int]]:
    """Of n frames `chunk` at a time: where the margin before begins, first, last, and where the one after ends."""
    for first in range(0, n, chunk):
        last = min(first + chunk, n)
        yield max(0, first - margin), first, last, min(n, last + margin)


def latents_of(musicgen: MusicGen, codes: torch.Tensor) -> torch.Tensor:
    """What codes (B, K, T) stand for, (B, D, T): the sum of their codebooks' entries."""
    codec = musicgen.model.audio_encoder
    return codec.quantizer.decode(codes.transpose(0, 1).to(codec.device))


def decode(musicgen: MusicGen, codes: torch.Tensor, *, chunk: int = 500, margin: int = 25) -> torch.Tensor:
    """Codes to audio. What has a memory runs over all frames; the rest in chunks, so that memory stays bounded.

    Args:
        codes: (B, K, T) integers.
        chunk: frames decoded at once; margin: frames of context on either side, decoded and thrown away.

    Returns:
        audio: (B, T * hop) float32 at the model's sample rate.
    """
    import torch

    hop, pieces = round(musicgen.sample_rate / musicgen.frame_rate), []
    before, memory, after = in_three(musicgen.model.audio_encoder.decoder)
    with torch.no_grad():
        hidden = memory(before(latents_of(musicgen, codes)))
        for left, first, last, right in _chunks(codes.shape[-1], chunk, margin):
            audio = after(hidden[..., left:right])
            pieces.append(audio[:, 0, (first - left) * hop : (last - left) * hop].float().cpu())
    return torch.cat(pieces, dim=1)
