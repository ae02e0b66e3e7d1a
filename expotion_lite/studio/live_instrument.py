"""The live instrument: a widget with a camera, words and three knobs, and music that moves with a person."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from ..errors import ExpotionError
from ..live.engine import LiveEngine, Status
from ..musicgen.settings import Settings
from .browser import STATIC
from .live_player import LivePlayer

if TYPE_CHECKING:
    from ..generation import Pipeline
    from ..landmarks.extraction import Landmarks

MOST_BYTES = 500_000
"""The largest picture that is taken from a browser."""
_DRAWN = (0, 11, 12, 13, 14, 15, 16)  # points of the body that are drawn: nose, shoulders, elbows, wrists


class LiveInstrument(anywidget.AnyWidget):
    """Music that moves with the person in front of the camera, while they move.

    The browser sends small pictures to the kernel, ten a second, and plays the sound that comes back. Pictures are
    looked at and forgotten; nothing is stored.

    Args:
        prompt: description of the music.
        model: see `expotion_lite.generate`.
        adapter: see `expotion_lite.generate`.
        **traits: initial values of the traits.

    Attributes:
        prompt: description of the music; it may change while it plays, as all of these may.
        guidance: weight of the words.
        visual_guidance: weight of the movement.
        beat: from every gesture (0) to a steady beat (1).
        message: the text below the picture.
        playing: whether it plays.
        chunks: number of chunks that the browser has played.
        underruns: how often it had none in time.
        latency_s: seconds from a movement that was not foreseen to its sound, as measured in the page.

    Example:
        >>> LiveInstrument("calm piano").playing
        False

    Notebook: notebooks/07_play_it
    """

    _esm = STATIC / "live.js"
    _css = STATIC / "studio.css"
    prompt = traitlets.Unicode("").tag(sync=True)
    guidance = traitlets.Float(Settings.guidance).tag(sync=True)
    visual_guidance = traitlets.Float(Settings.visual_guidance).tag(sync=True)
    beat = traitlets.Float(0.5).tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)
    chunks = traitlets.Int(0).tag(sync=True)
    underruns = traitlets.Int(0).tag(sync=True)
    latency_s = traitlets.Float(0.0).tag(sync=True)

    def __init__(
        self,
        prompt: str = "happy rock with guitar, bass and drums",
        *,
        model: str | os.PathLike[str] = "nano",
        adapter: str | os.PathLike[str] | None = "bundled",
        **traits: Any,
    ) -> None:
        super().__init__(prompt=prompt, **traits)
        self._model, self._adapter = model, adapter
        self._player: LivePlayer | None = None
        self._lock = threading.Lock()
        self._offset_s = np.inf  # from the browser's clock to ours: the least that a picture has shown
        self.on_msg(lambda _, content, buffers: self.receive(content, buffers))
        self.observe(self._change, ["prompt", "guidance", "visual_guidance", "beat"])

    def receive(self, content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Handle a message of the browser.

        Args:
            content: its `type` is "start", "stop", "picture" (with `time_s`, on the browser's clock), "heard" (with the
                place `at_s` in the music, and the seconds `in_s` until it is heard) or "gap" (with its `seconds`).
            buffers: the bytes of a picture.
        """
        kind, player, now_s = content.get("type"), self._player, time.monotonic()
        if kind == "start":
            threading.Thread(target=self.start, daemon=True).start()  # loading a model takes seconds
        elif kind == "stop":
            self.stop()
        elif player is None or not player.running:
            return
        elif kind == "picture" and len(buffers) == 1 and len(buffers[0]) <= MOST_BYTES:
            sent_s = _number(content, "time_s")
            self._offset_s = min(self._offset_s, now_s - sent_s)
            player.show(bytes(buffers[0]), sent_s + self._offset_s)
        elif kind == "heard":
            player.alive()
            delay_s = player.engine.heard(_number(content, "at_s"), now_s + _number(content, "in_s"))
            self.latency_s = round(player.engine.delay_s + delay_s, 2)
        elif kind == "gap":
            player.engine.skip(min(max(_number(content, "seconds"), 0.0), 5.0))

    def start(self) -> None:
        """Load the model, and begin to play. Nothing happens if it plays already."""
        from ..generation import load_pipeline

        with self._lock:
            if self._player is not None and self._player.running:
                return
            self.message = "Loading the model."
            try:
                pipeline: Pipeline = load_pipeline(self._model, self._adapter)
                engine = LiveEngine(pipeline, self.prompt, self._settings(), beat=self.beat)
            except ExpotionError as error:
                self._ended(" ".join(str(error).split()))
                return
            self._offset_s, self.chunks, self.underruns = np.inf, 0, 0
            self._player = LivePlayer(engine, self._send_sound, self._send_status, self._ended)
            self._player.start()
            self.playing, self.message = True, "Playing. Step into the picture and move."

    def stop(self) -> None:
        """Stop playing."""
        if self._player is not None:
            self._player.stop()

    def close(self) -> None:
        """Stop playing, and remove the widget."""
        self.stop()
        super().close()

    def _settings(self) -> Settings:
        return Settings(guidance=self.guidance, visual_guidance=self.visual_guidance)

    def _change(self, _: object) -> None:
        """Let the engine follow the words and knobs; words that are no prompt are told, and the music stays."""
        if self._player is None or not self._player.running:
            return
        try:
            self._player.engine.change(prompt=self.prompt, settings=self._settings(), beat=self.beat)
        except ExpotionError as error:
            self.message = " ".join(str(error).split())

    def _send_sound(self, sound: np.ndarray, at_s: float) -> None:
        rate = self._player.engine.sample_rate if self._player is not None else 0
        self.send({"type": "sound", "rate": rate, "at_s": at_s}, [np.ascontiguousarray(sound, "<f4").tobytes()])

    def _send_status(self, status: Status, seen: Landmarks | None) -> None:
        points: list[list[float]] = []
        if seen is not None and seen.body_found[0]:
            points = [[round(float(x), 3) for x in seen.body[0, i, :2]] for i in _DRAWN if seen.body[0, i, 3] > 0.5]
        next_in_s = None if status.next_beat_s is None else round(status.next_beat_s - time.monotonic(), 3)
        self.send(
            {
                "type": "status",
                "tempo": None if status.tempo_bpm is None else round(status.tempo_bpm),
                "next_in_s": next_in_s,
                "activity": round(status.activity, 3),
                "person": status.person,
                "volume": round(status.volume, 2),
                "points": points,
            }
        )

    def _ended(self, problem: str) -> None:
        self.playing, self.message = False, problem or "Stopped."
        self.send({"type": "ended"})


def _number(content: Mapping[str, Any], name: str) -> float:
    """Return a number of a message; 0 if it is none."""
    value = content.get(name)
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0
