"""Prompts and nano's vocabulary: which words nano knows, and how it spells them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .loading import MusicGen

WORD = re.compile(r"""[^\s.,;:!?"'()]+""")


def unknown_words(musicgen: MusicGen, prompt: str) -> tuple[str, ...]:
    """Return the words of a prompt that are not in nano's vocabulary, which is that of its training captions.

    Args:
        musicgen: the model; other models than nano have a general vocabulary, so that nothing is returned.
        prompt: description of the music.

    Returns:
        The unknown words in lower case, each once.

    Example:
        >>> from expotion_lite import load
        >>> unknown_words(load("nano"), "A Happy rock Polka in F# minor, with Guitar.")
        ('polka',)
    """
    if musicgen.name != "nano":
        return ()
    words = dict.fromkeys(match[0].lower() for match in WORD.finditer(prompt))
    return tuple(word for word in words if not word.isdigit() and known_form(musicgen, word) is None)


def respell(musicgen: MusicGen, prompt: str) -> str:
    """Return the prompt with upper and lower case as in nano's vocabulary, which is case-sensitive.

    Args:
        musicgen: the model; for other models than nano the prompt is returned as it is.
        prompt: description of the music.

    Example:
        >>> from expotion_lite import load
        >>> respell(load("nano"), "SLOW Drums and polka, in d.")
        'slow drums and polka, in D.'
    """
    if musicgen.name != "nano":
        return prompt
    return WORD.sub(lambda word: known_form(musicgen, word[0]) or word[0], prompt)


def known_form(musicgen: MusicGen, word: str) -> str | None:
    """Return the spelling of a word that the vocabulary has (as it is, lower case or capitalized), None if none."""
    tokenize = musicgen.processor.tokenizer.tokenize
    return next((form for form in (word, word.lower(), word.capitalize()) if len(tokenize(form)) == 1), None)
