"""Tests of nano's report: each row separates good from bad where we know which is which."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from expotion_lite.evaluation.metrics import tempo_by_line
from expotion_lite.generation import generate_from_text
from expotion_lite.lab import nano_report_rows as report_rows
from expotion_lite.lab.judges import SECONDS, MusicClassifier, balanced_accuracy, corpus, embeddings, plays
from expotion_lite.lab.nano_report import codec_alone, evaluate_codec, table_of
from expotion_lite.lab.nano_report_rows import (
    Row,
    codec_rows,
    families_row,
    health_rows,
    instruments_prompt,
    key_rows,
    peak_mb,
    quality_rows,
    style_prompt,
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


def test_tempo_of_a_line_averages_out_jitter():
    rng = np.random.default_rng(0)
    assert tempo_by_line(np.arange(20) * 0.5 + rng.normal(0, 0.01, 20)) == pytest.approx(120, abs=0.5)
    assert tempo_by_line(np.arange(20) * 1.0) == pytest.approx(60)
    assert tempo_by_line(np.zeros(1)) == 0


@pytest.mark.slow
def test_codec_rows_separate_the_codec_from_a_broken_one(nano, held):
    beats, use, tuned = codec_rows(held, nano)
    assert 0.8 < beats.value < 1.2 and beats.interval[0] <= beats.value <= beats.interval[1]
    assert 0.8 < tuned.value <= 1
    assert 0.15 < use.value <= 1, "a few pieces need fewer entries than music at large"
    rng = np.random.default_rng(0)
    broken = replace(held, decoded=0.1 * rng.standard_normal(held.audio.shape), codes=0 * held.codes)
    beats, use, _ = codec_rows(broken, nano)
    assert beats.value < 0.7 and use.value == pytest.approx(1 / nano.model.decoder.config.vocab_size)


@pytest.mark.slow
def test_tuning_row_separates_kept_from_shifted_pitch(held):
    import librosa

    same, sharp = (
        replace(held, decoded=librosa.effects.pitch_shift(held.audio, sr=16_000, n_steps=n)) for n in (0, 0.4)
    )
    assert tuning_row(same, 16_000).value > 0.9
    assert tuning_row(sharp, 16_000).value < 0.1


@pytest.mark.slow
def test_each_fault_is_found_in_the_clip_that_has_it(held):
    audio, codes = held.audio[:4].copy(), held.codes[:4].copy()
    audio[0, 8_000:41_000], audio[1] = 0, np.sign(audio[1])
    audio[2] = 0.1 * np.random.default_rng(0).standard_normal(audio.shape[1])
    codes[3, 2, 100:220] = 7
    rows = health_rows(audio, codes, held, 16_000)
    values = {row.what: row.value for row in rows}
    assert values["health: silent"] == values["health: clipped"] == values["health: stuck"] == 0.25
    assert values["health: noise-like"] >= 0.25
    healthy = health_rows(held.audio[1:7], held.codes[1:7], held, 16_000)
    assert not any(row.value for row in healthy)
    assert all(row.interval[0] == 0 and 0.3 < row.interval[1] < 0.6 for row in healthy), "six clips prove little"


@pytest.mark.slow
def test_classifier_learns_styles_and_instruments(held, heard):
    classifier = MusicClassifier(heard, held.pieces)
    assert classifier.style_is_right(heard, held.pieces).mean() > 0.9
    others = held.pieces[1:] + held.pieces[:1]
    assert classifier.style_is_right(heard, others).mean() < 0.5
    assert 0 < plays(held.pieces, "drums").mean() <= 1
    row = families_row(classifier, held, decoded=heard, generated=heard)
    assert row.value > 0.9 and row.interval[0] <= row.value <= row.interval[1] <= 1
    shifted = families_row(classifier, held, decoded=heard, generated=np.roll(heard, 3, axis=0))
    assert shifted.value < row.value - 0.2


def test_balanced_accuracy_does_not_reward_a_constant_answer():
    truth = {"drums": np.array([True] * 9 + [False]), "piano": np.array([False] * 10)}
    always = {name: np.ones(10, bool) for name in truth}
    assert balanced_accuracy(always, truth) == pytest.approx(1 / 3)  # drums: 1 and 0; piano, which never plays: 0
    assert balanced_accuracy(truth, truth) == 1


@pytest.mark.slow
def test_frechet_distance_of_noise_is_larger_than_of_the_same_music(heard):
    noise = embeddings(0.1 * np.random.default_rng(1).standard_normal((len(heard), 160_000)).astype(np.float32), 16_000)
    rows = quality_rows({"band": heard, "the same": heard, "noise": noise}, (heard[:5], heard[5:]))
    assert rows[0].value == pytest.approx(0, abs=1e-3) and rows[1].value > 1
    assert rows[1].interval[0] < rows[1].value < rows[1].interval[1]


@pytest.mark.slow
def test_embeddings_do_not_depend_on_level(held):
    assert np.allclose(embeddings(held.audio[:1], 16_000), embeddings(0.3 * held.audio[:1], 16_000), atol=1e-3)


@pytest.mark.slow
def test_generation_from_prompts_has_the_asked_shapes(nano):
    audio, codes = generate_from_text(nano, ["waltz with piano", "techno"], 2.0)
    assert audio.shape == (2, 32_000) and codes.shape == (2, 4, 100)


def test_prompts_name_the_instruments_with_or_without_the_style():
    piece = band.compose(8_530, SECONDS)
    assert style_prompt(piece).startswith(piece.style) and piece.style not in instruments_prompt(piece)
    assert all(name in style_prompt(piece) and name in instruments_prompt(piece) for name in piece.instruments)


@pytest.mark.slow
def test_tempo_prompts_name_styles_that_have_that_tempo():
    prompts, pieces, wanted = tempo_prompts(16_000, 6)
    assert wanted[0] == 60 and wanted[-1] == 170 and len(prompts) == 6
    assert [piece.tempo_bpm for piece in pieces] == list(wanted)
    for prompt, bpm in zip(prompts, wanted, strict=True):
        style, said = prompt.split(", ")
        low, high = STYLES[style].tempo_bpm
        assert low <= bpm <= high and said == f"{bpm:.0f} bpm"


@pytest.mark.slow
def test_key_rows_separate_the_asked_key_from_others(nano, monkeypatch):
    played = [band.play(band.compose(740_000_000 + i, SECONDS), 16_000) for i in range(13)]
    monkeypatch.setattr(report_rows, "generate_from_text", lambda *_: (played[:12], None))
    tonic, mode = key_rows(nano, 12)
    assert tonic.value >= 0.6 and mode.value >= 0.9 and f"{mode.value:.2f}" in mode.how
    monkeypatch.setattr(report_rows, "generate_from_text", lambda *_: (played[1:], None))
    tonic, mode = key_rows(nano, 12)
    assert tonic.value <= 0.3 and mode.value <= 0.8, "the next piece's"


def test_table_shows_values_with_and_without_intervals():
    text = table_of([Row("speed", "music a second", 5.5, None, ">= 3"), Row("a", "b", 0.5, (0.4, 0.6), ">= 0.8")])
    assert "| speed | music a second | 5.50 | >= 3 |" in text and "0.50 (0.40 to 0.60)" in text
    assert 10 < peak_mb() < 100_000


@pytest.mark.slow
def test_an_untrained_codec_scores_badly(tmp_path):
    from expotion_lite.lab.codec_training import new_codec

    new_codec(4, 16).save_pretrained(tmp_path)
    musicgen = codec_alone(tmp_path)
    rows = {row.what: row.value for row in evaluate_codec(musicgen, 6)}
    assert rows["codec: log-mel error"] > 1 and rows["codec: beats"] < 0.9
    assert rows["distance to the band: through the codec"] > 0.5
