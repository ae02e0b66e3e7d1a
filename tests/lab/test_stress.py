"""The measurements of timing and health, on music whose onsets are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import find_peaks

from expotion_lite.controls.channels import ADAPTER_CHANNELS
from expotion_lite.evaluation.real_people import is_ill
from expotion_lite.generation import load_pipeline
from expotion_lite.lab import stress
from expotion_lite.lab.stress import controls_of, find_onsets, irregular_events, odd_controls
from expotion_lite.musicgen.settings import Settings

RATE = 16_000
KINDS = ("noise", "constant", "extreme", "missing", "still")


def tones_at(times, seconds=10.0):
    """Return decaying tones that begin at `times`."""
    audio = np.zeros(round(seconds * RATE), np.float32)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4000) / RATE) * np.exp(-np.arange(4000) / 400)
    for time in times:
        start = round(time * RATE)
        audio[start : start + 4000] += tone[: len(audio) - start].astype(np.float32)
    return audio


@pytest.mark.parametrize("seed", range(4))
def test_irregular_events_have_no_beat_and_are_found_in_music_that_meets_them(seed):
    events = irregular_events(10.0, np.random.default_rng(seed))
    gaps = np.diff(events.times)
    assert gaps.min() >= 0.35 and gaps.max() <= 1.6 and gaps.std() > 0.15 and events.times.max() < 10
    found = find_onsets(tones_at(events.times), RATE)
    assert len(found) == len(events.times) and np.abs(found - events.times).max() < 0.06


def test_the_controls_of_events_show_them_and_no_face():
    events = irregular_events(10.0, np.random.default_rng(0))
    controls = controls_of(events, 500)
    shown = (find_peaks(controls["event"], height=0.3)[0] + 0.5) / 50
    assert np.abs(shown - events.times).max() < 0.03
    assert controls["face_missing"].all() and not controls["motion_missing"].any()
    assert 0 < controls["activity"].max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_odd_controls_stay_within_the_ranges_of_their_channels(kind):
    for seed in range(3):
        values = odd_controls(kind, 300, seed).values
        assert values.shape == (300, len(ADAPTER_CHANNELS)) and np.abs(values).max() <= 1.5
        assert values[:, :2].min() >= 0 and values[:, :2].max() <= 1
        assert (values[:, -1].mean() == 1) == (kind == "missing")


def test_music_that_meets_the_events_it_is_shown_scores_high(monkeypatch):
    """A model that plays a tone wherever it is shown an event."""

    def play(pipeline, prompts, controls, settings, progress):
        shown = [(find_peaks(each["event"], height=0.3)[0] + 0.5) / 50 for each in controls]
        return [tones_at(times) for times in shown]

    monkeypatch.setattr(stress, "make_music", play)
    pipeline = type("Pipeline", (), {"musicgen": type("MusicGen", (), {"sample_rate": RATE})})
    met, others, answered, before = (float(row[1].split()[0]) for row in stress.timing(pipeline, 8, Settings()))
    assert met > 0.95 and others < 0.45 and answered == 1 and before == 0


@pytest.mark.slow
def test_odd_inputs_seldom_make_music_ill():
    """One of the five may be: `lab.stress` measures how often, and the rate is above 0 for all but noise."""
    from expotion_lite.evaluation.following import make_music

    shown = [odd_controls(kind, 400, 1) for kind in KINDS]
    music = make_music(load_pipeline("nano"), ["happy rock with guitar, bass and drums"] * 5, shown, Settings(seed=1))
    assert sum(is_ill(audio, RATE) for audio in music) <= 1
