"""Write an mp4: encode or copy pictures at their true times, with sound that ends exactly where they end.

`video` is what to import; this is the layer that its writing functions stand on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ExpotionError
from ..files import writing
from .containers import Source, open_video
from .demuxing import Scan, picture_stream, read_packets

if TYPE_CHECKING:
    import av

FADE_S = 0.02  # the music's last moments fade out, so that cutting it does not click
CLOCK = Fraction(1, 90000)  # seconds; the time base of written videos, fine enough for uneven frames


class Refused(ExpotionError):
    """The mp4 writer or its encoder did not take what it was given."""


@contextmanager
def write_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what goes wrong while `path` is written into an ExpotionError of one line."""
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
    """Open an mp4 for writing; it appears under its name only when all went well."""
    import av

    if Path(path).suffix.lower() not in (".mp4", ".m4v"):
        raise ExpotionError(f"{path} must end in .mp4: the video is written as mp4.")
    with writing(path, overwrite) as temporary, write_errors(path):
        with av.open(str(temporary.absolute()), "w", format="mp4") as container:
            yield container


def add_h264_stream(container: av.container.OutputContainer, image: np.ndarray) -> av.VideoStream:
    """An H.264 track for pictures of the size of `image`, (H, W, 3), made even."""
    stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "20"})
    height, width = image.shape[:2]
    stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    context = stream.codec_context
    context.time_base = CLOCK
    context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1  # BT.709, limited
    return stream


def encodable(image: np.ndarray, stream: av.VideoStream, ticks: int, step: int) -> av.VideoFrame:
    """image: (H, W, 3) uint8 RGB, as the encoder takes it; ticks, step: when and how long it is shown, in `CLOCK`s."""
    import av

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ExpotionError(f"A frame must be (height, width, 3) uint8, not {image.shape} {image.dtype}.")
    height, width = image.shape[:2]
    image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge") if height % 2 or width % 2 else image
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    frame = frame.reformat(stream.width, stream.height, "yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
    frame.pts, frame.time_base, frame.duration = ticks, CLOCK, step
    return frame


def copy_pictures(
    video: Source, scan: Scan, audio: np.ndarray, sample_rate: int, path: str | os.PathLike[str], overwrite: bool
) -> Path:
    """Copy the packets. Their decoding times are made anew: the sorted pts, moved back until none is after its pts."""
    ordered = np.sort(scan.pts)
    dts = ordered - np.max(ordered - scan.pts)
    with open_mp4(path, overwrite) as container, open_video(video) as (original, name):
        source = picture_stream(original, name)
        stream = container.add_stream_from_template(source, opaque=True)  # carries the display matrix along
        if scan.info.codec == "hevc":
            stream.codec_context.codec_tag = "hvc1"  # the tag that Apple's players want
        sound = SoundTrack(container, audio, sample_rate)
        for index, packet in enumerate(read_packets(original, source)):
            packet.pts, packet.dts, packet.stream = int(scan.pts[index]), int(dts[index]), stream
            if packet.pts == ordered[-1] or index == len(dts) - 1:  # mp4 takes its length from the last one stored
                packet.duration = scan.end - int(ordered[-1])
            container.mux(packet)
            sound.write_until(float(max(dts[index], 0) * scan.base))
        sound.finish(scan.info.duration_s)
    return Path(path)


class SoundTrack:
    """The MP3 track of an mp4 being written: fed behind the pictures, ended exactly where they end.

    MP3 comes out of its decoder 1105 samples late, so its packets start before time 0 and an edit list hides what is
    there. FFmpeg reads any such list; Chromium skips twice when it starts inside a packet (the sound is then 23 ms
    early), once when it hides whole packets. So 47 samples of silence come first: 47 + 1105 is one packet of 1152.
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
        """Encode what is heard well before `time_s`; the last second stays, because the end is not known yet."""
        self._encode(int((time_s - 1.0) * self.sample_rate), len(self.audio))

    def finish(self, end_s: float) -> None:
        """Encode the rest: faded out where the music or the video ends, whichever is first, then silence."""
        self.end = round(end_s * self.stream.rate)
        stop = round(end_s * self.sample_rate)
        self._encode(stop, min(stop, len(self.audio)))
        self._mux(self.stream.encode(None))

    def _encode(self, stop: int, music_end: int) -> None:
        """Encode samples `done` to `stop`, a second at a time; silence before 0 and from `music_end` on."""
        import av

        while self.done < stop:
            at = np.arange(self.done, min(self.done + self.sample_rate, stop))
            heard = (at >= 0) & (at < music_end)
            block = np.zeros((1, len(at)), np.float32)
            gain = np.sin(np.pi / 2 * np.minimum((music_end - at[heard]) / (FADE_S * self.sample_rate), 1)) ** 2
            block[0, heard] = np.clip(self.audio[at[heard]], -1.0, 1.0) * gain
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
            frame.sample_rate, frame.time_base = self.sample_rate, Fraction(1, self.sample_rate)
            frame.pts = self.done + self.lead
            self._mux(self.stream.encode(frame))
            self.done += len(at)

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            packet.pts = packet.dts = self.position
            packet.duration = min(self.PACKET, self.end - self.position)
            if packet.duration > 0:  # the encoder may end with a packet that lies wholly behind the end
                self.container.mux(packet)
            self.position += self.PACKET


def checked_rate(sample_rate: float | None) -> int:
    """Hertz as a whole number; ExpotionError if it is none."""
    if not sample_rate or sample_rate < 1 or sample_rate != int(sample_rate):
        raise ExpotionError(f"sample_rate={sample_rate} cannot be; give the audio's rate in whole hertz.")
    return int(sample_rate)


def checked_audio(audio: np.ndarray) -> np.ndarray:
    """(N,) float32, not yet clipped: a copy of an hour of sound is not small."""
    audio = np.asarray(audio)
    if audio.ndim != 1 or not audio.size or audio.dtype.kind != "f":
        raise ExpotionError(f"Audio must be (samples,) float in -1..1, not {audio.shape} {audio.dtype}; mix it down.")
    if not np.isfinite(audio).all():
        raise ExpotionError("Audio holds NaN or infinite samples; fix what made it.")
    return audio.astype(np.float32, copy=False)
