"""Make nano from nothing: codec, language model, visual adapter, all trained on the procedural band.

    python -m expotion_lite.lab.pretraining --hours 3 --export

Every stage checkpoints about once a minute under `--folder`; after a kill, the same command with `--resume` goes on
from there. Curves go to `log.jsonl` there, what the language model plays meanwhile to `samples`. `--export` replaces
the bundled weights by the result.

    python -m expotion_lite.lab.pretraining --codec-only --hours 1 --folder runs/codec
    python -m expotion_lite.lab.pretraining --codec runs/codec/codec --hours 2 --folder runs/next

train a codec alone, and a nano around it; `expotion_lite.lab.nano_report --codec` measures a codec.

    python -m expotion_lite.lab.pretraining --start expotion_lite/assets/nano --hours 2 --folder runs/longer

goes on training a nano: its text encoder on captions, then the language model on pieces that it has not heard; more
`--layers` than it has are added.

    python -m expotion_lite.lab.pretraining --adapter-only --hours 0.75 --examples 3200 --folder runs/adapter --export

keeps the bundled nano (or that in `--nano FOLDER`) and trains a new adapter for it, or goes on with that in
`--adapter FOLDER`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ExpotionError
from ..files import copy_files, digest_of

if TYPE_CHECKING:
    import torch
    from transformers import EncodecModel

    from ..musicgen.loading import MusicGen

SHARES = {"codec": 0.36, "reading": 0.03, "language": 0.37, "adapter": 0.20}  # of --hours; encoding takes the rest
ADAPTED = "adapter_model.safetensors"  # an adapter's weights
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}


def main(arguments: list[str] | None = None) -> int:
    """Train what is not trained yet; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.lab.pretraining", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/nano"), help="checkpoints and curves (default: %(default)s)"
    )
    parser.add_argument("--hours", type=float, default=3.0, help="of training in all (default: %(default)s)")
    parser.add_argument("--examples", type=int, default=1600, help="synthetic performances for the adapter")
    parser.add_argument("--filters", type=int, default=32, help="width of a new codec (default: %(default)s)")
    parser.add_argument("--codebook-size", type=int, default=1024, help="of a new codec (default: %(default)s)")
    parser.add_argument(
        "--opponent", type=float, default=0.0, metavar="SHARE",
        help="of the codec's time, against a discriminator; needs a GPU's number of steps (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--width", type=int, default=256, help="of a new language model (default: %(default)s)")
    parser.add_argument("--layers", type=int, help="of the language model (default: 6, or what --start has)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto: a GPU where there is one")
    parser.add_argument("--codec", type=Path, metavar="FOLDER", help="a trained codec to start from")
    parser.add_argument("--start", type=Path, metavar="FOLDER", help="a trained nano to go on with")
    parser.add_argument("--codec-only", action="store_true", help="all hours for a codec, saved as FOLDER/codec")
    parser.add_argument("--adapter-only", action="store_true", help="keep a nano; all hours for its adapter")
    parser.add_argument(
        "--nano", type=Path, metavar="FOLDER", help="with --adapter-only: whose adapter (default: the bundled one's)"
    )
    parser.add_argument("--adapter", type=Path, metavar="FOLDER", help="with --adapter-only: one to go on with")
    parser.add_argument("--resume", action="store_true", help="go on with what was begun in the folder")
    parser.add_argument("--export", action="store_true", help="replace the bundled weights by the result")
    options = parser.parse_args(arguments)
    if options.start and (options.codec or options.codec_only or options.adapter_only):
        parser.error(
            "--start goes on with a nano, codec and all: no --codec, --codec-only or --adapter-only beside it."
        )
    if (options.adapter or options.nano) and not options.adapter_only:
        parser.error("--adapter goes on with an adapter, --nano is whose it will be: only with --adapter-only.")
    if options.adapter_only and (options.codec or options.codec_only or options.layers):
        parser.error("--adapter-only keeps a nano as it is: no --codec, --codec-only or --layers beside it.")
    if options.export and (options.codec_only or options.nano):
        parser.error(
            "--export replaces the bundled weights, which must fit one another: not with --codec-only or --nano."
        )
    try:
        if not 0 <= options.opponent < 1:
            raise ExpotionError(f"--opponent is a share of the time, 0 or more and below 1, not {options.opponent:g}.")
        train(options)
    except ExpotionError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    return 0


def train(options: argparse.Namespace) -> None:
    """Go through the stages."""
    from ..musicgen.adapter import BUNDLED
    from ..musicgen.loading import NANO, device_named, load
    from ..training.checkpoints import keep_plan
    from .key_supervision import load_ear

    settings = ("hours", "examples", "filters", "codebook_size", "opponent", "width", "layers", "codec_only")
    plan = {name: getattr(options, name) for name in settings} | {"nano": _nano(options)}
    plan |= {"codec": _digest(options.codec)} if options.codec else {}
    plan |= {"start": _digest(options.start)} if options.start else {}
    plan |= {"adapter": _digest(options.adapter, ADAPTED)} if options.adapter else {}
    device = str(device_named(options.device))
    keep_plan(options.folder, plan, resume=options.resume)
    nano = (options.nano or NANO) if options.adapter_only else train_nano(options, device)
    if nano is None:
        return
    musicgen = replace(load(nano, device=device, dtype="float32"), name="nano")  # whose adapter it will be
    hours = _share("adapter", options) * options.hours
    train_adapter(musicgen, options.folder, hours, options.examples, load_ear(nano), start=options.adapter)
    if options.export:
        if not options.adapter_only:
            copy_files(nano, NANO)
        copy_files(options.folder / "adapter", BUNDLED)


def train_nano(options: argparse.Namespace, device: str) -> Path | None:
    """Train codec and language model. Returns the folder of the result; None if only the codec was asked for."""
    from .caption_encoder import learn_to_read
    from .language_training import (
        EAR,
        grown,
        new_musicgen,
        new_tokenizer,
        save_nano,
        start_numbers_as_neighbours,
        train_language,
    )

    if options.start:
        model, tokenizer = grown(options.start, options.layers, device)
    else:
        codec = trained_codec(options, device)
        if options.codec_only:
            return None
        tokenizer = new_tokenizer()
        model = new_musicgen(codec, len(tokenizer), options.width, options.layers or 6)
        start_numbers_as_neighbours(model, tokenizer)
    learn_to_read(model, tokenizer, options.folder, _share("reading", options) * options.hours)
    train_language(model, tokenizer, options.folder, _share("language", options) * options.hours)
    save_nano(model, tokenizer, options.folder / "nano")
    shutil.copy(options.folder / EAR, options.folder / "nano")
    return options.folder / "nano"


def trained_codec(options: argparse.Namespace, device: str) -> EncodecModel:
    """The codec that was named, or one that is trained here and saved as FOLDER/codec, weights stored as float16.

    Raises:
        ExpotionError: what was named is no codec.
    """
    from transformers import EncodecModel

    from .codec_training import new_codec, train_codec

    if options.codec is None:
        codec = new_codec(options.filters, options.codebook_size).to(device)
        hours = _share("codec", options) * options.hours
        train_codec(codec, options.folder, hours, opponent=options.opponent)
        codec.half().save_pretrained(options.folder / "codec")
        return codec.float()
    try:
        return EncodecModel.from_pretrained(options.codec, dtype="float32").to(device).eval()
    except (OSError, ValueError) as error:
        raise ExpotionError(
            f"{options.codec} holds no codec; name a folder that --codec-only wrote ({str(error).splitlines()[0]})."
        ) from error


def _share(stage: str, options: argparse.Namespace) -> float:
    """Of --hours: all for a stage that is trained alone, else its share, larger where there is a codec already."""
    if options.codec_only or options.adapter_only:
        return 1.0
    there = SHARES["codec"] if options.start or options.codec else 0.0
    return SHARES[stage] / (1.0 - there)


def _nano(options: argparse.Namespace) -> str:
    """Which nano the adapter is trained for: a digest of one that is kept, or none yet."""
    from ..musicgen.loading import NANO

    return _digest(options.nano or NANO) if options.adapter_only else "trained here"


def _digest(folder: Path, weights: str = "model.safetensors") -> str:
    """Tells the weights in a folder from others."""
    path = folder / weights
    if not path.is_file():
        raise ExpotionError(f"{folder} holds no {weights}; name a folder that save_pretrained wrote.")
    return digest_of(path)


def train_adapter(
    musicgen: MusicGen, folder: Path, hours: float, examples: int, ear: torch.nn.Linear, start: Path | None = None
) -> None:
    """Train an adapter on synthetic performances, a new one or that in the folder `start`.

    ear: of the nano whose adapter it is, from `seeing.load_ear`.
    """
    from ..data.synthetic import kept_synthetic_split
    from ..musicgen.adapter import read_config
    from ..training.loop import TrainingConfig
    from ..training.loop import train_adapter as train_on
    from .key_supervision import faces_tell

    train, held_out = kept_synthetic_split(musicgen, examples, folder)
    seed = int(_digest(start, ADAPTED)[:7], 16) if start else 0  # what goes on draws other batches than it has had
    if start:
        train = train.select(read_config(start).channels)
    config, also = TrainingConfig(hours=hours, seed=seed), faces_tell(musicgen, train, ear, seed)
    train_on(musicgen, train, held_out, folder, config, start=start, extra_loss=also)


if __name__ == "__main__":
    if sys.platform == "linux" and any(name not in os.environ for name in ALLOCATOR):
        # glibc gives freed memory back and asks for it again at every step unless told before the process starts
        os.environ.update(ALLOCATOR)
        os.execv(sys.executable, [sys.executable, "-m", "expotion_lite.lab.pretraining", *sys.argv[1:]])
    sys.exit(main())
