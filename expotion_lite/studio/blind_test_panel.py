"""The studio's blind test: its card, and the controller that plays takes, asks, and saves the answers."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ipywidgets as ipw

from ..errors import ExpotionError
from .blind_test import (
    AXES,
    BEST,
    MAX_ROUNDS,
    WORST,
    BlindTest,
    Rating,
    compare_ratings,
    read_ratings,
    save_ratings,
    summarise_ratings,
)
from .session import Session
from .takes import StudioTake, match_loudness
from .widgets import FIT, LABELLED, WIDE, hint, text_field, title


class BlindTestPanel(ipw.VBox):
    """The card of the blind test: which takes, five questions, and a table of the answers."""

    def __init__(self) -> None:
        self.which = ipw.SelectMultiple(options=[], description="takes", style=LABELLED, layout=WIDE, rows=4)
        self.listener = text_field("me", description="listener")
        self.rounds = ipw.BoundedIntText(3, 1, MAX_ROUNDS, description="rounds", style=LABELLED)
        self.place = text_field("out/listening.csv", description="save in", layout=WIDE)
        self.begin = ipw.Button(description="Start a blind test", layout=FIT)
        self.asked = ipw.HTML()
        self.again = ipw.Button(description="Play again", layout=FIT)
        self.answers = {axis: _score_buttons(axis) for axis in AXES}
        self.next = ipw.Button(description="Save and continue", layout=FIT)
        self.stop = ipw.Button(description="End the test", layout=FIT)
        self.result = ipw.HTML()
        legend = hint(f"{WORST} is worst, {BEST} is best. Answers cannot be changed later.")
        buttons = ipw.HBox([self.again, self.next, self.stop])
        self.questions = ipw.VBox([self.asked, *self.answers.values(), legend, buttons])
        self.hide_questions()
        options = ipw.HBox([self.listener, self.rounds])
        super().__init__(
            [title(6, "Blind test"), self.which, options, self.place, self.begin, self.questions, self.result]
        )
        self.add_class("el-card")
        self.add_class("el-blind")

    def list_takes(self, takes: Sequence[StudioTake]) -> None:
        """Offer these takes, with the last two selected."""
        self.which.options = [(take.name, index) for index, take in enumerate(takes)]
        self.which.value = tuple(range(len(takes)))[-2:]

    def ask(self, number: int, total: int) -> None:
        """Show the questions for a take, without the answers to the one before.

        Args:
            number: number of the take in the test, from 1 on.
            total: number of takes to rate.
        """
        self.result.value = ""
        self.asked.value = f"<p role='status'>Take {number} of {total}. What you hear:</p>"
        for answer in self.answers.values():
            answer.value = None
        self.questions.layout.display = ""

    def scores(self) -> list[int | None]:
        """Return the score of each question; None where there is no answer."""
        return [answer.value for answer in self.answers.values()]

    def hide_questions(self) -> None:
        """Hide the questions."""
        self.questions.layout.display = "none"

    def show_results(self, ratings: Sequence[Rating]) -> None:
        """Show a table of the ratings."""
        self.result.value = ratings_table(ratings)


@dataclass(frozen=True)
class _RunningTest:
    """A test, its takes, and the factors that make them equally loud."""

    test: BlindTest
    takes: tuple[StudioTake, ...]
    gains: tuple[float, ...]


class BlindTestController:
    """The steps of a blind test, from its start to its results.

    Args:
        panel: where the listener answers.
        session: whose takes are tested.
        play: plays a take without its name, with a gain.
        on_running: called with True when a test starts, and with False when it ends.
        say: shows a line of text.
    """

    def __init__(
        self,
        panel: BlindTestPanel,
        session: Session,
        *,
        play: Callable[[StudioTake, float], object],
        on_running: Callable[[bool], object],
        say: Callable[[str], object],
    ) -> None:
        self.panel, self._session = panel, session
        self._play, self._on_running, self._say = play, on_running, say
        self._running: _RunningTest | None = None

    def list_takes(self) -> None:
        """Offer the session's takes, unless a test is running."""
        if self._running is None:
            self.panel.list_takes(self._session.takes)

    def start(self) -> None:
        """Start a test of the selected takes; its rounds continue those that the listener saved before.

        Raises:
            ExpotionError: the takes, the listener or the rounds make no test, or the file is not a table of ratings.
        """
        panel = self.panel
        takes = tuple(self._session.takes[index] for index in panel.which.value)
        path = Path(panel.place.value).expanduser()
        saved = read_ratings(path) if path.exists() else []
        rounds = [rating.round for rating in saved if rating.listener == panel.listener.value.strip()]
        test = BlindTest(
            [take.name for take in takes],
            listener=panel.listener.value,
            rounds=panel.rounds.value,
            codes=[take.codes_sha256[:12] for take in takes],
            first_round=1 + max(rounds, default=0),
        )
        self._running = _RunningTest(test, takes, match_loudness(*(take.take.audio for take in takes)))
        self._on_running(True)
        self._ask(self._running)

    def play_again(self) -> None:
        """Play the current take, whatever else was played meanwhile."""
        self._play_current(self._require_running())

    def save_answer(self) -> None:
        """Save the answers about the current take at once, and go on to the next take or to the results.

        Raises:
            ExpotionError: no test is running, an answer is missing, or the table cannot be written.
        """
        running = self._require_running()
        test = running.test
        test.rate(self.panel.scores())
        try:
            save_ratings(self.panel.place.value, test.ratings[-1:])
        except BaseException:
            test.ratings.pop()  # the same take stays current
            raise
        if test.current is None:
            self.stop()
        else:
            self._ask(running)

    def stop(self) -> None:
        """End the test and show the results, if there are any."""
        running, self._running = self._running, None
        self._on_running(False)
        self.panel.list_takes(self._session.takes)
        self.panel.hide_questions()
        if running is None or not running.test.ratings:
            self._say("The test is over; nothing was rated.")
        else:
            self.panel.show_results(running.test.ratings)
            self._say(f"{running.test.done} answers are saved in {self.panel.place.value}.")

    def _require_running(self) -> _RunningTest:
        if self._running is None:
            raise ExpotionError("Start a blind test first.")
        return self._running

    def _ask(self, running: _RunningTest) -> None:
        self.panel.ask(running.test.done + 1, running.test.total)
        self._play_current(running)
        self._say("Listen, then answer the five questions below.")

    def _play_current(self, running: _RunningTest) -> None:
        if (current := running.test.current) is not None:
            self._play(running.takes[current], running.gains[current])


def ratings_table(ratings: Sequence[Rating]) -> str:
    """Return an HTML table of mean scores, with 95 % intervals where a take has several, and p values for two takes.

    Args:
        ratings: of one listener, about one take or more.
    """
    means = dict(sorted(summarise_ratings(ratings).items()))
    first, *others = means
    comparison = compare_ratings(ratings, first, others[0]) if len(others) == 1 else None
    cell = "{:.2f} ({:.2f} to {:.2f})" if len(ratings) > len(means) else "{:.0f}"
    rows = []
    for axis in AXES:
        cells = [cell.format(*means[take][axis]) for take in means]
        if comparison:
            difference, p, _ = comparison[axis]
            cells += [f"{difference:+.2f}", f"{p:.3f}"]
        rows.append("".join([f"<th scope='row'>{axis}</th>", *(f"<td>{cell}</td>" for cell in cells)]))
    columns = ["", *means, *(["first minus second", "p"] if comparison else [])]
    header = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    note = f"Ratings: {len(ratings)}, all by one listener."
    if comparison:
        note += f" Brackets: 95 % intervals. Pairs: {comparison[AXES[0]][2]}; p is two-sided."
    return (
        f"<table class='el-scores'><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"
        f"<p class='el-hint'>{note}</p>"
    )


def _score_buttons(axis: str) -> ipw.ToggleButtons:
    scores = list(range(WORST, BEST + 1))
    return ipw.ToggleButtons(
        options=scores,
        value=None,
        description=axis,
        style={"description_width": "240px"},
        tooltips=[f"{axis}: {score} of {BEST}" for score in scores],
    )
