"""Composition and captions: the notes of a piece agree with its ground truth, in every style."""

from __future__ import annotations

import re

import numpy as np
import pytest

from expotion_lite.synthetic.arranging import arrange
from expotion_lite.synthetic.captions import LEVEL_WORDS, MOOD_WORDS, caption
from expotion_lite.synthetic.harmony import KEYS, MODES, PROGRESSIONS, chord_on, voice
from expotion_lite.synthetic.styles import STYLES


def grids(style):
    return (*style.bass_grids, *style.chord_grids, *style.lead_grids, *(grid for _, grid in style.drums))


@pytest.mark.parametrize("name", STYLES)
def test_every_rhythm_is_a_bar_long_and_uses_known_symbols(name):
    style = STYLES[name]
    assert {len(grid) for grid in grids(style)} == {style.beats * style.steps}
    assert all(re.fullmatch(r"[.\-1358w]+", grid) for grid in style.bass_grids)
    assert all(re.fullmatch(r"[.\-x1-4]+", grid) for grid in style.chord_grids)
    assert all(re.fullmatch(r"[.\-x]+", grid) for grid in style.lead_grids)
    assert all(re.fullmatch(r"[.Xxo]+", grid) for _, grid in style.drums)
    assert set(style.modes) <= MODES.keys() and 55 <= style.tempo_bpm[0] < style.tempo_bpm[1] <= 180


@pytest.mark.parametrize("name", STYLES)
def test_beats_bars_chords_sections_and_energy_agree_with_each_other(name):
    piece, style = arrange(4, 14.0, style=name), STYLES[name]
    beat_s = 60 / piece.tempo_bpm
    assert np.allclose(np.diff(piece.beats), beat_s) and np.isin(piece.downbeats, piece.beats).all()
    assert np.allclose(np.diff(piece.downbeats), style.beats * beat_s) and piece.beats_per_bar == style.beats
    assert np.isin(np.round(piece.sections, 6), np.round(np.r_[0.0, piece.downbeats], 6)).all()
    assert [time for time, _ in piece.chords[1:]] == pytest.approx(piece.downbeats[-len(piece.chords) + 1 :])
    assert piece.energy.shape == (700,) and 0.25 < piece.energy.min() <= piece.energy.max() <= 1
    assert all(0 < note.velocity <= 1 and note.duration_s > 0 for note in piece.notes)


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("mode", MODES)
def test_chords_and_melody_belong_to_the_key(name, mode):
    """The exceptions are the raised third of the dominant in minor, and the approach notes of the bass."""
    piece = arrange(5, 12.0, style=name, mode=mode, key="D")
    scale = {(KEYS.index("D") + step) % 12 for step in MODES[mode]} | ({1} if mode == "minor" else set())
    bass = set(STYLES[name].bass)
    pitched = [note for note in piece.notes if note.pitch and note.instrument not in bass]
    assert {note.pitch % 12 for note in pitched} <= scale


def test_onsets_lie_within_two_standard_deviations_of_the_grid():
    piece, step_s = arrange(6, 20.0, style="rock", tempo_bpm=120.0), 0.125
    onsets = np.array([note.onset_s for note in piece.notes if note.instrument == "snare"])
    steps = (onsets - piece.beats[0]) / step_s
    error_s = np.abs(steps - np.round(steps)) * step_s
    assert len(onsets) > 10 and error_s.max() <= 2 * STYLES["rock"].timing_sd_s + 1e-9


def test_the_energy_changes_and_an_accent_lies_where_a_section_starts():
    for seed in range(20):
        piece = arrange(seed, 14.0, style="funk")
        for start in piece.sections[piece.sections > 0.1]:
            before, after = piece.energy[int(start * 50) - 2], piece.energy[int(start * 50) + 2]
            assert before != after
            assert start in piece.accents


def test_voice_leading_moves_little():
    for mode, progressions in PROGRESSIONS.items():
        for degrees in progressions:
            voices, moves = [], []
            for degree in degrees * 2:
                after = voice(chord_on(7, degree, mode), voices)
                moves += [abs(a - b) for a, b in zip(voices, after, strict=True)] if voices else []
                voices = after
            assert np.mean(moves) < 3.5 and min(voices) >= 50 and max(voices) <= 84


def test_styles_differ_in_instruments_and_rhythms():
    sets = [frozenset((s.bass, s.chords, s.lead, s.drums, s.beats)) for s in STYLES.values()]
    assert len(set(sets)) == len(STYLES) >= 10
    players = {p for seed in range(100) for p in arrange(seed, 8.0).instruments}
    assert len(players) >= 15


def test_a_seed_gives_one_piece_and_given_arguments_are_kept():
    a, b = arrange(9, 6.0), arrange(9, 6.0)
    assert a.notes == b.notes and a.chords == b.chords and a.notes != arrange(10, 6.0).notes
    piece = arrange(9, 6.0, style="waltz", tempo_bpm=100, key="Eb", mode="minor")
    assert (piece.style, piece.tempo_bpm, piece.key, piece.mode) == ("waltz", 100.0, "Eb", "minor")
    with pytest.raises(KeyError):
        arrange(1, style="polka")


def test_captions_are_true_and_varied_and_leave_out_tempo_and_mood_when_asked():
    texts = set()
    for seed in range(60):
        piece = arrange(seed, 8.0)
        text = caption(piece, np.random.default_rng(seed))
        texts.add(text)
        for bpm in re.findall(r"(\d+) (?:bpm|BPM|beats)", text):
            assert int(bpm) == round(piece.tempo_bpm)
        everybody = {i for style in STYLES.values() for i in (*style.bass, *style.chords, *style.lead, *style.pad)}
        named = {i for i in everybody if re.search(rf"\b{i}\b", text.lower().replace("bass and", "bass,"))}
        assert named - set(piece.instruments) <= {"piano", "brass", "strings", "organ", "choir"}  # parts of other names
        silent = caption(piece, np.random.default_rng(seed), tempo=False)
        assert not re.search(r"bpm|beats per|tempo|slow|fast|upbeat|lively|hurried", silent.lower())
        moods = {*MOOD_WORDS[0], *MOOD_WORDS[1], *STYLES[piece.style].moods[0], *STYLES[piece.style].moods[1]}
        moods -= {word for _, words in LEVEL_WORDS for word in words} | set(" ".join(STYLES[piece.style].names).split())
        told = set(re.findall(r"[\w-]+", caption(piece, np.random.default_rng(seed), mood=False).lower()))
        assert not told & {*moods, *MODES}
    assert len(texts) == 60


def test_a_caption_names_the_key_always_never_or_sometimes():
    said = {True: 0, False: 0, None: 0}
    for seed in range(60):
        piece = arrange(seed, 2.0)
        for wanted in said:
            text = caption(piece, np.random.default_rng(seed), key=wanted)
            said[wanted] += bool(re.search(rf"\b(?:in|key is) {piece.key}(?: {piece.mode})?(?![\w#])", text))
    assert said[True] == 60 and said[False] == 0 and 3 < said[None] < 20


def test_a_piece_may_start_on_a_downbeat():
    piece = arrange(3, 6.0, on_downbeat=True)
    assert piece.downbeats[0] == piece.beats[0] == 0 and arrange(3, 6.0).beats[0] > 0
