"""Generator of small test videos and sounds, and functions that recognise them.

Every picture has a red quarter and a grey rest. With a rotation flag of 0 the red quarter is at the upper left, so a
test can tell which way is up. The grey level encodes the number of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from expotion_lite.video import Frame, VideoSource, read_frames

CLOCK = Fraction(1, 90000)
CODECS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx", ".ts": "libx264", ".avi": "mpeg4"}
SOUND_CODECS = {".webm": "libopus", ".avi": "libmp3lame"}
UNEVEN = [0, 0.04, 0.09, 0.12, 0.2, 0.31, 0.33, 0.4]  # seconds of eight frames, as a webcam records them
B_FRAMES = {"preset": "medium"}  # makes x264 store frames in another order than they are shown in
FAST = {
    "libx264": {"preset": "ultrafast", "crf": "12"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
}


def grey(number: int) -> int:
    """Return the grey level of a picture; it repeats after 30 pictures."""
    return 30 + 7 * (number % 30)


def picture(number: int, size: tuple[int, int]) -> np.ndarray:
    """Draw picture `number`, (height, width, 3) uint8; `size` is (width, height)."""
    width, height = size
    image = np.full((height, width, 3), grey(number), np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    return image


def number_of(image: np.ndarray) -> int:
    """Read the number of an upright picture from the grey level in the middle of its lower right quarter."""
    height, width = image.shape[:2]
    return round((float(image[3 * height // 4, 3 * width // 4].mean()) - 30) / 7)


def red_corner(image: np.ndarray) -> str:
    """Return the place of the red quarter: "top left", "top right", "bottom left" or "bottom right"."""
    height, width = image.shape[:2]
    spots = {
        f"{v} {h}": image[y * height // 4, x * width // 4].astype(int)
        for v, y in (("top", 1), ("bottom", 3))
        for h, x in (("left", 1), ("right", 3))
    }
    return max(spots, key=lambda name: spots[name][0] - spots[name][2])


def numbered_frames(times: Iterable[float], size: tuple[int, int] = (64, 48)) -> Iterator[Frame]:
    """Yield pictures 0, 1, ... at the given times in seconds; `size` is (width, height)."""
    return (Frame(picture(number, size), time_s) for number, time_s in enumerate(times))


def times_of(video: VideoSource) -> list[float]:
    """Read the times of all frames, in seconds."""
    return [frame.time_s for frame in read_frames(video)]


def numbers_of(video: VideoSource) -> list[int]:
    """Read the numbers of all pictures."""
    return [number_of(frame.image) for frame in read_frames(video)]


def packets_of(path: Path) -> list[bytes]:
    """Read the encoded pictures, which stay the same if a video is copied without re-encoding."""
    import av

    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def cut_in_half(path: Path) -> Path:
    """Drop the second half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def sine(duration_s: float, sample_rate: int = 32000, frequency: float = 440.0) -> np.ndarray:
    """Make a tone, (N,) float32 with amplitude 0.8."""
    time_s = np.arange(round(duration_s * sample_rate)) / sample_rate
    return (0.8 * np.sin(2 * np.pi * frequency * time_s)).astype(np.float32)


def click(time_s: float, duration_s: float, sample_rate: int) -> np.ndarray:
    """Make silence with one pulse of 2 ms that starts at `time_s`, (N,) float32."""
    samples = np.zeros(round(duration_s * sample_rate), np.float32)
    start = round(time_s * sample_rate)
    samples[start : start + sample_rate // 500] = 0.9
    return samples


def click_time(audio: np.ndarray, sample_rate: int) -> float:
    """Return when the sound first exceeds half of its peak, in seconds."""
    loud = np.abs(audio)
    return float(np.argmax(loud > 0.5 * loud.max()) / sample_rate)


def make_video(
    path: Path,
    *,
    fps: float = 25,
    count: int = 10,
    times: Sequence[float] | None = None,
    pictures: Sequence[np.ndarray] | None = None,
    size: tuple[int, int] = (64, 48),
    rotation: int = 0,
    mirrored: bool = False,
    codec: str | None = None,
    audio: np.ndarray | None = None,
    sample_rate: int = 48000,
    start_s: float = 0.0,
    live: bool = False,
    pixel_aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a test video; the suffix of `path` picks the container.

    Args:
        path: the file to write.
        fps: frames per second; ignored if `times` is given.
        count: number of frames; ignored if `times` is given.
        times: seconds of each frame; they may be uneven.
        pictures: (height, width, 3) uint8 as stored, repeated as needed; numbered ones by default.
        size: (width, height) as stored, without `pictures`.
        rotation: degrees clockwise by which a player shall turn the stored picture.
        mirrored: a player shall also flip it sideways.
        codec: of the pictures; by default the usual one for the container.
        audio: (N,) float32 sound, from `start_s` on.
        sample_rate: hertz of `audio`.
        start_s: time of the first frame on the file's own clock.
        live: write as a browser's MediaRecorder does: no duration, no index, a claimed rate of 1000 frames per second.
        pixel_aspect: width of a stored pixel over its height, 1 if not given.
        options: of the encoder (`FAST` by default).
        container_options: of the muxer.
    """
    import av

    path = Path(path)
    codec = codec or CODECS[path.suffix]
    times = [i / fps for i in range(count)] if times is None else times
    size = size if pictures is None else pictures[0].shape[1::-1]
    container_options = {**({"live": "1"} if live else {}), **(container_options or {})}
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=1000 if live else round(fps), options=options or FAST.get(codec, {}))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        base = Fraction(1, round(fps)) if codec == "mpeg4" else Fraction(1, 1000) if live else CLOCK
        stream.codec_context.time_base = base
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation or mirrored:
            stream.set_display_rotation(-rotation, hflip=mirrored)
        sound = None
        if audio is not None:
            name = SOUND_CODECS.get(path.suffix, "libmp3lame")
            sound = container.add_stream(name, rate=48000, layout="mono")
        for number, time_s in enumerate(times):
            image = picture(number, size) if pictures is None else pictures[number % len(pictures)]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round((start_s + time_s) / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for at in range(0, len(audio), 4800):
                frame = av.AudioFrame.from_ndarray(audio[None, at : at + 4800], format="flt", layout="mono")
                frame.sample_rate, frame.time_base = sample_rate, Fraction(1, sample_rate)
                frame.pts = at + round(start_s * sample_rate)
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path
