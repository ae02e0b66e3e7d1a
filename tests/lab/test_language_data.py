"""The language model's training data: fresh pieces, their targets, and captions."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from expotion_lite.lab.language_data import (
    Pieces,
    encode_pieces,
    fresh_pieces,
    harmony_targets,
    in_short_windows,
    key_caption_pairs,
    phase_targets,
    tokenize_with_dropout,
)
from expotion_lite.lab.language_model import WINDOW
from expotion_lite.synthetic import band
from expotion_lite.synthetic.harmony import BRIGHT, KEYS


def test_no_piece_comes_twice_and_a_batch_is_always_the_same():
    first = fresh_pieces(1_000_000, 1, 0)
    assert first.music.shape == (1, 10 * 16_000) and len(first.captions) == 1
    assert first.phases.shape == (1, WINDOW, 6) and first.harmonies.shape == (1, WINDOW, 36)
    later, again = fresh_pieces(1_000_000, 1, 1), fresh_pieces(1_000_000, 1, 1)
    assert torch.equal(later.music, again.music) and later.captions == again.captions
    assert not torch.equal(first.music, later.music)


def test_most_pieces_begin_on_a_downbeat():
    starts = [bool((phases[0, 2] > 0.99).all()) for phases in fresh_pieces(0, 4, 0).phases]
    assert sum(starts) == 3


def test_pieces_are_encoded_whole(tiny_codec):
    codes = encode_pieces(tiny_codec, fresh_pieces(0, 2, 0).music)
    assert codes.shape == (2, 4, WINDOW) and 0 <= codes.min() <= codes.max() < 16


def test_some_captions_are_hidden(tokenizer):
    shown = [bool(tokenize_with_dropout(tokenizer, ["slow waltz"], i)[1].any()) for i in range(400)]
    assert 0.75 < np.mean(shown) < 0.93


def test_short_windows_follow_one_another_with_the_caption_and_targets_of_their_piece():
    codes, phases = torch.arange(2 * 4 * WINDOW).view(2, 4, WINDOW), torch.arange(2 * WINDOW * 6).view(2, WINDOW, 6)
    windows = in_short_windows(Pieces(codes, ("a", "b"), phases, -phases))
    assert torch.equal(windows.harmonies, -windows.phases)
    assert windows.captions == ("a",) * 4 + ("b",) * 4 and windows.music.shape == (8, 4, 125)
    assert torch.equal(windows.music[1], codes[0, :, 125:250]) and torch.equal(windows.music[4], codes[1, :, :125])
    assert torch.equal(windows.phases[1], phases[0, 125:250]) and torch.equal(windows.phases[4], phases[1, :125])


@pytest.mark.parametrize("style", ["waltz", "techno"])
def test_phases_are_0_on_beats_and_downbeats_and_half_a_turn_between(style):
    piece = band.compose(3, 10.0, style=style)
    beat, _, bar, _, later, _ = phase_targets(piece, WINDOW).T
    for times, phase in ((piece.beats, beat), (piece.downbeats, bar), (piece.beats[piece.beats > 0.5] - 0.5, later)):
        frames = np.round(50 * times[times < 9.98]).astype(int)
        assert phase[frames].min() > 0.95 and phase[(frames[:-1] + frames[1:]) // 2].max() < -0.9


@pytest.mark.parametrize("mode", ["major", "minor", "dorian"])
def test_notes_belong_to_the_target_chord_and_the_third_to_the_mode(mode):
    piece = band.compose(3, 10.0, key="Eb", mode=mode, style="folk")
    targets = harmony_targets(piece, WINDOW)
    chord, tonic, third = targets[:, :12], targets[:, 12:24], targets[:, 24:]
    strummed = [note for note in piece.notes if note.instrument == "nylon guitar" and 0 <= note.onset_s < 9.9]
    assert len(strummed) > 20
    for note in strummed:
        assert chord[round(50 * (note.onset_s + 0.08)), note.pitch % 12] == 1
    assert set(chord.sum(1)) == {3.0} and (tonic.sum(1) == 1).all() and (third.sum(1) == 1).all()
    assert (tonic.argmax(1) == 3).all()
    assert (third.argmax(1) == (7 if mode == "major" else 6)).all(), "G or G flat"


def test_one_caption_of_a_pair_names_the_tonic_and_the_other_the_mode():
    tonics, moods, keys = key_caption_pairs(40, 8)
    assert (tonics, moods) == key_caption_pairs(40, 8)[:2] and len(tonics) == len(moods) == 32 and keys.shape == (32, 2)
    for i, (tonic, third) in enumerate(keys.tolist()):
        piece = band.compose(40 + i // 4, 4.0)
        assert re.search(f"(in|key is) {KEYS[tonic]}", tonics[i]) and not re.search("in [A-G]|key is", moods[i])
        assert piece.mode not in tonics[i] and moods[i].endswith(f" in {piece.mode}") == i % 2
        assert (third - tonic) % 12 == (4 if piece.mode in BRIGHT else 3)
