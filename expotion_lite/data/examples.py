"""Examples for fine-tuning: codes of music, controls of a person who moves to it, and a caption."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..controls.columns import column_indices
from ..errors import ExpotionError, printable
from ..files import atomic_write
from ..stored import read_npz

Cached = TypeVar("Cached")

_N_DRAWS = 300  # random splits that `split` compares
_LEAST_TRAINING_SHARE = 0.4  # of all examples; `split` avoids training on less


@dataclass(frozen=True, eq=False)
class Examples:
    """N examples of equal length.

    Attributes:
        codes: (N, K, T) int16, the music's codes; negative where a short recording has no music.
        controls: (N, T, C) float32, the performer's controls, one row for each code frame.
        captions: N texts.
        songs: (N,) int64, the same number for the same song. No song is on both sides of a split.
        performers: (N,) int64, the same number for the same performer. No performer is on both sides, either.
        channels: C names of the controls.

    Notebook: notebooks/05_data
    """

    codes: np.ndarray
    controls: np.ndarray
    captions: tuple[str, ...]
    songs: np.ndarray
    performers: np.ndarray
    channels: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.codes)

    def pick(self, rows: np.ndarray) -> Examples:
        """Return some of the examples.

        Args:
            rows: their indices, or (N,) bool.
        """
        return replace(
            self,
            codes=self.codes[rows],
            controls=self.controls[rows],
            captions=tuple(np.array(self.captions, dtype=object)[rows]),
            songs=self.songs[rows],
            performers=self.performers[rows],
        )

    def select(self, channels: Sequence[str]) -> Examples:
        """Return the examples with some of the channels, in the given order, such as those that an adapter reads.

        Args:
            channels: their names.

        Raises:
            ExpotionError: a channel is not there; the message names it.
        """
        columns = column_indices(channels, self.channels)
        return replace(self, controls=self.controls[:, :, columns], channels=tuple(channels))

    @classmethod
    def join(cls, parts: Sequence[Examples]) -> Examples:
        """Concatenate examples.

        Args:
            parts: one or more, of the same length and channels.
        """
        return cls(
            codes=np.concatenate([part.codes for part in parts]),
            controls=np.concatenate([part.controls for part in parts]),
            captions=tuple(caption for part in parts for caption in part.captions),
            songs=np.concatenate([part.songs for part in parts]),
            performers=np.concatenate([part.performers for part in parts]),
            channels=parts[0].channels,
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write an .npz file without pickle, controls in half precision; replace the file if it exists.

        Args:
            path: the file to write.

        Returns:
            The path.
        """
        with atomic_write(path, overwrite=True) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file,
                codes=self.codes,
                controls=self.controls.astype(np.float16),
                captions=np.array(self.captions),
                songs=self.songs,
                performers=self.performers,
                channels=np.array(self.channels),
            )
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Examples:
        """Load a file that `save` wrote.

        Args:
            path: the file to read.

        Raises:
            ExpotionError: it is no file of examples.
        """
        try:
            arrays = read_npz(path)
            examples = cls(
                codes=arrays["codes"],
                controls=arrays["controls"].astype(np.float32),
                captions=tuple(arrays["captions"].tolist()),
                songs=arrays["songs"],
                performers=arrays["performers"],
                channels=tuple(arrays["channels"].tolist()),
            )
            examples.check()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ExpotionError(f"{path} is not a file of examples ({error}); create it again.") from error
        return examples

    def check(self) -> None:
        """Check that all parts fit together.

        Raises:
            ValueError: they do not; the message says which.
        """
        shapes = {"codes": self.codes.ndim == 3, "controls": self.controls.ndim == 3}
        n, n_frames = len(self.codes), self.codes.shape[-1]
        shapes["controls"] &= self.controls.shape == (n, n_frames, len(self.channels))
        shapes["controls"] &= bool(np.isfinite(self.controls).all())
        shapes["codes"] &= self.codes.dtype.kind == "i"
        shapes["captions"] = len(self.captions) == n and all(isinstance(text, str) for text in self.captions)
        shapes["channels"] = all(isinstance(name, str) for name in self.channels)
        for name, numbers in (("songs", self.songs), ("performers", self.performers)):
            shapes[name] = numbers.shape == (n,) and numbers.dtype.kind == "i"
        if wrong := [name for name, fits in shapes.items() if not fits]:
            raise ValueError(f"its {wrong[0]} have the wrong form")


def cached_examples(path: Path, draw: Callable[..., Examples], *arguments: Any, **options: Any) -> Examples:
    """Load examples from a file of a cache, or draw and save them if there is none, or if it is damaged.

    Args:
        path: the file.
        draw: makes the examples.
        *arguments: of `draw`.
        **options: of `draw`.
    """
    cached = load_cached(path, lambda: Examples.load(path))
    if cached is not None:
        return cached
    return Examples.load(draw(*arguments, **options).save(path))  # saved controls have less precision


def load_cached(path: Path, load: Callable[[], Cached]) -> Cached | None:
    """Load a file of a cache. One that is damaged is named on stderr, and computed anew by the caller.

    Args:
        path: the file.
        load: reads and checks it.

    Returns:
        What `load` returns; None if there is no such file, or if it is damaged.
    """
    if not path.exists():
        return None
    try:
        return load()
    except (OSError, ValueError, KeyError) as error:
        print(f"{printable(path)} is damaged and is computed anew ({printable(error)})", file=sys.stderr)
        return None


def split(examples: Examples, held_out: float = 0.2, seed: int = 0) -> tuple[Examples, Examples]:
    """Divide examples into two parts that share no song and no performer, and drop as few examples as possible.

    Where performers move to the same songs, some examples fit neither part: those of a training performer to a held-out
    song, and the reverse. They are dropped. The search draws random splits and returns the best one. It prefers to hold
    out two performers and two songs or more, if that leaves two fifths of the examples for training: then every
    held-out example can be compared with the video of another performer to another song.

    Args:
        examples: of two performers and two songs at least.
        held_out: about which share of the examples to hold out.
        seed: of the draws.

    Returns:
        The examples to train with, and the held-out ones: two or more.

    Raises:
        ExpotionError: no such split exists; the message says what is missing.

    Notebook: notebooks/05_data
    """
    rng = np.random.default_rng([seed, 17])
    n_wanted = max(2, held_out * len(examples))
    best, best_score = None, 0.0
    for _ in range(_N_DRAWS):
        training, testing = _draw_split(examples, rng)
        if training.any() and testing.sum() >= 2:
            score = _score_split(examples, training, testing, n_wanted)
            if score > best_score:
                best, best_score = (training, testing), score
    if best is None:
        n_performers, n_songs = len(np.unique(examples.performers)), len(np.unique(examples.songs))
        raise ExpotionError(
            f"{len(examples)} examples of {n_performers} performers and {n_songs} songs cannot be split: no two "
            "examples can be held out without training on the same performer or song. Record more people and more "
            "songs, and say who is who (a folder for each person); or hold out nothing (--held-out 0) and judge by ear."
        )
    training, testing = best
    return examples.pick(training), examples.pick(testing)


def _draw_split(examples: Examples, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a split without leaks at random; return masks (N,) bool of its training and its held-out examples."""
    performers = np.unique(examples.performers)
    chosen_performers = rng.permutation(performers)[: rng.integers(1, max(2, len(performers)))]
    by_chosen_performer = np.isin(examples.performers, chosen_performers)
    chosen_songs = np.unique(examples.songs[by_chosen_performer])
    if rng.random() < 0.5:  # other performers may move to the same songs: holding out fewer songs drops fewer examples
        chosen_songs = rng.permutation(chosen_songs)[: rng.integers(1, len(chosen_songs) + 1)]
    of_chosen_song = np.isin(examples.songs, chosen_songs)
    return ~by_chosen_performer & ~of_chosen_song, by_chosen_performer & of_chosen_song


def _score_split(examples: Examples, training: np.ndarray, testing: np.ndarray, n_wanted: float) -> float:
    """Return the score of a split, in examples: those that are used, plus a bonus if others' videos can be compared."""
    n_training, n_testing = training.sum(), testing.sum()
    used = n_training + min(n_testing, n_wanted)
    too_many = max(0, n_testing - 2 * n_wanted)
    two_of_each = all(len(np.unique(numbers[testing])) > 1 for numbers in (examples.performers, examples.songs))
    enough_training = n_training >= _LEAST_TRAINING_SHARE * len(examples)
    bonus = len(examples) if two_of_each and enough_training else 0
    return float(used - too_many + bonus)


def check_split(train: Examples, held_out: Examples) -> None:
    """Raise ExpotionError if a split leaks, or if its parts do not fit together.

    Args:
        train: examples to train with.
        held_out: examples to measure with.

    Raises:
        ExpotionError: a song or a performer is in both parts, or they have different channels.

    Notebook: notebooks/05_data
    """
    if train.channels != held_out.channels:
        raise ExpotionError("Training and held-out data have different channels; extract the controls of both anew.")
    for kind, a, b in (("song", train.songs, held_out.songs), ("performer", train.performers, held_out.performers)):
        both = np.intersect1d(a, b)
        if len(both):
            raise ExpotionError(
                f"{len(both)} {kind}s are in training and held-out data (the first is {both[0]}); "
                f"split by {kind}, otherwise the result is too good to be true."
            )
