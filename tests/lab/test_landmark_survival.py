"""Synthetic people as numbers and as pixels: how the two are held against each other, and what follows from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from expotion_lite.controls.channels import CHANNELS, EXPRESSION, Controls
from expotion_lite.data.synthetic import LEFT_OUT
from expotion_lite.lab import landmark_survival as rendered

FIGURES = Path(__file__).parents[2] / "figures"


def test_channels_that_come_back_are_told_from_those_that_do_not(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)

    def both_ways(song: int, performer: int) -> tuple[Controls, Controls]:
        moves = rng.standard_normal((100, len(CHANNELS))).astype(np.float32)
        seen = moves + 0.1 * rng.standard_normal(moves.shape).astype(np.float32)
        seen[:, CHANNELS.index("frown")] = rng.standard_normal(100)
        seen[:, CHANNELS.index("smile")] = 0.0
        return tuple(Controls(v, CHANNELS, 50.0, np.ones(len(v), bool)) for v in (moves, seen[:90]))

    monkeypatch.setattr(rendered, "both_ways", both_ways)
    assert rendered.main(["--people", "3", "--output", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "rendered.json").read_text())
    assert found["people"] == 3 and found["correlation"]["head_pitch"] > 0.9
    assert abs(found["correlation"]["frown"]) < rendered.SURVIVES and found["correlation"]["smile"] == 0
    said = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in said if "does not survive" in line} == {"frown", "smile"}
    assert (tmp_path / "rendered.svg").read_text().count("<svg") == 1


def test_the_adapter_reads_no_expression_that_does_not_survive():
    """Of what was measured; a smile cannot be judged by a photograph that smiles."""
    found = json.loads((FIGURES / "rendered.json").read_text())["correlation"]
    assert list(found) == list(CHANNELS)
    lost = {name for name in EXPRESSION if found[name] < rendered.SURVIVES}
    assert lost - {"smile"} == set(LEFT_OUT)
    assert min(found[name] for name in ("head_pitch", "head_roll", "shoulders_x", "pulse", "motion_energy")) > 0.8
