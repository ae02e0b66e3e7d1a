"""The studio as a page of its own in the browser: what `expotion-lite studio` starts."""

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

ADDRESS = "127.0.0.1"
"""The address of the page; no other computer reaches it."""
POLICY = (
    f"default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; connect-src 'self' blob: data: ws://{ADDRESS}:*"
)
"""Content security policy: a browser loads nothing from elsewhere, such as the icons that Voila's page asks for."""
SETTINGS = {"Voila": {"tornado_settings": {"headers": {"Content-Security-Policy": POLICY}}}}
INTRODUCTION = """# The studio

Closing or reloading this page deletes takes that were not exported; recordings stay. To end the studio, press Ctrl+C in
the terminal."""


def studio_notebook(folder: Path, model: str, adapter: str | None) -> str:
    """Return a notebook with the studio, as JSON text.

    Its kernel works in the current folder, so that relative paths mean the same as on the command line.

    Args:
        folder: absolute path of the folder of recordings.
        model: see `expotion_lite.generate`.
        adapter: see `expotion_lite.generate`.
    """
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    code = (
        f"import os\n\nfrom expotion_lite.studio import Studio\n\nos.chdir({os.getcwd()!r})\n"
        f"Studio({str(folder)!r}, model={model!r}, adapter={adapter!r})"
    )
    cells = [new_markdown_cell(INTRODUCTION), new_code_cell(code)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.writes(new_notebook(cells=cells, metadata=kernel))


def command(notebook: Path, port: int, browser: bool) -> list[str]:
    """Return the command that serves a notebook as a page (Voila), readable only with the token in its address.

    Run it in the notebook's folder, where `SETTINGS` are.

    Args:
        notebook: path of the notebook.
        port: where to serve it.
        browser: open a browser.
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
    """Open the studio in the browser, and serve it until it is ended.

    Args:
        folder: the folder of recordings.
        model: see `expotion_lite.generate`.
        adapter: see `expotion_lite.generate`.
        port: where to serve it; the next free one if it is taken.
        browser: open a browser. If False, the address is only printed.

    Returns:
        The exit code of Voila.

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
