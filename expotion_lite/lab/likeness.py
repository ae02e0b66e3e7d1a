"""Are synthetic performers like real people? What the adapter reads of both, channel by channel, and a classifier.

    python -m expotion_lite.lab.likeness motion.npz

prints percentiles of each channel for the real clips in a motion file (see `lab.real_motion`), for synthetic
performers, and for these as training shows them (`training.event_curves`). It also prints how often a random forest
tells a real clip from a synthetic one, of people that it has not seen. 0.5 is chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..controls.channels import ADAPTER_CHANNELS, Controls
from ..data.synthetic import HELD_OUT_PERFORMERS, HELD_OUT_SONGS, VALIDATION_OFFSET, synthetic_pair
from ..evaluation.report import markdown_table
from ..training.event_curves import EventCurveControls
from .real_motion import COMPARED_FRAMES, read_clips, shown_controls

PERCENTS = (5, 25, 50, 75, 95)
READ = ADAPTER_CHANNELS[:-2]  # without the flags of what is missing
FACE = slice(ADAPTER_CHANNELS.index("smile"), ADAPTER_CHANNELS.index("expression_energy") + 1)


def features_of(values: np.ndarray) -> np.ndarray:
    """Return mean, deviation, height and restlessness of each channel of `READ` (4 times 7 numbers) of (T, 9)."""
    shown = values[:COMPARED_FRAMES, : len(READ)]
    restless = np.abs(np.diff(shown, axis=0)).mean(axis=0)
    return np.stack([shown.mean(axis=0), shown.std(axis=0), np.percentile(shown, 95, axis=0), restless], axis=1).ravel()


def told_apart(real: Sequence[np.ndarray], made: Sequence[np.ndarray], people: Sequence[int], folds: int = 5) -> float:
    """Return how often a classifier is right about clips of people that it has not seen, both kinds counting equally.

    Args:
        real: features of each real clip.
        made: features of each synthetic clip, of a person each.
        people: who is in each real clip.
        folds: of the cross-validation.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    is_real = np.repeat([1, 0], [len(real), len(made)])
    groups = np.append(np.asarray(people), max(people) + 1 + np.arange(len(made)))
    forest = RandomForestClassifier(300, class_weight="balanced", random_state=0)
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    found = cross_val_predict(forest, np.stack([*real, *made]), is_real, groups=groups, cv=split)
    return float(balanced_accuracy_score(is_real, found))


def as_in_training(performers: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return controls (T, 9) of performers as `EventCurveControls` would show them, without nonsense."""
    from ..data.examples import Examples

    n, frames = len(performers), min(len(each) for each in performers)
    controls, numbers = np.stack([each[:frames] for each in performers]), np.arange(n)
    codes = np.zeros((n, 1, frames), np.int16)
    examples = Examples(codes, controls, ("",) * n, numbers, numbers, ADAPTER_CHANNELS)
    draw = EventCurveControls(examples, np.zeros((n, frames, 4)), np.ones(n, bool), from_music=0.0, nonsense=0.0)
    return [draw(row, controls[row], np.random.default_rng([row, 9])) for row in range(n)]


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.lab.likeness", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("motion", type=Path, help="the file of curves of real people")
    parser.add_argument("--performers", type=int, default=60, help="synthetic people (default: %(default)s)")
    options = parser.parse_args(arguments)
    clips = read_clips(options.motion)
    people = [clip.source for clip in clips]
    performers = [
        synthetic_pair(HELD_OUT_SONGS + VALIDATION_OFFSET + i, HELD_OUT_PERFORMERS + VALIDATION_OFFSET + i, 10.0)[1]
        for i in range(options.performers)
    ]
    kinds = {
        "real": [_read(shown_controls(clip, True, len(clip.controls.values))) for clip in clips],
        "synthetic": [_read(controls) for controls in performers],
    }
    kinds["as in training"] = as_in_training(kinds["synthetic"])
    print(markdown_table(["channel", *(f"{kind} (p{', p'.join(map(str, PERCENTS))})" for kind in kinds)], _rows(kinds)))
    described = {kind: [features_of(values) for values in each] for kind, each in kinds.items()}
    print()
    for part, columns in (("event and activity", slice(0, 8)), ("face", slice(8, 28)), ("all", slice(0, 28))):
        for kind in ("synthetic", "as in training"):
            real, made = ([each[columns] for each in described[name]] for name in ("real", kind))
            print(f"{part}, {kind}: told from real in {told_apart(real, made, people):.2f}")
    return 0


def _read(controls: Controls) -> np.ndarray:
    """Return what the adapter reads of controls, (T, 9)."""
    return controls.select(ADAPTER_CHANNELS).values


def _rows(kinds: dict[str, list[np.ndarray]]) -> list[list[str]]:
    """Return a row for each channel, with the percentiles of each kind of people; a face counts where it is found."""
    missing, rows = ADAPTER_CHANNELS.index("face_missing"), []
    for column, name in enumerate(READ):
        in_face = FACE.start <= column < FACE.stop
        row = [f"`{name}`"]
        for clips in kinds.values():
            values = np.concatenate(clips)
            shown = values[values[:, missing] < 0.5] if in_face else values
            row.append(", ".join(f"{value:.2f}" for value in np.percentile(shown[:, column], PERCENTS)))
        rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())
