"""Tests of the landmark survival report: surviving and lost channels are told apart, and training follows it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from expotion_lite.controls.channels import CHANNELS, EXPRESSION_CHANNELS, Controls
from expotion_lite.data.synthetic import UNDETECTED_EXPRESSIONS
from expotion_lite.lab import landmark_survival

FIGURES = Path(__file__).parents[2] / "figures"


def test_report_names_the_channels_that_do_not_survive(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)

    def both_ways(song: int, performer: int) -> tuple[Controls, Controls]:
        moves = rng.standard_normal((100, len(CHANNELS))).astype(np.float32)
        seen = moves + 0.1 * rng.standard_normal(moves.shape).astype(np.float32)
        seen[:, CHANNELS.index("frown")] = rng.standard_normal(100)
        seen[:, CHANNELS.index("smile")] = 0.0
        return tuple(Controls(v, CHANNELS, 50.0, np.ones(len(v), bool)) for v in (moves, seen[:90]))

    monkeypatch.setattr(landmark_survival, "both_ways", both_ways)
    assert landmark_survival.main(["--people", "3", "--output", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "rendered.json").read_text())
    assert found["people"] == 3 and found["correlation"]["head_pitch"] > 0.9
    assert abs(found["correlation"]["frown"]) < landmark_survival.SURVIVES and found["correlation"]["smile"] == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in lines if "does not survive" in line} == {"frown", "smile"}
    assert (tmp_path / "rendered.svg").read_text().count("<svg") == 1


def test_training_leaves_out_the_expressions_that_do_not_survive():
    """The smile stays: it cannot be judged with a photograph that smiles already."""
    found = json.loads((FIGURES / "rendered.json").read_text())["correlation"]
    assert list(found) == list(CHANNELS)
    lost = {name for name in EXPRESSION_CHANNELS if found[name] < landmark_survival.SURVIVES}
    assert lost - {"smile"} == set(UNDETECTED_EXPRESSIONS)
    assert min(found[name] for name in ("head_pitch", "head_roll", "shoulders_x", "pulse", "motion_energy")) > 0.8
