"""The proof itself is proven: it finds a relation where there is one, and none where there is none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from expotion_lite.data.synthetic import HELD_OUT_PERFORMERS, HELD_OUT_SONGS, TRAIN_PERFORMERS, TRAIN_SONGS
from expotion_lite.evaluation.alignment import held_out, paired, plot_alignment, score, summarise, table_of
from expotion_lite.synthetic.band import play


@pytest.fixture(scope="module")
def performances():
    return held_out(6, 6.0)


def test_held_out_is_far_from_training_and_captions_hide_the_tempo(performances):
    pieces, _, captions = performances
    assert HELD_OUT_SONGS + 10_000 < 1_000_000 < TRAIN_SONGS and HELD_OUT_PERFORMERS + 10_000 < TRAIN_PERFORMERS
    assert len({piece.seed for piece in pieces}) == 6
    assert not any("bpm" in text or "slow" in text or "fast" in text for text in captions)


def test_the_bands_own_music_separates_from_the_shuffled_control(performances):
    pieces, controls, _ = performances
    tables = score([play(piece, 16_000) for piece in pieces], 16_000, pieces, controls)
    for name, table in tables.items():
        assert table.shape == (6, 6)
        assert summarise(table)["difference"] > 0.05, name


def test_music_that_knows_nothing_of_the_video_does_not(performances):
    """The band's music of other songs is as rhythmic, and fits these videos no better than the others."""
    pieces, controls, _ = performances
    wrong = [play(piece, 16_000) for piece in held_out(12, 6.0)[0][6:]]
    for name, table in score(wrong, 16_000, pieces, controls).items():
        assert summarise(table)["difference"] < 0.05, name


def test_gains_compare_two_kinds_of_music_on_the_same_video():
    gain = paired(np.eye(5) * 0.5 + 0.1, np.full((5, 5), 0.1))
    assert gain["gain"] == pytest.approx(0.5) and gain["gain_95"] == pytest.approx((0.5, 0.5)) and gain["p"] < 0.05


def test_a_table_and_a_figure_come_out(tmp_path):
    scores = {"music": {"score": summarise(np.eye(5) * 0.5 + 0.1)}, "other music": {"score": summarise(np.eye(5))}}
    gains = {"no video": {"score": paired(np.eye(5), np.zeros((5, 5)))}}
    text = table_of({"scores": scores, "gains": gains})
    assert "| music | score | 0.60 | 0.10 | +0.50" in text and "| no video | score | +1.00" in text
    json.dumps(scores)
    plot_alignment(scores, tmp_path / "alignment.svg")
    assert (tmp_path / "alignment.svg").stat().st_size > 1000
