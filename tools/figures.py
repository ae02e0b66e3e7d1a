"""Rebuild the stills in figures/ that README and lessons show.

    python tools/figures.py [NAME ...] [--model FOLDER] [--log runs/nano/log.jsonl] [--codec runs/codec/codec]

`take` is made from the bundled clip with the defaults; `landmarks` shows what was seen in it; `prompts` shows what the
model makes of five prompts without a video; `training` has a panel for each stage in the given logs; `codec` shows what
a codec keeps of four pieces; `studio` photographs the studio in Chromium, while it is tested;
`alignment` (`make evaluate`), `rendered` (`python -m expotion_lite.lab.landmark_survival`), `results` and `guidance`
(`make experiments`) are drawn from the .json that these commands wrote. Without names, those for which all is given.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
PROMPT = "energetic rock with guitar, bass and drums"
STYLES = ("rock", "waltz", "jazz trio", "ambient")
STAGES = {
    "autoencoder": "codec, first without codebooks",
    "quantised": "codec, with codebooks",
    "opponent": "decoder, against an opponent",
    "reading": "words, read by the text encoder",
    "language": "language model",
    "adapter": "adapter",
}
MEASURED = ("alignment", "rendered", "results", "guidance")  # drawn from numbers


def main() -> None:
    """Make the music, draw, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="which (default: all that can be drawn)")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--adapter", default="bundled")
    parser.add_argument("--log", type=Path, nargs="+", default=[ROOT / "figures" / "training.jsonl"],
                        help="log.jsonl of trainings (default: %(default)s)")  # fmt: skip
    parser.add_argument("--codec", type=Path, metavar="FOLDER", help="a codec, to draw what it keeps")
    parser.add_argument("--output", type=Path, default=ROOT / "figures", help="folder (default: %(default)s)")
    options = parser.parse_args()
    drawn = {
        "take": lambda: plot_take(options.model, options.adapter),
        "landmarks": plot_landmarks,
        "prompts": lambda: plot_prompts(options.model),
        "training": lambda: plot_log(options.log),
        "studio": lambda: photograph_studio(options.output),
    }
    if options.codec:
        drawn["codec"] = lambda: plot_codec(options.codec)
    for name in MEASURED:
        if (options.output / f"{name}.json").exists():
            drawn[name] = lambda name=name: plot_measured(name, options.output)
    if unknown := set(options.names) - set(drawn):
        parser.error(f"cannot draw {', '.join(sorted(unknown))}; choose among {', '.join(drawn)}")
    options.output.mkdir(parents=True, exist_ok=True)

    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rc_file(ROOT / "notebooks" / "matplotlibrc")
    for name in options.names or drawn:
        if (figure := drawn[name]()) is not None:
            figure.savefig(options.output / f"{name}.png")
        print("Drew", name, flush=True)


def plot_take(model: str, adapter: str) -> Figure:
    """The bundled clip with the defaults."""
    import expotion_lite as el
    from expotion_lite.assets import example_clip
    from expotion_lite.plots import curves as plots

    figure = plots.plot_take(el.generate(example_clip(), PROMPT, model=model, adapter=adapter))
    figure.set_size_inches(6.5, 6.2)  # smaller, so that its letters are larger: readable at half the page's width
    return figure


def plot_landmarks() -> Figure:
    """Four moments of the bundled clip."""
    import expotion_lite as el
    from expotion_lite.assets import example_clip
    from expotion_lite.plots import curves as plots

    return plots.plot_landmark_strip(example_clip(), el.extract_landmarks(example_clip()), 4)


def plot_log(paths: list[Path]) -> Figure:
    """A panel for each stage that the logs hold; of the adapter, held-out losses only.

    Its training hides most of the music so far, so that its loss lies far above those that are compared.
    """
    import matplotlib.pyplot as plt

    from expotion_lite.plots import curves as plots

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
    """Held-out pieces of four styles, as the band plays them and as the codec gives them back."""
    import matplotlib.pyplot as plt

    from expotion_lite.lab.judges import corpus
    from expotion_lite.lab.nano_report import FIRST, codec_alone
    from expotion_lite.plots import curves as plots

    musicgen = codec_alone(folder)
    figure, axes = plt.subplots(len(STYLES), 2, figsize=(10, 2.1 * len(STYLES)), sharex=True)
    for style, row in zip(STYLES, axes, strict=True):
        made = corpus(musicgen, 1, FIRST, style=style)
        for ax, audio, who in zip(
            row, (made.audio[0], made.decoded[0]), ("the band", "through the codec"), strict=True
        ):
            plots.plot_spectrogram(audio[: 6 * musicgen.sample_rate], musicgen.sample_rate, ax=ax)
            ax.set_title(f"{style}: {who}")
            ax.label_outer()
    return figure


def plot_prompts(model: str) -> Figure:
    """What a model makes of the prompts that it was sampled with while it was trained."""
    import matplotlib.pyplot as plt

    from expotion_lite.generation import sing
    from expotion_lite.lab.language_training import PIECE_S, SAMPLED
    from expotion_lite.musicgen.loading import load
    from expotion_lite.plots import curves as plots

    musicgen = load(model)
    audio, _ = sing(musicgen, list(SAMPLED), PIECE_S)
    figure, axes = plt.subplots(len(SAMPLED), 1, figsize=(8, 2.0 * len(SAMPLED)), sharex=True)
    for prompt, clip, ax in zip(SAMPLED, audio, axes, strict=True):
        plots.plot_spectrogram(clip, musicgen.sample_rate, ax=ax).set_title(f'"{prompt}"')
        ax.label_outer()
    return figure


def plot_measured(name: str, folder: Path) -> None:
    """Draw a measurement anew from its numbers."""
    from expotion_lite.evaluation import alignment as evaluation
    from expotion_lite.lab import ablations as experiments
    from expotion_lite.lab import landmark_survival as rendered

    found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    path = folder / f"{name}.svg"
    if name == "alignment":
        evaluation.plot_alignment(found["scores"], path)
    elif name == "rendered":
        rendered.plot_survival(found["correlation"], path)
    elif name == "results":
        experiments.plot_results(found, path)
    else:
        experiments.plot_curve({float(scale): row for scale, row in found["rows"].items()}, path)


def photograph_studio(folder: Path) -> None:
    """Let the browser tests keep what they see."""
    command = [sys.executable, "-m", "pytest", "-q", str(ROOT / "tests" / "test_studio.py")]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"STUDIO_SHOTS": str(folder.resolve())})


if __name__ == "__main__":
    main()
