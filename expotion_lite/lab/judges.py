"""Who listens to nano, and to what: pieces of the band, musicnn's embeddings, a judge of styles and instruments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..synthetic import band

if TYPE_CHECKING:
    from ..musicgen.loading import MusicGen
    from ..synthetic.pieces import Piece

SECONDS = 10.0  # of every clip
FAMILIES = {
    "drums": ("drums",),
    "piano": ("piano",),
    "guitar": ("electric guitar", "nylon guitar"),
    "strings": ("strings",),
    "synth": ("synth lead", "synth bass", "synth pad", "chip lead"),
}


@dataclass(frozen=True)
class Corpus:
    """N pieces as the band plays them and as the codec gives them back: audio (N, samples), codes (N, K, T)."""

    pieces: list[Piece]
    audio: np.ndarray
    decoded: np.ndarray
    codes: np.ndarray


def corpus(musicgen: MusicGen, n: int, first: int, **drawn: Any) -> Corpus:
    """Let the band play n pieces, encode and decode them. drawn: what it shall not draw, such as a style."""
    import torch

    from ..musicgen.codes import decode, encode

    pieces = [band.compose(first + i, SECONDS, **drawn) for i in range(n)]
    audio = np.stack([band.play(piece, musicgen.sample_rate) for piece in pieces])
    parts = [encode(musicgen, torch.from_numpy(audio[i : i + 8])) for i in range(0, n, 8)]
    decoded = np.concatenate([decode(musicgen, part).numpy() for part in parts])
    return Corpus(pieces, audio, decoded, torch.cat(parts).cpu().numpy())


def embeddings(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """musicnn's embeddings of clips at equal level, 3 s at a time. audio: (N, samples). Returns (N, P, 200)."""
    from .musicnn import embed

    return np.stack([embed(clip, sample_rate, overlap_s=0.0) for clip in at_equal_level(audio)])


def at_equal_level(audio: np.ndarray) -> np.ndarray:
    """Clips (N, samples) with a root mean square of 0.1 each, because musicnn hears level too; silence stays silent."""
    level = np.sqrt((audio**2).mean(1, keepdims=True))
    return 0.1 * audio / np.maximum(level, 1e-4)


class Judge:
    """Tells styles and instruments by ear: logistic regression on musicnn's embeddings of band audio (scikit-learn)."""

    def __init__(self, heard: np.ndarray, pieces: list[Piece]) -> None:
        """heard: (N, P, 200) embeddings of these N pieces. A family that plays in all or in none is left out."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        fresh = lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=2000))  # noqa: E731
        x = heard.mean(1)
        self.style = fresh().fit(x, [piece.style for piece in pieces])
        there = {name: plays(pieces, name) for name in FAMILIES}
        self.families = {name: fresh().fit(x, who) for name, who in there.items() if 0 < who.mean() < 1}

    def right_style(self, heard: np.ndarray, pieces: list[Piece]) -> np.ndarray:
        """(N,) whether each clip sounds like the style of its piece."""
        return self.style.predict(heard.mean(1)) == np.array([piece.style for piece in pieces])

    def hears(self, heard: np.ndarray) -> dict[str, np.ndarray]:
        """Which of N clips each family plays in: name -> (N,) bool."""
        return {name: judge.predict(heard.mean(1)) for name, judge in self.families.items()}


def balanced_accuracy(said: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> float:
    """How often what is there is heard and what is not there is not, which weigh the same; mean over the names.

    Example:
        >>> balanced_accuracy({"drums": np.array([1, 1, 1, 1])}, {"drums": np.array([1, 1, 1, 0])})
        0.5
    """
    right = [said[name][truth[name] == there] == there for name in truth for there in (True, False)]
    return float(np.mean([part.mean() for part in right if len(part)]))


def plays(pieces: list[Piece], family: str) -> np.ndarray:
    """(N,) whether a family plays in each piece."""
    return np.array([bool(set(FAMILIES[family]) & set(piece.instruments)) for piece in pieces])
