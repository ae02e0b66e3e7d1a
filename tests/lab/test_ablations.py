"""Tests of the ablations: rows differ in what they name, scores tell good from bad, the report shows the results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from expotion_lite.controls.channels import MODALITIES
from expotion_lite.data.synthetic import VALIDATION_OFFSET
from expotion_lite.evaluation.metrics import beat_f_measure, track_beats
from expotion_lite.lab import ablations
from expotion_lite.lab.ablations import (
    COMPARED,
    CONDITIONS,
    Condition,
    held_out_people,
    main,
    run,
    summarise,
    write_report,
)
from expotion_lite.lab.ablations_report import AGAINST_OTHERS, COLUMNS, tables_of
from expotion_lite.lab.musicnn import frechet_distance
from expotion_lite.musicgen.settings import Settings
from expotion_lite.synthetic import band

FIGURES = Path(__file__).parents[2] / "figures"
BY_NAME = {condition.name: condition for condition in CONDITIONS}


@pytest.fixture(scope="module")
def people():
    return held_out_people(3, 10.0, 50.0)


def test_compared_rows_and_columns_exist():
    assert len(BY_NAME) == len(CONDITIONS)
    assert all({a, b} <= BY_NAME.keys() and column in COLUMNS for a, b, column in COMPARED)


def test_captions_name_the_tonic_but_neither_tempo_nor_mode(people):
    text = " ".join(people.captions).lower()
    assert "bpm" not in text and "minor" not in text and "major" not in text
    assert all(f" {piece.key}" in caption for piece, caption in zip(people.pieces, people.captions, strict=True))


def test_a_hidden_modality_loses_its_own_channels_only(people):
    complete = people.controls(BY_NAME["face + motion"])
    for modality, channels in MODALITIES.items():
        hidden = people.controls(Condition("", "", hidden=modality))
        for whole, part in zip(complete, hidden, strict=True):
            for channel in whole.channels:
                if channel in channels:
                    assert not part[channel].any()
                elif not channel.endswith("missing"):
                    assert np.array_equal(part[channel], whole[channel])


def test_noise_shakes_the_controls_and_smoothing_calms_them(people):
    rough, smooth, clean = (
        np.mean([np.abs(np.diff(controls["head_pitch"], 2)).mean() for controls in people.controls(BY_NAME[name])])
        for name in ("noisy landmarks, not smoothed", "noisy landmarks, smoothed", "face + motion")
    )
    assert rough > 1.2 * smooth > 1.2 * clean


def test_a_head_turned_away_leaves_shoulders_and_arms(people):
    complete, away = people.controls(BY_NAME["face + motion"]), people.controls(BY_NAME["head turned away"])
    for whole, part in zip(complete, away, strict=True):
        assert part["face_missing"].all() and not part["smile"].any() and not part["head_pitch"].any()
        assert part["shoulders_y"].any() and np.array_equal(part["left_wrist_x"] == 0, whole["left_wrist_x"] == 0)


@pytest.mark.slow
def test_rows_are_made_scored_and_kept(tmp_path, monkeypatch):
    conditions = (BY_NAME["face + motion"], BY_NAME["the band itself"])
    monkeypatch.setattr(ablations, "COMPARED", (("the band itself", "face + motion", "beat F-measure"),))
    results = run(3, Settings(top_k=50), "nano", "bundled", tmp_path, conditions)
    assert list(results["rows"]) == [condition.name for condition in conditions] and len(results["gains"]) == 1
    for row in results["rows"].values():
        assert all(-1 <= row[column]["95"][0] <= row[column]["mean"] <= row[column]["95"][1] <= 1 for column in COLUMNS)
    played, controls = results["rows"]["the band itself"], results["controls"]["the band itself"]
    assert all(controls[column]["above"] > 0.1 for column in ("beat F-measure", "onset-motion correlation"))
    assert played["beat F-measure"]["mean"] > 0.5
    assert played["tag adherence"]["mean"] > 0.65, "of other pieces about 0.6"
    assert played["frechet"] < results["rows"]["face + motion"]["frechet"]

    monkeypatch.setattr(ablations, "make", None)  # nothing is made again
    assert json.dumps(run(3, Settings(top_k=50), "nano", "bundled", tmp_path, conditions)) == json.dumps(results)


def test_summaries_and_tables_tell_better_from_worse(tmp_path):
    rng, n = np.random.default_rng(0), 10

    def scores(good: float) -> dict[str, np.ndarray]:
        return {column: np.full(n, good) + 0.01 * rng.standard_normal(n) for column in COLUMNS} | {
            **{f"shuffled {column}": np.full(n, 0.1) for column in AGAINST_OTHERS},
            "embeddings": rng.standard_normal((n, 20, 200)) + (1 - good),
        }

    rows = {name: scores(0.8 if name == "face + motion" else 0.3) for name in BY_NAME}
    results = summarise(rows, scores(1.0))
    best = results["rows"]["face + motion"]
    assert best["beat F-measure"]["mean"] == pytest.approx(0.8, abs=0.01) and best["frechet"] < 1
    assert results["rows"]["text only"]["frechet"] == 1
    smallest_p = 1 / 2**n  # of all patterns of signs
    for column in AGAINST_OTHERS:
        gap = results["controls"]["face + motion"][column]
        assert gap["above"] == pytest.approx(0.7, abs=0.01) and gap["shuffled"] == pytest.approx(0.1)
        assert gap["p"] == smallest_p
    first = results["gains"][0]
    assert first["gain"] == pytest.approx(0.5, abs=0.01) and first["p"] == smallest_p
    lines = tables_of(results).splitlines()
    assert sum(line.startswith("| face + motion | 0.80") for line in lines) == 1
    with_p = [line for line in lines if line.startswith("| face + motion | +0.70")]
    assert len(with_p) == 1 and with_p[0].count("p 0.0010") == len(AGAINST_OTHERS)
    assert {line.count("|") for line in lines[: 2 + len(CONDITIONS)]} == {len(COLUMNS) + 3}

    write_report(results, n, {"guidance": 2.0, "visual_guidance": 4.5}, tmp_path)
    page = (tmp_path / "results.md").read_text()
    assert tables_of(results).replace("\n\n", "\n") in "\n".join(line for line in page.splitlines() if "|" in line)
    assert all(f"| {condition.name} | {condition.explanation} |" in page for condition in CONDITIONS)
    assert all(f"| {name} | {column.explanation} |" in page for name, column in COLUMNS.items())
    assert (tmp_path / "results.svg").stat().st_size > 5000


def test_the_page_of_results_is_that_of_their_json(tmp_path):
    found = json.loads((FIGURES / "results.json").read_text())
    write_report(found, found["clips"], found["settings"], tmp_path)
    assert (tmp_path / "results.md").read_text() == (FIGURES / "results.md").read_text(), (
        "run: tools/figures.py results"
    )


def test_fewer_than_three_people_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--clips", "2"])
    assert "no others" in capsys.readouterr().err


@pytest.mark.slow
def test_the_curve_of_guidance_is_measured_on_validation_people_drawn_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(ablations, "CURVE", (0.0, 4.0))
    command = ["--curve", "--clips", "3", "--folder", str(tmp_path / "kept"), "--output", str(tmp_path / "figures")]
    assert main(command) == 0
    rows = json.loads((tmp_path / "figures" / "guidance.json").read_text())["rows"]
    assert list(rows) == ["0.0", "4.0"] and rows["0.0"]["beat F-measure"] != rows["4.0"]["beat F-measure"]
    assert (tmp_path / "figures" / "guidance.svg").read_text().count("<svg") == 1

    kept = {path.stem: np.load(path) for path in (tmp_path / "kept").glob("*/*.npz")}
    people = held_out_people(3, 10.0, 50.0, first=VALIDATION_OFFSET)
    beats = [beat_f_measure(track_beats(band.play(piece, 16_000), 16_000), piece.beats) for piece in people.pieces]
    assert kept["band"]["beat F-measure"] == pytest.approx(beats)
    heard = {name: scores["embeddings"].reshape(-1, 200) for name, scores in kept.items()}
    distance, unit = (frechet_distance(heard["band"], heard[name]) for name in ("visual_guidance_4", "text_only"))
    assert rows["4.0"]["frechet"] == pytest.approx(distance / unit)

    monkeypatch.setattr(ablations, "make", None)  # nothing is made again
    assert main(command) == 0
