"""Write whole files or none."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ExpotionError


def check_writable(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Return `path` if a file may be written there, before any work is done for it.

    Raises:
        ExpotionError: the path is a folder, exists and `overwrite` is false, or its folder cannot be written.
    """
    path = Path(path)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:
        raise ExpotionError(f"{str(path)[:60]!r}... cannot name a file ({error.args[-1]}); choose another.") from error
    if is_folder:
        raise ExpotionError(f"{path} is a folder; name a file in it.")
    if is_there and not overwrite:
        raise ExpotionError(f"{path} exists; choose another name, or pass --overwrite (overwrite=True) to replace it.")
    folder = path.parent
    nearest = next(parent for parent in [folder, *folder.absolute().parents] if parent.exists())
    try:  # to write is the only sure way to find out
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise ExpotionError(
            f"Cannot write into {nearest} ({error.strerror}); choose a folder that you may write to."
        ) from error
    return path


@contextmanager
def writing(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place if the block ends well, remove it if not.

    Example:
        >>> folder = tempfile.mkdtemp()
        >>> with writing(Path(folder) / "a.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> (Path(folder) / "a.txt").read_text()
        'whole'
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
        temporary.chmod(0o666 & ~umask)
        try:
            os.replace(temporary, path)
        except OSError as error:  # on Windows, a file that another program has open
            raise ExpotionError(f"Cannot replace {path} ({error.strerror}); close it where it is open.") from error
    finally:
        temporary.unlink(missing_ok=True)


def digest_of(path: Path) -> str:
    """Sixteen hexadecimal digits that tell a file's content from others."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def copy_files(source: Path, target: Path) -> None:
    """Put the files of one folder into another, over those of the same names: each one whole, weights last.

    What a process that was killed left there, hidden, stays.
    """
    files = [file for file in source.iterdir() if file.is_file() and not file.name.startswith(".")]
    for file in sorted(files, key=lambda file: file.suffix == ".safetensors"):
        with writing(target / file.name, overwrite=True) as temporary:
            temporary.write_bytes(file.read_bytes())


def check_output(path: str | os.PathLike[str], suffix: str, *, source: object = None, overwrite: bool = False) -> Path:
    """Return an output path if it has the right ending, may be written, and is not the input itself.

    Raises:
        ExpotionError: one of these does not hold.
    """
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise ExpotionError(f"The output {path} must end in {suffix}, for example {path.stem or 'out'}{suffix}.")
    named = isinstance(source, (str, os.PathLike)) and os.path.exists(source) and os.path.exists(path)
    if named and os.path.samefile(path, source):
        raise ExpotionError(f"The output {path} is the input video itself; choose another name.")
    return check_writable(path, overwrite)
