"""The rows of the experiments differ in what they say they differ in, and are scored as they should be."""

from __future__ import annotations

import json

import numpy as np
import pytest

from expotion_lite.controls.channels import MODALITIES
from expotion_lite.data.synthetic import CHOOSING
from expotion_lite.lab import ablations as experiments
from expotion_lite.lab.ablations import (
    AGAINST_OTHERS,
    ARMS,
    COLUMNS,
    COMPARED,
    main,
    plot_results,
    run,
    stage_of,
    summary_of,
    table_of,
)
from expotion_lite.musicgen.loading import load
from expotion_lite.musicgen.settings import Settings

BY_NAME = {arm.name: arm for arm in ARMS}


@pytest.fixture(scope="module")
def stage():
    return stage_of(load("nano"), 3)


def test_what_is_compared_is_measured():
    assert len(BY_NAME) == len(ARMS)
    assert all({a, b} <= BY_NAME.keys() and column in COLUMNS for a, b, column in COMPARED)


def test_captions_leave_to_the_video_what_only_the_video_is_to_tell(stage):
    text = " ".join(stage.captions).lower()
    assert "bpm" not in text and "minor" not in text and "major" not in text
    assert all(f" {piece.key}" in said for piece, said in zip(stage.pieces, stage.captions, strict=True))


def test_each_modality_hides_its_own_channels_and_noise_shakes(stage):
    seen, noisy = stage.controls(), stage.controls(noisy=True)
    for modality, channels in MODALITIES.items():
        for whole, part in zip(seen, stage.controls(hidden=modality), strict=True):
            for channel in whole.channels:
                if channel in channels:
                    assert not part[channel].any()
                elif not channel.endswith("missing"):
                    assert np.array_equal(part[channel], whole[channel])
    rough, smooth, clean = (
        np.mean([np.abs(np.diff(controls["head_pitch"], 2)).mean() for controls in people])
        for people in (stage.controls(noisy=True, method="none"), noisy, seen)
    )
    assert rough > 1.2 * smooth > 1.2 * clean


def test_whose_head_is_turned_away_is_known_by_the_body(stage):
    for whole, part in zip(stage.controls(), stage.controls(away=True), strict=True):
        assert part["face_missing"].all() and not part["smile"].any() and not part["head_pitch"].any()
        assert part["shoulders_y"].any() and np.array_equal(part["left_wrist_x"] == 0, whole["left_wrist_x"] == 0)


def test_rows_are_made_scored_and_kept(tmp_path, monkeypatch):
    arms = (BY_NAME["face + motion"], BY_NAME["the band itself"])
    monkeypatch.setattr(experiments, "COMPARED", (("the band itself", "face + motion", "beat F-measure"),))
    results = run(3, Settings(top_k=50), "nano", "bundled", tmp_path, arms)
    assert list(results["rows"]) == [arm.name for arm in arms] and len(results["gains"]) == 1
    for row in results["rows"].values():
        assert all(-1 <= row[column]["95"][0] <= row[column]["mean"] <= row[column]["95"][1] <= 1 for column in COLUMNS)
    band, controls = results["rows"]["the band itself"], results["controls"]["the band itself"]
    assert all(controls[column]["above"] > 0.1 for column in ("beat F-measure", "onset-motion correlation"))
    assert band["beat F-measure"]["mean"] > 0.5 and band["tag adherence"]["mean"] > 0.65, "of other pieces about 0.6"
    assert band["frechet"] < results["rows"]["face + motion"]["frechet"]

    monkeypatch.setattr(experiments, "make", None)  # nothing is made again
    assert json.dumps(run(3, Settings(top_k=50), "nano", "bundled", tmp_path, arms)) == json.dumps(results)


def test_summaries_know_better_from_worse(tmp_path):
    rng, n = np.random.default_rng(0), 40

    def scores(good: float) -> dict[str, np.ndarray]:
        return {column: np.full(n, good) + 0.01 * rng.standard_normal(n) for column in COLUMNS} | {
            **{f"shuffled {column}": np.full(n, 0.1) for column in AGAINST_OTHERS},
            "embeddings": rng.standard_normal((n, 3, 200)) + (1 - good),
        }

    rows = {arm.name: scores(0.8 if arm.name == "face + motion" else 0.3) for arm in ARMS}
    results = summary_of(rows, scores(1.0))
    best = results["rows"]["face + motion"]
    assert best["beat F-measure"]["mean"] == pytest.approx(0.8, abs=0.01) and best["frechet"] < 1
    assert results["rows"]["text only"]["frechet"] == 1
    for column in AGAINST_OTHERS:
        gap = results["controls"]["face + motion"][column]
        assert gap["above"] == pytest.approx(0.7, abs=0.01) and gap["shuffled"] == 0.1 and gap["p"] < 0.001
    first = results["gains"][0]
    assert first["gain"] == pytest.approx(0.5, abs=0.01) and first["p"] < 0.001
    lines = table_of(results).splitlines()
    assert sum(line.startswith("| face + motion | 0.80") for line in lines) == 1
    assert sum(line.startswith("| face + motion | +0.70") and line.count("p 0.0001") == 5 for line in lines) == 1
    assert {line.count("|") for line in lines[: 2 + len(ARMS)]} == {len(COLUMNS) + 3}
    plot_results(results, tmp_path / "results.svg")
    assert (tmp_path / "results.svg").stat().st_size > 5000


def test_too_few_people_are_refused(capsys):
    with pytest.raises(SystemExit):
        experiments.main(["--clips", "2"])
    assert "no others" in capsys.readouterr().err


def test_the_curve_of_guidance_is_drawn_and_kept(tmp_path, monkeypatch):
    people = []
    monkeypatch.setattr(experiments, "CURVE", (0.0, 4.0))
    monkeypatch.setattr(experiments, "stage_of", lambda *a: people.append(a[1:]) or stage_of(*a))
    command = ["--curve", "--clips", "3", "--folder", str(tmp_path / "kept"), "--output", str(tmp_path / "figures")]
    assert main(command) == 0
    assert people == [(3, CHOOSING)], "who chooses a setting measures nothing"
    told = json.loads((tmp_path / "figures" / "guidance.json").read_text())
    blind, seeing = told["rows"]["0.0"], told["rows"]["4.0"]
    assert blind["beat F-measure"]["mean"] != seeing["beat F-measure"]["mean"]
    assert {"mean", "95"} <= seeing["tag adherence"].keys()
    arms = BY_NAME["text only"], BY_NAME["face + motion"]
    both = run(3, Settings(visual_guidance=4.0), "nano", "bundled", tmp_path, arms, CHOOSING)["rows"]
    assert seeing["frechet"] == pytest.approx(both["face + motion"]["frechet"]), "in units of text only"
    assert (tmp_path / "figures" / "guidance.svg").read_text().count("<svg") == 1
    monkeypatch.setattr(experiments, "make", None)  # nothing is made again
    assert main(command) == 0
