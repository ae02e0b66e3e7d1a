"""A blind listening test: takes are played in a random order, rated 1 to 5, saved in a table, and compared.

    >>> from expotion_lite.studio import BlindTest
    >>> test = BlindTest(["mine", "a stranger's"], listener="me", rounds=5)
    >>> test.rate([4, 3, 4, 5, 4])                       # of the take that is playing; its name is not told
    >>> test.done, len(test.ratings)
    (1, 1)

`page.Studio` plays the takes and asks the questions.
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
from ..files import atomic_write

AXES = (
    "musicality",
    "creativity",
    "beat-tempo consistency",
    "temporal alignment with the video",
    "text adherence",
)
"""The questions of the listening test in the Expotion paper (arXiv 2507.04955)."""
WORST, BEST = 1, 5
MAX_ROUNDS = 20
COLUMNS = ("listener", "round", "take", "codes", *AXES)


@dataclass(frozen=True)
class Rating:
    """A listener's scores for a take in one round.

    Attributes:
        listener: name or number of the listener.
        round: number of the round, from 1 on.
        take: name of the take.
        codes: a hash that tells takes of the same name apart.
        scores: one for each of `AXES`.
    """

    listener: str
    round: int
    take: str
    codes: str
    scores: tuple[int, ...]


class BlindTest:
    """A test in which every take is heard once a round, in a random order, and rated before the next is heard.

    Args:
        takes: names of the takes, two or more, all different.
        listener: name or number of the listener.
        rounds: how often each take is heard. Answers cannot be changed.
        seed: seed of the order; None draws a new order each time.
        codes: a short hash for each take, which tells takes of the same name apart.
        first_round: number of the first round, above 1 if the listener has answered before.

    Attributes:
        takes: as given.
        listener: as given.
        ratings: the answers so far.

    Raises:
        ExpotionError: there are fewer than two takes, two with the same name, no listener, or too few or many rounds.
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
            raise ExpotionError("Name the listener, by a name or a number, so that answers can be paired.")
        if not 1 <= rounds <= MAX_ROUNDS:
            raise ExpotionError(f"A test cannot have {rounds} rounds; choose 1 to {MAX_ROUNDS}.")
        self.takes, self.listener = tuple(takes), listener.strip()
        self.ratings: list[Rating] = []
        self._codes, self._first_round = tuple(codes or [""] * len(takes)), first_round
        rng = np.random.default_rng(seed)
        self._order = [int(i) for _ in range(rounds) for i in rng.permutation(len(takes))]

    @property
    def done(self) -> int:
        """The number of ratings so far."""
        return len(self.ratings)

    @property
    def total(self) -> int:
        """The number of ratings when the test is complete."""
        return len(self._order)

    @property
    def current(self) -> int | None:
        """The index in `takes` of the take to rate next; None when the test is complete."""
        return self._order[self.done] if self.done < self.total else None

    def rate(self, scores: Sequence[int | None]) -> None:
        """Add a rating of the current take, and go on to the next.

        Args:
            scores: 1 (worst) to 5 (best) for each of `AXES`; None is a missing answer.

        Raises:
            ExpotionError: a score is missing or out of range, or the test is complete.
        """
        if (current := self.current) is None:
            raise ExpotionError("All takes have been rated; start another test.")
        given = tuple(score for score in scores if score is not None and score in range(WORST, BEST + 1))
        if len(scores) != len(AXES) or len(given) != len(AXES):
            raise ExpotionError(f"Rate each of the {len(AXES)} questions from {WORST} to {BEST}; then go on.")
        number = self._first_round + self.done // len(self.takes)
        self.ratings.append(Rating(self.listener, number, self.takes[current], self._codes[current], given))


def save_ratings(path: str | os.PathLike[str], ratings: Iterable[Rating]) -> Path:
    """Append ratings to a comma-separated table with a header, and make the table if it does not exist.

    Args:
        path: the table.
        ratings: to append.

    Returns:
        The path written.

    Raises:
        ExpotionError: the file is not a table of ratings, or cannot be written.
    """
    path = Path(path).expanduser()
    rows = [*(read_ratings(path) if path.exists() else []), *ratings]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows([row.listener, row.round, row.take, row.codes, *row.scores] for row in rows)
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return path


def read_ratings(path: str | os.PathLike[str]) -> list[Rating]:
    """Read a table that `save_ratings` wrote. To join the tables of several listeners: `read(a) + read(b)`.

    Args:
        path: the table.

    Raises:
        ExpotionError: the file cannot be read, or is not a table of ratings.
    """
    try:
        header, *rows = csv.reader(Path(path).expanduser().read_text(encoding="utf-8").splitlines())
        if tuple(header) != COLUMNS:
            raise ValueError
        return [Rating(row[0], int(row[1]), row[2], row[3], _parse_scores(row[4:])) for row in rows]
    except OSError as error:
        raise ExpotionError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, IndexError, csv.Error) as error:
        raise ExpotionError(
            f"{path} is not a table of ratings; name one that the studio wrote, or a new file."
        ) from error


def _parse_scores(cells: Sequence[str]) -> tuple[int, ...]:
    scores = tuple(map(int, cells))
    if len(scores) != len(AXES) or not all(WORST <= score <= BEST for score in scores):
        raise ValueError
    return scores


def summarise_ratings(ratings: Sequence[Rating]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Compute mean opinion scores with 95 % bootstrap intervals over the ratings.

    Args:
        ratings: of any number of takes and listeners.

    Returns:
        take -> axis -> (mean, low, high). Where one listener gave most of the ratings, the interval is too narrow.
    """
    summary = {}
    for take in dict.fromkeys(rating.take for rating in ratings):
        scores = np.array([rating.scores for rating in ratings if rating.take == take], float)
        summary[take] = {
            axis: (float(column.mean()), *bootstrap_interval(column))
            for axis, column in zip(AXES, scores.T, strict=True)
        }
    return summary


def compare_ratings(ratings: Sequence[Rating], a: str, b: str) -> dict[str, tuple[float, float, int]]:
    """Compare two takes by their differences within the same listener and round.

    With several listeners, the mean difference of each listener is one observation: many rounds of one person say
    much about that person, and little about others. With a single listener, each round is one observation.

    Args:
        ratings: of any number of takes and listeners.
        a: name of a take.
        b: name of another take.

    Returns:
        axis -> (mean difference a - b, two-sided p of a sign-flip permutation test, number of observations).

    Raises:
        ExpotionError: no listener rated both in the same round.

    Example:
        >>> scores = [("a", 4), ("b", 2)]
        >>> ratings = [Rating("me", n, take, "", (score,) * 5) for n in range(8) for take, score in scores]
        >>> difference, p, rounds = compare_ratings(ratings, "a", "b")["musicality"]
        >>> difference, round(p, 2), rounds
        (2.0, 0.01, 8)
    """
    scores = {(rating.listener, rating.round, rating.take): np.array(rating.scores, float) for rating in ratings}
    differences: dict[str, list[np.ndarray]] = {}
    for listener, number in dict.fromkeys((rating.listener, rating.round) for rating in ratings):
        if {(listener, number, a), (listener, number, b)} <= scores.keys():
            difference = scores[listener, number, a] - scores[listener, number, b]
            differences.setdefault(listener, []).append(difference)
    if not differences:
        raise ExpotionError(f"No round holds both {a} and {b}.")
    if len(differences) > 1:
        observations = [np.mean(rounds, axis=0) for rounds in differences.values()]
    else:
        observations = next(iter(differences.values()))
    result = {}
    for axis, column in zip(AXES, np.transpose(observations), strict=True):
        one_sided = min(paired_permutation_test(column), paired_permutation_test(-column))
        result[axis] = (float(column.mean()), min(1.0, 2 * one_sided), len(observations))
    return result
