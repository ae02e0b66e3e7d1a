"""The command line: bad input gives one clear line and exit code 2, and leaves no file."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from stick_people import stick_person

from expotion_lite import __version__, cli
from expotion_lite.files import atomic_write
from expotion_lite.synthetic.instruments import INSTRUMENTS
from expotion_lite.synthetic.styles import STYLES
from expotion_lite.video.reading import Frame
from expotion_lite.video.writing import write_video, write_wav


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """A folder with a valid video of one second, and files that only look like one."""
    folder = tmp_path_factory.mktemp("inputs")
    grey = (np.full((96, 128, 3), 8 * index, np.uint8) for index in range(15))
    fine = write_video(folder / "fine.mp4", (Frame(image, index / 15) for index, image in enumerate(grey)))
    (folder / "text.mp4").write_text("this is not a video\n" * 100)
    (folder / "empty.mp4").touch()
    (folder / "cut.mp4").write_bytes(fine.read_bytes()[: fine.stat().st_size // 2])
    write_wav(folder / "sound.wav", np.zeros(16000, np.float32), 16000)
    (folder / "folder.mp4").mkdir()
    return folder


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def no_model(monkeypatch):
    """Fail if a request gets as far as loading a model."""

    def loaded(*_):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("expotion_lite.generation.load_pipeline", loaded)


def finished(seconds, words=(), frame_rate=25):
    """Return what the command line reads of a take."""
    landmarks = stick_person(np.arange(0, seconds, 1 / frame_rate))
    audio = np.zeros(round(seconds * 16000), np.float32)
    return SimpleNamespace(audio=audio, sample_rate=16000, unknown_words=words, landmarks=landmarks)


@pytest.fixture
def done(monkeypatch):
    """Replace the generation, which takes seconds, by a finished take of 2 s."""
    take = finished(2.0, words=("polka",))
    monkeypatch.setattr("expotion_lite.generation.generate", lambda *_, **__: take)


def refused(capsys, *arguments, code=2):
    """Run the command line, check that it refuses on one line of stderr, and return that line."""
    assert cli.main([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("expotion-lite: ") and captured.err.endswith("\n")
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize("command", ["generate", "controls"])
@pytest.mark.parametrize("name", ["text.mp4", "empty.mp4", "cut.mp4", "sound.wav", "folder.mp4", "missing.mp4", ""])
def test_a_file_that_is_no_video_is_refused_by_name(command, name, inputs, out, no_model, capsys):
    target = [out / "new.mp4", "--prompt", "piano"] if command == "generate" else [out / "new.npz"]
    line = refused(capsys, command, inputs / name, "-o", *target)
    assert line.startswith("expotion-lite: error: ")
    assert (name or inputs.name) in line
    assert len(line) < 400
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--prompt", ""], "prompt is empty"),
        (["--prompt", "  "], "prompt is empty"),
        (["--prompt", "word " * 5000], "5,000 words.*at most 200"),
        (["--guidance", "-1"], "guidance is -1.*0 to 20"),
        (["--guidance", "nan"], "guidance is nan"),
        (["--guidance", "loud"], "--guidance.*loud"),
        (["--visual-guidance", "-0.5"], "--visual-guidance is -0.5.*0 to 20"),
        (["--temperature", "0"], "--temperature is 0.*0.001 to 5"),
        (["--top-k", "0"], "--top-k is 0.*1 to"),
        (["--top-k", "2.5"], "--top-k.*2.5"),
        (["--beat", "1.5"], "the beat is 1.5.*0 to 1"),
        (["--seed", "-3"], "seed is -3.*0 to 4294967295"),
        (["--model", "nanoo"], "Unknown model 'nanoo'.*nano"),
        (["--adapter", "no/such/folder"], "No adapter folder 'no/such/folder'"),
        (["--audio", "music.mp3"], r"music\.mp3 must end in \.wav"),
        (["--audio", "music"], r"music must end in \.wav"),
        (["--tempo", "120"], "--tempo.*--help"),
    ],
)
def test_a_wrong_option_is_refused_before_any_work(options, names, inputs, out, no_model, capsys):
    request = ["generate", inputs / "fine.mp4", "--prompt", "piano", "-o", out / "new.mp4"]
    assert re.search(names, refused(capsys, *request, *options))
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "name", "says"),
    [
        ("generate", "new.avi", r"must end in \.mp4, for example new\.mp4"),
        ("generate", "new", r"must end in \.mp4"),
        ("generate", "there.mp4", "exists.*--overwrite"),
        ("generate", "there.mp4/new.mp4", "Cannot write"),
        ("controls", "new.csv", r"must end in \.npz"),
        ("controls", "there.npz", "exists.*--overwrite"),
        ("controls", "there.npz/new.npz", "Cannot write"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(command, name, says, inputs, out, no_model, capsys):
    for there in ("there.mp4", "there.npz"):
        (out / there).write_text("precious")
    prompt = ["--prompt", "piano"] if command == "generate" else []
    assert re.search(says, refused(capsys, command, inputs / "fine.mp4", *prompt, "-o", out / name))
    assert {path.name: path.read_text() for path in out.iterdir()} == {"there.mp4": "precious", "there.npz": "precious"}


def test_a_folder_without_permission_is_refused_before_any_work(inputs, out, no_model, capsys, monkeypatch):
    """The error is raised by hand, because root may write anywhere."""

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    request = ["generate", inputs / "fine.mp4", "--prompt", "piano", "-o", out / "new.mp4"]
    assert "Cannot write into" in (line := refused(capsys, *request)) and "Permission denied" in line


def test_an_existing_music_file_is_refused_as_well(inputs, out, no_model, capsys):
    (out / "music.wav").write_text("precious")
    request = ["generate", inputs / "fine.mp4", "--prompt", "piano", "-o", out / "new.mp4"]
    assert "--overwrite" in refused(capsys, *request, "--audio", out / "music.wav")
    assert (out / "music.wav").read_text() == "precious"


def test_the_input_is_never_overwritten(inputs, no_model, capsys):
    video = inputs / "fine.mp4"
    before = video.read_bytes()
    line = refused(capsys, "generate", video, "--prompt", "piano", "-o", video, "--overwrite")
    assert "is the input video itself" in line
    assert video.read_bytes() == before


def test_a_wrong_request_is_refused_before_torch_is_imported(inputs, out):
    request = ["generate", str(inputs / "fine.mp4"), "--prompt", "piano", "-o", str(out / "new.avi")]
    code = f"import sys; from expotion_lite import cli; print(cli.main({request}), 'torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "2 False\n" and "must end in .mp4" in run.stderr


def test_the_summary_names_the_files_and_what_nano_does_not_know(inputs, out, done, capsys):
    files = ["-o", out / "new.mp4", "--audio", out / "music.wav"]
    request = ["generate", inputs / "fine.mp4", "--prompt", "slow polka", *files, "--seed", "7"]
    assert cli.main([str(argument) for argument in request]) == 0
    text = capsys.readouterr().out
    assert "new.mp4: 2.0 s of music by nano, seed 7" in text and "music.wav" in text
    assert "nano does not know polka" in text


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--visual-guidance", "50"], "error: --visual-guidance is 50.0; choose"),
        (["--seed", "-1"], "error: --seed is -1; choose"),
        (["--top-k", "0"], "error: --top-k is 0; choose"),
    ],
)
def test_numbers_are_named_as_they_were_written(inputs, out, capsys, flags, words):
    request = ["generate", inputs / "fine.mp4", "--prompt", "rock", "-o", out / "a.mp4"]
    assert words in refused(capsys, *request, *flags)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--minutes", "0"], "error: --minutes is 0; give"),
        (["--batch", "0"], "error: --batch is 0; choose"),
        (["--examples", "0"], "error: --examples is 0; choose"),
        (["--held-out", "2"], "error: --held-out is 2.0; choose"),
    ],
)
def test_numbers_of_a_training_are_named_as_they_were_written(out, capsys, flags, words):
    assert words in refused(capsys, "finetune", "synthetic", "-o", out / "adapter", *flags)
    assert not (out / "adapter").exists()


def test_advice_is_given_unless_quiet(inputs, out, monkeypatch, capsys):
    monkeypatch.setattr("expotion_lite.generation.generate", lambda *_, **__: finished(4.0, frame_rate=2))
    request = ["generate", str(inputs / "fine.mp4"), "--prompt", "rock", "-o", str(out / "a.mp4")]
    assert cli.main(request) == 0
    assert "advice: There are 2.0 frames a second" in capsys.readouterr().out
    assert cli.main([*request, "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_the_beat_is_passed_on(inputs, out, monkeypatch, capsys):
    asked = []
    take = finished(1.0)
    monkeypatch.setattr("expotion_lite.generation.generate", lambda *_, **options: asked.append(options) or take)
    request = ["generate", str(inputs / "fine.mp4"), "--prompt", "rock", "-o", str(out / "a.mp4")]
    for flags in ([], ["--beat", "0.9"]):
        assert cli.main([*request, *flags]) == 0
    assert [options["beat"] for options in asked] == [0.5, 0.9]


def test_evaluate_prints_what_was_measured(tmp_path, capsys, monkeypatch):
    from expotion_lite.evaluation.folder import FolderReport

    gain = {"gain": 0.21, "gain_95": (0.1, 0.3), "p": 0.004}
    report = FolderReport(("a.mp4", "b.mp4"), 7, 9.0, {"speed": gain, "stop": gain}, 0.5, {"c.mp4": "It is silent."})
    asked = []
    monkeypatch.setattr(
        "expotion_lite.evaluation.folder.evaluate_folder", lambda *places, **options: asked.append(places) or report
    )
    assert cli.main(["evaluate", "takes", "-o", "result"]) == 0
    assert asked == [("takes", "result")]
    text = capsys.readouterr().out
    assert "follows the people" in text and "+0.21" in text and "freeze: 0.50" in text
    assert "left out: c.mp4: It is silent." in text


def test_evaluate_of_no_videos_is_refused(tmp_path, capsys):
    assert "at least two are needed" in refused(capsys, "evaluate", tmp_path)
    assert "no folder" in refused(capsys, "evaluate", tmp_path / "none")


def test_quiet_prints_nothing(inputs, out, done, capsys):
    request = ["generate", inputs / "fine.mp4", "--prompt", "piano", "-o", out / "new.mp4", "--quiet"]
    assert cli.main([str(argument) for argument in request]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("error", "code", "says"), [(KeyboardInterrupt, 130, "stopped"), (KeyError, 1, "--debug")])
def test_an_interruption_and_an_unexpected_error_give_one_line(error, code, says, inputs, out, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise error

    monkeypatch.setattr("expotion_lite.generation.generate", interrupted)
    request = ["generate", inputs / "fine.mp4", "--prompt", "piano", "-o", out / "new.mp4"]
    assert says in refused(capsys, *request, code=code)


def test_debug_shows_where_an_error_comes_from(inputs, out, capsys):
    request = ["controls", str(inputs / "empty.mp4"), "-o", str(out / "new.npz"), "--debug"]
    assert cli.main(request) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback") and lines[-1].startswith("expotion-lite: error: ")


@pytest.mark.parametrize("arguments", [[], ["sing"], ["generate"], ["controls", "a.mp4"], ["generate", "a.mp4", "b"]])
def test_an_incomplete_command_points_to_the_help(arguments, capsys):
    assert "--help" in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["generate", "a.mp4", "--prompt", "rock", "happy", "-o", "b.mp4"],
            "happy; put a prompt of several words in quotes",
        ),
        (["generate", "a.mp4", "--prompt", "rock"], "for example -o out.mp4"),
    ],
)
def test_common_mistakes_get_a_hint(arguments, says, capsys):
    assert says in refused(capsys, *arguments)


def test_help_explains_every_setting(capsys):
    assert cli.main(["generate", "--help"]) == 0
    text = capsys.readouterr().out
    for flag in (
        "--prompt --output --audio --model --adapter --seed --guidance --visual-guidance --temperature --top-k --beat"
    ).split():
        assert flag in text
    said = " ".join(text.split())
    assert all(name in said for name in (*STYLES, *INSTRUMENTS)), "the words that nano knows"
    for example in re.findall(r"^  expotion-lite (.*)$", text, re.MULTILINE):
        words = re.findall(r'"[^"]*"|\S+', example)
        cli.build_parser().parse_args([word.strip('"') for word in words])
    assert max(len(line) for line in text.splitlines()) <= 120


def test_python_m_prints_the_version():
    run = subprocess.run(
        [sys.executable, "-m", "expotion_lite", "--version"], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"expotion-lite {__version__}\n" and run.stderr == ""


@pytest.mark.filterwarnings("default")
def test_controls_writes_numbers_over_time(out, capsys):
    from skimage.data import astronaut
    from skimage.transform import rotate

    turned = [(255 * rotate(astronaut(), 6 * np.sin(index / 2), mode="edge")).astype(np.uint8) for index in range(8)]
    video = write_video(out / "me.mp4", (Frame(image, index / 15) for index, image in enumerate(turned)))
    assert cli.main(["controls", str(video), "-o", str(out / "c.npz"), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    with np.load(out / "c.npz", allow_pickle=False) as saved:
        assert set(saved) == {"values", "channels", "frame_rate", "found"}
        rows = round(8 / 15 * 50)
        assert saved["values"].shape == (rows, len(saved["channels"])) and saved["values"].dtype == np.float32
        assert np.isfinite(saved["values"]).all()
        assert float(saved["frame_rate"]) == 50.0
        assert saved["found"].shape == (rows,) and saved["found"].all()


def test_controls_of_a_video_without_a_person_are_refused(inputs, out, capfd):
    assert cli.main(["controls", str(inputs / "fine.mp4"), "-o", str(out / "c.npz"), "--quiet"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and "A person was found in none of the" in lines[0]
    assert list(out.iterdir()) == []


def test_an_impossible_file_name_is_refused(inputs, out, no_model, capsys):
    request = ["generate", inputs / "fine.mp4", "--prompt", "piano", "-o", out / ("x" * 300 + ".mp4")]
    assert "cannot name a file" in refused(capsys, *request)


def test_sigterm_leaves_no_incomplete_file(inputs, out, capsys, monkeypatch):
    def ended(*_, output, **__):
        with atomic_write(output) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("expotion_lite.generation.generate", ended)
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["generate", str(inputs / "fine.mp4"), "--prompt", "piano", "-o", str(out / "new.mp4")]) == 143
    assert list(out.iterdir()) == [] and signal.getsignal(signal.SIGTERM) == before
