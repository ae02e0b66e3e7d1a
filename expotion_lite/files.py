"""Helpers for output files: checks before the work starts, atomic writes, copies and content hashes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ExpotionError


def check_writable(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Return `path` if a file can be written there; call this before the work that produces the file.

    Args:
        path: the file to write; it need not exist, and neither need its folder.
        overwrite: accept a file that exists.

    Raises:
        ExpotionError: the path is a folder, exists and `overwrite` is false, or its folder cannot be written.
    """
    path = Path(path)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:
        raise ExpotionError(f"{str(path)[:60]!r}... cannot name a file ({error.args[-1]}); choose another.") from error
    if is_folder:
        raise ExpotionError(f"{path} is a folder; name a file in it.")
    if exists and not overwrite:
        raise ExpotionError(f"{path} exists; choose another name, or pass --overwrite (overwrite=True) to replace it.")
    folder = path.parent
    nearest = next(parent for parent in [folder, *folder.absolute().parents] if parent.exists())
    try:  # writing is the only sure test: permission bits do not tell of full or read-only file systems
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise ExpotionError(
            f"Cannot write into {nearest} ({error.strerror}); choose a folder that you may write to."
        ) from error
    return path


def check_output(path: str | os.PathLike[str], suffix: str, *, source: object = None, overwrite: bool = False) -> Path:
    """Return an output path if it has the right suffix, can be written, and is not the input file.

    Args:
        path: the file to write.
        suffix: required ending, for example ".mp4".
        source: the input; compared with `path` if it is a path too.
        overwrite: accept a file that exists.

    Raises:
        ExpotionError: one of these conditions does not hold.
    """
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise ExpotionError(f"The output {path} must end in {suffix}, for example {path.stem or 'out'}{suffix}.")
    if isinstance(source, (str, os.PathLike)) and _is_same_file(path, source):
        raise ExpotionError(f"The output {path} is the input video itself; choose another name.")
    return check_writable(path, overwrite)


def _is_same_file(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> bool:
    return os.path.exists(a) and os.path.exists(b) and os.path.samefile(a, b)


@contextmanager
def atomic_write(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it to `path` if the block succeeds, delete it if not.

    Args:
        path: the file to write; missing folders are created.
        overwrite: replace an existing file.

    Raises:
        ExpotionError: the path cannot be written.

    Example:
        >>> folder = tempfile.mkdtemp()
        >>> with atomic_write(Path(folder) / "a.txt") as temporary:
        ...     _ = temporary.write_text("complete")
        >>> (Path(folder) / "a.txt").read_text()
        'complete'
    """
    path = check_writable(path, overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        raise ExpotionError(
            f"Cannot write {path} ({error.strerror}); choose a folder that you may write to."
        ) from error
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files that only their owner can read
        try:
            os.replace(temporary, path)
        except OSError as error:  # on Windows: another program has the file open
            raise ExpotionError(f"Cannot replace {path} ({error.strerror}); close it where it is open.") from error
    finally:
        temporary.unlink(missing_ok=True)


def copy_files(source: Path, target: Path) -> None:
    """Copy the files of one folder into another, each atomically and the weights (.safetensors) last.

    Files of the same name are replaced. Hidden files, such as those that an interrupted write left, are not copied.

    Args:
        source: the folder to copy from; subfolders are ignored.
        target: the folder to copy to.
    """
    files = [file for file in source.iterdir() if file.is_file() and not file.name.startswith(".")]
    for file in sorted(files, key=lambda file: file.suffix == ".safetensors"):
        with atomic_write(target / file.name, overwrite=True) as temporary:
            temporary.write_bytes(file.read_bytes())


def digest_of(path: Path) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 hash of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
