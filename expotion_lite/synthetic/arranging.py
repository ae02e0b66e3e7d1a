"""Write a piece in one of fifteen styles: form, harmony, drums, bass, chords and a melody made of motifs.

The notes are ours, so the truth about them is exact: beats, chords, key, sections, who plays and how strongly.
"""

from __future__ import annotations

import numpy as np

from .harmony import JAZZ, KEYS, PROGRESSIONS, Chord, chord_on, scale_pitch, voice
from .pieces import FRAME_RATE, Note, Piece
from .styles import STYLES, Style

LEVELS = (0.3, 0.55, 0.8, 1.0)
LIGHT = ("hat", "shaker", "ride", "brush")  # what is left of the drums where it is quiet
STROKES = {"X": 1.0, "x": 0.75, "o": 0.4}
LOW, HIGH = 64, 86  # of a lead, MIDI


def arrange(
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
        style: one of `styles.STYLES`, tempo_bpm: beats a minute, key: one of `harmony.KEYS`, mode: one of
            `harmony.MODES`; given, they are not drawn.
        on_downbeat: whether it starts with a bar, as music does that is played for the occasion.

    Returns:
        The piece. Unless `on_downbeat`, it starts anywhere in a bar, as a clip cut from a longer recording does.

    Raises:
        KeyError: an unknown style or mode. ValueError: an unknown key.

    Example:
        >>> piece = arrange(1, style="waltz", tempo_bpm=120.0)
        >>> round(float(piece.downbeats[1] - piece.downbeats[0]), 6)
        1.5
    """
    rng = np.random.default_rng([seed, 20261124])
    name = style or str(rng.choice(list(STYLES)))
    how = STYLES[name]
    tempo = float(tempo_bpm or rng.integers(how.tempo_bpm[0], how.tempo_bpm[1] + 1))
    tonic = KEYS.index(key or str(rng.choice(KEYS)))
    mode = mode or str(rng.choice(how.modes))
    bar_s = how.beats * 60.0 / tempo
    start_s = -rng.uniform(0.0, bar_s) * (not on_downbeat)
    form = Form(rng, int(np.ceil((duration_s - start_s) / bar_s)))
    arranger = _Arranger(rng, how, tonic, mode, bar_s, start_s, form)
    arranger.write()

    inside = lambda times: np.array(sorted(t for t in times if 0 <= t < duration_s), dtype=np.float64)  # noqa: E731
    beats = start_s + bar_s / how.beats * np.arange(how.beats * form.bars)
    sections = start_s + bar_s * np.array(form.starts)
    notes = tuple(sorted(arranger.notes, key=lambda note: note.onset_s))
    heard = [note.instrument for note in notes if note.onset_s < duration_s and note.onset_s + note.duration_s > 0]
    drums = {drum for drum, _ in how.drums} | {"crash", "tom", "open hat"}
    players = tuple(dict.fromkeys(i for i in heard if i not in drums))
    chords = tuple((max(0.0, start_s + bar_s * bar), chord.name) for bar, chord in enumerate(arranger.chords))
    times = (np.arange(round(duration_s * FRAME_RATE)) + 0.5) / FRAME_RATE
    return Piece(
        seed, duration_s, tempo, inside(beats), inside(beats[:: how.beats]), inside([*sections[1:], *arranger.peaks]),
        KEYS[tonic], mode, form.level((times - start_s) / bar_s).astype(np.float32), name,
        players + (("drums",) if drums & set(heard) else ()), notes,
        chords=tuple(chord for chord in chords if chord[0] < duration_s), sections=inside(sections),
        beats_per_bar=how.beats,
    )  # fmt: skip


class Form:
    """How strongly each bar is played: sections of two or four bars; some bars grow into a stronger section."""

    def __init__(self, rng: np.random.Generator, bars: int) -> None:
        levels: list[float] = []
        self.bars, self.starts = bars, []
        while len(levels) < bars:
            self.starts.append(len(levels))
            levels += [float(rng.choice([x for x in LEVELS if not levels or x != levels[-1]]))] * int(
                rng.choice([2, 4])
            )
        self.levels = np.array(levels[:bars])
        after = np.append(self.levels[1:], self.levels[-1])
        self.grows = np.where((after > self.levels) & (rng.random(bars) < 0.5), after - self.levels, 0.0)

    def level(self, bar: np.ndarray | float) -> np.ndarray:
        """How strongly it is played, 0..1, at times in bars."""
        whole = np.clip(np.floor(bar).astype(int), 0, self.bars - 1)
        return self.levels[whole] + self.grows[whole] * np.clip(np.asarray(bar) - whole, 0.0, 1.0)


def events(grid: str) -> list[tuple[int, int, str]]:
    """What a grid of `styles` says: (step, length in steps, symbol) of each stroke.

    Example:
        >>> events("1--.x...")
        [(0, 3, '1'), (4, 1, 'x')]
    """
    starts = [i for i, symbol in enumerate(grid) if symbol not in ".-"]
    held = [len(grid[i + 1 :]) - len(grid[i + 1 :].lstrip("-")) for i in starts]
    return [(i, 1 + n, grid[i]) for i, n in zip(starts, held, strict=True)]


class _Arranger:
    """Writes the notes of a piece, bar by bar."""

    def __init__(
        self, rng: np.random.Generator, style: Style, tonic: int, mode: str, bar_s: float, start_s: float, form: Form
    ) -> None:
        self.rng, self.style, self.tonic, self.mode = rng, style, tonic, mode
        self.bar_s, self.start_s, self.form = bar_s, start_s, form
        draw = lambda choices: choices[int(rng.integers(len(choices)))]  # noqa: E731
        self.bass, self.comp, self.lead = draw(style.bass), draw(style.chords), draw(style.lead)
        self.pad = draw(style.pad) if style.pad else None
        self.bass_grid, self.chord_grid = draw(style.bass_grids), draw(style.chord_grids)
        self.motifs = [(draw(style.lead_grids), rng.choice([-2, -1, -1, 0, 1, 1, 2], size=16)) for _ in range(2)]
        known = JAZZ if style.jazz and mode in JAZZ else PROGRESSIONS
        degrees = draw(known[mode])
        make = lambda degree: chord_on(tonic, degree, mode, sevenths=style.jazz, dominant=True)  # noqa: E731
        self.chords = [make(degrees[bar % len(degrees)]) for bar in range(form.bars)]
        self.voices: list[int] = []
        self.step = 0  # of the melody, in degrees of the scale above the tonic around C5
        self.notes: list[Note] = []
        self.peaks: list[float] = []

    def write(self) -> None:
        """Write every bar."""
        for bar, chord in enumerate(self.chords):
            self._drums(bar)
            self._bass(bar, chord)
            self._chords(bar, chord)
            if self.form.levels[bar] > 0.4 or bar % 2 == 0:  # the melody breathes where it is quiet
                self._melody(bar, chord)

    def _time(self, bar: int, step: float) -> float:
        """Seconds of a step of a bar's grid, with swing."""
        beat, within = divmod(step / self.style.steps, 1.0)
        late = self.style.swing
        within = within * (1 + 2 * late) if within < 0.5 else 0.5 + late + (within - 0.5) * (1 - 2 * late)
        return self.start_s + self.bar_s * (bar + (beat + within) / self.style.beats)

    def _play(self, instrument: str, bar: int, step: float, steps: float, pitch: int, strength: float) -> None:
        level = float(self.form.level(bar + step / (self.style.beats * self.style.steps)))
        velocity = np.clip(level * strength * (1 + 0.06 * self.rng.standard_normal()), 0.05, 1.0)
        onset = self._time(bar, step) + self.style.feel * float(np.clip(self.rng.standard_normal(), -2, 2))
        self.notes.append(
            Note(instrument, onset, self._time(bar, step + steps) - self._time(bar, step), pitch, velocity)
        )

    def _drums(self, bar: int) -> None:
        style, level = self.style, self.form.levels[bar]
        ends = bar + 1 in self.form.starts and level > 0.4
        length = style.beats * style.steps
        fill = length - style.steps if ends and any(drum == "snare" for drum, _ in style.drums) else length
        for drum, grid in style.drums:
            if level < 0.4 and drum not in LIGHT:
                continue
            for step, _, symbol in events(grid):
                if step < fill:
                    self._play("open hat" if drum == "hat" and level > 0.9 and step % 8 == 6 else drum,
                               bar, step, 1, 0, STROKES[symbol])  # fmt: skip
        for i, step in enumerate(range(fill, length)):
            self._play("tom" if i % 2 else "snare", bar, step, 1, 0, 0.6 + 0.1 * i)
        if bar in self.form.starts[1:] and level > 0.7 and any(drum in ("snare", "clap") for drum, _ in style.drums):
            self._play("crash", bar, 0, length, 0, 0.8)

    def _bass(self, bar: int, chord: Chord) -> None:
        root, after = 28 + (chord.root - 28) % 12, self.chords[min(bar + 1, len(self.chords) - 1)]
        to = 28 + (after.root - 28) % 12
        third, fifth = ((c - chord.root) % 12 for c in chord.classes[1:3])
        leads = to - 1 if to > root else to + 1 if to < root else root + fifth
        pitches = {"1": root, "3": root + third, "5": root + fifth, "8": root + 12, "w": leads}
        up = 0 if self.bass in ("upright bass", "electric bass", "synth bass") else 12
        for step, steps, symbol in events(self.bass_grid):
            self._play(self.bass, bar, step, 0.95 * steps, pitches[symbol] + up, 0.95 if step == 0 else 0.8)

    def _chords(self, bar: int, chord: Chord) -> None:
        self.voices = voice(chord, self.voices)
        for step, steps, symbol in events(self.chord_grid):
            for pitch in self.voices if symbol == "x" else [self.voices[(int(symbol) - 1) % len(self.voices)]]:
                self._play(self.comp, bar, step, 0.95 * max(steps, 2 if symbol != "x" else 1), pitch, 0.7)
        if self.pad and self.form.levels[bar] > 0.7:
            for pitch in self.voices:
                self._play(self.pad, bar, 0, self.style.beats * self.style.steps, pitch + 12 * (pitch < 60), 0.5)

    def _melody(self, bar: int, chord: Chord) -> None:
        """Four bars make a phrase: a motif, the same on the next chord, another, and the first, which comes to rest."""
        place = bar % 4
        grid, contour = self.motifs[1 if place == 2 else 0]
        strokes = events(grid)
        if place == 3:
            strokes = strokes[: max(1, len(strokes) // 2)]
        self.step = self._chord_step(chord, self.step)
        pitches = []
        for i, (step, steps, _) in enumerate(strokes):
            last = place == 3 and i == len(strokes) - 1
            if last or step % (2 * self.style.steps) == 0:
                self.step = self._chord_step(chord, self.step)
            pitch = 72 + scale_pitch(self.tonic, self.mode, self.step)
            if (pitch - chord.root) % 12 == 3 and (chord.classes[1] - chord.root) % 12 == 4:
                pitch += 1  # the dominant's third is raised in minor: the melody goes along
            pitches.append(pitch)
            length = len(grid) - step if last else steps
            self._play(self.lead, bar, step, 0.95 * length, pitch, 1.0 if step % self.style.steps == 0 else 0.8)
            self.step += int(contour[i])
            if not LOW <= 72 + scale_pitch(self.tonic, self.mode, self.step) <= HIGH:
                self.step -= 2 * int(contour[i])
        self.peaks.append(self._time(bar, strokes[int(np.argmax(pitches))][0]))

    def _chord_step(self, chord: Chord, step: int) -> int:
        """The nearest degree of the scale that belongs to the chord and lies in a lead's range."""
        centre = 72
        tones = [degree for degree in range(-14, 15) if (degree - chord.degree) % 7 in (0, 2, 4)]
        near = [d for d in tones if LOW <= centre + scale_pitch(self.tonic, self.mode, d) <= HIGH]
        return min(near, key=lambda degree: abs(degree - step))
