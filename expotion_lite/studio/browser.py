"""The parts of the studio that need JavaScript: a recorder, a sound player, a timeline, and a curve to draw.

The JavaScript is in `static/`. It needs no build step, and it contacts nothing but the kernel.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import anywidget
import numpy as np
import traitlets

from ..controls.steering import MAX_POINTS
from ..errors import ExpotionError
from ..files import private_folder
from .recording import SAMPLE_RATE, free_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..controls.channels import Controls

STATIC = Path(__file__).parent / "static"
CHUNK = 256 * 1024
"""The largest number of bytes in one message of the recorder."""
UPLOADS = ".uploads"
"""The subfolder of the recordings where files arrive; `data.RecordedFolder` skips it."""
_POINTS_PER_S = 25.0


@dataclass
class _Upload:
    """A file that is on its way from the browser.

    Attributes:
        id: the browser's number for it.
        path: where the whole file will be; `part` is where it grows.
        size: its bytes; `received`: those that have arrived.
        backing_name: see `Recorder.on_file`.
        next_index: number of the next chunk.
    """

    id: object
    path: Path
    part: Path
    file: BinaryIO
    size: int
    backing_name: str | None
    received: int = 0
    next_index: int = 0


class Recorder(anywidget.AnyWidget):
    """A webcam recorder that also takes files of any size.

    The browser sends a file in chunks and waits for the acknowledgement of each. Recordings arrive as `recording.webm`
    (from Safari as .mp4), uploads under their own name; `on_file` may rename them.

    Args:
        folder: see below.
        on_file: see below.
        **traits: initial values of the traits.

    Attributes:
        folder: where files arrive, in its subfolder `.uploads`.
        on_file: called for each whole file with its path and the `backing_name` at the time of the recording;
            None for an upload.
        seconds: length of a recording, 3 to 30.
        countdown: seconds before it starts.
        backing: float32 samples to move to, as bytes; they also become the sound of the recording. b"" is silence.
        backing_rate: their sample rate, Hz.
        backing_name: the name of the music, "" if it is not music.
        ready: False while the backing is being made; a recording waits for it.
        message: the text that the recorder shows.
        share: the part of the file that has arrived, 0..1.
    """

    _esm = STATIC / "recorder.js"
    _css = STATIC / "studio.css"
    seconds = traitlets.Float(10.0).tag(sync=True)
    countdown = traitlets.Int(3).tag(sync=True)
    backing = traitlets.Bytes(b"").tag(sync=True)
    backing_rate = traitlets.Int(SAMPLE_RATE).tag(sync=True)
    backing_name = traitlets.Unicode("").tag(sync=True)
    ready = traitlets.Bool(True).tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)
    share = traitlets.Float(0.0)

    def __init__(
        self,
        folder: str | Path = "recordings",
        on_file: Callable[[Path, str | None], object] | None = None,
        **traits: Any,
    ) -> None:
        super().__init__(**traits)
        self.folder, self.on_file = Path(folder), on_file
        self._upload: _Upload | None = None
        self.on_msg(lambda _, content, buffers: self.receive(content, buffers))

    def receive(self, content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Handle a message of the browser and answer it: an acknowledgement, or an error of one line.

        Args:
            content: `type` and the `id` of the file. The type is "begin" (with `name`, `size`, `backing_name`), "chunk"
                (with `index`) or "end".
            buffers: the bytes of a chunk.
        """
        reply, whole = {"type": "ack"}, None
        try:
            if content.get("type") == "begin":
                self._begin(content)
            else:
                whole = self._continue(content, buffers)
        except (ExpotionError, OSError) as error:
            self._discard()
            reply = {"type": "error", "text": " ".join(str(error).split())}
        self.send(reply | {"id": content.get("id"), "index": content.get("index")})
        if whole is not None and self.on_file is not None:
            self.on_file(whole.path, whole.backing_name)

    def set_backing(self, audio: np.ndarray | None, sample_rate: int = SAMPLE_RATE, *, name: str = "") -> None:
        """Set what a person moves to while being recorded.

        Args:
            audio: (N,) float32 within -1..1; None for silence.
            sample_rate: Hz.
            name: the name of the music, "" if it is not music.
        """
        self.backing_rate, self.backing_name = sample_rate, name
        self.backing = b"" if audio is None else np.ascontiguousarray(audio, "<f4").tobytes()

    def _begin(self, content: Mapping[str, Any]) -> None:
        self._discard()
        size = int(content.get("size", 0))
        if size <= 0:
            raise ExpotionError("The file is empty; record or choose it again.")
        folder = self.folder.expanduser() / UPLOADS
        private_folder(folder)
        if size > shutil.disk_usage(folder).free:
            raise ExpotionError(f"{folder} has no room for {size / 1e6:.0f} MB; choose another folder.")
        path = free_path(folder, str(content.get("name", "video")))
        part = path.with_name(f"{path.name}.part")
        self._upload = _Upload(content.get("id"), path, part, part.open("wb"), size, content.get("backing_name"))

    def _continue(self, content: Mapping[str, Any], buffers: Sequence[bytes]) -> _Upload | None:
        """Write a chunk, or finish the file. Returns the upload once it is whole."""
        upload = self._upload
        if upload is None or upload.id != content.get("id"):
            raise ExpotionError("The file arrived mixed with another one; choose it again.")
        if content.get("type") == "end":
            return self._finish(upload)
        if content.get("index") != upload.next_index or len(buffers) != 1 or len(buffers[0]) > CHUNK:
            raise ExpotionError("A part of the file was lost on its way; choose it again.")
        upload.file.write(buffers[0])
        upload.next_index += 1
        upload.received += len(buffers[0])
        self.share = min(1.0, upload.received / upload.size)
        return None

    def _finish(self, upload: _Upload) -> _Upload:
        upload.file.close()
        if upload.received != upload.size:
            raise ExpotionError("The end of the file is missing; choose it again.")
        upload.part.rename(upload.path)
        self._upload = None
        return upload

    def _discard(self) -> None:
        """Delete what has arrived of a file that will not become whole."""
        if self._upload is not None:
            self._upload.file.close()
            self._upload.part.unlink(missing_ok=True)
        self._upload = None


class Sound(anywidget.AnyWidget):
    """A player of chunks while more are made, and of takes that one can switch between at the same place.

    Attributes:
        picture: an mp4 that is shown along with the sound, itself silent.
        key: the key of the timelines that follow this player.
        underruns: how often the player had no chunk in time.
        chunks: number of chunks played.
        peak: the largest absolute sample so far.

    Example:
        >>> sound = Sound()
        >>> sound.start(1.0); sound.feed(np.zeros(8000, np.float32), 16_000); sound.end()
    """

    _esm = STATIC / "sound.js"
    _css = STATIC / "studio.css"
    picture = traitlets.Bytes(b"").tag(sync=True)
    key = traitlets.Unicode("").tag(sync=True)
    underruns = traitlets.Int(0).tag(sync=True)
    chunks = traitlets.Int(0).tag(sync=True)
    peak = traitlets.Float(0.0).tag(sync=True)

    def start(self, total_s: float) -> None:
        """Begin a stream of `total_s` seconds."""
        self.send({"type": "start", "total_s": float(total_s)})

    def feed(self, audio: np.ndarray, sample_rate: int) -> None:
        """Play a chunk after the earlier ones.

        Args:
            audio: (N,) float32 within -1..1.
            sample_rate: Hz.
        """
        self.send({"type": "chunk", "rate": int(sample_rate)}, [np.ascontiguousarray(audio, "<f4").tobytes()])

    def end(self) -> None:
        """End the stream: no more chunks follow."""
        self.send({"type": "end"})

    def stop(self) -> None:
        """Stop playing."""
        self.send({"type": "stop"})

    def load(
        self, slot: str, audio: np.ndarray, sample_rate: int, *, name: str = "", gain: float = 1.0, clear: bool = False
    ) -> None:
        """Put a take behind a button.

        Args:
            slot: the text on the button.
            audio: (N,) float32 within -1..1.
            sample_rate: Hz.
            name: the name of the take, for screen readers; `slot` if empty.
            gain: factor of the samples.
            clear: remove the other buttons.
        """
        content = {"type": "load", "slot": slot, "rate": int(sample_rate), "name": name or slot, "gain": gain}
        self.send(content | {"clear": clear}, [np.ascontiguousarray(audio, "<f4").tobytes()])

    def play(self, slot: str) -> None:
        """Play a take from the start, as if its button had been pressed."""
        self.send({"type": "play", "slot": slot})


class Timeline(anywidget.AnyWidget):
    """A figure over time with a cursor that follows a `Sound` of the same `key`, and meters of a person's controls.

    The slider under the figure shows the place in the music, and moves the sound there.

    Attributes:
        key: the key of the player that it follows.
        picture: the figure, as png.
        alt: a description of the figure, for screen readers.
        left: fraction of the picture's width at which the time axis begins.
        right: fraction of the picture's width at which the time axis ends.
        duration_s: seconds on the time axis.
        meters: names of the channels that are shown as bars, from -1 to 1 own ranges.
        levels: their values, (T, len(meters)) float32, as bytes.
        rate: frames per second of `levels`.
        shown: number of figures shown so far; the browser waits for its change.

    Example:
        >>> Timeline(key="mine").duration_s
        1.0
    """

    _esm = STATIC / "timeline.js"
    _css = STATIC / "studio.css"
    key = traitlets.Unicode("").tag(sync=True)
    picture = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    left = traitlets.Float(0.0).tag(sync=True)
    right = traitlets.Float(1.0).tag(sync=True)
    duration_s = traitlets.Float(1.0).tag(sync=True)
    meters = traitlets.List(traitlets.Unicode()).tag(sync=True)
    levels = traitlets.Bytes(b"").tag(sync=True)
    rate = traitlets.Float(50.0).tag(sync=True)
    shown = traitlets.Int(0).tag(sync=True)

    def show(self, figure: Figure, alt: str, controls: Controls, channels: Sequence[str]) -> None:
        """Show a figure, and meters of the person's controls.

        Args:
            figure: the figure, not closed; its first axes has the time axis, in seconds.
            alt: a description of the figure.
            controls: values of the meters; they also give the duration.
            channels: names of the channels to show as meters.
        """
        figure.canvas.draw()
        duration_s = len(controls.values) / controls.frame_rate
        ends = figure.axes[0].transData.transform([(0.0, 0.0), (duration_s, 0.0)])
        left, right = (float(x) / figure.bbox.width for x in ends[:, 0])
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=130, facecolor="white", bbox_inches=figure.bbox_inches)
        levels = np.stack([controls[name] for name in channels], axis=1)
        with self.hold_sync():
            self.picture, self.alt, self.left, self.right = png.getvalue(), alt, left, right
            self.duration_s, self.rate = duration_s, float(controls.frame_rate)
            self.meters = [name.replace("_", " ") for name in channels]
            self.levels = np.ascontiguousarray(levels, "<f4").tobytes()
            self.shown += 1


class Curve(anywidget.AnyWidget):
    """A curve to draw with the mouse, a finger, or the keyboard.

    Args:
        n_points: number of points of a curve that is flat at first; None where `values` is given.
        **traits: initial values of the traits.

    Attributes:
        values: the points, evenly spaced over `duration_s` seconds, between `low` and `high`.
        reference: another curve, shown in grey; [] for none.
        low: the lowest value that can be drawn.
        high: the highest value that can be drawn.
        duration_s: seconds on the time axis.
        label: the name of the curve, for screen readers.

    Example:
        >>> Curve(n_points=3, duration_s=2.0).values
        [0.0, 0.0, 0.0]
    """

    _esm = STATIC / "curve.js"
    _css = STATIC / "studio.css"
    values = traitlets.List(traitlets.Float()).tag(sync=True)
    reference = traitlets.List(traitlets.Float()).tag(sync=True)
    low = traitlets.Float(0.0).tag(sync=True)
    high = traitlets.Float(1.0).tag(sync=True)
    duration_s = traitlets.Float(10.0).tag(sync=True)
    label = traitlets.Unicode("curve").tag(sync=True)

    def __init__(self, n_points: int | None = None, **traits: Any) -> None:
        super().__init__(**({"values": [0.0] * n_points} if n_points else {}) | traits)

    def reset(self, duration_s: float, reference: Sequence[float] = ()) -> None:
        """Start again with a flat curve for a clip of another length.

        Args:
            duration_s: seconds. The curve gets 25 points for each, but at most `MAX_POINTS`.
            reference: another curve to show in grey.
        """
        n_points = min(MAX_POINTS, max(2, round(_POINTS_PER_S * duration_s)))
        self.duration_s, self.reference = float(duration_s), [float(value) for value in reference]
        self.values = [0.0] * n_points

    @property
    def is_drawn(self) -> bool:
        """True unless the curve is flat at 0."""
        return any(value != 0 for value in self.values)
