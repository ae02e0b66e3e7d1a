"""Examples are saved whole and divided without leaks."""

from __future__ import annotations

import numpy as np
import pytest

from expotion_lite.data.examples import Examples, check_split, split
from expotion_lite.errors import ExpotionError


def examples_of(pairs: list[tuple[int, int]]) -> Examples:
    """Return examples without content of (performer, song) pairs."""
    performers, songs = np.array(pairs).T
    n = len(pairs)
    captions = tuple(f"caption {i}" for i in range(n))
    return Examples(np.zeros((n, 4, 5), np.int16), np.zeros((n, 5, 1), np.float32), captions, songs, performers, ("a",))


@pytest.mark.parametrize(
    "pairs",
    [
        [(p, 10 * p + s) for p in range(5) for s in range(4)],  # songs of their own
        [(p, s) for p in range(6) for s in range(6)],  # everybody moves to everything
        [(p, s) for p in range(30) for s in (p % 4, 4 + p % 3)],
        [(p, p) for p in range(5) for _ in range(6)],  # a recording each, in six windows
    ],
)
def test_a_split_does_not_leak_and_drops_little(pairs):
    examples = examples_of(pairs)
    train, held_out = split(examples, 0.2)
    check_split(train, held_out)
    assert len(set(held_out.performers)) > 1 and len(set(held_out.songs)) > 1, "another video shows another performer"
    assert len(held_out) >= 2 and len(train) >= 0.4 * len(examples)
    if len(set(songs := [s for _, s in pairs])) == len(songs):
        assert len(train) + len(held_out) == len(examples), "nothing needs to be dropped"


@pytest.mark.parametrize("pairs", [[(0, s) for s in range(9)], [(p, 0) for p in range(9)], [(0, 0), (1, 1)]])
def test_an_impossible_split_is_explained(pairs):
    with pytest.raises(ExpotionError, match="Record more people"):
        split(examples_of(pairs))


def test_a_split_that_leaks_or_has_other_channels_is_refused():
    examples = examples_of([(0, 0), (0, 1), (1, 1)])
    with pytest.raises(ExpotionError, match="1 performers are in training and held-out data"):
        check_split(examples.pick(np.array([0])), examples.pick(np.array([1])))
    with pytest.raises(ExpotionError, match="1 songs are in training and held-out data"):
        check_split(examples.pick(np.array([1])), examples.pick(np.array([2])))
    with pytest.raises(ExpotionError, match="different channels"):
        check_split(examples, examples.select([]))


def test_a_saved_file_reads_back_the_same(tmp_path):
    examples = examples_of([(0, 1), (2, 3)])
    loaded = Examples.load(examples.save(tmp_path / "examples.npz"))
    assert loaded.captions == examples.captions and loaded.channels == examples.channels
    for name in ("codes", "controls", "songs", "performers"):
        array = getattr(loaded, name)
        assert np.array_equal(array, getattr(examples, name)) and array.dtype == getattr(examples, name).dtype
    (tmp_path / "other.npz").write_bytes(b"no examples")
    with pytest.raises(ExpotionError, match="not a file of examples"):
        Examples.load(tmp_path / "other.npz")
