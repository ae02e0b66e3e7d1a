"""Videos in the formats of cameras, browsers and converters: the right pictures, in order, at the right times.

FFmpeg's own program makes the files and counts their pictures; where it is not installed, these tests are skipped.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from media import click, click_time, make_video, number_of, sine

from expotion_lite.errors import ExpotionError
from expotion_lite.video import Video, mux_audio, read_audio, write_wav

pytestmark = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="FFmpeg's program is not installed")

COUNT = 24  # pictures at 25 Hz in `base`
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12")


def ffmpeg(*arguments: str | Path) -> str:
    """Run ffmpeg and return what it says."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stderr


def counted(path: Path) -> int:
    """Return how many pictures ffmpeg decodes from a file."""
    said = ffmpeg("-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "null", "-")
    return int(re.findall(r"frame=\s*(\d+)", said)[-1])


def seen(path: Path) -> tuple[list[int], list[float]]:
    """Read the numbers of all pictures, and their times in seconds."""
    frames = list(Video(path).frames())
    return [number_of(frame.image) for frame in frames], [frame.time_s for frame in frames]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """Numbered pictures in a nearly lossless file, 25 a second."""
    return make_video(tmp_path_factory.mktemp("base") / "base.mp4", count=COUNT, size=(128, 96))


# name: file, ffmpeg's options, and pictures a second of the result
FORMATS: dict[str, tuple[str, Sequence[str], float]] = {
    "mp4": ("a.mp4", X264, 25),
    "mp4, B-frames": ("a.mp4", (*X264, "-bf", "3"), 25),
    "mov": ("a.mov", X264, 25),
    "mkv": ("a.mkv", X264, 25),
    "3gp": ("a.3gp", X264, 25),
    "flv": ("a.flv", X264, 25),
    "fragmented mp4": ("a.mp4", (*X264, "-movflags", "frag_keyframe+empty_moov"), 25),
    "AVI with H.264 and B-frames": ("a.avi", (*X264, "-bf", "3"), 25),
    "AVI with MPEG-4": ("a.avi", ("-c:v", "mpeg4", "-q:v", "2"), 25),
    "AVI with MPEG-4 and B-frames": ("a.avi", ("-c:v", "mpeg4", "-q:v", "2", "-bf", "2"), 25),
    "AVI with MJPEG": ("a.avi", ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"), 25),
    "raw H.264 at 30": ("a.h264", (*X264, "-r", "30", "-bf", "0"), 30),
    "raw H.264 at 50, B-frames": ("a.h264", (*X264, "-r", "50", "-bf", "2"), 50),
    "raw HEVC at 30": ("a.hevc", ("-c:v", "libx265", "-x265-params", "log-level=none", "-r", "30"), 30),
    "HEVC": ("a.mp4", ("-c:v", "libx265", "-x265-params", "log-level=none", "-crf", "12"), 25),
    "HEVC in TS": ("a.ts", ("-c:v", "libx265", "-x265-params", "log-level=none", "-crf", "12"), 25),
    "H.264 in TS, B-frames": ("a.ts", (*X264, "-bf", "2"), 25),
    "camcorder (m2ts)": ("a.m2ts", X264, 25),
    "MPEG-2 in a program stream": ("a.mpg", ("-c:v", "mpeg2video", "-q:v", "2", "-bf", "2"), 25),
    "10 bit": ("a.mp4", (*X264, "-pix_fmt", "yuv420p10le"), 25),
    "4:4:4": ("a.mp4", (*X264, "-pix_fmt", "yuv444p"), 25),
    "ProRes": ("a.mov", ("-c:v", "prores_ks"), 25),
    "DNxHR": ("a.mov", ("-c:v", "dnxhd", "-profile:v", "dnxhr_lb", "-s", "512x288", "-pix_fmt", "yuv422p"), 25),
    "VP8": ("a.webm", ("-c:v", "libvpx", "-b:v", "2M"), 25),
    "VP9": ("a.webm", ("-c:v", "libvpx-vp9", "-crf", "10", "-b:v", "0", "-cpu-used", "8"), 25),
    "VP9 with alpha": ("a.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-cpu-used", "8"), 25),
    "AV1": ("a.mp4", ("-c:v", "libsvtav1", "-preset", "12", "-crf", "20"), 25),
    "DV": ("a.dv", ("-c:v", "dvvideo", "-s", "720x576", "-pix_fmt", "yuv420p"), 25),
    "GIF": ("a.gif", ("-vf", "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none"), 25),
    "WMV": ("a.wmv", ("-c:v", "wmv2", "-q:v", "2"), 25),
    "Ogg with Theora": ("a.ogv", ("-c:v", "libtheora", "-q:v", "9"), 25),
}


@pytest.mark.parametrize("name", FORMATS)
def test_all_pictures_are_read_in_order(base, tmp_path, name):
    file, options, rate = FORMATS[name]
    path = tmp_path / file
    ffmpeg("-i", base, "-an", *options, path)
    numbers, times = seen(path)
    assert len(numbers) == counted(path) == Video(path).info.frames
    kept = np.floor(np.arange(len(numbers)) * 25 / rate + 1e-6)  # ffmpeg repeats pictures to reach a higher rate
    assert np.abs(np.array(numbers) - kept).max() <= (0 if rate == 25 else 1)
    assert times == pytest.approx(np.arange(len(times)) / rate, abs=0.0011)  # Matroska stores milliseconds


@pytest.mark.parametrize("name", ["AVI with H.264 and B-frames", "raw H.264 at 30", "AV1", "VP9", "HEVC in TS", "GIF"])
def test_the_output_has_the_same_pictures_at_the_same_times(base, tmp_path, name):
    file, options, _ = FORMATS[name]
    path, out = tmp_path / file, tmp_path / "out.mp4"
    ffmpeg("-i", base, "-an", *options, path)
    mux_audio(path, sine(0.9), 32000, out)
    assert seen(out)[0] == seen(path)[0]
    assert seen(out)[1] == pytest.approx(seen(path)[1], abs=0.001)


def test_an_mp4_whose_pts_are_its_dts(base, tmp_path):
    source, path = tmp_path / "b.mp4", tmp_path / "careless.mp4"
    ffmpeg("-i", base, *X264, "-bf", "3", source)
    ffmpeg("-i", source, "-c", "copy", "-bsf:v", "setts=pts=DTS-STARTDTS:dts=DTS-STARTDTS", path)
    assert seen(path)[0] == list(range(COUNT))


@pytest.mark.parametrize(("suffix", "codec"), [("ts", "mpeg2video"), ("webm", "libvpx")])
def test_recordings_joined_byte_by_byte_are_read_to_their_end(base, tmp_path, suffix, codec):
    one, two = tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"
    sound = ("-f", "lavfi", "-i", "sine=440:duration=0.96", "-map", "0:v", "-map", "1:a")
    ffmpeg("-i", base, *sound, "-c:v", codec, "-q:v", "2", "-b:v", "2M", one)
    two.write_bytes(one.read_bytes() * 2)
    numbers, times = seen(two)
    assert numbers == [*range(COUNT), *range(COUNT)]
    assert times == pytest.approx(np.arange(2 * COUNT) / 25, abs=0.021)
    assert len(read_audio(two, 16000)) / 16000 == pytest.approx(1.92, abs=0.1)


def test_a_still_before_the_moving_pictures_is_not_taken_for_them(base, tmp_path):
    still = tmp_path / "still.png"
    ffmpeg("-i", base, "-frames:v", "1", still)
    path = tmp_path / "a.mkv"
    ffmpeg("-i", still, "-i", base, "-map", "0", "-map", "1:v", "-c:v:0", "mjpeg", "-c:v:1", "copy", path)
    assert seen(path)[0] == list(range(COUNT))
    path = tmp_path / "cover.mp4"
    ffmpeg("-i", still, "-i", base, "-map", "0", "-map", "1:v", "-c", "copy", "-disposition:v:0", "attached_pic", path)
    assert seen(path)[0] == list(range(COUNT))


def test_of_several_streams_the_default_one_is_read(base, tmp_path):
    path = tmp_path / "a.mkv"
    slow = ("-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=1")
    flags = ("-disposition:v:0", "0", "-disposition:v:1", "default")
    ffmpeg(*slow, "-i", base, "-map", "0", "-map", "1:v", "-c:v:0", "libx264", "-c:v:1", "copy", *flags, path)
    assert seen(path)[0] == list(range(COUNT))
    mux_audio(path, sine(0.9), 32000, tmp_path / "out.mp4")
    assert seen(tmp_path / "out.mp4")[0] == list(range(COUNT))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_containers_pixel_aspect_is_kept(base, tmp_path, suffix):
    path = tmp_path / f"wide.{suffix}"
    ffmpeg("-i", base, "-c", "copy", "-aspect", "8:3", path)
    out = mux_audio(path, sine(0.9), 32000, tmp_path / "out.mp4")
    for each in (path, out):
        assert (Video(each).info.width, Video(each).info.height) == (256, 96)
    said = ffmpeg("-i", out, "-f", "null", "-")
    assert "DAR 8:3" in said


HDR = {  # signals of white and of a grey card in HDR, of 10 bits (BT.2408, tables 1 and 2)
    "arib-std-b67": (0.75, 0.38),
    "smpte2084": (0.58, 0.38),
}


@pytest.mark.parametrize("transfer", HDR)
def test_hdr_looks_as_it_should_on_an_ordinary_screen(tmp_path, transfer):
    white, grey = (round(64 + 876 * signal) for signal in HDR[transfer])
    path, out = tmp_path / "hdr.mp4", tmp_path / "out.mp4"
    picture = f"format=yuv420p10le,geq=lum='if(lt(X,64),{white},{grey})':cb=512:cr=512"
    colours = ("-color_trc", transfer, "-color_primaries", "bt2020", "-colorspace", "bt2020nc")
    x265 = ("-c:v", "libx265", "-x265-params", "log-level=none", "-crf", "5", *colours)
    ffmpeg("-f", "lavfi", "-i", "color=gray:size=128x128:rate=25:duration=0.4", "-vf", picture, *x265, path)
    image = next(Video(path).frames()).image
    assert 225 <= image[64, 20].min() <= image[64, 20].max() <= 245  # white, with some room above it
    assert 97 <= image[64, 100].min() <= image[64, 100].max() <= 117  # BT.709 shows a grey card at 107
    video = Video(path)
    write = mux_audio(write_video_again(video, tmp_path), sine(0.4), 32000, out)
    assert np.abs(next(Video(write).frames()).image.astype(int) - image).max() <= 12


def write_video_again(video: Video, folder: Path) -> Path:
    """Encode the pictures of a video anew."""
    from expotion_lite.video import write_video

    return write_video(folder / "again.mp4", video.frames())


def test_a_turned_phone_gets_borders_instead_of_stretched_pictures(tmp_path):
    parts = []
    for index, size in enumerate(("128x96", "96x128")):
        part = tmp_path / f"{index}.ivf"
        ffmpeg("-f", "lavfi", "-i", f"color=white:size={size}:rate=25:duration=0.4", "-c:v", "libvpx", part)
        parts.append(part.read_bytes())
    joined, path = tmp_path / "joined.ivf", tmp_path / "turned.webm"
    joined.write_bytes(parts[0] + parts[1][32:])  # without its header
    ffmpeg("-i", joined, "-c", "copy", "-bsf:v", "setts=ts=N*40", path)
    last = list(Video(path).frames())[-1].image
    assert last.shape == (96, 128, 3)
    assert last[:, 0].max() < 20 and last[:, -1].max() < 20  # borders at the sides
    assert last[2, 64].min() > 235 and last[-3, 64].min() > 235  # the picture keeps its height


def test_the_default_sound_track_is_read(base, tmp_path):
    path = tmp_path / "a.mkv"
    silence = ("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=0.96")
    tone = ("-f", "lavfi", "-i", "sine=440:r=16000:duration=0.96")
    flags = ("-disposition:a:0", "0", "-disposition:a:1", "default")
    ffmpeg("-i", base, *silence, *tone, "-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "copy", *flags, path)
    assert np.abs(read_audio(path, 16000)).max() > 0.05


def test_channels_that_cancel_one_another_are_not_mixed_to_silence(tmp_path):
    write_wav(tmp_path / "a.wav", sine(0.5, 16000), 16000)
    ffmpeg("-i", tmp_path / "a.wav", "-af", "pan=stereo|c0=c0|c1=-1*c0", tmp_path / "b.wav")
    audio = read_audio(tmp_path / "b.wav", 16000)
    assert np.abs(audio).max() == pytest.approx(0.8, abs=0.1)


def test_a_click_is_heard_at_its_time_after_a_pause(base, tmp_path):
    """Sound and pictures stop for 5 s, and go on."""
    wav, path = tmp_path / "a.wav", tmp_path / "a.mkv"
    write_wav(wav, click(0.6, 0.96, 16000), 16000)
    later = "setts=ts=TS+if(gte(TS\\,480)\\,5000\\,0)"  # milliseconds
    codecs = ("-c:v", "copy", "-c:a", "pcm_s16le")
    ffmpeg("-i", base, "-i", wav, "-map", "0:v", "-map", "1:a", *codecs, "-bsf:v", later, "-bsf:a", later, path)
    numbers, times = seen(path)
    assert numbers == list(range(COUNT))
    assert times[-1] == pytest.approx(0.92 + 5, abs=0.002)
    assert click_time(read_audio(path, 16000), 16000) == pytest.approx(5.6, abs=0.03)


LISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{other}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{other}'\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "list.ism": '<?xml version="1.0"?><smil><body><switch><video src="{other}"/></switch></body></smil>',
    "list.mpd": '<?xml version="1.0"?><MPD><Period><BaseURL>{other}</BaseURL></Period></MPD>',
    "list.txt": "a page of text\n" * 50,
}


@pytest.mark.parametrize("disguise", [None, ".mp4", ".webm"])
@pytest.mark.parametrize("name", LISTS)
def test_lists_of_other_files_are_refused_whatever_their_name(base, tmp_path, name, disguise):
    other = tmp_path / "secret.ts"
    ffmpeg("-i", base, "-c:v", "mpeg2video", other)
    path = (tmp_path / name).with_suffix(disguise or Path(name).suffix)
    path.write_text(LISTS[name].format(other=other))
    with pytest.raises(ExpotionError, match="not a video that can be read|has no pictures|truncated"):
        Video(path)


def test_a_timestamp_far_away_is_refused_before_any_work(base, tmp_path):
    path = tmp_path / "far.mkv"
    ffmpeg("-i", base, "-c", "copy", "-frames:v", "4", "-bsf:v", "setts=ts=TS+if(gte(N\\,3)\\,360000000\\,0)", path)
    with pytest.raises(ExpotionError, match=r"lasts 6000\.\d minutes, by its timestamps; give one of at most 30 min"):
        Video(path)
    assert Video(path, longest_s=1e6).info.frames == 4
