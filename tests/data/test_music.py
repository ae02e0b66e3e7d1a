"""Examples of music to which nobody moves: their kinds, what they say about a person, and their cache."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from expotion_lite.controls.channels import ADAPTER_CHANNELS
from expotion_lite.data import music
from expotion_lite.data.examples import Examples, check_split, split
from expotion_lite.data.music import EVENTFUL, WANDERING, cached_music_examples, draw_piece, music_examples
from expotion_lite.data.synthetic import TRAIN_SONGS
from expotion_lite.evaluation.metrics import onset_strength
from expotion_lite.musicgen.codes import decode


def test_pieces_keep_their_tempo_wander_or_are_eventful_in_the_given_shares():
    spreads = []
    for song in range(80):
        gaps = np.diff(draw_piece(song, 6.0).beats)
        spreads.append(gaps.std() / gaps.mean())
    steady = np.mean(np.array(spreads) < 1e-6)
    assert steady == pytest.approx(1 - EVENTFUL - WANDERING, abs=0.15)
    assert np.mean(np.array(spreads) > 0.02) == pytest.approx(EVENTFUL + WANDERING, abs=0.15)
    inelastic = [np.diff(draw_piece(song, 6.0, elastic=False).beats).std() for song in range(10)]
    assert max(inelastic) < 1e-9


@pytest.mark.slow
def test_nobody_is_seen_and_the_music_is_that_of_the_piece(musicgen):
    import torch

    examples = music_examples(musicgen, 3, 500)
    assert examples.codes.shape == (3, 4, 100) and examples.codes.dtype == np.int16 and examples.codes.min() >= 0
    assert examples.channels == ADAPTER_CHANNELS and examples.controls.shape == (3, 100, len(ADAPTER_CHANNELS))
    for column, name in enumerate(ADAPTER_CHANNELS):
        assert (examples.controls[..., column] == name.endswith("_missing")).all()
    sounds = decode(musicgen, torch.from_numpy(examples.codes.astype(np.int64))).numpy().reshape(3, -1)
    fit = np.zeros((3, 3))
    for j in range(3):
        piece = draw_piece(500 + j, 2.0)
        played = onset_strength(music.band.play(piece, musicgen.sample_rate), musicgen.sample_rate)
        for i, sound in enumerate(sounds):
            fit[i, j] = np.corrcoef(onset_strength(sound, musicgen.sample_rate)[:98], played[:98])[0, 1]
    assert (fit.argmax(axis=1) == np.arange(3)).all() and np.diag(fit).min() > 0.5


@pytest.mark.slow
def test_captions_hide_the_tempo_and_pieces_are_apart_from_those_of_performances(musicgen):
    examples = music_examples(musicgen, 10, 700)
    assert not any("bpm" in caption.lower() or "beats per" in caption for caption in examples.captions)
    assert len(set(examples.captions)) == 10
    assert np.array_equal(examples.songs, np.arange(700, 710)) and len(set(examples.performers)) == 10
    check_split(*split(examples, 0.3, 0))
    assert music.MUSIC_SONGS > TRAIN_SONGS + 10_000_000 and music.VALIDATION_MUSIC > music.MUSIC_SONGS + 10_000_000


def test_pieces_are_drawn_once_and_again_when_something_changes(musicgen, tmp_path, monkeypatch):
    drawn = []

    def quick(musicgen, n, first_song, *, elastic):
        drawn.append((n, first_song, elastic))
        songs = first_song + np.arange(n)
        controls = np.zeros((n, 5, len(ADAPTER_CHANNELS)), np.float32)
        return Examples(np.zeros((n, 4, 5), np.int16), controls, ("rock",) * n, songs, songs, ADAPTER_CHANNELS)

    monkeypatch.setattr(music, "music_examples", quick)
    first = cached_music_examples(musicgen, 5, 40, tmp_path / "pieces", part=2)
    assert drawn == [(2, 40, True), (2, 42, True), (1, 44, True)] and first.songs.tolist() == [40, 41, 42, 43, 44]
    drawn.clear()
    assert cached_music_examples(musicgen, 4, 40, tmp_path / "pieces", part=2).songs.tolist() == [40, 41, 42, 43]
    assert not drawn
    for changed in (
        lambda: cached_music_examples(musicgen, 2, 40, tmp_path / "pieces", elastic=False),
        lambda: cached_music_examples(musicgen, 2, 41, tmp_path / "pieces"),
        lambda: cached_music_examples(replace(musicgen, window=50), 2, 40, tmp_path / "pieces"),
    ):
        drawn.clear()
        changed()
        assert len(drawn) == 1
