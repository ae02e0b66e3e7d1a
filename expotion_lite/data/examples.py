"""Examples for fine-tuning: codes of music, controls of a person who moves to it, and words about it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING

import numpy as np

from ..controls.columns import columns_of
from ..errors import ExpotionError
from ..files import writing

if TYPE_CHECKING:
    pass


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

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write an npz without pickle, replacing what was there."""
        with writing(path, overwrite=True) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file, codes=self.codes, controls=self.controls.astype(np.float16), captions=np.array(self.captions),
                songs=self.songs, performers=self.performers, channels=np.array(self.channels),
            )  # fmt: skip
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Examples:
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
