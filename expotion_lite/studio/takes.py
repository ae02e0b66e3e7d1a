"""Takes of the studio: what they hold, the recipe from which one is made again, and equal loudness for comparing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np

from .. import __version__
from ..controls.steering import Steering
from ..errors import ExpotionError
from ..stored import read_json
from .sources import Source, SourceRecipe

if TYPE_CHECKING:
    from ..controls.channels import Controls
    from ..generation import Pipeline, Take
    from ..musicgen.settings import Settings

LOUDNESS_DB = -20.0
"""Loudness of takes that are compared, in decibels of full scale."""


class TakeRecipe(TypedDict):
    """The JSON from which `Session.rebuild` makes a take again."""

    made_by: str
    prompt: str
    settings: dict[str, Any]
    source: SourceRecipe
    other: SourceRecipe | None
    steering: dict[str, Any]
    model: str
    adapter: str | None
    frames: int
    codes_sha256: str


@dataclass(frozen=True, eq=False)
class StudioTake:
    """A take, and how it was made in the studio.

    Attributes:
        name: its name in the studio.
        take: the music; its controls are the steered ones.
        source: the person in the picture.
        steering: changes to the controls.
        other: the person whom the music follows instead of the one in the picture, or None.
        frames: number of frames of music; fewer than the clip has if the take was cancelled.
        first_sound_s: seconds from the call of `generate` to the first sound.
    """

    name: str
    take: Take
    source: Source
    steering: Steering
    other: Source | None
    frames: int
    first_sound_s: float | None = None

    @property
    def codes_sha256(self) -> str:
        """The hash of the codes, which tells takes of the same name apart."""
        return hashlib.sha256(np.ascontiguousarray(self.take.codes, "<i8").tobytes()).hexdigest()

    @property
    def length_text(self) -> str:
        """The length in words, such as "6.0 s" or "2.1 of 6.0 s, stopped"."""
        made_s = self.frames / self.take.controls.frame_rate
        whole_s = len(self.take.audio) / self.take.sample_rate
        return f"{whole_s:.1f} s" if made_s > whole_s - 0.1 else f"{made_s:.1f} of {whole_s:.1f} s, stopped"

    def recipe(self, model: str, adapter: str | None) -> TakeRecipe:
        """Return everything that is needed to make this take again.

        Args:
            model: name of the model that made it.
            adapter: name of its adapter.
        """
        return {
            "made_by": f"expotion-lite {__version__}",
            "prompt": self.take.prompt,
            "settings": json.loads(self.take.settings.to_json()),
            "source": self.source.recipe,
            "other": None if self.other is None else self.other.recipe,
            "steering": self.steering.to_dict(),
            "model": model,
            "adapter": adapter,
            "frames": self.frames,
            "codes_sha256": self.codes_sha256,
        }


def make_take(
    pipeline: Pipeline, codes: np.ndarray, source: Source, controls: Controls, prompt: str, settings: Settings
) -> Take:
    """Decode codes (K, n) to music as long as the source.

    Args:
        pipeline: the model.
        codes: (K, n) int64; silence follows if they are fewer than the source has frames.
        source: the person in the picture.
        controls: what the model saw.
        prompt: see `Take`.
        settings: see `Take`.
    """
    from ..generation import Take, fit_to_duration, to_audio
    from ..musicgen.prompts import unknown_words

    musicgen = pipeline.musicgen
    audio = fit_to_duration(to_audio(musicgen, codes), musicgen.sample_rate, source.duration_s)
    words = unknown_words(musicgen, prompt)
    return Take(audio, musicgen.sample_rate, codes, controls, source.landmarks, source.video, prompt, settings, words)


def cut_take(made: StudioTake, frames: int, pipeline: Pipeline) -> StudioTake:
    """Return the take with its first frames only, as if it had been stopped there.

    Args:
        made: the take.
        frames: number of frames to keep.
        pipeline: the model.
    """
    take = made.take
    if frames >= take.codes.shape[1]:
        return made
    take = make_take(pipeline, take.codes[:, :frames], made.source, take.controls, take.prompt, take.settings)
    return replace(made, take=take, frames=frames)


def read_recipe(path: Path) -> TakeRecipe:
    """Read the recipe in a file, and check that it is complete.

    Args:
        path: the .json of an exported take.

    Raises:
        ExpotionError: the file cannot be read, or holds no recipe.
    """
    try:
        recipe = read_json(path)
    except OSError as error:
        raise ExpotionError(f"{path} cannot be read ({error.strerror}); name a .json that was exported.") from error
    except ValueError:
        recipe = None
    if not isinstance(recipe, dict) or not _is_complete(recipe):
        raise ExpotionError(f"{path} holds no settings of a take; name a .json that the studio exported.")
    return cast("TakeRecipe", recipe)  # its parts are checked where they are used


def _is_complete(recipe: Mapping[str, Any]) -> bool:
    kinds = {"prompt": str, "settings": dict, "source": dict, "steering": dict, "model": str, "frames": int}
    return (
        all(isinstance(recipe.get(name), kind) for name, kind in kinds.items())
        and {"other", "adapter", "codes_sha256"} <= recipe.keys()
        and recipe["steering"].keys() <= {"weights", "channels", "drawn", "beat"}
    )


def match_loudness(*takes: np.ndarray) -> tuple[float, ...]:
    """Return gains that make takes equally loud without clipping. In a comparison, a louder take seems better.

    Loudness is the root mean square of blocks of 0.1 s above a gate, as in ITU-R BS.1770 but without its filter.

    Args:
        *takes: (N,) float32 each, of any lengths.

    Returns:
        A factor for each.

    Example:
        >>> loud, soft = np.full(48_000, 0.4, np.float32), np.full(48_000, 0.1, np.float32)
        >>> [round(gain, 3) for gain in match_loudness(loud, soft)]
        [0.25, 1.0]

    Notebook: notebooks/07_play_it
    """
    levels = [max(_gated_rms(audio), 1e-6) for audio in takes]
    peaks = [max(float(np.abs(audio).max(initial=0.0)), 1e-6) for audio in takes]
    without_clipping = [0.99 * level / peak for level, peak in zip(levels, peaks, strict=True)]
    target = min([10 ** (LOUDNESS_DB / 20), *without_clipping])
    return tuple(target / level for level in levels)


def _gated_rms(audio: np.ndarray, block: int = 1_600) -> float:
    powers = [float(np.mean(part**2)) for part in np.array_split(audio, max(1, len(audio) // block)) if len(part)]
    audible = [power for power in powers if power > 1e-7] or [0.0]
    gate = 0.1 * np.mean(audible)
    return float(np.sqrt(np.mean([power for power in audible if power > gate] or [0.0])))
