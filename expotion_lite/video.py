"""Read video by its true times, and write music under its pictures.

Every time here comes from the presentation timestamps (pts) that the file stores with each frame, never from the
frame rate that it claims: a browser's recording claims 1000 frames a second, a phone's rate is uneven. Time 0 is the
first frame that can be shown, for the pictures and for the sound alike.

A file that its own header says is cut short (a broken download, an mp4 whose index was never written) is refused,
because what is left would pass for the whole. A live recording states no length: what can be decoded of it is read.

Example:
    >>> import tempfile
    >>> pictures = (Frame(np.full((48, 64, 3), 40 * i, np.uint8), i / 15) for i in range(5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_video(f"{folder}/grey.mp4", pictures, audio=np.zeros(16000, np.float32), sample_rate=16000)
    ...     info = probe(path)
    ...     times = [round(frame.time_s, 4) for frame in read_frames(path)]
    >>> info.width, info.height, info.frames, round(info.duration_s, 3), info.has_audio
    (64, 48, 5, 0.333, True)
    >>> times
    [0.0, 0.0667, 0.1333, 0.2, 0.2667]
"""

from __future__ import annotations

import os
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from .containers import Source, open_video
from .demuxing import (
    SMALLEST_SIDE,
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
from .errors import ExpotionError
from .files import writing
from .muxing import (
    CLOCK,
    Refused,
    SoundTrack,
    add_h264_stream,
    checked_audio,
    checked_rate,
    copy_pictures,
    encodable,
    open_mp4,
    write_errors,
)

__all__ = [
    "SMALLEST_SIDE",
    "Frame",
    "Source",
    "VideoInfo",
    "mux_audio",
    "probe",
    "read_audio",
    "read_frames",
    "write_video",
    "write_wav",
]


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


def write_video(
    path: str | os.PathLike,
    frames: Iterable[Frame],
    *,
    audio: np.ndarray | None = None,
    sample_rate: int | None = None,
    duration_s: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Write pictures at their true times, and sound, as H.264 + MP3 in an mp4.

    Args:
        path: the mp4 to write.
        frames: pictures in order of time; read one by one. Odd sizes gain one repeated row or column.
        audio: (N,) float in -1..1, from the first picture on; cut or padded with silence to the pictures' length.
        sample_rate: hertz of `audio`.
        duration_s: when the last picture ends, seconds after the first; by default it lasts as long as the one before.
        overwrite: replace an existing file.

    Returns:
        The path written.

    Raises:
        ExpotionError: no frames, times that do not increase, unusable audio, or a path that cannot be written.

    Notebook: notebooks/01_landmarks
    """
    frames = iter(frames)
    with open_mp4(path, overwrite) as container:
        current = next(frames, None)
        if current is None:
            raise ExpotionError("There are no frames to write; give at least one.")
        stream = add_h264_stream(container, current.image)
        sound = None if audio is None else SoundTrack(container, audio, sample_rate)
        start, ticks, step = current.time_s, 0, round(1 / (30 * CLOCK))
        for following in frames:
            step = round((following.time_s - start) / CLOCK) - ticks
            if step <= 0:
                raise ExpotionError(f"Frame times must increase, but {following.time_s} s follows {current.time_s} s.")
            container.mux(stream.encode(encodable(current.image, stream, ticks, step)))
            current, ticks = following, ticks + step
            if sound:
                sound.write_until(float(ticks * CLOCK))
        if duration_s is not None:
            step = round(duration_s / CLOCK) - ticks
            if step <= 0:
                raise ExpotionError(f"duration_s={duration_s} ends before the last frame; give a longer one.")
        packets = stream.encode(encodable(current.image, stream, ticks, step)) + stream.encode(None)
        for packet in packets:
            if packet.pts == ticks or packet is packets[-1]:  # mp4 takes its length from the last one stored
                packet.duration = step
            container.mux(packet)
        if sound:
            sound.finish(float((ticks + step) * CLOCK))
    return Path(path)


def mux_audio(
    video: Source, audio: np.ndarray, sample_rate: int, path: str | os.PathLike, *, overwrite: bool = False
) -> Path:
    """Put music under a video, in place of its own sound; the result lasts as long as the video.

    The pictures are copied without re-encoding where mp4 can hold them (H.264, HEVC, AV1, VP9, MPEG-4), their rotation
    flag included. Others (a browser's VP8; pictures that an edit list hides; files without usable times) are encoded
    to H.264 at their true times.

    Args:
        video: path, bytes, or binary file object.
        audio: (N,) float in -1..1, starts with the first picture; cut (with a short fade) or padded with silence.
        sample_rate: hertz of `audio`.
        path: the mp4 to write; may be `video` itself with `overwrite`.
        overwrite: replace an existing file.

    Returns:
        The path written.

    Raises:
        ExpotionError: the video or the audio cannot be used, or the path cannot be written.

    Notebook: notebooks/01_landmarks
    """
    scan = scan_packets(video)
    if scan.copyable:
        try:
            return copy_pictures(video, scan, audio, sample_rate, path, overwrite)
        except Refused:
            pass  # pictures that the mp4 writer refuses to copy can still be encoded
    duration_s = scan.info.duration_s
    return write_video(
        path, read_frames(video), audio=audio, sample_rate=sample_rate, duration_s=duration_s, overwrite=overwrite
    )


def write_wav(path: str | os.PathLike, audio: np.ndarray, sample_rate: int, *, overwrite: bool = False) -> Path:
    """Write sound as a 16-bit wav. audio: (N,) float in -1..1 (beyond is clipped); sample_rate: hertz.

    Raises:
        ExpotionError: unusable audio, or a path that cannot be written.
    """
    sample_rate = checked_rate(sample_rate)
    samples = np.round(np.clip(checked_audio(audio), -1.0, 1.0) * 32767).astype("<i2")
    with writing(path, overwrite) as temporary, write_errors(path), wave.open(str(temporary), "wb") as file:
        file.setparams((1, 2, sample_rate, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())
    return Path(path)
