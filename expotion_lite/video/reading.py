"""Frames, sound and facts of a video, each with its true time.

Every time is a presentation timestamp (pts) that the file stores with a frame. The frame rate that a file claims is
not used: a browser's recording claims 1000 frames per second, and the rate of a phone varies. Time 0 is the first
frame that is shown, for the frames and for the sound.

A file is refused if its own headers say that its end is missing (a broken download, an mp4 whose index was never
written): what is left would be taken for the whole. A live recording states no length; it is read as far as possible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ExpotionError
from .containers import VideoSource, open_video
from .demuxing import (
    UprightTransform,
    VideoInfo,
    check_frame_count,
    decode_all,
    first_frame_time,
    presentation_time,
    scan_packets,
    stated_end,
    video_stream,
)
from .muxing import checked_rate

if TYPE_CHECKING:
    import av

# Increase this when the same file gives other frames, times or sound; caches are then recomputed.
READING_VERSION = 1

SHORTEST_VIDEO_S = 0.1  # seconds; a shorter video shows no movement
GAP_S = 0.05  # seconds; smaller steps between stored times of sound are rounding


@dataclass(frozen=True)
class Frame:
    """One picture of a video and its time.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        time_s: seconds after the first frame.
    """

    image: np.ndarray
    time_s: float


def probe(video: VideoSource) -> VideoInfo:
    """Measure a video: read the timestamp of every packet, decode only the first frame.

    Args:
        video: path, bytes, or binary file object.

    Raises:
        ExpotionError: it is no video, empty, truncated, without pictures, a single picture, or too small.

    Notebook: notebooks/00_start_here
    """
    return scan_packets(video).info


def check_video(video: VideoSource) -> VideoInfo:
    """Return the facts about a video, if it is long enough to show a movement.

    Args:
        video: path, bytes, or binary file object.

    Raises:
        ExpotionError: as `probe`, or it lasts less than 0.1 s.
    """
    info = probe(video)
    if info.duration_s < SHORTEST_VIDEO_S:
        raise ExpotionError(f"The video lasts {info.duration_s:.3f} s; give one of a person who moves for seconds.")
    return info


def read_frames(video: VideoSource, *, max_side: int | None = None) -> Iterator[Frame]:
    """Decode the frames one by one, upright, with their true times (strictly increasing from 0).

    Only a few frames are in memory at any time, however long the video is.

    Args:
        video: path, bytes, or binary file object.
        max_side: larger pictures are scaled down so that their longer side has this many pixels.

    Yields:
        Frame: image (H, W, 3) uint8 RGB and time_s in seconds.

    Raises:
        ExpotionError: as `probe`.

    Notebook: notebooks/01_landmarks
    """
    with open_video(video) as (container, name):
        stream = video_stream(container, name)
        stream.thread_type = "AUTO"
        upright, start_s, last_s, count = None, 0.0, -1.0, 0
        for picture in decode_all(container, stream):
            if upright is None:
                upright = UprightTransform.from_first(picture, stream, name, max_side)
                start_s = presentation_time(picture, stream, 0)
            time_s = presentation_time(picture, stream, count) - start_s
            if time_s > last_s:
                yield Frame(upright.apply(picture), time_s)
                last_s, count = time_s, count + 1
        check_frame_count(count, name)


def read_audio(video: VideoSource, sample_rate: int) -> np.ndarray:
    """Decode the sound, mixed to one channel; sample 0 is heard with the first frame.

    Args:
        video: path, bytes, or binary file object; a sound file without pictures is read from its own start.
        sample_rate: hertz of the result; the sound is resampled to it.

    Returns:
        (N,) float32, about -1..1. Gaps in the recording become silence, so that later sound keeps its time.

    Raises:
        ExpotionError: there is no sound, or the file cannot be read.
    """
    sample_rate, start_s = checked_rate(sample_rate), first_frame_time(video)
    parts: list[np.ndarray] = []
    length = 0
    with open_video(video) as (container, name):
        if not container.streams.audio:
            raise ExpotionError(f"{name} has no sound; give a video that was recorded with sound.")
        stream = container.streams.audio[0]
        for samples, time_s in _resampled(container, stream, sample_rate):
            expected_s = (start_s or 0.0) + length / sample_rate
            time_s = expected_s if time_s is None else time_s
            start_s = time_s if start_s is None else start_s
            gap = round((time_s - start_s) * sample_rate) - length
            if length == 0 or abs(gap) > GAP_S * sample_rate:  # insert silence, or cut what overlaps
                samples = np.concatenate([np.zeros(max(gap, 0), np.float32), samples[max(-gap, 0) :]])
            parts.append(samples)
            length += len(samples)
        end_s = stated_end(stream)
    if not length:
        raise ExpotionError(f"{name} has a sound track, but nothing of it can be decoded; give another video.")
    audio = np.concatenate(parts)
    return audio if end_s is None else audio[: max(1, round((end_s - (start_s or 0.0)) * sample_rate))]


def _resampled(
    container: av.container.InputContainer, stream: av.AudioStream, sample_rate: int
) -> Iterator[tuple[np.ndarray, float | None]]:
    """Yield pieces of the sound: (N,) float32 at `sample_rate`, and the start in seconds on the file's clock."""
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate)
    for frame in chain(decode_all(container, stream), [None]):  # None flushes the resampler
        for part in resampler.resample(frame):
            yield part.to_ndarray().reshape(-1), part.time
