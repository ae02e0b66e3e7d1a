"""Make nano from nothing: codec, language model, visual adapter, all trained on the procedural band.

    python -m expotion_lite.pretraining --hours 1.2 --export

Every stage checkpoints about once a minute under `--folder` and goes on from there when the command is run again after
a kill; curves go to `log.jsonl` there. `--export` replaces the bundled weights by the result.

    python -m expotion_lite.pretraining --adapter-only --hours 0.75 --examples 3200 --folder runs/adapter --export

keeps the bundled nano and trains a new adapter for it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ExpotionError
from .files import writing

if TYPE_CHECKING:
    from .musicgen import MusicGen

SHARES = {"codec": 0.36, "language": 0.40, "adapter": 0.20}  # of --hours; encoding takes the rest
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}


def main(arguments: list[str] | None = None) -> int:
    """Train what is not trained yet; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m expotion_lite.pretraining", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/nano"), help="checkpoints and curves (default: %(default)s)"
    )
    parser.add_argument("--hours", type=float, default=1.2, help="of training in all (default: %(default)s)")
    parser.add_argument("--examples", type=int, default=1600, help="synthetic performances for the adapter")
    parser.add_argument("--band", choices=("first", "full"), default="first", help="whose music (default: %(default)s)")
    parser.add_argument("--filters", type=int, default=16, help="width of a new codec (default: %(default)s)")
    parser.add_argument("--codebook-size", type=int, default=256, help="of a new codec (default: %(default)s)")
    parser.add_argument("--codec-only", action="store_true", help="all hours for a codec, saved as FOLDER/codec")
    parser.add_argument("--adapter-only", action="store_true", help="keep the bundled nano; all hours for its adapter")
    parser.add_argument("--export", action="store_true", help="replace the bundled weights by the result")
    options = parser.parse_args(arguments)
    try:
        train(options)
    except ExpotionError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    return 0


def train(options: argparse.Namespace) -> None:
    """Go through the stages."""
    from .adapter import BUNDLED
    from .musicgen import NANO, load

    shape = {"band": options.band, "filters": options.filters, "codebook_size": options.codebook_size}
    keep_plan(options.folder, {"hours": options.hours, "examples": options.examples, "nano": _nano(options), **shape})
    if options.adapter_only:
        train_adapter(load("nano"), options.folder, options.hours, options.examples)
    else:
        from .bands import BANDS
        from .codec_training import new_codec, train_codec
        from .language_training import save_nano, train_language

        band, share = BANDS[options.band], 1.0 if options.codec_only else SHARES["codec"]
        codec = new_codec(options.filters, options.codebook_size)
        train_codec(codec, band, options.folder, share * options.hours)
        if options.codec_only:
            codec.save_pretrained(options.folder / "codec")
            return
        model, tokenizer = train_language(codec, band, options.folder, SHARES["language"] * options.hours)
        nano = options.folder / "nano"
        save_nano(model, tokenizer, nano)
        train_adapter(load(nano), options.folder, SHARES["adapter"] * options.hours, options.examples)
        if options.export:
            export(nano, NANO)
    if options.export:
        export(options.folder / "adapter", BUNDLED)


def _nano(options: argparse.Namespace) -> str:
    """Which nano the adapter is trained for: a digest of the bundled one, or none yet."""
    from .musicgen import NANO

    if not options.adapter_only:
        return "trained here"
    return hashlib.sha256((NANO / "model.safetensors").read_bytes()).hexdigest()[:16]


def keep_plan(folder: Path, plan: dict) -> None:
    """Write down what a folder's training is, so that it is not gone on with as another.

    Every stage is made for the one before it, and the learning rate for the time: to mix two plans would be silent
    nonsense.

    Raises:
        ExpotionError: the folder was begun with another plan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plan.json"
    if not path.exists():
        with writing(path) as temporary:
            temporary.write_text(json.dumps(plan) + "\n")
    elif (begun := json.loads(path.read_text())) != plan:
        raise ExpotionError(
            f"{folder} was begun as {begun}, not {plan}; go on as it was begun, or name a new --folder."
        )


def train_adapter(musicgen: MusicGen, folder: Path, hours: float, examples: int) -> None:
    """Fine-tune the bundled adapter on synthetic performances."""
    from .data import (
        HELD_OUT_PERFORMERS,
        HELD_OUT_SONGS,
        TRAIN_PERFORMERS,
        TRAIN_SONGS,
        kept_synthetic_examples,
    )
    from .training import TrainingConfig, finetune

    train = kept_synthetic_examples(musicgen, examples, TRAIN_SONGS, TRAIN_PERFORMERS, folder / "train")
    held_out = kept_synthetic_examples(
        musicgen, 32, HELD_OUT_SONGS + 1000, HELD_OUT_PERFORMERS + 1000, folder / "held_out"
    )
    finetune(musicgen, train, held_out, folder, TrainingConfig(hours=hours))


def export(source: Path, target: Path) -> None:
    """Put trained weights where `load("nano")` and the bundled adapter are looked for."""
    import shutil

    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        shutil.copy2(file, target / file.name)


if __name__ == "__main__":
    if sys.platform == "linux" and any(name not in os.environ for name in ALLOCATOR):
        # glibc gives freed memory back and asks for it again at every step unless told before the process starts
        os.environ.update(ALLOCATOR)
        os.execv(sys.executable, [sys.executable, "-m", "expotion_lite.pretraining", *sys.argv[1:]])
    sys.exit(main())
