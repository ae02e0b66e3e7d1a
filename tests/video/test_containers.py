"""Files that can be opened, and files that are refused with one clear line: damaged, cut off, or no video."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from media import B_FRAMES, cut_in_half, make_video, numbers_of, sine, times_of

from expotion_lite.errors import ExpotionError
from expotion_lite.video.containers import read_bytes
from expotion_lite.video.reading import check_video, probe, read_audio, read_frames
from expotion_lite.video.writing import mux_audio


def test_a_path_bytes_and_a_file_object_give_the_same_video(tmp_path):
    path = make_video(tmp_path / "a.mp4", audio=sine(0.4, 48000))
    data = path.read_bytes()
    with path.open("rb") as file:
        infos = [probe(video) for video in (path, str(path), data, io.BytesIO(data), file)]
        assert numbers_of(file) == numbers_of(data) == numbers_of(path)
        assert not file.closed
    assert all(info == infos[0] for info in infos)


def test_read_bytes_returns_the_file_from_its_start():
    file = io.BytesIO(b"all of it")
    file.read(4)
    assert read_bytes(file) == b"all of it"
    with pytest.raises(ExpotionError, match="a path, bytes or an open binary file"):
        read_bytes(io.StringIO("text"))


# ------------------------------------------------------------------------------------------------------ unusable files


def audio_only(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(sine(0.5, 48000)[None], format="flt", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def cut_faststart_mp4(path: Path) -> Path:
    """Write an mp4 with its index first and drop its second half; FFmpeg alone would read it as a complete video."""
    index_first = {"movflags": "faststart"}
    return cut_in_half(make_video(path, count=50, options=B_FRAMES, container_options=index_first))


UNUSABLE = {
    "text": (lambda d: write(d / "a.mp4", b"hello\n" * 500), "not a video"),
    "text named .txt": (lambda d: write(d / "a.txt", b"hello\n" * 500), "not a video"),
    "noise": (lambda d: write(d / "a.mp4", np.random.default_rng(0).bytes(5000)), "not a video"),
    "playlist": (lambda d: write(d / "a.m3u8", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"), "not a video"),
    "empty": (lambda d: write(d / "a.mp4", b""), "empty"),
    "missing": (lambda d: d / "a.mp4", "does not exist"),
    "folder": (lambda d: d, "folder"),
    "truncated mp4": (lambda d: cut_in_half(make_video(d / "a.mp4")), "truncated"),
    "truncated mp4, index first": (lambda d: cut_faststart_mp4(d / "a.mp4"), "truncated"),
    "truncated avi": (lambda d: cut_in_half(make_video(d / "a.avi")), "truncated"),
    "truncated mkv": (lambda d: cut_in_half(make_video(d / "a.mkv")), "truncated"),
    "audio only": (lambda d: audio_only(d / "a.mp4"), "sound but no pictures"),
    "mp3": (lambda d: audio_only(d / "a.mp3"), "sound but no pictures"),
    "one frame": (lambda d: make_video(d / "a.mp4", count=1), "single picture"),
    "8x8": (lambda d: make_video(d / "a.mp4", size=(8, 8)), "8x8 pixels"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_file_gives_one_clear_line_and_no_output(tmp_path, case):
    make, words = UNUSABLE[case]
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    path = make(tmp_path / "in")
    for attempt in (
        lambda: probe(path),
        lambda: check_video(path),
        lambda: list(read_frames(path)),
        lambda: mux_audio(path, sine(1), 32000, tmp_path / "out" / "o.mp4"),
    ):
        with pytest.raises(ExpotionError, match=words) as error:
            attempt()
        assert "\n" not in str(error.value) and str(path) in str(error.value) and len(str(error.value)) < 300
    assert not os.listdir(tmp_path / "out")


def test_unusable_bytes_give_a_clear_line():
    with pytest.raises(ExpotionError, match="empty"):
        probe(b"")
    with pytest.raises(ExpotionError, match="not a video"):
        probe(b"nothing like a video")


@pytest.mark.parametrize("video", [None, 5, io.StringIO("text")])
def test_an_argument_of_another_type_gives_a_clear_line(video):
    with pytest.raises(ExpotionError, match="a path, bytes or an open binary file"):
        probe(video)


def test_a_video_without_sound_has_no_audio_to_read(tmp_path):
    with pytest.raises(ExpotionError, match="no sound"):
        read_audio(make_video(tmp_path / "a.mp4"), 16000)


# ------------------------------------------------------------------- recordings that stopped, read as far as they go


@pytest.mark.slow
def test_a_live_recording_that_stopped_is_read_as_far_as_it_goes(tmp_path):
    path = cut_in_half(make_video(tmp_path / "a.webm", count=60, live=True))
    info = probe(path)
    assert 5 < info.frames < 55
    assert numbers_of(path) == [i % 30 for i in range(len(times_of(path)))]
    assert len(times_of(path)) == pytest.approx(info.frames, abs=1)
    out = mux_audio(path, sine(5), 32000, tmp_path / "out.mp4")
    assert probe(out).duration_s == pytest.approx(info.duration_s, abs=0.05)


def test_a_fragmented_mp4_that_stopped_is_read_as_far_as_it_goes(tmp_path):
    path = make_video(
        tmp_path / "a.mp4",
        count=60,
        size=(160, 120),
        options={"preset": "ultrafast", "g": "10"},
        container_options={"movflags": "frag_keyframe+empty_moov"},
    )
    info = probe(cut_in_half(path))
    assert 5 < info.frames < 55 and info.duration_s == pytest.approx(info.frames / 25, abs=0.05)


def test_damaged_frames_in_the_middle_are_skipped(tmp_path):
    path = make_video(tmp_path / "a.ts", count=60, size=(160, 120), options={"preset": "ultrafast", "g": "10"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    times = times_of(bytes(data))
    assert 40 < len(times) <= 60 and np.all(np.diff(times) > 0)
