"""The four parts of the studio that need a browser's abilities: a recorder, a player, a timeline, a curve to draw.

Their JavaScript lies in `static/`; it needs no build and contacts nothing but the kernel.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from ..controls.steering import MOST_POINTS
from ..errors import ExpotionError
from .filming import free_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..controls.channels import Controls

STATIC = Path(__file__).parent / "static"
CHUNK = 256 * 1024  # bytes
UPLOADS = ".uploads"  # beside the recordings; a folder of recordings does not look into it


class Recorder(anywidget.AnyWidget):
    """Record with the webcam, or take a file of any size; either lies in `folder` when `on_file` is called.

    The browser sends 256 KiB at a time and waits until each has been written. Recordings come as `recording.webm`
    (Safari: .mp4), uploads under their own name; who is told decides what to call them.

    Attributes:
        folder: where files arrive (in `.uploads`).
        on_file: called when a file is whole, with its path and the song that one heard while it was recorded:
            `backing_name`, "" for none, None for an upload.
        seconds: 3 to 30, length of a recording. countdown: seconds before it.
        backing, backing_rate, backing_name: float32 samples to move to, their rate, and the song, "" if it is none;
            heard, and recorded as the video's sound. ready: whether they are there; a recording does not begin before.
        message: what it says now. share: of the file that has arrived, 0..1.

    Notebook: notebooks/07_play_it
    """

    _esm = STATIC / "recorder.js"
    _css = STATIC / "studio.css"
    seconds = traitlets.Float(10.0).tag(sync=True)
    countdown = traitlets.Int(3).tag(sync=True)
    backing = traitlets.Bytes(b"").tag(sync=True)
    backing_rate = traitlets.Int(16_000).tag(sync=True)
    backing_name = traitlets.Unicode("").tag(sync=True)
    ready = traitlets.Bool(True).tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)
    share = traitlets.Float(0.0)

    def __init__(
        self,
        folder: str | Path = "recordings",
        on_file: Callable[[Path, str | None], None] | None = None,
        **traits: Any,
    ) -> None:
        """folder: for what arrives. on_file: see above."""
        super().__init__(**traits)
        self.folder, self.on_file = Path(folder), on_file
        self._arriving: dict[str, Any] | None = None
        self.on_msg(self._answer)

    def _answer(self, _: Any, content: dict[str, Any], buffers: Sequence[bytes]) -> None:
        """One message of the browser: acknowledge it, or say on one line what is wrong."""
        reply, done = {"type": "ack"}, None
        try:
            done = self._take(content, buffers)
        except (ExpotionError, OSError) as error:
            self._drop()
            reply = {"type": "error", "text": " ".join(str(error).split())}
        self.send(reply | {"id": content.get("id"), "index": content.get("index")})
        if done is not None and self.on_file is not None:
            self.on_file(*done)

    def _take(self, content: dict[str, Any], buffers: Sequence[bytes]) -> tuple[Path, str | None] | None:
        kind = content.get("type")
        if kind == "begin":
            self._begin(content)
            return None
        arriving = self._arriving
        if arriving is None or arriving["id"] != content.get("id"):
            raise ExpotionError("The file came in pieces that do not belong together; choose it again.")
        if kind == "end":
            return self._end(arriving)
        if content.get("index") != arriving["next"] or len(buffers) != 1 or len(buffers[0]) > CHUNK:
            raise ExpotionError("A piece of the file was lost on its way; choose it again.")
        arriving["file"].write(buffers[0])
        arriving["next"] += 1
        arriving["got"] += len(buffers[0])
        self.share = min(1.0, arriving["got"] / max(1, arriving["size"]))
        return None

    def _begin(self, content: dict[str, Any]) -> None:
        self._drop()
        size = int(content.get("size", 0))
        if size <= 0:
            raise ExpotionError("The file is empty; record or choose it again.")
        place = self.folder.expanduser() / UPLOADS
        place.mkdir(parents=True, exist_ok=True)
        if size > shutil.disk_usage(place).free:
            raise ExpotionError(f"{place} has no room for {size / 1e6:.0f} MB; choose another folder.")
        path = free_name(place, str(content.get("name", "video")))
        part = path.with_name(f"{path.name}.part")
        self._arriving = {"id": content.get("id"), "path": path, "part": part, "size": size, "got": 0, "next": 0,
                          "heard": content.get("heard"), "file": part.open("wb")}  # fmt: skip

    def _end(self, arriving: dict[str, Any]) -> tuple[Path, str | None]:
        arriving["file"].close()
        if arriving["got"] != arriving["size"]:
            raise ExpotionError("The end of the file is missing; choose it again.")
        arriving["part"].rename(arriving["path"])
        self._arriving = None
        return arriving["path"], arriving["heard"]

    def _drop(self) -> None:
        """Forget what arrived of a file that will not become whole."""
        if self._arriving is not None:
            self._arriving["file"].close()
            self._arriving["part"].unlink(missing_ok=True)
        self._arriving = None

    def move_to(self, audio: np.ndarray | None, sample_rate: int = 16_000, *, name: str = "") -> None:
        """Set what one moves to. audio: (N,) float32 within -1..1; None for silence. name: of the song, if any."""
        self.backing_rate, self.backing_name = sample_rate, name
        self.backing = b"" if audio is None else np.ascontiguousarray(audio, "<f4").tobytes()


class Sound(anywidget.AnyWidget):
    """Sound from Python: chunks that play while more are made, and takes to switch between at the same place.

    Attributes:
        picture: an mp4 that moves along, silent.
        key: of the timelines that follow the sound.
        underruns: how often the sound ran dry. chunks: how many have been played. peak: the loudest sample so far.

    Example:
        >>> sound = Sound()
        >>> sound.start(1.0); sound.feed(np.zeros(8000, np.float32), 16_000); sound.end()

    Notebook: notebooks/07_play_it
    """

    _esm = STATIC / "sound.js"
    _css = STATIC / "studio.css"
    picture = traitlets.Bytes(b"").tag(sync=True)
    key = traitlets.Unicode("").tag(sync=True)
    underruns = traitlets.Int(0).tag(sync=True)
    chunks = traitlets.Int(0).tag(sync=True)
    peak = traitlets.Float(0.0).tag(sync=True)

    def start(self, total_s: float) -> None:
        """Begin to stream `total_s` seconds."""
        self.send({"type": "start", "total_s": float(total_s)})

    def feed(self, audio: np.ndarray, sample_rate: int) -> None:
        """Play a chunk after those before. audio: (N,) float32 within -1..1."""
        self.send({"type": "chunk", "rate": int(sample_rate)}, [np.ascontiguousarray(audio, "<f4").tobytes()])

    def end(self) -> None:
        """Say that no more chunks come."""
        self.send({"type": "end"})

    def stop(self) -> None:
        """Be silent."""
        self.send({"type": "stop"})

    def load(
        self, slot: str, audio: np.ndarray, sample_rate: int, *, name: str = "", gain: float = 1.0, clear: bool = False
    ) -> None:
        """Lay a take under a button. slot: what the button says. clear: take the other buttons away."""
        content = {"type": "load", "slot": slot, "rate": int(sample_rate), "name": name or slot, "gain": gain}
        self.send(content | {"clear": clear}, [np.ascontiguousarray(audio, "<f4").tobytes()])

    def play(self, slot: str) -> None:
        """Play from the start, as if the button had been pressed."""
        self.send({"type": "play", "slot": slot})


class Timeline(anywidget.AnyWidget):
    """A figure over time with a cursor that moves with a `Sound` of the same `key`, and meters of somebody's controls.

    The slider under the figure shows the place, and goes to another.

    Attributes:
        key: of the sound that it follows.
        alt: what the figure shows, for those who do not see it.
        meters: channels that are shown as bars, from -1 to 1 in their own range.

    Example:
        >>> Timeline(key="mine").duration_s
        1.0

    Notebook: notebooks/07_play_it
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
    shown = traitlets.Int(0).tag(sync=True)  # counts what was shown; the browser waits for it

    def show(self, figure: Figure, alt: str, controls: Controls, channels: Sequence[str]) -> None:
        """Show a figure whose first axes begin at 0 s, and whose person moves by `controls`.

        Args:
            figure: drawn and left open.
            alt: what it shows, in words.
            controls: for the meters and the duration; channels: which of them, by name.
        """
        figure.canvas.draw()
        ends = figure.axes[0].transData.transform([(0.0, 0.0), (len(controls.values) / controls.frame_rate, 0.0)])
        left, right = (float(x) / figure.bbox.width for x in ends[:, 0])
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=130, facecolor="white", bbox_inches=figure.bbox_inches)
        levels = np.stack([controls[name] for name in channels], axis=1)
        with self.hold_sync():
            self.picture, self.alt, self.left, self.right = data.getvalue(), alt, left, right
            self.duration_s, self.rate = len(levels) / controls.frame_rate, float(controls.frame_rate)
            self.meters = [name.replace("_", " ") for name in channels]
            self.levels = np.ascontiguousarray(levels, "<f4").tobytes()
            self.shown += 1


class Curve(anywidget.AnyWidget):
    """A curve to draw: with the mouse, a finger, or the keyboard.

    Attributes:
        values: the points, evenly spread over `duration_s` seconds, between `low` and `high`.
        reference: another curve, shown in grey; [] for none.
        label: what it is, for screen readers.

    Example:
        >>> Curve(n_points=3, duration_s=2.0).values
        [0.0, 0.0, 0.0]

    Notebook: notebooks/07_play_it
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
        """n_points: of a curve that begins flat; else give `values`."""
        super().__init__(**({"values": [0.0] * n_points} if n_points else {}) | traits)

    def over(self, duration_s: float, reference: Sequence[float] = ()) -> None:
        """Begin anew, flat, for a clip of this length, with 25 points a second, of a long one fewer."""
        count = min(MOST_POINTS, max(2, round(25 * duration_s)))
        self.duration_s, self.reference = float(duration_s), [float(value) for value in reference]
        self.values = [0.0] * count

    @property
    def drawn(self) -> bool:
        """Whether there is anything but a flat line at 0."""
        return any(value != 0 for value in self.values)
