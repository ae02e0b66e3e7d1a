"""The live instrument without a browser: pictures in, sound out, and messages that are no good."""

from __future__ import annotations

import time
from itertools import islice

import cv2
import numpy as np
import pytest

from expotion_lite import LiveEngine, example_clip, load_pipeline, read_frames
from expotion_lite.studio import LiveInstrument, LivePlayer, live_player

PROMPT = "happy rock with guitar, bass and drums"


@pytest.fixture(scope="module")
def pictures():
    """Return JPEG files of the bundled clip's first 40 pictures, small ones."""
    images = (
        cv2.cvtColor(cv2.resize(frame.image, (320, 240)), cv2.COLOR_RGB2BGR) for frame in read_frames(example_clip())
    )
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in islice(images, 40)]


def _until(done, patience_s=60.0):
    """Wait until something is done."""
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


class _Listener:
    """Keep what a player reports."""

    def __init__(self):
        self.sounds, self.states, self.ends = [], [], []
        self.player = LivePlayer(
            LiveEngine(load_pipeline(), PROMPT),
            lambda sound, at_s: self.sounds.append((sound, at_s)),
            lambda status, seen: self.states.append((status, seen)),
            self.ends.append,
        )
        self.player.start()


def test_a_player_sees_pictures_makes_sound_without_a_break_and_ends(pictures):
    listener = _Listener()
    for picture in pictures:
        listener.player.show(picture, time.monotonic())
        time.sleep(1 / 15)
    _until(lambda: listener.states and listener.states[-1][1] is not None and len(listener.sounds) > 5)
    assert listener.states[-1][1].face_found[0] and listener.player.running
    listener.player.stop()
    assert listener.ends == [""] and not listener.player.running
    places = [at_s for _, at_s in listener.sounds]
    lengths = [len(sound) / listener.player.engine.sample_rate for sound, _ in listener.sounds]
    np.testing.assert_allclose(places, np.cumsum([0.0, *lengths[:-1]]), atol=1e-6)


def test_a_damaged_picture_is_passed_over_and_what_goes_wrong_is_told(pictures, monkeypatch):
    listener = _Listener()
    for picture in (
        b"",
        b"no picture",
        pictures[0][:300],
        cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes(),
    ):
        listener.player.show(picture, time.monotonic())
        time.sleep(0.1)
    listener.player.show(pictures[0], time.monotonic())
    _until(lambda: listener.states and listener.states[-1][1] is not None)

    def broken(now_s):
        raise RuntimeError("out of order")

    monkeypatch.setattr(listener.player.engine, "advance", broken)
    _until(lambda: listener.ends)
    assert listener.ends == ["RuntimeError: out of order"] and not listener.player.running


def test_music_that_nobody_listens_to_ends(monkeypatch):
    monkeypatch.setattr(live_player, "ALONE_S", 0.3)
    listener = _Listener()
    _until(lambda: listener.ends)
    assert "closed" in listener.ends[0]


@pytest.fixture
def instrument(monkeypatch):
    """Return an instrument whose messages to the browser are kept in `sent`."""
    instrument = LiveInstrument(PROMPT)
    instrument.sent = []
    monkeypatch.setattr(instrument, "send", lambda content, buffers=None: instrument.sent.append((content, buffers)))
    yield instrument
    instrument.close()


def _sent(instrument, kind):
    return [(content, buffers) for content, buffers in list(instrument.sent) if content["type"] == kind]


def test_start_pictures_and_stop(instrument, pictures):
    instrument.receive({"type": "picture", "time_s": 1.0}, [pictures[0]])  # before it plays: nothing happens
    instrument.receive({"type": "start"})
    _until(lambda: instrument.playing)
    instrument.start()  # it plays already
    for i, picture in enumerate(pictures[:10]):
        instrument.receive({"type": "picture", "time_s": 1000 + i / 15}, [picture])
        time.sleep(1 / 15)
    _until(lambda: any(content["points"] for content, _ in _sent(instrument, "status")))
    content, buffers = _sent(instrument, "sound")[0]
    assert content["at_s"] == 0 and len(buffers[0]) % 4 == 0 and content["rate"] == 16_000
    instrument.receive({"type": "heard", "at_s": 0.0, "in_s": 0.1})
    instrument.receive({"type": "gap", "seconds": 0.2})
    assert 0.6 <= instrument.latency_s < 1.6
    instrument.prompt, instrument.beat = "calm piano", 1.0
    instrument.prompt = ""
    assert "empty" in instrument.message and instrument.playing
    instrument.receive({"type": "stop"})
    _until(lambda: not instrument.playing)
    assert instrument.message == "Stopped." and _sent(instrument, "ended")


def test_messages_that_are_no_good_do_nothing(instrument, pictures):
    instrument.start()
    for content, buffers in (
        ({}, []),
        ({"type": "picture"}, []),
        ({"type": "picture", "time_s": "now"}, [b"x" * 600_000]),
        ({"type": "heard", "at_s": float("nan"), "in_s": None}, []),
        ({"type": "gap", "seconds": float("inf")}, []),
        ({"type": "gap", "seconds": -5}, []),
    ):
        instrument.receive(content, buffers)
    assert instrument.playing
    _until(lambda: len(_sent(instrument, "sound")) > 2)


def test_a_model_that_does_not_exist_is_told():
    instrument = LiveInstrument(PROMPT, model="no such folder")
    instrument.start()
    assert not instrument.playing and "no such folder" in instrument.message
