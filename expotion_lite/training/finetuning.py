"""From recordings of people to an adapter of one's own: what `expotion-lite finetune` does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ExpotionError

if TYPE_CHECKING:
    from ..data.examples import Examples
    from ..data.human_music_moves import HumanMusicMoves
    from ..data.recordings import RecordedFolder, Recording
    from ..musicgen.loading import MusicGen
    from .loop import TrainingConfig

SYNTHETIC, MOVES = "synthetic", "human-music-moves"  # data that is no folder


@dataclass(frozen=True)
class Trained:
    """What came of a fine-tuning.

    Attributes:
        adapter: the folder to give to `generate` as `adapter`.
        examples: how many it learned from; `held_out`: how many it was judged by.
        left_out: recordings that could not be used -> why.
        losses: held-out loss with one's own video, with another's, with none; empty if nothing was held out.
        alone: whether all that judged are of one person, so that another's video is the same person's.
    """

    adapter: Path
    examples: int
    held_out: int
    left_out: dict[Path, str]
    losses: dict[str, float]
    alone: bool = False


def finetune(
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    model: str = "nano",
    start: str | os.PathLike[str] | None = None,
    config: TrainingConfig | None = None,
    held_out: float = 0.2,
    n_synthetic: int = 200,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Trained:
    """Train an adapter on recordings, or on synthetic performers.

    Args:
        data: a folder that `recordings.RecordedFolder` reads, "synthetic", or "human-music-moves" for the published
            recordings (`human_music_moves.py`).
        output: the folder for the adapter; its `training` folder holds the log and what `resume` goes on from.
        model: see `musicgen.load`.
        start: the folder of an adapter to go on from, "bundled" for the one that comes with nano, None for a new one.
        config: how to train; three minutes unless given.
        held_out: about which share of the examples judges instead of training; 0: none, and nothing tells whether it
            helped. Nobody who is held out, and none of their songs, is trained on.
        n_synthetic: how many synthetic performances to train on.
        device: "cpu", "cuda" or "auto".
        resume: go on with what was begun in `output`; with the same settings.
        overwrite: begin anew in an `output` that is there.
        progress: whether to show progress bars.

    Raises:
        ExpotionError: something about the input cannot be used; the message says what to do.
    """
    from ..data.human_music_moves import HumanMusicMoves
    from ..data.recordings import RecordedFolder
    from ..data.synthetic import kept_synthetic_split
    from ..files import copy_files
    from ..musicgen.adapter import BUNDLED, DESCRIPTION
    from ..musicgen.loading import device_named, load
    from .checkpoints import keep_plan
    from .loop import TrainingConfig, past_rows, train_adapter

    config, output, name = config or TrainingConfig(), Path(output), device_named(device)
    if not 0 <= held_out < 1:
        raise ExpotionError(f"held_out is {held_out}; choose a share from 0 to below 1.")
    if start == "bundled":
        if model != "nano":
            raise ExpotionError(
                f"The bundled adapter belongs to nano, not to {model}; start from none or from a folder."
            )
        start = BUNDLED
    place = output / "training"
    if output.is_file():
        raise ExpotionError(f"{output} is a file; name a folder for the adapter.")
    if (output / DESCRIPTION).exists() and not (place / "plan.json").exists() and not overwrite:
        raise ExpotionError(f"{output} holds an adapter already; choose another folder, or --overwrite it.")
    fresh, synthetic = overwrite and not resume, str(data) == SYNTHETIC
    plan = {"data": str(data), "model": model, "start": start and str(start), "held_out": held_out,
            "n_synthetic": n_synthetic, **asdict(config)}  # fmt: skip
    folder = None if synthetic else HumanMusicMoves() if str(data) == MOVES else RecordedFolder(data)
    if folder is not None:
        plan["recordings"] = _digest_of(folder.recordings)
    if (place / "plan.json").exists() and not fresh:
        keep_plan(place, plan, resume=resume)  # refused now, and not after minutes of work
    musicgen = load(model, device=str(name))
    recorded = None if folder is None else _recorded(folder, musicgen, held_out, config.seed, progress)
    if fresh:  # only now that the input is known to be good
        _forget(place)
    keep_plan(place, plan, resume=resume)
    train, judge, left_out = recorded or (*kept_synthetic_split(musicgen, n_synthetic, place), {})
    train_adapter(musicgen, train, judge if held_out else None, place, config, start=start, progress=progress)
    copy_files(place / "adapter", output)
    rows = past_rows(place / "log.jsonl")
    best: dict[str, Any] = min(rows, key=lambda row: row["held_out_loss"], default={})
    losses = {key.removeprefix("held_out_"): value for key, value in best.items() if key.startswith("held_out_")}
    alone = len(set(judge.performers)) == 1
    return Trained(output, len(train), len(judge) if held_out else 0, left_out, losses, alone)


def _digest_of(recordings: Sequence[Recording]) -> str:
    """Tells recordings from others: with one more, other people would be held out than those who were."""
    told = [(str(each.path), each.performer, each.song) for each in recordings]
    return f"{len(told)}, {hashlib.sha256(repr(told).encode()).hexdigest()[:8]}"


def _recorded(
    folder: RecordedFolder | HumanMusicMoves, musicgen: MusicGen, held_out: float, seed: int, progress: bool
) -> tuple[Examples, Examples, dict[Path, str]]:
    from ..data.examples import split

    examples = folder.examples(musicgen, progress=progress)
    if not held_out:
        return examples, examples, folder.left_out
    return *split(examples, held_out, seed), folder.left_out


def _forget(place: Path) -> None:
    """Remove a training that was begun: only what this module and `training` write."""
    for pattern in ("plan.json", "log.jsonl", "*.safetensors", "train/*.npz", "held_out/*.npz", "adapter/*"):
        for path in place.glob(pattern):
            if path.is_file():
                path.unlink()
