"""Packets, timestamps and orientation of a video file: everything about time is read here.

- `scan_packets` reads the presentation timestamp (pts) of every packet without decoding the frames.
- `presentation_time` returns the time of one decoded frame, `first_frame_time` that of the first.
- `UprightTransform` applies the rotation, mirroring and pixel shape that the file states.

Damaged packets are skipped, and reading stops where the file becomes unreadable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np

from ..errors import ExpotionError
from .containers import VideoSource, open_video

if TYPE_CHECKING:
    import av
    from av.sidedata.sidedata import SideData

SMALLEST_SIDE = 32  # pixels; no face can be recognised in a smaller picture
MP4_CODECS = {"h264", "hevc", "av1", "vp9", "mpeg4"}  # an mp4 can hold their packets without re-encoding

FrameT = TypeVar("FrameT", bound="av.frame.Frame")


class Decodable(Protocol[FrameT]):
    """Stream whose packets decode to one type of frame: PyAV's VideoStream or AudioStream."""

    time_base: Fraction | None

    def decode(self, packet: av.Packet[Any] | None = None) -> list[FrameT]:
        """Return the frames that a packet completes; None flushes the decoder."""
        ...


@dataclass(frozen=True)
class VideoInfo:
    """Facts about a video, measured from the timestamps of its packets.

    Attributes:
        width: pixels of the upright picture; pixels that are stored non-square are scaled to squares.
        height: pixels of the upright picture.
        rotation: degrees clockwise by which the file asks to turn the stored picture: 0, 90, 180 or 270.
        duration_s: seconds from the start of the first frame to the end of the last.
        frames: number of frames.
        frame_rate: mean frames per second.
        has_audio: there is a sound track.
        codec: FFmpeg's name of the video codec, such as "h264".
    """

    width: int
    height: int
    rotation: int
    duration_s: float
    frames: int
    frame_rate: float
    has_audio: bool
    codec: str


@dataclass(frozen=True)
class UprightTransform:
    """Transform of stored pictures into upright ones: scale to width x height, transpose (or not), then mirror."""

    width: int
    height: int
    transposed: bool
    mirror_x: bool
    mirror_y: bool
    rotation: int

    @classmethod
    def from_first(
        cls, picture: av.VideoFrame, stream: av.VideoStream, name: str, max_side: int | None = None
    ) -> UprightTransform:
        """Derive the transform from the first picture: its size, pixel shape and display matrix (FFmpeg's display.h).

        Args:
            picture: the first decoded frame.
            stream: the stream that it comes from.
            name: of the video, for error messages.
            max_side: larger pictures are scaled so that their longer side has this many pixels.

        Raises:
            ExpotionError: the picture is smaller than `SMALLEST_SIDE`.
        """
        width, height = round(picture.width * float(stream.sample_aspect_ratio or 1)), picture.height
        if min(width, height) < SMALLEST_SIDE:
            small = f"{width}x{height} pixels are too few to see a person"
            raise ExpotionError(f"{name}: {small}; give a video of at least {SMALLEST_SIDE}x{SMALLEST_SIDE}.")
        scale = min(1.0, (max_side or math.inf) / max(width, height))
        a, b, c, d = _display_matrix(picture)
        transposed = abs(b) > abs(a)
        mirror_x, mirror_y = (c < 0, b < 0) if transposed else (a < 0, d < 0)
        rotation = round(math.degrees(math.atan2(-c, d)) / 90) * 90 % 360
        scaled_width, scaled_height = max(1, round(width * scale)), max(1, round(height * scale))
        return cls(scaled_width, scaled_height, transposed, mirror_x, mirror_y, rotation)

    def apply(self, picture: av.VideoFrame) -> np.ndarray:
        """Return the upright picture, (H, W, 3) uint8 RGB. All pictures get the size of the first."""
        image = picture.to_ndarray(format="rgb24", width=self.width, height=self.height, interpolation="AREA")
        image = image.swapaxes(0, 1) if self.transposed else image
        return np.ascontiguousarray(image[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1])


def _display_matrix(picture: av.VideoFrame) -> tuple[float, float, float, float]:
    """Return the rotation part (a, b, c, d) of a picture's display matrix; the identity if the file has none."""
    side_data = cast("dict[str, SideData]", picture.side_data)  # PyAV types motion vectors only
    stored = side_data.get("DISPLAYMATRIX")
    if stored is None:
        return 1.0, 0.0, 0.0, 1.0
    matrix = np.frombuffer(bytes(stored), np.int32)
    return float(matrix[0]), float(matrix[1]), float(matrix[3]), float(matrix[4])


@dataclass(frozen=True)
class Scan:
    """Timestamps of all packets, and the facts derived from them.

    Attributes:
        info: facts about the video.
        pts: (N,) int64 presentation timestamps in ticks, in decoding order; 0 is the first frame.
        base: seconds per tick.
        end: tick at which the last frame ends.
        copyable: an mp4 can hold these packets without re-encoding.
    """

    info: VideoInfo
    pts: np.ndarray
    base: Fraction
    end: int
    copyable: bool


def scan_packets(video: VideoSource) -> Scan:
    """Read the timestamp of every packet; decode only until the first frame.

    Raises:
        ExpotionError: it is no video, or none that can be used (see `probe`).
    """
    with open_video(video) as (container, name):
        stream = video_stream(container, name)
        codec = stream.codec_context.codec.canonical_name
        ticks: list[int] = []
        durations: list[int] = []
        copyable, first = codec in MP4_CODECS, None
        for packet in read_packets(container, stream):
            ticks.append(_ticks_of(packet, stream, len(ticks)))
            durations.append(packet.duration or 0)
            copyable &= packet.pts is not None and not packet.is_discard
            if first is None:
                first = next(iter(decode_packet(stream, packet)), None)
        first = first or next(iter(decode_packet(stream, None)), None)
        if first is None:
            raise ExpotionError(f"No picture of {name} ({codec}) can be decoded; record or convert it again.")
        pts = np.array(ticks, np.int64) - (min(ticks) if first.pts is None else first.pts)
        shown = np.unique(pts[pts >= 0])
        check_frame_count(len(shown), name)
        base = _time_base(stream)
        end = int(shown[-1]) + _last_duration(stream, ticks, durations, float(np.median(np.diff(shown))))
        upright = UprightTransform.from_first(first, stream, name)
        width, height = upright.width, upright.height
        if upright.transposed:
            width, height = height, width
        info = VideoInfo(
            width=width,
            height=height,
            rotation=upright.rotation,
            duration_s=float(end * base),
            frames=len(shown),
            frame_rate=float((len(shown) - 1) / (int(shown[-1]) * base)),
            has_audio=bool(container.streams.audio),
            codec=codec,
        )
        return Scan(info, pts, base, end, copyable and len(shown) == len(pts))


def _ticks_of(packet: av.Packet[Any], stream: av.VideoStream, index: int) -> int:
    """Return a packet's presentation timestamp in ticks; in a bare stream without any, derive it from its index."""
    if packet.pts is not None:
        return packet.pts
    if packet.dts is not None:
        return packet.dts
    return round(index / _claimed_rate(stream) / _time_base(stream))


def _last_duration(stream: av.VideoStream, ticks: Sequence[int], durations: Sequence[int], step: float) -> int:
    """Return how long the last frame is shown, in ticks: as the file states, or one `step` if that is too short."""
    complete = stream.frames == len(ticks)
    if complete and stream.duration is not None and stream.start_time is not None:
        stated = stream.start_time + stream.duration - max(ticks)
    else:
        stated = durations[int(np.argmax(ticks))]
    return stated if stated >= 0.25 * step else round(step)


def check_frame_count(count: int, name: str) -> None:
    """Raise ExpotionError unless there are at least two frames."""
    if count < 2:
        held = "a single picture" if count else "no picture that can be decoded"
        raise ExpotionError(f"{name} holds {held}; give a video of a person who moves.")


def video_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    """Return the first stream of moving pictures; raise ExpotionError if there is none."""
    streams = _video_streams(container)
    if streams:
        return streams[0]
    if container.streams.audio:
        raise ExpotionError(f"{name} has sound but no pictures; give a video.")
    raise ExpotionError(f"{name} is not a video that can be read; give an mp4, mov, webm or mkv.")


def _video_streams(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Return the streams of moving pictures: neither cover art, nor a text file that FFmpeg renders as a terminal."""
    from av.stream import Disposition

    if container.format.name == "tty":
        return []
    return [
        stream
        for stream in container.streams.video
        if stream.codec_context and not stream.disposition & Disposition.attached_pic
    ]


def read_packets(container: av.container.InputContainer, stream: Decodable[Any]) -> Iterator[av.Packet[Any]]:
    """Yield the packets of a stream, up to where the file can be read."""
    import av

    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, OSError):
        return


def decode_packet(stream: Decodable[FrameT], packet: av.Packet[Any] | None) -> list[FrameT]:
    """Return the frames that a packet completes (None: those still in the decoder); none if it is damaged."""
    import av

    try:
        frames = stream.decode(packet)
    except av.FFmpegError:
        return []
    for frame in frames:
        frame.time_base = frame.time_base or stream.time_base  # flushed frames have none
    return frames


def decode_all(container: av.container.InputContainer, stream: Decodable[FrameT]) -> Iterator[FrameT]:
    """Yield all frames of a stream, including those that the decoder holds back until the end."""
    for packet in read_packets(container, stream):
        yield from decode_packet(stream, packet)
    yield from decode_packet(stream, None)


def presentation_time(picture: av.VideoFrame, stream: av.VideoStream, index: int) -> float:
    """Return when a frame is shown, in seconds on the file's clock; derived from its index if the file stores none."""
    if picture.pts is None or picture.time_base is None:
        return float(index / _claimed_rate(stream))
    return float(picture.pts * picture.time_base)


def first_frame_time(video: VideoSource) -> float | None:
    """Return when the first frame is shown, in seconds on the file's clock; None if there are no pictures."""
    with open_video(video) as (container, _):
        streams = _video_streams(container)
        first = next(decode_all(container, streams[0]), None) if streams else None
        return first.time if first else None


def stated_end(stream: av.stream.Stream) -> float | None:
    """Return when a stream ends according to the file, in seconds on the file's clock; None if it does not say."""
    if stream.duration is None or stream.start_time is None:
        return None
    return float((stream.start_time + stream.duration) * _time_base(stream))


def _time_base(stream: av.stream.Stream) -> Fraction:
    """Return seconds per tick. FFmpeg sets it for every stream that it opens."""
    assert stream.time_base is not None
    return stream.time_base


def _claimed_rate(stream: av.VideoStream) -> Fraction:
    """Return the frame rate that the file claims; used only where it stores no timestamps (a bare stream)."""
    return stream.average_rate or Fraction(25)
