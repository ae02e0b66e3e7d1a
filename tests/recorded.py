"""Small recordings, and landmarks that stand in for MediaPipe's, which takes seconds for each recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from stick_people import even_times, stick_person

from expotion_lite.landmarks.extraction import Landmarks
from expotion_lite.video.reading import Frame, probe
from expotion_lite.video.writing import write_video

RATE = 16_000  # hertz, of the sound
FPS = 10


def tune(hz: float, duration_s: float = 4.5) -> np.ndarray:
    """Return a tone (N,) float32 that sounds twice a second."""
    times = np.arange(round(duration_s * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * hz * times) * (np.sin(4 * np.pi * times) > 0)).astype(np.float32)


def write_recording(path: Path, audio: np.ndarray | None, duration_s: float = 4.5) -> Path:
    """Write a video of grey pictures, with or without sound."""
    image = np.full((64, 64, 3), 128, np.uint8)
    frames = [Frame(image, float(time)) for time in even_times(FPS, duration_s)]
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, frames, audio=audio, sample_rate=RATE, overwrite=True)


def write_class(folder: Path) -> Path:
    """Write recordings of three performers and one without sound; two of the performers move to the same song."""
    for name, hz in (("anna/one.mp4", 440), ("ben/one.mp4", 441), ("cleo/two.mp4", 660)):
        write_recording(folder / name, tune(hz))
    write_recording(folder / "silent.mp4", None)
    table = "\ufefffile;caption\nanna/one.mp4;a tune, slowly\n"
    (folder / "captions.csv").write_text(table, encoding="utf-8")
    return folder


def nodding(video: Path, **_: object) -> Landmarks:
    """Return landmarks of a person who nods once a second throughout a video, whatever its pictures show."""
    info = probe(video)
    times = even_times(info.frame_rate, info.duration_s)
    return stick_person(times, pitch=8 * np.sin(2 * np.pi * times))
