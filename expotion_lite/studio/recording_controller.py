"""The recorder of the studio: sets what people move to, and files the recordings that arrive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import ExpotionError
from .jobs import JobQueue
from .panels import BAND, CLICKS, SILENCE, SourcePanel
from .recording import band_music, click_track, file_recording

_NO_MUSIC = "You can make music for such a recording, but fine-tuning needs one with music: for it, choose the band."


class RecordingController:
    """The steps around a recording: its backing is prepared, and its file is moved and opened.

    Args:
        panel: the card with the recorder.
        jobs: where long work is done.
        open_file: opens a video as the source.
        say: shows a line of text.
    """

    def __init__(
        self,
        panel: SourcePanel,
        jobs: JobQueue,
        *,
        open_file: Callable[[Path], object],
        say: Callable[[str], object],
    ) -> None:
        self.panel, self._jobs, self._open_file, self._say = panel, jobs, open_file, say
        self._choice = 0  # counts the choices of a backing, so that a late result of an earlier one is dropped
        self._captions = {"": ""}  # name of a backing -> caption of its music
        panel.recorder.on_file = self._on_file
        panel.backing.observe(lambda _: self._change_backing(), "value")
        panel.bpm.observe(lambda _: self._change_backing(), "value")
        panel.recorder.observe(lambda _: self._change_length(), "seconds")

    def _change_length(self) -> None:
        if self.panel.backing.value != SILENCE:
            self._change_backing()

    def _change_backing(self) -> None:
        """Set silence or clicks at once, or queue a job for the band. The recorder waits until the backing is there."""
        panel, recorder, backing = self.panel, self.panel.recorder, self.panel.backing.value
        self._choice += 1
        choice = self._choice
        recorder.ready = False
        panel.bpm.layout.display = "" if backing == CLICKS else "none"
        if panel.caption.value == self._captions[recorder.backing_name]:
            panel.caption.value = ""
        recorder.set_backing(click_track(panel.bpm.value, recorder.seconds) if backing == CLICKS else None)
        if backing not in (SILENCE, CLICKS):
            self._jobs.submit(lambda: self._set_band(backing, choice), queue=True)
            return
        recorder.ready = True
        if backing == SILENCE:
            self._say(f"You will move to silence. {_NO_MUSIC}")
        else:
            self._say(f"You will hear {panel.bpm.value} clicks per minute; use headphones. {_NO_MUSIC}")

    def _set_band(self, backing: str, choice: int) -> None:
        """Let the band play what was chosen, unless something else has been chosen since.

        Args:
            backing: name of the choice, with a style.
            choice: its number.
        """
        panel = self.panel
        if choice != self._choice:
            return
        self._say("The band is being prepared.")
        try:
            audio, self._captions[backing] = band_music(backing.removeprefix(BAND), panel.recorder.seconds)
        except BaseException:
            panel.backing.value = SILENCE  # otherwise the recorder would wait forever
            raise
        if choice == self._choice:
            panel.recorder.set_backing(audio, name=backing)
            panel.caption.value, panel.recorder.ready = self._captions[backing], True
            self._say("You will hear the band while you are recorded; its music becomes the sound of the recording.")

    def _on_file(self, path: Path, backing_name: str | None) -> None:
        """Queue a job that opens a file that arrived, with the texts of the fields as they are now.

        Args:
            path: the file.
            backing_name: see `Recorder.on_file`.
        """
        if backing_name is None:
            self._jobs.submit(lambda: self._open_file(path), queue=True)
            return
        panel, caption = self.panel, self.panel.caption.value
        if caption == self._captions[panel.recorder.backing_name]:  # not edited, but the backing may have changed
            caption = self._captions.get(backing_name, "")
        folder, name, performer = panel.folder.value, panel.title.value, panel.performer.value

        def file_and_open() -> None:
            try:
                if not folder.strip():
                    raise ExpotionError("Name the folder to keep recordings in, for example recordings.")
                filed = file_recording(path, folder, name=name, performer=performer, caption=caption, song=backing_name)
            except ExpotionError as error:
                raise ExpotionError(f"{error} The recording is kept as {path}.") from error
            self._open_file(filed)

        self._jobs.submit(file_and_open, queue=True)
