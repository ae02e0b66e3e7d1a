"""The whole path: from a video and a prompt to the video with its music."""

from __future__ import annotations

import threading
from itertools import islice

import numpy as np
import pytest
from media import make_video

from expotion_lite.assets import example_clip
from expotion_lite.cli import main
from expotion_lite.controls.events import with_events
from expotion_lite.data.synthetic import synthetic_pair
from expotion_lite.errors import Cancelled, ExpotionError
from expotion_lite.evaluation.metrics import level_curve, onset_strength
from expotion_lite.generation import fit_to_duration, generate, generate_codes, load_pipeline, to_audio
from expotion_lite.musicgen.settings import Settings
from expotion_lite.video.reading import probe, read_audio, read_frames
from expotion_lite.video.writing import write_video

pytestmark = pytest.mark.slow

PROMPT = "steady rock with guitar, bass and drums"


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory):
    """The first 2 s of the bundled clip."""
    path = tmp_path_factory.mktemp("clip") / "short.mp4"
    return write_video(path, islice(read_frames(example_clip()), 50))


@pytest.fixture(scope="module")
def shorter_clip(tmp_path_factory):
    """Its first 0.6 s."""
    path = tmp_path_factory.mktemp("clip") / "shorter.mp4"
    return write_video(path, islice(read_frames(example_clip()), 15))


@pytest.fixture(scope="module")
def take(short_clip):
    return generate(short_clip, PROMPT, seed=1, progress=False)


def test_the_command_writes_the_video_with_music(short_clip, take, tmp_path, capsys):
    out, wav = tmp_path / "out.mp4", tmp_path / "out.wav"
    arguments = ["generate", str(short_clip), "--prompt", PROMPT, "-o", str(out), "--audio", str(wav), "--seed", "1"]
    assert main(arguments) == 0
    before, after = probe(short_clip), probe(out)
    assert after.has_audio and after.codec == "h264" and after.frames == before.frames == 50
    assert after.duration_s == pytest.approx(before.duration_s, abs=1 / 25)
    assert "2.0 s of music" in capsys.readouterr().out
    audio = read_audio(out, take.sample_rate)
    assert abs(len(audio) - 2 * take.sample_rate) <= take.sample_rate / 25
    n = min(len(audio), len(take.audio))
    assert np.corrcoef(audio[:n], take.audio[:n])[0, 1] > 0.9, "the same seed gives the same music, in time"


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        (
            "--seed 7 --guidance 4 --visual-guidance 2 --temperature 0.8 --top-k 50",
            {"seed": 7, "guidance": 4, "visual_guidance": 2, "temperature": 0.8, "top_k": 50},
        ),
        ("--adapter none --dtype bfloat16 --device cpu", {"adapter": None, "dtype": "bfloat16", "device": "cpu"}),
    ],
)
def test_every_option_of_the_command_means_what_it_means_in_the_library(flags, options, shorter_clip, tmp_path):
    files = ["-o", str(tmp_path / "out.mp4"), "--audio", str(tmp_path / "out.wav")]
    assert main(["generate", str(shorter_clip), "--prompt", PROMPT, *files, "--quiet", *flags.split()]) == 0
    expected = generate(shorter_clip, PROMPT, progress=False, **options)
    audio = read_audio(tmp_path / "out.wav", expected.sample_rate)
    np.testing.assert_allclose(audio, expected.audio, atol=2**-14)  # 16 bits


def test_the_beat_decides_which_events_the_music_follows(short_clip, take):
    controls = take.controls
    np.testing.assert_array_equal(with_events(controls)["event"], controls["event"])
    steady = generate(short_clip, PROMPT, seed=1, beat=1.0, progress=False).controls
    np.testing.assert_array_equal(steady["event"], with_events(controls, 1.0)["event"])
    assert np.abs(steady["event"] - controls["event"]).max() > 0.2


def test_the_music_is_not_silence_noise_or_a_drone(take):
    assert take.audio.shape == (2 * take.sample_rate,) and np.abs(take.audio).max() <= 1
    spectrum = np.abs(np.fft.rfft(take.audio * np.hanning(len(take.audio)))) ** 2
    flatness = np.exp(np.log(spectrum + 1e-12).mean()) / spectrum.mean()
    assert np.sqrt((take.audio**2).mean()) > 0.01, "silence"
    assert flatness < 0.1, "noise"
    onsets = onset_strength(take.audio, take.sample_rate)
    assert onsets.max() > 3 * onsets.mean(), "a drone has no onsets"


def test_the_adapter_and_the_seed_change_the_music(take):
    pipeline = load_pipeline()
    blind = generate_codes(pipeline, [PROMPT], [take.controls], Settings(seed=1, visual_guidance=0.0))[0]
    assert not np.array_equal(blind, take.codes)
    other = generate_codes(pipeline, [PROMPT], [take.controls], Settings(seed=2))[0]
    assert not np.array_equal(other, take.codes)


class SetLater(threading.Event):
    """An event that is set once it has been read `reads` times."""

    def __init__(self, reads):
        super().__init__()
        self.reads = reads

    def is_set(self):
        self.reads -= 1
        return self.reads < 0


def test_cancelled_music_is_kept_and_ends_in_silence(short_clip, take):
    """The event is read once for each of the clip's 50 frames, then at every step of the music."""
    cut = generate(short_clip, PROMPT, seed=1, cancel=SetLater(50 + 60), progress=False)
    assert cut.audio.shape == take.audio.shape
    assert np.array_equal(cut.codes, take.codes[:, : cut.codes.shape[1]]) and 50 < cut.codes.shape[1] <= 60
    end = cut.codes.shape[1] * 320
    assert cut.audio[: end - 1000].std() > 0.01 and not cut.audio[end:].any()


def test_cancelled_before_the_music_raises(short_clip, tmp_path):
    with pytest.raises(Cancelled, match="nothing was made"):
        generate(short_clip, PROMPT, output=tmp_path / "out.mp4", cancel=SetLater(10), progress=False)
    assert not list(tmp_path.iterdir())


def test_audio_is_cut_or_filled_faded_and_does_not_clip():
    loud = np.full(1000, 2.0, np.float32)
    assert fit_to_duration(loud, 1000, 0.5).shape == (500,) and fit_to_duration(loud, 1000, 1.5).shape == (1500,)
    assert np.abs(fit_to_duration(loud, 1000, 0.5)).max() < 1.0
    assert fit_to_duration(loud, 1000, 0.5)[-1] == 0 and not fit_to_duration(loud, 1000, 1.5)[1000:].any()


def test_the_bundled_adapter_belongs_to_nano(short_clip):
    with pytest.raises(ExpotionError, match="belongs to nano"):
        generate(short_clip, PROMPT, model="facebook/musicgen-small", progress=False)


@pytest.mark.parametrize("seen", [0, 2])
def test_a_video_with_a_person_in_few_frames_is_refused(short_clip, seen, tmp_path, capsys):
    """30 grey frames, `seen` of which show a person: one line on stderr, exit code 2, no file."""
    frames = list(islice(read_frames(short_clip), 30))
    grey = np.full_like(frames[0].image, 128)
    video = write_video(
        tmp_path / "in.mp4", [type(f)(f.image if i < seen else grey, f.time_s) for i, f in enumerate(frames)]
    )
    for command in (["generate", "--prompt", PROMPT, "-o", tmp_path / "o.mp4"], ["controls", "-o", tmp_path / "o.npz"]):
        assert main([command[0], str(video), *map(str, command[1:]), "--quiet"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "frames" in error and "use a video" in error
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_tiny_frames_and_a_single_frame_are_refused(tmp_path, capsys):
    for name, video in {
        "tiny": make_video(tmp_path / "tiny.mp4", size=(8, 8)),
        "single": write_video(tmp_path / "single.mp4", islice(read_frames(example_clip()), 1)),
    }.items():
        assert main(["generate", str(video), "--prompt", PROMPT, "-o", str(tmp_path / "o.mp4"), "--quiet"]) == 2, name
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "o.mp4").exists()


def test_a_file_object_is_read_from_its_start_and_a_text_file_is_refused(short_clip, take):
    with open(short_clip, "rb") as file:
        file.seek(1000)
        again = generate(file, PROMPT, seed=1, progress=False)
    assert np.array_equal(again.codes, take.codes)
    with open(__file__) as text, pytest.raises(ExpotionError, match="open binary file"):
        generate(text, PROMPT, progress=False)


def test_if_one_output_fails_neither_is_written(shorter_clip, tmp_path, monkeypatch):
    def full(*_, **__):
        raise ExpotionError("The disk is full.")

    monkeypatch.setattr("expotion_lite.video.writing.write_wav", full)
    files = {"output": tmp_path / "o.mp4", "audio_output": tmp_path / "o.wav"}
    with pytest.raises(ExpotionError, match="full"):
        generate(shorter_clip, PROMPT, progress=False, **files)
    assert not list(tmp_path.iterdir())


def test_waiting_for_other_music_can_be_cancelled():
    pipeline, cancel = load_pipeline(), threading.Event()
    cancel.set()
    controls = synthetic_pair(9_100, 9_100, 1.0)[1]
    with pipeline.lock, pytest.raises(Cancelled, match="other music"):
        generate_codes(pipeline, [PROMPT], [controls], Settings(), cancel=cancel)
    assert not pipeline.lock.locked()


def test_a_minute_of_music_has_no_seams():
    """No click, no jump in level and no cluster of onsets marks the place where one window continues another."""
    pipeline = load_pipeline()
    musicgen, (piece, controls) = pipeline.musicgen, synthetic_pair(9_100, 9_100, 60.0)
    codes = generate_codes(pipeline, [f"{piece.style} with {piece.instruments[0]}"], [controls], Settings(seed=1))
    assert codes.shape == (1, musicgen.n_codebooks, 3000)
    audio, rate = to_audio(musicgen, codes[0]), musicgen.sample_rate
    seams = np.arange(musicgen.window, 3000, musicgen.window // 2)
    assert len(seams) == 10
    jumps = np.abs(np.diff(audio))
    at = np.array([jumps[frame * 320 - 8 : frame * 320 + 8].max() for frame in seams])
    around = np.array([np.quantile(jumps[frame * 320 - 4000 : frame * 320 + 4000], 0.999) for frame in seams])
    assert np.median(at / around) < 1
    onsets = onset_strength(audio, rate)
    assert np.mean([onsets[frame - 1 : frame + 2].max() for frame in seams]) < 2 * np.mean(
        [onsets[frame - 1 : frame + 2].max() for frame in range(10, 2990)]
    )
    level = level_curve(audio, rate)
    steps = np.abs(level[75:] - level[:-75])
    assert np.median(steps[seams - 38]) < np.quantile(steps, 0.9)
