"""The studio without its buttons: open somebody who moves, steer, make music that sounds while it is made, keep takes.

    >>> from expotion_lite.studio.session import Session
    >>> session = Session()                                                         # doctest: +SKIP
    >>> me = session.open("me.mp4")                                                 # doctest: +SKIP
    >>> kept = session.generate(me, "happy rock", on_sound=lambda chunk: ...)       # doctest: +SKIP
    >>> session.export(kept, "out/rock")                                            # doctest: +SKIP

`widgets.Studio` puts buttons on it. Nothing here reaches the network.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..controls.steering import Steering
from ..errors import Cancelled, ExpotionError
from ..files import check_output, writing
from ..musicgen.settings import Settings, check_prompt
from .sources import Source, again, fit, from_gesture, from_video, stranger

if TYPE_CHECKING:
    from ..controls.channels import Controls
    from ..generation import Pipeline, Take

LOUDNESS_DB = -20.0  # what takes are brought to before they are compared, decibels of full scale
PROMPTS = (
    "energetic rock with guitar, bass and drums",
    "happy lo-fi hip hop with electric piano",
    "fast techno with synth lead and drums",
    "slow sad piano ballad",
    "warm folk with nylon guitar and flute",
    "calm ambient with synth pad and choir",
    "proud march with brass and drums",
    "sunny reggae with organ and electric bass",
    "cheerful waltz with accordion",
)


@dataclass(frozen=True)
class Progress:
    """How far the music is. done_s, total_s: seconds of music; left_s: seconds to wait, None while nobody knows."""

    done_s: float
    total_s: float
    left_s: float | None

    def __str__(self) -> str:
        left = "" if self.left_s is None else f", {self.left_s:.0f} s left"
        return f"{self.done_s:.1f} of {self.total_s:.1f} s{left}"


@dataclass(frozen=True, eq=False)
class Kept:
    """A take of the studio.

    Attributes:
        name: what to call it.
        take: the music, see `expotion_lite.Take`; its controls are the steered ones.
        source: who moves in the picture.
        steering: what a hand changed. other: whom the music listened to instead, if anybody.
        frames: how many frames of music were made; fewer than the clip has if it was cancelled.
        first_sound_s: seconds from the start of `generate` to its first sound.
    """

    name: str
    take: Take
    source: Source
    steering: Steering
    other: Source | None
    frames: int
    first_sound_s: float | None = None

    @property
    def codes_sha256(self) -> str:
        """Tells this music from any other, also of the same name."""
        return hashlib.sha256(np.ascontiguousarray(self.take.codes, "<i8").tobytes()).hexdigest()

    def recipe(self, model: str, adapter: str | None) -> dict[str, Any]:
        """Everything that makes this take anew, as plain values for JSON."""
        return {
            "made_by": f"expotion-lite {__version__}",
            "prompt": self.take.prompt,
            "settings": json.loads(self.take.settings.to_json()),
            "source": self.source.recipe,
            "other": self.other and self.other.recipe,
            "steering": self.steering.to_dict(),
            "model": model,
            "adapter": adapter,
            "frames": self.frames,
            "codes_sha256": self.codes_sha256,
        }


@dataclass(eq=False)
class Session:
    """Sources and takes of one sitting, and the model that plays.

    Attributes:
        model, adapter, device: see `expotion_lite.generate`.
        sources: what was opened, by name. takes: what was made, in order.

    Notebook: notebooks/07_play_it
    """

    model: str = "nano"
    adapter: str | None = "bundled"
    device: str = "cpu"
    sources: dict[str, Source] = field(default_factory=dict)
    takes: list[Kept] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.model, self.adapter = os.fspath(self.model), None if self.adapter is None else os.fspath(self.adapter)

    def pipeline(self) -> Pipeline:
        """The model, loaded when it is first asked for, from whichever thread."""
        from ..generation import load_pipeline

        with self._lock:
            return load_pipeline(self.model, self.adapter, self.device)

    def open(self, path: str | os.PathLike[str], *, cancel: threading.Event | None = None) -> Source:
        """Open a video and find the person in it, once: the same file is not looked at again.

        Raises:
            ExpotionError: no video, or nobody in it. Cancelled: `cancel` was set.
        """
        from ..files import digest_of

        place = Path(path).expanduser()
        digest = digest_of(place) if place.is_file() else None
        known = [s for s in self.sources.values() if digest and s.recipe.get("sha256") == digest and s.video.is_file()]
        return known[0] if known else self._keep(from_video(place, cancel=cancel))

    def draw(self, curve: list[float], duration_s: float, *, movement: str = "nod") -> Source:
        """Open a gesture that was drawn, see `sources.from_gesture`."""
        return self._keep(from_gesture(curve, duration_s, movement=movement))

    def stranger(self, seed: int, duration_s: float) -> Source:
        """Open a synthetic person, see `sources.stranger`."""
        return self._keep(stranger(seed, duration_s))

    def _keep(self, source: Source) -> Source:
        name, n = source.name, 2
        while name in self.sources:
            name, n = f"{source.name} ({n})", n + 1
        self.sources[name] = source = replace(source, name=name)
        return source

    def steered(self, source: Source, steering: Steering, other: Source | None = None) -> Controls:
        """What the music will listen to: somebody's controls at the source's length, with the hand's changes."""
        own = source.controls
        return steering.apply(own if other is None else fit(other.controls, len(own.values)))

    def generate(
        self,
        source: Source,
        prompt: str,
        *,
        settings: Settings | None = None,
        steering: Steering | None = None,
        other: Source | None = None,
        name: str | None = None,
        on_sound: Callable[[np.ndarray], None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Kept:
        """Make a take, and keep it.

        Args:
            source: who moves in the picture.
            prompt: what the music should be like.
            settings: how to sample.
            steering: what a hand changes about the controls.
            other: somebody else to listen to instead: the shuffled control, by ear.
            name: of the take.
            on_sound: called with (N,) float32 chunks while the music is made, the first after half a second of it.
            on_progress: called a few times a second.
            cancel: set it from another thread, or interrupt, to stop; what was made by then is the take.

        Raises:
            ExpotionError: the prompt or the steering cannot be used. Cancelled: stopped before there was any music.
        """
        prompt, settings, steering = check_prompt(prompt), settings or Settings(), steering or Steering()
        controls = self.steered(source, steering, other)
        begun = time.monotonic()
        run = _Run(self.pipeline(), source.duration_s, on_sound, on_progress, begun)
        codes = run.play(prompt, controls, settings, cancel)
        take = _finished(run.pipeline, codes, source, controls, prompt, settings)
        name = name or f"{len(self.takes) + 1}: {_called(prompt, settings, steering, other)}"
        kept = Kept(name, take, source, steering, other, codes.shape[1], run.first_sound_s)
        self.takes.append(kept)
        return kept

    def export(self, kept: Kept, stem: str | os.PathLike[str], *, overwrite: bool = False) -> dict[str, Path]:
        """Write a take as `stem`.mp4, .wav and .json; the last one makes the take anew, see `rebuild`.

        Raises:
            ExpotionError: one of the files exists, cannot be written, or is the take's own video.
        """
        place = Path(stem).expanduser()
        if not str(stem).strip() or not place.name:
            raise ExpotionError("Name the files to export, for example out/my_take.")
        paths = {kind: place.with_name(f"{place.name}.{kind}") for kind in ("mp4", "wav", "json")}
        for kind, path in paths.items():
            check_output(path, f".{kind}", source=kept.source.video, overwrite=overwrite)
        recipe = json.dumps(kept.recipe(self.model, self.adapter), indent=1)
        with ExitStack() as together:  # none of the files appears before all are whole
            new = {kind: together.enter_context(writing(path, overwrite)) for kind, path in paths.items()}
            kept.take.save_video(new["mp4"], overwrite=True)
            kept.take.save_audio(new["wav"], overwrite=True)
            new["json"].write_text(recipe, encoding="utf-8")
        return paths

    def source_of(self, path: str | os.PathLike[str], *, cancel: threading.Event | None = None) -> Source:
        """Open who moves in an exported take. Raises what `rebuild` does."""
        return self._again(self._recipe(path)["source"], Path(path).expanduser().parent, cancel)

    def rebuild(self, path: str | os.PathLike[str], **hear: Any) -> tuple[Kept, bool]:
        """Make an exported take anew.

        Args:
            path: the .json that `export` wrote.
            **hear: `on_sound`, `on_progress`, `cancel`, as for `generate`.

        Returns:
            The take, and whether its codes are those that were exported; other weights or another machine change them.

        Raises:
            ExpotionError: no such file, not such a file, made by another model, or its video is gone.
        """
        recipe, folder = self._recipe(path), Path(path).expanduser().parent
        cancel = hear.pop("cancel", None)
        source = self._again(recipe["source"], folder, cancel)
        other = self._again(recipe["other"], folder, cancel) if recipe["other"] else None
        enough_s = recipe["frames"] / self.pipeline().musicgen.frame_rate + 1.0
        stop = _After(enough_s, cancel)
        kept = self.generate(
            source,
            recipe["prompt"],
            settings=Settings.from_json(json.dumps(recipe["settings"])),
            steering=Steering(**recipe["steering"]),
            other=other,
            name=f"{len(self.takes) + 1}: {Path(path).stem}, rebuilt",
            cancel=stop,
            **{**hear, "on_progress": stop.watching(hear.get("on_progress"))},
        )
        kept = self.takes[-1] = _cut(kept, recipe["frames"], self.pipeline())
        return kept, kept.codes_sha256 == recipe["codes_sha256"]

    def _again(self, recipe: dict[str, Any], folder: Path, cancel: threading.Event | None) -> Source:
        known = [source for source in self.sources.values() if source.recipe == recipe and source.video.is_file()]
        return known[0] if known else self._keep(again(recipe, folder=folder, cancel=cancel))

    def _recipe(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        recipe = _read(Path(path).expanduser())
        if (recipe["model"], recipe["adapter"]) != (self.model, self.adapter):
            raise ExpotionError(
                f"This take was made by {recipe['model']} with the adapter {recipe['adapter']}; "
                "open a studio with these: Studio(model=..., adapter=...)."
            )
        return recipe


class _Run:
    """One run of the model: what is overheard of it becomes sound and progress."""

    def __init__(
        self,
        pipeline: Pipeline,
        duration_s: float,
        on_sound: Callable[[np.ndarray], None] | None,
        on_progress: Callable[[Progress], None] | None,
        begun: float,
    ) -> None:
        from ..musicgen.live_audio import Overheard, SoundStream

        musicgen = pipeline.musicgen
        self._frame_rate, self._duration_s, self._begun = musicgen.frame_rate, duration_s, begun
        self._on_sound, self._on_progress = on_sound, on_progress
        self._playing, self._told = time.monotonic(), 0.0
        self.first_sound_s: float | None = None
        self._stream = SoundStream(musicgen, self._sound, round(duration_s * musicgen.sample_rate))
        self._overheard = Overheard(pipeline.decoder, musicgen.n_codebooks, self._heard)
        self.pipeline = replace(pipeline, decoder=self._overheard)  # its lock is shared

    def play(self, prompt: str, controls: Controls, settings: Settings, cancel: threading.Event | None) -> np.ndarray:
        """Return the codes (K, n)."""
        from ..generation import generate_codes
        from ..musicgen.prompts import respell

        read = respell(self.pipeline.musicgen, prompt)
        try:
            codes = generate_codes(self.pipeline, [read], [controls], settings, cancel=cancel)[0]
        except KeyboardInterrupt:  # where no thread is there to take a cancel, the kernel's stop button is it
            codes = np.array(self._overheard.codes, np.int64).T
        if not codes.size:
            raise Cancelled("Stopped before there was any music; press Generate to begin again.")
        if self._on_sound is not None and not (cancel is not None and cancel.is_set()):
            self._stream.finish(list(codes.T))  # who has pressed Cancel hears nothing more
        self._tell(codes.shape[1])
        return codes

    def _heard(self, codes: list[np.ndarray]) -> None:
        if self._on_sound is not None:
            self._stream.hear(codes)
        if time.monotonic() - self._told > 0.2:
            self._tell(len(codes))

    def _sound(self, audio: np.ndarray) -> None:
        if self.first_sound_s is None:
            self.first_sound_s = time.monotonic() - self._begun
        self._on_sound(audio)

    def _tell(self, frames: int) -> None:
        if self._on_progress is None:
            return
        self._told = time.monotonic()
        done_s, spent_s = frames / self._frame_rate, self._told - self._playing
        left_s = spent_s / done_s * max(0.0, self._duration_s - done_s) if done_s > 0.5 else None
        self._on_progress(Progress(min(done_s, self._duration_s), self._duration_s, left_s))


class _After(threading.Event):
    """An event that is also set once some music is there, so that no more of a take is rebuilt than was exported."""

    def __init__(self, enough_s: float, other: threading.Event | None) -> None:
        super().__init__()
        self._enough_s, self._other = enough_s, other

    def is_set(self) -> bool:
        return super().is_set() or (self._other is not None and self._other.is_set())

    def watching(self, tell: Callable[[Progress], None] | None) -> Callable[[Progress], None]:
        def told(progress: Progress) -> None:
            if progress.done_s > self._enough_s:
                self.set()
            if tell is not None:
                tell(progress)

        return told


def _called(prompt: str, settings: Settings, steering: Steering, other: Source | None) -> str:
    """What tells a take from others, in a few words."""
    hand = ["steered"] if steering != Steering() else []
    swapped = [f"follows {other.name}"] if other is not None else []
    return ", ".join([shorten(prompt, 36, placeholder=" ..."), f"seed {settings.seed}", *hand, *swapped])


def _finished(
    pipeline: Pipeline, codes: np.ndarray, source: Source, controls: Controls, prompt: str, settings: Settings
) -> Take:
    from ..generation import Take, fit_to_duration, to_audio
    from ..musicgen.prompts import unknown_words

    musicgen = pipeline.musicgen
    audio = fit_to_duration(to_audio(musicgen, codes), musicgen.sample_rate, source.duration_s)
    words = unknown_words(musicgen, prompt)
    return Take(
        audio, musicgen.sample_rate, codes, controls, source.landmarks, source.video, prompt, settings, words
    )  # fmt: skip


def _cut(kept: Kept, frames: int, pipeline: Pipeline) -> Kept:
    """The take with its first frames only, as if it had been stopped there."""
    take = kept.take
    if frames >= take.codes.shape[1]:
        return kept
    take = _finished(pipeline, take.codes[:, :frames], kept.source, take.controls, take.prompt, take.settings)
    return replace(kept, take=take, frames=frames)


def matched(*takes: np.ndarray) -> tuple[float, ...]:
    """Gains that make pieces of sound equally loud, none of which clips: louder is not better.

    Loudness is the root mean square of what is not silent, 0.1 s at a time, after ITU-R BS.1770's gating without its
    filter.

    Args:
        takes: (N,) float32 each, of any lengths.

    Example:
        >>> loud, soft = np.full(48_000, 0.4, np.float32), np.full(48_000, 0.1, np.float32)
        >>> [round(gain, 3) for gain in matched(loud, soft)]
        [0.25, 1.0]
    """
    levels = [max(_level(audio), 1e-6) for audio in takes]
    peaks = [max(float(np.abs(audio).max(initial=0.0)), 1e-6) for audio in takes]
    target = min([10 ** (LOUDNESS_DB / 20), *(0.99 * level / peak for level, peak in zip(levels, peaks, strict=True))])
    return tuple(target / level for level in levels)


def _level(audio: np.ndarray, block: int = 1_600) -> float:
    blocks = [float(np.mean(part**2)) for part in np.array_split(audio, max(1, len(audio) // block)) if len(part)]
    loud = [power for power in blocks if power > 1e-7] or [0.0]
    return float(np.sqrt(np.mean([power for power in loud if power > 0.1 * np.mean(loud)] or [0.0])))


def _read(path: Path) -> dict[str, Any]:
    """The recipe in a file, complete."""
    wanted = {"prompt": str, "settings": dict, "source": dict, "steering": dict, "model": str, "frames": int}
    try:
        recipe = json.loads(path.read_text(encoding="utf-8"))
        whole = all(isinstance(recipe[name], kind) for name, kind in wanted.items())
        whole &= {"other", "adapter", "codes_sha256"} <= set(recipe) and set(recipe["steering"]) <= {
            "weights",
            "channels",
            "drawn",
        }
    except OSError as error:
        raise ExpotionError(f"{path} cannot be read ({error.strerror}); name a .json that was exported.") from error
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ExpotionError(f"{path} holds no settings of a take; name a .json that the studio exported.")
    return recipe
