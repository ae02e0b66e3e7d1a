"""Prompts as a model reads them: which of their words it knows, and in which letters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .loading import MusicGen
WORD = re.compile(r"""[^\s.,;:!?"'()]+""")  # of a prompt


def unknown_words(musicgen: MusicGen, prompt: str) -> tuple[str, ...]:
    """Words of a prompt that say nothing to nano, whose vocabulary is that of its captions; none for other models.

    Example:
        >>> from expotion_lite import load
        >>> unknown_words(load("nano"), "A Happy rock Polka in F# minor, with Guitar.")
        ('polka',)
    """
    if musicgen.name != "nano":
        return ()
    words = dict.fromkeys(match[0].lower() for match in WORD.finditer(prompt))
    return tuple(word for word in words if not word.isdigit() and known_form(musicgen, word) is None)


def known_form(musicgen: MusicGen, word: str) -> str | None:
    """A word as it stands in the vocabulary: as it is, in small letters, or with a capital; None if it does not."""
    known = musicgen.processor.tokenizer.tokenize
    return next((form for form in (word, word.lower(), word.capitalize()) if len(known(form)) == 1), None)


def respell(musicgen: MusicGen, prompt: str) -> str:
    """A prompt with each word in the letters in which nano's small vocabulary has it; as it is for other models.

    Example:
        >>> from expotion_lite import load
        >>> respell(load("nano"), "SLOW Drums and polka, in d.")
        'slow drums and polka, in D.'
    """
    if musicgen.name != "nano":
        return prompt
    return WORD.sub(lambda word: known_form(musicgen, word[0]) or word[0], prompt)
