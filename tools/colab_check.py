"""Try an environment like Google Colab's: its ipywidgets 7 and the rest, `tools/colab.py`, then the widgets' tests.

    python tools/colab_check.py [FOLDER]    # a new folder for the environment, else out/colab; some minutes and 2 GB

It ends with the versions it ran with, and fails if one of Colab's was replaced. What it cannot try: Colab's browser,
camera and GPU; torch is the Makefile's, Python the one that runs this.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# From Google Colab's package list of August 2026: what the library asks for, too. Nothing of it may be replaced.
COLAB = {
    "torch": "2.11.0",
    "transformers": "5.15.0",
    "peft": "0.20.0",
    "accelerate": "1.14.0",
    "numpy": "2.1.3",
    "librosa": "0.11.0",
    "ipywidgets": "7.7.1",
    "ipykernel": "6.17.1",
    "anywidget": "0.9.21",
}
BESIDE = {"ipython": "7.34.0", "protobuf": "5.29.6", "absl-py": "1.4.0"}  # what else may be in the way

FIRST_CELL = """\
import runpy, sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
runpy.run_path(sys.argv[1], run_name="__main__")
import expotion_lite.studio.page
print("works in", __import__("os").getcwd())
"""


def versions(python: Path) -> dict[str, str]:
    """Return the packages that are installed for a Python, with their versions."""
    words = [str(python), "-m", "pip", "list", "--format=freeze"]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return dict(line.split("==") for line in lines if "==" in line)


def main(folder: Path) -> None:
    """Make the environment in `folder`, install, test."""
    if folder.exists():
        sys.exit(f"{folder} exists; name a new folder.")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    torch = re.search(r"^TORCH \?= (.+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    had = {name: version for name, version in (COLAB | BESIDE).items() if name != "torch"}
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *torch.split()], check=True)
    subprocess.run([*pip, *(f"{name}=={version}" for name, version in had.items()), "matplotlib", "pytest"], check=True)
    before = versions(python)
    subprocess.run([str(python), "-c", FIRST_CELL, str(ROOT / "tools" / "colab.py")], check=True, cwd=folder)
    after = versions(python)
    replaced = {name: f"{old} -> {after.get(name)}" for name, old in before.items() if after.get(name) != old}
    print("replaced:", replaced or "nothing")
    if replaced.keys() & COLAB.keys():
        sys.exit("Colab's own packages must stay.")
    tests = [f"tests/studio/test_{name}.py" for name in ("browser", "page", "panels", "session")]
    pytest = [str(python), "-m", "pytest", "-q", "-o", "filterwarnings=default", "-p", "no:cacheprovider"]
    subprocess.run([*pytest, *tests], check=True, cwd=ROOT)
    print(f"Python {sys.version.split()[0]},", ", ".join(f"{name} {after[name]}" for name in [*COLAB, *BESIDE]))


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else ROOT / "out" / "colab").resolve())
