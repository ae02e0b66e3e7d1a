"""The studio in the browser, without knowing about notebooks: what `expotion-lite studio` starts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from .errors import ExpotionError

ADDRESS = "127.0.0.1"  # nobody else's computer reaches it
INTRODUCTION = """# The studio

Click into the cell below and press **Shift + Enter**.
To end, close this page and press Ctrl+C twice in the terminal.
"""


def studio_notebook(folder: Path, model: str, adapter: str | None) -> str:
    """A notebook, as JSON text, whose one cell opens the studio. folder: for recordings, an absolute path.

    The kernel works where the command was called, so that exports and relative paths mean what they do there.
    """
    code = (
        f"import os\n\nfrom expotion_lite.widgets import Studio\n\nos.chdir({os.getcwd()!r})\n"
        f"Studio({str(folder)!r}, model={model!r}, adapter={adapter!r})"
    )
    cells = [
        {"id": "introduction", "cell_type": "markdown", "metadata": {}, "source": INTRODUCTION},
        {"id": "studio", "cell_type": "code", "metadata": {}, "source": code, "outputs": [], "execution_count": None},
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def command(notebook: Path, port: int, browser: bool) -> list[str]:
    """What starts JupyterLab at a notebook, for this computer only."""
    options = [f"--ip={ADDRESS}", f"--port={port}", f"--ServerApp.root_dir={notebook.parent}"]
    return [sys.executable, "-m", "jupyterlab", *options, *([] if browser else ["--no-browser"]), str(notebook)]


def serve_studio(
    folder: str | os.PathLike = "recordings",
    *,
    model: str = "nano",
    adapter: str | None = "bundled",
    port: int = 8888,
    browser: bool = True,
) -> int:
    """Open the studio in the browser and stay until it is ended. Returns JupyterLab's exit code.

    Args:
        folder: where recordings go. model, adapter: see `expotion_lite.generate`.
        port: to listen at, or one near by if it is taken.
        browser: whether to open one; if not, the address is printed.

    Raises:
        ExpotionError: JupyterLab is not installed, or `folder` is a file.
    """
    if find_spec("jupyterlab") is None or find_spec("anywidget") is None:
        raise ExpotionError('The studio needs JupyterLab: pip install "expotion-lite[notebooks]".')
    place = Path(folder).expanduser().absolute()
    if place.is_file():
        raise ExpotionError(f"{folder} is a file; name a folder for the recordings.")
    page = Path(tempfile.mkdtemp(prefix="expotion-studio-"))
    try:
        notebook = page / "studio.ipynb"
        notebook.write_text(studio_notebook(place, model, adapter), encoding="utf-8")
        return subprocess.run(command(notebook, port, browser), check=False).returncode
    finally:
        shutil.rmtree(page, ignore_errors=True)
