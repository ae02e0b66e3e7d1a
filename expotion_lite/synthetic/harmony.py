"""Scales, chords, chord progressions and voice leading."""

from __future__ import annotations

from dataclasses import dataclass

KEYS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MODES = {  # semitones above the tonic
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
BRIGHT = ("major", "mixolydian")  # modes with a major third
PROGRESSIONS = {  # scale degrees of the chords, one a bar; 0 is the tonic
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (3, 4, 0, 0), (0, 3, 4, 0), (0, 3, 0, 4), (0, 2, 3, 4), (1, 4, 0, 5)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4), (0, 3, 6, 2), (0, 0, 5, 6), (3, 0, 5, 4), (0, 5, 3, 4)),
    "dorian": ((0, 3, 0, 3), (0, 1, 3, 0), (0, 6, 3, 0), (0, 2, 3, 6)),
    "mixolydian": ((0, 6, 3, 0), (0, 3, 6, 0), (0, 4, 3, 6), (0, 6, 0, 3)),
}
JAZZ = {  # ii-V-I and related progressions
    "major": ((1, 4, 0, 5), (0, 5, 1, 4), (2, 5, 1, 4), (3, 3, 0, 0)),
    "minor": ((1, 4, 0, 0), (0, 3, 1, 4), (0, 5, 1, 4), (3, 6, 2, 4)),
    "dorian": ((0, 0, 1, 1), (0, 3, 0, 3)),
}
QUALITIES = {  # semitones above the root -> chord symbol
    (4, 7): "",
    (3, 7): "m",
    (3, 6): "dim",
    (4, 8): "aug",
    (4, 7, 11): "maj7",
    (4, 7, 10): "7",
    (3, 7, 10): "m7",
    (3, 6, 10): "m7b5",
    (3, 7, 11): "mMaj7",
}


@dataclass(frozen=True)
class Chord:
    """A chord.

    Attributes:
        root: semitones above C, 0..11.
        classes: pitch classes from the root up, 0..11.
        degree: scale degree of the root, 0..6.
    """

    root: int
    classes: tuple[int, ...]
    degree: int

    @property
    def name(self) -> str:
        """The chord symbol.

        Example:
            >>> chord_on(0, 0, "major").name, chord_on(9, 0, "minor", sevenths=True).name
            ('C', 'Am7')
        """
        steps = tuple((pitch_class - self.root) % 12 for pitch_class in self.classes[1:])
        return KEYS[self.root] + QUALITIES[steps]


def classes_of(name: str) -> tuple[int, ...]:
    """Return the pitch classes of a chord symbol as `Chord.name` writes it, 0..11 (C is 0), from the root up.

    Example:
        >>> classes_of("Am7")
        (9, 0, 4, 7)
    """
    root = max((key for key in KEYS if name.startswith(key)), key=len)
    steps = next(steps for steps, quality in QUALITIES.items() if root + quality == name)
    return tuple((KEYS.index(root) + step) % 12 for step in (0, *steps))


def scale_pitch(tonic: int, mode: str, degree: int) -> int:
    """Return a scale degree in semitones above C; 0 is the tonic, 7 its octave, -1 the seventh below it.

    Example:
        >>> scale_pitch(0, "major", 4), scale_pitch(0, "minor", 9), scale_pitch(0, "major", -1)
        (7, 15, -1)
    """
    octave, step = divmod(int(degree), 7)
    return tonic + MODES[mode][step] + 12 * octave


def chord_on(tonic: int, degree: int, mode: str, *, sevenths: bool = False, dominant: bool = False) -> Chord:
    """Build the chord of stacked thirds on a scale degree.

    Args:
        tonic: semitones above C, 0..11.
        degree: scale degree of the root; 0 is the tonic.
        mode: one of `MODES`.
        sevenths: build a seventh chord instead of a triad.
        dominant: in minor, raise the third of the chord on the fifth degree, which makes it a dominant.
    """
    classes = [scale_pitch(tonic, mode, degree + third) % 12 for third in (0, 2, 4, 6)[: 4 if sevenths else 3]]
    if dominant and mode == "minor" and degree % 7 == 4:
        classes[1] = (classes[0] + 4) % 12
    return Chord(classes[0], tuple(classes), degree % 7)


def voice(chord: Chord, before: list[int], low: int = 52) -> list[int]:
    """Choose the inversion of a chord that is nearest to the chord before it (smooth voice leading).

    Args:
        chord: the chord to play.
        before: MIDI pitches of the chord before; empty at the start.
        low: lower limit; the lowest note is `low` to `low` + 11.

    Returns:
        MIDI pitches from low to high.

    Example:
        >>> voice(chord_on(0, 0, "major"), [])
        [55, 60, 64]
        >>> voice(chord_on(0, 5, "major"), [55, 60, 64])
        [57, 60, 64]
    """
    if len(before) != len(chord.classes):
        before = [low + 3, low + 8, low + 12, low + 16][: len(chord.classes)]
    options = []
    for inversion in range(len(chord.classes)):
        turned = chord.classes[inversion:] + chord.classes[:inversion]
        pitches = [low + (turned[0] - low) % 12]
        for pitch_class in turned[1:]:
            pitches.append(pitches[-1] + 1 + (pitch_class - pitches[-1] - 1) % 12)
        options.append(pitches)
    return min(options, key=lambda pitches: sum(abs(a - b) for a, b in zip(pitches, before, strict=True)))
