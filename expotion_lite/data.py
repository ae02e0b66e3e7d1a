"""Examples for fine-tuning: codes of music, controls of a person who moves to it, and words about it."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING

import numpy as np

from . import band
from .columns import columns_of
from .errors import ExpotionError
from .figure import FACE
from .files import digest_of, digest_of_code, writing

if TYPE_CHECKING:
    from .controls import Controls
    from .musicgen import MusicGen
    from .pieces import Piece

# Songs and performers are seeds. Nano's own training has songs from 1,000,000 on; below 10,000 nothing is trained on.
TRAIN_SONGS, TRAIN_PERFORMERS = 500_000_000, 100_000
HELD_OUT_SONGS, HELD_OUT_PERFORMERS = 2_000, 2_000
CHOOSING = 1_000  # held-out songs and performers from this number on choose settings and weights; those before measure
# Expressions that MediaPipe does not find again in a synthetic person's pixels: `python -m expotion_lite.rendered`.
LEFT_OUT = ("brows_down", "cheek_raise", "mouth_pucker", "mouth_press")
# What synthetic examples are computed by: when one of these files changes, they are made anew.
EXAMPLES_BY = ("arranging", "band", "captions", "columns", "controls", "data", "figure", "harmony", "instruments",
                "landmarks", "musicgen", "performer", "pieces", "pulse", "reactions", "recursive_filters", "smoothing",
                "styles")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Examples:
    """N examples of equal length.

    Attributes:
        codes: (N, K, T) int16, the music's codes; negative where a short clip has no music.
        controls: (N, T, C) float32, the person's controls, a row for each code frame.
        captions: N texts.
        songs, performers: (N,) int64, who is who; no song and no performer may be in two splits.
        channels: C names of the controls.
    """

    codes: np.ndarray
    controls: np.ndarray
    captions: tuple[str, ...]
    songs: np.ndarray
    performers: np.ndarray
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def pick(self, rows: np.ndarray) -> Examples:
        """Some of them, by number or (N,) bool."""
        captions = np.array(self.captions, dtype=object)[rows]
        return Examples(
            self.codes[rows], self.controls[rows], tuple(captions), self.songs[rows], self.performers[rows],
            self.channels,
        )  # fmt: skip

    def select(self, channels: Sequence[str]) -> Examples:
        """Only these channels of the controls, in this order, such as those that an adapter reads.

        Raises:
            ExpotionError: one of them is not there.
        """
        columns = columns_of(channels, self.channels)
        return replace(self, controls=self.controls[:, :, columns], channels=tuple(channels))

    @classmethod
    def join(cls, parts: list[Examples]) -> Examples:
        """One after the other; they have the same length and channels."""
        return cls(
            *(np.concatenate([getattr(each, name) for each in parts]) for name in ("codes", "controls")),
            tuple(caption for each in parts for caption in each.captions),
            *(np.concatenate([getattr(each, name) for each in parts]) for name in ("songs", "performers")),
            parts[0].channels,
        )

    def save(self, path: str | os.PathLike) -> Path:
        """Write an npz without pickle, replacing what was there."""
        with writing(path, overwrite=True) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file, codes=self.codes, controls=self.controls.astype(np.float16), captions=np.array(self.captions),
                songs=self.songs, performers=self.performers, channels=np.array(self.channels),
            )  # fmt: skip
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Examples:
        """Read what `save` wrote.

        Raises:
            ExpotionError: it is not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(
                    file["codes"], file["controls"].astype(np.float32), tuple(file["captions"].tolist()), file["songs"],
                    file["performers"], tuple(file["channels"].tolist()),
                )  # fmt: skip
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, TokenError) as error:
            raise ExpotionError(f"{path} is not a file of examples ({error}); make it anew.") from error


def synthetic_pair(song: int, performer: int, duration_s: float, frame_rate: float = 50.0) -> tuple[Piece, Controls]:
    """A piece, and the controls of a person who reacts to it, by way of landmarks as a video would give them."""
    from .controls import extract_controls
    from .performer import draw_performer, perform, to_landmarks

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

    from .musicgen import encode

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

    from .musicgen import digest_of_codec

    made_by = [
        digest_of_codec(musicgen),
        musicgen.window,
        digest_of_code(*EXAMPLES_BY),
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


def split(examples: Examples, held_out: float = 0.2, seed: int = 0) -> tuple[Examples, Examples]:
    """Divide examples so that no song and no performer is on both sides, and as little as possible is lost.

    Two people and two songs are held out, or more, where that leaves two fifths of the examples to train with: then
    each of them can be shown somebody else, of another song. Where everybody moves to the same songs, what is of one
    side's performer and of the other side's song must go.

    Args:
        examples: of two performers and two songs at least.
        held_out: which share to hold out, about.
        seed: of who is held out.

    Returns:
        (to train with, held out: two or more)

    Raises:
        ExpotionError: it cannot be done; the message says what is missing.
    """
    rng, best, most = np.random.default_rng([seed, 17]), None, 0.0
    people, songs = np.unique(examples.performers), np.unique(examples.songs)
    for _ in range(300):
        out = rng.permutation(people)[: rng.integers(1, max(2, len(people)))]
        theirs = np.isin(examples.performers, out)
        away = np.unique(examples.songs[theirs])
        if rng.random() < 0.5:  # their songs may be others' as well: hold out some of them only
            away = rng.permutation(away)[: rng.integers(1, len(away) + 1)]
        hidden = np.isin(examples.songs, away)
        test, train = theirs & hidden, ~theirs & ~hidden
        wanted = max(2, held_out * len(examples))
        worth = train.sum() + min(test.sum(), wanted) - max(0, test.sum() - 2 * wanted)
        apart = min(len(np.unique(each[test])) for each in (examples.performers, examples.songs)) > 1
        worth += len(examples) * (apart and train.sum() >= 0.4 * len(examples))
        if test.sum() >= 2 and train.any() and worth > most:
            best, most = (train, test), worth
    if best is None:
        raise ExpotionError(
            f"{len(examples)} examples of {len(people)} performers and {len(songs)} songs cannot be divided so that "
            "two are held out whose performer and song are not trained on. Record more people and more songs, and say "
            "who is who (a folder for each person); or hold out nothing (--held-out 0), and judge by ear."
        )
    return examples.pick(best[0]), examples.pick(best[1])


def check_split(train: Examples, held_out: Examples) -> None:
    """Refuse a split that leaks, or whose parts do not fit together.

    Raises:
        ExpotionError: a song or a performer is in both, or they have other channels.
    """
    if train.channels != held_out.channels:
        raise ExpotionError("Training and held-out data have different channels; extract the controls of both anew.")
    for what, a, b in (("song", train.songs, held_out.songs), ("performer", train.performers, held_out.performers)):
        both = np.intersect1d(a, b)
        if len(both):
            raise ExpotionError(
                f"{len(both)} {what}s are in training and held-out data (the first is {both[0]}); "
                f"split by {what}, or the result flatters."
            )
