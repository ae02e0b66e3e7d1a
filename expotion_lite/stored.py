"""Readers of JSON and .npz files that anybody may have written. Their size is checked before they are read."""

from __future__ import annotations

import json
import math
import os
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError  # raised by numpy for some damaged headers
from typing import TYPE_CHECKING, Any

from .limits import MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_NPZ_ARRAYS, max_npz_bytes

if TYPE_CHECKING:
    import numpy as np

_DAMAGED = (  # what zipfile, zlib and numpy raise for damaged files; RuntimeError: encrypted ones
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TokenError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_text(path: str | os.PathLike[str], max_bytes: int = MAX_JSON_BYTES) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Args:
        path: the file.
        max_bytes: a larger file is not read.

    Raises:
        ValueError: it is no ordinary file (a pipe would be waited for), is too large, or is not UTF-8.
        OSError: it cannot be read.
    """
    if Path(path).exists() and not Path(path).is_file():
        raise ValueError("it is no ordinary file")
    with open(path, "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"it has over {max_bytes / 1e6:g} MB")
    return data.decode("utf-8-sig")


def parse_json(text: str) -> Any:
    """Parse JSON of limited length and depth.

    Raises:
        ValueError: it is not JSON, is too long, or is nested too deeply.

    Example:
        >>> parse_json("[" * 500 + "]" * 500)
        Traceback (most recent call last):
        ValueError: it is nested more than 40 deep
    """
    if len(text) > MAX_JSON_BYTES:
        raise ValueError(f"it has over {MAX_JSON_BYTES / 1e6:g} MB")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_JSON_DEPTH} deep") from None
    level = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        level = [child for each in level for child in _children(each)]
    if level:
        raise ValueError(f"it is nested more than {MAX_JSON_DEPTH} deep")
    return value


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file of limited size and depth.

    Raises:
        ValueError: it is not JSON in UTF-8, no ordinary file, too large, or nested too deeply.
        OSError: it cannot be read.
    """
    return parse_json(read_text(path))


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz file, without pickle.

    The headers say how large the arrays are. They are read first, so that a small file cannot fill the memory.

    Args:
        path: the file.

    Returns:
        Name -> array.

    Raises:
        ValueError: it is no such file, is damaged, or its arrays are larger than `limits.max_npz_bytes`.
        OSError: it cannot be read.
    """
    import numpy as np

    if Path(path).exists() and not Path(path).is_file():
        raise ValueError("it is no ordinary file")
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"PK\x03\x04":
                raise ValueError("it is no .npz file")
            file.seek(0)
            _check_headers(file)
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
    except OSError:
        raise
    except _DAMAGED as error:
        raise ValueError((str(error).strip() or type(error).__name__).splitlines()[0][:200]) from error


def _check_headers(file: Any) -> None:
    """Refuse an .npz file whose headers announce arrays that are too large, hold objects, or are not all there."""
    import numpy as np
    from numpy.lib import format as npy

    allowed = max_npz_bytes()
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MAX_NPZ_ARRAYS or len({member.filename for member in members}) < len(members):
            raise ValueError("it is damaged: too many arrays, or two of the same name")
        total = 0
        for member in members:
            with archive.open(member) as array:
                version = npy.read_magic(array)
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, dtype = read(array)
                start = array.tell()
            size = math.prod(map(int, shape)) * np.dtype(dtype).itemsize
            total += max(size, member.file_size)
            if dtype.hasobject:
                raise ValueError("it holds Python objects, which could run code")
            if size < 0 or total > allowed:
                raise ValueError(
                    f"its arrays have {total / 1e6:,.0f} MB, and {allowed / 1e6:,.0f} MB are allowed "
                    "(the environment variable EXPOTION_MAX_NPZ_MB changes that)"
                )
            if size > member.file_size - start:
                raise ValueError("it is damaged: an array is cut off")
