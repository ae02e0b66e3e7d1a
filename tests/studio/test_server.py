"""The studio's page: for this computer only, and nothing of it stays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from expotion_lite.cli import main
from expotion_lite.studio import server as serving


@pytest.fixture
def started(monkeypatch):
    """What would have been started: command, and the notebook as it was then."""
    seen = {}

    def run(words, cwd, check):
        seen["words"], seen["path"] = words, Path(cwd) / words[-1]
        seen["notebook"] = nbformat.read(seen["path"], as_version=4)
        seen["settings"] = json.loads((Path(cwd) / "voila.json").read_text())
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(serving.subprocess, "run", run)
    return seen


def test_the_studio_is_opened_for_this_computer_only(started, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["studio", "--recordings", "may", "--port", "9012", "--adapter", "none", "--no-browser"]) == 0
    words = started["words"]
    assert words[:3] == [sys.executable, "-m", "voila"]
    assert {"--Voila.ip=127.0.0.1", "--port=9012", "--token", "--no-browser"} < set(words)
    policy = started["settings"]["Voila"]["tornado_settings"]["headers"]["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'") and "http" not in policy, "the page loads nothing from elsewhere"
    nbformat.validate(started["notebook"])
    code = started["notebook"].cells[1].source
    assert str(tmp_path / "may") in code and "adapter=None" in code and f"os.chdir({str(tmp_path)!r})" in code
    compile(code, "cell", "exec")
    assert not started["path"].exists() and not (tmp_path / "may").exists()


def test_the_browser_opens_unless_it_shall_not(started):
    assert main(["studio"]) == 0
    assert "--no-browser" not in started["words"]


def test_what_cannot_be_is_said_on_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    assert main(["studio", "--recordings", str(tmp_path / "file")]) == 2
    assert "is a file; name a folder" in capsys.readouterr().err
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    assert main(["studio"]) == 2
    assert 'pip install "expotion-lite[notebooks]"' in capsys.readouterr().err


def test_voilas_failure_is_not_hidden(monkeypatch, capsys):
    monkeypatch.setattr(serving.subprocess, "run", lambda words, cwd, check: subprocess.CompletedProcess(words, 3))
    assert main(["studio"]) == 2
    assert "exit code 3" in capsys.readouterr().err
