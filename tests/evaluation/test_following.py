"""Tests of the alignment report: it finds a relation where there is one, and none where there is none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from expotion_lite.data.synthetic import HELD_OUT_PERFORMERS, HELD_OUT_SONGS, TRAIN_PERFORMERS, TRAIN_SONGS
from expotion_lite.evaluation.following import held_out, plot_alignment, score, summarise, summarise_gain, table_of
from expotion_lite.synthetic.band import play


@pytest.fixture(scope="module")
def performances():
    return held_out(6, 6.0)


def test_held_out_seeds_are_apart_from_training_and_captions_hide_the_tempo(performances):
    pieces, _, captions = performances
    assert HELD_OUT_SONGS + 10_000 < 1_000_000 < TRAIN_SONGS and HELD_OUT_PERFORMERS + 10_000 < TRAIN_PERFORMERS
    assert len({piece.seed for piece in pieces}) == 6
    assert not any("bpm" in text or "slow" in text or "fast" in text for text in captions)


@pytest.mark.slow
def test_the_bands_own_music_is_above_the_shuffled_control(performances):
    pieces, controls, _ = performances
    tables = score([play(piece, 16_000) for piece in pieces], 16_000, pieces, controls)
    for name, table in tables.items():
        assert table.shape == (6, 6)
        assert summarise(table)["difference"] > 0.05, name


@pytest.mark.slow
def test_music_for_other_songs_is_not_above_the_shuffled_control(performances):
    pieces, controls, _ = performances
    wrong = [play(piece, 16_000) for piece in held_out(12, 6.0)[0][6:]]
    for name, table in score(wrong, 16_000, pieces, controls).items():
        assert summarise(table)["difference"] < 0.05, name


def test_a_gain_is_a_mean_with_its_interval_and_p():
    gain = summarise_gain(np.full(5, 0.5))
    assert gain == {"gain": 0.5, "gain_95": (0.5, 0.5), "p": 1 / 32}


def test_results_become_a_table_and_a_figure(tmp_path):
    scores = {"music": {"score": summarise(np.eye(5) * 0.5 + 0.1)}, "other music": {"score": summarise(np.eye(5))}}
    gains = {"no video": {"score": summarise_gain(np.ones(5))}}
    text = table_of({"scores": scores, "gains": gains})
    assert "| music | score | 0.60 | 0.10 | +0.50" in text and "| no video | score | +1.00" in text
    json.dumps(scores)
    plot_alignment(scores, tmp_path / "alignment.svg")
    assert (tmp_path / "alignment.svg").stat().st_size > 1000
