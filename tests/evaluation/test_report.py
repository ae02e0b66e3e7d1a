"""Tests of the report files: figures in the project's style, and files that are whole and reproducible."""

from __future__ import annotations

import json

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

from expotion_lite.evaluation.report import error_lengths, new_figure, write_json


def test_json_is_written_over_what_is_there(tmp_path):
    path = tmp_path / "new" / "report.json"
    for value in (1, 2):
        write_json(path, {"value": value})
    assert json.loads(path.read_text()) == {"value": 2} and path.read_text().endswith("}\n")
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


def test_error_lengths_are_never_negative():
    values = np.array([0.5, 0.1])
    lengths = error_lengths(values, np.array([0.2, 0.1 + 1e-16]), np.array([0.9, 0.1 - 1e-16]))
    assert lengths == pytest.approx(np.array([[0.3, 0.0], [0.4, 0.0]])) and (lengths >= 0).all()


def test_figures_have_the_projects_style_and_are_reproducible(tmp_path):
    before, files = dict(matplotlib.rcParams), []
    for name in ("a.svg", "b.svg"):
        with new_figure(tmp_path / name, (4, 3), columns=2) as (_, axes):
            (line,) = axes[0, 0].plot([1, 2])
            assert to_hex(line.get_color()) == "#0072b2" and not axes[0, 1].spines["top"].get_visible()
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1] and b"<svg" in files[0]
    assert dict(matplotlib.rcParams) == before, "pyplot's own figures keep their style"
