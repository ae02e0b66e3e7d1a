"""Recursive filters, which process one sample after the other: One Euro, and Kalman with the RTS smoother.

Times and values are as in `expotion_lite.controls.smoothing`, whose `smooth` offers all filters by name.
"""

from __future__ import annotations

import numpy as np

from ..errors import ExpotionError
from .columns import as_columns, group_by_missing, require_positive


def one_euro(
    times: np.ndarray,
    values: np.ndarray,
    min_cutoff_hz: float = 1.0,
    beta: float = 1.0,
    derivative_cutoff_hz: float = 1.0,
) -> np.ndarray:
    """Apply a low-pass filter with a cut-off that rises with speed: little jitter at rest, little lag in motion.

    It is the only causal filter of this package: it can run live, and it lags by about 1 / (2 pi cut-off) seconds.

    Args:
        times: (T,) seconds.
        values: (T,) or (T, C); NaN is missing, and the filter holds its state.
        min_cutoff_hz: cut-off at rest, Hz. Lower: less jitter.
        beta: rise of the cut-off, Hz per (unit of values / second). Higher: less lag.
        derivative_cutoff_hz: cut-off of the speed estimate, Hz.

    Returns:
        Filtered values, float64, shaped as the values; NaN stays NaN.

    Raises:
        ExpotionError: times and values do not fit together, or a parameter is out of range.

    Reference:
        G. Casiez, N. Roussel, D. Vogel, "1 EUR filter: a simple speed-based low-pass filter for noisy input in
        interactive systems", CHI 2012, equations 1-8 and algorithm 1.

    Notebook: notebooks/03_smoothing_and_alignment
    """
    times, columns = as_columns(times, values)
    require_positive(min_cutoff_hz=min_cutoff_hz, derivative_cutoff_hz=derivative_cutoff_hz)
    if not beta >= 0:
        raise ExpotionError(f"beta is {beta}; give 0 or more (Hz per unit of speed).")
    filtered = np.full_like(columns, np.nan)
    level = np.full(columns.shape[1], np.nan)
    speed = np.zeros(columns.shape[1])
    last_time = np.full(columns.shape[1], -np.inf)  # of each channel's last valid sample
    for i, (time, sample) in enumerate(zip(times, columns, strict=True)):
        valid = ~np.isnan(sample)
        interval = time - last_time
        rise = np.where(np.isnan(level), 0.0, (sample - level) / interval)
        mix = 1 / (1 + 1 / (2 * np.pi * derivative_cutoff_hz * interval))
        speed = np.where(valid, speed + mix * (rise - speed), speed)
        mix = 1 / (1 + 1 / (2 * np.pi * (min_cutoff_hz + beta * np.abs(speed)) * interval))
        started = np.where(np.isnan(level), sample, level)
        level = np.where(valid, started + mix * (sample - started), level)
        last_time = np.where(valid, time, last_time)
        filtered[i] = np.where(valid, level, np.nan)
    return filtered.reshape(np.shape(values))


def kalman_rts(
    times: np.ndarray,
    values: np.ndarray,
    process_noise: float | None = None,
    measurement_noise: float = 1.0,
    *,
    cutoff_hz: float = 4.0,
) -> np.ndarray:
    """Apply a Kalman filter forwards and a Rauch-Tung-Striebel smoother backwards, for a constant-velocity model.

    The state is position and velocity; the acceleration is white noise. Only the ratio of process noise to measurement
    noise matters for the result. It can be given as a frequency: at `cutoff_hz` half of an oscillation's amplitude
    remains, and more of slower ones. Zero phase. The result is the cubic smoothing spline with the penalty
    measurement_noise / process_noise (`lam` of `scipy.interpolate.make_smoothing_spline`).

    Args:
        times: (T,) seconds.
        values: (T,) or (T, C); NaN is missing, and the state moves on at constant velocity.
        process_noise: spectral density of the acceleration, unit^2 / s^3. None: chosen to match cutoff_hz.
        measurement_noise: variance of a sample, unit^2.
        cutoff_hz: used if process_noise is None, Hz.

    Returns:
        Smoothed values, float64, shaped as the values; NaN stays NaN.

    Raises:
        ExpotionError: times and values do not fit together, or a parameter is not positive.

    Reference:
        H. E. Rauch, F. Tung, C. T. Striebel, "Maximum likelihood estimates of linear dynamic systems", AIAA Journal 3
        (1965). G. Wahba, "Improper priors, spline smoothing and the problem of guarding against model errors in
        regression", J. R. Statist. Soc. B 40 (1978), for the spline.
    """
    times, columns = as_columns(times, values)
    require_positive(measurement_noise=measurement_noise, cutoff_hz=cutoff_hz)
    if len(times) < 2:
        return columns.reshape(np.shape(values)).copy()
    if process_noise is None:
        process_noise = measurement_noise * float(np.mean(np.diff(times))) * (2 * np.pi * cutoff_hz) ** 4
    require_positive(process_noise=process_noise)
    smoothed = np.full_like(columns, np.nan)
    for valid, chosen in group_by_missing(columns):
        if valid.any():
            smoothed[np.ix_(valid, chosen)] = _rts(
                times[valid], columns[np.ix_(valid, chosen)], process_noise / measurement_noise
            )
    return smoothed.reshape(np.shape(values))


def _rts(times: np.ndarray, samples: np.ndarray, density: float) -> np.ndarray:
    """Return smoothed positions (T, C) of samples (T, C) without NaN, for a measurement noise of variance 1.

    `density` is the spectral density of the acceleration. The covariance of the state depends on the times alone, so
    all channels share it: [[a, b], [b, d]], as plain numbers, which are faster than small arrays.
    """
    if len(times) < 3:
        return samples.copy()
    steps = np.diff(times).tolist()
    position, speed = samples.copy(), np.zeros_like(samples)
    a, b, d = 1.0, 0.0, 1e12 / (times[-1] - times[0]) ** 2  # the speed is unknown at first: a very large variance
    backward_gains = []
    for i, dt in enumerate(steps):
        # Predict: the covariance of the next state is [[pa, pb], [pb, pd]] = F P F^T + Q, with F = [[1, dt], [0, 1]].
        pa = a + dt * (2 * b + dt * d) + density * dt**3 / 3
        pb = b + dt * d + density * dt**2 / 2
        pd = d + density * dt
        # The gain of the backward pass is P F^T (F P F^T + Q)^-1; here P F^T = [[fa, b], [fb, d]].
        fa, fb, determinant = a + dt * b, b + dt * d, pa * pd - pb**2
        to_position = (fa * pd - b * pb) / determinant, (b * pa - fa * pb) / determinant
        to_speed = (fb * pd - d * pb) / determinant, (d * pa - fb * pb) / determinant
        backward_gains.append((*to_position, *to_speed))
        # Update with the next sample: a and b are now also the Kalman gains of position and speed.
        total = pa + 1.0
        a, b, d = pa / total, pb / total, pd - pb**2 / total
        predicted = position[i] + dt * speed[i]
        innovation = samples[i + 1] - predicted
        position[i + 1] = predicted + a * innovation
        speed[i + 1] = speed[i] + b * innovation
    for i in range(len(steps) - 1, -1, -1):
        # Correct each state by what the later samples changed about its prediction.
        position_change = position[i + 1] - position[i] - steps[i] * speed[i]
        speed_change = speed[i + 1] - speed[i]
        g, h, k, m = backward_gains[i]
        position[i] += g * position_change + h * speed_change
        speed[i] += k * position_change + m * speed_change
    return position
