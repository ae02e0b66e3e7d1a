"""Prove it: music made for held-out performers, scored against its own video and against everybody else's.

    python -m expotion_lite.evaluation.alignment --clips 64

writes `figures/alignment.json` and `figures/alignment.svg` and prints the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files import writing
from ..musicgen.settings import Settings
from ..synthetic import band
from .metrics import (
    against_others,
    beat_f_measure,
    bootstrap_interval,
    onset_motion_correlation,
    onset_strength,
    paired_permutation_test,
    track_beats,
)

if TYPE_CHECKING:
    from ..generation import Pipeline

MOTIONS = ("pulse", "motion_energy")


def held_out(n: int, duration_s: float, first: int = 0) -> tuple[list, list, list[str]]:
    """n pieces, controls and captions that nothing was trained on, from number `first` on.

    Below `data.CHOOSING` none was used to choose a setting either. The captions do not tell the tempo.
    """
    from ..data.synthetic import HELD_OUT_PERFORMERS, HELD_OUT_SONGS, synthetic_pair

    numbers = range(first, first + n)
    pairs = [synthetic_pair(HELD_OUT_SONGS + i, HELD_OUT_PERFORMERS + i, duration_s) for i in numbers]
    captions = [band.describe(piece, np.random.default_rng([piece.seed, 5]), tempo=False) for piece, _ in pairs]
    return [piece for piece, _ in pairs], [controls for _, controls in pairs], captions


def make_music(
    pipeline: Pipeline,
    prompts: list[str],
    controls: list,
    settings: Settings,
    *,
    batch: int = 16,
    progress: bool = True,
) -> list:
    """Audio for each prompt and controls, `batch` at a time; `progress` counts them. Returns a list of (N,) float32."""
    from ..generation import generate_codes, to_audio

    audio = []
    for i in range(0, len(prompts), batch):
        drawn = replace(settings, seed=settings.seed + i)  # else every batch would have the same chances
        codes = generate_codes(pipeline, prompts[i : i + batch], controls[i : i + batch], drawn)
        audio += [to_audio(pipeline.musicgen, each) for each in codes]
        if progress:
            print(f"  {len(audio)} of {len(prompts)} clips", file=sys.stderr, flush=True)
    return audio


def score(audio: list, sample_rate: int, pieces: list, controls: list) -> dict[str, np.ndarray]:
    """Every alignment score of all music against all videos: name -> (N, N), music by video."""
    onsets = [onset_strength(each, sample_rate) for each in audio]
    beats = [track_beats(each, sample_rate) for each in audio]
    tables = {
        f"onset-{motion} correlation": [[onset_motion_correlation(o, c[motion]) for c in controls] for o in onsets]
        for motion in MOTIONS
    }
    tables["beat F-measure"] = [[beat_f_measure(b, piece.beats) for piece in pieces] for b in beats]
    return {name: np.array(table) for name, table in tables.items()}


def summarise(table: np.ndarray) -> dict[str, object]:
    """Own and shuffled means with 95% intervals, their difference, and its p by permutation."""
    own, shuffled = against_others(table)
    return {
        "own": float(own.mean()), "own_95": bootstrap_interval(own),
        "shuffled": float(shuffled.mean()), "shuffled_95": bootstrap_interval(shuffled),
        "difference": float((own - shuffled).mean()), "difference_95": bootstrap_interval(own - shuffled),
        "p": paired_permutation_test(own - shuffled),
    }  # fmt: skip


def paired(table: np.ndarray, rival: np.ndarray) -> dict[str, object]:
    """How much better music fits its video than other music, made with the same prompt, fits that same video."""
    return gain_of(np.diag(table) - np.diag(rival))


def gain_of(gain: np.ndarray) -> dict[str, object]:
    """Mean of paired differences (N,) with its 95% interval, and its p by permutation."""
    return {"gain": float(gain.mean()), "gain_95": bootstrap_interval(gain), "p": paired_permutation_test(gain)}


def evaluate(n: int, settings: Settings, model: str = "nano", adapter: str = "bundled") -> dict[str, dict]:
    """Make music for n held-out performers, and score it.

    Returns:
        `scores`: music -> score -> own video against the others', for music from video and text, music without a video,
        and the band's own music through the codec (a reference). `gains`: rival -> score -> how much better music made
        for the video fits it than a rival made with the same prompt: for another person's video, or for none, with
        the adapter and LoRA in place.
    """
    import torch

    from ..generation import load_pipeline, to_audio
    from ..musicgen.codes import encode

    pipeline = load_pipeline(model, adapter)
    musicgen = pipeline.musicgen
    pieces, controls, captions = held_out(n, musicgen.window / musicgen.frame_rate)
    blind = Settings(**{**vars(settings), "visual_guidance": 0.0})
    codes = [
        encode(musicgen, torch.from_numpy(band.play(piece, musicgen.sample_rate))[None])[0].numpy() for piece in pieces
    ]
    music = {
        "video and text": make_music(pipeline, captions, controls, settings),
        "no video": make_music(pipeline, captions, controls, blind),
        "the band itself": [to_audio(musicgen, each) for each in codes],
        "another's video": make_music(pipeline, captions, controls[1:] + controls[:1], settings),
    }
    tables = {name: score(audio, musicgen.sample_rate, pieces, controls) for name, audio in music.items()}
    rivals = ("another's video", "no video")
    return {
        "scores": {
            name: {metric: summarise(table) for metric, table in rows.items()}
            for name, rows in tables.items()
            if name != "another's video"
        },
        "gains": {
            rival: {metric: paired(table, tables[rival][metric]) for metric, table in tables["video and text"].items()}
            for rival in rivals
        },
    }


def table_of(results: dict[str, dict]) -> str:
    """The results as two Markdown tables."""
    lines = ["| music | score | own video | other videos | difference (95%) | p |", "|---|---|---|---|---|---|"]
    for music, scores in results["scores"].items():
        for metric, s in scores.items():
            low, high = s["difference_95"]
            lines.append(
                f"| {music} | {metric} | {s['own']:.2f} | {s['shuffled']:.2f} | "
                f"{s['difference']:+.2f} ({low:+.2f} to {high:+.2f}) | {s['p']:.4f} |"
            )
    lines += ["", "| made for the video, against | score | gain (95%) | p |", "|---|---|---|---|"]
    for rival, scores in results["gains"].items():
        for metric, s in scores.items():
            low, high = s["gain_95"]
            lines.append(f"| {rival} | {metric} | {s['gain']:+.2f} ({low:+.2f} to {high:+.2f}) | {s['p']:.4f} |")
    return "\n".join(lines)


def plot_alignment(scores: dict[str, dict], path: Path) -> None:
    """Own video beside other videos, with intervals, a panel for each score."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    metrics = list(next(iter(scores.values())))
    figure, axes = plt.subplots(1, len(metrics), figsize=(9.5, 3.4), layout="constrained", squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for offset, who, colour, mark in ((-0.12, "own", "#0072B2", "o"), (0.12, "shuffled", "#E69F00", "s")):
            means = np.array([row[metric][who] for row in scores.values()])
            bounds = np.array([row[metric][f"{who}_95"] for row in scores.values()]).T
            x = np.arange(len(means)) + offset
            label = {"own": "its own video", "shuffled": "other people's videos"}[who]
            axis.errorbar(
                x,
                means,
                np.abs(bounds - means),
                fmt=mark,
                color=colour,
                ecolor="0.3",
                markersize=5,
                capsize=4,
                label=label,
            )
        axis.set_title(metric.replace("_", " ").replace(" correlation", "\ncorrelation"), fontsize="medium")
        axis.set(xticks=range(len(scores)), xlim=(-0.5, len(scores) - 0.5))
        axis.set_ylim(0, 1.0 if "F-measure" in metric else None)
        axis.set_xticklabels([name.replace(" ", "\n", 1) for name in scores])
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("score")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False,
        title="scored against (bars: 95% interval of the mean)",
    )  # fmt: skip
    with writing(path, overwrite=True) as temporary:
        figure.savefig(temporary)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> int:
    """Evaluate, write the figures, print the table; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.evaluation.alignment", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--clips", type=int, default=64, help="held-out songs and performers (default: %(default)s)")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--adapter", default="bundled")
    parser.add_argument("--visual-guidance", type=float, default=Settings.visual_guidance)
    parser.add_argument("--guidance", type=float, default=Settings.guidance)
    parser.add_argument("--output", type=Path, default=Path("figures"), help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    settings = Settings(visual_guidance=options.visual_guidance, guidance=options.guidance)
    results = evaluate(options.clips, settings, options.model, options.adapter)
    options.output.mkdir(parents=True, exist_ok=True)
    with writing(options.output / "alignment.json", overwrite=True) as temporary:
        what = {"clips": options.clips, "settings": json.loads(settings.to_json()), **results}
        temporary.write_text(json.dumps(what, indent=1) + "\n")
    plot_alignment(results["scores"], options.output / "alignment.svg")
    print(table_of(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
