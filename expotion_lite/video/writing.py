"""Writing of an mp4 or a wav: frames at their true times, with sound that starts and ends with them."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..errors import ExpotionError
from ..files import atomic_write
from .muxing import (
    CLOCK,
    Refused,
    SoundTrack,
    add_h264_stream,
    checked_audio,
    checked_rate,
    copy_packets,
    encoder_frame,
    open_mp4,
    write_errors,
)
from .reading import AnyVideo, Frame, Video


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[Frame],
    *,
    audio: np.ndarray | None = None,
    sample_rate: int | None = None,
    duration_s: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Write frames at their true times, and sound, as H.264 + MP3 in an mp4.

    Args:
        path: the mp4 to write.
        frames: frames in order of time, read one by one. Odd sizes are padded with one repeated row or column.
        audio: (N,) float in -1..1, starts with the first frame; cut or padded with silence to the video's length.
        sample_rate: hertz of `audio`.
        duration_s: when the last frame ends, seconds after the first; by default it lasts as long as the one before.
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
        start_s, ticks, step = current.time_s, 0, round(1 / (30 * CLOCK))  # a single frame lasts 1/30 s
        for following in frames:  # a frame is encoded once the next one tells how long it lasts
            step = round((following.time_s - start_s) / CLOCK) - ticks
            if step <= 0:
                raise ExpotionError(f"Frame times must increase, but {following.time_s} s follows {current.time_s} s.")
            container.mux(stream.encode(encoder_frame(current.image, stream, ticks, step)))
            current, ticks = following, ticks + step
            if sound:
                sound.write_until(float(ticks * CLOCK))
        if duration_s is not None:
            step = round(duration_s / CLOCK) - ticks
            if step <= 0:
                raise ExpotionError(f"duration_s={duration_s} ends before the last frame; give a longer one.")
        packets = stream.encode(encoder_frame(current.image, stream, ticks, step)) + stream.encode(None)
        for packet in packets:
            if packet.pts == ticks or packet is packets[-1]:  # mp4 takes its length from the last packet stored
                packet.duration = step
            container.mux(packet)
        if sound:
            sound.finish(float((ticks + step) * CLOCK))
    return Path(path)


def mux_audio(
    video: AnyVideo, audio: np.ndarray, sample_rate: int, path: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Replace the sound of a video with music; the result lasts as long as the video.

    Frames are copied without re-encoding if mp4 can hold them (H.264, HEVC, AV1, VP9, MPEG-4), including their
    rotation flag. Others (a browser's VP8; frames hidden by an edit list; files without usable timestamps) are encoded
    to H.264 at their true times.

    Args:
        video: path, bytes, binary file object, or a `Video`.
        audio: (N,) float in -1..1, starts with the first frame; cut (with a short fade) or padded with silence.
        sample_rate: hertz of `audio`.
        path: the mp4 to write; may be `video` itself with `overwrite`.
        overwrite: replace an existing file.

    Returns:
        The path written.

    Raises:
        ExpotionError: the video or the audio cannot be used, or the path cannot be written.

    Notebook: notebooks/07_play_it
    """
    opened = Video.of(video)
    if opened.scan.copyable:
        try:
            return copy_packets(opened.source, opened.scan, audio, sample_rate, path, overwrite)
        except Refused:
            pass  # frames that the mp4 writer refuses to copy can still be encoded
    duration_s = opened.info.duration_s
    return write_video(
        path, opened.frames(), audio=audio, sample_rate=sample_rate, duration_s=duration_s, overwrite=overwrite
    )


def write_wav(path: str | os.PathLike[str], audio: np.ndarray, sample_rate: int, *, overwrite: bool = False) -> Path:
    """Write sound as a 16-bit wav.

    Args:
        path: the wav to write.
        audio: (N,) float in -1..1; values beyond are clipped.
        sample_rate: hertz of `audio`.
        overwrite: replace an existing file.

    Returns:
        The path written.

    Raises:
        ExpotionError: unusable audio, or a path that cannot be written.
    """
    sample_rate = checked_rate(sample_rate)
    samples = np.round(np.clip(checked_audio(audio), -1.0, 1.0) * 32767).astype("<i2")
    with atomic_write(path, overwrite) as temporary, write_errors(path), wave.open(str(temporary), "wb") as file:
        file.setparams((1, 2, sample_rate, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())
    return Path(path)
