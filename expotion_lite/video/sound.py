"""The sound of a video or sound file, mixed to one channel and placed at its true time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ExpotionError
from .containers import VideoSource, open_video
from .demuxing import RESTART_S, decode_all, stated_end

if TYPE_CHECKING:
    import av

GAP_S = 0.05  # seconds; smaller steps between stored times of sound are rounding
CANCELLED = 0.1  # share of the loudest channel's level; a mix below it has lost its sound


def read_sound(video: VideoSource, sample_rate: int, start_s: float | None) -> np.ndarray:
    """Decode the sound, mixed to one channel. See `reading.read_audio`.

    Args:
        video: path, bytes, or binary file object.
        sample_rate: hertz of the result.
        start_s: time of sample 0 in seconds on the file's clock; None takes the first sound.

    Returns:
        (N,) float32, about -1..1.

    Raises:
        ExpotionError: there is no sound, or the file cannot be read.
    """
    parts: list[np.ndarray] = []
    length, moved_s = 0, 0.0
    with open_video(video) as (container, name):
        stream = _sound_track(container, name)
        for samples, stored_s in _resampled(container, stream, sample_rate):
            expected_s = (start_s or 0.0) + length / sample_rate
            time_s = expected_s if stored_s is None else stored_s + moved_s
            if length and time_s < expected_s - RESTART_S:
                moved_s += expected_s - time_s
                time_s = expected_s
            start_s = time_s if start_s is None else start_s
            gap = round((time_s - start_s) * sample_rate) - length
            if length == 0 or abs(gap) > GAP_S * sample_rate:  # insert silence, or cut what overlaps
                silence = np.zeros((len(samples), max(gap, 0)), np.float32)
                samples = np.concatenate([silence, samples[:, max(-gap, 0) :]], axis=1)
            parts.append(samples)
            length += samples.shape[1]
        end_s = None if moved_s else stated_end(stream)
    if not length:
        raise ExpotionError(f"{name} has a sound track, but nothing of it can be decoded; give another video.")
    audio = mix_down(np.concatenate(parts, axis=1))
    return audio if end_s is None else audio[: max(1, round((end_s - (start_s or 0.0)) * sample_rate))]


def mix_down(channels: np.ndarray) -> np.ndarray:
    """Mix channels (C, N) to one (N,).

    One channel may hold the other's negative, as from a cable with swapped poles. Where the mix is therefore nearly
    silent, the louder channel is taken alone.
    """
    mixed = channels.mean(axis=0)
    levels = np.sqrt(np.square(channels, dtype=np.float64).mean(axis=1))
    if np.sqrt(np.square(mixed, dtype=np.float64).mean()) < CANCELLED * levels.max():
        return np.ascontiguousarray(channels[levels.argmax()])
    return mixed


def _sound_track(container: av.container.InputContainer, name: str) -> av.AudioStream:
    """Return the sound track marked as default, or the first."""
    from av.stream import Disposition

    tracks = container.streams.audio
    if not tracks:
        raise ExpotionError(f"{name} has no sound; give a video that was recorded with sound.")
    return next((track for track in tracks if track.disposition & Disposition.default), tracks[0])


def _resampled(
    container: av.container.InputContainer, stream: av.AudioStream, sample_rate: int
) -> Iterator[tuple[np.ndarray, float | None]]:
    """Yield pieces of the sound: (C, N) float32 at `sample_rate`, and the start in seconds on the file's clock."""
    import av

    layout = "mono" if stream.channels == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=sample_rate)
    for frame in chain(decode_all(container, stream), [None]):  # None flushes the resampler
        for part in resampler.resample(frame):
            yield part.to_ndarray(), part.time
