"""Sampling settings, and the checks of prompt and adapter that run before any expensive work."""

from __future__ import annotations

import json
import math
import operator
import os
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import ExpotionError, short_repr
from ..limits import MAX_FIELD_CHARACTERS, MAX_PROMPT_WORDS
from ..stored import parse_json

MAX_GUIDANCE = 20.0
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.001, 5.0  # logits divided by less are no numbers any more
MAX_TOP_K = 1_000_000


@dataclass(frozen=True)
class Settings:
    """Sampling settings: the same settings, weights, video and prompt give the same music on the same machine.

    Guidance is classifier-free guidance with two conditions (Brooks et al. 2023, InstructPix2Pix, eq. 3):
    `logits = l(none) + guidance * (l(text) - l(none)) + visual_guidance * (l(text, video) - l(text))`.

    Attributes:
        seed: seed of the random draws, 0 to 2**32 - 1. Another seed gives other music for the same request.
        guidance: weight of the text prompt, 0 to 20. 0 ignores the prompt, 1 samples from the model as trained.
        visual_guidance: weight of the video, 0 to 20. 0 ignores the video, 1 samples from the model as trained.
        temperature: divisor of the logits, 0.001 to 5. Below 1 the music is more predictable and repeats
            more, above 1 it is more random.
        top_k: number of the likeliest codes to draw from at each step, 1 to a million. 1 always takes the
            likeliest.

    Raises:
        ExpotionError: a value is not a number or outside its range.

    Example:
        >>> Settings(seed=7, guidance=4).to_json()
        '{"seed": 7, "guidance": 4.0, "visual_guidance": 5.5, "temperature": 0.9, "top_k": 100}'
        >>> Settings.from_json(Settings(seed=7).to_json()) == Settings(seed=7)
        True

    Notebook: notebooks/04_inside_musicgen
    """

    seed: int = 0
    guidance: float = 3.0
    visual_guidance: float = 5.5
    temperature: float = 0.9
    top_k: int = 100

    def __post_init__(self) -> None:
        """Check the ranges, and turn NumPy numbers into plain ones."""
        checked = {
            "seed": _whole("seed", self.seed, 0, 2**32 - 1),
            "guidance": _number("guidance", self.guidance, 0.0, MAX_GUIDANCE),
            "visual_guidance": _number("visual_guidance", self.visual_guidance, 0.0, MAX_GUIDANCE),
            "temperature": _number("temperature", self.temperature, MIN_TEMPERATURE, MAX_TEMPERATURE),
            "top_k": _whole("top_k", self.top_k, 1, MAX_TOP_K),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def to_json(self) -> str:
        """Return the settings as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Read settings from the JSON that `to_json` wrote. Missing settings keep their defaults.

        Args:
            text: a JSON object.

        Raises:
            ExpotionError: the text is not a JSON object, or has an unknown name or a value outside its range.
        """
        try:
            values = parse_json(text)
        except (ValueError, TypeError) as error:
            raise ExpotionError(
                f"These settings are not JSON ({error}); write settings with Settings.to_json()."
            ) from error
        known = [field.name for field in fields(cls)]
        if not isinstance(values, dict):
            raise ExpotionError(f"Settings are a JSON object with any of {', '.join(known)}; got {short_repr(values)}.")
        if unknown := sorted(values.keys() - set(known)):
            raise ExpotionError(f"Unknown setting {short_repr(unknown[0])}; the settings are {', '.join(known)}.")
        return cls(**values)


def check_prompt(prompt: str) -> str:
    r"""Return the prompt with each run of white space replaced by one space.

    The text encoder ignores everything after a few hundred word pieces, so a longer prompt is refused instead of being
    cut silently.

    Args:
        prompt: description of the music, typically one to three sentences.

    Raises:
        ExpotionError: the prompt is not a string, is empty, is not UTF-8, or has over 200 words or 2,000 characters.

    Example:
        >>> check_prompt("  slow piano,\n soft strings ")
        'slow piano, soft strings'
    """
    if not isinstance(prompt, str):
        raise ExpotionError(f"The prompt is {short_repr(prompt)}; give a text such as 'slow piano with soft strings'.")
    if any("\ud800" <= letter <= "\udfff" for letter in prompt):  # Python's stand-ins for bytes that are not UTF-8
        raise ExpotionError("The prompt holds bytes that are not UTF-8; type it anew, or set the terminal to UTF-8.")
    words = "".join(letter if letter.isprintable() else " " for letter in prompt).split()
    text = " ".join(words)
    if not text:
        raise ExpotionError("The prompt is empty; describe the music, for example 'slow piano with soft strings'.")
    if len(words) > MAX_PROMPT_WORDS or len(text) > MAX_FIELD_CHARACTERS:
        raise ExpotionError(
            f"The prompt has {len(words):,} words and {len(text):,} characters; use at most "
            f"{MAX_PROMPT_WORDS} words and {MAX_FIELD_CHARACTERS:,} characters (one to three sentences work best)."
        )
    return text


def check_adapter(adapter: str | os.PathLike[str] | None) -> None:
    """Check that an adapter is `"bundled"`, None (no adapter), or an existing folder.

    Raises:
        ExpotionError: it is none of these.
    """
    if adapter is None or adapter == "bundled":
        return
    if not isinstance(adapter, (str, os.PathLike)) or not os.path.isdir(adapter):
        raise ExpotionError(f"No adapter folder {short_repr(adapter)}; name the folder that fine-tuning wrote.")


def _number(name: str, value: Any, low: float, high: float) -> float:
    """Return `value` as a float from `low` to `high`, or refuse it."""
    try:
        number = float("nan") if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise ExpotionError(f"{name} is {short_repr(value)}; choose a number, {low:g} to {high:g}.")
    return number


def _whole(name: str, value: Any, low: int, high: int) -> int:
    """Return `value` as an int from `low` to `high`, or refuse it."""
    try:
        number = low - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise ExpotionError(f"{name} is {short_repr(value)}; choose a whole number, {low} to {high}.")
    return number
