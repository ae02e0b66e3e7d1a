"""The blind listening test: a random order, a table that is never half written, and statistics over pairs."""

from __future__ import annotations

import numpy as np
import pytest

from expotion_lite.errors import ExpotionError
from expotion_lite.studio import BlindTest, compare_ratings, read_ratings
from expotion_lite.studio.blind_test import AXES, Rating, save_ratings, summarise_ratings

TAKES = ("a", "b", "c")


def rated(listener, number, take, score):
    """Return a rating with the same score for every question."""
    return Rating(listener, number, take, "", (score,) * len(AXES))


def finish(test):
    """Rate every take, and return the order in which they were heard."""
    order = []
    while test.current is not None:
        order.append(test.current)
        test.rate([1, 2, 3, 4, 5])
    return order


def test_every_take_is_heard_once_a_round_in_a_random_order():
    test = BlindTest(TAKES, rounds=10, seed=1, first_round=4)
    order = finish(test)
    rounds = np.array(order).reshape(10, 3)
    assert (np.sort(rounds) == [0, 1, 2]).all() and len({tuple(row) for row in rounds}) > 3
    assert [rating.take for rating in test.ratings] == [TAKES[i] for i in order]
    assert [rating.round for rating in test.ratings] == [4 + n // 3 for n in range(30)]
    with pytest.raises(ExpotionError, match="another test"):
        test.rate([1] * 5)
    assert len({tuple(finish(BlindTest(TAKES, rounds=5))) for _ in range(8)}) > 1, "another order each time"


@pytest.mark.parametrize("scores", [[1, 2, 3, 4], [1, 2, 3, 4, None], [0, 1, 1, 1, 1], [6, 1, 1, 1, 1]])
def test_an_incomplete_answer_is_refused_and_not_kept(scores):
    test = BlindTest(TAKES)
    with pytest.raises(ExpotionError, match="from 1 to 5"):
        test.rate(scores)
    assert test.done == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"takes": ["a"]},
        {"takes": ["a", "a"]},
        {"takes": TAKES, "listener": " "},
        {"takes": TAKES, "rounds": 0},
        {"takes": TAKES, "rounds": 999},
    ],
)
def test_an_impossible_test_is_refused(wrong):
    with pytest.raises(ExpotionError):
        BlindTest(**wrong)


def test_a_table_grows_and_is_read_as_written(tmp_path):
    path = tmp_path / "out" / "listening.csv"
    first, second = rated('Ana, "the" first', 1, "1: rock, seed 0", 4), rated("Bo", 1, "2: waltz", 2)
    save_ratings(path, [first])
    save_ratings(path, [second])
    assert read_ratings(path) == [first, second]
    assert path.read_text().splitlines()[0].startswith("listener,round,take,codes,musicality,")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "{HEAD}\nme,1,a,,9,1,1,1,1\n", "{HEAD}\nme,one,a,,1,1,1,1,1\n"])
def test_another_table_is_refused_and_not_changed(tmp_path, text):
    head = save_ratings(tmp_path / "head.csv", []).read_text().strip()
    path = tmp_path / "mine.csv"
    path.write_text(text.replace("{HEAD}", head))
    with pytest.raises(ExpotionError, match="not a table of ratings"):
        save_ratings(path, [rated("me", 1, "a", 3)])
    assert path.read_text() == text.replace("{HEAD}", head)
    with pytest.raises(ExpotionError, match="cannot be read"):
        read_ratings(tmp_path / "nowhere.csv")


def test_means_are_over_the_ratings_of_each_take():
    ratings = [rated("me", n, take, score) for n, take, score in [(1, "a", 5), (1, "b", 1), (2, "a", 3), (2, "b", 1)]]
    means = summarise_ratings(ratings)
    assert list(means) == ["a", "b"] and means["b"]["creativity"] == (1.0, 1.0, 1.0)
    mean, low, high = means["a"]["musicality"]
    assert mean == 4 and 3 <= low < mean < high <= 5


def test_a_difference_is_tested_over_pairs_only():
    """A pair is of one listener in one round; ratings without a partner are left out."""
    ratings = [rated("x", n, take, s) for n in range(9) for take, s in (("a", 4), ("b", 2))]
    difference, p, rounds = compare_ratings([*ratings, rated("x", 9, "a", 1)], "a", "b")["text adherence"]
    assert (difference, rounds) == (2.0, 9) and p < 0.01
    back, same_p, _ = compare_ratings(ratings, "b", "a")["text adherence"]
    assert back == -2.0 and same_p == pytest.approx(p, abs=0.01)
    rng = np.random.default_rng(0)
    guessed = [rated("x", n, take, int(rng.integers(1, 6))) for n in range(20) for take in "ab"]
    assert compare_ratings(guessed, "a", "b")["musicality"][1] > 0.05
    with pytest.raises(ExpotionError, match="No round holds both"):
        compare_ratings(ratings, "a", "nobody")


def test_each_of_several_listeners_counts_once():
    """Many rounds of one person are still one person."""
    diligent = [rated("x", n, take, s) for n in range(20) for take, s in (("a", 5), ("b", 1))]
    once = [rated(who, 1, take, s) for who in "yz" for take, s in (("a", 2), ("b", 3))]
    difference, p, people = compare_ratings([*diligent, *once], "a", "b")["creativity"]
    assert people == 3 and difference == pytest.approx((4 - 1 - 1) / 3) and p > 0.5
