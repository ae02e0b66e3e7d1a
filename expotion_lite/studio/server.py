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

from ..errors import ExpotionError

ADDRESS = "127.0.0.1"  # nobody else's computer reaches it
# Voila's page asks a server elsewhere for icons, which the studio does without: browsers load nothing from elsewhere.
POLICY = (
    f"default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; connect-src 'self' blob: data: ws://{ADDRESS}:*"
)
SETTINGS = {"Voila": {"tornado_settings": {"headers": {"Content-Security-Policy": POLICY}}}}
INTRODUCTION = """# The studio

When this page is closed or loaded anew, takes that were not exported are gone; recordings stay. To end, press Ctrl+C in
the terminal."""


def studio_notebook(folder: Path, model: str, adapter: str | None) -> str:
    """A notebook, as JSON text, whose one cell opens the studio. folder: for recordings, an absolute path.

    The kernel works where the command was called, so that exports and relative paths mean what they do there.
    """
    code = (
        f"import os\n\nfrom expotion_lite.studio.page import Studio\n\nos.chdir({os.getcwd()!r})\n"
        f"Studio({str(folder)!r}, model={model!r}, adapter={adapter!r})"
    )
    cells = [
        {"id": "introduction", "cell_type": "markdown", "metadata": {}, "source": INTRODUCTION},
        {"id": "studio", "cell_type": "code", "metadata": {}, "source": code, "outputs": [], "execution_count": None},
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def command(notebook: Path, port: int, browser: bool) -> list[str]:
    """What serves a notebook as a page that runs by itself (Voila), for who has its address on this computer only.

    To be run in the notebook's folder, where `SETTINGS` are.
    """
    options = [f"--Voila.ip={ADDRESS}", f"--port={port}", "--token", "--show_tracebacks=True"]
    return [sys.executable, "-m", "voila", *options, *([] if browser else ["--no-browser"]), notebook.name]


def serve_studio(
    folder: str | os.PathLike[str] = "recordings",
    *,
    model: str = "nano",
    adapter: str | None = "bundled",
    port: int = 8888,
    browser: bool = True,
) -> int:
    """Open the studio in the browser and stay until it is ended. Returns Voila's exit code.

    Args:
        folder: where recordings go. model, adapter: see `expotion_lite.generate`.
        port: to listen at, or one near by if it is taken.
        browser: whether to open one; if not, the address is printed.

    Raises:
        ExpotionError: Voila is not installed, or `folder` is a file.
    """
    if find_spec("voila") is None or find_spec("anywidget") is None:
        raise ExpotionError('The studio\'s page needs Voila: pip install "expotion-lite[notebooks]".')
    place = Path(folder).expanduser().absolute()
    if place.is_file():
        raise ExpotionError(f"{folder} is a file; name a folder for the recordings.")
    page = Path(tempfile.mkdtemp(prefix="expotion-studio-"))
    try:
        notebook = page / "studio.ipynb"
        notebook.write_text(studio_notebook(place, model, adapter), encoding="utf-8")
        (page / "voila.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
        return subprocess.run(command(notebook, port, browser), cwd=page, check=False).returncode
    finally:
        shutil.rmtree(page, ignore_errors=True)
