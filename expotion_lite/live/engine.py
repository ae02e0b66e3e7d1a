"""The live engine: somebody moves, and the music moves with them, without end.

`LiveEngine` is a plain object without a thread, a clock or a picture of its own. It is told what was seen and what time
it is, and returns the sound that is due. So a notebook, a server or a test can drive it, in real time or faster.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from ..controls.guarding import emphasis_of, guard
from ..musicgen.settings import Settings, check_prompt
from .perception import Eyes, RecentLandmarks
from .timeline import Timeline

if TYPE_CHECKING:
    from ..generation import Pipeline
    from ..landmarks.extraction import Landmarks
    from ..musicgen.step_decoder import StepDecoder

CHUNK_FRAMES = 8  # of music that are drawn and handed out at once
MOST_LATE_S = 0.3  # seconds that the engine catches up with, after it was kept from working
RESERVE_S = 0.12  # seconds of sound that are ready ahead of what is heard
DELAY_S = 0.65  # from a movement that was not foreseen to its sound
_GONE_S, _STILL_S = 0.8, 1.5  # seconds after which a person counts as gone, or as still
_STILL = 0.1  # activity below which a person is still
_QUIET = 0.25  # volume for a person who is still
_RISE_S, _FALL_S = 0.06, 0.7  # time constants of the volume


@dataclass(frozen=True)
class Status:
    """The state of a live engine, for a display.

    Attributes:
        tempo_bpm: of the pulse that is foreseen; None while there is none.
        certainty: 0..1, of this pulse.
        next_beat_s: when it comes next, on the clock of the engine; None while there is none.
        activity: 0..1, of the person in the last half second.
        person: whether a person is seen.
        volume: 0..1.
        made_s: seconds of music so far.
    """

    tempo_bpm: float | None
    certainty: float
    next_beat_s: float | None
    activity: float
    person: bool
    volume: float
    made_s: float


class LiveEngine:
    """Music without end that follows a person.

    Call `see` with the landmarks of each picture, and `advance` about every 0.1 s; play what it returns. All methods
    may be called from any thread. Changes count from the next chunk on.

    Args:
        pipeline: a model with an adapter, from `generation.load_pipeline`. Its weights are shared, its state is not.
        prompt: description of the music.
        settings: how to sample.
        beat: from every gesture (0) to a steady beat (1), see `controls.events.find_person_events`.
        eyes: what sees the person instead of `see`, such as `perception.RecentControls`.
        delay_s: seconds from a movement that was not foreseen to its sound. Below about 0.4 it is too late for most.
        output_delay_s: seconds from handing out a sound until it is heard, where it is played at once.

    Attributes:
        sample_rate: of the sound, in Hz.
        frame_rate: of the music's codes, in Hz.
        delay_s: see above.
        output_delay_s: see above; `heard` adjusts it.

    Raises:
        ExpotionError: the prompt is empty or too long.

    Example:
        >>> from expotion_lite.generation import load_pipeline
        >>> engine = LiveEngine(load_pipeline(), "calm piano")
        >>> len(engine.advance(0.0)) >= 0.1 * engine.sample_rate
        True

    Notebook: notebooks/07_play_it
    """

    def __init__(
        self,
        pipeline: Pipeline,
        prompt: str,
        settings: Settings | None = None,
        *,
        beat: float = 0.5,
        eyes: Eyes | None = None,
        delay_s: float = DELAY_S,
        output_delay_s: float = 0.0,
    ) -> None:
        from ..musicgen.endless import EndlessSampler
        from ..musicgen.live_audio import AudioStream
        from ..musicgen.sampling import encode_prompts

        musicgen, config = pipeline.musicgen, pipeline.config
        self.sample_rate, self.frame_rate = musicgen.sample_rate, musicgen.frame_rate
        self._recent = RecentLandmarks(musicgen.frame_rate)
        self._eyes: Eyes = self._recent if eyes is None else eyes
        self.delay_s, self.output_delay_s = delay_s, output_delay_s
        self._pipeline, self._lock = pipeline, threading.Lock()
        self._channels = config.channels if config is not None else ()
        self._reach = config.kernel - 1 if config is not None else 0  # frames on either side that the adapter reads
        self._timeline = Timeline(self._channels, musicgen.frame_rate, delay_s, beat)
        text, mask = encode_prompts(musicgen, [self._known(prompt)])
        decoder = cast("StepDecoder", pipeline.decoder)
        self._sampler = EndlessSampler(
            musicgen, decoder, text, mask, settings or Settings(), follows=config is not None
        )
        self._chunks: list[np.ndarray] = []
        self._stream = AudioStream(musicgen, self._chunks.append, chunk_s=CHUNK_FRAMES / musicgen.frame_rate)
        self._started_s: float | None = None  # when frame 0 is handed out
        self._made = 0  # samples handed out
        self._volume = 0.0
        self._active_s = self._seen_s = -np.inf  # when the person was last active, and last seen

    def see(self, frame: Landmarks) -> None:
        """Take in what was seen in one picture.

        Args:
            frame: landmarks of one frame, as of `landmarks.LiveLandmarks`. Its time is when the picture was taken, on
                the clock of `advance`. Frames may come late, out of order, or not at all.

        Raises:
            ExpotionError: these are no landmarks of one frame.
        """
        self._recent.add(frame)

    def change(self, *, prompt: str | None = None, settings: Settings | None = None, beat: float | None = None) -> None:
        """Change what the music follows, from the next chunk on. What is None stays.

        Args:
            prompt: description of the music.
            settings: how to sample; the seed has no effect any more.
            beat: from every gesture (0) to a steady beat (1).

        Raises:
            ExpotionError: the prompt is empty or too long. Nothing is changed then.
        """
        from ..musicgen.sampling import encode_prompts

        text = None if prompt is None else encode_prompts(self._pipeline.musicgen, [self._known(prompt)])
        with self._lock:
            if text is not None:
                self._sampler.change_text(*text)
            if settings is not None:
                self._sampler.change_settings(settings)
            if beat is not None:
                self._timeline.beat = beat

    def advance(self, now_s: float) -> np.ndarray:
        """Return the sound that is due, after all that was returned before.

        Args:
            now_s: the present, in seconds on the clock by which frames are reported. The first call starts the music.

        Returns:
            (N,) float32 from -1 to 1; empty if enough is ready. There is always `RESERVE_S` more than is heard by now.
        """
        with self._lock:
            if self._started_s is None:
                self._started_s = now_s
            late_s = now_s - self._started_s - self._made / self.sample_rate
            if late_s > MOST_LATE_S:  # what was missed is not made up for: it would delay all that follows
                self._started_s += late_s
            due = (now_s - self._started_s + RESERVE_S) * self.sample_rate
            parts = []
            while self._made < due:
                for chunk in self._next_chunks(now_s):
                    parts.append(self._with_volume(chunk, now_s))
                    self._made += len(chunk)
            return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def skip(self, seconds: float) -> None:
        """Tell that the sound stood still for a time, as after an underrun: all that follows is heard later."""
        with self._lock:
            if self._started_s is not None:
                self._started_s += seconds

    def heard(self, at_s: float, time_s: float) -> float:
        """Tell when a place in the music is heard, so that foreseen beats are heard as they come.

        Args:
            at_s: the place, in seconds of all sound that was returned.
            time_s: when it is heard.

        Returns:
            `output_delay_s`, which follows from it.
        """
        with self._lock:
            if self._started_s is not None:
                delay_s = time_s - (self._started_s + RESERVE_S + at_s)
                self.output_delay_s += 0.1 * (float(np.clip(delay_s, 0.0, 1.0)) - self.output_delay_s)
            return self.output_delay_s

    def status(self, now_s: float) -> Status:
        """Return the state at a time."""
        with self._lock:
            pulse = self._timeline.pulse
            sure = self._timeline.sureness(now_s) > 0
            beats = pulse.beats(now_s, now_s + 3.0) if sure else np.zeros(0)
            return Status(
                tempo_bpm=60 / pulse.period_s if sure and pulse.period_s else None,
                certainty=pulse.certainty_at(now_s),
                next_beat_s=float(beats[0]) if len(beats) else None,
                activity=self._timeline.activity,
                person=bool(now_s - self._seen_s < _GONE_S),
                volume=self._volume,
                made_s=self._made / self.sample_rate,
            )

    def _next_chunks(self, now_s: float) -> list[np.ndarray]:
        """Look, draw the next frames, and return the sound that is complete with them."""
        import torch

        from ..musicgen.adapter import embed_controls
        from ..musicgen.sampling import one_thread

        self._look(now_s)
        visual = emphasis = None
        assert self._started_s is not None
        heard_s = self._started_s + RESERVE_S + self.output_delay_s + self._sampler.step / self.frame_rate
        with one_thread(), torch.inference_mode():
            if self._channels:
                controls, before = self._timeline.controls(now_s, heard_s, CHUNK_FRAMES)
                controls = guard(controls)
                near = slice(before - self._reach, before + CHUNK_FRAMES + self._reach)
                embeds = embed_controls(self._pipeline.peft_model, torch.from_numpy(controls.values[None, near]))
                visual = embeds[0, self._reach : self._reach + CHUNK_FRAMES]
                if "event" in self._channels:
                    emphasis = emphasis_of(controls)[before : before + CHUNK_FRAMES]
            self._stream.feed(self._sampler.draw(visual, emphasis, CHUNK_FRAMES))
        chunks = self._chunks[:]
        self._chunks.clear()
        return chunks

    def _look(self, now_s: float) -> None:
        """Take in what was seen up to now, and note whether the person is there and moves."""
        recent = self._eyes.recent()
        self._timeline.look(recent)
        if recent is None:
            return
        found = np.flatnonzero(recent.controls.found)
        if len(found):
            self._seen_s = recent.start_s + (found[-1] + 1) / self.frame_rate
        if self._timeline.activity > _STILL:
            self._active_s = min(recent.end_s, now_s)

    def _with_volume(self, chunk: np.ndarray, now_s: float) -> np.ndarray:
        """Return a chunk at the volume that the person asks for: none if gone, little if still."""
        if now_s - self._seen_s > _GONE_S:
            wanted = 0.0
        else:
            wanted = _QUIET if now_s - self._active_s > _STILL_S else 1.0
        duration_s = len(chunk) / self.sample_rate
        share = 1 - math.exp(-duration_s / (_RISE_S if wanted > self._volume else _FALL_S))
        volume = self._volume + share * (wanted - self._volume)
        faded = chunk * np.linspace(self._volume, volume, len(chunk), dtype=np.float32)
        self._volume = volume
        return faded

    def _known(self, prompt: str) -> str:
        """Return a prompt in the words that the model knows."""
        from ..musicgen.prompts import respell

        return respell(self._pipeline.musicgen, check_prompt(prompt))


def play_recording(engine: LiveEngine, show: Callable[[float], object], duration_s: float) -> np.ndarray:
    """Let time pass faster than it does: show a recording to an engine as if it happened now, and return the sound.

    Args:
        engine: new.
        show: called with the time, every 0.1 s, before the engine is; it reports what is seen by then.
        duration_s: length of the sound.

    Returns:
        (N,) float32, as it would have been heard from time 0 on: it begins with the engine's reserve, as silence.
    """
    sound = [np.zeros(round(RESERVE_S * engine.sample_rate), np.float32)]
    for i in range(math.ceil(duration_s * 10)):
        show(i / 10)
        sound.append(engine.advance(i / 10))
    return np.concatenate(sound)[: round(duration_s * engine.sample_rate)]
