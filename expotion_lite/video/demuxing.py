"""Read a video's packets and pictures: their true times, which way is up, and what the whole file holds.

`video` is what to import; this is the layer that its reading functions stand on. Times come from the packets'
presentation timestamps (pts); a damaged packet is passed over, and the reading ends where the file cannot be read on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ExpotionError
from .containers import Source, open_video

if TYPE_CHECKING:
    import av

SMALLEST_SIDE = 32  # pixels; below this no face can be told
COPIED_CODECS = {"h264", "hevc", "av1", "vp9", "mpeg4"}  # what the mp4 container holds as it is


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds, measured from its packets' times.

    width, height: pixels of the upright picture, made square where the stored ones are not.
    rotation: degrees clockwise that the file asks for, 0/90/180/270.
    duration_s: from the first frame's start to the last one's end. frame_rate: mean frames per second.
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
class Layout:
    """How stored pictures become upright ones: scaled to width x height, transposed (or not), then mirrored."""

    width: int
    height: int
    transposed: bool
    mirror_x: bool
    mirror_y: bool
    rotation: int

    @classmethod
    def of(cls, picture: av.VideoFrame, stream: av.VideoStream, name: str, max_side: int | None = None) -> Layout:
        """From the first picture: its size, the shape of its pixels and its display matrix (FFmpeg's display.h)."""
        width, height = round(picture.width * float(stream.sample_aspect_ratio or 1)), picture.height
        if min(width, height) < SMALLEST_SIDE:
            small = f"{width}x{height} pixels are too few to see a person"
            raise ExpotionError(f"{name}: {small}; give a video of at least {SMALLEST_SIDE}x{SMALLEST_SIDE}.")
        scale = min(1.0, (max_side or math.inf) / max(width, height))
        stored = picture.side_data.get("DISPLAYMATRIX")
        matrix = None if stored is None else np.frombuffer(bytes(stored), np.int32)
        a, b, c, d = (1, 0, 0, 1) if matrix is None else (float(v) for v in matrix[[0, 1, 3, 4]])
        transposed = abs(b) > abs(a)
        mirror_x, mirror_y = (c < 0, b < 0) if transposed else (a < 0, d < 0)
        rotation = round(math.degrees(math.atan2(-c, d)) / 90) * 90 % 360
        return cls(
            max(1, round(width * scale)), max(1, round(height * scale)), transposed, mirror_x, mirror_y, rotation
        )

    def image(self, picture: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright. All pictures get the first one's size."""
        image = picture.to_ndarray(format="rgb24", width=self.width, height=self.height, interpolation="AREA")
        image = image.swapaxes(0, 1) if self.transposed else image
        return np.ascontiguousarray(image[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1])


@dataclass(frozen=True)
class Scan:
    """One pass over the packets. pts: (N,) in decoding order, `base` seconds a tick, 0 at the first picture;
    end: tick at which the last picture ends; copyable: mp4 can hold these packets as they are."""

    info: VideoInfo
    pts: np.ndarray
    base: Fraction
    end: int
    copyable: bool


def scan_packets(source: Source) -> Scan:
    """Read every packet's time; decode only as far as the first picture.

    Raises:
        ExpotionError: it is no video, or none that can be used (see `video.probe`).
    """
    with open_video(source) as (container, name):
        stream = picture_stream(container, name)
        codec = stream.codec_context.codec.canonical_name
        first, ticks, lengths, usable = None, [], [], codec in COPIED_CODECS
        for packet in read_packets(container, stream):
            pts = packet.dts if packet.pts is None else packet.pts
            ticks.append(round(len(ticks) / _rate(stream) / stream.time_base) if pts is None else pts)
            lengths.append(packet.duration or 0)
            usable &= packet.pts is not None and not packet.is_discard
            if first is None:
                first = next(iter(decode_packet(stream, packet)), None)
        first = first or next(iter(decode_packet(stream, None)), None)
        if first is None:
            raise ExpotionError(f"No picture of {name} ({codec}) can be decoded; record or convert it again.")
        layout, base = Layout.of(first, stream, name), stream.time_base
        pts = np.array(ticks, np.int64) - (min(ticks) if first.pts is None else first.pts)
        shown = np.unique(pts[pts >= 0])
        check_count(len(shown), name)
        complete = stream.frames == len(ticks) and stream.duration is not None and stream.start_time is not None
        claimed = stream.start_time + stream.duration - max(ticks) if complete else lengths[int(np.argmax(pts))]
        step = float(np.median(np.diff(shown)))
        end = int(shown[-1]) + (claimed if claimed >= 0.25 * step else round(step))
        width, height = (layout.height, layout.width) if layout.transposed else (layout.width, layout.height)
        rate = float((len(shown) - 1) / (int(shown[-1]) * base))
        audio = bool(container.streams.audio)
        info = VideoInfo(width, height, layout.rotation, float(end * base), len(shown), rate, audio, codec)
        return Scan(info, pts, base, end, usable and len(shown) == len(pts))


def check_count(count: int, name: str) -> None:
    """Raise ExpotionError unless there are at least two pictures."""
    if count < 2:
        held = "a single picture" if count else "no picture that can be decoded"
        raise ExpotionError(f"{name} holds {held}; give a video of a person who moves.")


def _moving_streams(container: av.container.InputContainer) -> list[av.VideoStream]:
    """The streams that move: no cover art, no text file drawn as a terminal."""
    from av.stream import Disposition

    streams = [] if container.format.name == "tty" else container.streams.video
    return [s for s in streams if s.codec_context and not s.disposition & Disposition.attached_pic]


def picture_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    """The first stream that moves; ExpotionError if there is none."""
    streams = _moving_streams(container)
    if streams:
        return streams[0]
    if container.streams.audio:
        raise ExpotionError(f"{name} has sound but no pictures; give a video.")
    raise ExpotionError(f"{name} is not a video that can be read; give an mp4, mov, webm or mkv.")


def read_packets(container: av.container.InputContainer, stream: av.stream.Stream) -> Iterator[av.Packet]:
    """The stream's packets, up to where the file can be read."""
    import av

    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, OSError):
        return


def decode_packet(stream: av.stream.Stream, packet: av.Packet | None) -> list:
    """The frames that this packet completes (None: those still inside); a damaged packet gives none."""
    import av

    try:
        frames = stream.decode(packet)
    except av.FFmpegError:
        return []
    for frame in frames:
        frame.time_base = frame.time_base or stream.time_base  # those that come out at the end bring none
    return frames


def decode_all(container: av.container.InputContainer, stream: av.stream.Stream) -> Iterator:
    """All frames of a stream, those included that come out only at the end."""
    for packet in read_packets(container, stream):
        yield from decode_packet(stream, packet)
    yield from decode_packet(stream, None)


def shown_at(picture: av.VideoFrame, stream: av.VideoStream, count: int) -> float:
    """Seconds on the file's own clock; from the number of pictures before this one where the file stores no time."""
    return float(count / _rate(stream)) if picture.pts is None else float(picture.pts * picture.time_base)


def _rate(stream: av.VideoStream) -> Fraction:
    """Frames a second as the file claims them; used only where it stores no times (a bare stream)."""
    return stream.average_rate or Fraction(25)


def start_of_pictures(source: Source) -> float | None:
    """The time of the first picture on the file's own clock, None without pictures."""
    with open_video(source) as (container, _):
        streams = _moving_streams(container)
        first = next(decode_all(container, streams[0]), None) if streams else None
        return first and first.time


def stated_end(stream: av.stream.Stream) -> float | None:
    """Where the file says that this stream ends, on its own clock."""
    if stream.duration is None or stream.start_time is None:
        return None
    return float((stream.start_time + stream.duration) * stream.time_base)
