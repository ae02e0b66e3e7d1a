"""Frames, sound and facts of a video, each with its true time.

Every time is a presentation timestamp (pts) that the file stores with a frame. The frame rate that a file claims is
used only where it stores no times: a browser's recording claims 1000 frames per second, and the rate of a phone varies.
Time 0 is the first
frame that is shown, for the frames and for the sound.

A file is refused if its own headers say that its end is missing (a broken download, an mp4 whose index was never
written): what is left would be taken for the whole. A live recording states no length; it is read as far as possible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..errors import ExpotionError
from ..limits import max_duration_s
from .containers import VideoSource, open_video
from .demuxing import (
    Scan,
    VideoInfo,
    check_frame_count,
    decode_packet,
    first_frame_time,
    read_packets,
    scan_packets,
)
from .muxing import checked_rate
from .sound import read_sound
from .upright import UprightTransform

if TYPE_CHECKING:
    import av

# Increase this when the same file gives other frames, times or sound; caches are then recomputed.
READING_VERSION = 2

SHORTEST_VIDEO_S = 0.1  # seconds; a shorter video shows no movement


@dataclass(frozen=True)
class Frame:
    """One picture of a video and its time.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        time_s: seconds after the first frame.
    """

    image: np.ndarray
    time_s: float


class Video:
    """A video whose timestamps are read once; facts, frames, sound and copies of it cannot disagree.

    Args:
        source: path, bytes, or binary file object.
        longest_s: longest duration to accept, seconds; None takes `limits.max_duration_s`.

    Raises:
        ExpotionError: it is no video, empty, truncated, without pictures, a single picture, too small, or too long.

    Example:
        >>> from expotion_lite.video.reading import Video
        >>> from expotion_lite.assets import example_clip
        >>> video = Video(example_clip())
        >>> video.info.frames == sum(1 for _ in video.frames(max_side=64))
        True
    """

    def __init__(self, source: VideoSource, *, longest_s: float | None = None) -> None:
        self.source = source
        self.scan: Scan = scan_packets(source)
        longest_s = max_duration_s() if longest_s is None else longest_s
        if self.info.duration_s > longest_s:
            raise ExpotionError(
                f"The video lasts {self.info.duration_s / 60:.1f} minutes, by its timestamps; give one of at most "
                f"{longest_s / 60:g} minutes, or set EXPOTION_MAX_MINUTES."
            )

    @classmethod
    def of(cls, video: AnyVideo) -> Video:
        """Return a video that is opened already as it is, and open another."""
        return video if isinstance(video, Video) else cls(video)

    @property
    def info(self) -> VideoInfo:
        """Facts about the video."""
        return self.scan.info

    @cached_property
    def times(self) -> np.ndarray:
        """Times of all frames in seconds, (T,) float64, strictly increasing from 0."""
        return np.unique(self.scan.pts[self.scan.pts >= 0]) * float(self.scan.base)

    def frames(self, *, max_side: int | None = None) -> Iterator[Frame]:
        """Decode the frames one by one; see `read_frames`."""
        with open_video(self.source) as (container, name):
            stream = container.streams.video[self.scan.stream]
            stream.thread_type = "AUTO"
            upright, last_s, count = None, -1.0, 0
            for index, picture in enumerate(self._pictures(container, stream)):
                if upright is None:
                    upright = UprightTransform.from_first(picture, stream, name, max_side)
                time_s = self._time_of(picture, index)
                if time_s > last_s:
                    yield Frame(upright.apply(picture), time_s)
                    last_s, count = time_s, count + 1
            check_frame_count(count, name)

    def audio(self, sample_rate: int) -> np.ndarray:
        """Decode the sound; see `read_audio`."""
        return read_sound(self.source, checked_rate(sample_rate), self.scan.start_s)

    def _pictures(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        """Yield the decoded pictures, with the timestamps of the scan."""
        pts = self.scan.pts
        for index, packet in enumerate(read_packets(container, stream)):
            if index == len(pts):  # the file has grown since
                break
            packet.pts = int(pts[index])
            yield from decode_packet(stream, packet)
        yield from decode_packet(stream, None)

    def _time_of(self, picture: av.VideoFrame, index: int) -> float:
        """Return when a decoded picture is shown, in seconds."""
        if self.scan.by_order:
            return float(self.times[min(index, len(self.times) - 1)])
        return float((picture.pts or 0) * self.scan.base)


AnyVideo: TypeAlias = "VideoSource | Video"
"""A path, bytes or a binary file, or a `Video` that is opened already."""


def probe(video: AnyVideo) -> VideoInfo:
    """Measure a video: read the timestamp of every packet, decode only the first frame.

    Args:
        video: path, bytes, binary file object, or a `Video`.

    Raises:
        ExpotionError: as `Video`.

    Notebook: notebooks/00_start_here
    """
    return Video.of(video).info


def check_video(video: AnyVideo) -> Video:
    """Open a video, if it is long enough to show a movement.

    Args:
        video: path, bytes, binary file object, or a `Video`.

    Raises:
        ExpotionError: as `Video`, or it lasts less than 0.1 s.
    """
    opened = Video.of(video)
    if opened.info.duration_s < SHORTEST_VIDEO_S:
        lasts = f"{opened.info.duration_s:.3f} s"
        raise ExpotionError(f"The video lasts {lasts}; give one of a person who moves for seconds.")
    return opened


def read_frames(video: AnyVideo, *, max_side: int | None = None) -> Iterator[Frame]:
    """Decode the frames one by one, upright, with their true times (strictly increasing from 0).

    Only a few frames are in memory at any time, however long the video is.

    Args:
        video: path, bytes, binary file object, or a `Video`.
        max_side: larger pictures are scaled down so that their longer side has this many pixels.

    Yields:
        Frame: image (H, W, 3) uint8 RGB and time_s in seconds.

    Raises:
        ExpotionError: as `Video`.

    Notebook: notebooks/01_landmarks
    """
    yield from Video.of(video).frames(max_side=max_side)


def read_audio(video: AnyVideo, sample_rate: int) -> np.ndarray:
    """Decode the sound, mixed to one channel; sample 0 is heard with the first frame.

    Of several sound tracks, the one marked as default is read, or the first. If the channels cancel one another when
    they are mixed, the louder one is taken alone.

    Args:
        video: path, bytes, binary file object, or a `Video`; a sound file without pictures is read from its own start.
        sample_rate: hertz of the result; the sound is resampled to it.

    Returns:
        (N,) float32, about -1..1. Gaps in the recording become silence, so that later sound keeps its time.

    Raises:
        ExpotionError: there is no sound, or the file cannot be read.
    """
    if isinstance(video, Video):
        return video.audio(sample_rate)
    return read_sound(video, checked_rate(sample_rate), first_frame_time(video))
