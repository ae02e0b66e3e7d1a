"""Small files that anybody may have written: .npz, JSON, captions.csv. They are refused before they fill the memory."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hostile_inputs import assert_refused, fingerprint

from expotion_lite.controls.channels import Controls
from expotion_lite.data.captions import TABLE, read_table
from expotion_lite.data.examples import Examples
from expotion_lite.data.human_music_moves import captions_in
from expotion_lite.data.recordings import RecordedFolder
from expotion_lite.errors import ExpotionError
from expotion_lite.limits import check_duration
from expotion_lite.musicgen.settings import Settings, check_prompt


def npy(shape: str, dtype: str = "<f4", data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """Return a .npy file whose header says what it likes."""
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(header)) + header.encode() + data


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return out.getvalue()


def saved(**arrays: object) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


FINE = {
    "values": np.zeros((4, 2), np.float32),
    "channels": np.array(["smile", "pulse"]),
    "frame_rate": np.float64(50),
    "found": np.ones(4, bool),
    "codes": np.zeros((1, 4, 3), np.int16),
    "controls": np.zeros((1, 3, 2), np.float16),
    "captions": np.array(["rock"]),
    "songs": np.array([1]),
    "performers": np.array([1]),
}
WHOLE = saved(**FINE)


def encrypted() -> bytes:
    """Return an archive whose flags say that it is encrypted."""
    data = bytearray(WHOLE)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := data.find(mark, place + 1)) >= 0:
            data[place + at] |= 1
    return bytes(data)


def twice() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("values.npy", "valuez.npy"):
            archive.writestr(name, npy("(0,)"))
    return out.getvalue().replace(b"valuez", b"values")


NPZ = {
    "empty": b"",
    "text": b"values, channels\n" * 50,
    "a zip of nothing": zipped(),
    "a zip of texts": zipped(values=b"hello", codes=b"hello"),
    **{f"cut after {n}": WHOLE[:n] for n in (1, 3, 4, 30, 200, len(WHOLE) // 2, len(WHOLE) - 30, len(WHOLE) - 1)},
    **{
        f"{flips} bytes wrong": bytes(b ^ (255 * (i % (997 // flips) == 60)) for i, b in enumerate(WHOLE))
        for flips in (1, 5)
    },
    "declares 12 GB": zipped(values=npy("(3000000000,)"), codes=npy("(3000000000,)")),
    "declares 2**70 bytes": zipped(values=npy(f"({2**34}, {2**34})"), codes=npy(f"({2**34}, {2**34})")),
    "negative shape": zipped(values=npy("(-4, 2)"), codes=npy("(-4, 2)")),
    "shape is a call": zipped(values=npy("exit(3)"), codes=npy("exit(3)")),
    "shape is deep": zipped(values=npy("(" * 900 + ")" * 900), codes=npy("(" * 900 + ")" * 900)),
    "array cut off": zipped(values=npy("(100, 2)", data=b"1234"), codes=npy("(1, 4, 300)", "<i2", b"1234")),
    "objects": zipped(values=npy("(1,)", "|O", b"cos\nsystem\n"), codes=npy("(1,)", "|O", b"cos\nsystem\n")),
    "unknown version": zipped(values=npy("(0,)", version=(9, 9)), codes=npy("(0,)", version=(9, 9))),
    "unknown type": zipped(values=npy("(0,)", "<q99"), codes=npy("(0,)", "<q99")),
    "encrypted": encrypted(),
    "2,000 arrays": zipped(**{f"a{i}": npy("(0,)") for i in range(2000)}),
    "two of one name": twice(),
    **{
        f"{name} is {value!r:.30}": saved(**FINE | {name: value})
        for name, value in {
            "values": np.zeros((4, 3), np.float32),
            "codes": np.zeros((4, 3), np.int16),
            "channels": np.array([1, 2]),
            "found": np.zeros(9, bool),
            "controls": np.zeros((1, 9, 2), np.float16),
            "frame_rate": np.float64(np.nan),
            "captions": np.array(["rock", "pop"]),
            "songs": np.array(["one"]),
            "performers": np.array([[1]]),
        }.items()
    },
    "values not finite": saved(**FINE | {"values": np.full((4, 2), np.nan, np.float32)}),
    "controls not finite": saved(**FINE | {"controls": np.full((1, 3, 2), np.inf, np.float16)}),
}
ONLY_CONTROLS = ("values", "found", "frame_rate")
ONLY_EXAMPLES = ("codes", "controls", "captions", "songs", "performers")


@pytest.mark.parametrize("kind", ["controls", "examples"])
@pytest.mark.parametrize("name", NPZ)
def test_a_hostile_npz_is_refused_without_filling_the_memory(kind, name, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(NPZ[name])
    before = fingerprint(tmp_path)
    load = Controls.load if kind == "controls" else Examples.load
    if name.startswith(ONLY_EXAMPLES if kind == "controls" else ONLY_CONTROLS):
        load(path)
        return
    tracemalloc.start()
    try:
        assert_refused(lambda: load(path))
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert fingerprint(tmp_path) == before


def test_what_is_not_damaged_is_read(tmp_path):
    (tmp_path / "a.npz").write_bytes(WHOLE)
    assert Controls.load(tmp_path / "a.npz").channels == ("smile", "pulse")
    assert Examples.load(tmp_path / "a.npz").captions == ("rock",)


def test_the_limit_of_an_npz_can_be_changed(tmp_path, monkeypatch):
    (tmp_path / "a.npz").write_bytes(
        saved(**FINE | {"values": np.zeros((600_000, 2), np.float32), "found": np.ones(600_000, bool)})
    )
    assert len(Controls.load(tmp_path / "a.npz").values) == 600_000
    monkeypatch.setenv("EXPOTION_MAX_NPZ_MB", "3")
    assert "EXPOTION_MAX_NPZ_MB" in assert_refused(lambda: Controls.load(tmp_path / "a.npz"))
    for wrong in ("", "0", "-1", "many", "9" * 50):
        monkeypatch.setenv("EXPOTION_MAX_NPZ_MB", wrong)
        if wrong:
            assert_refused(lambda: Controls.load(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    "kind",
    [
        "folder",
        "missing",
        "nul",
        pytest.param("fifo", marks=pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs")),
    ],
)
def test_what_is_no_file_is_not_waited_for(kind, tmp_path):
    path = tmp_path / ("a\0b.npz" if kind == "nul" else "a.npz")
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    assert_refused(lambda: Controls.load(path))
    assert_refused(lambda: Examples.load(path))


SETTINGS = [
    "",
    "{",
    "nul",
    "null",
    "[]",
    "7",
    '"seed"',
    "[" * 10**5,
    '{"a":' * 10**5,
    "[" * 50 + "]" * 50,
    "NaN",
    "1" * 5000,
    '{"seed": 1e999}',
    '{"seed": -1}',
    '{"seed": 1.5}',
    '{"seed": "1"}',
    '{"seed": null}',
    '{"seed": [1]}',
    '{"seed": 99999999999999999999999}',
    '{"guidance": NaN}',
    '{"guidance": -Infinity}',
    '{"guidance": {}}',
    '{"guidance": 1e308}',
    '{"temperature": 1e-320}',
    '{"temperature": 0}',
    '{"temperature": true}',
    '{"top_k": 1e9}',
    '{"top_k": 1000000000000000000000000000}',
    '{"top_k": false}',
    '{"\\u001b[2J": 1}',
    '{"__class__": 1}',
    '{"duration_s": 1e9}',
    '{"seed": 1, "x": {"y": [[[[]]]]}}',
    "\x00",
    "\ufeff{",
    " " * 6_000_000,
    '{"seed": 1' + " " * 6_000_000 + "}",
]


@pytest.mark.parametrize("index", range(len(SETTINGS)))
def test_hostile_settings_are_refused(index):
    assert_refused(lambda: Settings.from_json(SETTINGS[index]))


@pytest.mark.parametrize("seconds", [1e9, 0, -1, float("nan"), float("inf"), "10", None, True, [1]])
def test_a_duration_has_a_limit(seconds):
    assert_refused(lambda: check_duration(seconds))
    assert check_duration(1800) == 1800.0


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " \n",
        "\x00\x1b",
        "rock \udcff\udcfe",
        "a " * 201,
        "x" * 2001,
        "x" * 10**7,
        "\udc80",
        None,
        b"rock",
        3,
        ["rock"],
    ],
    ids=range(12),
)
def test_hostile_prompts_are_refused(prompt):
    assert_refused(lambda: check_prompt(prompt))


TABLES = {
    "no column file": b"caption\nrock\n",
    "unknown column": b"file,\x1b[31mred\na.mp4,x\n",
    "two columns of a name": b"file,file\na.mp4,b.mp4\n",
    "empty": b"",
    "white space": b"\n\n \n",
    "not UTF-8": b"file,caption\na.mp4,caf\xe9\n",
    "UTF-16": "file,caption\na.mp4,rock\n".encode("utf-16"),
    "an executable": b"\x7fELF\x02\x01\x01" + bytes(1000),
    "absolute": b"file\n/etc/passwd\n",
    "absolute, Windows": b"file\nC:\\Windows\\a.mp4\n",
    "a share": b"file\n\\\\server\\share\\a.mp4\n",
    "outside": b"file\n../secret.mp4\n",
    "outside in the middle": b"file\nanna/../../secret.mp4\n",
    "outside, Windows": b"file\n..\\secret.mp4\n",
    "NUL in a name": b"file\na\x00b.mp4\n",
    "no name": b"file,caption\n,rock\n",
    "named twice": b"file\na.mp4\na.mp4\n",
    "too many columns": b"file,caption\na.mp4,rock,pop,jazz\n",
    "a huge field": b"file,caption\na.mp4," + b"x" * 200_000 + b"\n",
    "a long caption": b"file,caption\na.mp4," + b"x" * 2_001 + b"\n",
    "a quote that never ends": b'file,caption\na.mp4,"' + b"rock\n" * 50_000,
    "huge": b"file\n" + b"#" * 10_000_001,
    "many rows": b"file\n" + b"a.mp4\n" * 100_002,
    "many columns": b"file," + b"x," * 5000 + b"\n",
    "a file that is not there": b"file\nb.mp4\n",
    "escape sequences": b"file\n\x1b]0;owned\x07.mp4\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_hostile_table_is_refused(name, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    (tmp_path / TABLE).write_bytes(TABLES[name])
    before = fingerprint(tmp_path)
    assert TABLE in assert_refused(lambda: RecordedFolder(tmp_path))
    assert fingerprint(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs")
def test_pipes_are_not_waited_for(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / TABLE).write_text("file\npipe.mp4\n")
    assert "which is not there" in assert_refused(lambda: RecordedFolder(tmp_path))
    (tmp_path / TABLE).unlink()
    os.mkfifo(tmp_path / TABLE)
    assert "no ordinary file" in assert_refused(lambda: RecordedFolder(tmp_path))


@pytest.mark.parametrize(
    "caption", ["=HYPERLINK(1)", "+1+1", "-2", "@SUM(A1)", '=cmd|" /C calc"!A0', "\u202efdp", "slow\nrock"]
)
def test_captions_are_text_whatever_they_look_like(caption, tmp_path):
    quoted = caption.replace('"', '""')
    (tmp_path / TABLE).write_text(f'file;caption\na.mp4;"{quoted}"\n', encoding="utf-8")
    assert read_table(tmp_path) == {tmp_path / "a.mp4": {"file": "a.mp4", "caption": caption}}


MOVES = [
    "",
    "{",
    "[" * 10**5,
    "7",
    '"a"',
    "[1]",
    "[[]]",
    '[{"a": "b"}]',
    "null",
    "[null]",
    "[{}]",
    "\x00",
    "[" * 60 + "]" * 60,
]


@pytest.mark.parametrize("index", range(len(MOVES)))
def test_hostile_captions_of_published_recordings_are_refused(index, tmp_path):
    path = tmp_path / "captions.json"
    path.write_text(MOVES[index])
    assert_refused(lambda: captions_in(path))


def test_hostile_csv_of_published_recordings_is_refused(tmp_path):
    path = tmp_path / "captions.csv"
    for data in (b"\xff\xfe", b"a," + b"x" * 200_000, b'"a' + b"\n" * 999_999):
        path.write_bytes(data)
        assert_refused(lambda: captions_in(path))


def test_zeros_that_unpack_to_more_than_is_allowed_are_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPOTION_MAX_NPZ_MB", "50")
    path = tmp_path / "a.npz"
    path.write_bytes(zipped(values=npy("(15000000,)", data=bytes(60_000_000))))
    assert path.stat().st_size < 100_000
    assert "EXPOTION_MAX_NPZ_MB" in assert_refused(lambda: Controls.load(path))


def test_a_json_object_of_usual_depth_is_read():
    assert Settings.from_json(json.dumps({"seed": 3})).seed == 3
    with pytest.raises(ExpotionError, match="not JSON"):
        Settings.from_json(Path(__file__).read_text())
