"""Encoding into an mp4: frames encoded or copied with their true times, and sound that ends exactly where they end.

- `open_mp4`, `add_h264_stream` and `encoder_frame` encode frames.
- `copy_packets` copies the packets of another video without re-encoding.
- `SoundTrack` encodes the sound beside either of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ExpotionError
from ..files import atomic_write
from .containers import VideoSource, open_video
from .demuxing import Scan, read_packets

if TYPE_CHECKING:
    import av

FADE_S = 0.02  # seconds; the end of the music is faded out, because an abrupt end clicks
CLOCK = Fraction(1, 90000)  # seconds; the time base of written videos, fine enough for uneven frames
BT709, LIMITED_RANGE = 1, 1  # FFmpeg's numbers for the colours of HD video


class Refused(ExpotionError):
    """Input that the mp4 writer or its encoder did not accept."""


@contextmanager
def write_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors that occur while `path` is written into an ExpotionError of one line."""
    import av

    try:
        yield
    except OSError as error:
        raise ExpotionError(
            f"Cannot write {path} ({error.strerror}); free some space or choose another folder."
        ) from error
    except av.FFmpegError as error:
        raise Refused(f"Cannot write {path} ({error.strerror}); give pictures that H.264 can hold.") from error


@contextmanager
def open_mp4(path: str | os.PathLike[str], overwrite: bool) -> Iterator[av.container.OutputContainer]:
    """Open an mp4 for writing; the file appears at `path` only if the block succeeds."""
    import av

    if Path(path).suffix.lower() not in (".mp4", ".m4v"):
        raise ExpotionError(f"{path} must end in .mp4: the video is written as mp4.")
    with atomic_write(path, overwrite) as temporary, write_errors(path):
        with av.open(str(temporary.absolute()), "w", format="mp4") as container:
            yield container


def add_h264_stream(container: av.container.OutputContainer, image: np.ndarray) -> av.VideoStream:
    """Add an H.264 stream for frames as large as `image`, (H, W, 3), with odd sides padded to even ones."""
    stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "20"})
    height, width = image.shape[:2]
    stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    context = stream.codec_context
    context.time_base = CLOCK
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED_RANGE
    return stream


def encoder_frame(image: np.ndarray, stream: av.VideoStream, ticks: int, duration: int) -> av.VideoFrame:
    """Convert an image to the frame that the encoder of `stream` takes.

    Args:
        image: (H, W, 3) uint8 RGB.
        stream: as `add_h264_stream` made it.
        ticks: when the frame is shown, in units of `CLOCK`.
        duration: how long it is shown, in units of `CLOCK`.

    Raises:
        ExpotionError: the image has another shape or type.
    """
    import av

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ExpotionError(f"A frame must be (height, width, 3) uint8, not {image.shape} {image.dtype}.")
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    frame = frame.reformat(stream.width, stream.height, "yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
    frame.pts, frame.time_base, frame.duration = ticks, CLOCK, duration
    return frame


def copy_packets(
    video: VideoSource, scan: Scan, audio: np.ndarray, sample_rate: int, path: str | os.PathLike[str], overwrite: bool
) -> Path:
    """Copy the packets of a video into an mp4 without re-encoding, with new sound.

    Decoding timestamps (dts) are recomputed: they are the sorted pts, moved back until none is later than its pts.

    Args:
        video: path, bytes, or binary file object.
        scan: its timestamps, from `scan_packets`.
        audio: (N,) float in -1..1, starts with the first frame.
        sample_rate: hertz of `audio`.
        path: the mp4 to write.
        overwrite: replace an existing file.

    Returns:
        The path written.

    Raises:
        Refused: the mp4 writer does not accept these packets.
    """
    ordered = np.sort(scan.pts)
    dts = ordered - np.max(ordered - scan.pts)
    with open_mp4(path, overwrite) as container, open_video(video) as (original, _):
        source = original.streams.video[scan.stream]
        stream = container.add_stream_from_template(source, opaque=True)  # carries the display matrix along
        if source.sample_aspect_ratio:  # which the container may state alone
            stream.sample_aspect_ratio = source.sample_aspect_ratio
        if scan.info.codec == "hevc":
            stream.codec_context.codec_tag = "hvc1"  # the tag that Apple's players need
        sound = SoundTrack(container, audio, sample_rate)
        for index, packet in enumerate(read_packets(original, source)):
            packet.pts, packet.dts, packet.stream = int(scan.pts[index]), int(dts[index]), stream
            if packet.pts == ordered[-1] or index == len(dts) - 1:  # mp4 takes its length from the last packet stored
                packet.duration = scan.end - int(ordered[-1])
            container.mux(packet)
            sound.write_until(float(max(dts[index], 0) * scan.base))
        sound.finish(scan.info.duration_s)
    return Path(path)


class SoundTrack:
    """MP3 track of an mp4 that is being written; it follows the frames and ends exactly where they end.

    An MP3 decoder delays the sound by 1105 samples, so the packets start before time 0 and an edit list hides what
    lies there. FFmpeg reads any such list. Chromium skips the hidden part twice if the list starts inside a packet
    (the sound is then 23 ms early), and once if it hides whole packets. So 47 samples of silence are put first:
    47 + 1105 is one packet of 1152 samples.

    Args:
        container: the mp4, open for writing.
        audio: (N,) float in -1..1, starts with the first frame.
        sample_rate: hertz of `audio`.

    Raises:
        ExpotionError: the audio or its rate cannot be used.
    """

    PACKET, DELAY = 1152, 1105  # samples at the encoded rate

    def __init__(self, container: av.container.OutputContainer, audio: np.ndarray, sample_rate: int | None) -> None:
        self.audio, self.sample_rate = checked_audio(audio), checked_rate(sample_rate)
        rate = 44100 if 44100 % self.sample_rate == 0 else 48000
        self.stream = container.add_stream("libmp3lame", rate=rate, layout="mono", format="fltp")
        self.stream.bit_rate = 160_000
        self.lead = round((self.PACKET - self.DELAY) * self.sample_rate / rate)  # samples of silence before the music
        self.container, self.done = container, -self.lead
        self.position, self.end = -self.PACKET, 1 << 62  # of the next packet and of the track, at the encoded rate

    def write_until(self, time_s: float) -> None:
        """Encode the sound up to 1 s before `time_s`; the end of the video, where a fade is due, is not known yet."""
        self._encode(int((time_s - 1.0) * self.sample_rate), len(self.audio))

    def finish(self, end_s: float) -> None:
        """Encode the rest: a fade where the music or the video ends, whichever is first, then silence."""
        self.end = round(end_s * self.stream.rate)
        stop = round(end_s * self.sample_rate)
        self._encode(stop, min(stop, len(self.audio)))
        self._mux(self.stream.encode(None))

    def _encode(self, stop: int, music_end: int) -> None:
        """Encode samples `done` to `stop`, a second at a time; silence before 0 and from `music_end` on."""
        import av

        while self.done < stop:
            at = np.arange(self.done, min(self.done + self.sample_rate, stop))
            audible = (at >= 0) & (at < music_end)
            block = np.zeros((1, len(at)), np.float32)
            gain = np.sin(np.pi / 2 * np.minimum((music_end - at[audible]) / (FADE_S * self.sample_rate), 1)) ** 2
            block[0, audible] = np.clip(self.audio[at[audible]], -1.0, 1.0) * gain
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
            frame.sample_rate, frame.time_base = self.sample_rate, Fraction(1, self.sample_rate)
            frame.pts = self.done + self.lead
            self._mux(self.stream.encode(frame))
            self.done += len(at)

    def _mux(self, packets: list[av.Packet[Any]]) -> None:
        for packet in packets:
            packet.pts = packet.dts = self.position
            packet.duration = min(self.PACKET, self.end - self.position)
            if packet.duration > 0:  # the encoder may flush a packet that starts after the end
                self.container.mux(packet)
            self.position += self.PACKET


def checked_rate(sample_rate: float | None) -> int:
    """Return a sample rate in hertz as an integer; raise ExpotionError if it is not a positive whole number."""
    if not sample_rate or sample_rate < 1 or sample_rate != int(sample_rate):
        raise ExpotionError(f"sample_rate={sample_rate} cannot be used; give the audio's rate in whole hertz.")
    return int(sample_rate)


def checked_audio(audio: np.ndarray) -> np.ndarray:
    """Return audio as (N,) float32; raise ExpotionError for another shape, integers, NaN or infinity.

    The result is not clipped: the caller clips block by block, because a copy of an hour of sound is large.
    """
    audio = np.asarray(audio)
    if audio.ndim != 1 or not audio.size or audio.dtype.kind != "f":
        raise ExpotionError(f"Audio must be (samples,) float in -1..1, not {audio.shape} {audio.dtype}; mix it down.")
    if not np.isfinite(audio).all():
        raise ExpotionError("Audio holds NaN or infinite samples; fix what made it.")
    return audio.astype(np.float32, copy=False)
