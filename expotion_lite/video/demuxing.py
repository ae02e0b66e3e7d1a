"""Packets, timestamps and orientation of a video file: everything about time is read here.

- `scan_packets` reads the presentation timestamp (pts) of every packet without decoding the frames.
- `choose_stream` chooses among several streams of pictures.
- `decode_all` yields what a stream decodes to.

Damaged packets are skipped, and reading stops where the file becomes unreadable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from ..errors import ExpotionError
from .containers import VideoSource, open_video
from .upright import UprightTransform

if TYPE_CHECKING:
    import av

RESTART_S = Fraction(1, 2)  # seconds; where times go back by more, they start again
NO_TIMESTAMPS = 0x80  # FFmpeg's flag of formats that store none
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
class Scan:
    """Timestamps of all packets of a video's moving pictures, and the facts derived from them.

    Attributes:
        info: facts about the video.
        stream: index among the file's streams of pictures.
        pts: (N,) int64 presentation timestamps in ticks, in decoding order; 0 is the first frame.
        base: seconds per tick.
        end: tick at which the last frame ends.
        start_s: when the first frame is shown, in seconds on the file's clock.
        by_order: the timestamps are those of decoding; the frames, as they are decoded, have them in sorted order.
        copyable: an mp4 can hold these packets without re-encoding.
    """

    info: VideoInfo
    stream: int
    pts: np.ndarray
    base: Fraction
    end: int
    start_s: float
    by_order: bool
    copyable: bool


def scan_packets(video: VideoSource) -> Scan:
    """Read the timestamp of every packet; decode only until the first frame.

    Raises:
        ExpotionError: it is no video, or none that can be used (see `probe`).
    """
    with open_video(video) as (container, name):
        chosen = choose_stream(container, name)
    with open_video(video) as (container, name):  # from the start again: the choice may have read all packets
        stream = container.streams.video[chosen]
        codec = stream.codec_context.codec.canonical_name
        clock, durations = _PacketClock(container, stream), []
        copyable, first = codec in MP4_CODECS, None
        for packet in read_packets(container, stream):
            clock.read(packet)
            durations.append(packet.duration or 0)
            copyable &= packet.pts is not None and not packet.is_discard
            if first is None:
                first = next(iter(decode_packet(stream, packet)), None)
        first = first or next(iter(decode_packet(stream, None)), None)
        if first is None:
            raise ExpotionError(f"No picture of {name} ({codec}) can be decoded; record or convert it again.")
        ticks, by_order = clock.ticks, clock.by_order()
        start = min(ticks) if first.pts is None or by_order else first.pts
        pts = np.array(ticks, np.int64) - start
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
        return Scan(
            info=info,
            stream=chosen,
            pts=pts,
            base=base,
            end=end,
            start_s=float(start * base),
            by_order=by_order,
            copyable=copyable and len(shown) == len(pts) and not by_order,
        )


class _PacketClock:
    """The presentation timestamps of packets, in order of decoding, as they are read.

    Where the times of a file start again, as in two recordings that were joined byte by byte, they are moved on.
    """

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream) -> None:
        self.stream = stream
        self.ticks: list[int] = []
        self.last: int | None = None  # decoding timestamp before, in ticks
        # A bare stream has no timestamps, and FFmpeg takes 25 frames a second, whatever the codec's headers say.
        rate = stream.guessed_rate if container.format.flags & NO_TIMESTAMPS else stream.average_rate
        self.step = 1 / (rate or Fraction(25)) / _time_base(stream)
        self.moved, self.complete = 0, True

    def read(self, packet: av.Packet[Any]) -> None:
        """Take the next packet's timestamp; in a bare stream without any, derive it from its index."""
        stored = packet.pts if packet.pts is not None else packet.dts
        if stored is None:
            self.complete = False
            bare = self.last is None
            self.ticks.append(round(len(self.ticks) * self.step) if bare else self.ticks[-1] + round(self.step))
            return
        decoded = packet.dts if packet.dts is not None else stored
        if self.last is not None and decoded < self.last - RESTART_S / _time_base(self.stream):
            self.moved += self.last + (packet.duration or round(self.step)) - decoded
        self.last = decoded
        self.ticks.append(stored + self.moved)

    def by_order(self) -> bool:
        """Return whether frames are shown in another order than these timestamps tell.

        An AVI, or a careless mp4, stores the order of decoding. Then they increase although frames are reordered.
        """
        increasing = all(a <= b for a, b in zip(self.ticks, self.ticks[1:], strict=False))
        return not self.complete or (increasing and self.stream.codec_context.has_b_frames)


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


def choose_stream(container: av.container.InputContainer, name: str) -> int:
    """Return which of the streams of pictures a player would show.

    That is the one marked as default, then the one with most pictures; a still beside moving pictures never is. All
    packets of the file are read if there are several.

    Raises:
        ExpotionError: there are no pictures.
    """
    from av.stream import Disposition

    streams = _video_streams(container)
    if not streams:
        if container.streams.audio:
            raise ExpotionError(f"{name} has sound but no pictures; give a video.")
        raise ExpotionError(f"{name} is not a video that can be read; give an mp4, mov, webm or mkv.")
    counts = dict.fromkeys((stream.index for stream in streams), 0)
    if len(streams) > 1:
        for packet in read_packets(container, *streams):
            counts[packet.stream.index] += 1
    best = max(streams, key=lambda s: (counts[s.index] > 1, bool(s.disposition & Disposition.default), counts[s.index]))
    return container.streams.video.index(best)


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


def read_packets(container: av.container.InputContainer, *streams: Decodable[Any]) -> Iterator[av.Packet[Any]]:
    """Yield the packets of one or more streams, up to where the file can be read."""
    import av

    try:
        yield from (packet for packet in container.demux(*streams) if packet.size)
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


def first_frame_time(video: VideoSource) -> float | None:
    """Return when the first frame is shown, in seconds on the file's clock; None if there are no pictures."""
    with open_video(video) as (container, name):
        if not _video_streams(container):
            return None
        index = choose_stream(container, name)
    with open_video(video) as (container, _):
        first = next(decode_all(container, container.streams.video[index]), None)
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
