"""Largest and smallest input that is accepted. Everything here is checked before any work begins."""

from __future__ import annotations

import math
import os

from .errors import ExpotionError

MAX_MINUTES = 30  # of a video, and of music; another limit: the environment variable EXPOTION_MAX_MINUTES
MAX_JSON_BYTES = 5_000_000
MAX_JSON_DEPTH = 40  # objects and lists within each other
MAX_NPZ_MB = 2000  # of all arrays in an .npz, unpacked; another limit: the environment variable EXPOTION_MAX_NPZ_MB
MAX_NPZ_ARRAYS = 1000
MAX_TABLE_BYTES = 10_000_000  # of a table of captions
MAX_TABLE_ROWS = 100_000
MAX_FIELD_CHARACTERS = 2000  # of one value in a table, and of a prompt
MAX_PROMPT_WORDS = 200
MAX_LOG_BYTES = 200_000_000
MAX_SIZE = 1_000_000  # of any dimension of a model
MAX_LAYERS = 1000
MAX_WINDOW_FRAMES = 100_000
# Bytes of address space, without which MediaPipe and PyTorch hang or crash. With nano on two cores, 2.8 GB were too few
# and 3.5 enough; every core has threads, which reserve some.
SMALLEST_MEMORY, MEMORY_OF_A_CORE = 3_000_000_000, 250_000_000


def max_npz_bytes() -> int:
    """Return how many bytes the arrays of an .npz file may have, unpacked.

    Raises:
        ExpotionError: the environment variable EXPOTION_MAX_NPZ_MB is no whole number above 0.
    """
    megabytes = os.environ.get("EXPOTION_MAX_NPZ_MB") or str(MAX_NPZ_MB)
    if not megabytes.isdecimal() or not 0 < int(megabytes) < 10**9:
        raise ExpotionError(f"EXPOTION_MAX_NPZ_MB is {megabytes!r}; set it to a whole number of megabytes.")
    return int(megabytes) * 10**6


def max_duration_s() -> float:
    """Return how long a video or music may be, in seconds.

    Raises:
        ExpotionError: the environment variable EXPOTION_MAX_MINUTES is no number above 0.
    """
    stated = os.environ.get("EXPOTION_MAX_MINUTES") or str(MAX_MINUTES)
    try:
        minutes = float(stated)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise ExpotionError(f"EXPOTION_MAX_MINUTES is {stated!r}; set it to a number of minutes.")
    return minutes * 60


def check_duration(duration_s: float, name: str = "The duration") -> float:
    """Return a duration in seconds if music of this length can be made.

    Args:
        duration_s: seconds.
        name: begins the message.

    Raises:
        ExpotionError: it is not a number above 0 and up to `max_duration_s`.

    Example:
        >>> check_duration(1e9)
        Traceback (most recent call last):
        expotion_lite.errors.ExpotionError: The duration is 1e+09 s; choose above 0 to 1800 s.
    """
    is_number = isinstance(duration_s, (int, float)) and not isinstance(duration_s, bool)
    most = max_duration_s()
    if not is_number or not 0 < duration_s <= most:
        shown = f"{duration_s:g} s" if is_number else repr(duration_s)[:60]
        raise ExpotionError(f"{name} is {shown}; choose above 0 to {most:g} s.")
    return float(duration_s)


def check_memory_limit() -> None:
    """Check that this process may use enough memory. Under a small limit, libraries hang instead of failing.

    Raises:
        ExpotionError: `ulimit -v` or `ulimit -d` is below `SMALLEST_MEMORY`, and what each core needs.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    needed = SMALLEST_MEMORY + MEMORY_OF_A_CORE * (os.cpu_count() or 1)
    for kind, option in ((resource.RLIMIT_AS, "-v"), (resource.RLIMIT_DATA, "-d")):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY and limit < needed:
            raise ExpotionError(
                f"This process may use {limit / 1e9:.1f} GB of memory (ulimit {option}), and needs "
                f"{needed / 1e9:.1f} GB; raise the limit (ulimit {option} unlimited)."
            )
