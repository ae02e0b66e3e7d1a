"""Read pictures, sound and facts of a video by its true times.

Every time here comes from the presentation timestamps (pts) that the file stores with each frame, never from the
frame rate that it claims: a browser's recording claims 1000 frames a second, a phone's rate is uneven. Time 0 is the
first frame that can be shown, for the pictures and for the sound alike.

A file that its own header says is cut short (a broken download, an mp4 whose index was never written) is refused,
because what is left would pass for the whole. A live recording states no length: what can be decoded of it is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExpotionError
from .containers import Source, open_video
from .demuxing import (
    Layout,
    VideoInfo,
    check_count,
    decode_all,
    picture_stream,
    scan_packets,
    shown_at,
    start_of_pictures,
    stated_end,
)
from .muxing import (
    checked_rate,
)

# Raise this when the same file gives other pictures, times or sound; caches are then computed anew.
READING_VERSION = 1


@dataclass(frozen=True)
class Frame:
    """One picture. image: (H, W, 3) uint8 RGB, upright; time_s: seconds after the first frame."""

    image: np.ndarray
    time_s: float


def probe(source: Source) -> VideoInfo:
    """Measure a video: every packet's time is read, only the first picture is decoded.

    Args:
        source: path, bytes, or binary file object.

    Raises:
        ExpotionError: it is no video, empty, truncated, without pictures, a single picture, or too small.

    Notebook: notebooks/01_landmarks
    """
    return scan_packets(source).info


def read_frames(source: Source, *, max_side: int | None = None) -> Iterator[Frame]:
    """Decode the pictures one by one, upright, with their true times (strictly increasing, 0 at the first).

    Only a few pictures are in memory at any time, however long the video is.

    Args:
        source: path, bytes, or binary file object.
        max_side: larger pictures are scaled down so that their longer side is this many pixels.

    Yields:
        Frame: image (H, W, 3) uint8 RGB and time_s in seconds.

    Raises:
        ExpotionError: as `probe`.

    Notebook: notebooks/01_landmarks
    """
    with open_video(source) as (container, name):
        stream = picture_stream(container, name)
        stream.thread_type = "AUTO"
        layout, start, last, count = None, 0.0, -1.0, 0
        for picture in decode_all(container, stream):
            if layout is None:
                layout, start = Layout.of(picture, stream, name, max_side), shown_at(picture, stream, 0)
            time_s = shown_at(picture, stream, count) - start
            if time_s > last:
                yield Frame(layout.image(picture), time_s)
                last, count = time_s, count + 1
        check_count(count, name)


def read_audio(source: Source, sample_rate: int) -> np.ndarray:
    """Decode the sound, mixed to one channel; sample 0 is heard with the first picture.

    Args:
        source: path, bytes, or binary file object; a sound file without pictures is read from its own start.
        sample_rate: hertz of the result; the sound is resampled to it.

    Returns:
        (N,) float32, about -1..1. Gaps in the recording are silent, so that what follows keeps its time.

    Raises:
        ExpotionError: there is no sound, or the file cannot be read.
    """
    import av

    sample_rate, start = checked_rate(sample_rate), start_of_pictures(source)
    parts, length = [], 0
    with open_video(source) as (container, name):
        if not container.streams.audio:
            raise ExpotionError(f"{name} has no sound; give a video that was recorded with sound.")
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate)
        decoded = (part for frame in chain(decode_all(container, stream), [None]) for part in resampler.resample(frame))
        for part in decoded:
            samples = part.to_ndarray().reshape(-1)
            start = part.time if start is None else start
            gap = round((part.time - start) * sample_rate) - length
            if length == 0 or abs(gap) > 0.05 * sample_rate:  # smaller ones are the rounding of the stored times
                samples = np.concatenate([np.zeros(max(gap, 0), np.float32), samples[max(-gap, 0) :]])
            parts.append(samples)
            length += len(samples)
        end_s = stated_end(stream)
    if not length:
        raise ExpotionError(f"{name} has a sound track, but nothing of it can be decoded; give another video.")
    return np.concatenate(parts)[: None if end_s is None else max(1, round((end_s - (start or 0.0)) * sample_rate))]


def check_video(video: Any) -> VideoInfo:
    """Return the facts of a video given as a path, bytes or a binary file, if it is one.

    Raises:
        ExpotionError: it does not exist, is no video that can be read, or is over in a moment.
    """

    if isinstance(video, (str, os.PathLike)) and not Path(video).is_file():
        what = "is a folder" if Path(video).is_dir() else "does not exist"
        raise ExpotionError(f"The video {video} {what}; name a video file, for example a .mp4 or .webm.")
    info = probe(video)
    if info.duration_s < 0.1:
        raise ExpotionError(f"The video lasts {info.duration_s:.3f} s; give one of a person who moves for seconds.")
    return info
