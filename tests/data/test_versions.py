"""Version numbers in cache keys are raised when the output that they stand for changes.

Each row computes a little of the output for fixed seeds and compares it with numbers that were recorded for the current
version. If a row fails, its message says what to do: raise the version, so that cached files are computed anew, and
record the numbers that it prints in `RECORDED`.
"""

from __future__ import annotations

import hashlib
import io
import wave
from dataclasses import replace
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import pytest
import torch
from stick_people import stick_person, uneven_times

from expotion_lite.assets import example_clip
from expotion_lite.controls.extraction import CONTROLS_VERSION, extract_controls
from expotion_lite.data.music import MUSIC_VERSION, draw_piece
from expotion_lite.data.synthetic import EXAMPLES_VERSION, synthetic_examples
from expotion_lite.files import digest_of
from expotion_lite.landmarks.extraction import LANDMARKS_VERSION, extract_landmarks
from expotion_lite.musicgen.codes import CODES_VERSION, digest_of_codec, encode
from expotion_lite.synthetic import band
from expotion_lite.synthetic.band import BAND_VERSION
from expotion_lite.synthetic.camera import FACE, to_landmarks
from expotion_lite.synthetic.people import draw_performer
from expotion_lite.synthetic.performer import PERFORMER_VERSION, perform
from expotion_lite.synthetic.pieces import Piece
from expotion_lite.video.reading import READING_VERSION, read_audio, read_frames

pytestmark = pytest.mark.slow

RATE = 16_000  # hertz


class Output(NamedTuple):
    """A version, and a little of the output that it stands for.

    Numbers may differ within a tolerance, and one in ten codes may differ. Texts have to be the same.
    """

    version: object
    numbers: str = ""
    codes: str = ""
    texts: str = ""


def listed(*values) -> str:
    """Return numbers in one string, which takes one line of the table."""
    return " ".join(f"{value:.5g}" for value in values)


def digest(texts: list[str]) -> str:
    """Return eight digits that change with any of the texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]


def summary(array) -> tuple[float, ...]:
    """Return mean, standard deviation and mean absolute difference of neighbours."""
    values = np.nan_to_num(np.asarray(array, dtype=np.float64)).ravel()
    return values.mean(), values.std(), np.abs(np.diff(values)).mean()


def fixed_sound() -> np.ndarray:
    """Return a second of a rising tone with noise, (N,) float32."""
    times = np.arange(RATE) / RATE
    noise = np.random.default_rng(0).normal(0, 0.02, RATE)
    return (0.4 * np.sin(2 * np.pi * (200 + 300 * times) * times) + noise).astype(np.float32)


def band_output(_) -> Output:
    pieces = [band.compose(seed, 4.0) for seed in range(1, 21)]
    captions = [band.describe(piece, np.random.default_rng(0)) for piece in pieces]
    onsets = [note.onset_s for piece in pieces for note in piece.notes]
    pitches = [note.pitch for piece in pieces for note in piece.notes]
    audio = [band.play(piece, RATE) for piece in pieces[:2]]
    numbers = listed(*summary(onsets), *summary(pitches), *summary(audio))
    return Output(BAND_VERSION, numbers, texts=digest(captions))


def music_output(_) -> Output:
    notes = [note for song in range(1, 13) for note in draw_piece(song, 4.0).notes]
    parts = ([getattr(note, name) for note in notes] for name in ("onset_s", "duration_s", "velocity"))
    return Output(MUSIC_VERSION, listed(*chain(*map(summary, parts))))


def performer_output(_) -> Output:
    beats, energy = np.arange(0.3, 3.0, 0.5), np.linspace(0.2, 0.9, 150, dtype=np.float32)
    times = {"beats": beats, "downbeats": beats[::4], "accents": beats[::2]}
    music = {"key": "C", "mode": "minor", "style": "rock", "instruments": (), "notes": ()}
    piece, performer = (
        Piece(seed=5, duration_s=3.0, tempo_bpm=120.0, energy=energy, **times, **music),
        draw_performer(7),
    )
    landmarks = to_landmarks(perform(piece, performer), performer)
    parts = landmarks.face[:, ::20], landmarks.blendshapes, landmarks.head_pose, landmarks.body[:, 11:17]
    return Output((PERFORMER_VERSION, digest_of(FACE)), listed(*chain(*map(summary, parts))))


def controls_output(_) -> Output:
    times = uneven_times(25, 6)
    nod = (5 + 4 * np.sin(2 * np.pi * 0.4 * times)) * np.sin(2 * np.pi * 1.5 * times)
    motions = {"pitch": nod, "right_wrist_y": 0.05 * nod, "x": 0.2 * np.sin(3 * times) + 0.1 * times}
    landmarks = stick_person(times, jitter=0.5, mouthSmileLeft=0.6 * (times > 3), **motions)
    for lost in (slice(20, 24), slice(50, 80)):
        landmarks.body[lost], landmarks.body_found[lost] = np.nan, False
    flow = np.abs(np.diff(nod, prepend=np.nan))[:, None] * (0.01, 0.02, 0.03)
    controls = extract_controls(replace(landmarks, flow=flow.astype(np.float32)))
    parts = controls.values.T, controls["pulse"], controls["smile"], controls["event"], controls["activity"]
    return Output(CONTROLS_VERSION, listed(*chain(*map(summary, parts))))


def reading_output(_) -> Output:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, RATE, RATE, "NONE", ""))
        file.writeframes((fixed_sound() * 32767).astype("<i2").tobytes())
    audio = read_audio(sound.getvalue(), RATE // 2)
    frames = list(islice(read_frames(example_clip(), max_side=160), 3))
    images, times = [frame.image / 255 for frame in frames], [frame.time_s for frame in frames]
    return Output((READING_VERSION, digest_of(example_clip())), listed(*summary(audio), *times, *summary(images)))


def landmarks_output(_) -> Output:
    landmarks = extract_landmarks(islice(read_frames(example_clip()), 2), progress=False)
    body = landmarks.body[:, :13]  # the clip shows no arms
    parts = landmarks.face, landmarks.blendshapes, body, 100 * landmarks.flow[1]
    return Output((LANDMARKS_VERSION, digest_of(example_clip())), listed(*chain(*map(summary, parts))))


def codes_output(musicgen) -> Output:
    codes = encode(musicgen, torch.from_numpy(fixed_sound())[None])[0]
    return Output((CODES_VERSION, digest_of_codec(musicgen)), codes=listed(*codes[0, ::2].tolist()))


def examples_output(musicgen) -> Output:
    examples = synthetic_examples(musicgen, 1, 2_000, 2_000)
    version = EXAMPLES_VERSION, digest_of(FACE), digest_of_codec(musicgen)
    codes = listed(*examples.codes[0, 0, ::4].tolist())
    return Output(version, listed(*summary(examples.controls[0].T)), codes, digest(list(examples.captions)))


# A version may stand with digests of weights or files, which are part of the cache keys as well.
RECORDED = {
    "BAND_VERSION": Output(
        version=1,
        numbers="1.8225 1.8515 0.12678 35.444 30.158 29.341 0.00031222 0.041966 0.0063583",
        texts="9da2c340",
    ),
    "MUSIC_VERSION": Output(
        version=(1, 1, 1),
        numbers="1.6263 1.3603 0.15637 0.42316 0.61468 0.26998 0.39956 0.22467 0.11555",
    ),
    "PERFORMER_VERSION": Output(
        version=(1, "19503a32d212faa2"),
        numbers="0.25353 0.20314 0.32186 0.074896 0.09664 0.059157 -0.61111 3.7346 4.4993 0.54016 0.37558 0.61168",
    ),
    "CONTROLS_VERSION": Output(
        version=2,
        numbers="0.075676 0.26179 0.016896 0.12891 0.25956 0.041084 0.19917 0.49906 0.019262 0.1283 0.25833 0.040684 "
        "0.5126 0.24777 0.01234",
    ),
    "READING_VERSION": Output(
        version=(2, "078ec7d051149951"),
        numbers="0.0003406 0.28307 0.09981 0 0.04 0.08 0.49814 0.29579 0.14397",
    ),
    "LANDMARKS_VERSION": Output(
        version=(2, "078ec7d051149951"),
        numbers="0.27899 0.22478 0.35688 0.067535 0.12725 0.057492 0.27394 0.66476 0.89385 0.51819 0.39019 0.42896",
    ),
    "CODES_VERSION": Output(
        version=(1, "7b32a0e2c40aec8a"),
        codes="606 606 606 606 606 925 925 871 296 871 63 925 63 63 63 193 193 296 63 296 63 63 667 63 63",
    ),
    "EXAMPLES_VERSION": Output(
        version=((1, 1, 2, 1, 1), "19503a32d212faa2", "7b32a0e2c40aec8a"),
        numbers="0.12662 0.35244 0.030506",
        codes="772 83 269 269 83 648 1002 269 269 1002 469 304 409 459 459 24 24 512 601 888 494 950 719 380 443",
        texts="4d382649",
    ),
}
OUTPUTS = {
    "BAND_VERSION": band_output,
    "MUSIC_VERSION": music_output,
    "PERFORMER_VERSION": performer_output,
    "CONTROLS_VERSION": controls_output,
    "READING_VERSION": reading_output,
    "LANDMARKS_VERSION": landmarks_output,
    "CODES_VERSION": codes_output,
    "EXAMPLES_VERSION": examples_output,
}
TOLERANCE = {"LANDMARKS_VERSION": 0.02}  # MediaPipe's results differ slightly from processor to processor


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_changes_only_with_its_version(name, musicgen):
    now, recorded = OUTPUTS[name](musicgen), RECORDED[name]
    row = f"\n{name!r}: {now},"
    assert now.version == recorded.version, f"{name} is new. Put this row into RECORDED in {__file__}:{row}"
    numbers, codes = now.numbers.split(), now.codes.split()
    recorded_numbers, recorded_codes = recorded.numbers.split(), recorded.codes.split()
    same_length = len(numbers) == len(recorded_numbers) and len(codes) == len(recorded_codes)
    tolerance = TOLERANCE.get(name, 0.001)
    assert (
        same_length
        and np.array(numbers, float)
        == pytest.approx(np.array(recorded_numbers, float), rel=tolerance, abs=tolerance / 10)
        and sum(map(str.__eq__, codes, recorded_codes)) >= 0.9 * len(codes)
        and now.texts == recorded.texts
    ), f"The output changed, but not {name}. Raise it, or cached files stay as they were; then replace the row:{row}"
