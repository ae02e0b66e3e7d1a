"""Smoothing: filters agree with scipy and closed forms, and move nothing in time."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
from scipy.ndimage import convolve1d
from scipy.signal import savgol_filter
from stick_people import even_times, uneven_times

from expotion_lite.controls.recursive_filters import kalman_rts, one_euro
from expotion_lite.controls.resampling import frame_times, resample, resample_as_published
from expotion_lite.controls.smoothing import fill_gaps, moving_average, savitzky_golay, smooth
from expotion_lite.errors import ExpotionError

ZERO_PHASE = ("none", "savgol", "moving_average", "kalman")
METHODS = (*ZERO_PHASE, "one_euro")
CLOCKS = {
    "14.8 fps": lambda duration_s: even_times(14.8, duration_s),
    "25 fps": lambda duration_s: even_times(25, duration_s),
    "29.97 fps": lambda duration_s: even_times(29.97, duration_s),
    "60 fps": lambda duration_s: even_times(60, duration_s),
    "uneven": lambda duration_s: uneven_times(24, duration_s),
}
HALF_FRAME_S = 0.01
NAN = np.nan


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# Gaps


def test_short_gaps_are_bridged_by_a_straight_line():
    times = uneven_times(30, 4)
    values = np.stack([3 * times - 1, 5 - times], axis=1)
    holes = values.copy()
    holes[10:14, 0] = NAN
    holes[12:20, 1] = NAN
    np.testing.assert_allclose(fill_gaps(times, holes, 0.6), values, atol=1e-12)


def test_long_gaps_stay_missing_as_a_whole():
    times = even_times(10, 4)
    values = np.ones(40)
    values[10:15] = NAN  # from the sample at 0.9 s to that at 1.5 s
    assert np.isnan(fill_gaps(times, values, 0.59)).sum() == 5
    assert np.isnan(fill_gaps(times, values, 0.6)).sum() == 0


def test_the_ends_are_held_over_short_gaps_only():
    times = even_times(10, 3)
    values = np.arange(30.0)
    values[:3] = values[20:] = NAN
    filled = fill_gaps(times, values, 0.5)
    assert filled[:3].tolist() == [3, 3, 3] and np.isnan(filled[20:]).all()


def test_a_channel_without_samples_stays_missing():
    assert np.isnan(fill_gaps(even_times(10, 3), np.full((30, 2), NAN), 100.0)).all()


# Filters against independent implementations


@pytest.mark.parametrize("points", [1, 3, 9])
def test_moving_average_is_the_usual_one_at_even_times(points):
    values = noise(60, 3)
    box = np.ones(points)
    expected = convolve1d(values, box, axis=0, mode="constant") / convolve1d(np.ones((60, 1)), box, 0, mode="constant")
    np.testing.assert_allclose(moving_average(even_times(30, 2), values, points / 30), expected, atol=1e-9)


def test_moving_average_weighs_time_and_not_frames():
    """A burst of frames within one of two equally long halves does not pull the average."""
    times = np.array([0.0, 0.5, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 2.0])
    values = np.where(times < 0.75, 0.0, 1.0)
    assert moving_average(times, values, 1.0)[1] == pytest.approx(0.25)  # 0.75..1.0 of 0.0..1.0
    assert moving_average(times, values, 1.0)[2] == pytest.approx(0.75)


@pytest.mark.parametrize(("points", "order", "derivative"), [(5, 2, 0), (9, 3, 0), (9, 3, 1), (11, 4, 2), (7, 0, 0)])
@pytest.mark.parametrize("frame_rate", [14.8, 29.97, 60])
def test_savitzky_golay_equals_scipys_at_even_times_ends_included(points, order, derivative, frame_rate):
    values = noise(80, 2)
    ours = savitzky_golay(np.arange(80) / frame_rate, values, points / frame_rate, order, derivative=derivative)
    theirs = savgol_filter(values, points, order, deriv=derivative, delta=1 / frame_rate, axis=0, mode="interp")
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6 * frame_rate**derivative)


def test_savitzky_golay_fits_the_true_times():
    times = uneven_times(25, 6)
    values = noise(len(times))
    near = np.abs(times - times[40]) <= 0.25
    expected = np.polynomial.Polynomial.fit(times[near], values[near], 3)
    assert savitzky_golay(times, values, 0.5, 3)[40] == pytest.approx(expected(times[40]))
    assert savitzky_golay(times, values, 0.5, 3, derivative=1)[40] == pytest.approx(expected.deriv()(times[40]))


def test_savitzky_golay_keeps_polynomials_across_gaps_and_ends():
    times = uneven_times(25, 6)
    curve = np.polynomial.Polynomial([1, -2, 0.5, 0.3])
    values = curve(times)
    values[30:33] = values[60:90] = NAN
    known = ~np.isnan(values)
    np.testing.assert_allclose(savitzky_golay(times, values, 0.6, 3)[known], values[known], atol=1e-7)
    slopes = savitzky_golay(times, values, 0.6, 3, derivative=1)
    np.testing.assert_allclose(slopes[known], curve.deriv()(times[known]), atol=1e-5)


# Time: nothing moves


@cache
def known_times(method, clock, duration_s):
    """Filter a sine of 1 Hz, a step and a bump near the end.

    Returns:
        Times of the frames (F,), the filtered signals (3, F), and the true times of step and bump in seconds.
    """
    times = CLOCKS[clock](duration_s)
    step = int(np.searchsorted(times, duration_s - 3.0))
    sine = np.sin(2 * np.pi * times)
    bump = np.exp(-0.5 * ((times - (duration_s - 2.345)) / 0.06) ** 2)
    values = np.stack([sine, np.arange(len(times)) >= step, bump], axis=1)
    frames = resample(times, smooth(times, values, method), 50.0, duration_s)
    return frame_times(len(frames), 50.0), frames.T, (times[step - 1] + times[step]) / 2, duration_s - 2.345


everywhere = pytest.mark.parametrize(
    ("method", "clock", "duration_s"), list(product(ZERO_PHASE, CLOCKS, (10, 600))), ids=str
)


@everywhere
def test_a_sine_keeps_its_phase(method, clock, duration_s):
    centres, (frames, _, _), _, _ = known_times(method, clock, duration_s)
    assert len(frames) == 50 * duration_s
    for begin in (0.5, duration_s - 5.5):  # drift would show at the end
        part = (centres > begin) & (centres < begin + 5)
        wave = (frames[part] * np.exp(-2j * np.pi * centres[part])).sum()
        delay_s = -(np.angle(wave) + np.pi / 2) / (2 * np.pi)
        assert abs(delay_s) < HALF_FRAME_S / 2
        assert 2 * abs(wave) / part.sum() > 0.8


@everywhere
def test_a_step_stays_where_it_was(method, clock, duration_s):
    """A step lies somewhere between two video frames; the output crosses one half in the middle between these."""
    centres, (_, frames, _), at, _ = known_times(method, clock, duration_s)
    after = int(np.flatnonzero(frames < 0.5)[-1]) + 1
    share = (0.5 - frames[after - 1]) / (frames[after] - frames[after - 1])
    assert abs(centres[after - 1] + 0.02 * share - at) < HALF_FRAME_S


@everywhere
def test_a_short_bump_stays_where_it_was(method, clock, duration_s):
    centres, (_, _, frames), _, at = known_times(method, clock, duration_s)
    near = np.abs(centres - at) < 0.6
    assert abs((centres * frames)[near].sum() / frames[near].sum() - at) < HALF_FRAME_S
    assert centres[frames.argmax()] == pytest.approx(at, abs=0.045)  # of a peak that fell between two frames


def impulse_errors(method, clock, duration_s, n):
    """Return the shifts (n,) of n filtered impulses of one frame, and the distances to the frames before and after."""
    times = CLOCKS[clock](duration_s)
    picks = len(times) - 40 - 3 * np.arange(n)
    values = np.zeros((len(times), n))
    values[picks, np.arange(n)] = 1.0
    frames = resample(times, smooth(times, values, method), 50.0, duration_s)
    centroids = frame_times(len(frames), 50.0) @ frames / frames.sum(axis=0)
    return centroids - times[picks], times[picks - 1] - times[picks], times[picks + 1] - times[picks]


@pytest.mark.parametrize("duration_s", [10, 600])
@pytest.mark.parametrize("clock", ["14.8 fps", "25 fps", "29.97 fps", "60 fps"])
@pytest.mark.parametrize("method", ZERO_PHASE)
def test_an_impulse_stays_in_its_frame(method, clock, duration_s):
    errors, _, _ = impulse_errors(method, clock, duration_s, 3)
    assert np.abs(errors).max() < HALF_FRAME_S


@pytest.mark.parametrize("duration_s", [10, 600])
@pytest.mark.parametrize("method", ZERO_PHASE)
def test_impulses_at_uneven_times_stay_between_their_neighbours_and_drift_nowhere(method, duration_s):
    """At uneven times a single sample may move towards a neighbour, but on average nothing moves."""
    errors, before, after = impulse_errors(method, "uneven", duration_s, 30)
    if method != "savgol":  # negative lobes of its response exaggerate the centroid of one impulse
        assert (errors > before).all() and (errors < after).all()
    assert abs(errors.mean()) < HALF_FRAME_S / 2


def test_the_causal_filter_does_not_react_early():
    times = even_times(30, 10)
    step = (times >= 5).astype(float)
    assert (one_euro(times, step)[times < 5] == 0).all()


# Resampling


def test_values_are_read_at_the_centres_of_frames():
    for clock in CLOCKS.values():
        times = clock(600)
        frames = resample(times, times, 50.0, 600.0)
        inside = slice(5, -20)
        np.testing.assert_allclose(frames[inside], frame_times(30000, 50.0)[inside], atol=1e-3)


def test_the_ends_are_held():
    frames = resample(np.array([0.5, 1.0]), np.array([2.0, 4.0]), 10.0, 2.0)
    assert frames[:5].tolist() == [2.0] * 5 and frames[10:].tolist() == [4.0] * 10


def test_a_missing_stretch_keeps_its_place_and_length():
    times = even_times(30, 10)
    values = np.ones((300, 2))
    values[(times >= 4) & (times < 7), 0] = NAN
    frames = resample(times, values, 50.0, 10.0)
    lost = frame_times(500, 50.0)[np.isnan(frames[:, 0])]
    assert abs(lost[0] - 4) < 0.03 and abs(lost[-1] - 7) < 0.05
    assert (frames[:, 1] == 1).all() and (frames[~np.isnan(frames[:, 0]), 0] == 1).all()


@pytest.mark.parametrize(("tone_hz", "least", "most"), [(0.5, 0.95, 1.0), (6.0, 0.0, 0.04), (9.3, 0.0, 0.04)])
def test_a_lower_rate_does_not_alias(tone_hz, least, most):
    times = even_times(60, 20)
    frames = resample(times, np.sin(2 * np.pi * tone_hz * times + 0.3), 10.0)
    assert least <= np.abs(frames[5:-5]).max() <= most


def test_the_length_follows_the_clip():
    assert resample(even_times(25, 10), np.zeros(250)).shape == (500,)
    assert resample(even_times(29.97, 3.003), np.zeros((90, 4)), 50.0, 3.003).shape == (150, 4)
    assert resample(np.array([0.0]), np.array([[7.0]]), 50.0, 0.1).tolist() == [[7.0]] * 5


# Properties of all filters


@pytest.mark.parametrize("method", METHODS)
def test_missing_samples_stay_missing_and_do_not_affect_other_channels(method):
    times = even_times(30, 10)
    values = noise(300, 3)
    values[100:130, 1] = values[:5, 2] = NAN
    smoothed = smooth(times, values, method)
    assert smoothed.shape == values.shape
    assert (np.isnan(smoothed) == np.isnan(values)).all()
    np.testing.assert_allclose(smoothed[:, 0], smooth(times, values[:, 0], method), atol=1e-12)
    values[100:130, 1] = np.inf
    np.testing.assert_array_equal(smooth(times, values, method), smoothed)
    assert np.isnan(smooth(times, np.full((300, 2), NAN), method)).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_very_short_clips_work(method, n_frames):
    times, values = even_times(30, n_frames / 30), np.arange(n_frames, dtype=float)
    assert np.isfinite(smooth(times, values, method)).all()


@pytest.mark.parametrize("method", ["savgol", "moving_average", "one_euro", "kalman"])
def test_jitter_shrinks_and_a_constant_is_untouched(method):
    times = uneven_times(30, 20)
    assert np.std(smooth(times, 0.2 * noise(len(times)), method)) < 0.75 * 0.2
    np.testing.assert_allclose(smooth(times, np.full(len(times), 3.25), method), 3.25, atol=1e-9)


def test_nearly_equal_times_do_no_harm():
    times = np.sort(np.concatenate([even_times(30, 3), even_times(30, 3) + 1e-9]))
    for method in METHODS:
        assert np.abs(smooth(times, np.sin(times), method) - np.sin(times)).max() < 0.5


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: smooth(t, t, "median"), "savgol"),
        (lambda t: smooth(t, t, "savgol", cutoff_hz=3), "cutoff_hz"),
        (lambda t: smooth(t, t[:-1]), "do not fit"),
        (lambda t: smooth(t[::-1], t), "increasing"),
        (lambda t: smooth(t * NAN, t), "finite"),
        (lambda t: smooth(t[:0], t[:0]), "at least 1"),
        (lambda t: savitzky_golay(t, t, -1.0), "window_s"),
        (lambda t: savitzky_golay(t, t, 0.3, order=9), "order"),
        (lambda t: savitzky_golay(t, t, 0.3, order=2, derivative=3), "derivative"),
        (lambda t: moving_average(t, t, NAN), "window_s"),
        (lambda t: one_euro(t, t, min_cutoff_hz=0), "min_cutoff_hz"),
        (lambda t: one_euro(t, t, beta=-1), "beta"),
        (lambda t: kalman_rts(t, t, process_noise=-1), "process_noise"),
        (lambda t: fill_gaps(t, t, -0.1), "max_gap_s"),
        (lambda t: resample(t, t, 0.0), "frame_rate"),
        (lambda t: resample(t, t, 50.0, -1.0), "duration_s"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ExpotionError, match=says) as caught:
        call(even_times(30, 1))
    assert "\n" not in str(caught.value)


def test_the_published_method_equals_torchs_interpolation_with_aligned_corners():
    """Means over 0.2 s, spread from the first frame to the last; what is missing counts as 0."""
    torch = pytest.importorskip("torch")
    times, values = np.arange(250) / 25, noise(250, 2)
    slow = values.reshape(50, 5, 2).mean(1)
    expected = torch.nn.functional.interpolate(torch.from_numpy(slow.T)[None], 500, mode="linear", align_corners=True)[
        0
    ].T
    np.testing.assert_allclose(resample_as_published(times, values, 50, 10.0), expected, atol=1e-9)
    values[100:125] = NAN
    lost = resample_as_published(times, values, 50, 10.0)
    assert np.isfinite(lost).all() and (lost[205:245] == 0).all()
