"""The examples that nano's adapter learns from: shares of music and performances, with curves of their own music."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from expotion_lite.controls.channels import ADAPTER_CHANNELS, CHANNELS
from expotion_lite.data.examples import Examples, check_split
from expotion_lite.lab import event_training
from expotion_lite.lab.event_training import HELD_OUT_PIECES, MUSIC_SHARE, event_examples

FRAMES = 200
MUSICGEN = SimpleNamespace(sample_rate=16_000)
ILL: set[int] = set()  # numbers of songs that are walls of sound


def drawn(n, first, channels, performed):
    """Return examples whose codes hold the number of their song, and whose performers smile."""
    songs = first + np.arange(n)
    codes = np.tile((songs % 1000)[:, None, None], (1, 4, FRAMES)).astype(np.int16)
    controls = np.zeros((n, FRAMES, len(channels)), np.float32)
    controls[..., channels.index("smile")] = float(performed)
    controls[..., channels.index("motion_missing")] = float(not performed)
    return Examples(codes, controls, ("rock",) * n, songs, songs, channels)


def onsets_of(codes):
    """Return curves with one onset, whose frame tells the song."""
    curves = np.zeros((len(codes), FRAMES, 4), np.float32)
    for row, song in enumerate(codes[:, 0, 0]):
        curves[row, 20 + song % 100 : 22 + song % 100] = 1
    return curves


@pytest.fixture
def asked(monkeypatch):
    """Replace what takes minutes, and return which onsets were computed."""
    computed = []

    def decoded(_, examples):
        computed.extend(examples.songs.tolist())
        return examples.codes[:, :1]

    monkeypatch.setattr(event_training, "decoded", decoded)
    monkeypatch.setattr(event_training, "onset_curves", lambda codes, *_: onsets_of(codes[None])[0])
    monkeypatch.setattr(event_training, "is_ill", lambda codes, _: codes[0, 0] in ILL)
    monkeypatch.setattr(
        event_training,
        "cached_music_examples",
        lambda _, n, first, *__, **___: drawn(n, first, ADAPTER_CHANNELS, performed=False),
    )
    monkeypatch.setattr(
        event_training, "cached_synthetic_split", lambda _, n, __: (drawn(n, 5_000_000, CHANNELS, True), None)
    )
    return computed


@pytest.mark.parametrize(("performances", "pieces"), [(30, 60), (30, 15), (10, 80), (0, 10)])
def test_music_has_its_share_and_each_example_has_the_onsets_of_its_own_music(asked, tmp_path, performances, pieces):
    data = event_examples(MUSICGEN, tmp_path, performances, pieces)
    performed = data.train.controls[:, 0, ADAPTER_CHANNELS.index("smile")] == 1
    if performances:
        assert np.mean(~performed) == pytest.approx(MUSIC_SHARE, abs=0.05)
    assert len(set(data.train.songs)) == performances + pieces, "none is left out"
    assert np.array_equal(data.draw_controls.performed, performed)
    np.testing.assert_array_equal(data.draw_controls.onsets, onsets_of(data.train.codes))
    assert data.train.channels == data.performances.channels == ADAPTER_CHANNELS
    check_split(data.train, data.held_out)


def test_held_out_music_has_curves_of_its_own_that_are_the_same_each_time(asked, tmp_path):
    first, again = (event_examples(MUSICGEN, tmp_path, 3, 3).held_out for _ in range(2))
    assert len(first) == HELD_OUT_PIECES and np.array_equal(first.controls, again.controls)
    event = first.controls[..., ADAPTER_CHANNELS.index("event")]
    shown = event.max(axis=1) > 0.15
    places = event.argmax(axis=1) - 20 - first.codes[:, 0, 0] % 100
    assert shown.mean() > 0.8 and np.median(np.abs(places[shown])) < 4
    assert not first.controls[..., ADAPTER_CHANNELS.index("motion_missing")].any()
    assert not first.controls[..., ADAPTER_CHANNELS.index("smile")].any()


def test_onsets_are_computed_once(asked, tmp_path):
    event_examples(MUSICGEN, tmp_path, 3, 120)
    assert len(asked) == len(set(asked)) == 3 + 120 + HELD_OUT_PIECES
    event_examples(MUSICGEN, tmp_path, 3, 120)
    assert len(asked) == 3 + 120 + HELD_OUT_PIECES


def test_music_that_is_ill_is_left_out_and_the_curves_of_the_rest_stay_theirs(asked, tmp_path, monkeypatch):
    monkeypatch.setattr("test_event_training.ILL", {3, 104, 205})  # of 240 pieces, the last in the third part
    data = event_examples(MUSICGEN, tmp_path, 6, 240)
    performed = data.train.controls[:, 0, ADAPTER_CHANNELS.index("smile")] == 1
    assert set(data.train.codes[~performed, 0, 0]) == set(range(240)) - {3, 104, 205}
    assert set(data.train.codes[performed, 0, 0]) == set(range(6)) - {3} and len(data.performances) == 5
    assert set(data.held_out.codes[:, 0, 0]) == set(range(HELD_OUT_PIECES)) - {3}
    np.testing.assert_array_equal(data.draw_controls.onsets, onsets_of(data.train.codes))
