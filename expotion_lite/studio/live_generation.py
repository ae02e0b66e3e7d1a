"""One run of the model that hands out sound and progress while the codes are sampled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import Cancelled

if TYPE_CHECKING:
    from ..controls.channels import Controls
    from ..generation import Pipeline
    from ..musicgen.live_audio import AudioStream
    from ..musicgen.settings import Settings

_REPORT_EVERY_S = 0.2  # between two reports of progress

OnSound = Callable[[np.ndarray], object]


@dataclass(frozen=True)
class Progress:
    """The amount of music made so far.

    Attributes:
        done_s: seconds of music so far.
        total_s: seconds of music in all.
        left_s: seconds until it is done; None at the start, when no estimate is possible.
    """

    done_s: float
    total_s: float
    left_s: float | None

    def __str__(self) -> str:
        left = "" if self.left_s is None else f", {self.left_s:.0f} s left"
        return f"{self.done_s:.1f} of {self.total_s:.1f} s{left}"


OnProgress = Callable[[Progress], object]


class GenerationRun:
    """One run of the model, which reports sound and progress while codes are sampled.

    Args:
        pipeline: the model.
        duration_s: length of the music, seconds.
        on_sound: see `Session.generate`.
        on_progress: see `Session.generate`.
        started: the time from which the first sound is measured.

    Attributes:
        pipeline: the model, with a decoder that is observed.
        first_sound_s: seconds from `started` to the first sound.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        duration_s: float,
        on_sound: OnSound | None,
        on_progress: OnProgress | None,
        started: float,
    ) -> None:
        from ..musicgen.live_audio import AudioStream, ObservedDecoder

        musicgen = pipeline.musicgen
        self._frame_rate, self._duration_s = musicgen.frame_rate, duration_s
        self._on_progress, self._started = on_progress, started
        self._sampling_started, self._last_report = time.monotonic(), 0.0
        self.first_sound_s: float | None = None
        self._stream: AudioStream | None = None
        if on_sound is not None:
            n_samples = round(duration_s * musicgen.sample_rate)
            self._stream = AudioStream(musicgen, lambda audio: self._hand_out(audio, on_sound), n_samples)
        self._decoder = ObservedDecoder(pipeline.decoder, musicgen.n_codebooks, self._on_codes)
        self.pipeline = replace(pipeline, decoder=self._decoder)  # the lock stays shared

    def generate(
        self, prompt: str, controls: Controls, settings: Settings, cancel: threading.Event | None
    ) -> np.ndarray:
        """Return the codes (K, n), of fewer frames than the controls if it was cancelled or interrupted."""
        from ..generation import generate_codes
        from ..musicgen.prompts import respell

        known_words = respell(self.pipeline.musicgen, prompt)
        try:
            codes = generate_codes(self.pipeline, [known_words], [controls], settings, cancel=cancel)[0]
        except KeyboardInterrupt:  # the only way to cancel where no second thread runs
            codes = np.array(self._decoder.codes, np.int64).T
        if not codes.size:
            raise Cancelled("Stopped before there was any music; press Generate to begin again.")
        if self._stream is not None and not (cancel is not None and cancel.is_set()):
            self._stream.feed(list(codes.T[len(self._decoder.codes) :]))
            self._stream.finish()  # a cancelled take makes no more sound
        self._report(codes.shape[1])
        return codes

    def _on_codes(self, codes: list[np.ndarray]) -> None:
        if self._stream is not None:
            self._stream.feed(codes)
        if time.monotonic() - self._last_report > _REPORT_EVERY_S:
            self._report(len(self._decoder.codes))

    def _hand_out(self, audio: np.ndarray, on_sound: OnSound) -> None:
        if self.first_sound_s is None:
            self.first_sound_s = time.monotonic() - self._started
        on_sound(audio)

    def _report(self, frames: int) -> None:
        if self._on_progress is None:
            return
        self._last_report = time.monotonic()
        done_s, spent_s = frames / self._frame_rate, self._last_report - self._sampling_started
        left_s = spent_s / done_s * max(0.0, self._duration_s - done_s) if done_s > 0.5 else None
        self._on_progress(Progress(min(done_s, self._duration_s), self._duration_s, left_s))


class StopAfter(threading.Event):
    """A cancel event that sets itself once enough music is made.

    `rebuild` uses it to stop where the exported take ended.

    Args:
        enough_s: seconds of music.
        other: an event that counts as well.
    """

    def __init__(self, enough_s: float, other: threading.Event | None) -> None:
        super().__init__()
        self._enough_s, self._other = enough_s, other

    def is_set(self) -> bool:
        """Return True if this event or the other one is set, or enough music is made."""
        return super().is_set() or (self._other is not None and self._other.is_set())

    def watch(self, on_progress: OnProgress | None) -> OnProgress:
        """Return a callback for progress that sets this event when enough music is made, and calls `on_progress`."""

        def watched(progress: Progress) -> None:
            if progress.done_s > self._enough_s:
                self.set()
            if on_progress is not None:
                on_progress(progress)

        return watched
