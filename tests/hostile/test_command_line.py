"""Hostile arguments on the command line: code 2 and one visible line, nothing written, nothing changed."""

from __future__ import annotations

import os
import shutil
import sys

import pytest
from hostile_inputs import fingerprint, run_refused

from expotion_lite import cli
from expotion_lite.assets import example_clip

posix = pytest.mark.skipif(sys.platform == "win32", reason="no devices in the file system")

OPTIONS = {
    **{
        f"temperature {x}": ["--temperature", x] for x in ("1e-320", "0", "-1", "inf", "nan", "1e999", "", "0x1", "٣e9")
    },
    **{f"seed {x}": ["--seed", x] for x in ("-1", "4294967296", "9" * 5000, "1.0", "", "1e3", "\x1b[31m")},
    **{f"guidance {x}": ["--guidance", x] for x in ("-1e-320", "21", "nan", "-inf")},
    **{f"visual guidance {x}": ["--visual-guidance", x] for x in ("-1", "1e308", "nan")},
    **{f"top-k {x}": ["--top-k", x] for x in ("0", "-5", "99999999999999999999", "1e2")},
    **{f"beat {x}": ["--beat", x] for x in ("-0.1", "2", "nan")},
    **{
        f"device {x!r}": ["--device", x]
        for x in ("meta", "mps", "cuda:99", "vulkan", "", "cpu\n", "\x1b[2J", "x" * 9999, "cpu:-1")
    },
    **{f"dtype {x!r}": ["--dtype", x] for x in ("int8", "", "\x07")},
    **{
        f"model {x!r:.20}": ["--model", x]
        for x in ("../../etc", "https://evil/x", "", "x" * 9999, "a\0b", "\x1b[31m", "/proc", "/dev/null", "~/none")
    },
    **{
        f"adapter {x!r:.20}": ["--adapter", x]
        for x in ("/dev/null", "https://evil/x", "", "x" * 9999, "a\0b", "\x1b[31m", "/", "/proc/self")
    },
    **{f"prompt {x!r:.20}": ["--prompt", x] for x in ("", "\x00", "\udcff\udcfe", "word " * 999, "x" * 99_999)},
    "unknown option": ["--\x1b[31m"],
    "another command": ["\udcff", "\x1b]0;x\x07"],
}
NAMES = {
    "": "",
    "NUL": "a\0b",
    "escape": "\x1b[2J\x1b[31m",
    "title": "\x1b]0;owned\x07",
    "newline": "a\nb",
    "bytes": "\udcff\udcfe",
    "right to left": "\u202etxt",
    "too long": "x" * 300,
    "far too long": "x/" * 4000,
    "percent": "%s%n{0}",
    "a dash": "-",
    "quote": "'\"`$(id)",
}


@pytest.fixture(autouse=True)
def _fast(monkeypatch, tmp_path):
    """Nothing here may get as far as a model's weights or a person's landmarks."""

    def reached(*_, **__):
        raise AssertionError("expensive work was begun")

    monkeypatch.setattr("transformers.MusicgenForConditionalGeneration.from_pretrained", reached)
    monkeypatch.setattr("expotion_lite.landmarks.extraction.extract_landmarks", reached)
    monkeypatch.chdir(tmp_path)
    shutil.copy(example_clip(), tmp_path / "me.mp4")


def generate(*more: object) -> list[object]:
    return ["generate", "me.mp4", "--prompt", "rock", "-o", "out.mp4", "--quiet", *more]


@pytest.mark.parametrize("name", OPTIONS)
def test_hostile_options_of_generate(name, tmp_path, capsys):
    before = fingerprint(tmp_path)
    run_refused(capsys, *generate(*OPTIONS[name]))
    assert fingerprint(tmp_path) == before


@pytest.mark.parametrize("command", ["generate", "controls", "finetune", "evaluate"])
@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_of_inputs(command, name, tmp_path, capsys):
    before = fingerprint(tmp_path)
    rest = {"generate": ["--prompt", "rock", "-o", "out.mp4"], "controls": ["-o", "out.npz"], "finetune": ["-o", "out"]}
    run_refused(capsys, command, f"{NAMES[name]}.mp4" if NAMES[name] else "", *rest.get(command, []))
    assert fingerprint(tmp_path) == before


@posix
@pytest.mark.parametrize("command", ["generate", "controls", "finetune"])
@pytest.mark.parametrize(
    "place",
    [
        "/proc/x",
        "/proc/1/x",
        "/dev/full",
        "/dev/null",
        "/dev/full/x",
        "/sys/x",
        "folder",
        "pipe",
        "loop",
        "loop/x",
        "me.mp4/x",
        "n" * 300,
        "n/" * 3000,
        "a\0b",
        "missing/\0/b",
    ],
)
def test_places_that_cannot_be_written(command, place, tmp_path, capsys):
    suffix = {"generate": ".mp4", "controls": ".npz", "finetune": ""}[command]
    if command == "finetune" and place == "folder":
        pytest.skip("a folder is what it wants")
    name = place if place.startswith("/dev/") and not place.endswith("x") else place + suffix
    (tmp_path / f"folder{suffix}").mkdir()
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"loop{suffix}").symlink_to(f"loop{suffix}")
    (tmp_path / "loop").exists() or (tmp_path / "loop").is_symlink() or (tmp_path / "loop").symlink_to("loop")
    before = sorted(os.listdir(tmp_path)), fingerprint(tmp_path)
    data = {
        "generate": ["me.mp4", "--prompt", "rock"],
        "controls": ["me.mp4"],
        "finetune": ["synthetic", "--examples", "2"],
    }
    run_refused(capsys, command, *data[command], "-o", name, "--overwrite", "--quiet")
    assert (sorted(os.listdir(tmp_path)), fingerprint(tmp_path)) == before


@posix
def test_an_input_that_would_be_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "model").mkdir()
    os.mkfifo(tmp_path / "model" / "config.json")
    run_refused(capsys, *generate("--model", "model"))


@pytest.mark.parametrize(
    "flags",
    [
        ["--minutes", "nan"],
        ["--minutes", "inf"],
        ["--minutes", "-1"],
        ["--minutes", "1e-999"],
        ["--batch", "0"],
        ["--batch", "-8"],
        ["--seed", "-1"],
        ["--seed", "4294967296"],
        ["--held-out", "nan"],
        ["--held-out", "1"],
        ["--held-out", "-0.1"],
        ["--examples", "0"],
        ["--examples", "-3"],
        ["--device", "meta"],
        ["--device", "mps"],
        ["--model", "a\0b"],
        ["--start", "a\0b"],
        ["--start", "/dev/null"],
        ["--start", "\x1b[31m"],
        ["--start", ""],
        ["--model", "/proc"],
    ],
    ids=" ".join,
)
def test_hostile_options_of_finetune(flags, tmp_path, capsys):
    before = fingerprint(tmp_path)
    run_refused(capsys, "finetune", "synthetic", "-o", "out", "--quiet", *flags)
    assert fingerprint(tmp_path) == before


def test_a_model_that_wants_to_run_code_is_named(tmp_path, capsys):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text('{"model_type": "musicgen", "auto_map": {"AutoModel": "evil.M"}}')
    (tmp_path / "m" / "evil.py").write_text("open('was_run', 'w')")
    assert "auto_map" in run_refused(capsys, *generate("--model", "m"))
    assert not (tmp_path / "was_run").exists()


def test_a_name_of_255_bytes_can_be_written(tmp_path, monkeypatch):
    from expotion_lite.files import atomic_write, check_output

    name = "n" * 251 + ".mp4"
    check_output(name, ".mp4")
    with atomic_write(name) as temporary:
        temporary.write_text("whole")
    assert (tmp_path / name).read_text() == "whole"


def test_help_is_printed(capsys):
    assert cli.main(["--help"]) == 0 and "examples" in capsys.readouterr().out
