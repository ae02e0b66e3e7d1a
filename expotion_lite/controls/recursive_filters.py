"""Filters that go through the samples one after the other: One Euro, and Kalman with the RTS smoother.

Times and values are as in `expotion_lite.controls.smoothing`, which offers these two beside the others.
"""

from __future__ import annotations

import numpy as np

from ..errors import ExpotionError
from .columns import as_columns, groups, require_positive


def one_euro(
    times: np.ndarray,
    values: np.ndarray,
    min_cutoff_hz: float = 1.0,
    beta: float = 1.0,
    derivative_cutoff_hz: float = 1.0,
) -> np.ndarray:
    """Low-pass with a cut-off that rises with speed: steady when still, quick when moving.

    The one causal filter here: it can run live, and it lags by about 1 / (2 pi cut-off) seconds.

    Args:
        times: (T,) seconds.
        values: (T,) or (T, C); NaN is missing, the filter waits.
        min_cutoff_hz: cut-off at rest, Hz. Lower: less jitter.
        beta: rise of the cut-off, Hz per (unit of values / second). Higher: less lag.
        derivative_cutoff_hz: cut-off of the speed estimate, Hz.

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
    heard = np.full(columns.shape[1], -np.inf)  # time of each channel's last sample
    for i, (time, sample) in enumerate(zip(times, columns, strict=True)):
        valid = ~np.isnan(sample)
        interval = time - heard
        rise = np.where(np.isnan(level), 0.0, (sample - level) / interval)
        mix = 1 / (1 + 1 / (2 * np.pi * derivative_cutoff_hz * interval))
        speed = np.where(valid, speed + mix * (rise - speed), speed)
        mix = 1 / (1 + 1 / (2 * np.pi * (min_cutoff_hz + beta * np.abs(speed)) * interval))
        started = np.where(np.isnan(level), sample, level)
        level = np.where(valid, started + mix * (sample - started), level)
        heard = np.where(valid, time, heard)
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
    """Kalman filter forwards, Rauch-Tung-Striebel smoother backwards, for a body that coasts at constant velocity.

    The state is position and velocity; acceleration is white noise. Only the ratio of the two noises matters for the
    result, and it can be given as a frequency instead: at `cutoff_hz` half of an oscillation's amplitude remains, of
    slower ones more. Zero phase. The outcome is a cubic smoothing spline through the samples.

    Args:
        times: (T,) seconds.
        values: (T,) or (T, C); NaN is missing, the state coasts on.
        process_noise: spectral density of the acceleration, unit^2 / s^3. None: chosen so that cutoff_hz holds.
        measurement_noise: variance of a sample, unit^2.
        cutoff_hz: used where process_noise is None, Hz.

    Raises:
        ExpotionError: times and values do not fit together, or a parameter is not positive.

    Reference:
        H. E. Rauch, F. Tung, C. T. Striebel, "Maximum likelihood estimates of linear dynamic systems", AIAA Journal 3
        (1965). G. Wahba, "Improper priors, spline smoothing and the problem of guarding against model errors in
        regression", J. R. Statist. Soc. B 40 (1978), for the spline.

    Notebook: notebooks/03_smoothing_and_alignment
    """
    times, columns = as_columns(times, values)
    require_positive(measurement_noise=measurement_noise, cutoff_hz=cutoff_hz)
    if len(times) < 2:
        return columns.reshape(np.shape(values)).copy()
    if process_noise is None:
        process_noise = measurement_noise * float(np.mean(np.diff(times))) * (2 * np.pi * cutoff_hz) ** 4
    require_positive(process_noise=process_noise)
    smoothed = np.full_like(columns, np.nan)
    for valid, chosen in groups(columns):
        if valid.any():
            smoothed[np.ix_(valid, chosen)] = _rts(
                times[valid], columns[np.ix_(valid, chosen)], process_noise / measurement_noise
            )
    return smoothed.reshape(np.shape(values))


def _rts(times: np.ndarray, samples: np.ndarray, density: float) -> np.ndarray:
    """Return smoothed positions (T, C) of gapless samples (T, C) for a noise variance of 1 and this `density`.

    All channels share the covariances, since these depend on the times alone: [[a, b], [b, d]] as plain numbers.
    """
    if len(times) < 3:
        return samples.copy()
    steps = np.diff(times).tolist()
    position, speed = samples.copy(), np.zeros_like(samples)
    a, b, d = 1.0, 0.0, 1e12 / (times[-1] - times[0]) ** 2  # at first any speed is as likely as any other
    returns = []
    for i, dt in enumerate(steps):
        # Predict; the gain of the way back is P F^T (F P F^T + Q)^-1.
        ahead = a + dt * (2 * b + dt * d) + density * dt**3 / 3, b + dt * d + density * dt**2 / 2, d + density * dt
        across, spread = a + dt * b, ahead[0] * ahead[2] - ahead[1] ** 2
        returns.append((
            (across * ahead[2] - b * ahead[1]) / spread, (b * ahead[0] - across * ahead[1]) / spread,
            ((b + dt * d) * ahead[2] - d * ahead[1]) / spread, (d * ahead[0] - (b + dt * d) * ahead[1]) / spread,
        ))  # fmt: skip
        # Update by the next sample.
        total = ahead[0] + 1.0
        a, b, d = ahead[0] / total, ahead[1] / total, ahead[2] - ahead[1] ** 2 / total
        coasted = position[i] + dt * speed[i]
        surprise = samples[i + 1] - coasted
        position[i + 1] = coasted + a * surprise
        speed[i + 1] = speed[i] + b * surprise
    for i in range(len(steps) - 1, -1, -1):
        g, h, k, m = returns[i]
        off_position = position[i + 1] - position[i] - steps[i] * speed[i]
        off_speed = speed[i + 1] - speed[i]
        position[i] += g * off_position + h * off_speed
        speed[i] += k * off_position + m * off_speed
    return position
