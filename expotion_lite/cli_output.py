"""Messages of the command line: visible characters only, one line for an error, whatever becomes of the streams."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import TextIO

from .cli_help import PROGRAM
from .errors import ExpotionError, printable
from .files import disk_trouble

_LONGEST_LINE = 1000  # characters
_DENIED = (
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EMFILE,
    errno.ENFILE,
)
_NO_MEMORY = (  # said by torch, numpy, the dynamic loader, C++ and threading
    "can't allocate memory",
    "cannot allocate memory",
    "unable to allocate",
    "out of memory",
    "failed to map segment",
    "std::bad_alloc",
    "can't start new thread",
)


def open_closed_streams() -> bool:
    """Open the null device in place of standard streams that are closed, and return whether stdout was.

    Otherwise the next file that is opened would get the number of a standard stream, and messages of libraries.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    closed = sys.stdout is None
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115 - until the end
    return closed


def say(text: str) -> None:
    """Print text on stdout, line by line, without characters that a terminal would obey.

    Raises:
        ExpotionError: nothing can be printed there.
    """
    for line in text.split("\n"):
        _write(sys.stdout, "".join(c if c.isprintable() else printable(c) or " " for c in line))


def finish() -> None:
    """Print what is still buffered.

    Raises:
        ExpotionError: nothing can be printed on stdout.
    """
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        _silence(sys.stdout)
        reason = getattr(error, "strerror", None) or error
        raise ExpotionError(
            f"Standard output cannot be written ({reason}); send it to a file or a terminal."
        ) from error


def report(text: str, code: int) -> int:
    """Print one line on stderr, if that is possible, and return the exit code. A long line loses its middle."""
    line = printable(text)
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 2 :]}"
    try:
        _write(sys.stderr, f"{PROGRAM}: {line}")
        sys.stderr.flush()
    except (OSError, ValueError, ExpotionError):
        _silence(sys.stderr)
    return code


def known_trouble(error: Exception) -> str | None:
    """Return a message if an error says that memory or disk are full, or that the system denies a file; else None."""
    words = str(error).lower()
    if isinstance(error, MemoryError) or getattr(error, "errno", None) in (errno.ENOMEM, errno.EAGAIN):
        words += "out of memory"
    if any(each in words for each in _NO_MEMORY):
        return (
            "There is not enough memory; close other programs, raise the limit (ulimit -v), or use a shorter video or "
            "a smaller model."
        )
    if (reason := disk_trouble(error)) is not None:
        place = getattr(error, "filename", None) or "the disk"
        return f"Cannot write {place} ({reason}); free some space, or choose another folder."
    if isinstance(error, OSError) and error.errno in _DENIED and error.filename is not None:
        return f"Cannot use {error.filename} ({error.strerror}); check the name, and who may read and write there."
    return None


def _write(stream: TextIO, line: str) -> None:
    """Write a line, with escapes in place of characters that the stream's encoding lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    except (OSError, ValueError) as error:
        _silence(stream)
        reason = getattr(error, "strerror", None) or error
        raise ExpotionError(
            f"Standard output cannot be written ({reason}); send it to a file or a terminal."
        ) from error


def _silence(stream: TextIO) -> None:
    """Point a broken standard stream at the null device, so that Python does not complain about it at the end."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
