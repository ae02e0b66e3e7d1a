"""Videos and sounds that are written: times, colours, sound on time, and errors that leave no file."""

from __future__ import annotations

import os
import struct
import wave

import numpy as np
import pytest
from media import (
    B_FRAMES,
    UNEVEN,
    click,
    click_time,
    grey,
    make_video,
    numbered_frames,
    numbers_of,
    packets_of,
    red_corner,
    sine,
    times_of,
)

from expotion_lite.errors import ExpotionError
from expotion_lite.video.reading import Frame, probe, read_audio, read_frames
from expotion_lite.video.writing import mux_audio, write_video, write_wav

# -------------------------------------------------------------------------------------------------------- write_video


@pytest.mark.parametrize("duration_s", [None, 0.7])
def test_uneven_times_and_the_length_of_the_last_frame_are_kept(tmp_path, duration_s):
    path = write_video(tmp_path / "a.mp4", numbered_frames(UNEVEN), duration_s=duration_s)
    assert times_of(path) == pytest.approx(UNEVEN, abs=1e-4)
    assert numbers_of(path) == list(range(8))
    assert probe(path).duration_s == pytest.approx(duration_s or 0.47, abs=0.001)


def test_a_written_video_starts_at_zero(tmp_path):
    times = np.array(UNEVEN) + 7.0
    assert times_of(write_video(tmp_path / "a.mp4", numbered_frames(times))) == pytest.approx(UNEVEN, abs=1e-4)


def test_formats_that_browsers_play_are_written(tmp_path):
    import av

    path = write_video(tmp_path / "a.mp4", numbered_frames(UNEVEN), audio=sine(1, 16000), sample_rate=16000)
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.codec_context.name == "h264" and video.codec_context.pix_fmt == "yuv420p"
        assert audio.codec_context.codec.canonical_name == "mp3" and audio.rate >= 32000
        assert container.duration == pytest.approx(0.47e6, abs=2000)


@pytest.mark.parametrize("colour", [(220, 30, 30), (30, 200, 40), (30, 40, 210), (128, 128, 128), (250, 250, 250)])
def test_colours_are_kept(tmp_path, colour):
    images = (Frame(np.full((64, 64, 3), colour, np.uint8), i / 25) for i in range(3))
    back = next(iter(read_frames(write_video(tmp_path / "a.mp4", images)))).image
    assert np.abs(back.astype(int) - colour).max() <= 4


def test_odd_sizes_are_padded_to_even_ones(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(UNEVEN, size=(51, 37)))
    assert (probe(path).width, probe(path).height) == (52, 38)
    assert red_corner(next(iter(read_frames(path))).image) == "top left"


@pytest.mark.parametrize("sample_rate", [8000, 16000, 32000, 44100, 48000])
@pytest.mark.parametrize("time_s", [0.0, 0.5])
def test_a_click_is_heard_at_the_time_it_was_written(tmp_path, sample_rate, time_s):
    audio = click(time_s, 1.0, sample_rate)
    path = write_video(
        tmp_path / "a.mp4", numbered_frames(np.arange(25) / 25), audio=audio, sample_rate=sample_rate, duration_s=1.0
    )
    assert click_time(read_audio(path, 48000), 48000) == pytest.approx(time_s, abs=0.002)


def test_the_sound_before_time_zero_is_exactly_one_hidden_packet(tmp_path):
    """Chromium skips a partly hidden packet twice and then plays the sound early; a fully hidden one it skips once."""
    import av

    path = write_video(tmp_path / "a.mp4", numbered_frames(UNEVEN), audio=sine(1), sample_rate=32000)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        starts = [
            (round(packet.pts * stream.rate * stream.time_base), packet.is_discard)
            for packet in container.demux(stream)
            if packet.size
        ]
    assert starts[:3] == [(-1152, True), (0, False), (1152, False)]


# ---------------------------------------------------------------------------------------------------------- mux_audio


def test_a_late_click_in_a_long_video_is_heard_on_time(tmp_path):
    path = make_video(tmp_path / "long.mp4", fps=2, count=120)
    out = mux_audio(path, click(58.5, 60.0, 16000), 16000, tmp_path / "out.mp4")
    assert click_time(read_audio(out, 48000), 48000) == pytest.approx(58.5, abs=0.002)


MUXABLE = [  # file, how it is made, whether its packets are copied
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
def test_a_video_with_music_lasts_as_long_as_the_video(tmp_path, name, kind, copied, music_s):
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
        assert packets_of(out) == packets_of(path)
    audio = read_audio(out, 32000)
    assert len(audio) / 32000 == pytest.approx(before.duration_s, abs=0.005)


@pytest.mark.parametrize("music_s", [0.5, 0.83, 5.0])
def test_the_music_ends_without_a_click(tmp_path, music_s):
    path = make_video(tmp_path / "a.mp4", count=20)  # 0.8 s
    audio = read_audio(mux_audio(path, sine(music_s), 48000, tmp_path / "out.mp4"), 48000)
    steepest = 2 * np.pi * 440 / 32000 * 0.8  # of the sine, per sample
    assert np.abs(np.diff(audio)).max() < 1.2 * steepest
    assert np.abs(audio[-20:]).max() < 0.02


def test_muxing_can_replace_its_own_input(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    assert mux_audio(path, sine(1), 32000, path, overwrite=True) == path
    assert probe(path).has_audio and os.listdir(tmp_path) == ["a.mp4"]


# ---------------------------------------------------------------------------------------------------------- write_wav


def test_a_wav_holds_the_samples(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.array([0, 0.5, -1, 1, 2], np.float32), 16000)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        assert struct.unpack("<5h", file.readframes(5)) == (0, 16384, -32767, 32767, 32767)


# ------------------------------------------------------------------------------------------------------------- errors


def test_existing_outputs_are_kept_without_overwrite(tmp_path):
    source = make_video(tmp_path / "a.mp4")
    out = tmp_path / "out.mp4"
    for attempt in (
        lambda **options: mux_audio(source, sine(1), 32000, out, **options),
        lambda **options: write_video(out, numbered_frames(UNEVEN), **options),
    ):
        out.write_bytes(b"precious")
        with pytest.raises(ExpotionError, match="overwrite"):
            attempt()
        assert out.read_bytes() == b"precious"
        attempt(overwrite=True)
        assert probe(out).frames


def test_an_output_that_cannot_be_written_gives_a_clear_line(tmp_path):
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


def test_an_error_of_the_frame_generator_is_passed_on_and_leaves_no_file(tmp_path):
    def failing():
        yield from numbered_frames(UNEVEN)
        raise KeyError("my own mistake")

    with pytest.raises(KeyError, match="my own mistake"):
        write_video(tmp_path / "a.mp4", failing(), audio=sine(1), sample_rate=32000)
    assert not os.listdir(tmp_path)


def test_only_mp4_is_written(tmp_path):
    with pytest.raises(ExpotionError, match=r"\.mp4"):
        write_video(tmp_path / "a.avi", numbered_frames(UNEVEN))
