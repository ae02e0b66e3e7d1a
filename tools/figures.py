"""Rebuild the stills in figures/ that the README shows.

    python tools/figures.py [--log runs/nano/log.jsonl] [--codec runs/codec/codec]

`take.png` is made from the bundled clip with the defaults; `landmarks.png` shows what was seen in it; `training.png`
has a panel for each stage in the given logs; `codec.png` shows what a codec of the full band keeps of four pieces;
`prompts.png` shows what the model makes of five prompts without a video. A minute of one CPU core.
"""

from __future__ import annotations

import argparse
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
    "language": "language model",
    "adapter": "adapter",
}


def main() -> None:
    """Make the music, draw, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--adapter", default="bundled")
    parser.add_argument("--log", type=Path, nargs="*", default=[], help="log.jsonl of trainings, for training.png")
    parser.add_argument("--codec", type=Path, metavar="FOLDER", help="a codec of the full band, for codec.png")
    parser.add_argument("--output", type=Path, default=ROOT / "figures", help="folder (default: %(default)s)")
    options = parser.parse_args()

    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rc_file(ROOT / "notebooks" / "matplotlibrc")
    import expotion_lite as el
    from expotion_lite import plots
    from expotion_lite.assets import clip

    options.output.mkdir(parents=True, exist_ok=True)
    take = el.generate(clip(), PROMPT, model=options.model, adapter=options.adapter)
    figure = plots.plot_take(take)
    figure.set_size_inches(6.5, 6.2)  # smaller, so that its letters are larger: readable at half the page's width
    figure.savefig(options.output / "take.png")
    plots.plot_landmark_strip(clip(), take.landmarks, 4).savefig(options.output / "landmarks.png")
    plot_prompts(options.model).savefig(options.output / "prompts.png")
    if options.log:
        plot_log(options.log).savefig(options.output / "training.png")
    if options.codec:
        plot_codec(options.codec).savefig(options.output / "codec.png")
    print("Wrote", *sorted(path.name for path in options.output.glob("*.png")))


def plot_log(paths: list[Path]) -> Figure:
    """A panel for each stage that the logs hold."""
    import matplotlib.pyplot as plt

    from expotion_lite import plots

    lines = [line for path in paths for line in path.read_text().splitlines()]
    stages = [stage for stage in STAGES if any(f'"{stage}"' in line for line in lines)]
    columns = 3 if len(stages) == 3 else 2
    rows = -(-len(stages) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.5 * columns, 3.2 * rows), squeeze=False)
    for stage, ax in zip(stages, axes.flat, strict=False):
        plots.plot_training(lines, stage, ax=ax).set_title(STAGES[stage])
    return figure


def plot_codec(folder: Path) -> Figure:
    """Held-out pieces of four styles, as the band plays them and as the codec gives them back."""
    import matplotlib.pyplot as plt

    from expotion_lite import plots
    from expotion_lite.bands import BANDS
    from expotion_lite.nano_evaluation import FIRST, codec_alone, corpus

    musicgen = codec_alone(folder, BANDS["full"])
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

    from expotion_lite import plots
    from expotion_lite.language_training import SAMPLED
    from expotion_lite.musicgen import load
    from expotion_lite.nano_evaluation import sing

    musicgen = load(model)
    audio, _ = sing(musicgen, list(SAMPLED))
    figure, axes = plt.subplots(len(SAMPLED), 1, figsize=(8, 2.0 * len(SAMPLED)), sharex=True)
    for prompt, clip, ax in zip(SAMPLED, audio, axes, strict=True):
        plots.plot_spectrogram(clip, musicgen.sample_rate, ax=ax).set_title(f'"{prompt}"')
        ax.label_outer()
    return figure


if __name__ == "__main__":
    main()
