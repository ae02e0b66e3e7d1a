"""A folder of videos: a square that moves and stops, with sounds where it stops, or somewhere else."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from expotion_lite.errors import ExpotionError
from expotion_lite.evaluation.folder import FolderReport, evaluate_folder, picture_speed
from expotion_lite.video.reading import Frame
from expotion_lite.video.writing import write_video

RATE, FPS, SECONDS = 16_000, 25, 6.0
TEXTURE = gaussian_filter(np.random.default_rng(0).normal(size=(40, 40)), 3)
TEXTURE = (60 + 190 * (TEXTURE - TEXTURE.min()) / np.ptp(TEXTURE)).astype(np.uint8)


def stops_of(person):
    times = 0.6 + np.cumsum(np.random.default_rng(person).uniform(0.5, 1.2, 12))
    return times[times < SECONDS - 0.3]


def frames_of(person, seconds=SECONDS):
    """Yield pictures of a square that goes from side to side, in strokes of 0.3 s that end at the person's stops."""
    stops = stops_of(person)
    side = np.interp(
        np.arange(round(seconds * FPS)) / FPS,
        np.sort([*stops - 0.3, *stops]),
        np.repeat(np.arange(len(stops) + 1) % 2, 2)[1:-1],
    )
    for number, place in enumerate(side):
        image = np.full((64, 96, 3), 40, np.uint8)
        left = 15 + round(24 * place)
        image[12:52, left : left + 40] = TEXTURE[..., None]
        yield Frame(image, number / FPS)


def clicks(times, seconds=SECONDS):
    audio = 1e-3 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    tone = np.sin(2 * np.pi * 1000 * np.arange(800) / RATE) * np.exp(-np.arange(800) / 200)
    for start in np.round(np.asarray(times) * RATE).astype(int):
        audio[start : start + 800] += 0.8 * tone[: len(audio) - start]
    return audio.astype(np.float32)


def write_take(path, person, audio, seconds=SECONDS):
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, frames_of(person, seconds), audio=audio, sample_rate=RATE)


@pytest.fixture(scope="module")
def takes(tmp_path_factory):
    """Return a folder with sounds where the own square stops."""
    folder = tmp_path_factory.mktemp("takes")
    for person in range(6):
        write_take(folder / f"person {person}" / "take.mp4", person, clicks(stops_of(person)))
    return folder


def test_the_speed_of_the_picture_is_that_of_what_moves_in_it(tmp_path):
    """The square fills a quarter of the picture and moves by a quarter of its width in each stroke."""
    speed = picture_speed(write_take(tmp_path / "take.mp4", 0, clicks([])), SECONDS)
    assert speed.shape == (round(SECONDS * 50),) and speed.min() >= 0
    times = np.arange(len(speed)) / 50
    moving = ((times[:, None] > stops_of(0) - 0.3) & (times[:, None] < stops_of(0))).any(axis=1)
    assert speed[moving].mean() > 10 * speed[~moving].mean()
    expected = 40 * 40 / (64 * 96) * 24 / 96 * len(stops_of(0))
    assert speed.sum() / 50 == pytest.approx(expected, rel=0.4)


def test_sounds_where_the_own_movements_stop_are_a_gain(takes, tmp_path, capsys):
    report = evaluate_folder(takes, tmp_path / "result")
    assert report.people == len(report.videos) == 6 and not report.left_out and report.seconds == SECONDS
    for gain in report.gains.values():
        assert gain["gain"] > 0.2 and gain["gain_95"][0] > 0.1 and gain["p"] < 0.05
    assert "The music follows the people" in report.words()
    assert "person 3" in capsys.readouterr().err
    assert "where movements arrive | +0." in report.table()
    written = tmp_path / "result"
    assert sorted(path.name for path in written.iterdir()) == ["following.json", "following.md", "following.svg"]
    result = json.loads((written / "following.json").read_text())
    assert result["people"] == 6 and result["gains"]["stop"]["gain"] == pytest.approx(report.gains["stop"]["gain"])
    assert report.table() in (written / "following.md").read_text()
    assert (written / "following.svg").stat().st_size > 1000


def test_sounds_of_somebody_else_are_no_gain(tmp_path, capsys):
    """Each person has the sounds of the next one; three have two videos."""
    for person in range(6):
        for take in ("one", "two")[: 1 + person % 2]:
            write_take(tmp_path / str(person) / f"{take}.mp4", person, clicks(stops_of((person + 1) % 6)))
    report = evaluate_folder(tmp_path, progress=False)
    assert report.people == 6 and len(report.videos) == 9
    assert report.gains["stop"]["gain"] < 0.1 and report.gains["stop"]["p"] > 0.05
    assert "Nothing here shows" in report.words() and not capsys.readouterr().err


def test_what_cannot_be_used_is_left_out_and_named(takes, tmp_path):
    for person in range(2):
        write_take(tmp_path / f"person {person}.mp4", person, clicks(stops_of(person)))
    write_take(tmp_path / "silent.mp4", 2, np.zeros(round(SECONDS * RATE), np.float32))
    write_take(tmp_path / "mute.mp4", 2, None)
    write_take(tmp_path / "short.mp4", 2, clicks([1.0], 2.0), 2.0)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden.mp4").write_bytes(b"no video")
    report = evaluate_folder(tmp_path, tmp_path / "result", progress=False)
    assert report.videos == ("person 0.mp4", "person 1.mp4") and report.people == 2, "a person for each file"
    assert set(report.left_out) == {"silent.mp4", "mute.mp4", "short.mp4", "broken.mp4"}
    assert "silent" in report.left_out["silent.mp4"] and "2.0 s" in report.left_out["short.mp4"]
    text = (tmp_path / "result" / "following.md").read_text()
    assert all(f"left out: {name}" in text for name in report.left_out)
    assert "fewer than six people" in report.words()


def test_one_person_or_none_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(ExpotionError, match="There is no folder"):
        evaluate_folder(tmp_path / "nowhere")
    with pytest.raises(ExpotionError, match="0 people"):
        evaluate_folder(tmp_path)
    for take in ("one", "two"):
        write_take(tmp_path / "anna" / f"{take}.mp4", 0, clicks(stops_of(0)))
    write_take(tmp_path / "ben" / "mute.mp4", 1, None)
    with pytest.raises(ExpotionError, match="1 people.*folder for each person.*mute.mp4: .*sound") as caught:
        evaluate_folder(tmp_path, progress=False)
    assert "\n" not in str(caught.value)


def test_the_words_name_people_only_when_p_is_small():
    gain = {"gain": 0.2, "gain_95": (0.1, 0.3), "p": 0.01}
    report = FolderReport(("a", "b"), 8, 9.0, {"speed": gain, "stop": gain}, 0.0, {})
    assert "follows the people" in report.words() and "1.0% of such" in report.words()
    assert "fewer than six" not in report.words()
    for change in ({"p": 0.2}, {"gain": -0.2}):
        other = replace(report, gains={"speed": gain, "stop": {**gain, **change}})
        assert "Nothing here shows" in other.words()
