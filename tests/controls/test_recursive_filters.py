"""Recursive filters: One Euro against the paper's algorithm, Kalman with RTS against dense solutions and splines."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline
from stick_people import even_times, uneven_times

from expotion_lite.controls.recursive_filters import kalman_rts, one_euro

NAN = np.nan


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape)


class PaperOneEuro:
    """Algorithm 1 of the paper, for one channel, called with one sample at a time."""

    def __init__(self, min_cutoff, beta, derivative_cutoff):
        self.min_cutoff, self.beta, self.derivative_cutoff = min_cutoff, beta, derivative_cutoff
        self.last_x = self.last_dx = None

    @staticmethod
    def alpha(rate, cutoff):
        return 1.0 / (1.0 + (1.0 / (2 * math.pi * cutoff)) / (1.0 / rate))

    def __call__(self, x, rate):
        if self.last_x is None:
            self.last_x, self.last_dx = x, 0.0
            return x
        dx = (x - self.last_x) * rate
        a = self.alpha(rate, self.derivative_cutoff)
        self.last_dx = a * dx + (1 - a) * self.last_dx
        a = self.alpha(rate, self.min_cutoff + self.beta * abs(self.last_dx))
        self.last_x = a * x + (1 - a) * self.last_x
        return self.last_x


def test_one_euro_equals_the_papers_algorithm():
    times = uneven_times(30, 5)
    values = np.cumsum(noise(len(times), 3), axis=0)
    filters = [PaperOneEuro(1.2, 0.4, 0.9) for _ in range(3)]
    rates = [NAN, *(1 / np.diff(times))]
    expected = [
        [step(x, rate) for step, x in zip(filters, row, strict=True)] for row, rate in zip(values, rates, strict=True)
    ]
    np.testing.assert_allclose(one_euro(times, values, 1.2, 0.4, 0.9), expected, atol=1e-12)


def test_one_euro_lags_less_when_fast():
    times = even_times(30, 4)
    lag = [np.abs(10 * times - one_euro(times, 10 * times, 1.0, beta))[-1] for beta in (0.0, 0.5)]
    assert lag[0] == pytest.approx(10 / (2 * np.pi), rel=0.05)  # speed / (2 pi cut-off)
    assert lag[1] < lag[0] / 3


def dense_smoother(times, samples, density, variance):
    """Gaussian process regression with the same prior: an unknown line plus integrated Brownian motion."""
    early, late = np.minimum(*np.meshgrid(times, times)), np.maximum(*np.meshgrid(times, times))
    kernel = density * (early**3 / 3 + early**2 * (late - early) / 2)
    line = np.stack([np.ones_like(times), times], axis=1)
    inverse = np.linalg.inv(kernel + variance * np.eye(len(times)))
    weights = np.linalg.solve(line.T @ inverse @ line, line.T @ inverse @ samples)
    return line @ weights + kernel @ inverse @ (samples - line @ weights)


def test_kalman_rts_equals_the_dense_solution():
    times = uneven_times(20, 2)
    samples = np.sin(5 * times) + 0.2 * noise(len(times))
    for density, variance in ((40.0, 0.04), (1.0, 0.5)):
        expected = dense_smoother(times, samples, density, variance)
        np.testing.assert_allclose(kalman_rts(times, samples, density, variance), expected, atol=1e-5)


def test_kalman_rts_equals_scipys_smoothing_spline_and_skips_missing_samples():
    times = uneven_times(30, 5)
    samples = np.stack([np.sin(4 * times) + 0.1 * noise(len(times)), times], axis=1)
    samples[20:35, 0] = NAN
    known = ~np.isnan(samples[:, 0])
    expected = make_smoothing_spline(times[known], samples[known, 0], lam=0.01 / 3.0)(times[known])
    smoothed = kalman_rts(times, samples, process_noise=3.0, measurement_noise=0.01)
    np.testing.assert_allclose(smoothed[known, 0], expected, atol=1e-5)
    np.testing.assert_allclose(smoothed[:, 1], times, atol=1e-7)


@pytest.mark.parametrize("frame_rate", [25, 60])
def test_kalman_halves_an_oscillation_at_its_cutoff(frame_rate):
    times = even_times(frame_rate, 10)
    smoothed = kalman_rts(times, np.sin(2 * np.pi * 3 * times), cutoff_hz=3.0)
    middle = slice(len(times) // 4, -len(times) // 4)
    assert np.std(smoothed[middle]) / np.std(np.sin(2 * np.pi * 3 * times)[middle]) == pytest.approx(0.5, abs=0.02)
