"""A blind listening test: takes in a random order, rated 1 to 5, kept in a table, with its statistics.

    >>> from expotion_lite.studio.blind_test import ListeningTest, compare, read_ratings
    >>> test = ListeningTest(["mine", "a stranger's"], listener="me", rounds=5)
    >>> test.rate([4, 3, 4, 5, 4])                       # of what is heard now; nobody says yet what it was
    >>> test.done, len(test.ratings)
    (1, 1)

`widgets.Studio` plays the takes and asks; lesson 08 explains how many answers it needs.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ExpotionError
from ..evaluation.metrics import bootstrap_interval, paired_permutation_test
from ..files import writing

AXES = (
    "musicality",
    "creativity",
    "beat-tempo consistency",
    "temporal alignment with the video",
    "text adherence",
)
"""What listeners rated in the Expotion paper (arXiv 2507.04955)."""
WORST, BEST = 1, 5
MOST_ROUNDS = 20
COLUMNS = ("listener", "round", "take", "codes", *AXES)


@dataclass(frozen=True)
class Rating:
    """What one listener said of a take in one round. codes: tells takes of the same name apart; scores: one an axis."""

    listener: str
    round: int
    take: str
    codes: str
    scores: tuple[int, ...]


class ListeningTest:
    """Every take once a round, in an order that nobody knows; rated before the next is heard.

    Args:
        takes: their names, two or more, all different.
        listener: who listens.
        rounds: how often each take is heard; the first answers count, there is no way back.
        seed: of the order; None draws one.
        codes: something short that tells each take from others of its name.
        first_round: the number of the first round, where the listener has answered before.

    Attributes:
        ratings: the answers so far.

    Raises:
        ExpotionError: fewer than two takes, the same twice, nobody who listens, or too few or many rounds.
    """

    def __init__(
        self,
        takes: Sequence[str],
        *,
        listener: str = "me",
        rounds: int = 3,
        seed: int | None = None,
        codes: Sequence[str] | None = None,
        first_round: int = 1,
    ) -> None:
        if len(takes) < 2 or len(set(takes)) != len(takes):
            raise ExpotionError("A listening test compares two takes or more, all different; choose at least two.")
        if not listener.strip():
            raise ExpotionError("Say who listens: a name or a number, so that answers can be paired.")
        if not 1 <= rounds <= MOST_ROUNDS:
            raise ExpotionError(f"{rounds} rounds cannot be listened to; choose 1 to {MOST_ROUNDS}.")
        self.takes, self.listener, self.ratings = tuple(takes), listener.strip(), []
        self._codes, self._first = tuple(codes or [""] * len(takes)), first_round
        rng = np.random.default_rng(seed)
        self._order = [int(i) for _ in range(rounds) for i in rng.permutation(len(takes))]

    @property
    def done(self) -> int:
        """How many takes have been rated."""
        return len(self.ratings)

    @property
    def total(self) -> int:
        """How many takes are to be rated in all."""
        return len(self._order)

    @property
    def current(self) -> int | None:
        """Which take is to be heard now, by its place in `takes`; None when all have been rated."""
        return self._order[self.done] if self.done < self.total else None

    def rate(self, scores: Sequence[int | None]) -> None:
        """Keep what is said of the current take, and go on to the next.

        Args:
            scores: 1 (worst) to 5 (best) for each of `AXES`.

        Raises:
            ExpotionError: a score is missing or out of range, or all takes have been rated.
        """
        if (now := self.current) is None:
            raise ExpotionError("All takes have been rated; begin another test.")
        if len(scores) != len(AXES) or any(score not in range(WORST, BEST + 1) for score in scores):
            raise ExpotionError(f"Rate each of the {len(AXES)} questions from {WORST} to {BEST}; then go on.")
        number = self._first + self.done // len(self.takes)
        self.ratings.append(
            Rating(self.listener, number, self.takes[now], self._codes[now], tuple(int(score) for score in scores))
        )


def save_ratings(path: str | os.PathLike[str], ratings: Iterable[Rating]) -> Path:
    """Add ratings to a table, comma-separated with a head line; the rows that it has stay.

    Raises:
        ExpotionError: the file is no such table, or cannot be written.
    """
    path = Path(path).expanduser()
    rows = [*(read_ratings(path) if path.exists() else []), *ratings]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows([r.listener, r.round, r.take, r.codes, *r.scores] for r in rows)
    with writing(path, overwrite=True) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return path


def read_ratings(path: str | os.PathLike[str]) -> list[Rating]:
    """Read a table that `save_ratings` wrote. Tables of several listeners are simply added: `read(a) + read(b)`.

    Raises:
        ExpotionError: the file cannot be read, or holds something else.
    """
    try:
        head, *rows = csv.reader(Path(path).expanduser().read_text(encoding="utf-8").splitlines())
        if tuple(head) != COLUMNS:
            raise ValueError
        return [Rating(row[0], int(row[1]), row[2], row[3], _scores(row[4:])) for row in rows]
    except OSError as error:
        raise ExpotionError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, IndexError, csv.Error) as error:
        raise ExpotionError(f"{path} is no table of ratings; name one that the studio wrote, or a new file.") from error


def _scores(cells: Sequence[str]) -> tuple[int, ...]:
    scores = tuple(map(int, cells))
    if len(scores) != len(AXES) or not all(WORST <= score <= BEST for score in scores):
        raise ValueError
    return scores


def summary(ratings: Sequence[Rating]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Mean opinion scores.

    Returns:
        take -> axis -> (mean, low, high); low and high are a 95 % bootstrap interval over its ratings, which is too
        narrow where one listener gave most of them.
    """
    told = {}
    for take in dict.fromkeys(rating.take for rating in ratings):
        scores = np.array([rating.scores for rating in ratings if rating.take == take], float)
        told[take] = {
            axis: (float(column.mean()), *bootstrap_interval(column))
            for axis, column in zip(AXES, scores.T, strict=True)
        }
    return told


def compare(ratings: Sequence[Rating], a: str, b: str) -> dict[str, tuple[float, float, int]]:
    """How much better one take was rated than another by the same listener in the same round.

    Of several listeners, each counts once, with the mean over that listener's rounds: thirty rounds of one person are
    about that person. Of a single listener, each round counts.

    Returns:
        axis -> (mean difference a - b, two-sided p by flipping the signs of differences, how many there are)

    Raises:
        ExpotionError: no round holds both.

    Example:
        >>> said = [Rating("me", n, take, "", (score,) * 5) for n in range(8) for take, score in (("a", 4), ("b", 2))]
        >>> difference, p, rounds = compare(said, "a", "b")["musicality"]
        >>> difference, round(p, 2), rounds
        (2.0, 0.01, 8)
    """
    scores = {(rating.listener, rating.round, rating.take): np.array(rating.scores, float) for rating in ratings}
    apart: dict[str, list[np.ndarray]] = {}
    for who, number in dict.fromkeys((rating.listener, rating.round) for rating in ratings):
        if {(who, number, a), (who, number, b)} <= scores.keys():
            apart.setdefault(who, []).append(scores[who, number, a] - scores[who, number, b])
    if not apart:
        raise ExpotionError(f"No round holds both {a} and {b}.")
    each = [np.mean(rounds, axis=0) for rounds in apart.values()] if len(apart) > 1 else next(iter(apart.values()))
    told = {}
    for axis, column in zip(AXES, np.transpose(each), strict=True):
        one_sided = min(paired_permutation_test(column), paired_permutation_test(-column))
        told[axis] = (float(column.mean()), min(1.0, 2 * one_sided), len(each))
    return told
