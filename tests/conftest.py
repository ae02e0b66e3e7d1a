"""What every test runs under: no network, no model hub, no screen."""

from __future__ import annotations

import ctypes
import gc
import os
import socket
import sys
from collections.abc import Iterator

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub, which reads it once
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(autouse=True, scope="module")
def _tidy() -> Iterator[None]:
    """Give back after each file what its models took, so that a worker's memory does not grow to the end."""
    yield
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # glibc's; it keeps freed memory otherwise


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw figures without a screen, and let no Python code reach beyond this machine."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: object) -> None:
        if self.family != getattr(socket, "AF_UNIX", None) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
