"""Helpers for output files: checks before the work starts, atomic writes, copies and content hashes."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import ExpotionError, printable

SPACE = 1_000_000  # bytes that must be free before work begins
_DISK_ERRORS = {errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}
_SURELY_KILLED_S = 60.0  # without a write
_MARK = ".expotion-"  # in the names of temporary files


def check_writable(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Return `path` if a file can be written there; call this before the work that produces the file.

    Args:
        path: the file to write; it need not exist, and neither need its folder.
        overwrite: accept a file that exists.

    Raises:
        ExpotionError: the path is a folder or a device, exists and `overwrite` is false, or its folder cannot be
            written or is full.
    """
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    except PermissionError as error:
        raise ExpotionError(
            f"Cannot write {path} ({error.strerror}); choose a folder that you may write to."
        ) from error
    except (OSError, ValueError) as error:
        raise ExpotionError(f"{str(path)[:60]!r}... cannot name a file ({error.args[-1]}); choose another.") from error
    if mode is not None and stat.S_ISDIR(mode):
        raise ExpotionError(f"{path} is a folder; name a file in it.")
    if mode is not None and not stat.S_ISREG(mode):
        raise ExpotionError(f"{path} is a device or a pipe; name an ordinary file.")
    if mode is not None and not overwrite:
        raise ExpotionError(f"{path} exists; choose another name, or pass --overwrite (overwrite=True) to replace it.")
    nearest = next(parent for parent in [path.parent, *path.parent.absolute().parents] if os.path.exists(parent))
    try:  # writing is the only sure test: permission bits do not tell of full or read-only file systems
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(bytes(SPACE))
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
    try:
        return os.path.samefile(a, b)
    except (OSError, ValueError):  # one of them is not there
        return False


@contextmanager
def atomic_write(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it to `path` if the block succeeds, delete it if not.

    What an earlier, killed write of the same file has left is removed. A file in a private folder (`private_folder`)
    can be read by its owner only, and so can one that replaces such a file.

    Args:
        path: the file to write; missing folders are created.
        overwrite: replace an existing file.

    Raises:
        ExpotionError: the path cannot be written, or the disk is full.

    Example:
        >>> folder = tempfile.mkdtemp()
        >>> with atomic_write(Path(folder) / "a.txt") as temporary:
        ...     _ = temporary.write_text("complete")
        >>> (Path(folder) / "a.txt").read_text()
        'complete'
    """
    path = check_writable(path, overwrite)
    if overwrite and _MARK in path.name:  # within another such block, which will move it
        yield path
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        handle, temporary = _locked_temporary(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ExpotionError(f"Cannot write {path} ({reason}); choose a folder that you may write to.") from error
    try:
        yield temporary
        temporary.chmod(_mode_for(path))  # mkstemp makes files that only their owner can read
        if os.name == "nt":  # an open file cannot be moved there
            os.close(handle)
            handle = -1
        try:
            os.replace(temporary, path)
        except OSError as error:  # on Windows: another program has the file open
            raise ExpotionError(f"Cannot replace {path} ({error.strerror}); close it where it is open.") from error
    except ExpotionError as error:
        if (name := printable(temporary)) in str(error):  # it was raised by something that does not know the final name
            raise type(error)(str(error).replace(name, printable(path))) from error
        raise
    except Exception as error:
        if (reason := disk_trouble(error)) is None:
            raise
        raise ExpotionError(f"Cannot write {path} ({reason}); free some space, or choose another folder.") from error
    finally:
        if handle >= 0:
            os.close(handle)
        temporary.unlink(missing_ok=True)


def disk_trouble(error: BaseException) -> str | None:
    """Return the system's words if an error says that a disk is full or broken; None for other errors."""
    if isinstance(error, OSError) and error.errno is not None and error.errno in _DISK_ERRORS:
        return error.strerror or os.strerror(error.errno)
    return next((words for number in _DISK_ERRORS if (words := os.strerror(number)) in str(error)), None)


def _locked_temporary(path: Path) -> tuple[int, Path]:
    """Create a temporary file beside `path`; return its locked descriptor and its path."""
    suffix = path.suffix if len(path.suffix) < 20 else ""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:40]}{_MARK}", suffix=suffix)
        _lock(handle)  # where locks do not exist, nothing is ever taken for abandoned
        if os.path.exists(name):  # else another process took it for abandoned just now
            return handle, Path(name)
        os.close(handle)


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of writes of `path` that were killed: nobody holds their locks."""
    suffix = path.suffix if len(path.suffix) < 20 else ""  # out.mp4 and out.wav may be written at once
    for left in path.parent.glob(f"{glob.escape(f'.{path.stem[:40]}{_MARK}')}*{glob.escape(suffix)}"):
        with suppress(OSError):
            handle = os.open(left, os.O_RDWR)
            abandoned = _lock(handle)
            os.close(handle)
            if abandoned:
                left.unlink()
    if path.suffix == ".safetensors":  # that library writes into a temporary file of its own
        for left in path.parent.glob(".tmp??????"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _SURELY_KILLED_S:
                    left.unlink()


def _lock(handle: int) -> bool:
    """Lock an open file until it is closed, and return whether nobody else has. A killed process loses its locks."""
    try:
        import fcntl
    except ImportError:  # Windows, which does not delete open files
        return True
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _mode_for(path: Path) -> int:
    """Return the permissions of a new file: the usual ones, or its owner's alone where file or folder are private."""
    umask = os.umask(0)
    os.umask(umask)
    is_private = os.name == "posix" and (_is_private(path) or _is_private(path.parent))
    return 0o600 if is_private else 0o666 & ~umask


def _is_private(path: Path) -> bool:
    return path.exists() and not path.stat().st_mode & 0o077


def private_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder, if it does not exist, that only its owner can enter (0700), and return its path.

    Files that `atomic_write` puts there can be read by their owner only (0600).

    Args:
        path: the folder; it may exist.

    Raises:
        ExpotionError: it cannot be made.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ExpotionError(f"Cannot write into {path} ({reason}); choose a folder that you may write to.") from error
    return path


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
