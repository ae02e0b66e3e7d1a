"""The bands that nano can learn from: how each composes, plays and describes a piece.

"first" is the small one that the bundled nano has heard (`band.py`, `synth.py`); "full" has fifteen styles and eighteen
instruments (`arranging.py`, `instruments.py`, `captions.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import arranging, band, captions, instruments, styles, synth
from .band import Piece

if TYPE_CHECKING:
    from .musicgen import MusicGen


@dataclass(frozen=True)
class Band:
    """A procedural band.

    Attributes:
        name: by which a model's configuration names it.
        compose: (seed, duration_s, **drawn) to a `Piece`, the same for the same seed.
        play: (piece, sample_rate) to audio (N,) float32.
        describe: (piece, rng, tempo=bool, mood=bool) to a caption, which may name the tempo, and the mood and the key.
        styles: name -> style, of which at least `tempo_bpm`, the slowest and the fastest, is known.
    """

    name: str
    compose: Callable[..., Piece]
    play: Callable[[Piece, int], np.ndarray]
    describe: Callable[..., str]
    styles: Mapping[str, band.Style | styles.Style]


def _play_full(piece: Piece, sample_rate: int) -> np.ndarray:
    return instruments.render(piece.notes, piece.duration_s, sample_rate, seed=piece.seed)


BANDS = {
    "first": Band("first", band.compose, synth.render, band.caption, band.STYLES),
    "full": Band("full", arranging.arrange, _play_full, captions.caption, styles.STYLES),
}


def band_of(musicgen: MusicGen) -> Band:
    """The band that a model has learned from, as its configuration says; "first" where it says nothing."""
    return BANDS[getattr(musicgen.model.config, "band", "first")]
