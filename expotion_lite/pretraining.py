"""Make nano from nothing: codec, language model, visual adapter, all trained on the procedural band.

    python -m expotion_lite.pretraining --hours 1.2 --export

Every stage checkpoints about once a minute under `--folder` and goes on from there when the command is run again after
a kill; curves go to `log.jsonl` there. `--export` replaces the bundled weights by the result.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

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
    parser.add_argument("--export", action="store_true", help="replace the bundled weights by the result")
    options = parser.parse_args(arguments)
    if any(name not in os.environ for name in ALLOCATOR) and sys.platform == "linux":
        # glibc gives freed memory back and asks for it again at every step unless told before the process starts
        os.environ.update(ALLOCATOR)
        os.execv(sys.executable, [sys.executable, "-m", "expotion_lite.pretraining", *(arguments or sys.argv[1:])])
    options.folder.mkdir(parents=True, exist_ok=True)

    from .codec_training import train_codec
    from .language_training import save_nano, train_language

    codec = train_codec(options.folder, SHARES["codec"] * options.hours)
    model, tokenizer = train_language(codec, options.folder, SHARES["language"] * options.hours)
    nano = options.folder / "nano"
    save_nano(model, tokenizer, nano)
    train_adapter(nano, options.folder, SHARES["adapter"] * options.hours, options.examples)
    if options.export:
        export(options.folder)
    return 0


def train_adapter(nano: Path, folder: Path, hours: float, examples: int) -> None:
    """Fine-tune the bundled adapter on synthetic performances."""
    from .data import HELD_OUT_PERFORMERS, HELD_OUT_SONGS, TRAIN_PERFORMERS, TRAIN_SONGS, Examples, synthetic_examples
    from .musicgen import load
    from .training import TrainingConfig, finetune

    musicgen = load(nano)
    splits = []
    for name, n, song, performer in (
        ("train", examples, TRAIN_SONGS, TRAIN_PERFORMERS),
        ("held_out", 32, HELD_OUT_SONGS + 1000, HELD_OUT_PERFORMERS + 1000),
    ):
        path = folder / f"examples_{name}.npz"
        if not path.exists():
            synthetic_examples(musicgen, n, song, performer, progress=True).save(path)
        splits.append(Examples.load(path))
    finetune(musicgen, *splits, folder, TrainingConfig(hours=hours))


def export(folder: Path) -> None:
    """Put trained weights where `load("nano")` and the bundled adapter are looked for."""
    import shutil

    from .adapter import BUNDLED
    from .musicgen import NANO

    for source, target in ((folder / "nano", NANO), (folder / "adapter", BUNDLED)):
        target.mkdir(parents=True, exist_ok=True)
        for file in source.iterdir():
            shutil.copy2(file, target / file.name)


if __name__ == "__main__":
    sys.exit(main())
