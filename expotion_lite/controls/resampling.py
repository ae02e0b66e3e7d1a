"""Alignment in time: resample values at the times of video frames to the music model's frame rate.

`frame_times` are the moments of the model's frames, and `resample` brings values there by each video frame's true time.
`resample_as_published` is the method of the published Expotion, for comparison.
"""

from __future__ import annotations

import math

import numpy as np

from .columns import as_columns, require_positive


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


def resample(
    times: np.ndarray, values: np.ndarray, frame_rate: float = 50.0, duration_s: float | None = None
) -> np.ndarray:
    """Resample to the centres of the model's frames by time, so that no drift builds up over a clip of any length.

    To a higher rate it interpolates linearly. To a lower rate it averages over four output frames with raised-cosine
    weights. Of frequencies above half the output rate, at most 3 % of the amplitude remains, and the result never
    overshoots. A frame is missing where the sample nearest to it is missing. The first and last values are held beyond
    the ends.

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
    interval, duration_s = _interval_and_duration(times, frame_rate, duration_s)
    centres = frame_times(round(duration_s * frame_rate), frame_rate)
    finer = min(math.ceil(1.5 / (interval * frame_rate)), 64)  # taps per output frame, at least 1.5 per sample
    if interval * frame_rate > 0.98:
        resampled = interpolate(times, columns, centres)
    else:
        total, weight = np.zeros((len(centres), columns.shape[1])), np.zeros((len(centres), columns.shape[1]))
        for tap in range(1 - 2 * finer, 2 * finer):
            share = 0.5 + 0.5 * math.cos(math.pi * tap / (2 * finer))
            part = interpolate(times, columns, centres + tap / (finer * frame_rate))
            missing = np.isnan(part)
            total += share * np.where(missing, 0.0, part)
            weight += share * ~missing
        missing = np.isnan(interpolate(times, columns, centres))
        resampled = np.where(missing, np.nan, total / np.maximum(weight, 1e-12))
    return resampled.reshape(len(centres), *np.shape(values)[1:])


def interpolate(times: np.ndarray, columns: np.ndarray, at: np.ndarray) -> np.ndarray:
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


def resample_as_published(
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
        >>> tenths = np.arange(0, 1, 0.1)
        >>> resample_as_published(tenths, tenths, frame_rate=5, duration_s=1.0).round(2).tolist()
        [0.05, 0.25, 0.45, 0.65, 0.85]
    """
    times, columns = as_columns(times, values)
    _, duration_s = _interval_and_duration(times, frame_rate, duration_s)
    n_slow, n = max(1, round(5 * duration_s)), round(frame_rate * duration_s)
    slot = np.clip((times * 5 + 1e-6).astype(int), 0, n_slow - 1)
    totals, counts = np.zeros((n_slow, columns.shape[1])), np.bincount(slot, minlength=n_slow)
    np.add.at(totals, slot, np.nan_to_num(columns))
    slow = totals / np.maximum(counts, 1)[:, None]
    place = np.arange(n) * (n_slow - 1) / max(n - 1, 1)
    spread = np.stack([np.interp(place, np.arange(n_slow), column) for column in slow.T], axis=1)
    return spread.reshape(n, *np.shape(values)[1:])


def _interval_and_duration(times: np.ndarray, frame_rate: float, duration_s: float | None) -> tuple[float, float]:
    """Return the median interval of times (T,) and the length of the output, in seconds; see `resample`."""
    interval = float(np.median(np.diff(times))) if len(times) > 1 else 1 / frame_rate
    duration_s = float(times[-1]) + interval if duration_s is None else duration_s
    require_positive(frame_rate=frame_rate, duration_s=duration_s)
    return interval, duration_s
