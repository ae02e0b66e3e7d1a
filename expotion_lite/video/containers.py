"""Open a video from a path, bytes or a file object, and refuse what is no whole video.

`video` is what to import; this is its lowest layer. Containers are opened with PyAV (FFmpeg); the sizes that their own
headers state are compared with the file first, because FFmpeg passes off the start of a cut file as the whole.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from ..errors import ExpotionError

if TYPE_CHECKING:
    import av

Source = str | os.PathLike[str] | bytes | BinaryIO
"""A path, the bytes of a video file, or an open binary file that can be rewound (it is read from its start)."""


@contextmanager
def open_video(source: Source) -> Iterator[tuple[av.container.InputContainer, str]]:
    """Open for reading; yield the container and the name that errors call it by."""
    import av

    with _binary(source) as (file, name):
        try:
            size = file.seek(0, os.SEEK_END)
        except (OSError, AttributeError) as error:
            raise ExpotionError(f"{name} cannot be rewound; pass its bytes (file.read()) or a path.") from error
        if not size:
            raise ExpotionError(f"{name} is empty; record or copy it again.")
        if _is_truncated(file, size):
            raise ExpotionError(f"{name} is truncated, its end is missing; record, copy or download it again.")
        file.seek(0)
        try:
            container = av.open(file, options={"protocol_whitelist": "file"})  # a playlist must not reach the network
        except (av.FFmpegError, OSError) as error:
            raise ExpotionError(f"{name} is not a video that can be read; give an mp4, mov, webm or mkv.") from error
        with container:
            yield container, name


@contextmanager
def _binary(source: Source) -> Iterator[tuple[BinaryIO, str]]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source), "The video"
    elif isinstance(source, str | os.PathLike):
        if not os.path.exists(source):
            raise ExpotionError(f"{source} does not exist; check the path.")
        if os.path.isdir(source):
            raise ExpotionError(f"{source} is a folder; name a video file in it.")
        try:
            file = open(source, "rb")  # noqa: SIM115
        except OSError as error:
            raise ExpotionError(f"{source} cannot be opened ({error.strerror}); check its permissions.") from error
        with file:
            yield file, str(source)
    else:
        _require_binary(source)
        name = getattr(source, "name", None)
        yield source, name if isinstance(name, str) else "The video"


def _require_binary(source: object) -> None:
    if not hasattr(source, "read") or source.read(0) != b"":
        raise ExpotionError(f"A video is a path, bytes or an open binary file, not {type(source).__name__}.")


def whole(file: BinaryIO) -> bytes:
    """All bytes of an open binary file, from its start.

    Raises:
        ExpotionError: it was opened as text.
    """
    _require_binary(file)
    if file.seekable():
        file.seek(0)
    return file.read()


def _is_truncated(file: BinaryIO, size: int) -> bool:
    """Whether the container's own sizes say that bytes are missing (ISO/IEC 14496-12, 4.2; RFC 8794, 6; RIFF)."""
    file.seek(0)
    head = file.read(64)
    if head[:4] == b"\x1a\x45\xdf\xa3":  # Matroska and WebM: a header, then one segment that may state its size
        header, at = _vint(head, 4)
        file.seek(at + (header or 0))
        segment = file.read(16)
        length, at_end = _vint(segment, 4) if segment[:4] == b"\x18\x53\x80\x67" else (None, 0)
        return length is not None and at + (header or 0) + at_end + length > size
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return 8 + struct.unpack("<I", head[4:8])[0] > size
    if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return False
    seen, position = set(), 0
    while position + 8 <= size:
        file.seek(position)
        box = file.read(16)
        length, kind = struct.unpack(">I4s", box[:8])
        if length == 1 and len(box) == 16:
            length = struct.unpack(">Q", box[8:])[0]
        seen.add(kind)
        if length == 0:  # to the end of the file
            break
        if position + length > size and kind in (b"moov", b"mdat") and b"moof" not in seen:
            return True
        position += max(length, 8)
    return not seen & {b"moov", b"meta"}


def _vint(data: bytes, at: int) -> tuple[int | None, int]:
    """The variable-length number at `at` (None = stated as unknown) and where it ends."""
    width = 9 - data[at].bit_length() if len(data) > at and data[at] else 9
    number = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return None if width > 8 or number == (1 << 7 * width) - 1 else number, at + width
