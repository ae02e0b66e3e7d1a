"""Smoothing and alignment: fill gaps, filter, and resample by time.

Every function takes `times` (T,) in seconds, strictly increasing but not necessarily even (a webcam's are not), and
`values` (T,) or (T, C), where NaN means missing. It returns float64 of the same shape. Missing values stay missing:
only `fill_gaps` fills them, and only in short gaps. Parameters are in seconds or hertz, never in samples, so that they
mean the same at 15 and at 60 frames a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import ExpotionError
from .columns import as_columns, group_by_missing, require_positive
from .recursive_filters import kalman_rts, one_euro


def frame_times(n_frames: int, frame_rate: float) -> np.ndarray:
    """Return the centres of the model's frames, (n_frames,) seconds: (j + 0.5) / frame_rate.

    Frame j lasts from j / frame_rate to (j + 1) / frame_rate. Controls that are read at its centre stay in time with
    the sound over the whole clip.

    Args:
        n_frames: how many.
        frame_rate: of the model, Hz.

    Example:
        >>> frame_times(3, 50.0).tolist()
        [0.01, 0.03, 0.05]

    Notebook: notebooks/03_smoothing_and_alignment
    """
    return (np.arange(n_frames) + 0.5) / frame_rate


def fill_gaps(times: np.ndarray, values: np.ndarray, max_gap_s: float = 0.5) -> np.ndarray:
    """Fill short gaps with a straight line; hold the first and last value over short gaps at the ends.

    A gap lasts from the last sample before it to the first one after it. Longer gaps stay missing as a whole, since a
    line over seconds would look like a movement that the person did not make.

    Args:
        times: (T,) seconds.
        values: (T,) or (T, C); NaN is missing.
        max_gap_s: longest gap to fill, seconds.

    Returns:
        The values, float64, of the same shape, with fewer NaN.

    Raises:
        ExpotionError: times and values do not fit together, or max_gap_s is negative.

    Example:
        >>> fill_gaps(np.arange(4.0), np.array([1.0, np.nan, 3.0, np.nan]), max_gap_s=2.0).tolist()
        [1.0, 2.0, 3.0, 3.0]

    Notebook: notebooks/03_smoothing_and_alignment
    """
    times, columns = as_columns(times, values)
    if not max_gap_s >= 0:
        raise ExpotionError(f"max_gap_s is {max_gap_s}; give the longest gap to fill in seconds, 0 or more.")
    filled = columns.copy()
    for valid, chosen in group_by_missing(columns):
        if valid.all() or not valid.any():
            continue
        known, missing = np.flatnonzero(valid), np.flatnonzero(~valid)
        # The known samples on both sides of each missing one; beyond the ends, the nearest one stands on both sides.
        after = np.searchsorted(known, missing)
        left, right = known[np.maximum(after - 1, 0)], known[np.minimum(after, len(known) - 1)]
        gap_start = np.where(after == 0, times[0], times[left])
        gap_end = np.where(after == len(known), times[-1], times[right])
        short = gap_end - gap_start <= max_gap_s + 1e-9
        missing, left, right = missing[short], left[short], right[short]
        span = np.maximum(times[right] - times[left], 1e-12)
        share = np.clip((times[missing] - times[left]) / span, 0.0, 1.0)[:, None]
        left_values, right_values = columns[np.ix_(left, chosen)], columns[np.ix_(right, chosen)]
        filled[np.ix_(missing, chosen)] = (1 - share) * left_values + share * right_values
    return filled.reshape(np.shape(values))


def moving_average(times: np.ndarray, values: np.ndarray, window_s: float) -> np.ndarray:
    """Average over a centred window of window_s seconds; at the ends, over the part of it inside the clip.

    Each sample is weighted by its share of time (half-way to both neighbours), so that a burst of frames weighs no more
    than a single frame that lasts as long. Zero phase: nothing moves in time.

    Args:
        times: (T,) seconds.
        values: (T,) or (T, C); NaN is missing and left out of the averages.
        window_s: width of the window, seconds. A window of n sample intervals is the usual n-point average.

    Returns:
        The averages, float64, shaped as the values; NaN stays NaN.

    Raises:
        ExpotionError: times and values do not fit together, or window_s is not positive.

    Notebook: notebooks/03_smoothing_and_alignment
    """
    times, columns = as_columns(times, values)
    require_positive(window_s=window_s)
    if len(times) < 2:
        return columns.reshape(np.shape(values)).copy()
    steps = np.diff(times)
    edges = np.concatenate([[times[0] - steps[0] / 2], times[:-1] + steps / 2, [times[-1] + steps[-1] / 2]])
    cells = np.diff(edges)[:, None]
    valid = ~np.isnan(columns)
    low = np.clip(times - window_s / 2, edges[0], edges[-1])
    high = np.clip(times + window_s / 2, edges[0], edges[-1])

    def integral(density: np.ndarray) -> np.ndarray:
        """Integrate a density that is constant in each cell from low to high."""
        total = np.concatenate([np.zeros((1, density.shape[1])), np.cumsum(density * cells, axis=0)])
        return _linear(edges, total, high) - _linear(edges, total, low)

    weight = integral(valid.astype(float)) if not valid.all() else (high - low)[:, None]
    averaged = integral(np.where(valid, columns, 0.0)) / np.maximum(weight, 1e-12)
    return np.where(valid, averaged, np.nan).reshape(np.shape(values))


def savitzky_golay(
    times: np.ndarray, values: np.ndarray, window_s: float, order: int = 3, *, derivative: int = 0
) -> np.ndarray:
    """Fit a polynomial to each sample's window by least squares and return its value, or a derivative, at the sample.

    At even times this is the classic Savitzky-Golay filter. At uneven times the fit uses the true times, so no
    resampling is needed. At the ends, and at gaps longer than half a window, the window moves inwards and keeps its
    width. Windows with too few samples get a polynomial of lower order. Zero phase.

    Args:
        times: (T,) seconds.
        values: (T,) or (T, C); NaN is missing and left out of the fits.
        window_s: width of the window, seconds.
        order: order of the polynomial, 0 to 5.
        derivative: 0 for the smoothed value, 1 for its rate of change per second, and so on.

    Returns:
        Values or derivatives, float64, shaped as the values; NaN stays NaN.

    Raises:
        ExpotionError: times and values do not fit together, or a parameter is out of range.

    Reference:
        A. Savitzky, M. J. E. Golay, "Smoothing and differentiation of data by simplified least squares procedures",
        Analytical Chemistry 36 (1964).

    Example:
        >>> times = np.arange(9) / 30
        >>> slopes = savitzky_golay(times, times**2, 0.2, order=2, derivative=1)
        >>> bool(np.allclose(slopes, 2 * times))
        True

    Notebook: notebooks/02_controls
    """
    times, columns = as_columns(times, values)
    require_positive(window_s=window_s)
    if not (0 <= order <= 5 and order == int(order)):
        raise ExpotionError(f"order is {order}; give the order of the polynomial, a whole number from 0 to 5.")
    if not (0 <= derivative <= order and derivative == int(derivative)):
        raise ExpotionError(f"derivative is {derivative}; give a whole number from 0 to the order ({order}).")
    smoothed = np.full_like(columns, np.nan)
    for valid, chosen in group_by_missing(columns):
        if not valid.any():
            continue
        known = columns[np.ix_(valid, chosen)]
        first, weights = _fit_weights(times[valid], window_s, int(order), int(derivative))
        fitted = np.zeros_like(known)
        for k, weight in enumerate(weights):
            fitted += weight[:, None] * known[np.minimum(first + k, len(known) - 1)]
        smoothed[np.ix_(valid, chosen)] = fitted
    return smoothed.reshape(np.shape(values))


def _fit_weights(times: np.ndarray, window_s: float, order: int, derivative: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the filter of each sample: the first sample (T,) of its window, and the weights (K, T) from there on.

    Each fit solves the normal equations M c = b in the scaled time u = (time - sample's time) / (window_s / 2), where
    M_ij is the sum of u^(i+j) over the window. The wanted derivative at u = 0 is a linear combination of the samples;
    its weights are polynomials in u with the coefficients `solution`.
    """
    first, last = _windows(times, window_s)
    offsets = np.arange((last - first).max() + 1)[:, None]
    inside = offsets <= last - first
    half = window_s / 2
    u = np.where(inside, (times[np.minimum(first + offsets, len(times) - 1)] - times) / half, 0.0)
    powers = [inside.astype(float)]
    for _ in range(2 * order):
        powers.append(powers[-1] * u)
    moments = np.stack([power.sum(axis=0) for power in powers], axis=1)
    degrees = np.arange(order + 1)
    used = degrees <= (last - first)[:, None]
    normal = moments[:, degrees[:, None] + degrees]
    # A small ridge keeps nearly equal times from making the fit singular. Rows of unused degrees become the identity's.
    normal = np.where(used[:, :, None] & used[:, None, :], normal, 0.0) + np.eye(order + 1) * 1e-12
    normal += np.eye(order + 1) * ~used[:, :, None]
    target = np.zeros((len(times), order + 1, 1))
    target[:, derivative, 0] = used[:, derivative]
    solution = np.linalg.solve(normal, target)[:, :, 0] * (math.factorial(derivative) / half**derivative)
    return first, np.sum([solution[:, degree] * powers[degree] for degree in degrees], axis=0)


def _windows(times: np.ndarray, window_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last sample (T,) of each sample's window, which never crosses a long gap."""
    if len(times) < 2:
        return np.zeros(1, int), np.zeros(1, int)
    half, steps = window_s / 2, np.diff(times)
    stretch = np.concatenate([[0], np.cumsum(steps > max(half, 1.5 * np.median(steps)))])
    starts = np.searchsorted(stretch, stretch, side="left")
    ends = np.searchsorted(stretch, stretch, side="right") - 1
    interval = np.median(steps)
    reach = math.floor(half / interval + 1e-6) * interval  # seconds from the centre to a window's outermost sample
    middle = (times[starts] + times[ends]) / 2
    centre = np.maximum(times, np.minimum(times[starts] + reach, middle))
    centre = np.minimum(centre, np.maximum(times[ends] - reach, middle))
    slack = half + 1e-6 * interval
    first = np.maximum(np.searchsorted(times, centre - slack, side="left"), starts)
    last = np.minimum(np.searchsorted(times, centre + slack, side="right") - 1, ends)
    here = np.arange(len(times))
    return np.minimum(first, here), np.maximum(last, here)


def resample(
    times: np.ndarray, values: np.ndarray, frame_rate: float = 50.0, duration_s: float | None = None
) -> np.ndarray:
    """Resample to the centres of the model's frames by time, so that no drift builds up over a clip of any length.

    To a higher rate it interpolates linearly. To a lower rate it averages with a raised-cosine window of four output
    frames, which lets at most 3 % of the frequencies above half the output rate through and never overshoots. A frame
    is missing where the sample nearest to it is missing. The first and last values are held beyond the ends.

    Args:
        times: (T,) seconds.
        values: (T,) or (T, C); NaN is missing.
        frame_rate: of the output, Hz.
        duration_s: length of the output in seconds. None: to the end of the last sample's interval.

    Returns:
        (F,) or (F, C) values at `frame_times(F, frame_rate)`, with F = round(duration_s * frame_rate).

    Raises:
        ExpotionError: times and values do not fit together, or a parameter is not positive.

    Example:
        >>> resample(np.array([0.0, 1.0]), np.array([0.0, 10.0]), frame_rate=4, duration_s=1.0).tolist()
        [1.25, 3.75, 6.25, 8.75]

    Notebook: notebooks/03_smoothing_and_alignment
    """
    times, columns = as_columns(times, values)
    interval = float(np.median(np.diff(times))) if len(times) > 1 else 1 / frame_rate
    duration_s = times[-1] + interval if duration_s is None else duration_s
    require_positive(frame_rate=frame_rate, duration_s=duration_s)
    centres = frame_times(round(duration_s * frame_rate), frame_rate)
    finer = min(math.ceil(1.5 / (interval * frame_rate)), 64)  # taps per output frame, at least 1.5 per sample
    if interval * frame_rate > 0.98:
        resampled = _linear(times, columns, centres)
    else:
        total, weight = np.zeros((len(centres), columns.shape[1])), np.zeros((len(centres), columns.shape[1]))
        for tap in range(1 - 2 * finer, 2 * finer):
            share = 0.5 + 0.5 * math.cos(math.pi * tap / (2 * finer))
            part = _linear(times, columns, centres + tap / (finer * frame_rate))
            missing = np.isnan(part)
            total += share * np.where(missing, 0.0, part)
            weight += share * ~missing
        missing = np.isnan(_linear(times, columns, centres))
        resampled = np.where(missing, np.nan, total / np.maximum(weight, 1e-12))
    return resampled.reshape(len(centres), *np.shape(values)[1:])


def _linear(times: np.ndarray, columns: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate columns (T, C) linearly at the times `at`; hold the ends; NaN where the nearest sample is NaN.

    Where one of the two neighbours is NaN, the nearest one is taken as it is.
    """
    if len(times) == 1:
        return np.repeat(columns, len(at), axis=0)
    left = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    share = np.clip((at - times[left]) / (times[left + 1] - times[left]), 0.0, 1.0)[:, None]
    before, after = columns[left], columns[left + 1]
    mixed = before + share * (after - before)
    if np.isnan(mixed).any():
        nearest = np.where(share <= 0.5, before, after)
        mixed = np.where(np.isnan(before) | np.isnan(after), nearest, mixed)
    return mixed


def as_published(
    times: np.ndarray, values: np.ndarray, frame_rate: float = 50.0, duration_s: float | None = None
) -> np.ndarray:
    """Resample to the model's frame rate as the published Expotion does, for comparison.

    Five values a second, here means over 0.2 s, are interpolated linearly so that the first falls on the first frame
    and the last on the last (`align_corners=True`). They are therefore early at the start of the clip and late at its
    end. Missing values count as 0.

    Args:
        times: (T,) seconds.
        values: (T,) or (T, C); NaN is missing.
        frame_rate: of the output, Hz.
        duration_s: length of the output in seconds. None: to the end of the last sample's interval.

    Returns:
        (F,) or (F, C) values without NaN, with F = round(duration_s * frame_rate).

    Raises:
        ExpotionError: times and values do not fit together, or a parameter is not positive.

    Example:
        >>> as_published(np.arange(0, 1, 0.1), np.arange(0, 1, 0.1), frame_rate=5, duration_s=1.0).round(2).tolist()
        [0.05, 0.25, 0.45, 0.65, 0.85]
    """
    times, columns = as_columns(times, values)
    interval = float(np.median(np.diff(times))) if len(times) > 1 else 1 / frame_rate
    duration_s = times[-1] + interval if duration_s is None else duration_s
    require_positive(frame_rate=frame_rate, duration_s=duration_s)
    n_slow, n = max(1, round(5 * duration_s)), round(frame_rate * duration_s)
    slot = np.clip((times * 5 + 1e-6).astype(int), 0, n_slow - 1)
    totals, counts = np.zeros((n_slow, columns.shape[1])), np.bincount(slot, minlength=n_slow)
    np.add.at(totals, slot, np.nan_to_num(columns))
    slow = totals / np.maximum(counts, 1)[:, None]
    place = np.arange(n) * (n_slow - 1) / max(n - 1, 1)
    spread = np.stack([np.interp(place, np.arange(n_slow), column) for column in slow.T], axis=1)
    return spread.reshape(n, *np.shape(values)[1:])


def _unsmoothed(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return a copy of the values as float64, infinities as NaN."""
    return as_columns(times, values)[1].reshape(np.shape(values)).copy()


@dataclass(frozen=True)
class _Method:
    """A filter, and the defaults of the parameters that `smooth` passes to it."""

    filter: Callable[..., np.ndarray]
    defaults: dict[str, float | None]


_METHODS = {
    "savgol": _Method(savitzky_golay, {"window_s": 0.3, "order": 2}),
    "moving_average": _Method(moving_average, {"window_s": 0.2}),
    "one_euro": _Method(one_euro, {"min_cutoff_hz": 1.0, "beta": 1.0, "derivative_cutoff_hz": 1.0}),
    "kalman": _Method(kalman_rts, {"process_noise": None, "measurement_noise": 1.0, "cutoff_hz": 4.0}),
    "none": _Method(_unsmoothed, {}),
}


def smooth(times: np.ndarray, values: np.ndarray, method: str = "savgol", **parameters: float) -> np.ndarray:
    """Smooth with a filter that is chosen by name.

    Args:
        times: (T,) seconds.
        values: (T,) or (T, C); NaN is missing.
        method: "savgol" (`savitzky_golay`), "moving_average", "one_euro", "kalman" (`kalman_rts`) or "none".
        **parameters: of the filter. Windows default to 0.3 s (order 2) for "savgol" and 0.2 s for "moving_average".

    Returns:
        Smoothed values, float64, shaped as the values; NaN stays NaN.

    Raises:
        ExpotionError: there is no such method, or the method has no such parameter.

    Example:
        >>> smooth(np.arange(3.0), np.array([0.0, 3.0, 0.0]), "moving_average", window_s=3.0).tolist()
        [1.5, 1.0, 1.5]

    Notebook: notebooks/03_smoothing_and_alignment
    """
    if method not in _METHODS:
        raise ExpotionError(f"There is no smoothing method {method!r}; choose one of {', '.join(_METHODS)}.")
    defaults = _METHODS[method].defaults
    if unknown := sorted(set(parameters) - set(defaults)):
        known = ", ".join(defaults) or "no parameters"
        raise ExpotionError(f"Smoothing method {method!r} has no parameter {', '.join(unknown)}; it takes {known}.")
    return _METHODS[method].filter(times, values, **(defaults | parameters))
