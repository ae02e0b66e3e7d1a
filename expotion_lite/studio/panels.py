"""The six cards of the studio: what can be chosen and pressed. What pressing does is in `widgets.Studio`."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from ..controls.steering import GROUPS, MOST_WEIGHT, Steering, beats_curve, group_of
from ..musicgen.settings import Settings
from ..synthetic.styles import STYLES
from .blind_test import AXES, BEST, MOST_ROUNDS, WORST, Rating, compare, summary
from .browser import Curve, Recorder, Sound, Timeline
from .session import PROMPTS, Kept
from .sources import GESTURES, LONGEST_S, SHORTEST_S

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..controls.channels import Controls

FITTING = ipw.Layout(width="auto", align_self="flex-start")
WIDE = ipw.Layout(width="98%")
NARROW = {"description_width": "120px"}
CHANNELS = ("pulse", "motion_energy", "head_pitch", "shoulders_x", "smile")
METERS = ("pulse", "motion_energy", "head_pitch", "head_roll", "shoulders_x", "smile", "brows_up", "jaw_open")
SILENCE = "silence"
NOBODY_ELSE = "the person in the picture"


class SourcePanel(ipw.VBox):
    """Who moves: record, upload, a path, the bundled clip, or a drawn gesture."""

    def __init__(self, folder: Path) -> None:
        self.recorder = Recorder(folder)
        self.folder = _text(str(folder), description="keep it in", style=NARROW, layout=WIDE)
        self.performer = _text("me", description="who", style=NARROW)
        self.title = _text("take", description="called", style=NARROW)
        self.caption = _text("", description="caption", placeholder="what the music is like", style=NARROW, layout=WIDE)
        self.backing = ipw.Dropdown(
            options=[SILENCE, "clicks", *(f"the band: {style}" for style in STYLES)],
            description="move to", style=NARROW,
        )  # fmt: skip
        self.bpm = ipw.BoundedIntText(100, 30, 240, description="clicks a minute", style=NARROW)
        self.path = _text(
            "", placeholder="a path on this machine, for example me.mp4", description="video", style=NARROW,
            layout=ipw.Layout(width="70%"),
        )  # fmt: skip
        self.path_button = ipw.Button(description="Open")
        self.clip_button = ipw.Button(description="Use the bundled clip", layout=FITTING)
        self.gesture = Curve(150, duration_s=6.0, label="your gesture")
        self.movement = ipw.Dropdown(options=list(GESTURES), description="movement", style=NARROW)
        self.length = ipw.BoundedFloatText(
            6.0, min=SHORTEST_S, max=LONGEST_S, step=1.0, description="seconds", style=NARROW
        )
        self.gesture_button = ipw.Button(description="Use this gesture", layout=FITTING)
        self.folder.observe(lambda change: setattr(self.recorder, "folder", Path(change.new)), "value")
        self.length.observe(lambda change: self.gesture.over(change.new), "value")
        self.bpm.layout.display = "none"
        camera = ipw.VBox([
            ipw.HBox([self.backing, self.bpm]), self.recorder, ipw.HBox([self.performer, self.title]), self.caption,
            self.folder,
            _hint("It stays in this folder (uploads in .uploads there), on the machine that runs this notebook. Film "
                  "nobody who has not agreed."),
        ])  # fmt: skip
        file = ipw.VBox([
            ipw.HBox([self.path, self.path_button]), self.clip_button,
            _hint("Face and shoulders in the picture, light from the front, one person."),
        ])  # fmt: skip
        gesture = ipw.VBox([ipw.HBox([self.movement, self.length]), self.gesture, self.gesture_button])
        self.people = ipw.Dropdown(options=[], description="who moves", style=NARROW)
        self.people.layout.display = "none"
        pages = _tabs({"Camera or upload": camera, "File or clip": file, "Draw a gesture": gesture})
        super().__init__([_title(1, "Source"), pages, self.people])
        self.add_class("el-card")


class SeePanel(ipw.VBox):
    """What is seen of them: controls, later with the music's beats, onsets and spectrogram, under one moving cursor."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.facts = ipw.HTML("<p class='el-hint'>Choose somebody above; what is seen of them appears here.</p>")
        super().__init__([_title(4, "See"), self.facts, self.timeline])
        self.add_class("el-card")

    def show(self, facts: str, figure: Figure, alt: str, controls: Controls) -> None:
        """Show a figure of somebody's controls (and close it), and a line about it."""
        import matplotlib.pyplot as plt

        self.facts.value = f"<p>{html.escape(facts)}</p>"
        try:
            self.timeline.show(figure, alt, controls, METERS)
        finally:
            plt.close(figure)


class SteerPanel(ipw.VBox):
    """The prompt, the knobs, the weights of groups, a curve by hand, somebody else's movements."""

    def __init__(self) -> None:
        known = Settings()
        self.prompt = _text(PROMPTS[0], description="prompt", style=NARROW, layout=WIDE)
        self.examples = ipw.Dropdown(
            options=[("choose an example", ""), *zip(PROMPTS, PROMPTS, strict=True)],
            description="or one of these",
            style=NARROW,
            layout=WIDE,
        )
        self.guidance = _slider("words count", known.guidance, 0, 10, 0.5)
        self.visual_guidance = _slider("movement counts", known.visual_guidance, 0, 10, 0.5)
        self.temperature = _slider("temperature", known.temperature, 0.1, 2, 0.05)
        self.top_k = ipw.BoundedIntText(known.top_k, 1, 100_000, description="top-k", style=NARROW)
        self.seed = ipw.BoundedIntText(0, 0, 2**32 - 1, description="seed", style=NARROW)
        self.weights = {group: _slider(group, 1.0, 0, MOST_WEIGHT, 0.1) for group in GROUPS}
        self.mutes = {
            group: ipw.Checkbox(False, description=f"mute {group}", indent=False, layout=ipw.Layout(width="150px"))
            for group in GROUPS
        }
        self.alone = ipw.Dropdown(options=[""], description="one channel", style=NARROW)
        self.alone_weight = _slider("its weight", 1.0, 0, MOST_WEIGHT, 0.1)
        self.alone_said = ipw.HTML()
        self.channel = ipw.Dropdown(options=CHANNELS, description="channel", style=NARROW)
        self.bpm = ipw.BoundedIntText(100, 30, 240, description="beats a minute", style=NARROW)
        self.bpm_button = ipw.Button(description="Draw beats")
        self.curve = Curve(250, label="pulse")
        self.listens = ipw.Dropdown(options=[NOBODY_ELSE], description="listens to", style=NARROW, layout=WIDE)
        self.stranger_button = ipw.Button(description="Invite a stranger", layout=FITTING)
        self.examples.observe(self._take_example, "value")
        self.bpm_button.on_click(lambda _: self._draw_beats())
        self.channel.observe(self._turn_to, "value")
        self.alone.observe(self._turn_to_weight, "value")
        self.alone_weight.observe(self._weigh, "value")
        self._alone: dict[str, float] = {}  # weights of single channels
        self._controls: Controls | None = None
        self._put_by: dict[str, list[float]] = {}  # curves of channels that are not shown
        super().__init__([_title(2, "Steer"), self.prompt, self.examples, self._tabs()])
        self.add_class("el-card")

    def _tabs(self) -> ipw.Tab:
        knobs = ipw.VBox([
            ipw.HBox([self.guidance, self.visual_guidance]), ipw.HBox([self.temperature, self.top_k]), self.seed,
            _hint("Turn one at a time and keep the seed: then you hear what that one did."),
        ])  # fmt: skip
        rows = [ipw.HBox([self.weights[group], self.mutes[group]]) for group in GROUPS]
        weights = ipw.VBox([
            *rows, _hint("1 is as seen, 2 twice as large; a muted group is not seen at all."),
            ipw.HBox([self.alone, self.alone_weight]), self.alone_said,
        ])  # fmt: skip
        curve = ipw.VBox([
            ipw.HBox([self.channel, self.bpm, self.bpm_button]), self.curve,
            _hint("Grey: the person's own. What you draw replaces it; a flat line changes nothing."),
        ])  # fmt: skip
        other = ipw.VBox([
            self.listens, self.stranger_button,
            _hint("The music then follows somebody else, and the picture stays: does it still fit?"),
        ])  # fmt: skip
        return _tabs({"Knobs": knobs, "Weights": weights, "Draw a curve": curve, "Swap the person": other})

    def _take_example(self, change: Any) -> None:
        if change.new:
            self.prompt.value = change.new

    def _draw_beats(self) -> None:
        self.curve.values = beats_curve(self.bpm.value, self.curve.duration_s, len(self.curve.values))

    def _turn_to_weight(self, change: Any) -> None:
        """Show the weight of one channel."""
        self.alone_weight.value = self._alone.get(change.new, 1.0)

    def _weigh(self, change: Any) -> None:
        """Weigh one channel, on top of its group; 0 mutes it."""
        if self.alone.value:
            rest = {name: weight for name, weight in self._alone.items() if name != self.alone.value}
            self._alone = rest if change.new == 1.0 else rest | {self.alone.value: change.new}
        said = ", ".join(f"{name} {weight:.1f}" for name, weight in self._alone.items())
        self.alone_said.value = f"<p class='el-hint'>{html.escape(f'Weighed alone: {said}.' if said else '')}</p>"

    def _turn_to(self, change: Any) -> None:
        """Put one channel's curve by, and take up another's."""
        put_by = self._put_by | ({change.old: list(self.curve.values)} if self.curve.drawn else {})
        values = put_by.pop(change.new, None)
        self.reset_curve(self._controls)
        self._put_by = put_by
        if values is not None:
            self.curve.values = values

    def reset_curve(self, controls: Controls | None) -> None:
        """Begin all curves anew, over somebody's controls."""
        self._controls, self._put_by, channel = controls, {}, self.channel.value
        self.curve.label = channel.replace("_", " ")
        self.curve.low = 0.0 if channel in ("pulse", "motion_energy", "smile") else -1.0
        if controls is not None:
            self.alone.options = ["", *(name for name in controls.channels if group_of(name))]
            self.curve.over(len(controls.values) / controls.frame_rate, controls[channel][::2].round(3).tolist())

    def settings(self) -> Settings:
        """The knobs as they stand."""
        names = ("seed", "guidance", "visual_guidance", "temperature", "top_k")
        return Settings(**{name: getattr(self, name).value for name in names})

    def steering(self) -> Steering:
        """Weights and curve as they stand."""
        weights = {group: 0.0 if self.mutes[group].value else self.weights[group].value for group in GROUPS}
        steering = Steering(weights, self._alone, self._put_by)
        return steering.draw(self.channel.value, self.curve.values) if self.curve.drawn else steering


class ListenPanel(ipw.VBox):
    """Generate, cancel, how long it takes, and the sound."""

    def __init__(self, status: ipw.HTML) -> None:
        self.button = ipw.Button(description="Generate", button_style="primary")
        self.cancel = ipw.Button(description="Cancel", disabled=True)
        self.bar = ipw.FloatProgress(0.0, min=0.0, max=1.0, layout=ipw.Layout(width="300px"))
        self.left = ipw.HTML("")
        self.sound = Sound()
        row = ipw.HBox([self.button, self.cancel, self.bar, self.left])
        super().__init__([_title(3, "Listen"), row, status, self.sound])
        self.add_class("el-card")


class TakesPanel(ipw.VBox):
    """What was made: compare two at matched loudness, export one, make an exported one anew."""

    def __init__(self) -> None:
        self.a = ipw.Dropdown(options=[], description="A", style=NARROW, layout=WIDE)
        self.b = ipw.Dropdown(options=[], description="B", style=NARROW, layout=WIDE)
        self._proposed: int | None = None  # as B
        self.compare = ipw.Button(description="Compare A and B", layout=FITTING)
        self.stem = _text("out/my_take", description="save A as", style=NARROW, layout=ipw.Layout(width="60%"))
        self.overwrite = ipw.Checkbox(False, description="replace", indent=False, layout=ipw.Layout(width="90px"))
        self.export = ipw.Button(description="Export", layout=FITTING)
        self.recipe = _text("out/my_take.json", description="settings", style=NARROW, layout=ipw.Layout(width="60%"))
        self.rebuild = ipw.Button(description="Make it anew", layout=FITTING)
        super().__init__([
            _title(5, "Takes"), self.a, self.b,
            ipw.HBox([self.compare, _hint("Switch under Listen while it plays. Equally loud: louder sounds better.")]),
            ipw.HBox([self.stem, self.overwrite, self.export]), ipw.HBox([self.recipe, self.rebuild]),
        ])  # fmt: skip
        self.add_class("el-card")

    def list(self, takes: list[Kept]) -> None:
        """Show these takes; the newest becomes A, and the one before it B unless somebody chose another B."""
        options, chosen = [(take.name, index) for index, take in enumerate(takes)], self.b.value
        reference = chosen if chosen != self._proposed else None
        self.a.options = self.b.options = options
        if options:
            self._proposed = max(0, len(options) - 2)
            self.a.value, self.b.value = len(options) - 1, self._proposed if reference is None else reference


class ListeningPanel(ipw.VBox):
    """A blind test: takes in a random order, five questions, a table of answers."""

    def __init__(self) -> None:
        self.which = ipw.SelectMultiple(options=[], description="takes", style=NARROW, layout=WIDE, rows=4)
        self.listener = _text("me", description="who listens", style=NARROW)
        self.rounds = ipw.BoundedIntText(3, 1, MOST_ROUNDS, description="rounds", style=NARROW)
        self.place = _text("out/listening.csv", description="keep it in", style=NARROW, layout=WIDE)
        self.begin = ipw.Button(description="Begin a blind test", layout=FITTING)
        self.asked = ipw.HTML()
        self.again = ipw.Button(description="Hear it again", layout=FITTING)
        self.answers = {
            axis: ipw.ToggleButtons(
                options=list(range(WORST, BEST + 1)),
                value=None,
                description=axis,
                style={"description_width": "240px"},
                tooltips=[f"{axis}: {score} of {BEST}" for score in range(WORST, BEST + 1)],
            )
            for axis in AXES
        }
        self.next = ipw.Button(description="Keep and go on", layout=FITTING)
        self.stop = ipw.Button(description="End the test", layout=FITTING)
        self.result = ipw.HTML()
        self.questions = ipw.VBox([
            self.asked, *self.answers.values(), _hint(f"{WORST} is worst, {BEST} is best. There is no way back."),
            ipw.HBox([self.again, self.next, self.stop]),
        ])  # fmt: skip
        self.questions.layout.display = "none"
        super().__init__([
            _title(6, "Listen blind"), self.which, ipw.HBox([self.listener, self.rounds]), self.place, self.begin,
            self.questions, self.result,
        ])  # fmt: skip
        self.add_class("el-card")
        self.add_class("el-blind")

    def list(self, takes: list[Kept]) -> None:
        """Offer these takes; the last two are chosen."""
        self.which.options = [(take.name, index) for index, take in enumerate(takes)]
        self.which.value = tuple(range(len(takes)))[-2:]

    def ask(self, number: int, total: int) -> None:
        """Ask about one more take."""
        self.result.value = ""
        self.asked.value = f"<p role='status'>Number {number} of {total}. What you hear:</p>"
        for answer in self.answers.values():
            answer.value = None
        self.questions.layout.display = ""

    def scores(self) -> list[int | None]:
        """What is chosen."""
        return [answer.value for answer in self.answers.values()]

    def tell(self, ratings: list[Rating]) -> None:
        """End the questions, and say what the answers say."""
        self.questions.layout.display = "none"
        self.result.value = ratings_table(ratings)


def ratings_table(ratings: list[Rating]) -> str:
    """Mean scores, with 95 % intervals where there are several, and of two takes their difference: an HTML table."""
    means = dict(sorted(summary(ratings).items()))
    first, *others = means
    apart = compare(ratings, first, others[0]) if len(others) == 1 else None
    cell = "{:.2f} ({:.2f} to {:.2f})" if len(ratings) > len(means) else "{:.0f}"
    rows = []
    for axis in AXES:
        cells = [cell.format(*means[take][axis]) for take in means]
        if apart:
            cells += [f"{apart[axis][0]:+.2f}", f"{apart[axis][1]:.3f}"]
        rows.append("".join([f"<th scope='row'>{axis}</th>", *(f"<td>{cell}</td>" for cell in cells)]))
    head = ["", *means, *(["first less second", "p"] if apart else [])]
    names = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    said = f"Ratings: {len(ratings)}, all by one listener."
    if apart:
        said += f" In brackets are 95 % intervals. Pairs: {apart[AXES[0]][2]}; p is two-sided."
    return (
        f"<table class='el-scores'><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
        f"<p class='el-hint'>{said}</p>"
    )


def _text(value: str = "", **options: object) -> ipw.Text:
    """A field whose text goes to Python when one leaves it.

    Letter by letter, a button that is pressed next would overtake the last of them: ipywidgets holds back new values
    until Python has dealt with those before, but no clicks.
    """
    return ipw.Text(value, continuous_update=False, **options)


def _slider(name: str, value: float, low: float, high: float, step: float) -> ipw.FloatSlider:
    return ipw.FloatSlider(
        value, min=low, max=high, step=step, description=name, style=NARROW, continuous_update=False,
        layout=ipw.Layout(width="400px"), readout_format=".2f" if step < 0.1 else ".1f",
    )  # fmt: skip


def _title(number: int, text: str) -> ipw.HTML:
    return ipw.HTML(f"<h3><span class='el-step' aria-hidden='true'>{number}</span>{text}</h3>")


def _hint(text: str) -> ipw.HTML:
    return ipw.HTML(f"<p class='el-hint'>{text}</p>")


def _tabs(pages: dict[str, ipw.Widget]) -> ipw.Tab:
    tab = ipw.Tab(list(pages.values()))
    for index, name in enumerate(pages):
        tab.set_title(index, name)  # ipywidgets 7 has no `titles`
    return tab
