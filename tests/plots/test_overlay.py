"""Landmarks drawn over pictures and videos."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from astronaut import IRISES, needs_models

from expotion_lite import Frame, plots, probe, read_audio, read_frames, write_video
from expotion_lite.errors import ExpotionError
from expotion_lite.plots import draw_landmarks, plot_landmarks

RATE = 16000


@pytest.fixture(scope="module")
def video(nodder, tmp_path_factory):
    """Return a video of grey pictures at the times of the landmarks."""
    grey = np.full((nodder.height, nodder.width, 3), 128, np.uint8)
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    return write_video(path, (Frame(grey, time) for time in nodder.times))


@needs_models
def test_lines_follow_the_face(photo, photo_landmarks):
    before = photo.copy()
    drawn = draw_landmarks(photo, photo_landmarks, 2)
    assert drawn.shape == photo.shape and drawn.dtype == np.uint8
    assert np.array_equal(photo, before)
    rows, columns = np.nonzero(np.any(drawn != photo, axis=2))
    assert 0.002 < len(rows) / photo[..., 0].size < 0.2
    for x, y in IRISES:
        assert np.hypot(columns - x, rows - y).min() < 3


@needs_models
def test_a_picture_of_another_size_can_be_drawn_on(photo, photo_landmarks):
    half = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.any(draw_landmarks(half, photo_landmarks, 2) != half)


@needs_models
def test_a_frame_without_a_person_is_not_changed(photo, photo_landmarks):
    assert np.array_equal(draw_landmarks(photo, photo_landmarks, 0), photo)


@needs_models
def test_a_bad_frame_number_or_picture_is_refused(photo, photo_landmarks):
    with pytest.raises(ExpotionError, match="no frame 5"):
        draw_landmarks(photo, photo_landmarks, 5)
    with pytest.raises(ExpotionError, match="uint8 RGB"):
        draw_landmarks(photo / 255, photo_landmarks, 0)


@needs_models
def test_the_plot_says_whether_a_face_was_found(photo, photo_landmarks):
    import matplotlib.pyplot as plt

    ax = plt.figure().add_subplot()
    assert plot_landmarks(photo, photo_landmarks, 2, ax=ax) is ax
    assert "face found" in ax.get_title()
    assert "face missing" in plot_landmarks(photo, photo_landmarks, 0).get_title()


def test_a_strip_shows_the_frames_nearest_to_the_times(video, nodder):
    figure = plots.plot_landmark_strip(video, nodder, [0.0, 2.0, 4.01])
    assert [ax.get_title() for ax in figure.axes] == ["0.00 s", "2.00 s", "4.00 s"]
    assert len(plots.plot_landmark_strip(video, nodder, 4).axes) == 4


def test_an_empty_strip_is_refused(video, nodder):
    for nothing in ([], 0):
        with pytest.raises(ExpotionError, match="no pictures"):
            plots.plot_landmark_strip(video, nodder, nothing)


def test_the_overlay_video_keeps_times_and_has_the_music(video, nodder, tmp_path):
    audio = (0.5 * np.sin(2 * np.pi * 440 * np.arange(6 * RATE) / RATE)).astype(np.float32)
    path = plots.overlay_video(video, nodder, tmp_path / "seen.mp4", audio=audio, sample_rate=RATE)
    before, after = probe(video), probe(path)
    assert (after.frames, after.width, after.height) == (before.frames, before.width, before.height)
    assert after.duration_s == pytest.approx(before.duration_s, abs=0.002)
    assert np.abs(read_audio(path, RATE)).max() > 0.3
    first = next(iter(read_frames(path))).image.astype(int)
    x, y = nodder.face[0, :, :2].mean(axis=0) * [nodder.width, nodder.height]
    rows, columns = np.nonzero(np.abs(first - 128).max(axis=2) > 40)  # drawn
    assert len(rows) > 50 and np.hypot(rows - y, columns - x).min() < 15


def test_landmarks_of_another_video_are_refused(video, nodder, tmp_path):
    later = replace(nodder, times=nodder.times * 1.1)
    keep = slice(0, 100)
    names = ("times", "face", "blendshapes", "head_pose", "body", "face_found", "body_found")
    shorter = replace(nodder, **{name: getattr(nodder, name)[keep] for name in names})
    for other in (later, shorter):
        with pytest.raises(ExpotionError, match="another video"):
            plots.overlay_video(video, other, tmp_path / "seen.mp4")
    assert not list(tmp_path.iterdir())
