"""Bring every notebook's .ipynb up to its .py: same cells, same ids, no outputs, no widget state.

Run it after editing a notebook's .py: `make notebooks`.
"""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
from jupytext.cli import jupytext as jupytext_command

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"


def update(script: Path) -> Path:
    """Write the .ipynb beside `script` and return its path."""
    notebook_path = script.with_suffix(".ipynb")
    jupytext_command(["--quiet", "--update", "--to", "ipynb", str(script)])
    notebook = jupytext.read(notebook_path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
    for left_by_a_run in ("widgets", "language_info"):
        notebook.metadata.pop(left_by_a_run, None)
    nbformat.write(notebook, notebook_path)
    return notebook_path


if __name__ == "__main__":
    for script in sorted(FOLDER.glob("*.py")):
        print(update(script).name)
