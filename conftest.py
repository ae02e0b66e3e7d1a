"""Two test files at a time do not get into each other's way; notebooks run by nbmake do not stall at widgets."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # set by pytest-xdist; what follows notebooks' kernels inherit
    # One thread for each of two processes on two cores. And librosa's functions are compiled by numba into a cache,
    # which two processes that write it at once break: each has its own.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["NUMBA_CACHE_DIR"] = str(Path(__file__).parent / ".pytest_cache" / f"numba-{worker}")

with contextlib.suppress(ImportError):  # the notebook extra may be missing
    from nbclient.output_widget import OutputWidget

    # What a cell shows inside a widget (`interact`) nbclient also sends back to the kernel, over the very socket at
    # which it waits for the cell's end; then it may miss the end and wait until the cell's time is up
    # (jupyter/nbclient#312). Nothing here reads what comes back.
    OutputWidget.sync_state = lambda self: None
