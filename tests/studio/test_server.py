"""The studio's page: it is served to this computer only, and its notebook is deleted at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from expotion_lite.cli import main
from expotion_lite.studio import server


@pytest.fixture
def started(monkeypatch):
    """Replace the start of Voila, and return its command and the files that it would have read."""
    seen = {}

    def run(words, cwd, check):
        seen["words"], seen["path"] = words, Path(cwd) / words[-1]
        seen["notebook"] = nbformat.read(seen["path"], as_version=4)
        seen["settings"] = json.loads((Path(cwd) / "voila.json").read_text())
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(server.subprocess, "run", run)
    return seen


def test_the_studio_is_served_to_this_computer_only(started, tmp_path, monkeypatch):
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


def test_a_browser_is_opened_by_default(started):
    assert main(["studio"]) == 0
    assert "--no-browser" not in started["words"]


def test_errors_are_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    assert main(["studio", "--recordings", str(tmp_path / "file")]) == 2
    assert "is a file; name a folder" in capsys.readouterr().err
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    assert main(["studio"]) == 2
    assert 'pip install "expotion-lite[notebooks]"' in capsys.readouterr().err


def test_a_failure_of_voila_is_reported(monkeypatch, capsys):
    monkeypatch.setattr(server.subprocess, "run", lambda words, cwd, check: subprocess.CompletedProcess(words, 3))
    assert main(["studio"]) == 2
    assert "exit code 3" in capsys.readouterr().err
