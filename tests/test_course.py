"""The helpers of the lessons: what an exercise answers, and what is measured."""

from __future__ import annotations

import time

import numpy as np
import pytest

from expotion_lite.course import check, measure_memory_gb, measure_seconds
from expotion_lite.errors import ExpotionError


def test_an_exercise_with_dots_is_not_checked(capsys):
    check((1, ...), lambda: pytest.fail("it was checked"))
    assert "Not tried yet" in capsys.readouterr().out


def test_a_solved_exercise_says_so(capsys):
    check(3, lambda: True)
    assert capsys.readouterr().out == "The target is reached.\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, "misses the target"),
        (ExpotionError("The prompt is empty."), "Not there yet: The prompt is empty."),
        (TypeError("a list"), r"wrong type or shape; see the comment beside the dots \(a list\)"),
    ],
)
def test_a_wrong_answer_is_explained(error, message):
    def reached():
        if error is not None:
            raise error
        return False

    with pytest.raises(AssertionError, match=message):
        check(3, reached)


def test_memory_that_is_held_is_measured():
    before = measure_memory_gb("cpu")
    held = np.ones(25_000_000)  # 0.2 GB
    assert measure_memory_gb("cpu") - before == pytest.approx(held.nbytes / 1e9, abs=0.05)


def test_the_shortest_call_is_measured():
    waits_s = iter([0.2, 0.15, *[0.05] * 20])
    assert measure_seconds(lambda: time.sleep(next(waits_s)), "cpu") == pytest.approx(0.05, abs=0.03)
