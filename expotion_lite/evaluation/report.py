"""Report files: JSON, Markdown tables and figures in one style. Each file is written whole or not at all."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import atomic_write
from ..musicgen.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The style of all figures of the project: in a checkout. Without it, an installed package draws in matplotlib's own.
STYLE = Path(__file__).parents[2] / "notebooks" / "matplotlibrc"
ERROR_BARS: dict[str, Any] = {"ecolor": "0.4", "capsize": 3}  # arguments of `Axes.errorbar`

Interval = tuple[float, float]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every report on generated music: model, adapter, both guidances, and the output folder."""
    parser.add_argument("--model", default="nano", help="nano or a folder (default: %(default)s)")
    parser.add_argument("--adapter", default="bundled", help="bundled or a folder (default: %(default)s)")
    parser.add_argument("--guidance", type=float, default=Settings.guidance, help="(default: %(default)s)")
    parser.add_argument(
        "--visual-guidance", type=float, default=Settings.visual_guidance, help="(default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=Path("figures"), help="folder (default: %(default)s)")


def write_text(path: Path, text: str) -> None:
    """Write text, with a line break at its end, over what is there."""
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Write what `json` can write, over what is there."""
    write_text(path, json.dumps(content, indent=1))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown.

    Example:
        >>> print(markdown_table(["music", "score"], [["with video", "0.37"]]))
        | music | score |
        |---|---|
        | with video | 0.37 |
    """
    lines = [f"| {' | '.join(cells)} |" for cells in [header, *rows]]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def with_interval(value: float, interval: Sequence[float], digits: int = 2, sign: str = "") -> str:
    """Format a value with its interval.

    Args:
        value: the estimate.
        interval: its lower and upper bound.
        digits: decimals of all three numbers.
        sign: "+" to show the sign of positive numbers, too.

    Example:
        >>> with_interval(0.4, (0.3, 0.5)), with_interval(0.4, (-0.1, 0.9), digits=1, sign="+")
        ('0.40 (0.30 to 0.50)', '+0.4 (-0.1 to +0.9)')
    """
    number, low, high = (f"{each:{sign}.{digits}f}" for each in (value, *interval))
    return f"{number} ({low} to {high})"


def error_lengths(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return how far intervals reach below and above their values (R,), as (2, R) for `Axes.errorbar`."""
    return np.abs([values - low, high - values])  # rounding may leave a bound on the wrong side of its value


@contextmanager
def new_figure(
    path: Path, size: tuple[float, float], rows: int = 1, columns: int = 1, **options: Any
) -> Iterator[tuple[Figure, np.ndarray]]:
    """Yield an empty figure and its axes (rows, columns) in the project's style; save it when the block ends.

    The figure does not belong to pyplot, so it needs no screen and no `close`, and pyplot's state stays as it is.

    Args:
        path: the SVG to write over what is there.
        size: width and height in inches.
        rows: number of rows of axes.
        columns: number of columns of axes.
        **options: of `Figure.subplots`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "expotion_lite"}, STYLE if STYLE.exists() else None):
        figure = Figure(figsize=size, layout="constrained")
        yield figure, figure.subplots(rows, columns, squeeze=False, **options)
        with atomic_write(path, overwrite=True) as temporary:
            figure.savefig(temporary, metadata={"Date": None})  # the same numbers give the same file
