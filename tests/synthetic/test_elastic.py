"""Pieces without a tempo: notes and beats move together, and music begins with the events."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from expotion_lite.synthetic.arranging import arrange
from expotion_lite.synthetic.elastic import place_on_events, wander

SEEDS = pytest.mark.parametrize("seed", range(6))
DURATION_S = 8.0


def written(seed, duration_s=DURATION_S):
    return arrange(seed, duration_s, style="rock")


def moved(seed):
    return wander(written(seed), np.random.default_rng(seed))


def eventful(seed):
    return place_on_events(written(seed, 3 * DURATION_S), DURATION_S, np.random.default_rng(seed))


def test_the_tempo_of_a_wandering_piece_changes_within_limits():
    """Up to two pauses lengthen a beat beyond that."""
    spreads = []
    for seed in range(20):
        piece, before = moved(seed), written(seed)
        ratios = np.diff(piece.beats) / np.diff(before.beats)[: len(piece.beats) - 1]
        assert ratios.min() > 0.5 and np.median(ratios) < 1.75 and (ratios > 1.75).sum() <= 2
        spreads.append(ratios.std() / ratios.mean())
        assert piece.beats.max() < piece.duration_s == before.duration_s
    assert np.median(spreads) > 0.05 and np.std(np.diff(written(0).beats)) < 1e-9


@SEEDS
def test_notes_wander_along_with_the_beats(seed):
    """A note that was on a beat is on it still, and no note that stays in the piece is lost."""
    before, after = written(seed), moved(seed)
    for note, origin in zip(after.notes, before.notes, strict=False):
        assert (note.instrument, note.pitch, note.velocity) == (origin.instrument, origin.pitch, origin.velocity)
        place = np.interp(origin.onset_s, before.beats, np.arange(len(before.beats)), left=-1, right=-1)
        if 0 <= place < len(after.beats) - 1 and abs(place - round(place)) < 0.02:
            assert note.onset_s == pytest.approx(after.beats[round(place)], abs=0.04)
    assert all(0 <= note.onset_s < after.duration_s and note.duration_s >= 0.03 for note in after.notes)
    assert len(after.notes) > 0.5 * len(before.notes)


def test_events_are_irregular_and_neither_too_close_nor_too_far_apart():
    gaps = [np.diff(eventful(seed).beats) for seed in range(40)]
    joined = np.concatenate(gaps)
    assert joined.min() >= 0.25 - 1e-9 and joined.max() <= 2.6 and joined.std() > 0.25
    assert np.mean([(each.std() / each.mean()) > 0.05 for each in gaps]) > 0.9
    assert 0.4 < np.median(joined) < 0.9


@SEEDS
def test_most_notes_of_an_eventful_piece_begin_with_an_event(seed):
    piece = eventful(seed)
    onsets = np.array([note.onset_s for note in piece.notes])
    near = np.abs(onsets[:, None] - piece.beats).min(axis=1) < 0.1
    loudness = np.array([note.velocity for note in piece.notes])
    assert loudness[near].sum() > 0.6 * loudness.sum()
    assert piece.duration_s == DURATION_S and onsets.max() < DURATION_S and (np.diff(onsets) >= 0).all()
    assert all(0 < note.velocity <= 1 and 0.05 <= note.duration_s <= 5 for note in piece.notes)
    assert piece.beats.max() < DURATION_S


def test_an_eventful_piece_lasts_to_its_end():
    """Three times as long a piece has enough beats, unless the events are very dense."""
    ends = [eventful(seed).beats.max() for seed in range(40)]
    assert np.mean(np.array(ends) > DURATION_S - 2.7) == 1


def test_the_music_itself_stays():
    """Pitches and instruments are those of the written piece, in keeping with its key and chords."""
    for seed in range(4):
        before = Counter((note.instrument, note.pitch) for note in written(seed, 3 * DURATION_S).notes)
        after = Counter((note.instrument, note.pitch) for note in eventful(seed).notes)
        assert after and not after - before
        assert (eventful(seed).key, eventful(seed).mode) == (written(seed).key, written(seed).mode)


def test_a_seed_gives_one_piece():
    assert moved(3).notes == moved(3).notes != moved(4).notes
    assert eventful(3).notes == eventful(3).notes != eventful(4).notes


@SEEDS
@pytest.mark.parametrize("make", [moved, eventful])
def test_all_times_move_with_the_beats(seed, make):
    piece = make(seed)
    assert len(piece.energy) == round(50 * DURATION_S) and 0 <= piece.energy.min() <= piece.energy.max() <= 1
    assert piece.tempo_bpm == pytest.approx(60 / np.median(np.diff(piece.beats)))
    for times in (piece.downbeats, piece.sections):
        assert all(np.abs(piece.beats - time).min() < 0.02 for time in times[times >= piece.beats[0]])
    assert len(piece.downbeats) == pytest.approx(len(piece.beats) / piece.beats_per_bar, abs=1)
