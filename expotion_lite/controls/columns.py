"""Helpers for (T, C) arrays: validation, grouping by missing values, lookup by channel name."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ExpotionError


def as_columns(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check the shapes and return times (T,) and values (T, C) as float64, infinities as NaN.

    Args:
        times: (T,) seconds, strictly increasing.
        values: (T,) or (T, C).

    Raises:
        ExpotionError: the shapes do not fit together, or the times do not increase.
    """
    times, values = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if times.ndim != 1 or len(times) == 0 or values.ndim == 0 or len(values) != len(times):
        raise ExpotionError(
            f"times {times.shape} and values {values.shape} do not fit; give (T,) and (T,) or (T, C), T at least 1."
        )
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ExpotionError("times must be finite and strictly increasing, in seconds; sort them and drop repeats.")
    columns = values.reshape(len(times), -1)
    return times, np.where(np.isfinite(columns), columns, np.nan)


def group_by_missing(columns: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Group the columns that are missing at the same times, so that a filter runs once for each group.

    Args:
        columns: (T, C); NaN is missing.

    Returns:
        A list of groups: the rows (T,) bool that are not missing, and the indices of the group's columns.
    """
    missing = np.isnan(columns)
    if not missing.any():
        return [(~missing[:, 0], np.arange(columns.shape[1]))] if columns.shape[1] else []
    patterns: dict[bytes, list[int]] = {}
    for column, packed in enumerate(np.packbits(missing, axis=0).T):
        patterns.setdefault(packed.tobytes(), []).append(column)
    return [(~missing[:, members[0]], np.array(members)) for members in patterns.values()]


def column_indices(wanted: Sequence[str], channels: Sequence[str]) -> list[int]:
    """Return the indices of the wanted channels' columns.

    Args:
        wanted: names to look up.
        channels: names of all columns.

    Raises:
        ExpotionError: a wanted channel is not there; the message names it.
    """
    if missing := [name for name in wanted if name not in channels]:
        raise ExpotionError(f"The controls have no channel {', '.join(missing)}; extract the controls anew.")
    return [channels.index(name) for name in wanted]


def require_positive(**parameters: float) -> None:
    """Raise ExpotionError unless every parameter is a positive, finite number."""
    for name, value in parameters.items():
        if not (0 < value < math.inf):
            raise ExpotionError(f"{name} is {value}; give a positive number.")
