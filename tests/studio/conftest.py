"""A short clip, a session with two sources, and a stand-in for the browser's end of the recorder."""

from __future__ import annotations

from itertools import islice

import pytest

from expotion_lite.assets import example_clip
from expotion_lite.controls import beats_curve
from expotion_lite.studio import Session
from expotion_lite.video import read_frames, write_video


@pytest.fixture(scope="session")
def short_clip(tmp_path_factory):
    """Return a video of the first 2 s of the bundled clip."""
    return write_video(tmp_path_factory.mktemp("clip") / "short.mp4", islice(read_frames(example_clip()), 50))


@pytest.fixture(scope="session")
def session():
    return Session()


@pytest.fixture(scope="session")
def source(session, short_clip):
    """Return the person of the short clip."""
    return session.open(short_clip)


@pytest.fixture(scope="session")
def gesture(session):
    """Return twelve seconds of drawn nods, which is longer than one window of the model."""
    return session.draw(beats_curve(90, 12.0, 300), 12.0)


class FakeBrowser:
    """The browser's end of a recorder: sends messages to it and keeps its answers."""

    def __init__(self, recorder):
        self.answers = []
        self.recorder = recorder
        recorder.send = lambda content, buffers=None: self.answers.append(content)

    def send(self, *buffers, **content):
        """Send one message, and return the answer."""
        self.recorder.receive({"id": 1, **content}, list(buffers))
        return self.answers[-1]

    def send_file(self, data, name="clip.mp4", **content):
        """Send a whole file, and return the last answer."""
        from expotion_lite.studio.browser import CHUNK

        self.send(type="begin", name=name, size=len(data), **content)
        for index, start in enumerate(range(0, len(data), CHUNK)):
            answer = self.send(data[start : start + CHUNK], type="chunk", index=index)
            assert answer == {"type": "ack", "id": 1, "index": index}
        return self.send(type="end")


@pytest.fixture
def browser_of():
    """Return a function that connects a fake browser to a recorder."""
    return FakeBrowser
