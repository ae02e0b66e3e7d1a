"""The studio without widgets: music that sounds while it is made, and takes that are cancelled, exported, rebuilt."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from expotion_lite import Settings, Take, generate, to_audio
from expotion_lite.controls import Steering
from expotion_lite.errors import Cancelled, ExpotionError
from expotion_lite.studio import Session

PROMPT = "steady rock with guitar, bass and drums"


@pytest.mark.slow
def test_the_streamed_sound_is_the_sound_of_the_take(session, source):
    chunks, reports = [], []
    made = session.generate(source, PROMPT, on_sound=chunks.append, on_progress=reports.append)
    heard, whole = np.concatenate(chunks), to_audio(session.pipeline().musicgen, made.take.codes)
    assert len(chunks) >= 4 and len(chunks[0]) == 8000 and len(heard) == len(made.take.audio)
    np.testing.assert_allclose(heard, np.clip(whole[: len(heard)], -1, 1), atol=1e-3)
    assert reports[-1].done_s == pytest.approx(2.0, abs=0.01) and reports[-1].left_s == pytest.approx(0, abs=0.1)
    same = generate(source.video, PROMPT, progress=False)
    assert np.array_equal(made.take.codes, same.codes) and np.array_equal(made.take.audio, same.audio)


@pytest.mark.slow
def test_streaming_continues_over_the_seam_of_two_windows(session, gesture):
    chunks = []
    made = session.generate(gesture, PROMPT, on_sound=chunks.append)
    assert made.frames > session.pipeline().musicgen.window
    heard, whole = np.concatenate(chunks), to_audio(session.pipeline().musicgen, made.take.codes)
    np.testing.assert_allclose(heard, np.clip(whole[: len(heard)], -1, 1), atol=2e-3)


@pytest.mark.slow
def test_a_cancelled_take_is_exported_and_rebuilt_exactly(session, gesture, tmp_path):
    """The steering, the other person and the number of frames are in the json, and another session reads them."""
    cancel = threading.Event()
    made = session.generate(
        gesture,
        PROMPT,
        settings=Settings(seed=5, top_k=50),
        steering=Steering({"arms": 0.0, "pulse": 0.5}).draw("motion_energy", [0, 1, 0.5]),
        other=session.stranger(4, 6.0),
        on_progress=lambda progress: progress.done_s > 0.5 and cancel.set(),
        cancel=cancel,
    )
    assert 25 <= made.frames < 500 and not made.take.audio[(made.frames + 1) * 320 :].any()
    paths = session.export(made, tmp_path / "out" / "take")
    with pytest.raises(ExpotionError, match="exists"):
        session.export(made, tmp_path / "out" / "take")
    rebuilt, same = Session().rebuild(paths["json"])
    assert same and np.array_equal(rebuilt.take.codes, made.take.codes)
    assert np.array_equal(rebuilt.take.audio, made.take.audio) and rebuilt.frames == made.frames


def test_a_take_of_another_model_is_not_rebuilt(session, source, tmp_path):
    cancel = threading.Event()
    made = session.generate(
        source, PROMPT, on_progress=lambda progress: progress.done_s > 0.2 and cancel.set(), cancel=cancel
    )
    paths = session.export(made, tmp_path / "take")
    with pytest.raises(ExpotionError, match="made by nano with the adapter bundled"):
        Session(adapter=None).rebuild(paths["json"])


@pytest.mark.slow
def test_the_stop_button_of_the_kernel_keeps_what_was_made(session, gesture):
    """In Colab nothing else can stop it. A button is pressed once."""
    pressed = []

    def press(progress):
        if progress.done_s > 0.5 and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt

    made = session.generate(gesture, PROMPT, on_progress=press)
    whole = session.generate(gesture, PROMPT)
    assert 25 < made.frames < 500 and np.array_equal(made.take.codes, whole.take.codes[:, : made.frames])


def test_a_take_that_is_cancelled_before_any_music_is_not_kept(source):
    cancel = threading.Event()
    cancel.set()
    session = Session()
    with pytest.raises(Cancelled, match="before there was any music"):
        session.generate(source, PROMPT, cancel=cancel)
    assert not session.takes


@pytest.mark.slow
def test_a_video_is_opened_once_unless_its_file_is_gone(short_clip, tmp_path):
    session, path = Session(), tmp_path / "me.mp4"
    path.write_bytes(short_clip.read_bytes())
    first = session.open(path)
    assert session.open(short_clip) is first
    path.unlink()
    assert session.open(short_clip).video == short_clip and first.video == path


@pytest.mark.slow
def test_an_export_never_replaces_its_own_video_and_is_complete_or_absent(short_clip, tmp_path, monkeypatch):
    session, path = Session(), tmp_path / "me.mp4"
    path.write_bytes(short_clip.read_bytes())
    made = session.generate(session.open(path), PROMPT)
    with pytest.raises(ExpotionError, match="input video itself"):
        session.export(made, tmp_path / "me", overwrite=True)
    monkeypatch.setattr(Take, "save_audio", lambda *_, **__: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        session.export(made, tmp_path / "take")
    assert [file.name for file in tmp_path.iterdir()] == ["me.mp4"] and path.read_bytes() == short_clip.read_bytes()
