"""The studio without widgets: open a source, steer it, make takes with sound while they are made, keep and export them.

    >>> from expotion_lite.studio import Session
    >>> session = Session()                                                         # doctest: +SKIP
    >>> me = session.open("me.mp4")                                                 # doctest: +SKIP
    >>> take = session.generate(me, "happy rock", on_sound=lambda chunk: ...)       # doctest: +SKIP
    >>> session.export(take, "out/rock")                                            # doctest: +SKIP

`page.Studio` adds the widgets. Nothing here uses the network.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from ..controls.steering import Steering
from ..errors import ExpotionError
from ..files import atomic_write, check_output, digest_of
from ..musicgen.settings import Settings, check_prompt
from .live_generation import GenerationRun, OnProgress, OnSound, StopAfter
from .sources import Source, SourceRecipe, from_gesture, from_recipe, from_video, repeat_to_length, stranger
from .takes import StudioTake, TakeRecipe, cut_take, make_take, read_recipe

if TYPE_CHECKING:
    from ..generation import Pipeline

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
"""Example prompts."""


@dataclass(eq=False)
class Session:
    """Sources and takes of one sitting, with the model that makes the music.

    Attributes:
        model: see `expotion_lite.generate`.
        adapter: see `expotion_lite.generate`.
        device: see `expotion_lite.generate`.
        sources: name -> source that was opened.
        takes: what was made, in order.

    Notebook: notebooks/07_play_it
    """

    model: str = "nano"
    adapter: str | None = "bundled"
    device: str = "auto"
    sources: dict[str, Source] = field(default_factory=dict)
    takes: list[StudioTake] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.model, self.adapter = os.fspath(self.model), None if self.adapter is None else os.fspath(self.adapter)

    def pipeline(self) -> Pipeline:
        """Return the model, which the first call loads. Any thread may call this."""
        from ..generation import load_pipeline

        with self._lock:
            return load_pipeline(self.model, self.adapter, self.device)

    def open(self, path: str | os.PathLike[str], *, cancel: threading.Event | None = None) -> Source:
        """Open a video. The landmarks of the same file are extracted only once.

        Args:
            path: the video.
            cancel: set it to stop.

        Raises:
            ExpotionError: the file is not a video, or shows nobody.
            Cancelled: `cancel` was set.
        """
        place = Path(path).expanduser()
        digest = digest_of(place) if place.is_file() else None
        for known in self.sources.values():
            if digest and known.recipe.get("sha256") == digest and known.video.is_file():
                return known
        return self._add_source(from_video(place, cancel=cancel))

    def draw(self, curve: list[float], duration_s: float, *, movement: str = "nod") -> Source:
        """Open a drawn gesture.

        Args:
            curve: see `sources.from_gesture`.
            duration_s: see `sources.from_gesture`.
            movement: see `sources.from_gesture`.
        """
        return self._add_source(from_gesture(curve, duration_s, movement=movement))

    def stranger(self, seed: int, duration_s: float) -> Source:
        """Open a synthetic stranger.

        Args:
            seed: see `sources.stranger`.
            duration_s: see `sources.stranger`.
        """
        return self._add_source(stranger(seed, duration_s))

    def generate(
        self,
        source: Source,
        prompt: str,
        *,
        settings: Settings | None = None,
        steering: Steering | None = None,
        other: Source | None = None,
        name: str | None = None,
        on_sound: OnSound | None = None,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
    ) -> StudioTake:
        """Make a take, and keep it in `takes`.

        Args:
            source: the person in the picture.
            prompt: what the music should be like.
            settings: how to sample.
            steering: changes to the controls.
            other: a person whom the music follows instead (a shuffled control, for listening).
            name: of the take; None makes one from the prompt and the settings.
            on_sound: called with (N,) float32 chunks while music is made, the first after half a second of music.
            on_progress: called a few times a second.
            cancel: set it from another thread to stop, or interrupt; what is made by then is the take.

        Raises:
            ExpotionError: the prompt or the steering cannot be used.
            Cancelled: stopped before any music was made.
        """
        prompt, settings, steering = check_prompt(prompt), settings or Settings(), steering or Steering()
        controls = source.controls
        if other is not None:
            controls = repeat_to_length(other.controls, len(controls.values))
        controls = steering.apply(controls)
        started = time.monotonic()
        run = GenerationRun(self.pipeline(), source.duration_s, on_sound, on_progress, started)
        codes = run.generate(prompt, controls, settings, cancel)
        take = make_take(run.pipeline, codes, source, controls, prompt, settings)
        name = name or f"{len(self.takes) + 1}: {_describe(prompt, settings, steering, other)}"
        made = StudioTake(name, take, source, steering, other, codes.shape[1], run.first_sound_s)
        self.takes.append(made)
        return made

    def export(self, made: StudioTake, stem: str | os.PathLike[str], *, overwrite: bool = False) -> dict[str, Path]:
        """Write a take as `stem`.mp4, `stem`.wav and `stem`.json; `rebuild` reads the last one.

        Args:
            made: a take of this session.
            stem: path of the three files, without ending.
            overwrite: replace files that exist.

        Returns:
            Ending -> path written.

        Raises:
            ExpotionError: one of the files exists, cannot be written, or is the take's own video.
        """
        place = Path(stem).expanduser()
        if not str(stem).strip() or not place.name:
            raise ExpotionError("Name the files to export, for example out/my_take.")
        paths = {kind: place.with_name(f"{place.name}.{kind}") for kind in ("mp4", "wav", "json")}
        for kind, path in paths.items():
            check_output(path, f".{kind}", source=made.source.video, overwrite=overwrite)
        recipe = json.dumps(made.recipe(self.model, self.adapter), indent=1)
        with ExitStack() as stack:  # no file appears before all three are complete
            new = {kind: stack.enter_context(atomic_write(path, overwrite)) for kind, path in paths.items()}
            made.take.save_video(new["mp4"], overwrite=True)
            made.take.save_audio(new["wav"], overwrite=True)
            new["json"].write_text(recipe, encoding="utf-8")
        return paths

    def source_of(self, path: str | os.PathLike[str], *, cancel: threading.Event | None = None) -> Source:
        """Open the source of an exported take.

        Args:
            path: the .json that `export` wrote.
            cancel: set it to stop.

        Raises:
            ExpotionError: see `rebuild`.
        """
        return self._reopen(self._read_recipe(path)["source"], Path(path).expanduser().parent, cancel)

    def rebuild(
        self,
        path: str | os.PathLike[str],
        *,
        on_sound: OnSound | None = None,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[StudioTake, bool]:
        """Make an exported take again.

        Args:
            path: the .json that `export` wrote.
            on_sound: see `generate`.
            on_progress: see `generate`.
            cancel: see `generate`.

        Returns:
            The take, and whether its codes equal the exported ones. Other weights or another machine change them.

        Raises:
            ExpotionError: the file is missing or not an exported take, another model made the take, or its video is
            gone.
        """
        recipe, folder = self._read_recipe(path), Path(path).expanduser().parent
        source = self._reopen(recipe["source"], folder, cancel)
        other = self._reopen(recipe["other"], folder, cancel) if recipe["other"] else None
        enough_s = recipe["frames"] / self.pipeline().musicgen.frame_rate + 1.0
        stop = StopAfter(enough_s, cancel)
        made = self.generate(
            source,
            recipe["prompt"],
            settings=Settings.from_json(json.dumps(recipe["settings"])),
            steering=Steering(**recipe["steering"]),
            other=other,
            name=f"{len(self.takes) + 1}: {Path(path).stem}, rebuilt",
            on_sound=on_sound,
            on_progress=stop.watch(on_progress),
            cancel=stop,
        )
        made = self.takes[-1] = cut_take(made, recipe["frames"], self.pipeline())
        return made, made.codes_sha256 == recipe["codes_sha256"]

    def _add_source(self, source: Source) -> Source:
        """Keep a source under a name that is not taken."""
        name, n = source.name, 2
        while name in self.sources:
            name, n = f"{source.name} ({n})", n + 1
        self.sources[name] = source = replace(source, name=name)
        return source

    def _reopen(self, recipe: SourceRecipe, folder: Path, cancel: threading.Event | None) -> Source:
        for known in self.sources.values():
            if known.recipe == recipe and known.video.is_file():
                return known
        return self._add_source(from_recipe(recipe, folder=folder, cancel=cancel))

    def _read_recipe(self, path: str | os.PathLike[str]) -> TakeRecipe:
        recipe = read_recipe(Path(path).expanduser())
        if (recipe["model"], recipe["adapter"]) != (self.model, self.adapter):
            raise ExpotionError(
                f"This take was made by {recipe['model']} with the adapter {recipe['adapter']}; "
                "open a studio with these: Studio(model=..., adapter=...)."
            )
        return recipe


def _describe(prompt: str, settings: Settings, steering: Steering, other: Source | None) -> str:
    """Return what tells a take from others, in a few words."""
    steered = ["steered"] if steering != Steering() else []
    swapped = [f"follows {other.name}"] if other is not None else []
    return ", ".join([shorten(prompt, 36, placeholder=" ..."), f"seed {settings.seed}", *steered, *swapped])
