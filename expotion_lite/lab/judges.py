"""Tools that judge generated music: band pieces with their codec versions, embeddings, and a trained classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..synthetic import band

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline as SklearnPipeline

    from ..musicgen.loading import MusicGen
    from ..synthetic.pieces import Piece

SECONDS = 10.0  # length of every clip
FAMILIES = {
    "drums": ("drums",),
    "piano": ("piano",),
    "guitar": ("electric guitar", "nylon guitar"),
    "strings": ("strings",),
    "synth": ("synth lead", "synth bass", "synth pad", "chip lead"),
}


@dataclass(frozen=True)
class Corpus:
    """N pieces of the band, before and after the codec.

    Attributes:
        pieces: N.
        audio: (N, samples), as the band plays them.
        decoded: (N, samples), encoded and decoded.
        codes: (N, K, T).
    """

    pieces: list[Piece]
    audio: np.ndarray
    decoded: np.ndarray
    codes: np.ndarray


def corpus(musicgen: MusicGen, n: int, first: int, *, style: str | None = None) -> Corpus:
    """Let the band play n pieces, and encode and decode them.

    Args:
        musicgen: whose codec is used.
        n: how many pieces.
        first: the seed of the first; the others count up from it.
        style: one of `band.STYLES`; None draws one for each piece.
    """
    import torch

    from ..musicgen.codes import decode, encode

    pieces = [band.compose(first + i, SECONDS, style=style) for i in range(n)]
    audio = np.stack([band.play(piece, musicgen.sample_rate) for piece in pieces])
    parts = [encode(musicgen, torch.from_numpy(audio[i : i + 8])) for i in range(0, n, 8)]
    decoded = np.concatenate([decode(musicgen, part).numpy() for part in parts])
    return Corpus(pieces, audio, decoded, torch.cat(parts).cpu().numpy())


def embeddings(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Compute musicnn's embeddings of clips at equal level, one for each 3 s.

    Args:
        audio: (N, samples).
        sample_rate: in Hz.

    Returns:
        (N, P, 200) for P patches of 3 s.
    """
    from .musicnn import embed

    return np.stack([embed(clip, sample_rate, overlap_s=0.0) for clip in at_equal_level(audio)])


def at_equal_level(audio: np.ndarray) -> np.ndarray:
    """Scale clips (N, samples) to a root mean square of 0.1, because musicnn is sensitive to level.

    Silence stays silent.
    """
    level = np.sqrt((audio**2).mean(1, keepdims=True))
    return 0.1 * audio / np.maximum(level, 1e-4)


class MusicClassifier:
    """Logistic regressions that recognise styles and instrument families from musicnn's embeddings (scikit-learn)."""

    def __init__(self, heard: np.ndarray, pieces: Sequence[Piece]) -> None:
        """Train on embeddings of the band's music. A family that plays in all pieces, or in none, is left out.

        Args:
            heard: (N, P, 200) embeddings.
            pieces: N, which tell the truth about the embeddings.
        """
        features = heard.mean(1)
        self.style = _new_classifier().fit(features, [piece.style for piece in pieces])
        playing = {name: plays(pieces, name) for name in FAMILIES}
        self.families = {
            name: _new_classifier().fit(features, truth) for name, truth in playing.items() if 0 < truth.mean() < 1
        }

    def style_is_right(self, heard: np.ndarray, pieces: Sequence[Piece]) -> np.ndarray:
        """Return (N,) bool: whether each clip's predicted style is that of its piece. heard: (N, P, 200)."""
        return self.style.predict(heard.mean(1)) == np.array([piece.style for piece in pieces])

    def predict_families(self, heard: np.ndarray) -> dict[str, np.ndarray]:
        """Return for each family (N,) bool: whether it is predicted to play. heard: (N, P, 200)."""
        return {name: family.predict(heard.mean(1)) for name, family in self.families.items()}


def _new_classifier() -> SklearnPipeline:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=2000))


def balanced_accuracy(predicted: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> float:
    """Return the accuracy on clips where a family plays and on clips where it does not, both with equal weight.

    Args:
        predicted: family -> (N,) bool.
        truth: family -> (N,) bool.

    Returns:
        0..1, mean over the families.

    Example:
        >>> balanced_accuracy({"drums": np.array([1, 1, 1, 1])}, {"drums": np.array([1, 1, 1, 0])})
        0.5
    """
    right = [predicted[name][truth[name] == present] == present for name in truth for present in (True, False)]
    return float(np.mean([part.mean() for part in right if len(part)]))


def plays(pieces: Sequence[Piece], family: str) -> np.ndarray:
    """Return (N,) bool: whether a family plays in each piece."""
    return np.array([bool(set(FAMILIES[family]) & set(piece.instruments)) for piece in pieces])
