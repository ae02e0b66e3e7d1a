"""Fine-tuning on recordings of people: `el.finetune` and the command `expotion-lite finetune`."""

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

SEES = 0.003  # nats by which the own video must lower the held-out loss
SYNTHETIC, MOVES = "synthetic", "human-music-moves"  # names of data that is not a folder


@dataclass(frozen=True)
class Trained:
    """The result of a fine-tuning.

    Attributes:
        adapter: the adapter's folder, to give to `generate` as `adapter`.
        examples: number of examples trained on.
        held_out: number of examples held out.
        left_out: path of each recording that could not be used -> the reason.
        losses: "loss", "loss_shuffled" and "loss_none", see `training.held_out_losses`; empty if nothing was held out.
        single_performer: whether all held-out examples are of one person; then the shuffled video is the same person's.
        people: names of the people trained on, sorted; empty for synthetic performers.
        held_out_people: names of the people held out, sorted.
    """

    adapter: Path
    examples: int
    held_out: int
    left_out: dict[Path, str]
    losses: dict[str, float]
    single_performer: bool = False
    people: tuple[str, ...] = ()
    held_out_people: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """Say in words who was trained on and held out, and whether the adapter sees: a sentence or two a line."""
        counts = f"{self.adapter}: trained on {self.examples} examples, {self.held_out} held out"
        lines = [counts]
        if self.held_out_people:
            n = len(self.people) + len(self.held_out_people)
            lines[0] += f" (of {', '.join(map(str, self.held_out_people))}; {len(self.held_out_people)} of {n} people)"
            if len(self.held_out_people) >= 0.4 * n:
                lines.append(
                    "Only whole people are held out, and those who share a song together: that may be more than asked."
                )
        if not self.losses:
            return [*lines, "Nothing was held out, so nothing tells whether it sees; hold out people to know."]
        own, other, none = (self.losses[name] for name in ("loss", "loss_shuffled", "loss_none"))
        others = "another video of the same person (only one is held out)" if self.single_performer else "another's"
        lines.append(
            f"held-out loss: {own:.3f} with the person's own video, {other:.3f} with {others}, {none:.3f} with none"
        )
        if other - own >= SEES:
            return [*lines, f"It sees: with the own video the loss is {other - own:.3f} lower."]
        longer = f"train longer from here, with --start {self.adapter} and a new --output"
        return [*lines, f"It does not see yet: the own video lowers the loss by only {other - own:.3f}; {longer}."]


def finetune(
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] = "nano",
    start: str | os.PathLike[str] | None = "auto",
    device: str = "auto",
    config: TrainingConfig | None = None,
    held_out: float = 0.2,
    n_synthetic: int = 200,
    resume: bool = False,
    progress: bool = True,
    overwrite: bool = False,
) -> Trained:
    """Train an adapter, with which a model follows the person in a video.

    The model itself stays frozen; the adapter and LoRA are trained. Held-out people and songs then show whether the
    adapter sees: the loss should be lower with each person's own video than with somebody else's.

    Args:
        data: a folder of videos with the music as their sound (see `data.RecordedFolder`); "synthetic" for synthetic
            performers; or "human-music-moves" for the published recordings (see `data.HumanMusicMoves`).
        output: the folder to write the adapter to. Its folder `training` keeps the log and the checkpoint.
        model: "nano", "facebook/musicgen-small" (-medium, -large), or a folder.
        start: the adapter to continue from: a folder, "bundled" for the one that comes with nano, None for a new one.
            "auto" continues from the bundled one for recordings with nano, and else starts a new one.
        device: where to train: "auto" (a GPU where there is one, else the CPU), "cpu", "cuda", ...
        config: how to train; by default for three minutes.
        held_out: share of the examples to hold out, about. No held-out person and none of their songs is trained on.
            0 holds out nothing, and nothing then tells how good the adapter is.
        n_synthetic: number of synthetic performances to train on, 10 s each.
        resume: continue the training that was begun in `output`, with the same settings.
        progress: show progress bars.
        overwrite: replace an adapter or a training that exists in `output`.

    Returns:
        The adapter's folder, the held-out losses, and the recordings that could not be used.

    Raises:
        ExpotionError: something about the input cannot be used; the message says what to do.

    Example:
        >>> import expotion_lite as el
        >>> trained = el.finetune("recordings", "my_adapter")  # doctest: +SKIP
        >>> take = el.generate("me.mp4", "happy rock", adapter=trained.adapter)  # doctest: +SKIP
    """
    from ..data.human_music_moves import HumanMusicMoves
    from ..data.recordings import RecordedFolder
    from ..data.synthetic import cached_synthetic_split
    from ..files import copy_files
    from ..musicgen.loading import device_named, load
    from .checkpoints import keep_plan
    from .loop import TrainingConfig, kept_losses, train_adapter

    config, output, place = config or TrainingConfig(), Path(output), device_named(device)
    start = _checked_start(start, model, data)
    if not 0 <= held_out < 1:
        raise ExpotionError(f"held_out is {held_out}; choose a share from 0 to below 1.")
    if n_synthetic < 1:
        raise ExpotionError(f"n_synthetic is {n_synthetic}; choose 1 or more.")
    folder = output / "training"
    begun, fresh = os.path.exists(folder / "plan.json"), overwrite and not resume
    _check_output(output, begun, overwrite)
    plan: dict[str, Any] = {
        "data": str(data),
        "model": str(model),
        "start": start and str(start),
        "held_out": held_out,
        "n_synthetic": n_synthetic,
        **asdict(config),
    }
    recordings: RecordedFolder | HumanMusicMoves | None = None
    if str(data) != SYNTHETIC:
        recordings = HumanMusicMoves() if str(data) == MOVES else RecordedFolder(data)
        plan["recordings"] = _digest_of(recordings.recordings)
    if begun and not fresh:
        keep_plan(folder, plan, resume=resume)  # refuses other settings now, before minutes of work

    musicgen = load(model, device=str(place))
    split = None if recordings is None else _split_recordings(recordings, musicgen, held_out, config.seed, progress)
    if fresh:  # an earlier training is removed only once the input is known to be good
        _remove_training(folder)
    keep_plan(folder, plan, resume=resume)
    train, validation = split or cached_synthetic_split(musicgen, n_synthetic, folder)
    train_adapter(musicgen, train, validation if held_out else None, folder, config, start=start, progress=progress)
    copy_files(folder / "adapter", output)
    return Trained(
        adapter=output,
        examples=len(train),
        held_out=len(validation) if held_out else 0,
        left_out={} if recordings is None else recordings.left_out,
        losses=kept_losses(folder / "log.jsonl", config.keep),
        single_performer=len(set(validation.performers)) == 1,
        people=_names_of(train, recordings),
        held_out_people=_names_of(validation, recordings) if held_out else (),
    )


def _checked_start(
    start: str | os.PathLike[str] | None, model: str | os.PathLike[str], data: str | os.PathLike[str]
) -> str | os.PathLike[str] | None:
    """Return the folder of the adapter to continue from, or None. Raise ExpotionError if it is another model's."""
    from ..musicgen.adapter import BUNDLED

    if start == "auto":
        return BUNDLED if str(model) == "nano" and str(data) != SYNTHETIC else None
    if start != "bundled":
        return start
    if str(model) != "nano":
        raise ExpotionError(f"The bundled adapter belongs to nano, not to {model}; start from none or from a folder.")
    return BUNDLED


def _check_output(output: Path, begun: bool, overwrite: bool) -> None:
    """Raise ExpotionError if the output is a file, or an adapter that no training of ours can replace or continue."""
    from ..files import check_writable
    from ..musicgen.adapter import DESCRIPTION

    if os.path.isfile(output):
        raise ExpotionError(f"{output} is a file; name a folder for the adapter.")
    if os.path.exists(output / DESCRIPTION) and not begun and not overwrite:
        raise ExpotionError(
            f"{output} holds an adapter already; choose another folder, or pass --overwrite (overwrite=True)."
        )
    check_writable(output / "training" / "plan.json", overwrite=True)


def _digest_of(recordings: Sequence[Recording]) -> str:
    """Return a text that tells this list of recordings from others. With one more, other people would be held out."""
    listed = [(str(each.path), each.performer, each.song) for each in recordings]
    return f"{len(listed)}, {hashlib.sha256(repr(listed).encode()).hexdigest()[:8]}"


def _split_recordings(
    recordings: RecordedFolder | HumanMusicMoves, musicgen: MusicGen, held_out: float, seed: int, progress: bool
) -> tuple[Examples, Examples]:
    """Return examples to train with and examples to validate with, which are the same if nothing is held out."""
    from ..data.examples import split

    examples = recordings.examples(musicgen, progress=progress)
    return split(examples, held_out, seed) if held_out else (examples, examples)


def _names_of(examples: Examples, recordings: RecordedFolder | HumanMusicMoves | None) -> tuple[str, ...]:
    """Return the names of the people in examples of recordings; synthetic performers have none."""
    from ..data.recordings import number_of_performer

    if recordings is None:
        return ()
    numbers = set(examples.performers.tolist())
    names = {each.performer for each in recordings.recordings}
    return tuple(sorted(name or "unnamed" for name in names if number_of_performer(name) in numbers))


def _remove_training(folder: Path) -> None:
    """Remove an earlier training's files from a folder, and nothing that this package does not write."""
    for pattern in ("plan.json", "log.jsonl", "*.safetensors", "train/*.npz", "held_out/*.npz", "adapter/*"):
        for path in folder.glob(pattern):
            if path.is_file():
                path.unlink()
