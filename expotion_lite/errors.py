"""Errors that the library raises for input it cannot use, and help for their messages."""

from __future__ import annotations

import re


class ExpotionError(ValueError):
    """Unusable input. The message is one line: what was wrong, and what to do about it.

    Args:
        message: the line; whatever in it is not visible, such as a line break in a file's name, is replaced.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(message))


class Unreachable(ExpotionError):
    """Failed request to a network service; the same request may succeed later."""


class Cancelled(ExpotionError):
    """Work that the caller stopped before there was a result to keep."""


def short_repr(value: object) -> str:
    """Return the repr of a value, cut to 60 characters, for an error message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: object) -> str:
    r"""Return a text on one line, with everything escaped that is no visible character, such as a terminal's commands.

    Example:
        >>> print(printable("me\x1b[2J.mp4"), printable("two\nlines"))
        me\x1b[2J.mp4 two lines
    """
    line = re.sub(r"\s*[\r\n]\s*", " ", str(text)).strip()
    if line.isprintable():
        return line
    escaped = (c.encode("unicode_escape", "surrogatepass").decode() for c in line)
    return "".join(c if c.isprintable() else " " if c.isspace() else e for c, e in zip(line, escaped, strict=True))
