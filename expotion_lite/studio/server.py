"""The studio as a page of its own in the browser: what `expotion-lite studio` starts."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import ExpotionError

ADDRESS = "127.0.0.1"
"""The address of the page; no other computer reaches it."""
POLICY = (
    f"default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; connect-src 'self' blob: data: ws://{ADDRESS}:*; "
    "frame-ancestors 'self'"
)
"""Content security policy: a browser loads nothing from elsewhere, such as the icons that Voila's page asks for.

No other page shows this one in a frame."""
PAGE_PREFIX = "expotion-studio-"
"""Begins the names of the temporary folders in which pages lie; the number of the process follows."""
LONGEST_TEMPORARY = 36
"""Characters of the path of temporary files with which a kernel's socket, 66 more, is within macOS's limit of 103."""
ABANDONED_S = 600
"""Seconds after which the kernel of a page ends that was left without a word, as by a browser that crashed."""
INTRODUCTION = """# The studio

Closing or reloading this page deletes takes that were not exported; recordings stay. To end the studio, press Ctrl+C in
the terminal."""


def settings() -> dict[str, dict[str, Any]]:
    """Return Voila's settings, for a file `voila.json` in the folder where it runs."""
    short = len(tempfile.gettempdir()) <= LONGEST_TEMPORARY
    return {
        "Voila": {
            "tornado_settings": {"headers": {"Content-Security-Policy": POLICY}},
            "identity_provider_class": "expotion_lite.studio.access.Access",
        },
        "VoilaConfiguration": {"multi_kernel_manager_class": "expotion_lite.studio.access.Kernels"},
        "KernelManager": {"transport": "ipc" if os.name == "posix" and short else "tcp"},  # ipc: files of their owner
        "MappingKernelManager": {"cull_idle_timeout": ABANDONED_S, "cull_interval": 30},  # of pages that are gone
        "IdentityProvider": {"cookie_options": {"SameSite": "Strict"}},  # not sent with requests of other pages
    }


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


def command(notebook: Path, port: int) -> list[str]:
    """Return the command that serves a notebook as a page (Voila), readable only with the token in JUPYTER_TOKEN.

    Run it in the notebook's folder, where the file with `settings` is.

    Args:
        notebook: path of the notebook.
        port: where to serve it.
    """
    options = [f"--Voila.ip={ADDRESS}", f"--port={port}", "--token", "--show_tracebacks=True"]
    quiet = ["--no-browser", "--Voila.log_level=ERROR"]
    return [sys.executable, "-m", "voila", *options, *quiet, notebook.name]


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
        ExpotionError: Voila is not installed, `folder` is a file, or the port is impossible.
    """
    if not 1 <= port <= 65535:
        raise ExpotionError(f"port is {port}; choose 1 to 65535.")
    if find_spec("voila") is None or find_spec("anywidget") is None:
        raise ExpotionError('The studio\'s page needs Voila: pip install "expotion-lite[notebooks]".')
    place = Path(folder).expanduser().absolute()
    if place.is_file():
        raise ExpotionError(f"{folder} is a file; name a folder for the recordings.")
    _remove_abandoned_pages()
    port, token = _free_port(port), secrets.token_urlsafe(24)
    address = f"http://{ADDRESS}:{port}/?token={token}"
    page = Path(tempfile.mkdtemp(prefix=f"{PAGE_PREFIX}{os.getpid()}-"))
    try:
        notebook = page / "studio.ipynb"
        notebook.write_text(studio_notebook(place, model, adapter), encoding="utf-8")
        (page / "voila.json").write_text(json.dumps(settings()), encoding="utf-8")
        threading.Thread(target=_announce_when_served, args=(address, port, browser), daemon=True).start()
        return subprocess.run(
            command(notebook, port),
            cwd=page,
            check=False,
            env=os.environ | {"JUPYTER_TOKEN": token},  # which other users could read in a command line
            preexec_fn=_ending_with_this_process(),
        ).returncode
    finally:
        shutil.rmtree(page, ignore_errors=True)


def _free_port(port: int) -> int:
    """Return the first port from this one on that nobody uses on this computer.

    Raises:
        ExpotionError: the next 50 are taken.
    """
    for number in range(port, min(port + 50, 65536)):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((ADDRESS, number))
            except OSError:
                continue
            return number
    raise ExpotionError(f"The ports from {port} on are taken; choose another --port.")


def _announce_when_served(address: str, port: int, browser: bool) -> None:
    """Print an address as soon as its port answers, however late, and open it in the browser if that is wanted."""
    while True:
        try:
            socket.create_connection((ADDRESS, port), timeout=1.0).close()
        except OSError:
            time.sleep(0.2)
        else:
            break
    print(f"The studio: {address}\nOnly this whole address opens it. Press Ctrl+C here to end it.", flush=True)
    if browser:
        webbrowser.open(address)


def _remove_abandoned_pages() -> None:
    """Remove the temporary folders of runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PAGE_PREFIX}*-*"):
        number = folder.name.removeprefix(PAGE_PREFIX).partition("-")[0]
        if number.isdecimal() and not _is_running(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    """Return whether there is a process of this number."""
    if os.name != "posix":  # a signal would end it there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's
        return True
    return True


def _ending_with_this_process() -> Callable[[], None] | None:
    """Return what a child calls first, so that it ends when this process is killed; None where no call does that."""
    if sys.platform != "linux":
        return None
    import ctypes

    library, end_with_parent = ctypes.CDLL(None), 1  # PR_SET_PDEATHSIG of prctl(2)
    return lambda: library.prctl(end_with_parent, signal.SIGTERM)
