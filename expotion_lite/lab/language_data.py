"""Training data of nano's language model: pieces with captions, and targets for its auxiliary losses.

The targets are known because the band composed the pieces: each frame's position in beat and bar, its chord and key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import EncodecModel, T5Tokenizer

from ..musicgen.precision import autocast
from ..synthetic import band
from ..synthetic.harmony import KEYS, classes_of, scale_pitch
from ..synthetic.pieces import Piece
from .caption_encoder import WORDINGS
from .codec_training import SAMPLE_RATE
from .language_model import PIECE_S, WINDOW

SHORT_WINDOW = 125  # frames of the windows in every second batch
LOOKAHEAD = 25  # frames: the phase targets also name the position in the beat this much later
TEXT_DROPOUT = 0.15
KEY_NAMED = 0.5  # share of the captions that are made to name the key


@dataclass(frozen=True)
class Pieces:
    """B pieces and the targets that they give.

    Attributes:
        music: (B, N) float32 as audio, or (B, K, T) int64 as codes.
        captions: B texts.
        phases: (B, T, 6) float32, from `phase_targets`.
        harmonies: (B, T, 36) float32, from `harmony_targets`.
    """

    music: torch.Tensor
    captions: tuple[str, ...]
    phases: torch.Tensor
    harmonies: torch.Tensor


def phase_targets(piece: Piece, frames: int) -> np.ndarray:
    """Compute the phases of each of the first frames in its beat and its bar, and in the beat `LOOKAHEAD` frames later.

    Returns:
        (frames, 6) float32: cosine and sine of each phase, which is 0 on the beat. The later phase requires the tempo.

    Example:
        >>> from expotion_lite.synthetic.arranging import arrange
        >>> piece = arrange(1, on_downbeat=True, tempo_bpm=60.0)
        >>> phase_targets(piece, 51)[[0, 25, 50], 0].round(1)
        array([ 1., -1.,  1.], dtype=float32)
    """
    times = np.arange(frames + LOOKAHEAD) / 50
    beat = (times - piece.beats[0]) * piece.tempo_bpm / 60
    bar = (times - piece.downbeats[0]) * piece.tempo_bpm / 60 / piece.beats_per_bar
    phases = (beat[:frames], bar[:frames], beat[LOOKAHEAD:])
    return np.stack([wave(2 * np.pi * phase) for phase in phases for wave in (np.cos, np.sin)], -1).astype(np.float32)


def tonic_and_third(piece: Piece) -> tuple[int, int]:
    """Return the pitch classes, 0..11 with C 0, of a piece's tonic and of the third above it, which tells the mode."""
    tonic = KEYS.index(piece.key)
    return tonic, scale_pitch(tonic, piece.mode, 2) % 12


def harmony_targets(piece: Piece, frames: int) -> np.ndarray:
    """Return the chord and the key of each of the first frames.

    Returns:
        (frames, 36) float32 of 0 and 1, in three groups of 12 pitch classes from C up: those in the chord, the tonic,
        and the third above the tonic, which tells the mode.

    Example:
        >>> from expotion_lite.synthetic.arranging import arrange
        >>> row = harmony_targets(arrange(1, key="D", mode="minor"), 1)[0]
        >>> int(row[12:24].argmax()), int(row[24:].argmax())  # D and F
        (2, 5)
    """
    starts = np.array([time for time, _ in piece.chords])
    chords = np.array([np.isin(np.arange(12), classes_of(name)) for _, name in piece.chords], np.float32)
    now = np.searchsorted(starts, np.arange(frames) / 50, side="right") - 1
    key = np.eye(12, dtype=np.float32)[list(tonic_and_third(piece))].ravel()
    return np.concatenate([chords[now], np.tile(key, (frames, 1))], 1)


def fresh_pieces(first_seed: int, size: int, i: int) -> Pieces:
    """Render batch number i of pieces that no other batch has. Three in four begin on a downbeat."""
    numbers = range(first_seed + i * size, first_seed + (i + 1) * size)
    pieces = [band.compose(seed, PIECE_S, on_downbeat=seed % 4 > 0) for seed in numbers]
    return Pieces(
        torch.from_numpy(np.stack([band.play(piece, SAMPLE_RATE) for piece in pieces])),
        tuple(_training_caption(piece) for piece in pieces),
        torch.from_numpy(np.stack([phase_targets(piece, WINDOW) for piece in pieces])),
        torch.from_numpy(np.stack([harmony_targets(piece, WINDOW) for piece in pieces])),
    )


def _training_caption(piece: Piece) -> str:
    """Describe a piece, and name its key more often than other captions do, so that keys are learned."""
    rng = np.random.default_rng([piece.seed, 1])
    return band.describe(piece, rng, key=True if rng.random() < KEY_NAMED else None)


def key_caption_pairs(first_seed: int, size: int) -> tuple[list[str], list[str], torch.Tensor]:
    """Describe `size` pieces in pairs of captions that tell the key only together.

    The first of a pair names the tonic ("a waltz in D"), but neither mood nor mode. The second never names the tonic.
    It may name the mood ("a sad waltz"), and every second one names the mode ("a sad waltz in minor"). There are
    `WORDINGS` pairs per piece.

    Returns:
        (B first captions, B second captions, with B = size * `WORDINGS`; the pitch classes of tonic and third (B, 2)
        int64, C is 0)
    """
    tonics, moods, keys = [], [], []
    for seed in range(first_seed, first_seed + size):
        piece = band.compose(seed, PIECE_S)
        for wording in range(WORDINGS):
            one, other = (np.random.default_rng([seed, of + wording]) for of in (2, 2 + WORDINGS))
            tonics.append(band.describe(piece, one, mood=False, key=True))
            moods.append(band.describe(piece, other, key=False) + (f" in {piece.mode}" if wording % 2 else ""))
            keys.append(tonic_and_third(piece))
    return tonics, moods, torch.tensor(keys)


@torch.no_grad()
def encode_pieces(codec: EncodecModel, audio: torch.Tensor) -> torch.Tensor:
    """Encode pieces (B, N) to codes (B, K, WINDOW) int64, one by one: a CPU's caches do not hold a batch."""
    with autocast(codec.device):  # half precision changes few codes, and not the sound
        each = [codec.encode(piece[None, None].to(codec.device)).audio_codes[0] for piece in audio]
    return torch.cat(each)


def in_short_windows(pieces: Pieces) -> Pieces:
    """Cut codes of `WINDOW` frames into windows of `SHORT_WINDOW`, each with the caption of its piece.

    Ten seconds of music tell their own tempo, so that reading it in the caption gains a model little. In a short window
    it gains more.
    """
    n = pieces.music.shape[-1] // SHORT_WINDOW
    frames = n * SHORT_WINDOW
    return Pieces(
        pieces.music[..., :frames].unflatten(-1, (n, SHORT_WINDOW)).movedim(2, 1).flatten(0, 1),
        tuple(caption for caption in pieces.captions for _ in range(n)),
        *(
            target[:, :frames].unflatten(1, (n, SHORT_WINDOW)).flatten(0, 1)
            for target in (pieces.phases, pieces.harmonies)
        ),
    )


def tokenize(tokenizer: T5Tokenizer, captions: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the tokens (B, L) of captions and their mask (B, L)."""
    tokens = tokenizer(list(captions), return_tensors="pt", padding=True)
    return tokens.input_ids, tokens.attention_mask


def tokenize_with_dropout(tokenizer: T5Tokenizer, captions: Sequence[str], i: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokenize captions as `tokenize` does, and mask some captions out altogether, drawn for batch number i."""
    tokens, mask = tokenize(tokenizer, captions)
    shown = np.random.default_rng([8, i]).random((len(captions), 1)) >= TEXT_DROPOUT
    return tokens, mask * torch.from_numpy(shown)
