"""The studio's widget: record, steer, listen while the music is made, compare, export takes, and judge them blind.

    from expotion_lite.studio import Studio
    Studio()

It works in JupyterLab, Notebook, Google Colab, and VS Code (there without a camera). `Session` does the work, and
needs no browser.
"""

from __future__ import annotations

import contextlib
import html
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import ipywidgets as ipw
import numpy as np

from ..assets import example_clip
from ..errors import Cancelled, ExpotionError
from .blind_test_panel import BlindTestController, BlindTestPanel
from .jobs import Job, JobQueue
from .panels import SAME_PERSON, ListenPanel, SeePanel, SourcePanel, SteerPanel, TakesPanel
from .recording_controller import RecordingController
from .session import Session
from .sources import Source, preview_video
from .takes import StudioTake, match_loudness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPORTED = (".mp4", ".wav", ".json")
"""The endings of an exported take."""


def needs_blocking() -> bool:
    """Return whether widgets do not change while a thread works: so it is in Google Colab.

    Colab must also be asked to show widgets of this kind, which this does.
    """
    if "google.colab" not in sys.modules:
        return False
    import_module("google.colab.output").enable_custom_widget_manager()
    return True


class Studio(ipw.VBox):
    """The studio as a notebook widget. It connects the cards to a `Session`.

    Args:
        folder: where recordings and uploads go; `data.RecordedFolder` reads it for fine-tuning.
        model: see `expotion_lite.generate`.
        adapter: see `expotion_lite.generate`.
        device: see `expotion_lite.generate`.
        blocking: work in the thread of the cell; Cancel is then the stop button of the kernel. None: only where widgets
            do not change from another thread (Google Colab).

    Attributes:
        session: sources and takes, for use from Python.
        source: the person in the picture, None before one is chosen.
        jobs: the work in hand.

    Notebook: notebooks/07_play_it
    """

    def __init__(
        self,
        folder: str | Path = "recordings",
        *,
        model: str = "nano",
        adapter: str | None = "bundled",
        device: str = "auto",
        blocking: bool | None = None,
    ) -> None:
        in_colab = needs_blocking()
        self.session = Session(model, adapter, device)
        self.source: Source | None = None
        self.status = ipw.HTML()
        self.source_panel, self.see, self.steer = SourcePanel(Path(folder)), SeePanel(), SteerPanel()
        self.listen, self.takes, self.blind = ListenPanel(self.status), TakesPanel(), BlindTestPanel()
        self.see.timeline.key = self.listen.sound.key = uuid4().hex
        self.jobs = JobQueue(
            blocking=in_colab if blocking is None else blocking, on_busy=self._show_busy, on_error=self._show_error
        )
        self.recording = RecordingController(self.source_panel, self.jobs, open_file=self._open, say=self.say)
        self.blind_test = BlindTestController(
            self.blind, self.session, play=self._play_unnamed, on_running=self._show_blind_test, say=self.say
        )
        self._previews: dict[str, bytes] = {}  # name of a source -> see `preview_video`
        self._listing = False  # True while the list of sources is written, so that no source counts as chosen
        super().__init__([self.source_panel, self.status, self.steer, self.listen, self.see, self.takes, self.blind])
        self.add_class("el-studio")
        self._disabled_while_busy = [self.source_panel.people, *self._connect_buttons()]
        self.source_panel.people.observe(self._on_person, "value")
        self.say("Choose a source: record, upload, name a file, draw a gesture, or take the bundled clip.")
        if not self.jobs.blocking:
            threading.Thread(target=self._load_model, daemon=True).start()

    def __repr__(self) -> str:
        return f"<Studio: {len(self.session.sources)} sources, {len(self.session.takes)} takes>"

    def _connect_buttons(self) -> list[ipw.Button]:
        """Connect every button to its job, and return those that start one."""
        panel, takes, blind, test = self.source_panel, self.takes, self.blind, self.blind_test
        jobs: list[tuple[ipw.Button, Job]] = [
            (panel.path_button, lambda: self._open(panel.path.value)),
            (panel.clip_button, lambda: self._open(example_clip())),
            (panel.gesture_button, self._draw_gesture),
            (self.listen.button, self._generate),
            (self.steer.stranger_button, self._invite_stranger),
            (takes.compare, self._compare),
            (takes.export, self._export),
            (takes.rebuild, self._rebuild),
            (blind.begin, test.start),
            (blind.again, test.play_again),
            (blind.next, test.save_answer),
            (blind.stop, test.stop),
        ]
        for button, job in jobs:
            button.on_click(lambda _, job=job: self._run(job))
        self.listen.cancel.on_click(lambda _: self.cancel())
        return [button for button, _ in jobs]

    def say(self, text: str, bad: bool = False) -> None:
        """Show one line of text.

        Args:
            text: plain text.
            bad: mark it as an error.
        """
        words = html.escape(" ".join(text.split()))
        role, extra_class = ("alert", " el-bad") if bad else ("status", "")
        self.status.value = f"<p class='el-status{extra_class}' role='{role}'>{words}</p>"

    def cancel(self) -> None:
        """Stop the work in hand, within a step of the music. What was made by then is kept."""
        self.jobs.cancel()
        self.listen.sound.stop()
        self.say("Stopping.")

    def close(self) -> None:
        """Stop the work in hand and close the widget."""
        self.jobs.cancel()
        super().close()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the work in hand is done, or for `timeout_s` seconds."""
        self.jobs.wait(timeout_s)

    def _run(self, job: Job) -> None:
        if not self.jobs.submit(job):
            self.say("One thing at a time: wait, or press Cancel.", bad=True)

    def _show_busy(self, busy: bool) -> None:
        for widget in self._disabled_while_busy:
            widget.disabled = busy
        self.listen.cancel.disabled = self.jobs.blocking or not busy  # while it blocks, a click arrives too late

    def _show_error(self, error: BaseException) -> None:
        if isinstance(error, ExpotionError):
            self.say(str(error), bad=not isinstance(error, Cancelled))
        elif isinstance(error, KeyboardInterrupt):
            self.say("Stopped.")
        else:
            self.say(f"Unexpected {type(error).__name__}: {error}. This is a fault of the studio.", bad=True)

    def _load_model(self) -> None:
        """Load the model while the user still chooses. Errors are shown when music is made."""
        with contextlib.suppress(ExpotionError):
            self.session.pipeline()

    # Sources

    def _open(self, path: str | Path) -> None:
        if not str(path).strip():
            raise ExpotionError("Name a video file, for example me.mp4, or use the bundled clip.")
        self.say(f"Looking for face and body in {Path(path).name}.")
        self._use(self.session.open(path, cancel=self.jobs.cancelled))

    def _draw_gesture(self) -> None:
        panel = self.source_panel
        self._use(self.session.draw(panel.gesture.values, panel.length.value, movement=panel.movement.value))

    def _invite_stranger(self) -> None:
        source = self._require_source()
        other = self.session.stranger(len(self.session.sources), source.duration_s)
        self._list_sources(source)
        self.steer.follows.value = other.name
        self.say(f"The music will follow {other.name}, who moves to other music; the picture stays.")

    def _require_source(self) -> Source:
        if self.source is None:
            raise ExpotionError("Choose a source first: record, upload, or use the bundled clip.")
        return self.source

    def _on_person(self, change: Any) -> None:
        if not self._listing:
            self._run(lambda: self._use(self.session.sources[change.new]))

    def _use(self, source: Source) -> None:
        """Make a source the person in the picture."""
        from ..plots.curves import event_times, plot_controls

        self.source = source
        self._list_sources(source)
        self.steer.follows.value = SAME_PERSON
        self.steer.reset_curve(source.controls)
        picture = self._preview(source)
        n_events, found = len(event_times(source.controls)), source.controls.found.mean()
        facts = (
            f"{source.name}: {source.duration_s:.1f} s, a person in {found:.0%} of it, "
            f"{n_events} events in the movement. "
            f"The picture {'with the landmarks is under Listen' if picture else 'cannot be shown here'}."
        )
        figure = cast("Figure", plot_controls(source.controls).figure)  # without `ax` it is never a subfigure
        self.see.show(facts, figure, f"Controls over time of {source.name}. {facts}", source.controls)
        self.listen.sound.stop()
        self.listen.sound.picture = picture
        self.say("Ready: press Generate.")

    def _list_sources(self, source: Source) -> None:
        """Offer all sources in both lists, with `source` as the person in the picture."""
        people, follows = self.source_panel.people, self.steer.follows
        followed = follows.value
        self._listing = True
        try:
            follows.options = [SAME_PERSON, *(name for name in self.session.sources if name != source.name)]
            follows.value = followed if followed in follows.options else SAME_PERSON
            people.options, people.value = [*self.session.sources], source.name
            people.layout.display = "" if len(self.session.sources) > 1 else "none"
        finally:
            self._listing = False

    def _preview(self, source: Source) -> bytes:
        if source.name not in self._previews:
            self._previews[source.name] = preview_video(source)
        return self._previews[source.name]

    def _show_picture(self, source: Source) -> None:
        """Show the video of a source beside the sound."""
        if (picture := self._preview(source)) != self.listen.sound.picture:
            self.listen.sound.picture = picture

    # Takes

    def _generate(self) -> None:
        source = self._require_source()
        other = self.session.sources.get(self.steer.follows.value)
        stop = " To stop it, interrupt the execution (in Colab: Runtime)." if self.jobs.blocking else ""
        self.say(f"Making music; you hear it after the first half second.{stop}")
        self._show_picture(source)
        with self.listen.streaming(source.duration_s):
            made = self.session.generate(
                source,
                self.steer.prompt.value,
                settings=self.steer.settings(),
                steering=self.steer.steering(),
                other=other,
                on_sound=self._play_chunk,
                on_progress=self.listen.show_progress,
                cancel=self.jobs.cancelled,
            )
        self._add_take(made)

    def _rebuild(self) -> None:
        self.say("Rebuilding the take.")
        path = self.takes.recipe.value
        source = self.session.source_of(path, cancel=self.jobs.cancelled)
        if self.source is None:
            self._use(source)
        try:
            with self.listen.streaming(source.duration_s):
                made, same = self.session.rebuild(
                    path,
                    on_sound=self._play_chunk,
                    on_progress=self.listen.show_progress,
                    cancel=self.jobs.cancelled,
                )
        finally:
            self._list_sources(self._require_source())
        self._show_picture(made.source)
        self._add_take(made)
        if self.jobs.cancelled.is_set() and not same:
            self.say(f"Kept as {made.name} ({made.length_text}), before it was whole.")
        elif same:
            self.say(f"Kept as {made.name}: exactly the take that was exported.")
        else:
            self.say(f"Kept as {made.name}: not the same music; weights or machine differ.", bad=True)

    def _play_chunk(self, audio: np.ndarray) -> None:
        self.listen.sound.feed(audio, self.session.pipeline().musicgen.sample_rate)

    def _add_take(self, made: StudioTake) -> None:
        """List and announce a take at once; its figure takes a second longer."""
        self.takes.list_takes(self.session.takes)
        self.blind_test.list_takes()
        self.listen.sound.load("A", made.take.audio, made.take.sample_rate, name=made.name, clear=True)
        unknown = made.take.unknown_words
        words = f" The model does not know: {', '.join(unknown)}." if unknown else ""
        self.say(f"Kept as {made.name} ({made.length_text}).{words}")
        self._plot_take(made)

    def _plot_take(self, made: StudioTake) -> None:
        from ..evaluation.metrics import track_beats
        from ..plots.curves import plot_take

        figure = plot_take(made.take, beats=track_beats(made.take.audio, made.take.sample_rate))
        alt = f"Controls, onsets, beats and spectrogram of {made.name}"
        self.see.show(f"{made.name}: {made.length_text}", figure, alt, made.take.controls)

    def _compare(self) -> None:
        a, b = self._selected(self.takes.a), self._selected(self.takes.b)
        gains = match_loudness(a.take.audio, b.take.audio)
        sound = self.listen.sound
        self._show_picture(a.source)
        for slot, made, gain in zip("AB", (a, b), gains, strict=True):
            sound.load(slot, made.take.audio, made.take.sample_rate, name=made.name, gain=gain, clear=slot == "A")
        sound.play("A")
        a_db, b_db = (20 * np.log10(gain) for gain in gains)
        self.say(f"A at {a_db:+.1f} dB, B at {b_db:+.1f} dB: equally loud. Switch under Listen.")
        self._plot_take(a)

    def _export(self) -> None:
        made, stem = self._selected(self.takes.a), Path(self.takes.stem.value.strip()).expanduser()
        stem = stem.with_suffix("") if stem.suffix in EXPORTED else stem
        existing = [path for ending in EXPORTED if (path := Path(f"{stem}{ending}")).exists()]
        if existing and not self.takes.overwrite.value:
            raise ExpotionError(f"{existing[0]} exists; choose another name, or tick replace.")
        paths = self.session.export(made, stem, overwrite=self.takes.overwrite.value)
        self.takes.recipe.value = str(paths["json"])
        self.say(f"Written: {', '.join(map(str, paths.values()))}")

    def _selected(self, box: ipw.Dropdown) -> StudioTake:
        if box.value is None:
            raise ExpotionError("There is no take yet: press Generate.")
        return self.session.takes[box.value]

    # Blind test

    def _play_unnamed(self, made: StudioTake, gain: float) -> None:
        self._show_picture(made.source)
        self.listen.sound.load("?", made.take.audio, made.take.sample_rate, name="it", gain=gain, clear=True)
        self.listen.sound.play("?")

    def _show_blind_test(self, running: bool) -> None:
        """Hide the figure during a blind test, because it names the take; stop the sound afterwards."""
        self.see.layout.display = "none" if running else ""
        if not running:
            self.listen.sound.stop()
