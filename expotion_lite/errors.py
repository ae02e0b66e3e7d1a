"""The one error that bad input raises."""

from __future__ import annotations


class ExpotionError(ValueError):
    """Input that cannot be used. The message is one line: what was wrong, and what to do about it."""


class Unreachable(ExpotionError):
    """The network, or who is at its other end, did not give what was asked for: another time it may."""


class Cancelled(ExpotionError):
    """Somebody asked to stop before there was anything to keep."""
