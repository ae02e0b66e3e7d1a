"""Frames, times, orientation and sound of videos that phones, browsers and editors write."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from media import (
    B_FRAMES,
    UNEVEN,
    click,
    click_time,
    make_video,
    numbers_of,
    packets_of,
    red_corner,
    sine,
    times_of,
)

from expotion_lite.errors import ExpotionError
from expotion_lite.video.reading import check_video, probe, read_audio, read_frames
from expotion_lite.video.writing import mux_audio


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".ts"])
@pytest.mark.parametrize("start_s", [0.0, 3.0])
def test_frames_come_in_order_with_their_stored_times(tmp_path, suffix, start_s):
    path = make_video(tmp_path / f"a{suffix}", times=UNEVEN, start_s=start_s)
    assert times_of(path) == pytest.approx(UNEVEN, abs=0.001)
    assert numbers_of(path) == list(range(len(UNEVEN)))
    info = probe(path)
    assert (info.width, info.height, info.frames, info.rotation, info.has_audio) == (64, 48, 8, 0, False)
    assert info.frame_rate == pytest.approx(7 / 0.4, rel=0.01)
    assert info.duration_s == pytest.approx(0.44, abs=0.011)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_a_browser_recording_that_claims_1000_fps_and_no_duration_keeps_its_times(tmp_path, codec):
    import av

    path = make_video(tmp_path / "rec.webm", times=UNEVEN, live=True, codec=codec, audio=click(0.3, 0.44, 48000))
    with av.open(str(path)) as container:
        assert container.duration is None or container.duration <= 0
    assert times_of(path) == pytest.approx(UNEVEN, abs=0.001)
    assert probe(path).duration_s == pytest.approx(0.45, abs=0.021)
    assert probe(path).frame_rate == pytest.approx(17.5, rel=0.01)


def test_frames_stored_in_another_order_come_in_the_order_they_are_shown(tmp_path):
    path = make_video(tmp_path / "b.mp4", count=25, options=B_FRAMES)
    assert numbers_of(path) == list(range(25))
    assert times_of(path) == pytest.approx(np.arange(25) / 25, abs=1e-4)


def test_frames_hidden_by_an_edit_list_are_not_shown(tmp_path):
    path = make_video(tmp_path / "trimmed.mp4", count=20, start_s=-0.2, options=B_FRAMES)
    assert numbers_of(path) == list(range(5, 20))
    assert times_of(path)[0] == 0
    assert probe(path).frames == 15
    assert probe(path).duration_s == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize(
    "rotation, mirrored, corner, size",
    [
        (0, False, "top left", (64, 48)),
        (90, False, "top right", (48, 64)),
        (180, False, "bottom right", (64, 48)),
        (270, False, "bottom left", (48, 64)),
        (0, True, "top right", (64, 48)),
    ],
)
def test_a_rotation_flag_turns_the_pictures_upright_and_survives_muxing(tmp_path, rotation, mirrored, corner, size):
    path = make_video(tmp_path / "phone.mp4", rotation=rotation, mirrored=mirrored)
    muxed = mux_audio(path, sine(0.4), 32000, tmp_path / "out.mp4")
    for video in (path, muxed):
        info, first = probe(video), next(iter(read_frames(video)))
        assert (info.width, info.height, info.rotation) == (*size, rotation)
        assert first.image.shape == (size[1], size[0], 3)
        assert red_corner(first.image) == corner
    assert packets_of(muxed) == packets_of(path)


@pytest.mark.parametrize("size, max_side, expected", [((64, 48), None, (48, 64)), ((320, 180), 160, (90, 160))])
@pytest.mark.parametrize("rotation", [0, 90])
def test_large_pictures_are_scaled_to_max_side(tmp_path, size, max_side, expected, rotation):
    path = make_video(tmp_path / "a.mp4", size=size, count=3, rotation=rotation)
    shape = next(iter(read_frames(path, max_side=max_side))).image.shape[:2]
    assert shape == (expected if rotation == 0 else expected[::-1])


def test_4k_is_scaled_to_max_side(tmp_path):
    path = make_video(tmp_path / "4k.mp4", size=(3840, 2160), count=2)
    assert probe(path).width == 3840
    assert next(iter(read_frames(path, max_side=640))).image.shape == (360, 640, 3)


def test_non_square_pixels_are_scaled_to_squares(tmp_path):
    path = make_video(tmp_path / "a.mp4", size=(64, 96), pixel_aspect=Fraction(2))
    muxed = mux_audio(path, sine(1), 32000, tmp_path / "out.mp4")
    for video in (path, muxed):
        assert (probe(video).width, probe(video).height) == (128, 96)
        assert next(iter(read_frames(video))).image.shape == (96, 128, 3)


def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path):
    def peak(count):
        path = make_video(tmp_path / f"{count}.mp4", count=count, size=(160, 120))
        tracemalloc.start()
        total = sum(1 for _ in read_frames(path))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total == count
        return used

    assert peak(200) < peak(20) + 500_000  # bytes; 180 more pictures would take 10 MB


def test_a_video_that_is_over_in_a_moment_is_refused(tmp_path):
    assert check_video(make_video(tmp_path / "a.mp4", count=5)).info.frames == 5
    with pytest.raises(ExpotionError, match="lasts 0.080 s"):
        check_video(make_video(tmp_path / "b.mp4", count=2))


@pytest.mark.parametrize("suffix, live", [(".mp4", False), (".webm", True), (".mkv", False)])
def test_sound_is_read_on_the_clock_of_the_frames(tmp_path, suffix, live):
    path = make_video(tmp_path / f"a{suffix}", count=25, audio=click(0.3, 1.0, 48000), start_s=2.0, live=live)
    audio = read_audio(path, 16000)
    assert audio.dtype == np.float32 and audio.ndim == 1
    assert click_time(audio, 16000) == pytest.approx(0.3, abs=0.005)
    assert len(audio) / 16000 == pytest.approx(1.0, abs=0.03)
