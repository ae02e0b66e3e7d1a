"""The cards of the studio: what can be chosen and pressed. `page.Studio` connects them to a `Session`."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from ..controls.steering import GROUPS, MAX_WEIGHT, Steering, beats_curve, group_of
from ..musicgen.settings import Settings
from ..synthetic.styles import STYLES
from .browser import Curve, Recorder, Sound, Timeline
from .live_generation import Progress
from .session import PROMPTS
from .sources import GESTURES, MAX_GESTURE_S, MIN_GESTURE_S
from .takes import StudioTake
from .widgets import FIT, LABELLED, WIDE, hint, slider, tabs, text_field, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..controls.channels import Controls

CURVE_CHANNELS = ("event", "activity", "smile", "frown", "brows_up")
"""Channels that can be drawn."""
METERS = ("event", "activity", "head_pitch", "head_roll", "shoulders_x", "smile", "brows_up", "jaw_open")
"""Channels that are shown as bars under the timeline."""
SILENCE, CLICKS, BAND = "silence", "clicks", "the band: "
"""The choices of what to move to while being recorded; the name of a style follows `BAND`."""
SAME_PERSON = "the person in the picture"
_NEVER_NEGATIVE = ("event", "activity", "smile", "frown", "brows_up")


class SourcePanel(ipw.VBox):
    """The card for the source: a recording, an upload, a path, the bundled clip, or a drawn gesture.

    Args:
        folder: the folder of recordings.
    """

    def __init__(self, folder: Path) -> None:
        pages = {
            "Camera or upload": self._camera_page(folder),
            "File or clip": self._file_page(),
            "Draw a gesture": self._gesture_page(),
        }
        self.people = ipw.Dropdown(options=[], description="person", style=LABELLED)
        self.people.layout.display = "none"
        super().__init__([title(1, "Source"), tabs(pages), self.people])
        self.add_class("el-card")

    def _camera_page(self, folder: Path) -> ipw.VBox:
        backings = [SILENCE, CLICKS, *(f"{BAND}{style}" for style in STYLES)]
        self.recorder = Recorder(folder)
        self.backing = ipw.Dropdown(options=backings, description="move to", style=LABELLED)
        self.bpm = ipw.BoundedIntText(100, 30, 240, description="clicks per minute", style=LABELLED)
        self.bpm.layout.display = "none"
        self.performer = text_field("me", description="performer")
        self.title = text_field("take", description="name")
        self.caption = text_field("", description="caption", placeholder="what the music is like", layout=WIDE)
        self.folder = text_field(str(folder), description="save in", layout=WIDE)
        self.folder.observe(lambda change: setattr(self.recorder, "folder", Path(change.new)), "value")
        note = hint(
            "Files stay in this folder (uploads in .uploads there), on the machine that runs this notebook. "
            "Record only people who have agreed."
        )
        backing, names = ipw.HBox([self.backing, self.bpm]), ipw.HBox([self.performer, self.title])
        return ipw.VBox([backing, self.recorder, names, self.caption, self.folder, note])

    def _file_page(self) -> ipw.VBox:
        placeholder = "a path on this machine, for example me.mp4"
        self.path = text_field("", placeholder=placeholder, description="video", layout=ipw.Layout(width="70%"))
        self.path_button = ipw.Button(description="Open")
        self.clip_button = ipw.Button(description="Use the bundled clip", layout=FIT)
        note = hint("One person, with face and shoulders in the picture and light from the front.")
        return ipw.VBox([ipw.HBox([self.path, self.path_button]), self.clip_button, note])

    def _gesture_page(self) -> ipw.VBox:
        self.movement = ipw.Dropdown(options=list(GESTURES), description="movement", style=LABELLED)
        self.length = ipw.BoundedFloatText(
            6.0, min=MIN_GESTURE_S, max=MAX_GESTURE_S, step=1.0, description="seconds", style=LABELLED
        )
        self.gesture = Curve(150, duration_s=6.0, label="your gesture")
        self.gesture_button = ipw.Button(description="Use this gesture", layout=FIT)
        self.length.observe(lambda change: self.gesture.reset(change.new), "value")
        return ipw.VBox([ipw.HBox([self.movement, self.length]), self.gesture, self.gesture_button])


class SeePanel(ipw.VBox):
    """The card for the controls, and later for the onsets, beats and spectrogram of a take, with a moving cursor."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.facts = ipw.HTML("<p class='el-hint'>Choose a source above; its controls appear here.</p>")
        super().__init__([title(4, "See"), self.facts, self.timeline])
        self.add_class("el-card")

    def show(self, facts: str, figure: Figure, alt: str, controls: Controls) -> None:
        """Show a figure with a line of text, and close the figure.

        Args:
            facts: the line of text.
            figure: see `Timeline.show`.
            alt: a description of the figure.
            controls: values of the meters.
        """
        import matplotlib.pyplot as plt

        self.facts.value = f"<p>{html.escape(facts)}</p>"
        try:
            self.timeline.show(figure, alt, controls, METERS)
        finally:
            plt.close(figure)


class SteerPanel(ipw.VBox):
    """The card for the prompt, the settings, the weights, a drawn curve, and whom the music follows."""

    def __init__(self) -> None:
        self.prompt = text_field(PROMPTS[0], description="prompt", layout=WIDE)
        self.examples = ipw.Dropdown(
            options=[("choose an example", ""), *zip(PROMPTS, PROMPTS, strict=True)],
            description="or one of these",
            style=LABELLED,
            layout=WIDE,
        )
        self.examples.observe(self._use_example, "value")
        self._controls: Controls | None = None
        self._channel_weights: dict[str, float] = {}
        self._other_curves: dict[str, list[float]] = {}  # of channels that are not shown
        pages = {
            "Knobs": self._knobs_page(),
            "Weights": self._weights_page(),
            "Draw a curve": self._curve_page(),
            "Swap the person": self._person_page(),
        }
        super().__init__([title(2, "Steer"), self.prompt, self.examples, tabs(pages)])
        self.add_class("el-card")

    def _knobs_page(self) -> ipw.VBox:
        default = Settings()
        self.guidance = slider("text guidance", default.guidance, 0, 10, 0.5)
        self.visual_guidance = slider("visual guidance", default.visual_guidance, 0, 10, 0.5)
        self.temperature = slider("temperature", default.temperature, 0.1, 2, 0.05)
        self.top_k = ipw.BoundedIntText(default.top_k, 1, 100_000, description="top-k", style=LABELLED)
        self.seed = ipw.BoundedIntText(0, 0, 2**32 - 1, description="seed", style=LABELLED)
        guidance = ipw.HBox([self.guidance, self.visual_guidance])
        sampling = ipw.HBox([self.temperature, self.top_k])
        note = hint("Change one at a time and keep the seed, to hear what that one does.")
        return ipw.VBox([guidance, sampling, self.seed, note])

    def _weights_page(self) -> ipw.VBox:
        mute_layout = ipw.Layout(width="150px")
        self.weights = {group: slider(group, 1.0, 0, MAX_WEIGHT, 0.1) for group in GROUPS}
        self.mutes = {
            group: ipw.Checkbox(False, description=f"mute {group}", indent=False, layout=mute_layout)
            for group in GROUPS
        }
        self.weighted_channel = ipw.Dropdown(options=[""], description="one channel", style=LABELLED)
        self.channel_weight = slider("its weight", 1.0, 0, MAX_WEIGHT, 0.1)
        self.channel_weights = ipw.HTML()
        self.weighted_channel.observe(self._show_channel_weight, "value")
        self.channel_weight.observe(self._set_channel_weight, "value")
        rows = [ipw.HBox([self.weights[group], self.mutes[group]]) for group in GROUPS]
        note = hint("1 changes nothing, 2 doubles the movement; the model does not see a muted group.")
        one_channel = ipw.HBox([self.weighted_channel, self.channel_weight])
        self.beat = slider("gestures - beat", Steering.beat, 0, 1, 0.05)
        follows = hint("0 follows every gesture, 1 a steady beat; 0.5 decides by how steadily the person moves.")
        return ipw.VBox([*rows, note, one_channel, self.channel_weights, self.beat, follows])

    def _curve_page(self) -> ipw.VBox:
        self.channel = ipw.Dropdown(options=CURVE_CHANNELS, description="channel", style=LABELLED)
        self.bpm = ipw.BoundedIntText(100, 30, 240, description="beats per minute", style=LABELLED)
        self.bpm_button = ipw.Button(description="Draw beats")
        self.curve = Curve(250, label="event")
        self.channel.observe(self._switch_channel, "value")
        self.bpm_button.on_click(lambda _: self._draw_beats())
        note = hint("Grey: the person's own. What you draw replaces it; a flat line changes nothing.")
        return ipw.VBox([ipw.HBox([self.channel, self.bpm, self.bpm_button]), self.curve, note])

    def _person_page(self) -> ipw.VBox:
        self.follows = ipw.Dropdown(options=[SAME_PERSON], description="music follows", style=LABELLED, layout=WIDE)
        self.stranger_button = ipw.Button(description="Invite a stranger", layout=FIT)
        note = hint("The music then follows somebody else, and the picture stays: does it still fit?")
        return ipw.VBox([self.follows, self.stranger_button, note])

    def _use_example(self, change: Any) -> None:
        if change.new:
            self.prompt.value = change.new

    def _draw_beats(self) -> None:
        self.curve.values = beats_curve(self.bpm.value, self.curve.duration_s, len(self.curve.values))

    def _show_channel_weight(self, change: Any) -> None:
        self.channel_weight.value = self._channel_weights.get(change.new, 1.0)

    def _set_channel_weight(self, change: Any) -> None:
        """Keep the weight of the chosen channel, unless it is 1, and list all of them."""
        if channel := self.weighted_channel.value:
            others = {name: weight for name, weight in self._channel_weights.items() if name != channel}
            self._channel_weights = others if change.new == 1.0 else others | {channel: change.new}
        weights = ", ".join(f"{name} {weight:.1f}" for name, weight in self._channel_weights.items())
        text = html.escape(f"Weights of channels: {weights}.") if weights else ""
        self.channel_weights.value = f"<p class='el-hint'>{text}</p>"

    def _switch_channel(self, change: Any) -> None:
        """Keep the curve of the channel shown so far, and show the curve of another."""
        curves = self._other_curves | ({change.old: list(self.curve.values)} if self.curve.is_drawn else {})
        values = curves.pop(change.new, None)
        self.reset_curve(self._controls)
        self._other_curves = curves
        if values is not None:
            self.curve.values = values

    def reset_curve(self, controls: Controls | None) -> None:
        """Remove all drawn curves, and show the person's own values in grey.

        Args:
            controls: of the person; None keeps the length of the curve.
        """
        channel = self.channel.value
        self._controls, self._other_curves = controls, {}
        self.curve.label = channel.replace("_", " ")
        self.curve.low = 0.0 if channel in _NEVER_NEGATIVE else -1.0
        if controls is not None:
            self.weighted_channel.options = ["", *(name for name in controls.channels if group_of(name))]
            own_values = controls[channel][::2].round(3).tolist()
            self.curve.reset(len(controls.values) / controls.frame_rate, own_values)

    def settings(self) -> Settings:
        """Return the settings that the knobs show."""
        names = ("seed", "guidance", "visual_guidance", "temperature", "top_k")
        return Settings(**{name: getattr(self, name).value for name in names})

    def steering(self) -> Steering:
        """Return the weights, the drawn curves and the share of the beat."""
        weights = {group: 0.0 if self.mutes[group].value else self.weights[group].value for group in GROUPS}
        steering = Steering(weights, self._channel_weights, self._other_curves, self.beat.value)
        return steering.draw(self.channel.value, self.curve.values) if self.curve.is_drawn else steering


class ListenPanel(ipw.VBox):
    """The card to generate, cancel and hear music, with the progress.

    Args:
        status: the studio's line of text.
    """

    def __init__(self, status: ipw.HTML) -> None:
        self.button = ipw.Button(description="Generate", button_style="primary")
        self.cancel = ipw.Button(description="Cancel", disabled=True)
        self.bar = ipw.FloatProgress(0.0, min=0.0, max=1.0, layout=ipw.Layout(width="300px"))
        self.left = ipw.HTML("")
        self.sound = Sound()
        row = ipw.HBox([self.button, self.cancel, self.bar, self.left])
        super().__init__([title(3, "Listen"), row, status, self.sound])
        self.add_class("el-card")

    @contextmanager
    def streaming(self, duration_s: float) -> Iterator[None]:
        """Show that music is being made, and end the stream of sound on exit, also after an error.

        Args:
            duration_s: length of the music, seconds.
        """
        self.bar.value, self.left.value = 0.0, "preparing"
        self.sound.start(duration_s)
        try:
            yield
        finally:
            self.sound.end()
            self.left.value = ""

    def show_progress(self, progress: Progress) -> None:
        """Show how much of the music is made."""
        self.bar.value = progress.done_s / progress.total_s
        self.left.value = str(progress)


class TakesPanel(ipw.VBox):
    """The card for takes: compare two at equal loudness, export one, rebuild an exported one."""

    def __init__(self) -> None:
        stem_layout = ipw.Layout(width="60%")
        self.a = ipw.Dropdown(options=[], description="A", style=LABELLED, layout=WIDE)
        self.b = ipw.Dropdown(options=[], description="B", style=LABELLED, layout=WIDE)
        self._default_b: int | None = None
        self.compare = ipw.Button(description="Compare A and B", layout=FIT)
        self.stem = text_field("out/my_take", description="save A as", layout=stem_layout)
        self.overwrite = ipw.Checkbox(False, description="replace", indent=False, layout=ipw.Layout(width="90px"))
        self.export = ipw.Button(description="Export", layout=FIT)
        self.recipe = text_field("out/my_take.json", description="settings", layout=stem_layout)
        self.rebuild = ipw.Button(description="Rebuild", layout=FIT)
        note = hint("Switch under Listen while it plays. Both are equally loud, because louder music seems better.")
        compare, export = ipw.HBox([self.compare, note]), ipw.HBox([self.stem, self.overwrite, self.export])
        rebuild = ipw.HBox([self.recipe, self.rebuild])
        super().__init__([title(5, "Takes"), self.a, self.b, compare, export, rebuild])
        self.add_class("el-card")

    def list_takes(self, takes: Sequence[StudioTake]) -> None:
        """Offer these takes. The newest becomes A, and the one before it B, unless the user chose another B."""
        options = [(take.name, index) for index, take in enumerate(takes)]
        chosen_b = self.b.value if self.b.value != self._default_b else None
        self.a.options = self.b.options = options
        if options:
            self._default_b = max(0, len(options) - 2)
            self.a.value = len(options) - 1
            self.b.value = self._default_b if chosen_b is None else chosen_b
