"""Opening of video files, from a path, bytes or a file object, with a check that the file is complete.

PyAV (FFmpeg) opens the container. FFmpeg accepts a file that was cut off and reads its beginning as if it were all, so
the sizes stated in the file's own headers are compared with its length first.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from ..errors import ExpotionError

if TYPE_CHECKING:
    import av

VideoSource: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO
"""A path, the bytes of a video file, or an open binary file that can be rewound (it is read from its start)."""

# FFmpeg's formats that hold pictures or sound themselves. Playlists and scripts, whatever their names, open other files
# or the network, and are refused with everything else.
FORMATS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "ogg", "gif", "apng", "dv", "mxf", "nut"),
    *("ivf", "rm", "yuv4mpegpipe", "h264", "hevc", "m4v", "mjpeg", "obu", "av1"),
    *("wav", "w64", "mp3", "flac", "aac", "aiff", "caf"),
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS)}

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # element identifiers of Matroska and WebM
_FIRST_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


@contextmanager
def open_video(video: VideoSource) -> Iterator[tuple[av.container.InputContainer, str]]:
    """Open a video for reading.

    Yields:
        The PyAV container, and the name of the video for error messages.

    Raises:
        ExpotionError: there is no such file, or it is empty, truncated, or not a video.
    """
    import av

    with _open_binary(video) as (file, name):
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
            container = av.open(file, "r", options=_OPTIONS)
        except (av.FFmpegError, OSError) as error:
            raise ExpotionError(f"{name} is not a video that can be read; give an mp4, mov, webm or mkv.") from error
        with container:
            yield container, name


def read_bytes(file: BinaryIO) -> bytes:
    """Return all bytes of an open binary file, from its start if it can be rewound.

    Raises:
        ExpotionError: it was opened as text.
    """
    _require_binary(file)
    if file.seekable():
        file.seek(0)
    return file.read()


@contextmanager
def _open_binary(video: VideoSource) -> Iterator[tuple[BinaryIO, str]]:
    """Yield a binary file and its name for error messages; close the file only if it was opened here."""
    if isinstance(video, bytes | bytearray | memoryview):
        yield io.BytesIO(video), "The video"
    elif isinstance(video, str | os.PathLike):
        if not os.path.exists(video):
            raise ExpotionError(f"The video {video} does not exist; name a video file, for example a .mp4 or .webm.")
        if os.path.isdir(video):
            raise ExpotionError(f"The video {video} is a folder; name a video file in it.")
        try:
            file = open(video, "rb")  # noqa: SIM115
        except OSError as error:
            raise ExpotionError(f"{video} cannot be opened ({error.strerror}); check its permissions.") from error
        with file:
            yield file, str(video)
    else:
        _require_binary(video)
        name = getattr(video, "name", None)
        yield video, name if isinstance(name, str) else "The video"


def _require_binary(video: object) -> None:
    if not hasattr(video, "read") or video.read(0) != b"":
        raise ExpotionError(f"A video is a path, bytes or an open binary file, not {type(video).__name__}.")


def _is_truncated(file: BinaryIO, size: int) -> bool:
    """Return whether the headers of a file state more bytes than its `size`. Unknown formats pass."""
    file.seek(0)
    head = file.read(64)
    if head.startswith(_EBML):
        return _is_truncated_matroska(file, head, size)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return 8 + struct.unpack("<I", head[4:8])[0] > size
    if head[4:8] in _FIRST_MP4_BOXES:
        return _is_truncated_mp4(file, size)
    return False


def _is_truncated_matroska(file: BinaryIO, head: bytes, size: int) -> bool:
    """Check Matroska or WebM (RFC 8794, section 6): a header element, then one segment that may state its size."""
    header_length, header_start = _read_vint(head, 4)
    segment_start = header_start + (header_length or 0)
    file.seek(segment_start)
    segment = file.read(16)
    if not segment.startswith(_SEGMENT):
        return False
    length, offset = _read_vint(segment, 4)
    return length is not None and segment_start + offset + length > size


def _read_vint(data: bytes, at: int) -> tuple[int | None, int]:
    """Return the EBML variable-length integer at `at` (None where it says "unknown") and the position behind it."""
    width = 9 - data[at].bit_length() if len(data) > at and data[at] else 9
    number = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    unknown = width > 8 or number == (1 << 7 * width) - 1
    return None if unknown else number, at + width


def _is_truncated_mp4(file: BinaryIO, size: int) -> bool:
    """Check mp4 or mov (ISO/IEC 14496-12, section 4.2): a sequence of boxes, one of which holds the index.

    A fragmented recording (with a "moof" box) may stop anywhere: each fragment can be read on its own.
    """
    seen: set[bytes] = set()
    position = 0
    while position + 8 <= size:
        file.seek(position)
        box = file.read(16)
        length, kind = struct.unpack(">I4s", box[:8])
        if length == 1 and len(box) == 16:  # a 64-bit length follows
            length = struct.unpack(">Q", box[8:])[0]
        seen.add(kind)
        if length == 0:  # the box extends to the end of the file
            break
        if position + length > size and kind in (b"moov", b"mdat") and b"moof" not in seen:
            return True
        position += max(length, 8)
    return not seen & {b"moov", b"meta"}
