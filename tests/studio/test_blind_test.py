"""The blind listening test: an order that nobody knows, a table that is never half written, honest statistics."""

from __future__ import annotations

import numpy as np
import pytest

from expotion_lite.errors import ExpotionError
from expotion_lite.studio.blind_test import AXES, ListeningTest, Rating, compare, read_ratings, save_ratings, summary

TAKES = ("a", "b", "c")


def said(listener, number, take, score):
    return Rating(listener, number, take, "", (score,) * len(AXES))


def test_every_take_is_heard_once_a_round_in_an_order_of_its_own():
    test, heard = ListeningTest(TAKES, rounds=10, seed=1, first_round=4), []
    while test.current is not None:
        heard.append(test.current)
        test.rate([1, 2, 3, 4, 5])
    rounds = np.array(heard).reshape(10, 3)
    assert (np.sort(rounds) == [0, 1, 2]).all() and len({tuple(row) for row in rounds}) > 3
    assert [rating.take for rating in test.ratings] == [TAKES[i] for i in heard]
    assert [rating.round for rating in test.ratings] == [4 + n // 3 for n in range(30)]
    with pytest.raises(ExpotionError, match="another test"):
        test.rate([1] * 5)
    assert len({tuple(ListeningTest(TAKES, rounds=5)._order) for _ in range(8)}) > 1, "drawn anew each time"


@pytest.mark.parametrize("scores", [[1, 2, 3, 4], [1, 2, 3, 4, None], [0, 1, 1, 1, 1], [6, 1, 1, 1, 1]])
def test_a_missing_answer_is_asked_for_and_nothing_is_kept(scores):
    test = ListeningTest(TAKES)
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
def test_what_cannot_be_a_test_is_refused(wrong):
    with pytest.raises(ExpotionError):
        ListeningTest(**wrong)


def test_a_table_grows_and_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "out" / "listening.csv"
    first, second = said('Ana, "the" first', 1, "1: rock, seed 0", 4), said("Bo", 1, "2: waltz", 2)
    save_ratings(path, [first])
    save_ratings(path, [second])
    assert read_ratings(path) == [first, second]
    assert path.read_text().splitlines()[0].startswith("listener,round,take,codes,musicality,")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "{HEAD}\nme,1,a,,9,1,1,1,1\n", "{HEAD}\nme,one,a,,1,1,1,1,1\n"])
def test_a_table_of_something_else_is_refused_and_stays(tmp_path, text):
    head = save_ratings(tmp_path / "head.csv", []).read_text().strip()
    path = tmp_path / "mine.csv"
    path.write_text(text.replace("{HEAD}", head))
    with pytest.raises(ExpotionError, match="no table of ratings"):
        save_ratings(path, [said("me", 1, "a", 3)])
    assert path.read_text() == text.replace("{HEAD}", head)
    with pytest.raises(ExpotionError, match="cannot be read"):
        read_ratings(tmp_path / "nowhere.csv")


def test_means_are_of_a_takes_own_ratings():
    ratings = [said("me", n, take, score) for n, take, score in [(1, "a", 5), (1, "b", 1), (2, "a", 3), (2, "b", 1)]]
    told = summary(ratings)
    assert list(told) == ["a", "b"] and told["b"]["creativity"] == (1.0, 1.0, 1.0)
    mean, low, high = told["a"]["musicality"]
    assert mean == 4 and 3 <= low < mean < high <= 5


def test_a_difference_is_proven_by_pairs_only():
    """Each pair is of one listener in one round; what has no partner is left out."""
    ratings = [said("x", n, take, s) for n in range(9) for take, s in (("a", 4), ("b", 2))]
    difference, p, rounds = compare([*ratings, said("x", 9, "a", 1)], "a", "b")["text adherence"]
    assert (difference, rounds) == (2.0, 9) and p < 0.01
    back, same_p, _ = compare(ratings, "b", "a")["text adherence"]
    assert back == -2.0 and same_p == pytest.approx(p, abs=0.01)
    rng = np.random.default_rng(0)
    guessed = [said("x", n, take, int(rng.integers(1, 6))) for n in range(20) for take in "ab"]
    assert compare(guessed, "a", "b")["musicality"][1] > 0.05
    with pytest.raises(ExpotionError, match="No round holds both"):
        compare(ratings, "a", "nobody")


def test_of_several_listeners_each_counts_once():
    """However often somebody listens, that is one person."""
    diligent = [said("x", n, take, s) for n in range(20) for take, s in (("a", 5), ("b", 1))]
    once = [said(who, 1, take, s) for who in "yz" for take, s in (("a", 2), ("b", 3))]
    difference, p, people = compare([*diligent, *once], "a", "b")["creativity"]
    assert people == 3 and difference == pytest.approx((4 - 1 - 1) / 3) and p > 0.5
