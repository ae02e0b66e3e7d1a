"""Notebooks run by nbmake do not stall at widgets."""

from __future__ import annotations

import contextlib

with contextlib.suppress(ImportError):  # the notebook extra may be missing
    from nbclient.output_widget import OutputWidget

    # What a cell shows inside a widget (`interact`) nbclient also sends back to the kernel, over the very socket at
    # which it waits for the cell's end; then it may miss the end and wait until the cell's time is up
    # (jupyter/nbclient#312). Nothing here reads what comes back.
    OutputWidget.sync_state = lambda self: None
