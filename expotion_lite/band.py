"""A procedural band: short pieces whose beats, key, mode, energy and instruments are known exactly.

`compose` draws a piece from a seed, `expotion_lite.synth.render` plays it. Because the notes are ours, the truth about
them is exact: no beat tracker stands between the music and its labels. Nano is trained on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

FRAME_RATE = 50.0
KEYS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
PROGRESSIONS = {  # scale degrees of four bars, 0 = tonic
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (1, 4, 0, 0), (0, 3, 4, 0), (0, 3, 0, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4), (0, 3, 6, 2), (0, 0, 5, 6)),
}
RHYTHMS = (  # onsets of a melody's bar, in beats
    (0, 1, 2, 3),
    (0, 1.5, 2, 3),
    (0, 0.5, 1, 2, 3),
    (0, 1, 1.5, 2, 3, 3.5),
    (0, 2, 3),
    (0, 0.5, 1, 1.5, 2, 3),
)


@dataclass(frozen=True)
class Style:
    """How one kind of music is played: who plays what, and how the drums go (onsets in beats of a 4-beat bar)."""

    tempo_bpm: tuple[int, int]
    bass: str
    chords: tuple[str, ...]
    lead: tuple[str, ...]
    comping: str  # "held", "beats", "offbeats" or "arpeggio"
    bass_line: str  # "roots", "eighths", "walking" or "octaves"
    kick: tuple[float, ...] = ()
    snare: tuple[float, ...] = ()
    hat: tuple[float, ...] = ()
    swing: float = 0.0


STYLES = {
    "techno": Style(
        (112, 150), "synth bass", ("pad",), ("synth lead",), "beats", "octaves",
        kick=(0, 1, 2, 3), snare=(1, 3), hat=(0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5),
    ),
    "rock": Style(
        (92, 140), "bass", ("guitar",), ("guitar", "organ"), "beats", "eighths",
        kick=(0, 2, 2.5), snare=(1, 3), hat=(0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5),
    ),
    "lo-fi hip hop": Style(
        (64, 96), "bass", ("electric piano",), ("electric piano", "bell"), "held", "roots",
        kick=(0, 2), snare=(1, 3), hat=(0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5), swing=0.14,
    ),
    "folk": Style((80, 130), "bass", ("guitar",), ("guitar", "strings"), "arpeggio", "roots", kick=(0, 2), hat=(1, 3)),
    "piano ballad": Style((60, 100), "piano", ("piano",), ("piano",), "arpeggio", "roots"),
    "ambient": Style((60, 90), "pad", ("pad", "strings"), ("bell",), "held", "roots"),
    "march": Style(
        (96, 126), "organ", ("organ",), ("synth lead", "organ"), "offbeats", "walking",
        kick=(0, 2), snare=(0, 1, 2, 3, 3.5), hat=(),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Note:
    """One note: `instrument`, `onset_s` and `duration_s` in seconds, MIDI `pitch` (0 for drums), `velocity` 0..1."""

    instrument: str
    onset_s: float
    duration_s: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class Piece:
    """A piece of music and the exact truth about it. Times are in seconds from its start.

    Attributes:
        seed: what it was drawn from.
        duration_s: its length.
        tempo_bpm: beats a minute, constant.
        beats: (B,) beat times; `downbeats`: (D,) the first beat of each bar.
        accents: (A,) starts of sections and peaks of the melody.
        key: tonic, one of `KEYS`; `mode`: "major", "minor" or, in the full band, another of `harmony.MODES`.
        energy: (F,) 0..1 at 50 Hz, how strongly the band plays.
        style: one of the band's; `instruments`: who plays, drums included.
        caption: the piece in words; "" in the full band, whose captions are drawn each time anew.
        notes: every note.
        chords: (time, name) of every chord, such as (0.8, "Am7"); `sections`: (S,) where sections begin.
        beats_per_bar: of the metre.
    """

    seed: int
    duration_s: float
    tempo_bpm: float
    beats: np.ndarray
    downbeats: np.ndarray
    accents: np.ndarray
    key: str
    mode: str
    energy: np.ndarray
    style: str
    instruments: tuple[str, ...]
    caption: str
    notes: tuple[Note, ...]
    chords: tuple[tuple[float, str], ...] = ()
    sections: np.ndarray = field(default_factory=lambda: np.zeros(0))
    beats_per_bar: int = 4


def compose(
    seed: int,
    duration_s: float = 12.0,
    *,
    style: str | None = None,
    tempo_bpm: float | None = None,
    key: str | None = None,
    mode: str | None = None,
    on_downbeat: bool = False,
) -> Piece:
    """Draw a piece from a seed.

    Args:
        seed: the same seed gives the same piece.
        duration_s: its length in seconds.
        style, tempo_bpm, key, mode: given, they are not drawn.
        on_downbeat: whether it starts with a bar.

    Returns:
        The piece. Unless `on_downbeat`, it starts anywhere in a bar, as a clip cut from a longer recording does.

    Raises:
        KeyError: an unknown style or mode. ValueError: an unknown key.

    Example:
        >>> piece = compose(1, style="techno", tempo_bpm=120.0)
        >>> float(piece.beats[1] - piece.beats[0])
        0.5

    Notebook: notebooks/00_start_here
    """
    rng = np.random.default_rng([seed, 20250704])
    style_name = style or str(rng.choice(list(STYLES)))
    how = STYLES[style_name]
    tempo = float(tempo_bpm or rng.integers(how.tempo_bpm[0], how.tempo_bpm[1] + 1))
    key = key or str(rng.choice(KEYS))
    mode = mode or str(rng.choice(["major", "minor"]))
    beat_s = 60.0 / tempo
    start_s = -rng.uniform(0.0, 4 * beat_s) * (not on_downbeat)
    n_bars = int(np.ceil((duration_s - start_s) / (4 * beat_s)))
    levels = _section_levels(rng, n_bars)
    score = _Score(rng, how, KEYS.index(key), mode, beat_s, start_s, levels)
    notes, peaks = score.write(n_bars)

    grid = start_s + beat_s * np.arange(4 * n_bars)
    sections = [start_s + 4 * beat_s * b for b in range(n_bars) if b and levels[b] != levels[b - 1]]
    inside = lambda times: np.array(sorted(t for t in times if 0 <= t < duration_s), dtype=np.float64)  # noqa: E731
    players = tuple(dict.fromkeys(note.instrument for note in notes))
    drums = {"kick", "snare", "hat", "crash"}
    instruments = tuple(p for p in players if p not in drums) + (("drums",) if drums & set(players) else ())
    piece = Piece(
        seed, duration_s, tempo, inside(grid), inside(grid[::4]), inside(sections + peaks), key, mode,
        _energy_curve(levels, start_s, 4 * beat_s, duration_s), style_name, instruments, "", tuple(notes),
    )  # fmt: skip
    return replace(piece, caption=caption(piece, rng))


def _section_levels(rng: np.random.Generator, n_bars: int) -> np.ndarray:
    """Draw how strongly each bar is played, in sections of two or four bars. Returns (n_bars,) 0.3..1."""
    levels: list[float] = []
    while len(levels) < n_bars:
        choices = [x for x in (0.3, 0.55, 0.8, 1.0) if not levels or x != levels[-1]]
        levels += [float(rng.choice(choices))] * int(rng.choice([2, 4]))
    return np.array(levels[:n_bars])


def _energy_curve(levels: np.ndarray, start_s: float, bar_s: float, duration_s: float) -> np.ndarray:
    """The levels of the bars as a curve at 50 Hz, (F,)."""
    times = (np.arange(round(duration_s * FRAME_RATE)) + 0.5) / FRAME_RATE
    return levels[np.clip(((times - start_s) / bar_s).astype(int), 0, len(levels) - 1)].astype(np.float32)


class _Score:
    """Writes the notes of a piece, bar by bar. Each bar knows its chord (a scale degree) and its level."""

    def __init__(
        self,
        rng: np.random.Generator,
        style: Style,
        tonic: int,
        mode: str,
        beat_s: float,
        start_s: float,
        levels: np.ndarray,
    ) -> None:
        self.rng, self.style, self.beat_s, self.start_s, self.levels = rng, style, beat_s, start_s, levels
        self.scale = [tonic + step for step in SCALES[mode]]
        self.progression = PROGRESSIONS[mode][rng.integers(len(PROGRESSIONS[mode]))]
        self.chord_player = str(rng.choice(style.chords))
        self.lead_player = str(rng.choice(style.lead))
        self.rhythms = [RHYTHMS[i] for i in rng.choice(len(RHYTHMS), size=2, replace=False)]
        self.contour = rng.integers(-2, 3, size=8)
        self.voicing: list[int] = []
        self.notes: list[Note] = []
        self.peaks: list[float] = []

    def write(self, n_bars: int) -> tuple[list[Note], list[float]]:
        for bar in range(n_bars):
            degree = self.progression[bar % len(self.progression)]
            new_section = bar > 0 and self.levels[bar] != self.levels[bar - 1]
            self._drums(bar, new_section)
            self._bass(bar, degree)
            self._chords(bar, degree)
            self._melody(bar, degree)
        return sorted(self.notes, key=lambda note: note.onset_s), self.peaks

    def _add(self, instrument: str, bar: int, beat: float, beats: float, pitch: int, velocity: float) -> None:
        if self.style.swing and beat % 1 == 0.5:
            beat += self.style.swing
        onset = self.start_s + (4 * bar + beat) * self.beat_s
        self.notes.append(Note(instrument, onset, beats * self.beat_s, int(pitch), float(velocity)))

    def _degree(self, degree: int) -> int:
        """A scale degree (0 = tonic, may exceed an octave) as semitones above C."""
        octave, step = divmod(int(degree), 7)
        return self.scale[step] + 12 * octave

    def _drums(self, bar: int, new_section: bool) -> None:
        level = self.levels[bar]
        for drum, beats in (("kick", self.style.kick), ("snare", self.style.snare), ("hat", self.style.hat)):
            if (drum == "snare" and level < 0.4) or (drum == "hat" and level < 0.5):
                continue
            for beat in beats:
                self._add(drum, bar, beat, 0.5, 0, level * (1.0 if beat == int(beat) else 0.75))
        if self.style.hat and level >= 1.0:  # the loudest sections double the hats
            for beat in (0.25, 1.25, 2.25, 3.25):
                self._add("hat", bar, beat, 0.25, 0, 0.6 * level)
        if new_section and self.style.kick:
            self._add("crash", bar, 0, 4, 0, level)

    def _bass(self, bar: int, degree: int) -> None:
        root, level = 36 + self._degree(degree) % 12, self.levels[bar]
        fifth = root + 7
        line = {
            "roots": [(0, 2, root), (2, 2, root)],
            "eighths": [(b / 2, 0.5, root) for b in range(8)],
            "walking": [(0, 1, root), (1, 1, fifth), (2, 1, root), (3, 1, fifth)],
            "octaves": [(b / 2, 0.45, root + 12 * (b % 2)) for b in range(8)],
        }[self.style.bass_line]
        for beat, beats, pitch in line:
            self._add(self.style.bass, bar, beat, beats, pitch, level * (1.0 if beat == int(beat) else 0.6))

    def _chords(self, bar: int, degree: int) -> None:
        self.voicing = self._voice([self._degree(degree + third) % 12 for third in (0, 2, 4)])
        level = 0.8 * self.levels[bar]
        if self.style.comping == "arpeggio":
            for i, step in enumerate((0, 1, 2, 1, 0, 1, 2, 1)):
                self._add(self.chord_player, bar, i / 2, 1, self.voicing[step], level * (1 if i % 2 == 0 else 0.7))
            return
        hits = {"held": [(0, 4)], "beats": [(b, 0.9) for b in range(4)], "offbeats": [(b + 0.5, 0.4) for b in range(4)]}
        for beat, beats in hits[self.style.comping]:
            for pitch in self.voicing:
                self._add(self.chord_player, bar, beat, beats, pitch, level)

    def _voice(self, classes: list[int]) -> list[int]:
        """Put a triad around middle C, each voice moving as little as it can from the chord before."""
        options = []
        for inversion in range(3):
            turned = classes[inversion:] + classes[:inversion]
            pitches = [52 + (turned[0] - 52) % 12]
            for pitch_class in turned[1:]:
                pitches.append(pitches[-1] + 1 + (pitch_class - pitches[-1] - 1) % 12)
            options.append(pitches)
        centre = self.voicing or [55, 59, 62]
        return min(options, key=lambda pitches: sum(abs(a - b) for a, b in zip(pitches, centre, strict=True)))

    def _melody(self, bar: int, degree: int) -> None:
        level = self.levels[bar]
        if level < 0.5 and bar % 2:
            return  # the melody breathes in quiet sections
        rhythm = self.rhythms[0 if bar % 4 < 3 else 1]
        step, pitches = degree + (0, 2, 4)[bar % 3], []
        for i, beat in enumerate(rhythm):
            if beat == int(beat) and beat % 2 == 0:  # chord tones on strong beats
                near = [degree + third + 7 * octave for third in (0, 2, 4) for octave in (-1, 0, 1)]
                step = min(near, key=lambda s: abs(s - step))
            pitch = 72 + (self._degree(step) - 72) % 12
            pitches.append(pitch)
            end = rhythm[i + 1] if i + 1 < len(rhythm) else 4
            self._add(self.lead_player, bar, beat, 0.95 * (end - beat), pitch, level)
            step += int(self.contour[i])
        top = int(np.argmax(pitches))
        self.peaks.append(self.start_s + (4 * bar + rhythm[top]) * self.beat_s)


MOODS = {
    "major": ("happy", "cheerful", "bright", "joyful", "uplifting", "sunny"),
    "minor": ("sad", "dark", "melancholic", "tense", "moody", "brooding"),
}
LEVELS = ((0.45, ("quiet", "soft", "calm")), (0.75, ("steady", "relaxed")), (2.0, ("energetic", "loud", "powerful")))


def tempo_word(tempo_bpm: float) -> str:
    """The tempo in one word."""
    return ("slow", "mid-tempo", "fast")[int(np.searchsorted([84, 116], tempo_bpm, side="right"))]


def caption(piece: Piece, rng: np.random.Generator, *, tempo: bool = True, mood: bool = True) -> str:
    """Describe a piece in words, each time in other words; what is left out of the caption is left to the model.

    Args:
        piece: what to describe.
        rng: draws the wording.
        tempo: whether the tempo may be named. mood: whether the mood and the key may be.
    """
    feel = str(rng.choice(MOODS[piece.mode]))
    level = next(words for bound, words in LEVELS if float(piece.energy.mean()) < bound)
    words = [w for w, p in ((str(rng.choice(level)), 0.4), (feel, 0.8 * mood)) if rng.random() < p]
    if tempo and rng.random() < 0.6:
        words.insert(0, tempo_word(piece.tempo_bpm))
    kind = piece.style if rng.random() < 0.85 else "music"
    text = " ".join([*words, kind])
    players = [p for p in piece.instruments if rng.random() < 0.7]
    if players and rng.random() < 0.8:
        text += " with " + (", ".join(players[:-1]) + " and " + players[-1] if len(players) > 1 else players[0])
    if rng.random() < 0.3 * mood:
        text += f" in {piece.key} {piece.mode}"
    if tempo and rng.random() < 0.5:
        text += f", {piece.tempo_bpm:.0f} bpm"
    openers = ("", "", "a ", "a piece of ", "some ", "instrumental ")
    text = str(rng.choice(openers)) + text
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:] + "."
    return text
