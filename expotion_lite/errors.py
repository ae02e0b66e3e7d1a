"""Errors that the library raises for input it cannot use, and help for their messages."""

from __future__ import annotations


class ExpotionError(ValueError):
    """Unusable input. The message is one line: what was wrong, and what to do about it."""


class Unreachable(ExpotionError):
    """Failed request to a network service; the same request may succeed later."""


class Cancelled(ExpotionError):
    """Work that the caller stopped before there was a result to keep."""


def short_repr(value: object) -> str:
    """Return the repr of a value, cut to 60 characters, for an error message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
