"""Composition of a piece in one of fifteen styles: form, harmony, drums, bass, chords and a melody made of motifs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from .harmony import JAZZ, KEYS, PROGRESSIONS, Chord, chord_on, scale_pitch, voice
from .pieces import ENERGY_RATE, Note, Piece
from .styles import STYLES, Style

SECTION_LEVELS = (0.3, 0.55, 0.8, 1.0)
QUIET_LEVEL, LOUD_LEVEL = 0.4, 0.7  # a bar is quiet below the first and loud above the second
QUIET_DRUMS = ("hat", "shaker", "ride", "brush")  # the drums that also play in quiet bars
STROKES = {"X": 1.0, "x": 0.75, "o": 0.4}  # symbol of a drum rhythm -> strength
EXTRA_DRUMS = {"crash", "tom", "open hat"}  # drums that fills and loud bars add to those of the style
BASS_LOW = 28  # MIDI pitch E1: the root of the bass lies in the octave above it
C5 = 72
LEAD_LOW, LEAD_HIGH = 64, 86  # MIDI pitches, range of the melody

T = TypeVar("T")


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
    """Compose a piece from a seed.

    Args:
        seed: the same seed gives the same piece.
        duration_s: length in seconds.
        style: a key of `styles.STYLES`; None draws one.
        tempo_bpm: beats per minute; None draws a tempo of the style.
        key: one of `harmony.KEYS`; None draws one.
        mode: one of `harmony.MODES`; None draws a mode of the style.
        on_downbeat: start on a downbeat. Otherwise the piece starts anywhere in a bar, as a clip cut from a longer
            recording does.

    Raises:
        KeyError: the style or the mode is unknown.
        ValueError: the key is unknown.

    Example:
        >>> piece = arrange(1, style="waltz", tempo_bpm=120.0)
        >>> round(float(piece.downbeats[1] - piece.downbeats[0]), 6)
        1.5
    """
    rng = np.random.default_rng([seed, 20261124])
    style_name = style or str(rng.choice(list(STYLES)))
    rules = STYLES[style_name]
    tempo = float(tempo_bpm or rng.integers(rules.tempo_bpm[0], rules.tempo_bpm[1] + 1))
    tonic = KEYS.index(key or str(rng.choice(KEYS)))
    mode = mode or str(rng.choice(rules.modes))
    bar_s = rules.beats * 60.0 / tempo
    start_s = -rng.uniform(0.0, bar_s) * (not on_downbeat)
    form = Form(rng, int(np.ceil((duration_s - start_s) / bar_s)))
    arranger = _Arranger(rng, rules, tonic, mode, bar_s, start_s, form)
    arranger.write()

    def inside(times: Iterable[float]) -> np.ndarray:
        return np.array(sorted(t for t in times if 0 <= t < duration_s), dtype=np.float64)

    beats = start_s + bar_s / rules.beats * np.arange(rules.beats * form.bars)
    sections = start_s + bar_s * np.array(form.starts)
    chords = ((max(0.0, start_s + bar_s * bar), chord.name) for bar, chord in enumerate(arranger.chords))
    frames = (np.arange(round(duration_s * ENERGY_RATE)) + 0.5) / ENERGY_RATE
    return Piece(
        seed=seed,
        duration_s=duration_s,
        tempo_bpm=tempo,
        beats=inside(beats),
        downbeats=inside(beats[:: rules.beats]),
        accents=inside([*sections[1:], *arranger.peaks]),
        key=KEYS[tonic],
        mode=mode,
        energy=form.level((frames - start_s) / bar_s).astype(np.float32),
        style=style_name,
        instruments=_heard(arranger.notes, rules, duration_s),
        notes=tuple(sorted(arranger.notes, key=lambda note: note.onset_s)),
        chords=tuple(chord for chord in chords if chord[0] < duration_s),
        sections=inside(sections),
        beats_per_bar=rules.beats,
    )


def _heard(notes: Sequence[Note], style: Style, duration_s: float) -> tuple[str, ...]:
    """Return the instruments heard between 0 and `duration_s`, in order of their first notes; "drums" comes last."""
    heard = [
        note.instrument
        for note in sorted(notes, key=lambda note: note.onset_s)
        if note.onset_s < duration_s and note.onset_s + note.duration_s > 0
    ]
    drums = {drum for drum, _ in style.drums} | EXTRA_DRUMS
    pitched = tuple(dict.fromkeys(name for name in heard if name not in drums))
    return pitched + (("drums",) if drums & set(heard) else ())


class Form:
    """The dynamics of a piece: sections of two or four bars, each with a level; some bars lead into a louder section.

    Attributes:
        bars: number of bars.
        starts: bars at which sections start.
        levels: (bars,) how strongly each bar starts, 0..1.
        grows: (bars,) by how much the level rises within each bar.
    """

    def __init__(self, rng: np.random.Generator, bars: int) -> None:
        """Draw the form of a piece of `bars` bars."""
        levels: list[float] = []
        self.bars = bars
        self.starts: list[int] = []
        while len(levels) < bars:
            self.starts.append(len(levels))
            level = float(rng.choice([x for x in SECTION_LEVELS if not levels or x != levels[-1]]))
            levels += [level] * int(rng.choice([2, 4]))
        self.levels = np.array(levels[:bars])
        after = np.append(self.levels[1:], self.levels[-1])
        self.grows = np.where((after > self.levels) & (rng.random(bars) < 0.5), after - self.levels, 0.0)

    def level(self, bar: np.ndarray | float) -> np.ndarray:
        """Return how strongly the band plays, 0..1, at times in bars."""
        whole = np.clip(np.floor(bar).astype(int), 0, self.bars - 1)
        return self.levels[whole] + self.grows[whole] * np.clip(np.asarray(bar) - whole, 0.0, 1.0)


def events(grid: str) -> list[tuple[int, int, str]]:
    """Read a rhythm of `styles.py`: (step, length in steps, symbol) of each note.

    Example:
        >>> events("1--.x...")
        [(0, 3, '1'), (4, 1, 'x')]
    """
    starts = [i for i, symbol in enumerate(grid) if symbol not in ".-"]
    holds = [len(grid[i + 1 :]) - len(grid[i + 1 :].lstrip("-")) for i in starts]
    return [(i, 1 + n, grid[i]) for i, n in zip(starts, holds, strict=True)]


class _Arranger:
    """Writes the notes of a piece, bar by bar.

    Attributes:
        notes: the notes written so far.
        chords: the chord of each bar.
        peaks: time in seconds of the highest note of the melody in each bar that has one.
    """

    def __init__(
        self, rng: np.random.Generator, style: Style, tonic: int, mode: str, bar_s: float, start_s: float, form: Form
    ) -> None:
        """Draw the instruments, the rhythms, the motifs and the chords of a piece."""
        self.rng, self.style, self.tonic, self.mode = rng, style, tonic, mode
        self.bar_s, self.start_s, self.form = bar_s, start_s, form
        self.bar_steps = style.beats * style.steps
        self.bass, self.comp, self.lead = self._draw(style.bass), self._draw(style.chords), self._draw(style.lead)
        self.pad = self._draw(style.pad) if style.pad else None
        self.bass_grid, self.chord_grid = self._draw(style.bass_grids), self._draw(style.chord_grids)
        # A motif is a rhythm and the steps in the scale from each note to the next.
        self.motifs = [(self._draw(style.lead_grids), rng.choice([-2, -1, -1, 0, 1, 1, 2], size=16)) for _ in range(2)]
        progressions = JAZZ if style.jazz and mode in JAZZ else PROGRESSIONS
        degrees = self._draw(progressions[mode])
        self.chords = [
            chord_on(tonic, degrees[bar % len(degrees)], mode, sevenths=style.jazz, dominant=True)
            for bar in range(form.bars)
        ]
        self.voices: list[int] = []  # MIDI pitches of the last chord
        self.step = 0  # of the melody, in scale degrees above the tonic near C5
        self.notes: list[Note] = []
        self.peaks: list[float] = []

    def _draw(self, options: Sequence[T]) -> T:
        return options[int(self.rng.integers(len(options)))]

    def write(self) -> None:
        """Write all bars."""
        for bar, chord in enumerate(self.chords):
            self._write_drums(bar)
            self._write_bass(bar, chord)
            self._write_chords(bar, chord)
            # In quiet sections the melody rests in every other bar.
            if self.form.levels[bar] > QUIET_LEVEL or bar % 2 == 0:
                self._write_melody(bar, chord)

    def _time(self, bar: int, step: float) -> float:
        """Return the time in seconds of a step of a bar, with swing."""
        beat, within = divmod(step / self.style.steps, 1.0)
        late = self.style.swing
        within = within * (1 + 2 * late) if within < 0.5 else 0.5 + late + (within - 0.5) * (1 - 2 * late)
        return self.start_s + self.bar_s * (bar + (beat + within) / self.style.beats)

    def _add(self, instrument: str, bar: int, step: float, steps: float, pitch: int, strength: float) -> None:
        """Add a note of `steps` steps; its velocity and its onset vary a little around what is written."""
        level = float(self.form.level(bar + step / self.bar_steps))
        velocity = float(np.clip(level * strength * (1 + 0.06 * self.rng.standard_normal()), 0.05, 1.0))
        onset_s = self._time(bar, step) + self.style.timing_sd_s * float(np.clip(self.rng.standard_normal(), -2, 2))
        duration_s = self._time(bar, step + steps) - self._time(bar, step)
        self.notes.append(Note(instrument, onset_s, duration_s, pitch, velocity))

    def _write_drums(self, bar: int) -> None:
        """Write the drums of a bar; the last beat before a new section is a fill, its first beat a crash."""
        level, kit = self.form.levels[bar], {drum for drum, _ in self.style.drums}
        fills = "snare" in kit and level > QUIET_LEVEL and bar + 1 in self.form.starts
        fill_start = self.bar_steps - self.style.steps if fills else self.bar_steps
        for drum, grid in self.style.drums:
            if level < QUIET_LEVEL and drum not in QUIET_DRUMS:
                continue
            for step, _, symbol in events(grid):
                opens = drum == "hat" and level > 0.9 and step % 8 == 6
                if step < fill_start:
                    self._add("open hat" if opens else drum, bar, step, 1, 0, STROKES[symbol])
        for i, step in enumerate(range(fill_start, self.bar_steps)):
            self._add("tom" if i % 2 else "snare", bar, step, 1, 0, 0.6 + 0.1 * i)
        if bar in self.form.starts[1:] and level > LOUD_LEVEL and kit & {"snare", "clap"}:
            self._add("crash", bar, 0, self.bar_steps, 0, 0.8)

    def _write_bass(self, bar: int, chord: Chord) -> None:
        """Write the bass of a bar. Its approach note lies a semitone from the next root, or is the fifth."""
        next_chord = self.chords[min(bar + 1, len(self.chords) - 1)]
        root, next_root = (BASS_LOW + (c.root - BASS_LOW) % 12 for c in (chord, next_chord))
        third, fifth = ((c - chord.root) % 12 for c in chord.classes[1:3])
        approach = next_root - 1 if next_root > root else next_root + 1 if next_root < root else root + fifth
        pitches = {"1": root, "3": root + third, "5": root + fifth, "8": root + 12, "w": approach}
        octave = 0 if self.bass in ("upright bass", "electric bass", "synth bass") else 12
        for step, steps, symbol in events(self.bass_grid):
            self._add(self.bass, bar, step, 0.95 * steps, pitches[symbol] + octave, 0.95 if step == 0 else 0.8)

    def _write_chords(self, bar: int, chord: Chord) -> None:
        """Write the accompaniment of a bar, and a pad in loud bars."""
        self.voices = voice(chord, self.voices)
        for step, steps, symbol in events(self.chord_grid):
            if symbol == "x":
                pitches, length = self.voices, steps
            else:
                pitches, length = [self.voices[(int(symbol) - 1) % len(self.voices)]], max(steps, 2)
            for pitch in pitches:
                self._add(self.comp, bar, step, 0.95 * length, pitch, 0.7)
        if self.pad and self.form.levels[bar] > LOUD_LEVEL:
            for pitch in self.voices:
                self._add(self.pad, bar, 0, self.bar_steps, pitch + 12 * (pitch < 60), 0.5)

    def _write_melody(self, bar: int, chord: Chord) -> None:
        """Write the melody of a bar.

        Four bars make a phrase: the first motif, the first motif on the next chord, the second motif, and the first
        half of the first motif, which ends on a note of the chord.
        """
        place = bar % 4
        grid, contour = self.motifs[1 if place == 2 else 0]
        onsets = events(grid)
        if place == 3:
            onsets = onsets[: max(1, len(onsets) // 2)]
        self.step = self._chord_step(chord, self.step)
        pitches = []
        for i, (step, steps, _) in enumerate(onsets):
            last = place == 3 and i == len(onsets) - 1
            if last or step % (2 * self.style.steps) == 0:
                self.step = self._chord_step(chord, self.step)
            pitch = self._lead_pitch(self.step)
            if (pitch - chord.root) % 12 == 3 and (chord.classes[1] - chord.root) % 12 == 4:
                pitch += 1  # follow the raised third of the dominant in minor
            pitches.append(pitch)
            length = len(grid) - step if last else steps
            self._add(self.lead, bar, step, 0.95 * length, pitch, 1.0 if step % self.style.steps == 0 else 0.8)
            self.step += int(contour[i])
            if not LEAD_LOW <= self._lead_pitch(self.step) <= LEAD_HIGH:
                self.step -= 2 * int(contour[i])
        self.peaks.append(self._time(bar, onsets[int(np.argmax(pitches))][0]))

    def _lead_pitch(self, step: int) -> int:
        """Return the MIDI pitch of a step of the melody."""
        return C5 + scale_pitch(self.tonic, self.mode, step)

    def _chord_step(self, chord: Chord, step: int) -> int:
        """Return the step nearest to `step` that belongs to the chord and lies in the range of the melody."""
        of_chord = (degree for degree in range(-14, 15) if (degree - chord.degree) % 7 in (0, 2, 4))
        playable = [degree for degree in of_chord if LEAD_LOW <= self._lead_pitch(degree) <= LEAD_HIGH]
        return min(playable, key=lambda degree: abs(degree - step))
