"""The whole path: a video and a prompt in, the same video with its own music out."""

from __future__ import annotations

import threading
from itertools import islice

import numpy as np
import pytest
from media import make_video

from expotion_lite.assets import example_clip
from expotion_lite.cli import main
from expotion_lite.data.synthetic import synthetic_pair
from expotion_lite.errors import Cancelled, ExpotionError
from expotion_lite.evaluation.metrics import level_curve, onset_strength
from expotion_lite.generation import fit_to_duration, generate, generate_codes, load_pipeline, to_audio
from expotion_lite.musicgen.settings import Settings
from expotion_lite.video.reading import probe, read_audio, read_frames
from expotion_lite.video.writing import write_video

PROMPT = "steady rock with guitar, bass and drums"


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory):
    """The first 2 s of the bundled clip."""
    path = tmp_path_factory.mktemp("clip") / "short.mp4"
    return write_video(path, islice(read_frames(example_clip()), 50))


@pytest.fixture(scope="module")
def take(short_clip):
    return generate(short_clip, PROMPT, seed=1, progress=False)


def test_the_command_gives_the_video_its_music(short_clip, take, tmp_path, capsys):
    out, wav = tmp_path / "out.mp4", tmp_path / "out.wav"
    arguments = ["generate", str(short_clip), "--prompt", PROMPT, "-o", str(out), "--audio", str(wav), "--seed", "1"]
    assert main(arguments) == 0
    before, after = probe(short_clip), probe(out)
    assert after.has_audio and after.codec == "h264" and after.frames == before.frames == 50
    assert after.duration_s == pytest.approx(before.duration_s, abs=1 / 25)
    assert "2.0 s of music" in capsys.readouterr().out
    sound = read_audio(out, take.sample_rate)
    assert abs(len(sound) - 2 * take.sample_rate) <= take.sample_rate / 25
    n = min(len(sound), len(take.audio))
    assert np.corrcoef(sound[:n], take.audio[:n])[0, 1] > 0.9, "the same seed gives the same music, in time"


def test_what_is_made_is_music_and_no_silence_noise_or_drone(take):
    from expotion_lite.evaluation.metrics import onset_strength

    assert take.audio.shape == (2 * take.sample_rate,) and np.abs(take.audio).max() <= 1
    spectrum = np.abs(np.fft.rfft(take.audio * np.hanning(len(take.audio)))) ** 2
    flatness = np.exp(np.log(spectrum + 1e-12).mean()) / spectrum.mean()
    assert np.sqrt((take.audio**2).mean()) > 0.01, "silence"
    assert flatness < 0.1, "noise"
    onsets = onset_strength(take.audio, take.sample_rate)
    assert onsets.max() > 3 * onsets.mean(), "a drone has no onsets"


def test_the_adapter_is_at_work_and_can_be_turned_off(short_clip, take):
    pipeline = load_pipeline()
    blind = generate_codes(pipeline, [PROMPT], [take.controls], Settings(seed=1, visual_guidance=0.0))[0]
    assert not np.array_equal(blind, take.codes)
    other = generate_codes(pipeline, [PROMPT], [take.controls], Settings(seed=2))[0]
    assert not np.array_equal(other, take.codes)


class SetLater(threading.Event):
    """An event that is set when it has been looked at `looks` times."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    def is_set(self):
        self.looks -= 1
        return self.looks < 0


def test_cancelled_music_is_kept_and_ends_in_silence(short_clip, take):
    """The clip's 50 frames look once each, then every step of the music."""
    cut = generate(short_clip, PROMPT, seed=1, cancel=SetLater(50 + 60), progress=False)
    assert cut.audio.shape == take.audio.shape
    assert np.array_equal(cut.codes, take.codes[:, : cut.codes.shape[1]]) and 50 < cut.codes.shape[1] <= 60
    end = cut.codes.shape[1] * 320
    assert cut.audio[: end - 1000].std() > 0.01 and not cut.audio[end:].any()


def test_cancelled_before_the_music_there_is_nothing_to_keep(short_clip, tmp_path):
    with pytest.raises(Cancelled, match="nothing was made"):
        generate(short_clip, PROMPT, output=tmp_path / "out.mp4", cancel=SetLater(10), progress=False)
    assert not list(tmp_path.iterdir())


def test_finish_cuts_or_fills_fades_and_never_clips():
    loud = np.full(1000, 2.0, np.float32)
    assert fit_to_duration(loud, 1000, 0.5).shape == (500,) and fit_to_duration(loud, 1000, 1.5).shape == (1500,)
    assert np.abs(fit_to_duration(loud, 1000, 0.5)).max() < 1.0
    assert fit_to_duration(loud, 1000, 0.5)[-1] == 0 and not fit_to_duration(loud, 1000, 1.5)[1000:].any()


def test_the_bundled_adapter_belongs_to_nano(short_clip):
    with pytest.raises(ExpotionError, match="belongs to nano"):
        generate(short_clip, PROMPT, model="facebook/musicgen-small", progress=False)


@pytest.mark.parametrize("seen", [0, 2])
def test_nobody_or_hardly_anybody_in_the_video(short_clip, seen, tmp_path, capsys):
    """A clip of 30 grey frames, in `seen` of which a person is shown: one line, exit code 2, nothing written."""
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


def test_tiny_pictures_and_a_single_frame(tmp_path, capsys):
    for name, video in {
        "tiny": make_video(tmp_path / "tiny.mp4", size=(8, 8)),
        "single": write_video(tmp_path / "single.mp4", islice(read_frames(example_clip()), 1)),
    }.items():
        assert main(["generate", str(video), "--prompt", PROMPT, "-o", str(tmp_path / "o.mp4"), "--quiet"]) == 2, name
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "o.mp4").exists()


def test_a_file_object_is_read_from_its_start_and_text_is_refused(short_clip, take):
    with open(short_clip, "rb") as file:
        file.seek(1000)
        again = generate(file, PROMPT, seed=1, progress=False)
    assert np.array_equal(again.codes, take.codes)
    with open(__file__) as text, pytest.raises(ExpotionError, match="open binary file"):
        generate(text, PROMPT, progress=False)


def test_if_one_output_fails_neither_is_there(short_clip, tmp_path, monkeypatch):
    def full(*_, **__):
        raise ExpotionError("The disk is full.")

    monkeypatch.setattr("expotion_lite.video.writing.write_wav", full)
    files = {"output": tmp_path / "o.mp4", "audio_output": tmp_path / "o.wav"}
    with pytest.raises(ExpotionError, match="full"):
        generate(short_clip, PROMPT, progress=False, **files)
    assert not list(tmp_path.iterdir())


def test_waiting_for_other_music_can_be_cancelled():
    pipeline, cancel = load_pipeline(), threading.Event()
    cancel.set()
    controls = synthetic_pair(9_100, 9_100, 1.0)[1]
    with pipeline.lock, pytest.raises(Cancelled, match="other music"):
        generate_codes(pipeline, [PROMPT], [controls], Settings(), cancel=cancel)
    assert not pipeline.lock.locked()


def test_a_minute_of_music_has_no_seams():
    """Where one window ends and the next goes on there is no click, no jump in level and no crowd of new notes."""
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
