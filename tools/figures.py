"""Rebuild the figures that README, lessons and model cards show, and the page of results.

    python tools/figures.py [NAME ...] [--model FOLDER] [--log runs/nano/log.jsonl] [--codec runs/codec/codec]

NAME is one of:

- take: music for the bundled clip with the default settings
- landmarks: what MediaPipe finds in four frames of the bundled clip
- prompts: spectrograms of nano's music for five prompts without a video
- follow: the moving picture at the top of the README
- training: the losses in the given logs, one panel for each stage
- codec: spectrograms of four pieces before and after a codec (only with --codec)
- studio: screenshots of the studio, taken in Chromium by its tests
- alignment, rendered, results, guidance, real_motion, training_choices: drawn from figures/NAME.json, which
  `make evaluate`, `python -m expotion_lite.lab.landmark_survival`, `make experiments` and
  `python -m expotion_lite.lab.real_motion` write; results also rebuilds figures/results.md

Without a name, everything is rebuilt whose input is there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from moving_picture import write_moving_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
PROMPT = "energetic rock with guitar, bass and drums"
STYLES = ("rock", "waltz", "jazz trio", "ambient")
STAGES = {
    "autoencoder": "codec without codebooks",
    "quantised": "codec with codebooks",
    "opponent": "decoder with a discriminator",
    "reading": "text encoder",
    "language": "language model",
    "adapter": "adapter",
}
MEASURED = ("alignment", "rendered", "results", "guidance", "real_motion", "training_choices")  # from figures/NAME.json


def main() -> None:
    """Rebuild the figures that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which figures (default: all whose input is there)")
    parser.add_argument("--model", default="nano", help="nano or a folder (default: %(default)s)")
    parser.add_argument("--adapter", default="bundled", help="bundled or a folder (default: %(default)s)")
    log = ROOT / "figures" / "training.jsonl"
    parser.add_argument("--log", type=Path, nargs="+", default=[log], help="logs of trainings (default: %(default)s)")
    parser.add_argument("--codec", type=Path, metavar="FOLDER", help="the codec that is drawn")
    parser.add_argument("--output", type=Path, default=ROOT / "figures", help="folder (default: %(default)s)")
    options = parser.parse_args()
    recipes = recipes_of(options)
    if unknown := set(options.names) - set(recipes):
        parser.error(f"cannot draw {', '.join(sorted(unknown))}; choose among {', '.join(recipes)}")
    options.output.mkdir(parents=True, exist_ok=True)

    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rc_file(ROOT / "notebooks" / "matplotlibrc")
    for name in options.names or recipes:
        if (figure := recipes[name]()) is not None:
            figure.savefig(options.output / f"{name}.png")
        print("Drew", name, flush=True)


def recipes_of(options: argparse.Namespace) -> dict[str, Callable[[], Figure | None]]:
    """Return how each figure whose input is there is drawn: a figure to save, or None if it has been written."""
    recipes: dict[str, Callable[[], Figure | None]] = {
        "take": partial(plot_take, options.model, options.adapter),
        "landmarks": plot_landmarks,
        "prompts": partial(plot_prompts, options.model),
        "training": partial(plot_log, options.log),
        "follow": partial(write_moving_picture, options.output / "follow.gif"),
        "studio": partial(photograph_studio, options.output),
    }
    if options.codec:
        recipes["codec"] = partial(plot_codec, options.codec)
    measured = [name for name in MEASURED if (options.output / f"{name}.json").exists()]
    return recipes | {name: partial(redraw, name, options.output) for name in measured}


def plot_take(model: str, adapter: str) -> Figure:
    """Draw the take for the bundled clip with the default settings."""
    import expotion_lite as el
    from expotion_lite import plots
    from expotion_lite.assets import example_clip

    figure = plots.plot_take(el.generate(example_clip(), PROMPT, model=model, adapter=adapter))
    figure.set_size_inches(6.5, 6.2)  # small, so that the text is readable at half of a page's width
    return figure


def plot_landmarks() -> Figure:
    """Draw the landmarks in four frames of the bundled clip."""
    import expotion_lite as el
    from expotion_lite import plots
    from expotion_lite.assets import example_clip

    return plots.plot_landmark_strip(example_clip(), el.extract_landmarks(example_clip()), 4)


def plot_log(paths: list[Path]) -> Figure:
    """Draw a panel for each stage in the logs of trainings.

    Of the adapter, only held-out losses are drawn. Its training loss is much higher, because training hides most of the
    preceding codes.
    """
    import matplotlib.pyplot as plt

    from expotion_lite import plots

    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    lines = [{k: v for k, v in line.items() if (line["stage"], k) != ("adapter", "loss")} for line in lines]
    stages = [stage for stage in STAGES if any(line["stage"] == stage for line in lines)]
    columns = 3 if len(stages) == 3 else 2
    rows = -(-len(stages) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.5 * columns, 3.2 * rows), squeeze=False)
    for stage, ax in zip(stages, axes.flat, strict=False):
        plots.plot_training(lines, stage, ax=ax).set_title(STAGES[stage])
    for ax in axes.flat[len(stages) :]:
        ax.remove()
    return figure


def plot_codec(folder: Path) -> Figure:
    """Draw spectrograms of a held-out piece of each of four styles, before and after the codec."""
    import matplotlib.pyplot as plt

    from expotion_lite import plots
    from expotion_lite.lab.judges import corpus
    from expotion_lite.lab.nano_report import FIRST, codec_alone

    musicgen = codec_alone(folder)
    figure, axes = plt.subplots(len(STYLES), 2, figsize=(10, 2.1 * len(STYLES)), sharex=True)
    for style, row in zip(STYLES, axes, strict=True):
        made = corpus(musicgen, 1, FIRST, style=style)
        versions = {"the band": made.audio[0], "through the codec": made.decoded[0]}
        for ax, (version, audio) in zip(row, versions.items(), strict=True):
            plots.plot_spectrogram(audio[: 6 * musicgen.sample_rate], musicgen.sample_rate, ax=ax)
            ax.set_title(f"{style}: {version}")
            ax.label_outer()
    return figure


def plot_prompts(model: str) -> Figure:
    """Draw spectrograms of a model's music for the prompts that sampled it during its training."""
    import matplotlib.pyplot as plt

    from expotion_lite import plots
    from expotion_lite.generation import generate_from_text
    from expotion_lite.lab.language_model import PIECE_S
    from expotion_lite.lab.language_training import SAMPLE_PROMPTS
    from expotion_lite.musicgen.loading import load

    musicgen = load(model)
    audio, _ = generate_from_text(musicgen, list(SAMPLE_PROMPTS), PIECE_S)
    figure, axes = plt.subplots(len(SAMPLE_PROMPTS), 1, figsize=(8, 2.0 * len(SAMPLE_PROMPTS)), sharex=True)
    for prompt, clip, ax in zip(SAMPLE_PROMPTS, audio, axes, strict=True):
        plots.plot_spectrogram(clip, musicgen.sample_rate, ax=ax).set_title(f'"{prompt}"')
        ax.label_outer()
    return figure


def redraw(name: str, folder: Path) -> None:
    """Draw a measurement again from its numbers in `folder`; of the results, write the page, too."""
    from expotion_lite.evaluation import following as alignment
    from expotion_lite.lab import ablations, ablations_report, landmark_survival, real_motion

    found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    path = folder / f"{name}.svg"
    if name == "alignment":
        alignment.plot_alignment(found["scores"], path)
    elif name == "rendered":
        landmark_survival.plot_survival(found["correlation"], path)
    elif name == "results":
        ablations.write_report(found, found["clips"], found["settings"], folder)
    elif name in ("real_motion", "training_choices"):
        real_motion.plot_gains(found, path)
    else:
        ablations_report.plot_curve({float(scale): row for scale, row in found["rows"].items()}, path)


def photograph_studio(folder: Path) -> None:
    """Run the studio's browser tests, which keep screenshots in `folder`."""
    command = [sys.executable, "-m", "pytest", "-q", str(ROOT / "tests" / "studio")]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"STUDIO_SHOTS": str(folder.resolve())})


if __name__ == "__main__":
    main()
