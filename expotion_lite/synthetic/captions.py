"""Captions of pieces, from "a slow sad waltz" to the long descriptions that people give to music models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .harmony import BRIGHT
from .pieces import Piece
from .styles import STYLES

TEMPO_WORDS = (  # (fastest tempo in beats per minute, its words)
    (72, ("slow", "very slow", "unhurried", "downtempo")),
    (96, ("slow", "relaxed", "leisurely")),
    (120, ("mid-tempo", "moderate", "medium tempo")),
    (142, ("fast", "upbeat", "lively")),
    (999, ("very fast", "fast", "high-speed")),
)
LEVEL_WORDS = (  # (mean energy below which they apply, its words)
    (0.45, ("quiet", "soft", "calm", "gentle")),
    (0.75, ("steady", "even", "balanced")),
    (2.0, ("energetic", "loud", "powerful", "intense")),
)
MOOD_WORDS = (  # for bright modes, for dark modes
    ("happy", "cheerful", "bright", "joyful", "uplifting"),
    ("sad", "dark", "melancholic", "tense", "moody"),
)
DRUM_WORDS = ("drums", "drums", "percussion", "a drum kit", "a drum beat")
BPM_WORDS = ("{} bpm", "{} BPM", "at {} bpm", "{} beats per minute")
COUNTABLE = "anthem ballad beat march piece score soundscape soundtrack track tune waltz".split()
MODE_NAMED = 0.7  # probability that a key that has to be named is named with its mode
METRES = {(4, 4): "4/4", (3, 4): "3/4", (2, 6): "6/8"}  # (beats in a bar, steps in a beat) -> time signature


def tempo_word(tempo_bpm: float, rng: np.random.Generator) -> str:
    """Draw a word for a tempo in beats per minute."""
    return str(rng.choice(next(words for bound, words in TEMPO_WORDS if tempo_bpm <= bound)))


def with_article(words: str) -> str:
    """Put "a" or "an" before words.

    Example:
        >>> with_article("upbeat waltz")
        'an upbeat waltz'
    """
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}"


def piece_of(style: str) -> str:
    """Turn a style into a countable noun.

    Example:
        >>> piece_of("slow waltz"), piece_of("roots reggae")
        ('slow waltz', 'roots reggae piece')
    """
    return style if style.split()[-1] in COUNTABLE else f"{style} piece"


def caption(
    piece: Piece, rng: np.random.Generator, *, tempo: bool = True, mood: bool = True, key: bool | None = None
) -> str:
    """Describe a piece in words that `rng` draws.

    Args:
        piece: the piece, from `arranging.arrange`.
        rng: source of randomness for the wording.
        tempo: False never names the tempo.
        mood: False names neither the mood nor the mode of the key.
        key: True always names the key (as a tonic alone, "in D", where the mode may not be named), False never, None
            sometimes.
    """
    wording = _Wording(piece, rng, tempo, mood, key)
    forms = (wording.plain, wording.tags, wording.request, wording.long)
    text = forms[int(rng.choice(4, p=(0.45, 0.2, 0.15, 0.2)))]()
    return text[0].upper() + text[1:] if rng.random() < 0.3 else text


class _Wording:
    """The words for the facts of a piece, drawn once for a caption; empty where a fact may not be named."""

    def __init__(self, piece: Piece, rng: np.random.Generator, tempo: bool, mood: bool, key: bool | None) -> None:
        style, dark = STYLES[piece.style], int(piece.mode not in BRIGHT)
        self.rng, self.piece = rng, piece
        self.style = self._draw(style.names) if rng.random() < 0.6 else piece.style
        self.mood = self._draw(style.moods[dark] if rng.random() < 0.5 else MOOD_WORDS[dark]) if mood else ""
        self.level = self._draw(next(words for bound, words in LEVEL_WORDS if float(piece.energy.mean()) < bound))
        self.tempo = tempo_word(piece.tempo_bpm, rng) if tempo else ""
        self.bpm = self._draw(BPM_WORDS).format(round(piece.tempo_bpm)) if tempo else ""
        self.names_key = key
        with_mode = mood and (key is None or rng.random() < MODE_NAMED)
        self.key = f"{piece.key} {piece.mode}" if with_mode else piece.key if key else ""
        self.metre = METRES[style.beats, style.steps]
        players = [name for name in piece.instruments if name != "drums"]
        named = [name for name in players if rng.random() < 0.75] or players[:1]
        if "drums" in piece.instruments and rng.random() < 0.75:
            named.append(self._draw(DRUM_WORDS))
        self.players = [str(name) for name in rng.permutation(named)]

    def _draw(self, words: Sequence[str]) -> str:
        return str(self.rng.choice(words))

    def _maybe(self, probability: float, text: str) -> list[str]:
        """Return the text in a list with a probability, otherwise an empty list."""
        return [text] if text and self.rng.random() < probability else []

    def _key(self, probability: float) -> str:
        """Return the key if it has to be named; if that is left open, with a probability."""
        if self.names_key is None:
            return self.key if self._maybe(probability, self.key) else ""
        return self.key if self.names_key else ""

    def _player_list(self) -> str:
        *most, last = self.players
        return f"{', '.join(most)} and {last}" if most else last

    def plain(self) -> str:
        """Write a noun phrase, such as "a slow sad waltz with accordion and upright bass"."""
        adjectives = self._maybe(0.5, self.tempo) + self._maybe(0.25, self.level) + self._maybe(0.7, self.mood)
        begin = str(self.rng.choice(["", "", "", "a", "some", "instrumental"]))
        noun = self.style if self.rng.random() < 0.8 else "music"
        if begin == "a":
            text = with_article(" ".join([*adjectives, piece_of(noun)]))
        else:
            text = " ".join(_non_empty(begin, *adjectives, noun))
        text += " with " + self._player_list() if self.rng.random() < 0.7 else ""
        key = self._key(0.15)
        text += f" in {key}" if key else ""
        return text + (", " + self.bpm if self.bpm and self.rng.random() < 0.5 else "")

    def tags(self) -> str:
        """Write tags, such as "waltz, accordion, upright bass, wistful, 96 bpm"."""
        tags = [*self.players, *self._maybe(0.7, self.mood), *self._maybe(0.4, self.level)]
        tags += self._maybe(0.4, self.tempo) + self._maybe(0.7, self.bpm)
        tags += [f"in {self.key}"] if self.names_key else []
        return ", ".join([self.style, *map(str, self.rng.permutation(tags))])

    def request(self) -> str:
        """Write a request, such as "play a wistful waltz played by accordion and upright bass"."""
        verb = str(self.rng.choice(["play", "give me", "I would like", "make", "compose"]))
        noun = " ".join(_non_empty(*self._maybe(0.5, self.tempo), self.mood, piece_of(self.style)))
        key = f" in {self.key}" if self.names_key else ""
        bpm = f", {self.bpm}" if self._maybe(0.6, self.bpm) else ""
        return f"{verb} {with_article(noun)}{key} played by {self._player_list()}{bpm}"

    def long(self) -> str:
        """Write two or more sentences, as in long descriptions by people."""
        adjectives, noun = _non_empty(self.mood, self.level), piece_of(self.style)
        throughout = f", {self.mood} throughout" if self.mood else ""
        the_mood = f" The mood is {self.mood}." if self.mood else ""
        first = self._draw(
            [
                f"An instrumental {noun} that sounds {' and '.join(adjectives)}.",
                f"This is {with_article(', '.join(adjectives) + ' ' + noun)}.",
                f"The recording is {with_article(f'{self.level} {noun}')}{throughout}.",
                f"The style is {self.style}.{the_mood} The dynamics are {self.level}.",
            ]
        )
        second = self._draw([" It features {}.", " The instruments are {}.", " One hears {}.", " Played by {}."])
        rest = [
            f" The tempo is {self.tempo}." if self.tempo else "",
            f" It moves at {round(self.piece.tempo_bpm)} bpm." if self.bpm else "",
            f" The metre is {self.metre}.",
        ]
        text = first + second.format(self._player_list()) + "".join(self._some(rest))
        key = self._key(0.4)
        return text + (f" The key is {key}." if key else "")

    def _some(self, sentences: Sequence[str]) -> list[str]:
        """Keep each sentence with probability 0.4."""
        return [text for text in sentences if text and self.rng.random() < 0.4]


def _non_empty(*words: str) -> list[str]:
    return [word for word in words if word]
