"""The report on live playing: its people do what it says, and its table shows what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from expotion_lite.controls import extract_controls
from expotion_lite.controls.events import find_movements
from expotion_lite.lab import live_following

FIGURES = Path(__file__).parents[2] / "figures"


def test_the_tempo_of_the_person_changes_when_it_says():
    beats = live_following._piece_with_changes(1).beats
    for start, tempo in live_following.TEMPO_CHANGES:
        within = beats[(beats > start + 1) & (beats < start + 19)]
        np.testing.assert_allclose(60 / np.diff(within), tempo)


@pytest.mark.parametrize("seed", [2, 48_000, 48_005])  # whose hands are in the picture
def test_a_single_hit_is_the_only_large_movement_and_arrives_in_time(seed):
    controls = extract_controls(live_following._one_hit(seed, 6.5))
    found = find_movements(controls.values, controls.channels, controls.frame_rate)
    strongest = found.arrivals.times[found.arrivals.strengths.argmax()]
    assert abs(strongest - 6.5) < 0.4 and found.activity[: 50 * 5].max() < 0.3 < found.activity.max()


def test_the_table_shows_every_measured_kind():
    report = json.loads((FIGURES / "live.json").read_text())
    table = live_following.table_of(report)
    assert f"{report['people']['beat_f'][0]:.2f}" in table and "real people, gain over others: joints" in table
    assert "real people" not in live_following.table_of(
        {name: report[name] for name in ("people", "tempo", "gestures")}
    )
