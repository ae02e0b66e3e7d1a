"""Make nano from nothing: codec, language model and visual adapter, all trained on the procedural band.

    python -m expotion_lite.lab.pretraining --hours 3 --export

Every stage writes a checkpoint about once a minute under `--folder`; after a kill, the same command with `--resume`
continues from there. Curves go to `log.jsonl` there, and what the language model plays at each validation to `samples`.
`--export` replaces the bundled weights by the result.

    python -m expotion_lite.lab.pretraining --codec-only --hours 1 --folder runs/codec
    python -m expotion_lite.lab.pretraining --codec runs/codec/codec --hours 2 --folder runs/next

train a codec alone, and a nano around it; `expotion_lite.lab.nano_report --codec` measures a codec.

    python -m expotion_lite.lab.pretraining --start expotion_lite/assets/nano --hours 2 --folder runs/longer

continues to train a nano: its text encoder on captions, then the language model on pieces that it has not heard. If
`--layers` names more layers than it has, new ones are added.

    python -m expotion_lite.lab.pretraining --adapter-only --hours 0.75 --examples 3200 --folder runs/adapter --export

keeps the bundled nano (or that in `--nano FOLDER`) and trains a new adapter for it, or continues to train the one in
`--adapter FOLDER`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ExpotionError
from ..files import copy_files, digest_of

if TYPE_CHECKING:
    import torch
    from transformers import EncodecModel

    from ..musicgen.loading import MusicGen

SHARES = {"codec": 0.36, "reading": 0.03, "language": 0.37, "adapter": 0.20}  # of --hours; encoding takes the rest
LEFT_OUT = ("performances", "elastic", "imperfections")
ADAPTER_WEIGHTS = "adapter_model.safetensors"
SETTINGS: dict[str, Any] = {  # of the adapter's training, beside its hours and seed
    "lr": 5e-4,
    "adapter_lr": 1e-3,
    "past_dropout": 0.8,
    "future_dropout": 0.4,
    "video_dropout": 0.15,
    "modality_dropout": 0.0,  # event curves are hidden where they are drawn
    "crop": 0.75,
    "keep": "last",
}
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}


def main(arguments: list[str] | None = None) -> int:
    """Train what is not trained yet; return the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.start and (options.codec or options.codec_only or options.adapter_only):
        parser.error("--start continues a nano with its codec: not with --codec, --codec-only or --adapter-only.")
    if options.average and not options.adapter:
        parser.error("--average needs --adapter, the one to take the mean with.")
    if (options.adapter or options.nano) and not options.adapter_only:
        parser.error("--adapter (to continue from) and --nano (to train it for) go only with --adapter-only.")
    if options.adapter_only and (options.codec or options.codec_only or options.layers):
        parser.error("--adapter-only keeps a nano as it is: not with --codec, --codec-only or --layers.")
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


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.lab.pretraining", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/nano"), help="for checkpoints and curves (default: %(default)s)"
    )
    parser.add_argument("--hours", type=float, default=3.0, help="training time in all (default: %(default)s)")
    parser.add_argument(
        "--examples", type=int, default=800, help="synthetic performances for the adapter (default: %(default)s)"
    )
    parser.add_argument(
        "--pieces", type=int, default=1200, help="pieces of music for its event curves (default: %(default)s)"
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=LEFT_OUT,
        help="train the adapter without performances, without elastic pieces or without imperfect curves, to measure "
        "what they are worth; may be given more than once",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="train the adapter for N steps instead of hours")
    parser.add_argument("--filters", type=int, default=32, help="width of a new codec (default: %(default)s)")
    parser.add_argument(
        "--codebook-size", type=int, default=1024, help="entries per codebook of a new codec (default: %(default)s)"
    )
    parser.add_argument(
        "--opponent",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the codec's time for adversarial training of its decoder, which needs as many steps as only a "
        "GPU takes (default: %(default)s)",
    )
    parser.add_argument("--width", type=int, default=256, help="width of a new language model (default: %(default)s)")
    parser.add_argument("--layers", type=int, help="layers of the language model (default: 6, or what --start has)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto: a GPU where there is one")
    parser.add_argument("--codec", type=Path, metavar="FOLDER", help="a trained codec to use")
    parser.add_argument("--start", type=Path, metavar="FOLDER", help="a trained nano to continue from")
    parser.add_argument("--codec-only", action="store_true", help="all hours for a codec, saved as FOLDER/codec")
    parser.add_argument("--adapter-only", action="store_true", help="keep a nano; all hours for its adapter")
    parser.add_argument(
        "--nano",
        type=Path,
        metavar="FOLDER",
        help="with --adapter-only: the nano to train it for (default: the bundled one)",
    )
    parser.add_argument(
        "--adapter", type=Path, metavar="FOLDER", help="with --adapter-only: an adapter to continue from"
    )
    parser.add_argument(
        "--average", action="store_true", help="with --adapter: the mean of that adapter and the one it becomes"
    )
    parser.add_argument("--resume", action="store_true", help="continue what was begun in the folder")
    parser.add_argument("--export", action="store_true", help="replace the bundled weights by the result")
    return parser


def train(options: argparse.Namespace) -> None:
    """Run the stages that the options ask for."""
    from ..musicgen.adapter import BUNDLED
    from ..musicgen.loading import NANO, device_named, load
    from ..training.checkpoints import keep_plan
    from .key_supervision import load_harmony_probe

    plan, device = _plan(options), str(device_named(options.device))
    keep_plan(options.folder, plan, resume=options.resume)
    nano = (options.nano or NANO) if options.adapter_only else train_nano(options, device)
    if nano is None:
        return
    musicgen = replace(load(nano, device=device, dtype="float32"), name="nano")  # the adapter will belong to "nano"
    hours = _share("adapter", options) * options.hours
    train_nano_adapter(
        musicgen,
        options.folder,
        hours,
        options.examples,
        options.pieces,
        load_harmony_probe(nano),
        start=options.adapter,
        steps=options.steps,
        without=options.without,
        average_with_start=options.average,
    )
    if options.export:
        if not options.adapter_only:
            copy_files(nano, NANO)
        copy_files(options.folder / "adapter", BUNDLED)


def _plan(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that a resumed training must share: the options, and digests of the weights they name."""
    from ..musicgen.loading import NANO

    settings = (
        *("hours", "steps", "examples", "pieces", "without", "average"),
        *("filters", "codebook_size", "opponent", "width", "layers", "codec_only"),
    )
    plan = {name: getattr(options, name) for name in settings}
    plan["nano"] = _digest(options.nano or NANO) if options.adapter_only else "trained here"
    if options.codec:
        plan["codec"] = _digest(options.codec)
    if options.start:
        plan["start"] = _digest(options.start)
    if options.adapter:
        plan["adapter"] = _digest(options.adapter, ADAPTER_WEIGHTS)
    return plan


def train_nano(options: argparse.Namespace, device: str) -> Path | None:
    """Train codec and language model. Return the folder of the result, or None if only the codec was asked for."""
    from .caption_encoder import train_caption_encoder
    from .language_model import (
        embed_numbers_by_value,
        load_with_more_layers,
        new_musicgen,
        new_tokenizer,
        save_nano,
    )
    from .language_training import HARMONY_PROBE, train_language

    if options.start:
        model, tokenizer = load_with_more_layers(options.start, options.layers, device)
    else:
        codec = make_codec(options, device)
        if options.codec_only:
            return None
        tokenizer = new_tokenizer()
        model = new_musicgen(codec, len(tokenizer), options.width, options.layers or 6)
        embed_numbers_by_value(model, tokenizer)
    train_caption_encoder(model, tokenizer, options.folder, _share("reading", options) * options.hours)
    train_language(model, tokenizer, options.folder, _share("language", options) * options.hours)
    save_nano(model, tokenizer, options.folder / "nano")
    shutil.copy(options.folder / HARMONY_PROBE, options.folder / "nano")
    return options.folder / "nano"


def make_codec(options: argparse.Namespace, device: str) -> EncodecModel:
    """Load the codec that was named, or train one and save it as FOLDER/codec, with weights stored as float16.

    Raises:
        ExpotionError: the named folder holds no codec.
    """
    from transformers import EncodecModel

    from .codec_training import new_codec, train_codec

    if options.codec is None:
        codec = new_codec(options.filters, options.codebook_size).to(device)
        hours = _share("codec", options) * options.hours
        train_codec(codec, options.folder, hours, adversarial_share=options.opponent)
        codec.half().save_pretrained(options.folder / "codec")
        return codec.float()
    try:
        return EncodecModel.from_pretrained(options.codec, dtype="float32").to(device).eval()
    except (OSError, ValueError) as error:
        raise ExpotionError(
            f"{options.codec} holds no codec; name a folder that --codec-only wrote ({str(error).splitlines()[0]})."
        ) from error


def _share(stage: str, options: argparse.Namespace) -> float:
    """Return a stage's share of --hours: all if it is trained alone, more than usual if there is a codec already."""
    if options.codec_only or options.adapter_only:
        return 1.0
    saved = SHARES["codec"] if options.start or options.codec else 0.0
    return SHARES[stage] / (1.0 - saved)


def _digest(folder: Path, weights: str = "model.safetensors") -> str:
    """Return a digest of the weights in a folder. Raise ExpotionError if it holds none."""
    path = folder / weights
    if not path.is_file():
        raise ExpotionError(f"{folder} holds no {weights}; name a folder that save_pretrained wrote.")
    return digest_of(path)


def train_nano_adapter(
    musicgen: MusicGen,
    folder: Path,
    hours: float,
    examples: int,
    pieces: int,
    harmony_probe: torch.nn.Linear,
    start: Path | None = None,
    steps: int | None = None,
    without: Sequence[str] = (),
    average_with_start: bool = False,
) -> None:
    """Train an adapter on event curves of music, and on synthetic performances.

    Args:
        musicgen: the nano to train it for.
        folder: for the examples, the checkpoint, the log and the adapter.
        hours: training time in all.
        examples: number of performances.
        pieces: number of pieces of music to which nobody moves.
        harmony_probe: the nano's, from `key_supervision.load_harmony_probe`.
        start: the folder of an adapter to continue from; None trains a new one. It may read other channels.
        steps: number of steps to take instead of `hours`.
        without: names of `LEFT_OUT`, for comparisons.
        average_with_start: write the mean of `start` and what it has become.
    """
    from ..controls.channels import ADAPTER_CHANNELS
    from ..musicgen.adapter import read_config
    from ..training.loop import TrainingConfig, train_adapter
    from .adapter_weights import average, change_channels
    from .event_training import event_examples
    from .key_supervision import key_loss_from_faces

    data = event_examples(
        musicgen,
        folder,
        0 if "performances" in without else examples,
        pieces,
        elastic="elastic" not in without,
        person_like="imperfections" not in without,
    )
    seed = int(_digest(start, ADAPTER_WEIGHTS)[:7], 16) if start else 0  # a continued training draws other batches
    if start and read_config(start).channels != ADAPTER_CHANNELS:
        change_channels(start, ADAPTER_CHANNELS, folder / "start")
        start = folder / "start"
    config = TrainingConfig(hours=hours, max_steps=steps, seed=seed, **SETTINGS)
    extra_loss = None
    if len(data.performances):
        extra_loss = key_loss_from_faces(musicgen, data.performances, harmony_probe, seed)
    train_adapter(
        musicgen,
        data.train,
        data.held_out,
        folder,
        config,
        start=start,
        extra_loss=extra_loss,
        draw_controls=data.draw_controls,
        print_log=True,
    )
    if average_with_start and start:
        average(start, folder / "adapter", folder / "adapter")


if __name__ == "__main__":
    if sys.platform == "linux" and any(name not in os.environ for name in ALLOCATOR):
        # By default glibc returns freed memory and asks for it again at every step. It reads these variables only when
        # the process starts.
        os.environ.update(ALLOCATOR)
        os.execv(sys.executable, [sys.executable, "-m", "expotion_lite.lab.pretraining", *sys.argv[1:]])
    sys.exit(main())
