"""Synthetic examples: pieces of the procedural band, and the controls of synthetic performers who move to them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..controls.extraction import CONTROLS_VERSION
from ..files import digest_of
from ..musicgen.codes import CODES_VERSION
from ..synthetic import band
from ..synthetic.band import BAND_VERSION
from ..synthetic.camera import FACE
from ..synthetic.performer import PERFORMER_VERSION
from .examples import Examples, cached_examples

if TYPE_CHECKING:
    from ..controls.channels import Controls
    from ..musicgen.loading import MusicGen
    from ..synthetic.pieces import Piece

# Songs and performers are seeds. Nano itself was trained on songs from 1,000,000 on; nothing is trained below 10,000.
TRAIN_SONGS, TRAIN_PERFORMERS = 500_000_000, 100_000
HELD_OUT_SONGS, HELD_OUT_PERFORMERS = 2_000, 2_000
# Held-out seeds from this offset on are for validation, which chooses settings and weights; those below are for tests.
VALIDATION_OFFSET = 1_000
# Expressions that MediaPipe does not detect in rendered synthetic performers (`lab/landmark_survival.py`).
UNDETECTED_EXPRESSIONS = ("brows_down", "cheek_raise", "mouth_pucker", "mouth_press")
# Raise this when the same parts are put together into other examples; caches are then computed anew.
ASSEMBLY_VERSION = 1
EXAMPLES_VERSION = (BAND_VERSION, PERFORMER_VERSION, CONTROLS_VERSION, CODES_VERSION, ASSEMBLY_VERSION)


def synthetic_pair(song: int, performer: int, duration_s: float, frame_rate: float = 50.0) -> tuple[Piece, Controls]:
    """Compose a piece and extract the controls of a performer who reacts to it, from landmarks as of a video.

    Args:
        song: seed of the piece.
        performer: seed of the performer.
        duration_s: length of both, seconds.
        frame_rate: of the controls, Hz.

    Notebook: notebooks/00_start_here
    """
    from ..controls.extraction import extract_controls
    from ..synthetic.camera import to_landmarks
    from ..synthetic.people import draw_performer
    from ..synthetic.performer import perform

    piece, person = band.compose(song, duration_s), draw_performer(performer)
    landmarks = to_landmarks(perform(piece, person), person)
    return piece, extract_controls(landmarks, frame_rate=frame_rate, duration_s=duration_s)


def synthetic_examples(
    musicgen: MusicGen, n: int, first_song: int, first_performer: int, *, progress: bool = False
) -> Examples:
    """Draw synthetic examples, each with a song and a performer of its own.

    Args:
        musicgen: the model whose codec and window are used.
        n: how many.
        first_song: seed of the first song; the others follow.
        first_performer: seed of the first performer; the others follow.
        progress: whether to show a progress bar.

    Notebook: notebooks/05_data
    """
    import torch
    from tqdm.auto import tqdm

    from ..musicgen.codes import encode

    duration_s = musicgen.window / musicgen.frame_rate
    codes, controls, captions = [], [], []
    channels: tuple[str, ...] = ()
    for first in tqdm(range(0, n, 8), desc="examples", disable=not progress):
        audio = []
        for i in range(first, min(first + 8, n)):
            piece, moves = synthetic_pair(first_song + i, first_performer + i, duration_s, musicgen.frame_rate)
            rng = np.random.default_rng([first_song + i, 5])
            # Captions leave out much of tempo, mood and key, so that the model must learn them from the performer.
            tempo, mood, key = (bool(told) for told in rng.random(3) < (0.3, 0.25, 0.8))
            captions.append(band.describe(piece, rng, tempo=tempo, mood=mood, key=key))
            controls.append(moves.values)
            channels = moves.channels
            audio.append(band.play(piece, musicgen.sample_rate))
        codes.append(encode(musicgen, torch.from_numpy(np.stack(audio))).cpu().numpy().astype(np.int16))
    return Examples(
        codes=np.concatenate(codes),
        controls=np.stack(controls),
        captions=tuple(captions),
        songs=first_song + np.arange(n),
        performers=first_performer + np.arange(n),
        channels=channels,
    )


def cached_synthetic_examples(
    musicgen: MusicGen, n: int, first_song: int, first_performer: int, folder: Path, part: int = 100
) -> Examples:
    """Draw synthetic examples, or load them from a cache.

    They are cached in parts, so that an interrupted run loses one part only. A part is drawn anew when anything that it
    depends on changes: the codec, the window, the seeds, the photograph's face, or the version of the code.

    Args:
        musicgen: the model whose codec and window are used.
        n: how many.
        first_song: seed of the first song; the others follow.
        first_performer: seed of the first performer; the others follow.
        folder: of the cache.
        part: examples in a file.
    """
    from tqdm.auto import tqdm

    from ..musicgen.codes import digest_of_codec

    depends_on = [digest_of_codec(musicgen), musicgen.window, EXAMPLES_VERSION, digest_of(FACE)]
    parts = []
    for first in tqdm(range(0, n, part), desc=f"{folder.name} examples", unit="part"):
        size = min(part, n - first)
        seeds = [first_song + first, first_performer + first, size]
        key = hashlib.sha256(repr([*depends_on, *seeds]).encode()).hexdigest()
        path = folder / f"{first:06}-{key[:12]}.npz"
        parts.append(
            cached_examples(path, synthetic_examples, musicgen, size, first_song + first, first_performer + first)
        )

    return Examples.join(parts)


def cached_synthetic_split(musicgen: MusicGen, n: int, folder: Path) -> tuple[Examples, Examples]:
    """Draw synthetic examples for training and validation, or load them from a cache.

    The channels `UNDETECTED_EXPRESSIONS` are left out, since no video shows them.

    Args:
        musicgen: the model whose codec and window are used.
        n: how many to train with.
        folder: of the cache.

    Returns:
        n examples to train with, and 32 of other songs and performers for validation.
    """
    train = cached_synthetic_examples(musicgen, n, TRAIN_SONGS, TRAIN_PERFORMERS, folder / "train")
    first = HELD_OUT_SONGS + VALIDATION_OFFSET, HELD_OUT_PERFORMERS + VALIDATION_OFFSET
    held_out = cached_synthetic_examples(musicgen, 32, *first, folder / "held_out")
    channels = [name for name in train.channels if name not in UNDETECTED_EXPRESSIONS]
    return train.select(channels), held_out.select(channels)
