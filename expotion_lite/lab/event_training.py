"""The examples that nano's adapter learns from: music with its own event curves, and synthetic performances."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..controls.channels import ADAPTER_CHANNELS
from ..data.examples import Examples
from ..data.music import MUSIC_SONGS, VALIDATION_MUSIC, cached_music_examples
from ..data.synthetic import cached_synthetic_split
from ..evaluation.real_people import is_ill
from ..files import atomic_write
from ..synthetic import band
from ..synthetic.harmony import BRIGHT
from ..training.event_curves import EventCurveControls, decoded, draw_event_curves, onset_curves

if TYPE_CHECKING:
    from ..musicgen.loading import MusicGen

MUSIC_SHARE = 0.85  # of the training examples; the others are performances
HELD_OUT_PIECES = 48


@dataclass(frozen=True, eq=False)
class EventExamples:
    """Examples to train an adapter on event curves.

    Attributes:
        train: music and performances, some of them several times so that music has its share.
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
    music, heard = _healthy(musicgen, music, folder)
    parts, performed, performed_parts = [(music, heard)], music.pick(np.zeros(0, int)), []
    if performances:
        performed = cached_synthetic_split(musicgen, performances, folder)[0].select(ADAPTER_CHANNELS)
        performed, danced = _healthy(musicgen, performed, folder)
        wanted = len(performed) * MUSIC_SHARE / (1 - MUSIC_SHARE) / len(music)
        parts = parts * max(1, round(wanted))
        performed_parts = [(performed, danced)] * max(1, round(1 / wanted))
    train = Examples.join([examples for examples, _ in parts + performed_parts])
    onsets = np.concatenate([curves for _, curves in parts + performed_parts])
    somebody = np.repeat([False, True], [len(music) * len(parts), len(performed) * len(performed_parts)])
    held_out = cached_music_examples(musicgen, HELD_OUT_PIECES, VALIDATION_MUSIC, folder / "held_out_music")
    return EventExamples(
        train=train,
        held_out=_with_fixed_curves(*_healthy(musicgen, held_out, folder)),
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


def _healthy(musicgen: MusicGen, examples: Examples, folder: Path, part: int = 100) -> tuple[Examples, np.ndarray]:
    """Leave out music that, decoded, is a wall of sound or has long stretches in which nothing begins.

    A quarter of the pieces on irregular events is so, and a model that learns from them plays such music.

    Returns:
        (the other examples, their onset curves (N, T, 4)). Both are kept in the folder in parts, under digests of the
        codes.
    """
    parts = []
    for first in range(0, len(examples), part):
        rows = np.arange(first, min(first + part, len(examples)))
        name = hashlib.sha256(examples.codes[rows].tobytes()).hexdigest()[:16]
        path = folder / "onsets" / f"{name}.npz"
        if not path.exists():
            audio = list(decoded(musicgen, examples.pick(rows)))
            curves = [onset_curves(each, musicgen.sample_rate, examples.codes.shape[-1]) for each in audio]
            walls = [is_ill(each, musicgen.sample_rate) for each in audio]
            with atomic_write(path, overwrite=True) as temporary, open(temporary, "wb") as file:
                np.savez(file, onsets=np.stack(curves), ill=np.array(walls))
        with np.load(path, allow_pickle=False) as arrays:
            parts.append((arrays["onsets"], arrays["ill"]))
    onsets, ill = (np.concatenate(each) for each in zip(*parts, strict=True))
    print(f"{ill.sum()} of {len(ill)} examples are ill, and left out", file=sys.stderr, flush=True)
    return examples.pick(~ill), onsets[~ill]
