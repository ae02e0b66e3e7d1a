"""Settings for test processes that run in parallel, and a fix for notebooks that nbmake runs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # set by pytest-xdist; the kernels of notebooks inherit the rest
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers share two cores
    # numba compiles librosa's functions into a cache, which two processes damage if both write to it.
    os.environ["NUMBA_CACHE_DIR"] = str(Path(__file__).parent / ".pytest_cache" / f"numba-{worker}")

with contextlib.suppress(ImportError):  # the extra "notebooks" may be missing
    from nbclient.output_widget import OutputWidget

    # nbclient sends the output of a widget (`interact`) back to the kernel, on the socket on which it waits for the
    # end of the cell. It may then miss the end and wait until the time is up (jupyter/nbclient#312). No test needs
    # that output in the kernel.
    OutputWidget.sync_state = lambda self: None
