"""Conditions for every test: no network, no model hub, no screen. Also fixtures that several folders use."""

from __future__ import annotations

import ctypes
import gc
import os
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from expotion_lite import Landmarks

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub, which reads it once
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # on the CPU, where results are compared
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

collect_ignore_glob = ["*/conftest.py"]  # --doctest-modules would import all of them as one module `conftest`


@pytest.fixture(autouse=True, scope="module")
def _tidy() -> Iterator[None]:
    """Return the memory of a file's models to the system, so that a worker's memory does not grow from file to file."""
    yield
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # glibc would keep freed memory


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw figures without a screen, and let no Python code connect to another machine."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: object) -> None:
        if self.family != getattr(socket, "AF_UNIX", None) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """Photograph of an astronaut by NASA (public domain), (512, 512, 3) uint8."""
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="session")
def photo_landmarks(photo) -> Landmarks:
    """Landmarks of five frames: nobody, the photograph three times, nobody."""
    from astronaut import extract

    empty = np.full_like(photo, 90)
    return extract(empty, photo, photo, photo, empty)
