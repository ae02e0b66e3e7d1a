"""What a user notices about video in and out: times, which way is up, sound that fits, and clear errors."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media import click, click_time, grey, make_video, number_of, picture, red_corner

from expotion_lite.errors import ExpotionError
from expotion_lite.video.reading import Frame, probe, read_audio, read_frames
from expotion_lite.video.writing import mux_audio, write_video, write_wav

UNEVEN = [0, 0.04, 0.09, 0.12, 0.2, 0.31, 0.33, 0.4]
B_FRAMES = {"preset": "medium"}


def times_of(source) -> list[float]:
    return [frame.time_s for frame in read_frames(source)]


def numbers_of(source) -> list[int]:
    return [number_of(frame.image) for frame in read_frames(source)]


def frames(times, size=(64, 48)):
    return (Frame(picture(number, size), time) for number, time in enumerate(times))


def sine(duration_s, sample_rate=32000, frequency=440.0):
    return (0.8 * np.sin(2 * np.pi * frequency * np.arange(round(duration_s * sample_rate)) / sample_rate)).astype("f4")


def packets(path) -> list[bytes]:
    import av

    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


# ------------------------------------------------------------------------------------------------------------ reading


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
def test_a_browser_recording_without_duration_at_a_claimed_1000_fps_keeps_its_times(tmp_path, codec):
    import av

    path = make_video(tmp_path / "rec.webm", times=UNEVEN, live=True, codec=codec, audio=click(0.3, 0.44, 48000))
    with av.open(str(path)) as container:
        assert container.duration is None or container.duration <= 0
    assert times_of(path) == pytest.approx(UNEVEN, abs=0.001)
    assert probe(path).duration_s == pytest.approx(0.45, abs=0.021)
    assert probe(path).frame_rate == pytest.approx(17.5, rel=0.01)


def test_pictures_stored_in_another_order_come_in_the_order_they_are_shown(tmp_path):
    path = make_video(tmp_path / "b.mp4", count=25, options=B_FRAMES)
    assert numbers_of(path) == list(range(25))
    assert times_of(path) == pytest.approx(np.arange(25) / 25, abs=1e-4)


def test_pictures_that_an_edit_list_hides_are_not_shown(tmp_path):
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
def test_a_rotation_flag_brings_pictures_upright_also_after_muxing(tmp_path, rotation, mirrored, corner, size):
    path = make_video(tmp_path / "phone.mp4", rotation=rotation, mirrored=mirrored)
    muxed = mux_audio(path, sine(0.4), 32000, tmp_path / "out.mp4")
    for video in (path, muxed):
        info, first = probe(video), next(iter(read_frames(video)))
        assert (info.width, info.height, info.rotation) == (*size, rotation)
        assert first.image.shape == (size[1], size[0], 3)
        assert red_corner(first.image) == corner
    assert packets(muxed) == packets(path)


def test_bytes_file_objects_and_paths_read_the_same(tmp_path):
    path = make_video(tmp_path / "a.mp4", audio=click(0.1, 0.4, 48000))
    data = path.read_bytes()
    with path.open("rb") as file:
        infos = [probe(source) for source in (path, str(path), data, io.BytesIO(data), file)]
        assert numbers_of(file) == numbers_of(data) == numbers_of(path)
        assert not file.closed
    assert all(info == infos[0] for info in infos)


@pytest.mark.parametrize("size, max_side, expected", [((64, 48), None, (48, 64)), ((320, 180), 160, (90, 160))])
@pytest.mark.parametrize("rotation", [0, 90])
def test_large_pictures_shrink_to_the_longer_side(tmp_path, size, max_side, expected, rotation):
    path = make_video(tmp_path / "a.mp4", size=size, count=3, rotation=rotation)
    shape = next(iter(read_frames(path, max_side=max_side))).image.shape[:2]
    assert shape == (expected if rotation == 0 else expected[::-1])


def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path):
    def peak(count):
        path = make_video(tmp_path / f"{count}.mp4", count=count, size=(160, 120))
        tracemalloc.start()
        total = sum(1 for _ in read_frames(path))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total == count
        return used

    assert peak(200) < peak(20) + 500_000  # bytes; 180 more pictures hold 10 MB


def test_pixels_that_are_not_square_become_so(tmp_path):
    path = make_video(tmp_path / "a.mp4", size=(64, 96), pixel_aspect=Fraction(2))
    muxed = mux_audio(path, sine(1), 32000, tmp_path / "out.mp4")
    for video in (path, muxed):
        assert (probe(video).width, probe(video).height) == (128, 96)
        assert next(iter(read_frames(video))).image.shape == (96, 128, 3)


def test_4k_is_read_at_the_size_asked_for(tmp_path):
    path = make_video(tmp_path / "4k.mp4", size=(3840, 2160), count=2)
    assert probe(path).width == 3840
    assert next(iter(read_frames(path, max_side=640))).image.shape == (360, 640, 3)


@pytest.mark.parametrize("suffix, live", [(".mp4", False), (".webm", True), (".mkv", False)])
def test_sound_is_read_on_the_clock_of_the_pictures(tmp_path, suffix, live):
    path = make_video(tmp_path / f"a{suffix}", count=25, audio=click(0.3, 1.0, 48000), start_s=2.0, live=live)
    audio = read_audio(path, 16000)
    assert audio.dtype == np.float32 and audio.ndim == 1
    assert click_time(audio, 16000) == pytest.approx(0.3, abs=0.005)
    assert len(audio) / 16000 == pytest.approx(1.0, abs=0.03)


# ------------------------------------------------------------------------------------------------------------ writing


@pytest.mark.parametrize("duration_s", [None, 0.7])
def test_written_videos_keep_uneven_times_and_the_last_pictures_length(tmp_path, duration_s):
    path = write_video(tmp_path / "a.mp4", frames(UNEVEN), duration_s=duration_s)
    assert times_of(path) == pytest.approx(UNEVEN, abs=1e-4)
    assert numbers_of(path) == list(range(8))
    assert probe(path).duration_s == pytest.approx(duration_s or 0.47, abs=0.001)


def test_written_videos_start_at_zero_whatever_the_first_time_is(tmp_path):
    times = np.array(UNEVEN) + 7.0
    assert times_of(write_video(tmp_path / "a.mp4", frames(times))) == pytest.approx(UNEVEN, abs=1e-4)


def test_written_videos_play_in_browsers(tmp_path):
    import av

    path = write_video(tmp_path / "a.mp4", frames(UNEVEN), audio=sine(1, 16000), sample_rate=16000)
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.codec_context.name == "h264" and video.codec_context.pix_fmt == "yuv420p"
        assert audio.codec_context.codec.canonical_name == "mp3" and audio.rate >= 32000
        assert container.duration == pytest.approx(0.47e6, abs=2000)


@pytest.mark.parametrize("colour", [(220, 30, 30), (30, 200, 40), (30, 40, 210), (128, 128, 128), (250, 250, 250)])
def test_colours_come_back(tmp_path, colour):
    images = (Frame(np.full((64, 64, 3), colour, np.uint8), i / 25) for i in range(3))
    back = next(iter(read_frames(write_video(tmp_path / "a.mp4", images)))).image
    assert np.abs(back.astype(int) - colour).max() <= 4


def test_odd_sizes_are_padded_to_even_ones(tmp_path):
    path = write_video(tmp_path / "a.mp4", frames(UNEVEN, size=(51, 37)))
    assert (probe(path).width, probe(path).height) == (52, 38)
    assert red_corner(next(iter(read_frames(path))).image) == "top left"


@pytest.mark.parametrize("sample_rate", [8000, 16000, 32000, 44100, 48000])
@pytest.mark.parametrize("time_s", [0.0, 0.5])
def test_a_click_is_heard_when_it_was_written(tmp_path, sample_rate, time_s):
    audio = click(time_s, 1.0, sample_rate)
    path = write_video(
        tmp_path / "a.mp4", frames(np.arange(25) / 25), audio=audio, sample_rate=sample_rate, duration_s=1.0
    )
    assert click_time(read_audio(path, 48000), 48000) == pytest.approx(time_s, abs=0.002)


def test_the_sound_before_time_zero_is_one_whole_hidden_packet(tmp_path):
    """Browsers skip a hidden part of a packet twice, and then play the sound early; whole packets they skip once."""
    import av

    path = write_video(tmp_path / "a.mp4", frames(UNEVEN), audio=sine(1), sample_rate=32000)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        starts = [
            (round(packet.pts * stream.rate * stream.time_base), packet.is_discard)
            for packet in container.demux(stream)
            if packet.size
        ]
    assert starts[:3] == [(-1152, True), (0, False), (1152, False)]


def test_a_late_click_in_a_long_video_is_heard_on_time(tmp_path):
    path = make_video(tmp_path / "long.mp4", fps=2, count=120)
    out = mux_audio(path, click(58.5, 60.0, 16000), 16000, tmp_path / "out.mp4")
    assert click_time(read_audio(out, 48000), 48000) == pytest.approx(58.5, abs=0.002)


MUXABLE = [
    ("a.mp4", {"count": 25, "options": B_FRAMES}, True),
    ("uneven.mp4", {"times": UNEVEN, "options": B_FRAMES}, True),
    ("late.mp4", {"times": UNEVEN, "start_s": 2.0}, True),
    ("hevc.mp4", {"codec": "libx265"}, True),
    ("vp9.webm", {"codec": "libvpx-vp9", "live": True, "times": UNEVEN}, True),
    ("h264.mkv", {"times": UNEVEN, "options": B_FRAMES}, True),
    ("h264.ts", {"times": UNEVEN, "options": B_FRAMES, "start_s": 2.0}, False),
    ("vp8.webm", {"times": UNEVEN, "live": True, "audio": sine(0.4, 48000)}, False),
    ("vp8-odd.webm", {"times": UNEVEN, "live": True, "size": (65, 49)}, False),
    ("trimmed.mp4", {"count": 20, "start_s": -0.2, "options": B_FRAMES}, False),
    ("a.avi", {}, False),
]


@pytest.mark.parametrize("name, kind, copied", MUXABLE, ids=[case[0] for case in MUXABLE])
@pytest.mark.parametrize("music_s", [0.1, 5.0])
def test_music_goes_under_any_video_and_the_result_lasts_as_long(tmp_path, name, kind, copied, music_s):
    import av

    path = make_video(tmp_path / name, **kind)
    before = probe(path)
    out = mux_audio(path, sine(music_s), 32000, tmp_path / "out.mp4")
    after = probe(out)
    assert times_of(out) == pytest.approx(times_of(path), abs=1e-3)
    assert numbers_of(out) == numbers_of(path)
    assert after.has_audio
    assert after.duration_s == pytest.approx(before.duration_s, abs=0.002)
    with av.open(str(out)) as container:
        assert container.duration / 1e6 == pytest.approx(before.duration_s, abs=0.005)
        assert container.start_time == 0
    if copied:
        assert packets(out) == packets(path)
    audio = read_audio(out, 32000)
    assert len(audio) / 32000 == pytest.approx(before.duration_s, abs=0.005)


@pytest.mark.parametrize("music_s", [0.5, 0.83, 5.0])
def test_the_music_ends_without_a_click(tmp_path, music_s):
    path = make_video(tmp_path / "a.mp4", count=20)  # 0.8 s
    audio = read_audio(mux_audio(path, sine(music_s), 48000, tmp_path / "out.mp4"), 48000)
    steepest = 2 * np.pi * 440 / 32000 * 0.8
    assert np.abs(np.diff(audio)).max() < 1.2 * steepest
    assert np.abs(audio[-20:]).max() < 0.02


def test_muxing_may_replace_its_own_input(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    assert mux_audio(path, sine(1), 32000, path, overwrite=True) == path
    assert probe(path).has_audio and os.listdir(tmp_path) == ["a.mp4"]


def test_wav_holds_the_samples(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.array([0, 0.5, -1, 1, 2], np.float32), 16000)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        assert struct.unpack("<5h", file.readframes(5)) == (0, 16384, -32767, 32767, 32767)


# ---------------------------------------------------------------------------------------------------------- bad input


def audio_only(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(sine(0.5, 48000)[None], format="flt", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def half(path: Path) -> Path:
    return written(path, path.read_bytes()[: path.stat().st_size // 2])


FASTSTART = {"movflags": "faststart"}
BAD = {
    "text": (lambda d: written(d / "a.mp4", b"hello\n" * 500), "not a video"),
    "text named .txt": (lambda d: written(d / "a.txt", b"hello\n" * 500), "not a video"),
    "noise": (lambda d: written(d / "a.mp4", np.random.default_rng(0).bytes(5000)), "not a video"),
    "playlist": (lambda d: written(d / "a.m3u8", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"), "not a video"),
    "empty": (lambda d: written(d / "a.mp4", b""), "empty"),
    "missing": (lambda d: d / "a.mp4", "does not exist"),
    "folder": (lambda d: d, "folder"),
    "truncated mp4": (lambda d: half(make_video(d / "a.mp4")), "truncated"),
    "truncated mp4, index first": (
        lambda d: half(make_video(d / "a.mp4", count=50, options=B_FRAMES, container_options=FASTSTART)),
        "truncated",
    ),
    "truncated avi": (lambda d: half(make_video(d / "a.avi")), "truncated"),
    "truncated mkv": (lambda d: half(make_video(d / "a.mkv")), "truncated"),
    "audio only": (lambda d: audio_only(d / "a.mp4"), "sound but no pictures"),
    "mp3": (lambda d: audio_only(d / "a.mp3"), "sound but no pictures"),
    "one frame": (lambda d: make_video(d / "a.mp4", count=1), "single picture"),
    "8x8": (lambda d: make_video(d / "a.mp4", size=(8, 8)), "8x8 pixels"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_videos_get_one_clear_line_and_leave_nothing(tmp_path, case):
    make, words = BAD[case]
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    path = make(tmp_path / "in")
    for attempt in (
        lambda: probe(path),
        lambda: list(read_frames(path)),
        lambda: mux_audio(path, sine(1), 32000, tmp_path / "out" / "o.mp4"),
    ):
        with pytest.raises(ExpotionError, match=words) as error:
            attempt()
        assert "\n" not in str(error.value) and str(path) in str(error.value) and len(str(error.value)) < 300
    assert not os.listdir(tmp_path / "out")


def test_bad_bytes_are_named_too():
    with pytest.raises(ExpotionError, match="empty"):
        probe(b"")
    with pytest.raises(ExpotionError, match="not a video"):
        probe(b"nothing like a video")


@pytest.mark.parametrize("source", [None, 5, io.StringIO("text")])
def test_what_is_no_file_at_all_is_named(source):
    with pytest.raises(ExpotionError, match="a path, bytes or an open binary file"):
        probe(source)


def test_a_recording_that_stops_in_the_middle_is_read_as_far_as_it_goes(tmp_path):
    path = make_video(tmp_path / "a.webm", count=60, live=True)
    half(path)
    info = probe(path)
    assert 5 < info.frames < 55
    assert numbers_of(path) == [i % 30 for i in range(len(times_of(path)))]
    assert len(times_of(path)) == pytest.approx(info.frames, abs=1)
    out = mux_audio(path, sine(5), 32000, tmp_path / "out.mp4")
    assert probe(out).duration_s == pytest.approx(info.duration_s, abs=0.05)


def test_a_fragmented_recording_that_stops_in_the_middle_is_read_as_far_as_it_goes(tmp_path):
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    path = make_video(
        tmp_path / "a.mp4",
        count=60,
        size=(160, 120),
        options={"preset": "ultrafast", "g": "10"},
        container_options=fragments,
    )
    half(path)
    info = probe(path)
    assert 5 < info.frames < 55 and info.duration_s == pytest.approx(info.frames / 25, abs=0.05)


def test_damaged_pictures_in_the_middle_are_passed_over(tmp_path):
    path = make_video(tmp_path / "a.ts", count=60, size=(160, 120), options={"preset": "ultrafast", "g": "10"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    got = times_of(bytes(data))
    assert 40 < len(got) <= 60 and np.all(np.diff(got) > 0)


def test_a_video_without_sound_says_so(tmp_path):
    with pytest.raises(ExpotionError, match="no sound"):
        read_audio(make_video(tmp_path / "a.mp4"), 16000)


def test_outputs_that_exist_are_kept_unless_told(tmp_path):
    source = make_video(tmp_path / "a.mp4")
    out = written(tmp_path / "out.mp4", b"precious")
    for attempt in (
        lambda **k: mux_audio(source, sine(1), 32000, out, **k),
        lambda **k: write_video(out, frames(UNEVEN), **k),
    ):
        out.write_bytes(b"precious")
        with pytest.raises(ExpotionError, match="overwrite"):
            attempt()
        assert out.read_bytes() == b"precious"
        attempt(overwrite=True)
        assert probe(out).frames


def test_an_output_that_cannot_be_written_says_so(tmp_path):
    source = make_video(tmp_path / "a.mp4")
    for path in ("/proc/nowhere/out.mp4", tmp_path / "a.mp4" / "out.mp4"):
        with pytest.raises(ExpotionError, match="Cannot write"):
            mux_audio(source, sine(1), 32000, path)


@pytest.mark.parametrize(
    "pictures, keywords, words",
    [
        ([], {}, "no frames"),
        ([(0, 0.0), (1, 0.1), (2, 0.1)], {}, "must increase"),
        ([(0, 0.0), (1, 1.0)], {"duration_s": 0.5}, "ends before"),
        ([(0, 0.0), (1, 1.0)], {"audio": np.zeros((2, 100), np.float32), "sample_rate": 16000}, "Audio must be"),
        ([(0, 0.0), (1, 1.0)], {"audio": np.full(100, np.nan, np.float32), "sample_rate": 16000}, "NaN"),
        ([(0, 0.0), (1, 1.0)], {"audio": np.zeros(100, np.float32)}, "sample_rate"),
    ],
)
def test_unusable_frames_or_sound_leave_no_file(tmp_path, pictures, keywords, words):
    stream = (Frame(np.full((48, 64, 3), grey(number), np.uint8), time) for number, time in pictures)
    with pytest.raises(ExpotionError, match=words):
        write_video(tmp_path / "a.mp4", stream, **keywords)
    assert not os.listdir(tmp_path)


def test_an_error_while_frames_are_made_is_passed_on_and_leaves_no_file(tmp_path):
    def failing():
        yield from frames(UNEVEN)
        raise KeyError("my own mistake")

    with pytest.raises(KeyError, match="my own mistake"):
        write_video(tmp_path / "a.mp4", failing(), audio=sine(1), sample_rate=32000)
    assert not os.listdir(tmp_path)


def test_only_mp4_is_written(tmp_path):
    with pytest.raises(ExpotionError, match=r"\.mp4"):
        write_video(tmp_path / "a.avi", frames(UNEVEN))
