"""Examples of music to which nobody moves: pieces of the band that keep a tempo, wander, or fall on irregular events.

Such an example has codes and a caption, and controls that say that nobody is seen. Event curves are drawn for it in
training, from its own onsets (`training.event_curves`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..controls.channels import ADAPTER_CHANNELS
from ..musicgen.codes import CODES_VERSION
from ..synthetic import band
from ..synthetic.band import BAND_VERSION
from ..synthetic.elastic import place_on_events, wander
from .examples import Examples, cached_examples

if TYPE_CHECKING:
    from ..musicgen.loading import MusicGen
    from ..synthetic.pieces import Piece

MUSIC_SONGS = 900_000_000  # the first seed; see `data.synthetic` for those of other songs
VALIDATION_MUSIC = 990_000_000
EVENTFUL, WANDERING = 0.5, 0.25  # shares of the pieces; the others keep their tempo
MUSIC_VERSION = (BAND_VERSION, CODES_VERSION, 1)  # raise the last when a seed gives another piece


def draw_piece(song: int, duration_s: float, elastic: bool = True) -> Piece:
    """Compose a piece that keeps its tempo, wanders, or falls on irregular events.

    Args:
        song: seed of the piece.
        duration_s: its length.
        elastic: whether tempos may change at all.
    """
    rng = np.random.default_rng([song, 77])
    kind = rng.random() if elastic else 1.0
    if kind < EVENTFUL:
        return place_on_events(band.compose(song, 3 * duration_s), duration_s, rng)
    piece = band.compose(song, duration_s)
    return wander(piece, rng) if kind < EVENTFUL + WANDERING else piece


def music_examples(musicgen: MusicGen, n: int, first_song: int, *, elastic: bool = True) -> Examples:
    """Draw examples of music.

    Args:
        musicgen: the model whose codec and window are used.
        n: how many.
        first_song: seed of the first song; the others follow.
        elastic: whether tempos may change.

    Returns:
        Examples with the channels `ADAPTER_CHANNELS`. Each counts as a performer of its own in a split.
    """
    import torch

    from ..musicgen.codes import encode

    duration_s = musicgen.window / musicgen.frame_rate
    codes, captions = [], []
    for first in range(0, n, 8):
        audio = []
        for song in range(first_song + first, first_song + min(first + 8, n)):
            piece, rng = draw_piece(song, duration_s, elastic), np.random.default_rng([song, 5])
            audio.append(band.play(piece, musicgen.sample_rate))
            mood, key = (bool(told) for told in rng.random(2) < (0.4, 0.5))
            captions.append(band.describe(piece, rng, tempo=False, mood=mood, key=key))
        codes.append(encode(musicgen, torch.from_numpy(np.stack(audio))).cpu().numpy().astype(np.int16))
    nobody = np.array([name.endswith("_missing") for name in ADAPTER_CHANNELS], np.float32)
    numbers = first_song + np.arange(n)
    return Examples(
        codes=np.concatenate(codes),
        controls=np.tile(nobody, (n, codes[0].shape[-1], 1)),
        captions=tuple(captions),
        songs=numbers,
        performers=numbers,
        channels=ADAPTER_CHANNELS,
    )


def cached_music_examples(
    musicgen: MusicGen, n: int, first_song: int, folder: Path, *, elastic: bool = True, part: int = 100
) -> Examples:
    """Draw examples of music, or load them from a cache, see `data.synthetic.cached_synthetic_examples`.

    Args:
        musicgen: the model whose codec and window are used.
        n: how many.
        first_song: seed of the first song; the others follow.
        folder: of the cache.
        elastic: whether tempos may change.
        part: examples in a file.
    """
    from tqdm.auto import tqdm

    from ..musicgen.codes import digest_of_codec

    depends_on = [digest_of_codec(musicgen), musicgen.window, MUSIC_VERSION, elastic]
    parts = []
    for first in tqdm(range(0, n, part), desc=f"{folder.name} pieces", unit="part"):
        size = min(part, n - first)
        key = hashlib.sha256(repr([*depends_on, first_song + first, size]).encode()).hexdigest()
        path = folder / f"{first:06}-{key[:12]}.npz"
        parts.append(cached_examples(path, music_examples, musicgen, size, first_song + first, elastic=elastic))

    return Examples.join(parts)
