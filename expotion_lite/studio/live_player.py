"""A live engine that runs: one thread finds landmarks in pictures as they come, another one makes the sound.

`LivePlayer` knows neither widgets nor browsers. `live_instrument.LiveInstrument` feeds it from a browser's camera.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ExpotionError
from ..live.engine import LiveEngine, Status

if TYPE_CHECKING:
    from ..landmarks.extraction import Landmarks

_TICK_S = 0.02  # between two looks at the clock
_STATUS_S = 0.1  # between two reports
ALONE_S = 15.0
"""Seconds without a picture or a word of the listener after which the music ends: the page was closed."""

OnSound = Callable[[np.ndarray, float], object]
OnStatus = Callable[[Status, "Landmarks | None"], object]


class LivePlayer:
    """Two threads around a live engine. The clock is `time.monotonic`.

    Args:
        engine: new.
        on_sound: called with each stretch of sound, (N,) float32, and the seconds of music before it.
        on_status: called ten times a second with the engine's state and the landmarks of the last picture.
        on_end: called once at the end, with what went wrong, or "".
    """

    def __init__(
        self, engine: LiveEngine, on_sound: OnSound, on_status: OnStatus, on_end: Callable[[str], object]
    ) -> None:
        self.engine = engine
        self._on_sound, self._on_status, self._on_end = on_sound, on_status, on_end
        self._stopped, self._arrived = threading.Event(), threading.Event()
        self._picture: tuple[bytes, float] | None = None  # the last one that came, not looked at yet
        self._seen: Landmarks | None = None
        self._last_word_s = time.monotonic()
        self._problem = ""
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=f"live {work.__name__}", daemon=True)
            for work in (self._look, self._play)
        ]

    def start(self) -> None:
        """Begin to play."""
        for thread in self._threads:
            thread.start()

    def show(self, picture: bytes, time_s: float) -> None:
        """Show a picture. If the one before was not looked at yet, it is left out.

        Args:
            picture: the bytes of a JPEG or PNG file.
            time_s: when it was taken.
        """
        self._picture = picture, time_s
        self._last_word_s = time.monotonic()
        self._arrived.set()

    def alive(self) -> None:
        """Tell that somebody still listens, though there is no picture."""
        self._last_word_s = time.monotonic()

    def stop(self, wait_s: float = 5.0) -> None:
        """End the music, and wait until both threads have ended."""
        self._stopped.set()
        self._arrived.set()
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(wait_s)

    @property
    def running(self) -> bool:
        """Return whether the music goes on."""
        return not self._stopped.is_set()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run one of the threads; what goes wrong ends both."""
        try:
            work()
        except Exception as error:
            text = str(error) if isinstance(error, ExpotionError) else f"{type(error).__name__}: {error}"
            self._problem = self._problem or " ".join(text.split())
        finally:
            self._stopped.set()
            self._arrived.set()
            if threading.current_thread() is self._threads[1]:
                self._on_end(self._problem)

    def _look(self) -> None:
        """Find the landmarks of pictures as they come."""
        from ..landmarks.extraction import LiveLandmarks

        with LiveLandmarks() as live:
            last_s = -np.inf
            while not self._stopped.is_set():
                self._arrived.wait(1.0)
                self._arrived.clear()
                picture, self._picture = self._picture, None
                if picture is None:
                    continue
                image, time_s = _decoded(picture[0]), max(picture[1], last_s + 1e-3)
                if image is None:
                    continue
                self._seen, last_s = live.find(image, time_s), time_s
                self.engine.see(self._seen)

    def _play(self) -> None:
        """Make the sound that is due."""
        made, reported_s = 0, -np.inf
        while not self._stopped.wait(_TICK_S):
            now_s = time.monotonic()
            if now_s - self._last_word_s > ALONE_S:
                self._problem = "The page was closed, or sends no pictures any more."
                return
            sound = self.engine.advance(now_s)
            if len(sound):
                self._on_sound(sound, made / self.engine.sample_rate)
                made += len(sound)
            if now_s - reported_s >= _STATUS_S:
                self._on_status(self.engine.status(now_s), self._seen)
                reported_s = now_s


def _decoded(picture: bytes) -> np.ndarray | None:
    """Decode a picture to (H, W, 3) uint8 RGB; None if it is damaged."""
    import cv2

    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if len(picture) else None
    return None if image is None or min(image.shape[:2]) < 32 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
