"""The one error that bad input raises."""

from __future__ import annotations

from typing import Any


class ExpotionError(ValueError):
    """Input that cannot be used. The message is one line: what was wrong, and what to do about it."""


class Unreachable(ExpotionError):
    """The network, or who is at its other end, did not give what was asked for: another time it may."""


class Cancelled(ExpotionError):
    """Somebody asked to stop before there was anything to keep."""


def short_repr(value: Any) -> str:
    """Return a value's repr in at most 60 characters, for use in an error message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
