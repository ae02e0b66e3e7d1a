"""The Python side of the parts that need JavaScript: what the recorder receives, and what the others send."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="the notebook extra is not installed: pip install -e '.[notebooks]'")

from expotion_lite.controls import beats_curve
from expotion_lite.studio import Curve, Recorder, Sound
from expotion_lite.studio.browser import CHUNK


def test_a_file_arrives_in_acknowledged_chunks(tmp_path, browser_of):
    files = []
    browser = browser_of(Recorder(tmp_path, lambda *file: files.append(file)))
    data = bytes(range(256)) * 3000
    assert len(data) > 2 * CHUNK and browser.send_file(data, "../my film.mp4")["type"] == "ack"
    ((path, backing_name),) = files
    assert path.read_bytes() == data and path.name == "my film.mp4" and backing_name is None
    assert path.is_relative_to(tmp_path) and browser.recorder.share == 1
    browser.send_file(data, "my film.mp4", backing_name="a waltz")
    assert files[1][0].name == "my film 2.mp4" and files[1][1] == "a waltz"


@pytest.mark.parametrize("fault", ["lost", "too short", "too large", "empty", "of another file"])
def test_an_incomplete_file_is_deleted_and_explained_on_one_line(tmp_path, fault, browser_of):
    files = []
    browser = browser_of(Recorder(tmp_path, lambda *file: files.append(file)))
    if browser.send(type="begin", name="a.mp4", size=0 if fault == "empty" else 100)["type"] == "ack":
        if fault == "too short":
            browser.send(b"x" * 50, type="chunk", index=0)
            browser.send(type="end")
        else:
            chunk = b"x" * (CHUNK + 1 if fault == "too large" else 50)
            browser.send(chunk, type="chunk", index=int(fault == "lost"), id=2 if fault == "of another file" else 1)
    answer = browser.answers[-1]
    assert answer["type"] == "error" and "again" in answer["text"] and "\n" not in answer["text"]
    assert not files and not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_curve_is_drawn_once_it_is_not_flat():
    curve = Curve(50, duration_s=2.0)
    assert not curve.is_drawn and len(curve.values) == 50
    curve.values = beats_curve(120, 2.0, 50)
    assert curve.is_drawn and max(curve.values) == pytest.approx(1, abs=0.1)
    curve.reset(4.0)
    assert not curve.is_drawn and (len(curve.values), curve.duration_s) == (100, 4.0)


def test_sound_is_sent_as_float32_chunks():
    sound, sent = Sound(), []
    sound.send = lambda content, buffers=(): sent.append((content, [len(b) for b in buffers]))
    sound.start(2)
    sound.feed(np.zeros(100), 16_000)
    sound.end()
    assert [content["type"] for content, _ in sent] == ["start", "chunk", "end"] and sent[1][1] == [400]
