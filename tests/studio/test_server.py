"""The studio's page: it is served to this computer only, and its notebook is deleted at the end."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import nbformat
import pytest

from expotion_lite.cli import main
from expotion_lite.studio import access, server


@pytest.fixture
def started(monkeypatch):
    """Replace the start of Voila, and return its command and the files that it would have read."""
    seen = {}

    def run(words, cwd, check, env, preexec_fn):
        seen["token"] = env["JUPYTER_TOKEN"]
        seen["words"], seen["path"] = words, Path(cwd) / words[-1]
        seen["notebook"] = nbformat.read(seen["path"], as_version=4)
        seen["settings"] = json.loads((Path(cwd) / "voila.json").read_text())
        for thread in threading.enumerate():
            if thread.daemon and "announce" in thread.name:
                thread.join(10)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(server.subprocess, "run", run)
    monkeypatch.setattr(server.socket, "create_connection", lambda *_, **__: socket.socket())  # it is served at once
    monkeypatch.setattr(server.webbrowser, "open", lambda address: seen.update(opened=address))
    return seen


def test_the_studio_is_served_to_this_computer_only(started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["studio", "--recordings", "may", "--port", "9012", "--adapter", "none", "--no-browser"]) == 0
    words = started["words"]
    printed = capsys.readouterr().out
    assert printed.startswith(f"The studio: http://127.0.0.1:9012/?token={started['token']}\n")
    assert started["token"] not in " ".join(words), "others can read command lines"
    assert len(started["token"]) >= 32 and "opened" not in started
    assert words[:3] == [sys.executable, "-m", "voila"]
    assert {"--Voila.ip=127.0.0.1", "--port=9012", "--token", "--no-browser"} < set(words)
    policy = started["settings"]["Voila"]["tornado_settings"]["headers"]["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in policy
    assert policy.startswith("default-src 'self'") and "http" not in policy, "the page loads nothing from elsewhere"
    nbformat.validate(started["notebook"])
    code = started["notebook"].cells[1].source
    assert str(tmp_path / "may") in code and "adapter=None" in code and f"os.chdir({str(tmp_path)!r})" in code
    compile(code, "cell", "exec")
    assert not started["path"].exists() and not (tmp_path / "may").exists()


def test_a_browser_is_opened_at_the_address_with_its_token(started):
    assert main(["studio"]) == 0
    deadline = time.monotonic() + 10
    while "opened" not in started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert started["opened"].endswith(f"/?token={started['token']}")


def test_a_taken_port_is_passed_over(started, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["studio", "--no-browser", "--port", str(port)]) == 0
    assert f":{port}/" not in capsys.readouterr().out


def fetch(address: str, **headers: str) -> tuple[str, str, str, str]:
    """Return the final address, the cookie that is set, the policy and the text of a page."""
    request = urllib.request.Request(address, headers={name.replace("_", "-"): text for name, text in headers.items()})
    with urllib.request.urlopen(request, timeout=60) as answer:
        cookie, policy = answer.headers.get("Set-Cookie", ""), answer.headers["Content-Security-Policy"]
        return answer.geturl(), cookie, policy, answer.read().decode()


@pytest.mark.slow
def test_a_real_page_needs_its_token_and_prints_nothing_but_its_address(tmp_path):
    command = [sys.executable, "-c", "from expotion_lite.cli import main; main(['studio', '--no-browser'])"]
    output = tmp_path / "said.txt"
    with output.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file, cwd=tmp_path) as launcher:
        deadline = time.monotonic() + 60
        while "Ctrl+C" not in output.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        address = output.read_text().split()[2]
        plain = address.partition("?")[0]
        landed, _, policy, text = fetch(plain)
        assert "/login" in landed and "frame-ancestors 'self'" in policy
        assert "This address is not complete" in text and "Copy it from the terminal" in text
        for foreign in ({"Origin": "http://elsewhere"}, {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}):
            assert "/login" in fetch(address, **foreign)[0], "no kernel starts for a page of another site"
        followed = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
        landed, cookie, _, _ = fetch(address, **followed)
        assert landed == address and "SameSite=Strict" in cookie and "HttpOnly" in cookie
        for _ in range(access.PAGES - 1):
            fetch(address)
        with pytest.raises(HTTPError, match="503"):
            fetch(address)
        said = output.read_text()
        launcher.terminate()
    lines = said.splitlines()
    assert lines[:2] == [f"The studio: {address}", "Only this whole address opens it. Press Ctrl+C here to end it."]
    assert all("503" in line for line in lines[2:]), "only the refusal of a fifth page is told"


@pytest.mark.skipif(sys.platform == "win32", reason="there, kernels are always reached by TCP")
def test_kernels_are_reached_by_files_unless_their_paths_would_be_too_long(monkeypatch):
    for folder, transport in (("/tmp", "ipc"), ("/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T", "tcp")):
        monkeypatch.setattr(server.tempfile, "tempdir", folder)
        assert server.settings()["KernelManager"]["transport"] == transport


def test_errors_are_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    assert main(["studio", "--recordings", str(tmp_path / "file")]) == 2
    assert "is a file; name a folder" in capsys.readouterr().err
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    assert main(["studio"]) == 2
    assert 'pip install "expotion-lite[notebooks]"' in capsys.readouterr().err


@pytest.mark.parametrize("port", [0, -1, 65536, 99999999])
def test_an_impossible_port_is_refused(port, capsys):
    assert main(["studio", "--port", str(port)]) == 2
    assert f"--port is {port}; choose 1 to 65535." in capsys.readouterr().err


WAITING = """
import sys, tempfile
from expotion_lite.studio import access, server

tempfile.tempdir = sys.argv[1]
code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
server.command = lambda *_: [sys.executable, "-c", code]
server.serve_studio("may", browser=False)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_voila_ends_with_a_killed_launcher_and_the_next_run_removes_its_page(tmp_path, monkeypatch):
    monkeypatch.setattr(server.tempfile, "tempdir", str(tmp_path))
    command = [sys.executable, "-c", WAITING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launcher:
        child = launcher.stdout.readline()
        launcher.kill()
    deadline = time.monotonic() + 10
    while server._is_running(int(child)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not server._is_running(int(child))
    assert len(list(tmp_path.glob("expotion-studio-*"))) == 1, "nobody could remove the page"
    server._remove_abandoned_pages()
    assert not list(tmp_path.glob("expotion-studio-*"))


def test_a_failure_of_voila_is_reported(monkeypatch, capsys):
    monkeypatch.setattr(server.subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 3))
    assert main(["studio"]) == 2
    assert "exit code 3" in capsys.readouterr().err
