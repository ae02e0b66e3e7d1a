"""Smoothing of values over time: fill gaps, and filter. `resampling.py` aligns the result with the music.

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
from .resampling import interpolate


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
        return interpolate(edges, total, high) - interpolate(edges, total, low)

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
