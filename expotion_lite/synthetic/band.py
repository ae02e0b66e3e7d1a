"""The procedural band, the only music that nano was trained on: it composes, plays and describes pieces.

A seed gives a piece. `arranging.py` writes its notes from the tables in `styles.py` and the chords in `harmony.py`.
`mixing.py` plays them on the instruments of `tones.py` and `drums.py`. `captions.py` describes the piece.

    >>> piece = compose(1, 4.0, style="waltz")
    >>> play(piece, 16_000).shape
    (64000,)
    >>> describe(piece, np.random.default_rng(0))
    'Make a wistful waltz played by upright bass'
"""

from __future__ import annotations

import numpy as np

from .arranging import arrange as compose
from .captions import caption as describe
from .mixing import render
from .pieces import Note, Piece
from .styles import STYLES

__all__ = ["STYLES", "Note", "Piece", "compose", "describe", "play"]

# Raise this when a seed gives another piece, another sound or another caption: caches are then computed anew.
BAND_VERSION = 1


def play(piece: Piece, sample_rate: int) -> np.ndarray:
    """Play a piece.

    Args:
        piece: the piece, from `compose`.
        sample_rate: sample rate of the audio in Hz.

    Returns:
        audio: (round(duration_s * sample_rate),) float32 within -1..1, over a noise floor of -60 dB.
    """
    return render(piece.notes, piece.duration_s, sample_rate, seed=piece.seed)
