"""MusicGen's codes: the delay pattern, and EnCodec from audio to codes and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from .loading import MusicGen

IGNORED = -100  # label where there is no code to learn

# Raise this when the same audio gives other codes with the same weights; caches of codes are then computed again.
CODES_VERSION = 1


def delay(codes: torch.Tensor, pad: int) -> torch.Tensor:
    """Arrange codes in MusicGen's delay pattern: codebook k is k steps late (Copet 2023, section 2.2).

    Args:
        codes: (..., K, T) integers.
        pad: token for the places without a code.

    Returns:
        steps: (..., K, T + K - 1); codebook k of frame t is at step t + k.

    Example:
        >>> import torch
        >>> delay(torch.tensor([[1, 2, 3], [4, 5, 6]]), pad=9).tolist()
        [[1, 2, 3, 9], [9, 4, 5, 6]]

    Notebook: notebooks/04_inside_musicgen
    """
    n_codebooks, n_frames = codes.shape[-2:]
    out = codes.new_full((*codes.shape[:-1], n_frames + n_codebooks - 1), pad)
    for k in range(n_codebooks):
        out[..., k, k : k + n_frames] = codes[..., k, :]
    return out


def undelay(steps: torch.Tensor) -> torch.Tensor:
    """Undo `delay`.

    Args:
        steps: (..., K, T + K - 1).

    Returns:
        codes: (..., K, T).

    Notebook: notebooks/04_inside_musicgen
    """
    import torch

    n_codebooks = steps.shape[-2]
    n_frames = steps.shape[-1] - n_codebooks + 1
    return torch.stack([steps[..., k, k : k + n_frames] for k in range(n_codebooks)], dim=-2)


def inputs_and_labels(codes: torch.Tensor, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the decoder's inputs and labels for training.

    Args:
        codes: (B, K, T) integers. Negative where there is no code, as after the end of a short clip: such frames are
            padding in the inputs and ignored in the labels.
        pad: the model's pad token.

    Returns:
        inputs: (B * K, S) with S = T + K - 1, in transformers' layout, one step behind the labels.
        labels: (B, S, K), -100 where there is nothing to learn.

    Notebook: notebooks/06_lora_finetuning
    """
    delayed = delay(codes, IGNORED)
    delayed = delayed.masked_fill(delayed < 0, IGNORED)
    shifted = delayed.roll(1, dims=-1)
    shifted[..., 0] = IGNORED
    inputs = shifted.masked_fill(shifted < 0, pad)
    return inputs.flatten(0, 1), delayed.transpose(1, 2)


def encode(musicgen: MusicGen, audio: torch.Tensor, *, chunk: int = 500, margin: int = 25) -> torch.Tensor:
    """Encode audio to codes, as `EncodecModel.encode` does, with bounded memory.

    The convolutions run over chunks; the LSTM, which depends on all earlier frames, runs over everything at once.

    Args:
        musicgen: the model whose codec is used.
        audio: (B, N) float32 at the model's sample rate.
        chunk: frames encoded at once.
        margin: frames of context on either side of a chunk, computed and discarded.

    Returns:
        codes: (B, K, T) int64 on the CPU; T = N / hop, rounded up.

    Notebook: notebooks/04_inside_musicgen
    """
    import torch

    codec, hop = musicgen.model.audio_encoder, musicgen.hop
    before, lstm, after = split_at_lstm(codec.encoder)
    audio, pieces = audio[:, None].to(codec.device, codec.dtype), []
    with torch.no_grad():
        for left, first, last, right in _chunks(-(-audio.shape[-1] // hop), chunk, margin):
            pieces.append(before(audio[..., left * hop : right * hop])[..., first - left : last - left])
        hidden = after(lstm(torch.cat(pieces, dim=-1)))
        codes: torch.Tensor = codec.quantizer.encode(hidden, codec.config.target_bandwidths[0])
    return codes.transpose(0, 1).cpu()


def decode(musicgen: MusicGen, codes: torch.Tensor, *, chunk: int = 500, margin: int = 25) -> torch.Tensor:
    """Decode codes to audio with bounded memory: the LSTM runs over all frames, the convolutions over chunks.

    Args:
        musicgen: the model whose codec is used.
        codes: (B, K, T) integers.
        chunk: frames decoded at once.
        margin: frames of context on either side of a chunk, computed and discarded.

    Returns:
        audio: (B, T * hop) float32 on the CPU, at the model's sample rate.

    Notebook: notebooks/04_inside_musicgen
    """
    import torch

    hop, pieces = musicgen.hop, []
    before, lstm, after = split_at_lstm(musicgen.model.audio_encoder.decoder)
    with torch.no_grad():
        hidden = lstm(before(latents_of(musicgen, codes)))
        for left, first, last, right in _chunks(codes.shape[-1], chunk, margin):
            audio = after(hidden[..., left:right])
            pieces.append(audio[:, 0, (first - left) * hop : (last - left) * hop].float().cpu())
    return torch.cat(pieces, dim=1)


def latents_of(musicgen: MusicGen, codes: torch.Tensor) -> torch.Tensor:
    """Return the codec's latents of codes (B, K, T): the sum of the codebook vectors, (B, D, T)."""
    codec = musicgen.model.audio_encoder
    latents: torch.Tensor = codec.quantizer.decode(codes.transpose(0, 1).to(codec.device))
    return latents


def split_at_lstm(half: Any) -> tuple[torch.nn.Module, Any, torch.nn.Module]:
    """Split a codec's encoder or decoder at its LSTM: (layers before it, the `EncodecLSTM`, layers after it)."""
    import torch

    layers = list(half.layers)
    lstm = next(i for i, layer in enumerate(layers) if hasattr(layer, "lstm"))
    return torch.nn.Sequential(*layers[:lstm]), layers[lstm], torch.nn.Sequential(*layers[lstm + 1 :])


def digest_of_codec(musicgen: MusicGen) -> str:
    """Return 16 hexadecimal digits that identify the weights of a model's codec."""
    digest = hashlib.sha256()
    for name, value in musicgen.model.audio_encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(value.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _chunks(n: int, chunk: int, margin: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield chunks of n frames: (begin of the margin before, first, end, end of the margin after)."""
    for first in range(0, n, chunk):
        last = min(first + chunk, n)
        yield max(0, first - margin), first, last, min(n, last + margin)
