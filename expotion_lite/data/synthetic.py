"""Draw synthetic examples: pieces of the band, and the controls of people who move to them."""

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
from .examples import Examples

if TYPE_CHECKING:
    from ..controls.channels import Controls
    from ..musicgen.loading import MusicGen
    from ..synthetic.pieces import Piece

# Songs and performers are seeds. Nano's own training has songs from 1,000,000 on; below 10,000 nothing is trained on.
TRAIN_SONGS, TRAIN_PERFORMERS = 500_000_000, 100_000
HELD_OUT_SONGS, HELD_OUT_PERFORMERS = 2_000, 2_000
CHOOSING = 1_000  # held-out songs and performers from this number on choose settings and weights; those before measure
# Expressions that MediaPipe does not find again in a synthetic person's pixels (`lab/landmark_survival.py`).
LEFT_OUT = ("brows_down", "cheek_raise", "mouth_pucker", "mouth_press")
# Raise this when a synthetic example is put together otherwise; caches are then computed anew.
_OWN_VERSION = 1
EXAMPLES_VERSION = (BAND_VERSION, PERFORMER_VERSION, CONTROLS_VERSION, CODES_VERSION, _OWN_VERSION)


def synthetic_pair(song: int, performer: int, duration_s: float, frame_rate: float = 50.0) -> tuple[Piece, Controls]:
    """A piece, and the controls of a person who reacts to it, by way of landmarks as a video would give them."""
    from ..controls.extraction import extract_controls
    from ..synthetic.people import draw_performer
    from ..synthetic.performer import perform, to_landmarks

    piece, person = band.compose(song, duration_s), draw_performer(performer)
    landmarks = to_landmarks(perform(piece, person), person)
    return piece, extract_controls(landmarks, frame_rate=frame_rate, duration_s=duration_s)


def synthetic_examples(
    musicgen: MusicGen, n: int, first_song: int, first_performer: int, *, progress: bool = False
) -> Examples:
    """Draw n synthetic performances, each of a song and a performer of its own.

    Args:
        musicgen: whose codes the music becomes, and whose window is the examples' length.
        n: how many.
        first_song, first_performer: seeds, counted up from here.
        progress: whether to show a progress bar.

    Notebook: notebooks/00_start_here
    """
    import torch
    from tqdm.auto import tqdm

    from ..musicgen.codes import encode

    duration_s = musicgen.window / musicgen.frame_rate
    codes, controls, captions, channels = [], [], [], ()
    for first in tqdm(range(0, n, 8), desc="examples", disable=not progress):
        audio = []
        for i in range(first, min(first + 8, n)):
            piece, moves = synthetic_pair(first_song + i, first_performer + i, duration_s, musicgen.frame_rate)
            rng = np.random.default_rng([first_song + i, 5])
            tempo, mood, key = (bool(x) for x in rng.random(3) < (0.3, 0.25, 0.8))  # what words do not tell, people do
            captions.append(band.describe(piece, rng, tempo=tempo, mood=mood, key=key))
            controls.append(moves.values)
            channels = moves.channels
            audio.append(band.play(piece, musicgen.sample_rate))
        codes.append(encode(musicgen, torch.from_numpy(np.stack(audio))).cpu().numpy().astype(np.int16))
    return Examples(
        np.concatenate(codes), np.stack(controls), tuple(captions), first_song + np.arange(n),
        first_performer + np.arange(n), channels,
    )  # fmt: skip


def kept_synthetic_examples(
    musicgen: MusicGen, n: int, first_song: int, first_performer: int, folder: Path, part: int = 100
) -> Examples:
    """`synthetic_examples`, kept in `folder` in parts, so that a kill costs one part and a second run nothing.

    A part is made anew when anything that it came from changes: the codec, the band, the window, the songs and
    performers, the face, or the code.
    """
    from tqdm.auto import tqdm

    from ..musicgen.codes import digest_of_codec

    made_by = [
        digest_of_codec(musicgen),
        musicgen.window,
        EXAMPLES_VERSION,
        digest_of(FACE),
    ]
    parts = []
    for first in tqdm(range(0, n, part), desc=f"{folder.name} examples", unit="part"):
        size = min(part, n - first)
        key = hashlib.sha256(repr([*made_by, first_song + first, first_performer + first, size]).encode()).hexdigest()
        path = folder / f"{first:06}-{key[:12]}.npz"
        if not path.exists():
            synthetic_examples(musicgen, size, first_song + first, first_performer + first).save(path)
        parts.append(Examples.load(path))
    return Examples.join(parts)


def kept_synthetic_split(musicgen: MusicGen, n: int, folder: Path) -> tuple[Examples, Examples]:
    """(n synthetic performances to train with, 32 to validate with), kept in `folder`, without the channels `LEFT_OUT`.

    The 32 are of songs and performers that choose, not of those that measure.
    """
    train = kept_synthetic_examples(musicgen, n, TRAIN_SONGS, TRAIN_PERFORMERS, folder / "train")
    first = HELD_OUT_SONGS + CHOOSING, HELD_OUT_PERFORMERS + CHOOSING
    held_out = kept_synthetic_examples(musicgen, 32, *first, folder / "held_out")
    channels = [name for name in train.channels if name not in LEFT_OUT]
    return train.select(channels), held_out.select(channels)
