"""The procedural band, all that nano has ever heard: it composes a piece from a seed, plays it and describes it.

What it knows lies in modules of their own: styles in `styles.py`, chords in `harmony.py`, how a piece is written in
`arranging.py`, how it sounds in `instruments.py`, how people would ask for it in `captions.py`.

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
from .instruments import render
from .pieces import Note, Piece
from .styles import STYLES

__all__ = ["STYLES", "Note", "Piece", "compose", "describe", "play"]

# Raise this when a seed gives another piece, another sound or other captions; caches are then computed anew.
BAND_VERSION = 1


def play(piece: Piece, sample_rate: int) -> np.ndarray:
    """Play a piece. Returns audio (round(duration_s * sample_rate),) float32 within -1..1, never silent digitally."""
    return render(piece.notes, piece.duration_s, sample_rate, seed=piece.seed)
