"""The studio: record yourself, steer, listen while the music is made, compare, keep takes, and judge them blind.

    from expotion_lite.studio.page import Studio
    Studio()

Works in JupyterLab, Notebook, VS Code (without its camera) and Google Colab. What the buttons do is in
`session.Session`, which needs no browser.
"""

from __future__ import annotations

import contextlib
import html
import sys
import tempfile
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import ipywidgets as ipw
import numpy as np

from ..assets import clip
from ..errors import Cancelled, ExpotionError
from .blind_test import ListeningTest, read_ratings, save_ratings
from .browser import Curve, Recorder, Sound
from .filming import band_music, click_track, file_recording
from .panels import NOBODY_ELSE, SILENCE, ListeningPanel, ListenPanel, SeePanel, SourcePanel, SteerPanel, TakesPanel
from .session import Kept, Progress, Session, matched
from .sources import Source

EXPORTED = (".mp4", ".wav", ".json")  # what a take is exported as
NOT_TO_TRAIN = "Such a recording is good to play with; to fine-tune with it, it needs music: choose the band."
MOST_PICTURE = 40_000_000  # bytes that are sent to the browser; a longer video is heard without its picture

__all__ = ["Curve", "Recorder", "Sound", "Studio"]


def blocks_here() -> bool:
    """Whether widgets do not change while a thread works: Google Colab, which must also be asked to show such parts."""
    if "google.colab" not in sys.modules:
        return False
    import_module("google.colab.output").enable_custom_widget_manager()
    return True


class Studio(ipw.VBox):
    """Record yourself, steer, listen, compare and keep.

    Args:
        folder: where recordings and uploads go; a `recordings.RecordedFolder` to fine-tune with.
        model, adapter, device: see `expotion_lite.generate`.
        blocking: work in the cell's own thread, because widgets do not change from another; None: where that is so
            (Google Colab). Cancel is then the kernel's stop button.

    Attributes:
        session: sources and takes, for Python.

    Notebook: notebooks/07_play_it
    """

    def __init__(
        self,
        folder: str | Path = "recordings",
        *,
        model: str = "nano",
        adapter: str | None = "bundled",
        device: str = "cpu",
        blocking: bool | None = None,
    ) -> None:
        self.session = Session(model, adapter, device)
        here = blocks_here()
        self.blocking = here if blocking is None else blocking
        self.source: Source | None = None
        self.status = ipw.HTML()
        self.source_panel, self.see, self.steer = SourcePanel(Path(folder)), SeePanel(), SteerPanel()
        self.listen, self.takes, self.blind = ListenPanel(self.status), TakesPanel(), ListeningPanel()
        self.see.timeline.key = self.listen.sound.key = uuid4().hex
        self._test: ListeningTest | None = None
        self._tested: list[tuple[Kept, float]] = []  # its takes, and how loud they are played
        self._cancel, self._worker = threading.Event(), None
        self._gate, self._working = threading.Lock(), False
        self._later: list[tuple[Any, ...]] = []  # what came while something else was going on
        self._backings = 0  # how often something else was chosen to move to
        self._captions = {"": ""}  # of what the band has played to move to
        self._listing = False  # whether the list of people is being written, not chosen from
        self._pictures: dict[str, bytes] = {}
        source, takes, blind = self.source_panel, self.takes, self.blind
        self._busy = [source.people, source.path_button, source.clip_button, source.gesture_button, self.listen.button,
                      takes.compare, takes.export, takes.rebuild, self.steer.stranger_button,
                      blind.begin, blind.again, blind.next, blind.stop]  # fmt: skip
        super().__init__([self.source_panel, self.status, self.steer, self.listen, self.see, self.takes, self.blind])
        self.add_class("el-studio")
        self._wire()
        self.say("Choose a source: record, upload, name a file, draw a gesture, or take the bundled clip.")
        if not self.blocking:
            threading.Thread(target=self._warm_up, daemon=True).start()

    def __repr__(self) -> str:
        return f"<Studio: {len(self.session.sources)} sources, {len(self.session.takes)} takes>"

    def _wire(self) -> None:
        panel, takes, blind = self.source_panel, self.takes, self.blind
        panel.recorder.on_file = self._on_file
        panel.people.observe(self._on_another, "value")
        for box in (panel.backing, panel.bpm):
            box.observe(self._on_other_backing, "value")
        panel.recorder.observe(lambda _: panel.backing.value == SILENCE or self._on_other_backing(), "seconds")
        for button, job in [
            (panel.path_button, lambda: self._on_open(panel.path.value)),
            (panel.clip_button, lambda: self._on_open(clip())),
            (panel.gesture_button, self._on_draw),
            (self.listen.button, self._on_generate),
            (self.steer.stranger_button, self._on_invite),
            (takes.compare, self._on_compare),
            (takes.export, self._on_export),
            (takes.rebuild, self._on_rebuild),
            (blind.begin, self._on_begin_test),
            (blind.again, self._play_asked),
            (blind.next, self._on_rated),
            (blind.stop, self._end_test),
        ]:
            button.on_click(lambda _, job=job: self._run(job))
        self.listen.cancel.on_click(lambda _: self.cancel())

    def say(self, text: str, bad: bool = False) -> None:
        """Show one line; `bad` marks that something cannot be done."""
        words = html.escape(" ".join(str(text).split()))
        self.status.value = (
            f"<p class='el-status{' el-bad' if bad else ''}' role='{'alert' if bad else 'status'}'>{words}</p>"
        )

    def cancel(self) -> None:
        """Stop what is going on, within a step of the music; what was made is kept."""
        self._cancel.set()
        self.listen.sound.stop()
        self.say("Stopping.")

    def close(self) -> None:
        """Stop what is going on, and go."""
        self._cancel.set()
        super().close()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the work in hand is done."""
        if self._worker is not None:
            self._worker.join(timeout_s)

    def _run(self, job: Callable[..., None], *arguments: Any, later: bool = False) -> None:
        """Do a job, beside the notebook if widgets change from there; one at a time, the others never or `later`."""
        with self._gate:
            if self._working and later:
                return self._later.append((job, *arguments))
            free, self._working = not self._working, True
        if not free:
            return self.say("One thing at a time: wait, or press Cancel.", bad=True)
        self._cancel.clear()
        self._set_busy(True)
        if self.blocking:
            return self._do(job, *arguments)
        self._worker = threading.Thread(target=self._do, args=(job, *arguments), daemon=True, name="studio")
        return self._worker.start()

    def _do(self, job: Callable[..., None], *arguments: Any) -> None:
        """Do a job, and after it what came later."""
        try:
            while True:
                self._try(job, *arguments)
                with self._gate:
                    if not self._later:
                        return self._rest()
                    job, *arguments = self._later.pop(0)
                self._cancel.clear()
        except BaseException:  # an interrupt in between: the next job may begin all the same
            with self._gate:
                self._rest()
            raise

    def _rest(self) -> None:
        self._set_busy(False)
        self._working = False

    def _try(self, job: Callable[..., None], *arguments: Any) -> None:
        """Do a job; what goes wrong is said."""
        try:
            job(*arguments)
        except ExpotionError as error:
            self.say(str(error), bad=not isinstance(error, Cancelled))
        except KeyboardInterrupt:
            self.say("Stopped.")
        except Exception as error:  # a studio that is silent about a fault helps nobody
            self.say(f"{type(error).__name__}: {error} (this should not happen)", bad=True)

    def _set_busy(self, busy: bool) -> None:
        for button in self._busy:
            button.disabled = busy
        self.listen.cancel.disabled = self.blocking or not busy  # a click would be heard when all is over

    def _on_file(self, path: Path, heard: str | None) -> None:
        """A file is there: file and open it, now or later, under the words that stand in the boxes now."""
        panel, caption = self.source_panel, self.source_panel.caption.value
        if heard is not None and caption == self._captions[panel.recorder.backing_name]:
            caption = self._captions.get(heard, "")  # nobody has changed the words, but perhaps the music since
        words = {"name": panel.title.value, "performer": panel.performer.value, "caption": caption,
                 "song": heard or ""}  # fmt: skip
        self._run(self._on_arrived, path, None if heard is None else panel.folder.value, words, later=True)

    def _on_arrived(self, path: Path, folder: str | None, words: dict[str, str]) -> None:
        """folder: for a recording and its words; None for a file that was uploaded, which stays where it is."""
        if folder is not None:
            try:
                if not folder.strip():
                    raise ExpotionError("Name the folder to keep recordings in, for example recordings.")
                path = file_recording(path, folder, **words)
            except ExpotionError as error:
                raise ExpotionError(f"{error} The recording is kept as {path}.") from error
        self._on_open(path)

    def _on_other_backing(self, _: Any = None) -> None:
        """What one moves to is another. Until the band has played, which may have to wait, nothing is recorded."""
        panel, recorder, what = self.source_panel, self.source_panel.recorder, self.source_panel.backing.value
        self._backings += 1
        recorder.ready = False
        panel.bpm.layout.display = "" if what == "clicks" else "none"
        if panel.caption.value == self._captions[recorder.backing_name]:
            panel.caption.value = ""
        recorder.move_to(click_track(panel.bpm.value, recorder.seconds) if what == "clicks" else None)
        if what not in (SILENCE, "clicks"):
            return self._run(self._on_band, what, self._backings, later=True)
        recorder.ready = True
        hears = "move to silence" if what == SILENCE else f"hear {panel.bpm.value} clicks a minute; use headphones"
        return self.say(f"You will {hears}. {NOT_TO_TRAIN}")

    def _on_band(self, what: str, number: int) -> None:
        """Let the band play what was chosen, unless something else has been chosen since."""
        panel = self.source_panel
        if number != self._backings:
            return
        self.say("The band is tuning up.")
        try:
            audio, self._captions[what] = band_music(what.partition(": ")[2], panel.recorder.seconds)
        except BaseException:
            panel.backing.value = SILENCE  # else Record would wait for it forever
            raise
        if number == self._backings:
            panel.recorder.move_to(audio, name=what)
            panel.caption.value, panel.recorder.ready = self._captions[what], True
            self.say("You will hear the band while you are recorded, and so will your recording.")

    def _on_open(self, path: str | Path) -> None:
        if not str(path).strip():
            raise ExpotionError("Name a video file, for example me.mp4, or use the bundled clip.")
        self.say(f"Looking for face and body in {Path(path).name}.")
        self._show(self.session.open(path, cancel=self._cancel))

    def _on_draw(self) -> None:
        panel = self.source_panel
        self._show(self.session.draw(panel.gesture.values, panel.length.value, movement=panel.movement.value))

    def _on_invite(self) -> None:
        source = self._chosen()
        other = self.session.stranger(len(self.session.sources), source.duration_s)
        self._list_sources(source)
        self.steer.listens.value = other.name
        self.say(f"The music will follow {other.name}, who moves to music of their own; the picture stays.")

    def _chosen(self) -> Source:
        if self.source is None:
            raise ExpotionError("Choose a source first: record, upload, or use the bundled clip.")
        return self.source

    def _list_sources(self, source: Source) -> None:
        people, listens = self.source_panel.people, self.steer.listens
        other, self._listing = listens.value, True
        try:
            listens.options = [NOBODY_ELSE, *(name for name in self.session.sources if name != source.name)]
            listens.value = other if other in listens.options else NOBODY_ELSE
            people.options, people.value = [*self.session.sources], source.name
            people.layout.display = "" if len(self.session.sources) > 1 else "none"
        finally:
            self._listing = False

    def _on_another(self, change: Any) -> None:
        """Somebody who was there before is chosen again."""
        if not self._listing:
            self._run(self._show, self.session.sources[change.new])

    def _show(self, source: Source) -> None:
        """Make somebody the one who moves."""
        from ..plots.curves import plot_controls, pulse_times

        self.source = source
        self._list_sources(source)
        self.steer.listens.value = NOBODY_ELSE
        self.steer.reset_curve(source.controls)
        beats, seen = len(pulse_times(source.controls)), source.controls.found.mean()
        picture = self._picture(source)
        where = "with what was found is under Listen" if picture else "cannot be shown here"
        facts = (
            f"{source.name}: {source.duration_s:.1f} s, a person in {seen:.0%} of it, {beats} turns of movement. "
            f"The picture {where}."
        )
        alt = f"Controls over time of {source.name}. {facts}"
        self.see.show(facts, plot_controls(source.controls).figure, alt, source.controls)
        self.listen.sound.stop()
        self.listen.sound.picture = picture
        self.say("Ready: press Generate.")

    def _warm_up(self) -> None:
        """Load the model while somebody is still choosing a prompt. What is wrong with it Generate will say."""
        with contextlib.suppress(ExpotionError):
            self.session.pipeline()

    def _picture(self, source: Source) -> bytes:
        """The video with skeleton and face mesh, as mp4."""
        from ..plots.overlay import overlay_video

        if source.name not in self._pictures:
            with tempfile.TemporaryDirectory() as folder:
                path = source.video
                data = b""  # without a picture there is music all the same
                with contextlib.suppress(ExpotionError, OSError):
                    if "video" in source.recipe:
                        path = overlay_video(source.video, source.landmarks, Path(folder) / "seen.mp4")
                    data = Path(path).read_bytes()
                self._pictures[source.name] = data if len(data) <= MOST_PICTURE else b""
        return self._pictures[source.name]

    def _on_generate(self) -> None:
        source = self._chosen()
        other = self.session.sources.get(self.steer.listens.value)
        stop = " To stop it, interrupt the execution (in Colab: Runtime)." if self.blocking else ""
        self.say(f"Making music; it begins to sound after half a second of it.{stop}")
        self._look_at(source)
        with _Streaming(self, source) as hear:
            kept = self.session.generate(
                source, self.steer.prompt.value, settings=self.steer.settings(), steering=self.steer.steering(),
                other=other, **hear,
            )  # fmt: skip
        self._keep(kept)

    def _keep(self, kept: Kept) -> None:
        """Say first that a take is there, then draw its picture, which takes a second."""
        take = kept.take
        self.takes.list(self.session.takes)
        if self._test is None:
            self.blind.list(self.session.takes)
        self.listen.sound.load("A", take.audio, take.sample_rate, name=kept.name, clear=True)
        words = f" The model does not know: {', '.join(take.unknown_words)}." if take.unknown_words else ""
        self.say(f"Kept as {kept.name} ({_length(kept)}).{words}")
        self._draw(kept)

    def _draw(self, kept: Kept) -> None:
        """Show a take over time."""
        from ..evaluation.metrics import track_beats
        from ..plots.curves import plot_take

        take = kept.take
        alt = f"Controls, onsets, beats and spectrogram of {kept.name}"
        figure = plot_take(take, beats=track_beats(take.audio, take.sample_rate))
        self.see.show(f"{kept.name}: {_length(kept)}", figure, alt, take.controls)

    def _on_compare(self) -> None:
        a, b = self._picked(self.takes.a), self._picked(self.takes.b)
        gains = matched(a.take.audio, b.take.audio)
        sound = self.listen.sound
        self._look_at(a.source)
        for slot, kept, gain in zip("AB", (a, b), gains, strict=True):
            sound.load(slot, kept.take.audio, kept.take.sample_rate, name=kept.name, gain=gain, clear=slot == "A")
        sound.play("A")
        decibels = [20 * np.log10(gain) for gain in gains]
        self.say(f"A at {decibels[0]:+.1f} dB, B at {decibels[1]:+.1f} dB: equally loud. Switch under Listen.")
        self._draw(a)

    def _picked(self, box: ipw.Dropdown) -> Kept:
        if box.value is None:
            raise ExpotionError("There is no take yet: press Generate.")
        return self.session.takes[box.value]

    def _look_at(self, source: Source) -> None:
        """Show somebody beside the sound."""
        if (picture := self._picture(source)) != self.listen.sound.picture:
            self.listen.sound.picture = picture

    def _on_begin_test(self) -> None:
        panel = self.blind
        takes = [self.session.takes[index] for index in panel.which.value]
        place = Path(panel.place.value).expanduser()
        before = read_ratings(place) if place.exists() else []
        rounds = [rating.round for rating in before if rating.listener == panel.listener.value.strip()]
        self._test = ListeningTest(
            [kept.name for kept in takes], listener=panel.listener.value, rounds=panel.rounds.value,
            codes=[kept.codes_sha256[:12] for kept in takes], first_round=1 + max(rounds, default=0),
        )  # fmt: skip
        self.see.layout.display = "none"  # it would tell which take is heard
        self._tested = [*zip(takes, matched(*(kept.take.audio for kept in takes)), strict=True)]
        self._ask()

    def _ask(self) -> None:
        """Play what is to be rated next, and ask about it."""
        self.blind.ask(self._test.done + 1, self._test.total)
        self._play_asked()
        self.say("Listen, then answer the five questions below.")

    def _play_asked(self) -> None:
        """Play what is to be rated, without a name, whatever was heard meanwhile."""
        if self._test is None:
            raise ExpotionError("Begin a blind test first.")
        kept, gain = self._tested[self._test.current]
        self._look_at(kept.source)
        self.listen.sound.load("?", kept.take.audio, kept.take.sample_rate, name="it", gain=gain, clear=True)
        self.listen.sound.play("?")

    def _on_rated(self) -> None:
        if self._test is None:
            raise ExpotionError("Begin a blind test first.")
        self._test.rate(self.blind.scores())
        try:
            save_ratings(self.blind.place.value, self._test.ratings[-1:])
        except BaseException:
            self._test.ratings.pop()  # what is heard and asked is still the same take
            raise
        if self._test.current is None:
            return self._end_test()
        return self._ask()

    def _end_test(self) -> None:
        """Tell what was heard, if anything was."""
        test, self._test = self._test, None
        self.listen.sound.stop()
        self.see.layout.display = ""
        self.blind.list(self.session.takes)
        if test is None or not test.ratings:
            self.blind.questions.layout.display = "none"
            return self.say("The test is over; nothing was rated.")
        self.blind.tell(test.ratings)
        return self.say(f"{test.done} answers are kept in {self.blind.place.value}.")

    def _on_export(self) -> None:
        kept, stem = self._picked(self.takes.a), Path(self.takes.stem.value.strip()).expanduser()
        stem = stem.with_suffix("") if stem.suffix in EXPORTED else stem
        there = [path for ending in EXPORTED if (path := Path(f"{stem}{ending}")).exists()]
        if there and not self.takes.overwrite.value:
            raise ExpotionError(f"{there[0]} exists; choose another name, or tick replace.")
        paths = self.session.export(kept, stem, overwrite=self.takes.overwrite.value)
        self.takes.recipe.value = str(paths["json"])
        self.say(f"Written: {', '.join(map(str, paths.values()))}")

    def _on_rebuild(self) -> None:
        self.say("Making it anew.")
        source = self.session.source_of(self.takes.recipe.value, cancel=self._cancel)
        if self.source is None:
            self._show(source)
        try:
            with _Streaming(self, source) as hear:
                kept, same = self.session.rebuild(self.takes.recipe.value, **hear)
        finally:
            self._list_sources(self.source)
        self._look_at(kept.source)
        self._keep(kept)
        if self._cancel.is_set() and not same:
            return self.say(f"Kept as {kept.name} ({_length(kept)}), before it was whole.")
        told = "exactly the take that was exported" if same else "not the same: other weights, or another machine"
        return self.say(f"Kept as {kept.name}: {told}.", bad=not same)


class _Streaming:
    """What a run tells the listening panel; whatever happens, the panel is told when it is over."""

    def __init__(self, studio: Studio, source: Source) -> None:
        self.studio, self.panel, self.sound = studio, studio.listen, studio.listen.sound
        self.total_s = source.duration_s

    def __enter__(self) -> dict[str, Any]:
        self.panel.bar.value, self.panel.left.value = 0.0, "getting ready"
        self.rate = None
        self.sound.start(self.total_s)
        return {"on_sound": self._feed, "on_progress": self._tell, "cancel": self.studio._cancel}

    def __exit__(self, *_: object) -> None:
        self.sound.end()
        self.panel.left.value = ""

    def _feed(self, audio: np.ndarray) -> None:
        self.rate = self.rate or self.studio.session.pipeline().musicgen.sample_rate
        self.sound.feed(audio, self.rate)

    def _tell(self, progress: Progress) -> None:
        self.panel.bar.value = progress.done_s / progress.total_s
        self.panel.left.value = str(progress)


def _length(kept: Kept) -> str:
    made = kept.frames / kept.take.controls.frame_rate
    whole = len(kept.take.audio) / kept.take.sample_rate
    return f"{whole:.1f} s" if made > whole - 0.1 else f"{made:.1f} of {whole:.1f} s, stopped"
