"""The judges of nano are judged: each row tells good from bad where we know which is which."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from expotion_lite.evaluation.metrics import tempo_by_line
from expotion_lite.generation import generate_from_text
from expotion_lite.lab import nano_report_rows as report_rows
from expotion_lite.lab.judges import SECONDS, Judge, balanced_accuracy, corpus, embeddings, plays
from expotion_lite.lab.nano_report import codec_alone, evaluate_codec, table_of
from expotion_lite.lab.nano_report_rows import (
    Row,
    codec_rows,
    families_row,
    health_rows,
    key_rows,
    peak_mb,
    players_of,
    prompt_for,
    quality_rows,
    tempo_prompts,
    tuning_row,
)
from expotion_lite.musicgen.loading import load
from expotion_lite.synthetic import band
from expotion_lite.synthetic.band import STYLES


@pytest.fixture(scope="module")
def nano():
    return load("nano")


@pytest.fixture(scope="module")
def held(nano):
    return corpus(nano, 14, 8_530)


@pytest.fixture(scope="module")
def heard(held):
    return embeddings(held.audio, 16_000)


def test_a_line_through_beats_finds_the_tempo_that_a_tracker_rounds():
    rng = np.random.default_rng(0)
    assert tempo_by_line(np.arange(20) * 0.5 + rng.normal(0, 0.01, 20)) == pytest.approx(120, abs=0.5)
    assert tempo_by_line(np.arange(20) * 1.0) == pytest.approx(60)
    assert tempo_by_line(np.zeros(1)) == 0


def test_the_codec_is_measured_against_the_original(nano, held):
    beats, use, tuned = codec_rows(held, nano)
    assert 0.8 < beats.value < 1.2 and beats.interval[0] <= beats.value <= beats.interval[1]
    assert 0.8 < tuned.value <= 1
    assert 0.15 < use.value <= 1, "a few pieces need fewer entries than music at large"
    rng = np.random.default_rng(0)
    broken = replace(held, decoded=0.1 * rng.standard_normal(held.audio.shape), codes=0 * held.codes)
    beats, use, _ = codec_rows(broken, nano)
    assert beats.value < 0.7 and use.value == pytest.approx(1 / nano.model.decoder.config.vocab_size)


def test_notes_that_keep_their_pitch_are_told_from_those_that_do_not(held):
    import librosa

    same, sharp = (
        replace(held, decoded=librosa.effects.pitch_shift(held.audio, sr=16_000, n_steps=n)) for n in (0, 0.4)
    )
    assert tuning_row(same, 16_000).value > 0.9
    assert tuning_row(sharp, 16_000).value < 0.1


def test_health_finds_what_is_ill(held):
    audio, codes = held.audio[:4].copy(), held.codes[:4].copy()
    audio[0, 8_000:41_000], audio[1] = 0, np.sign(audio[1])
    audio[2] = 0.1 * np.random.default_rng(0).standard_normal(audio.shape[1])
    codes[3, 2, 100:220] = 7
    rows = health_rows(audio, codes, held, 16_000)
    values = {row.what: row.value for row in rows}
    assert values["health: silent"] == values["health: clipped"] == values["health: stuck"] == 0.25
    assert values["health: noise-like"] >= 0.25
    well = health_rows(held.audio[1:7], held.codes[1:7], held, 16_000)
    assert not any(row.value for row in well)
    assert all(row.interval[0] == 0 and 0.3 < row.interval[1] < 0.6 for row in well), "six clips prove little"


def test_the_judge_learns_styles_and_instruments(held, heard):
    judge = Judge(heard, held.pieces)
    assert judge.right_style(heard, held.pieces).mean() > 0.9
    others = held.pieces[1:] + held.pieces[:1]
    assert judge.right_style(heard, others).mean() < 0.5
    assert 0 < plays(held.pieces, "drums").mean() <= 1
    row = families_row(judge, held, {"decoded": heard, "asked": heard})
    assert row.value > 0.9 and row.interval[0] <= row.value <= row.interval[1] <= 1
    turned = families_row(judge, held, {"decoded": heard, "asked": np.roll(heard, 3, axis=0)})
    assert turned.value < row.value - 0.2


def test_balanced_accuracy_is_half_for_who_always_says_the_same():
    truth = {"drums": np.array([True] * 9 + [False]), "piano": np.array([False] * 10)}
    always = {name: np.ones(10, bool) for name in truth}
    assert balanced_accuracy(always, truth) == pytest.approx(1 / 3)  # drums: 1 and 0; piano, which never plays: 0
    assert balanced_accuracy(truth, truth) == 1


def test_distances_grow_with_what_is_different(heard):
    noise = embeddings(0.1 * np.random.default_rng(1).standard_normal((len(heard), 160_000)).astype(np.float32), 16_000)
    rows = quality_rows({"band": heard, "the same": heard, "noise": noise}, (heard[:5], heard[5:]))
    assert rows[0].value == pytest.approx(0, abs=1e-3) and rows[1].value > 1
    assert rows[1].interval[0] < rows[1].value < rows[1].interval[1]


def test_loudness_does_not_count(held):
    assert np.allclose(embeddings(held.audio[:1], 16_000), embeddings(0.3 * held.audio[:1], 16_000), atol=1e-3)


def test_nano_sings_what_it_is_asked(nano, held):
    audio, codes = generate_from_text(nano, [prompt_for(held.pieces[0]), "techno"], 10.0)
    assert audio.shape == (2, 160_000) and codes.shape == (2, 4, 500)
    assert held.pieces[0].style in prompt_for(held.pieces[0])
    assert held.pieces[0].style not in players_of(held.pieces[0])


def test_prompts_for_a_tempo_name_what_the_band_plays_at_that_tempo():
    prompts, pieces, wanted = tempo_prompts(16_000, 6)
    assert wanted[0] == 60 and wanted[-1] == 170 and len(prompts) == 6
    assert [piece.tempo_bpm for piece in pieces] == list(wanted)
    for prompt, bpm in zip(prompts, wanted, strict=True):
        style, said = prompt.split(", ")
        low, high = STYLES[style].tempo_bpm
        assert low <= bpm <= high and said == f"{bpm:.0f} bpm"


def test_music_in_the_key_that_was_asked_for_is_told_from_music_in_another(nano, monkeypatch):
    played = [band.play(band.compose(740_000_000 + i, SECONDS), 16_000) for i in range(13)]
    monkeypatch.setattr(report_rows, "generate_from_text", lambda *_: (played[:12], None))
    tonic, mode = key_rows(nano, 12)
    assert tonic.value >= 0.6 and mode.value >= 0.9 and f"{mode.value:.2f}" in mode.how
    monkeypatch.setattr(report_rows, "generate_from_text", lambda *_: (played[1:], None))
    tonic, mode = key_rows(nano, 12)
    assert tonic.value <= 0.3 and mode.value <= 0.8, "the next piece's"


def test_a_table_comes_out():
    text = table_of([Row("speed", "music a second", 5.5, None, ">= 3"), Row("a", "b", 0.5, (0.4, 0.6), ">= 0.8")])
    assert "| speed | music a second | 5.50 | >= 3 |" in text and "0.50 (0.40 to 0.60)" in text
    assert 10 < peak_mb() < 100_000


def test_a_codec_alone_is_measured(tmp_path):
    """One that was never trained: everything is far away, and most entries of its codebooks are idle."""
    from expotion_lite.lab.codec_training import new_codec

    new_codec(4, 16).save_pretrained(tmp_path)
    musicgen = codec_alone(tmp_path)
    rows = {row.what: row.value for row in evaluate_codec(musicgen, 6)}
    assert rows["codec: log-mel error"] > 1 and rows["codec: beats"] < 0.9
    assert rows["distance to the band: through the codec"] > 0.5
