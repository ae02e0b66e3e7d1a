"""Every lesson keeps the contract that learners and teachers rely on; notebooks, scripts and solutions agree."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import jupytext
import matplotlib
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
lessons = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
sys.path.insert(0, str(ROOT / "tools"))

import colab  # noqa: E402

from notebooks import COLAB_CELL, COLAB_TAG, TO_DO, for_colab, solutions_of, with_colab  # noqa: E402


def test_every_notebook_has_its_script():
    assert [path.stem for path in NOTEBOOKS] == [path.stem for path in SCRIPTS]


@lessons
def test_a_notebook_says_what_its_script_says(path):
    notebook, script = jupytext.read(path), jupytext.read(path.with_suffix(".py"))
    expected = [(cell.cell_type, cell.source) for cell in script.cells]
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == expected, "run: make notebooks"


@lessons
def test_a_notebook_is_kept_without_outputs(path):
    notebook = jupytext.read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), "run: make notebooks"
    assert "widgets" not in notebook.metadata  # GitHub then shows "Invalid Notebook"


@lessons
def test_solutions_are_the_lesson_with_its_exercises_solved(path):
    kept = jupytext.read(path.parent / "solutions" / path.name)
    expected = [(cell.cell_type, cell.source) for cell in solutions_of(path.with_suffix(".py")).cells]
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == expected, "run: make notebooks"
    assert not any(TO_DO.match(cell.source) or cell.get("outputs") for cell in kept.cells)


def test_there_are_no_solutions_without_a_lesson():
    assert [path.name for path in sorted((ROOT / "notebooks" / "solutions").glob("*"))] == [p.name for p in NOTEBOOKS]


@lessons
def test_a_lesson_begins_with_what_one_needs_to_know_and_ends_with_what_was_seen(path):
    cells = jupytext.read(path).cells
    first, text = cells[0].source, "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert first.startswith("# ") and "**Time:**" in first and "**You need**" in first
    aims = first.partition("**By the end you can**")[2].partition("**You need**")[0]
    assert 3 <= len(re.findall(r"^- .*\*\w+\*", aims, re.MULTILINE)) <= 5
    headings = re.findall(r"^## (.*)", text, re.MULTILINE)
    assert headings[-6:] == ["Exercises", "Quiz", "What we saw", "Limits", "References", "Next"]
    assert {"**Predict:**", "**Explain.**"} <= set(re.findall(r"\*\*\w+[:.]\*\*", text))


@lessons
def test_exercises_have_targets_and_every_answer_of_the_quiz_is_explained(path):
    cells = jupytext.read(path).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    exercises, quiz = text.partition("## Exercises")[2].partition("## Quiz")[::2]
    tasks = re.findall(r"^\*\*\d\..*?(?=^<details>)", exercises, re.DOTALL | re.MULTILINE)
    assert 2 <= len(tasks) <= 3 and all("*Target:" in task for task in tasks)
    dots = [cell.source for cell in cells if cell.cell_type == "code" and TO_DO.match(cell.source)]
    answers = [cell.source for cell in solutions_of(path.with_suffix(".py")).cells if cell.cell_type == "code"]
    for sources in (dots, answers[-len(tasks) :]):
        assert len(sources) == len(tasks) and all("check(" in source.splitlines()[-1] for source in sources)
    questions = re.findall(r"^\*\*\d\..*?</details>", quiz, re.DOTALL | re.MULTILINE)
    assert len(questions) == 2
    for question in questions:
        assert all(question.count(f"({letter})") == 2 for letter in "abc") and question.count("**Right") == 1


@lessons
def test_nobody_meets_a_wall_of_code(path):
    code = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    assert max(len(source.splitlines()) for source in code) <= 17
    assert sum(len(source.splitlines()) for source in code) / len(code) <= 8


@lessons
def test_links_of_a_lesson_lead_somewhere(path):
    text = "\n".join(cell.source for cell in jupytext.read(path).cells if cell.cell_type == "markdown")
    local = [t for t in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if not re.match(r"\w+:", t)]
    assert local and not [target for target in local if not (path.parent / target).exists()]


@lessons
def test_what_a_lesson_needs_in_colab_is_as_the_setting_says(path):
    assert with_colab(path.with_suffix(".py")) == path.with_suffix(".py").read_text("utf-8"), "run: make notebooks"


@lessons
def test_a_repository_gives_a_badge_and_an_install_before_any_import_and_none_takes_them_away(path):
    text = path.with_suffix(".py").read_text("utf-8")
    bare = for_colab(text, path.stem, "", "main")
    given = for_colab(text, path.stem, "https://github.com/OWNER/NAME", "v1")
    assert for_colab(given, path.stem, "https://github.com/OWNER/NAME", "v1") == given
    assert for_colab(given, path.stem, "", "main") == bare
    title, *cells = jupytext.reads(given, "py:percent").cells
    assert f"/github/OWNER/NAME/blob/v1/notebooks/{path.name})" in title.source.split("\n\n")[1]
    first = next(cell for cell in cells if cell.cell_type == "code")
    assert COLAB_TAG in first.metadata["tags"] and "import expotion_lite" not in first.source
    assert "--branch v1" in first.source and '"https://github.com/OWNER/NAME"' in first.source
    ast.parse(given)  # so that the .py stays one that ruff and Python read


def test_a_repository_gives_a_cell_that_does_nothing_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(COLAB_CELL.format(tag="v1", repository="https://github.com/OWNER/NAME"), {})
    assert not list(tmp_path.iterdir())


@lessons
def test_solutions_install_in_colab_what_their_lesson_does_and_work_in_its_folder(path, tmp_path, monkeypatch):
    script = tmp_path / path.with_suffix(".py").name
    text = path.with_suffix(".py").read_text("utf-8")
    script.write_text(for_colab(text, path.stem, "https://github.com/OWNER/NAME", "v1"), "utf-8")
    install, place = [cell.source for cell in solutions_of(script).cells if cell.cell_type == "code"][:2]
    assert install == COLAB_CELL.format(tag="v1", repository="https://github.com/OWNER/NAME").rstrip()
    for folder in (path.parent / "solutions", path.parent):  # as in JupyterLab, and as tools/colab.py leaves it
        monkeypatch.chdir(folder)
        exec(place, {})
        assert Path.cwd() == path.parent


def test_colab_keeps_what_it_brings_and_works_where_the_notebooks_are(monkeypatch, tmp_path, capsys):
    ran = []

    def run(words, **_):
        ran.append((words, _constraints(words)))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(colab.subprocess, "run", run)
    monkeypatch.setattr(colab, "installed", dict)  # as if nothing were there yet
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        colab.main()
        assert matplotlib.rcParams["figure.figsize"] == [8, 4]
    assert Path.cwd() == ROOT / "notebooks"
    (carriers, _), (library, kept) = ran
    assert library[-1] == f"{ROOT}[eval]" and f"torch=={version('torch')}" in kept.split()
    assert {re.split("[<>=]", word)[0] for word in library} >= {"anywidget", "ipywidgets"}
    assert "--no-deps" in carriers and "==" in carriers[-1]
    assert "Restart" not in capsys.readouterr().out


def test_colab_says_why_pip_could_not_and_when_a_restart_is_needed(monkeypatch, tmp_path):
    failed = SimpleNamespace(returncode=1, stderr="ERROR: no such luck")
    monkeypatch.setattr(colab.subprocess, "run", lambda words, **_: failed)
    monkeypatch.chdir(tmp_path)
    before = colab.installed()
    with monkeypatch.context() as bare:
        bare.setattr(colab, "installed", dict)
        with pytest.raises(RuntimeError, match="no such luck"):
            colab.main()
    assert Path.cwd() == tmp_path  # so that the cell tries again
    assert colab.replaced(before) == []
    assert colab.replaced(before | {"numpy": "1.0", "jupyterlab": "1.0"}) == ["numpy"]  # the other is not loaded


def _constraints(words: list[str]) -> str:
    """The content of the file that pip is given, while it is there."""
    return Path(words[words.index("-c") + 1]).read_text() if "-c" in words else ""


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_lesson_imports_from_public_places_only(path):
    """From `expotion_lite`, from a name that a package lists in its stub, or from the helpers of the course."""
    code = "\n".join(line for line in path.read_text("utf-8").splitlines() if not line.startswith(("%", "!")))
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if (node.module or "").partition(".")[0] == "expotion_lite" and node.module != "expotion_lite.course":
            public = importlib.import_module(node.module)
            assert (Path(public.__file__).parent / "__init__.pyi").exists(), f"{node.module} is no public place"
            assert {alias.name for alias in node.names} <= set(public.__all__), node.module
