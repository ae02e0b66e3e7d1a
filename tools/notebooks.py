"""Bring every notebook's .ipynb up to its .py: same cells, same ids, no outputs, no widget state; and its solutions.

Before that, what a lesson needs in Google Colab is written into its .py, from `[tool.expotion-lite]` in pyproject.toml:
the badge in its first cell, and the code cell after it.

    python tools/notebooks.py [NAME ...]

Run it after editing a notebook's .py: `make notebooks`. A lesson is the one source of its solutions too:
`solutions/NAME.ipynb` is its code with every exercise solved, as the lesson's folded answers solve it, and checked.
"""

from __future__ import annotations

import re
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import jupytext
import nbformat
from jupytext.cli import jupytext as jupytext_command
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
SETTING = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["expotion-lite"]
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
GPU = ("09_the_real_thing",)  # lessons for which Colab should offer one
COLAB_TAG = "colab"
COLAB_CELL = """\
# In Google Colab this brings the lesson's files and what they need. Elsewhere it does nothing.
import os
import runpy
import subprocess
import sys

if "google.colab" in sys.modules and not os.path.exists("matplotlibrc"):
    if not os.path.exists("expotion-lite"):
        clone = "git -c advice.detachedHead=false clone --quiet --depth 1 --branch {tag}"
        subprocess.run([*clone.split(), "{repository}", "expotion-lite"], check=True)
    runpy.run_path("expotion-lite/tools/colab.py", run_name="__main__")
"""
PLACE_CELL = """\
import os

if not os.path.exists("matplotlibrc"):  # in this folder: solutions run in the lessons'
    os.chdir("..")"""
HEADER = """# Solutions: {title}

Made from [the lesson](../{name}.ipynb) by `make notebooks`; to change it, change the lesson. Its code comes first,
because the solutions build on it. They end with the exercises' targets, checked."""
TO_DO = re.compile(r"\w+(, \w+)* = \.\.\.")  # begins an exercise's cell, which a blank line parts from its check
ANSWER = re.compile(r"<details><summary>Solution</summary>.*?```python\n(.*?)\n```", re.DOTALL)


def for_colab(text: str, name: str, repository: str, tag: str) -> str:
    """A lesson's .py with what it needs in Google Colab; without a repository, without.

    The badge is the paragraph after the title, and the first code cell, with the tag "colab", installs the library.
    """
    text = re.sub(rf"^# {re.escape(BADGE)}.*\n#\n", "", text, flags=re.MULTILINE)
    text = re.sub(rf'^# %% tags=\["{COLAB_TAG}"\]\n.*?(?=^# %%)', "", text, flags=re.MULTILINE | re.DOTALL)
    if not repository:
        return text
    place = f"{repository.removeprefix('https://github.com/')}/blob/{tag}/notebooks/{name}.ipynb"
    badge = f"# {BADGE}(https://colab.research.google.com/github/{place})\n#\n"
    text = re.sub(r"^(# # .*\n#\n)", lambda match: match[1] + badge, text, count=1, flags=re.MULTILINE)
    first_code = re.search(r"^# %%\n", text, re.MULTILINE).start()
    cell = f'# %% tags=["{COLAB_TAG}"]\n{COLAB_CELL.format(repository=repository, tag=tag)}\n'
    return text[:first_code] + cell + text[first_code:]


def with_colab(script: Path) -> str:
    """Return a lesson's .py with the cells for Colab that the setting asks for."""
    return for_colab(script.read_text(encoding="utf-8"), script.stem, SETTING["repository"], SETTING["tag"])


def for_gpu(script: Path) -> dict[str, object]:
    """Return the metadata with which Colab offers a GPU to the lessons that need one."""
    return {"accelerator": "GPU", "colab": {"gpuType": "T4"}} if script.stem in GPU else {}


def update(script: Path) -> Path:
    """Write what Colab needs into `script`, and the .ipynb beside it. Returns the path of the latter."""
    script.write_text(with_colab(script), encoding="utf-8")
    notebook_path = script.with_suffix(".ipynb")
    jupytext_command(["--quiet", "--update", "--to", "ipynb", str(script)])
    notebook = jupytext.read(notebook_path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
    for left_by_a_run in ("widgets", "language_info"):
        notebook.metadata.pop(left_by_a_run, None)
    notebook.metadata |= for_gpu(script)
    nbformat.write(notebook, notebook_path)
    return notebook_path


def solutions_of(script: Path) -> NotebookNode:
    """A lesson with its exercises solved: its headings, its code, and the answers in the place of the dots.

    Raises:
        ValueError: an exercise is not followed by a solution in Python.
    """
    lesson = jupytext.read(script)
    title = lesson.cells[0].source.splitlines()[0].removeprefix("# ")
    cells = [new_markdown_cell(HEADER.format(title=title, name=script.stem))]
    cells += [new_code_cell(cell.source) for cell in lesson.cells if COLAB_TAG in cell.metadata.get("tags", ())]
    cells.append(new_code_cell(PLACE_CELL))
    exercising = False
    for cell, after in pairwise(lesson.cells):
        if cell.source.startswith("## Quiz"):
            break
        exercising |= cell.source.startswith("## Exercises")
        if cell.cell_type == "code" and TO_DO.match(cell.source):
            answer = ANSWER.search(after.source)
            if not answer:
                raise ValueError(f"{script.name}: an exercise has no solution in the cell that follows it.")
            cells.append(new_code_cell(answer[1] + "\n\n" + cell.source.partition("\n\n")[2]))
        elif cell.cell_type == "code" and COLAB_TAG not in cell.metadata.get("tags", ()):
            cells.append(new_code_cell(cell.source))
        elif exercising and not ANSWER.search(cell.source):
            cells.append(new_markdown_cell(cell.source))
        elif cell.source.startswith("## "):
            cells.append(new_markdown_cell(cell.source.splitlines()[0]))
    for number, cell in enumerate(cells):
        cell.id = f"solution-{number}"
    return new_notebook(cells=cells, metadata={"kernelspec": lesson.metadata.kernelspec} | for_gpu(script))


if __name__ == "__main__":
    (FOLDER / "solutions").mkdir(exist_ok=True)
    for script in sorted(FOLDER.glob("*.py")):
        if not sys.argv[1:] or script.stem in sys.argv[1:]:
            print(update(script).name)
            solutions = FOLDER / "solutions" / f"{script.stem}.ipynb"
            nbformat.write(solutions_of(script), solutions)
            print(f"solutions/{solutions.name}")
