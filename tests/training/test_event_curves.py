"""Event curves drawn from music: exact ones lie on its onsets, those like a person's near them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import find_peaks

from expotion_lite.controls.channels import ADAPTER_CHANNELS
from expotion_lite.data.examples import Examples
from expotion_lite.training.event_curves import (
    EventCurveControls,
    decoded,
    draw_event_curves,
    onset_curves,
)

RATE, FRAMES = 16_000, 500
CLICKS = 0.3 + np.cumsum(np.random.default_rng(0).uniform(0.35, 1.1, 12))


def click_track(times=CLICKS, hz=1000.0, duration_s=FRAMES / 50):
    """Return decaying tones of a tenth of a second that begin at `times`, over a faint noise."""
    audio = 1e-4 * np.random.default_rng(1).standard_normal(round(duration_s * RATE)).astype(np.float32)
    tone = np.sin(2 * np.pi * hz * np.arange(1600) / RATE) * np.exp(-np.arange(1600) / 300)
    for time in times:
        start = round(time * RATE)
        audio[start : start + 1600] += tone[: len(audio) - start]
    return audio


@pytest.fixture(scope="module")
def onsets():
    return onset_curves(click_track(), RATE, FRAMES)


def times_of(curve):
    return (find_peaks(curve, height=0.15)[0] + 0.5) / 50


def distances(found, truth=CLICKS):
    """Return how far each found time is from the nearest true one, in seconds."""
    return np.abs(found[:, None] - truth).min(axis=1)


def test_onset_curves_are_high_where_sounds_begin_in_their_own_band(onsets):
    assert onsets.shape == (FRAMES, 4) and onsets.dtype == np.float32
    low = onset_curves(click_track(hz=80.0), RATE, FRAMES)
    high = onset_curves(click_track(hz=6000.0), RATE, FRAMES)
    for curves, band in ((low, 0), (onsets, 1), (high, 2)):
        assert curves[:, :3].sum(axis=0).argmax() == band
        peaks = find_peaks(curves[:, band], height=0.5 * curves[:, band].max())[0] / 50
        assert len(peaks) == len(CLICKS) and distances(peaks).max() < 0.05
    near = np.abs(np.arange(FRAMES)[:, None] / 50 - CLICKS).min(axis=1) < 0.1
    assert onsets[near, 3].mean() > 3 * onsets[~near, 3].mean()
    assert onset_curves(click_track()[: 3 * RATE], RATE, FRAMES)[200:].max() == 0, "filled to the length that is asked"


def test_exact_curves_lie_on_the_onsets(onsets):
    event, activity = draw_event_curves(onsets, np.random.default_rng(0), person_like=False).T
    found = times_of(event)
    assert len(found) == len(CLICKS) and distances(found).max() < 0.04
    again = draw_event_curves(onsets, np.random.default_rng(5), person_like=False)
    assert np.array_equal(again[:, 0], event), "nothing in them is drawn"
    dense = np.convolve(np.histogram(CLICKS, FRAMES, (0, 10))[0], np.hanning(50), "same")
    assert np.corrcoef(activity, dense)[0, 1] > 0.7 and 0.5 < activity.max() <= 1


def test_curves_like_a_persons_lie_near_the_onsets_and_differ_from_draw_to_draw(onsets):
    draws = [draw_event_curves(onsets, np.random.default_rng(seed)) for seed in range(60)]
    away = np.concatenate([distances(times_of(draw[:, 0])) for draw in draws])
    assert np.mean(away < 0.06) > 0.85 and np.median(away) > 0.005
    assert np.mean(away > 0.15) > 0.005, "some are between the onsets"
    counts = np.array([len(times_of(draw[:, 0])) for draw in draws])
    assert len(set(counts)) > 4 and (counts < len(CLICKS) - 2).any() and counts.mean() > 0.5 * len(CLICKS)
    assert not np.array_equal(draws[0], draws[1])
    assert np.array_equal(draws[3], draw_event_curves(onsets, np.random.default_rng(3)))
    for draw in draws:
        assert draw.shape == (FRAMES, 2) and draw.dtype == np.float32 and 0 <= draw.min() <= draw.max() <= 1


def test_silence_has_no_events():
    for person_like in (True, False):
        curves = draw_event_curves(np.zeros((FRAMES, 4), np.float32), np.random.default_rng(0), person_like=person_like)
        assert np.isfinite(curves).all() and curves[:, 0].max() < 0.7
    exact = draw_event_curves(np.zeros((FRAMES, 4), np.float32), np.random.default_rng(0), person_like=False)
    assert not exact.any()


@pytest.fixture(scope="module")
def examples():
    """Return two pieces of music to which nobody moves, and two performances."""
    controls = np.zeros((4, FRAMES, len(ADAPTER_CHANNELS)), np.float32)
    controls[:2, :, [ADAPTER_CHANNELS.index("face_missing"), ADAPTER_CHANNELS.index("motion_missing")]] = 1
    controls[2:, :, ADAPTER_CHANNELS.index("smile")] = 0.4
    controls[2:, 100, ADAPTER_CHANNELS.index("event")] = 1
    numbers = np.arange(4)
    return Examples(np.zeros((4, 4, FRAMES), np.int16), controls, ("rock",) * 4, numbers, numbers, ADAPTER_CHANNELS)


@pytest.fixture
def make_draws(examples, onsets):
    def make(row, n=200, **options):
        performed = np.array([False, False, True, True])
        curves = EventCurveControls(examples, np.stack([onsets] * 4), performed, **options)
        given = examples.controls[row].copy()
        drawn = [curves(row, examples.controls[row], np.random.default_rng(seed)) for seed in range(n)]
        assert np.array_equal(given, examples.controls[row]), "what the examples hold is not changed"
        return {name: np.stack([each[:, column] for each in drawn]) for column, name in enumerate(ADAPTER_CHANNELS)}

    return make


def test_music_to_which_nobody_moves_gets_events_from_its_onsets(make_draws):
    drawn = make_draws(0, nonsense=0.0)
    seen = drawn["motion_missing"].max(axis=1) == 0
    assert 0.5 < seen.mean() < 0.95, "motion is missing for a while in some, and throughout in others"
    assert (drawn["motion_missing"].min(axis=1) == 1).any()
    away = np.concatenate([distances(times_of(event)) for event in drawn["event"][seen]])
    assert np.mean(away < 0.06) > 0.85
    assert not drawn["event"][drawn["motion_missing"] == 1].any()
    assert not drawn["activity"][drawn["motion_missing"] == 1].any()


def test_faces_to_music_are_drawn_at_random_or_missing(make_draws):
    """Held smiles and frowns stay small, as they would tell the mode of the music."""
    drawn = make_draws(0, nonsense=0.0)
    faces = drawn["face_missing"].max(axis=1) == 0
    assert 0.25 < faces.mean() < 0.55
    assert not drawn["smile"][~faces].any() and np.abs(drawn["smile"][faces].mean(axis=1)).mean() < 0.1
    assert np.abs(drawn["jaw_open"][faces].mean(axis=1)).mean() > np.abs(drawn["smile"][faces].mean(axis=1)).mean()
    assert drawn["jaw_open"][faces].max() > 0.3 and drawn["expression_energy"].min() >= 0


def test_performances_keep_the_performers_events_unless_those_of_the_music_take_their_place(make_draws):
    kept = make_draws(2, from_music=0.0, nonsense=0.0)
    shown = kept["motion_missing"].max(axis=1) == 0
    moving = kept["event"].max(axis=1) > 0
    assert 0 < np.mean(shown & ~moving) < 0.12, "a few are seen, and still throughout"
    assert not kept["activity"][shown & ~moving].any()
    events = kept["event"][shown & moving]
    assert (events.argmax(axis=1) == 100).all() and (events.max(axis=1) == 1).all()
    hidden = kept["face_missing"].max(axis=1) == 1
    assert 0.05 < hidden.mean() < 0.3 and not kept["smile"][hidden].any()
    smiles = kept["smile"][~hidden].mean(axis=1)
    assert np.median(smiles) == pytest.approx(0.4, abs=0.02), "the performer's own, which wavers"
    assert 0.02 < np.mean(np.abs(smiles) < 1e-6) < 0.3, "single expressions are hidden now and then"
    taken = make_draws(2, from_music=1.0, nonsense=0.0)
    shown = taken["motion_missing"].max(axis=1) == 0
    assert np.mean(np.concatenate([distances(times_of(event)) for event in taken["event"][shown]]) < 0.06) > 0.85
    some = make_draws(2, from_music=0.25, nonsense=0.0)
    assert 0.1 < np.mean((some["event"] > 0.1).sum(axis=1) > 10) < 0.4


def test_faces_are_as_restless_as_real_ones_and_some_of_them_speak(examples, onsets):
    """Of real faces, the jaw's 95th percentile is 0.78 and that of a frown 0.25; they change several times a second."""
    frowning = replace(examples, controls=examples.controls.copy())
    frowning.controls[2, :, ADAPTER_CHANNELS.index("frown")] = 0.6
    curves = EventCurveControls(frowning, np.stack([onsets] * 4), np.arange(4) > 1, nonsense=0.0)
    drawn = np.stack([curves(2, frowning.controls[2], np.random.default_rng(seed)) for seed in range(300)])
    shown = drawn[drawn[..., ADAPTER_CHANNELS.index("face_missing")].max(axis=1) == 0]
    smile, frown, jaw = (shown[..., ADAPTER_CHANNELS.index(name)] for name in ("smile", "frown", "jaw_open"))
    changes = np.abs(np.diff(smile, axis=1)).mean(axis=1)
    assert 0.003 < np.median(changes) < 0.03 and np.quantile(changes, 0.95) > 0.03
    assert 0.1 < np.median(frown[frown.std(axis=1) > 0]) < 0.5, "they frown less than a performer"
    speaking = jaw.max(axis=1) > 0.6
    assert 0.1 < speaking.mean() < 0.5
    assert np.median(jaw[~speaking].mean(axis=1)) < 0.1


@pytest.mark.parametrize("row", [0, 2])
def test_nonsense_stays_within_the_range_of_each_channel(make_draws, row):
    drawn = make_draws(row, nonsense=1.0)
    for name, values in drawn.items():
        assert np.isfinite(values).all() and values.dtype == np.float32
        low = 0.0 if name in ("event", "activity") or name.endswith("missing") else -1.5
        assert low <= values.min() and values.max() <= (1.0 if low == 0 else 1.5), name
    assert (drawn["event"].min(axis=1) == 1).any(), "some are constant"
    assert len({tuple(event[:20]) for event in drawn["event"]}) > 100


def test_an_adapter_without_some_of_the_expressions_can_be_trained(examples, onsets):
    few = examples.select(["activity", "event", "jaw_open", "motion_missing", "face_missing"])
    curves = EventCurveControls(few, np.stack([onsets] * 4), np.zeros(4, bool), nonsense=1.0)
    for seed in range(20):
        assert curves(1, few.controls[1], np.random.default_rng(seed)).shape == (FRAMES, 5)


@pytest.mark.slow
def test_onsets_of_examples_are_those_of_their_music():
    """Codes of clicks, decoded: the onsets are at the clicks still. Frames without music have none."""
    import torch

    from expotion_lite.musicgen.codes import encode
    from expotion_lite.musicgen.loading import load

    musicgen = load("nano")
    audio = np.stack([click_track(CLICKS + shift, duration_s=4.0) for shift in (0.0, 0.2)])
    codes = encode(musicgen, torch.from_numpy(audio.astype(np.float32))).numpy().astype(np.int16)
    codes[1, :, 150:] = -1
    controls = np.zeros((2, 200, len(ADAPTER_CHANNELS)), np.float32)
    numbers = np.arange(2)
    examples = Examples(codes, controls, ("clicks",) * 2, numbers, numbers, ADAPTER_CHANNELS)
    music = decoded(musicgen, examples, batch=1)
    onsets = np.stack([onset_curves(audio, musicgen.sample_rate, 200) for audio in music])
    assert onsets.shape == (2, 200, 4)
    for row, shift, end in ((0, 0.0, 3.9), (1, 0.2, 2.9)):
        event = draw_event_curves(onsets[row], np.random.default_rng(0), person_like=False)[:, 0]
        found, truth = times_of(event), CLICKS + shift
        assert distances(truth[truth < end], found).max() < 0.06
