"""The examples that nano's adapter learns from: music with its own event curves, and synthetic performances."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..controls.channels import ADAPTER_CHANNELS
from ..data.examples import Examples
from ..data.music import MUSIC_SONGS, VALIDATION_MUSIC, cached_music_examples
from ..data.synthetic import cached_synthetic_split
from ..files import atomic_write
from ..synthetic import band
from ..synthetic.harmony import BRIGHT
from ..training.event_curves import EventCurveControls, draw_event_curves, onset_curves_of

if TYPE_CHECKING:
    from ..musicgen.loading import MusicGen

MUSIC_SHARE = 2 / 3  # of the training examples; the others are performances
HELD_OUT_PIECES = 48


@dataclass(frozen=True, eq=False)
class EventExamples:
    """Examples to train an adapter on event curves.

    Attributes:
        train: music and performances, some of them several times so that music is two thirds.
        held_out: music with fixed curves, to validate with.
        performances: the performances alone.
        draw_controls: draws the controls of `train` at each step.
    """

    train: Examples
    held_out: Examples
    performances: Examples
    draw_controls: EventCurveControls


def event_examples(
    musicgen: MusicGen,
    folder: Path,
    performances: int,
    pieces: int,
    *,
    elastic: bool = True,
    person_like: bool = True,
) -> EventExamples:
    """Draw the examples, or load them from a cache.

    Args:
        musicgen: the model whose codec and window are used.
        folder: of the cache.
        performances: number of synthetic performances; 0 trains on music alone.
        pieces: number of pieces to which nobody moves.
        elastic: whether the tempo of these may change.
        person_like: whether curves of music are made as imperfect as those of people.
    """
    music = cached_music_examples(musicgen, pieces, MUSIC_SONGS, folder / "music", elastic=elastic)
    parts, performed_parts, performed = [music], [], music.pick(np.zeros(0, int))
    if performances:
        performed = cached_synthetic_split(musicgen, performances, folder)[0].select(ADAPTER_CHANNELS)
        wanted = len(performed) * MUSIC_SHARE / (1 - MUSIC_SHARE) / len(music)
        parts = [music] * max(1, round(wanted))
        performed_parts = [performed] * max(1, round(1 / wanted))
    curves = {id(part): _cached_onsets(musicgen, part, folder) for part in (music, performed) if len(part)}
    train = Examples.join(parts + performed_parts)
    onsets = np.concatenate([curves[id(part)] for part in parts + performed_parts])
    somebody = np.repeat([False, True], [len(music) * len(parts), len(performed) * len(performed_parts)])
    held_out = cached_music_examples(musicgen, HELD_OUT_PIECES, VALIDATION_MUSIC, folder / "held_out_music")
    return EventExamples(
        train=train,
        held_out=_with_fixed_curves(held_out, _cached_onsets(musicgen, held_out, folder)),
        performances=performed,
        draw_controls=EventCurveControls(
            train, onsets, somebody, bright=_bright(train) if performances else None, person_like=person_like
        ),
    )


def _bright(examples: Examples) -> np.ndarray:
    """Return which songs have a bright mode, (N,) bool."""
    songs = {int(song): band.compose(int(song), 1.0).mode in BRIGHT for song in np.unique(examples.songs)}
    return np.array([songs[int(song)] for song in examples.songs])


def _with_fixed_curves(examples: Examples, onsets: np.ndarray) -> Examples:
    """Return examples of music with curves that are the same at each validation."""
    controls = examples.controls.copy()
    columns = [examples.channels.index(name) for name in ("event", "activity")]
    for row, curves in enumerate(onsets):
        controls[row][:, columns] = draw_event_curves(curves, np.random.default_rng([row, 1]))
    controls[:, :, examples.channels.index("motion_missing")] = 0
    return replace(examples, controls=controls)


def _cached_onsets(musicgen: MusicGen, examples: Examples, folder: Path, part: int = 100) -> np.ndarray:
    """Return the onset curves (N, T, 4) of examples, kept in the folder in parts under digests of their codes."""
    parts = []
    for first in range(0, len(examples), part):
        rows = np.arange(first, min(first + part, len(examples)))
        path = folder / "onsets" / f"{hashlib.sha256(examples.codes[rows].tobytes()).hexdigest()[:16]}.npy"
        if not path.exists():
            curves = onset_curves_of(musicgen, examples.pick(rows))
            with atomic_write(path, overwrite=True) as temporary, open(temporary, "wb") as file:
                np.save(file, curves)
        parts.append(np.load(path, allow_pickle=False))
    return np.concatenate(parts)
