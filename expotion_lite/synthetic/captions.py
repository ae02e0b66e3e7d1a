"""Pieces in words: from "a slow sad waltz" to the long descriptions that people give to music models."""

from __future__ import annotations

import numpy as np

from .harmony import BRIGHT
from .pieces import Piece
from .styles import STYLES

TEMPI = (  # up to so many beats a minute
    (72, ("slow", "very slow", "unhurried", "downtempo")),
    (96, ("slow", "relaxed", "leisurely")),
    (120, ("mid-tempo", "moderate", "medium tempo")),
    (142, ("fast", "upbeat", "lively")),
    (999, ("very fast", "fast", "high-speed")),
)
LEVELS = ((0.45, ("quiet", "soft", "calm", "gentle")), (0.75, ("steady", "even", "balanced")),
          (2.0, ("energetic", "loud", "powerful", "intense")))  # fmt: skip
MOODS = (("happy", "cheerful", "bright", "joyful", "uplifting"), ("sad", "dark", "melancholic", "tense", "moody"))
DRUMS = ("drums", "drums", "percussion", "a drum kit", "a drum beat")
COUNTED = ("anthem", "ballad", "beat", "march", "piece", "score", "soundscape", "soundtrack", "track", "tune", "waltz")
MODE_NAMED = 0.7  # how often a key that is named has its mode with it
METRES = {(4, 4): "4/4", (3, 4): "3/4", (2, 6): "6/8"}


def tempo_word(tempo_bpm: float, rng: np.random.Generator) -> str:
    """The tempo in a word or two, each time another."""
    return str(rng.choice(next(words for bound, words in TEMPI if tempo_bpm <= bound)))


def with_article(words: str) -> str:
    """The words with "a" or "an" before them.

    Example:
        >>> with_article("upbeat waltz")
        'an upbeat waltz'
    """
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}"


def piece_of(style: str) -> str:
    """A style as something that there can be one of.

    Example:
        >>> piece_of("slow waltz"), piece_of("roots reggae")
        ('slow waltz', 'roots reggae piece')
    """
    return style if style.split()[-1] in COUNTED else f"{style} piece"


def caption(
    piece: Piece, rng: np.random.Generator, *, tempo: bool = True, mood: bool = True, key: bool | None = None
) -> str:
    """Describe a piece, each time in other words; what is left out of the caption is left to the model.

    Args:
        piece: from `arranging.arrange`.
        rng: draws the wording.
        tempo: whether the tempo may be named. mood: whether the mood and the mode of the key may be.
        key: whether the key is named, as a tonic alone ("in D") where its mode may not be; None for seldom.
    """
    facts = _Facts(piece, rng, tempo, mood, key)
    forms = (facts.plain, facts.tags, facts.request, facts.long)
    text = forms[int(rng.choice(4, p=(0.45, 0.2, 0.15, 0.2)))]()
    return text[0].upper() + text[1:] if rng.random() < 0.3 else text


class _Facts:
    """The words for what is true of a piece, drawn once for a caption."""

    def __init__(self, piece: Piece, rng: np.random.Generator, tempo: bool, mood: bool, key: bool | None) -> None:
        style, dark = STYLES[piece.style], int(piece.mode not in BRIGHT)
        draw = lambda words: str(rng.choice(words))  # noqa: E731
        self.rng, self.piece = rng, piece
        self.style = draw(style.names) if rng.random() < 0.6 else piece.style
        self.mood = draw(style.moods[dark] if rng.random() < 0.5 else MOODS[dark]) if mood else ""
        self.level = draw(next(words for bound, words in LEVELS if float(piece.energy.mean()) < bound))
        self.tempo = tempo_word(piece.tempo_bpm, rng) if tempo else ""
        self.bpm = (
            draw(("{} bpm", "{} BPM", "at {} bpm", "{} beats per minute")).format(round(piece.tempo_bpm))
            if tempo
            else ""
        )
        self.names_key = key
        with_mode = mood and (key is None or rng.random() < MODE_NAMED)
        self.key = f"{piece.key} {piece.mode}" if with_mode else piece.key if key else ""
        self.metre = METRES[style.beats, style.steps]
        players = [p for p in piece.instruments if p != "drums"]
        named = [p for p in players if rng.random() < 0.75] or players[:1]
        if "drums" in piece.instruments and rng.random() < 0.75:
            named.append(draw(DRUMS))
        self.players = [str(p) for p in rng.permutation(named)]

    def _maybe(self, chance: float, text: str) -> list[str]:
        return [text] if text and self.rng.random() < chance else []

    def _key(self, usual: float) -> str:
        """The key if it is to be named: always, never, or as often as is usual in this form."""
        if self.names_key is None:
            return self.key if self._maybe(usual, self.key) else ""
        return self.key if self.names_key else ""

    def _list(self) -> str:
        *most, last = self.players
        return f"{', '.join(most)} and {last}" if most else last

    def plain(self) -> str:
        """Such as "a slow sad waltz with accordion and upright bass"."""
        words = self._maybe(0.5, self.tempo) + self._maybe(0.25, self.level) + self._maybe(0.7, self.mood)
        begin = str(self.rng.choice(["", "", "", "a", "some", "instrumental"]))
        what = self.style if self.rng.random() < 0.8 else "music"
        if begin == "a":
            text = with_article(" ".join([*words, piece_of(what)]))
        else:
            text = " ".join([*([begin] if begin else []), *words, what])
        text += " with " + self._list() if self.rng.random() < 0.7 else ""
        key = self._key(0.15)
        text += f" in {key}" if key else ""
        return text + (", " + self.bpm if self.bpm and self.rng.random() < 0.5 else "")

    def tags(self) -> str:
        """Such as "waltz, accordion, upright bass, wistful, 96 bpm"."""
        tags = [self.style, *self.players, *self._maybe(0.7, self.mood), *self._maybe(0.4, self.level)]
        tags += self._maybe(0.4, self.tempo) + self._maybe(0.7, self.bpm)
        tags += [f"in {self.key}"] if self.names_key else []
        return ", ".join([tags[0], *map(str, self.rng.permutation(tags[1:]))])

    def request(self) -> str:
        """Such as "play a wistful waltz played by accordion and upright bass"."""
        ask = str(self.rng.choice(["play", "give me", "I would like", "make", "compose"]))
        what = with_article(" ".join(_said(*self._maybe(0.5, self.tempo), self.mood, piece_of(self.style))))
        key = f" in {self.key}" if self.names_key else ""
        return f"{ask} {what}{key} played by {self._list()}" + (f", {self.bpm}" if self._maybe(0.6, self.bpm) else "")

    def long(self) -> str:
        """Such as people's long descriptions, sentence by sentence."""
        feel, what = _said(self.mood, self.level), piece_of(self.style)
        moods = [f", {self.mood} throughout", f" The mood is {self.mood}."] if self.mood else ["", ""]
        first = self.rng.choice([
            f"An instrumental {what} that sounds {' and '.join(feel)}.",
            f"This is {with_article(', '.join(feel) + ' ' + what)}.",
            f"The recording is {with_article(f'{self.level} {what}')}{moods[0]}.",
            f"The style is {self.style}.{moods[1]} The dynamics are {self.level}.",
        ])  # fmt: skip
        second = str(
            self.rng.choice([" It features {}.", " The instruments are {}.", " One hears {}.", " Played by {}."])
        )
        second = second.format(self._list())
        rest = [
            f" The tempo is {self.tempo}." if self.tempo else "",
            f" It moves at {round(self.piece.tempo_bpm)} bpm." if self.bpm else "",
            f" The metre is {self.metre}.",
        ]
        text = str(first) + second + "".join(text for text in rest if text and self.rng.random() < 0.4)
        key = self._key(0.4)
        return text + (f" The key is {key}." if key else "")


def _said(*words: str) -> list[str]:
    """The words that are not empty."""
    return [word for word in words if word]
