"""Bring every notebook's .ipynb up to its .py: same cells, same ids, no outputs, no widget state; and its solutions.

    python tools/notebooks.py [NAME ...]

Run it after editing a notebook's .py: `make notebooks`. A lesson is the one source of its solutions too:
`solutions/NAME.ipynb` is its code with every exercise solved, as the lesson's folded answers solve it.
"""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path

import jupytext
import nbformat
from jupytext.cli import jupytext as jupytext_command
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
TO_DO = "# Your code"
HEADER = """# Solutions: {title}

Made from [the lesson](../{name}.ipynb) by `make notebooks`; to change it, change the lesson. Its code comes first,
because the solutions build on it. They end with the exercises' targets, checked."""
ANSWER = re.compile(r"<details><summary>Solution</summary>.*?```python\n(.*?)\n```", re.DOTALL)


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


def solutions_of(script: Path) -> NotebookNode:
    """A lesson with its exercises solved: its headings, its code, and the answers where the learner's code would be.

    Raises:
        ValueError: an exercise is not followed by a solution in Python.
    """
    lesson = jupytext.read(script)
    title = lesson.cells[0].source.splitlines()[0].removeprefix("# ")
    cells = [new_markdown_cell(HEADER.format(title=title, name=script.stem)), new_code_cell("%cd -q ..")]
    exercising = False
    for cell, after in pairwise(lesson.cells):
        if cell.source.startswith("## Quiz"):
            break
        exercising |= cell.source.startswith("## Exercises")
        if cell.cell_type == "code" and cell.source.strip() == TO_DO:
            answer = ANSWER.search(after.source)
            if not answer:
                raise ValueError(f"{script.name}: an exercise has no solution in the cell that follows it.")
            cells.append(new_code_cell(answer[1]))
        elif cell.cell_type == "code":
            cells.append(new_code_cell(cell.source))
        elif exercising and not ANSWER.search(cell.source):
            cells.append(new_markdown_cell(cell.source))
        elif cell.source.startswith("## "):
            cells.append(new_markdown_cell(cell.source.splitlines()[0]))
    for number, cell in enumerate(cells):
        cell.id = f"solution-{number}"
    return new_notebook(cells=cells, metadata={"kernelspec": lesson.metadata.kernelspec})


if __name__ == "__main__":
    (FOLDER / "solutions").mkdir(exist_ok=True)
    for script in sorted(FOLDER.glob("*.py")):
        if not sys.argv[1:] or script.stem in sys.argv[1:]:
            print(update(script).name)
            solutions = FOLDER / "solutions" / f"{script.stem}.ipynb"
            nbformat.write(solutions_of(script), solutions)
            print(f"solutions/{solutions.name}")
