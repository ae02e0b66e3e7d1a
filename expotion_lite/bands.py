"""The bands that nano can learn from: how each composes, plays and describes a piece.

`FIRST` is the small one that the bundled nano has heard (`band.py`, `synth.py`); `FULL` has fifteen styles and eighteen
instruments (`arranging.py`, `instruments.py`, `captions.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import arranging, band, captions, instruments, synth
from .band import Piece


@dataclass(frozen=True)
class Band:
    """A procedural band.

    Attributes:
        compose: (seed, duration_s, **drawn) to a `Piece`, the same for the same seed.
        play: (piece, sample_rate) to audio (N,) float32.
        describe: (piece, rng, tempo=bool) to a caption.
    """

    compose: Callable[..., Piece]
    play: Callable[[Piece, int], np.ndarray]
    describe: Callable[..., str]


def _play_full(piece: Piece, sample_rate: int) -> np.ndarray:
    return instruments.render(piece.notes, piece.duration_s, sample_rate, seed=piece.seed)


BANDS = {
    "first": Band(band.compose, synth.render, band.caption),
    "full": Band(arranging.arrange, _play_full, captions.caption),
}
