"""Report on how well music follows a person: held-out performers, each against their own and other people's videos.

    python -m expotion_lite.evaluation --clips 64

writes `figures/alignment.json` and `figures/alignment.svg` and prints the tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

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
from .report import (
    ERROR_BARS,
    Interval,
    add_options,
    error_lengths,
    markdown_table,
    new_figure,
    with_interval,
    write_json,
)

if TYPE_CHECKING:
    from ..controls.channels import Controls
    from ..generation import Pipeline
    from ..synthetic.pieces import Piece

MOTIONS = ("pulse", "motion_energy")  # the channels that onsets are correlated with


class AlignmentScore(TypedDict):
    """A score for the own video beside its shuffled control: means, 95% intervals, and p of their difference."""

    own: float
    own_95: Interval
    shuffled: float
    shuffled_95: Interval
    difference: float
    difference_95: Interval
    p: float


class Gain(TypedDict):
    """A mean of paired differences with its 95% interval and p."""

    gain: float
    gain_95: Interval
    p: float


class AlignmentReport(TypedDict):
    """The results of `evaluate`: `scores` by music and score, `gains` by rival and score."""

    scores: dict[str, dict[str, AlignmentScore]]
    gains: dict[str, dict[str, Gain]]


def held_out(n: int, duration_s: float, first: int = 0) -> tuple[list[Piece], list[Controls], list[str]]:
    """Make pieces, controls of the people who move to them, and captions, none of which was trained on.

    Numbers below `data.synthetic.VALIDATION_OFFSET` were not used to choose a setting either.

    Args:
        n: how many.
        duration_s: the length of the pieces, in seconds.
        first: the number of the first piece and performer.

    Returns:
        (n pieces, n controls, n captions without the tempo)
    """
    from ..data.synthetic import HELD_OUT_PERFORMERS, HELD_OUT_SONGS, synthetic_pair

    numbers = range(first, first + n)
    pairs = [synthetic_pair(HELD_OUT_SONGS + i, HELD_OUT_PERFORMERS + i, duration_s) for i in numbers]
    captions = [band.describe(piece, np.random.default_rng([piece.seed, 5]), tempo=False) for piece, _ in pairs]
    return [piece for piece, _ in pairs], [controls for _, controls in pairs], captions


def make_music(
    pipeline: Pipeline,
    prompts: Sequence[str],
    controls: Sequence[Controls],
    settings: Settings,
    *,
    batch: int = 16,
    progress: bool = True,
) -> list[np.ndarray]:
    """Generate audio for each prompt with its controls.

    Args:
        pipeline: from `load_pipeline`.
        prompts: one for each clip.
        controls: one for each clip, all of one length.
        settings: of sampling; each batch has a seed of its own.
        batch: how many clips are generated at once.
        progress: whether to print how many clips are done.

    Returns:
        (N,) float32 for each clip.
    """
    from ..generation import generate_codes, to_audio

    audio = []
    for i in range(0, len(prompts), batch):
        seeded = replace(settings, seed=settings.seed + i)  # otherwise all batches would draw the same random numbers
        codes = generate_codes(pipeline, list(prompts[i : i + batch]), list(controls[i : i + batch]), seeded)
        audio += [to_audio(pipeline.musicgen, each) for each in codes]
        if progress:
            print(f"  {len(audio)} of {len(prompts)} clips", file=sys.stderr, flush=True)
    return audio


def score(
    audio: Sequence[np.ndarray], sample_rate: int, pieces: Sequence[Piece], controls: Sequence[Controls]
) -> dict[str, np.ndarray]:
    """Score all music against all videos.

    Args:
        audio: (samples,) for each of N clips.
        sample_rate: in Hz.
        pieces: N, which tell the true beats.
        controls: N, of the people who moved to these pieces.

    Returns:
        Name of the score -> (N, N), music by video.
    """
    onsets = [onset_strength(each, sample_rate) for each in audio]
    beats = [track_beats(each, sample_rate) for each in audio]
    tables = {
        f"onset-{motion} correlation": [[onset_motion_correlation(o, c[motion]) for c in controls] for o in onsets]
        for motion in MOTIONS
    }
    tables["beat F-measure"] = [[beat_f_measure(b, piece.beats) for piece in pieces] for b in beats]
    return {name: np.array(table) for name, table in tables.items()}


def summarise(table: np.ndarray) -> AlignmentScore:
    """Summarise a table (N, N), music by video: own and shuffled means, and their difference with its p."""
    own, shuffled = against_others(table)
    return {
        "own": float(own.mean()),
        "own_95": bootstrap_interval(own),
        "shuffled": float(shuffled.mean()),
        "shuffled_95": bootstrap_interval(shuffled),
        "difference": float((own - shuffled).mean()),
        "difference_95": bootstrap_interval(own - shuffled),
        "p": paired_permutation_test(own - shuffled),
    }


def summarise_gain(differences: np.ndarray) -> Gain:
    """Summarise paired differences (N,) of scores."""
    return {
        "gain": float(differences.mean()),
        "gain_95": bootstrap_interval(differences),
        "p": paired_permutation_test(differences),
    }


def evaluate(
    n: int, settings: Settings, model: str = "nano", adapter: str | None = "bundled", *, progress: bool = True
) -> AlignmentReport:
    """Make music for n held-out performers and score it.

    `scores` holds three kinds of music against the own video and the others': music from video and text, music without
    a video (adapter and LoRA in place), and the band's own music through the codec, as a reference. `gains` compares
    music made for this video with two rivals of the same prompt: music for another person's video, and music for no
    video.

    Args:
        n: how many performers.
        settings: of sampling.
        model: as of `load_pipeline`.
        adapter: as of `load_pipeline`.
        progress: whether to print how many clips are done.
    """
    import torch

    from ..generation import load_pipeline, to_audio
    from ..musicgen.codes import encode

    pipeline = load_pipeline(model, adapter)
    musicgen = pipeline.musicgen
    pieces, controls, captions = held_out(n, musicgen.window / musicgen.frame_rate)

    def generate(shown: list[Controls], chosen: Settings) -> list[np.ndarray]:
        return make_music(pipeline, captions, shown, chosen, progress=progress)

    def through_codec(audio: np.ndarray) -> np.ndarray:
        return to_audio(musicgen, encode(musicgen, torch.from_numpy(audio)[None])[0].numpy())

    music = {
        "video and text": generate(controls, settings),
        "no video": generate(controls, replace(settings, visual_guidance=0.0)),
        "the band itself": [through_codec(band.play(piece, musicgen.sample_rate)) for piece in pieces],
        "another's video": generate(controls[1:] + controls[:1], settings),
    }
    tables = {name: score(audio, musicgen.sample_rate, pieces, controls) for name, audio in music.items()}
    own = {metric: np.diag(table) for metric, table in tables["video and text"].items()}
    return {
        "scores": {
            name: {metric: summarise(table) for metric, table in tables[name].items()}
            for name in ("video and text", "no video", "the band itself")
        },
        "gains": {
            rival: {metric: summarise_gain(own[metric] - np.diag(table)) for metric, table in tables[rival].items()}
            for rival in ("another's video", "no video")
        },
    }


def table_of(results: AlignmentReport) -> str:
    """Return the results as two Markdown tables."""
    scores = [
        [
            music,
            metric,
            f"{s['own']:.2f}",
            f"{s['shuffled']:.2f}",
            with_interval(s["difference"], s["difference_95"], sign="+"),
            f"{s['p']:.4f}",
        ]
        for music, by_metric in results["scores"].items()
        for metric, s in by_metric.items()
    ]
    gains = [
        [rival, metric, with_interval(gain["gain"], gain["gain_95"], sign="+"), f"{gain['p']:.4f}"]
        for rival, by_metric in results["gains"].items()
        for metric, gain in by_metric.items()
    ]
    return "\n\n".join(
        [
            markdown_table(["music", "score", "own video", "other videos", "difference (95%)", "p"], scores),
            markdown_table(["made for the video, against", "score", "gain (95%)", "p"], gains),
        ]
    )


def plot_alignment(scores: Mapping[str, Mapping[str, AlignmentScore]], path: Path) -> None:
    """Draw the own video beside other people's videos, with 95% intervals, one panel for each score."""
    metrics = list(next(iter(scores.values())))
    with new_figure(path, (9.5, 3.4), columns=len(metrics)) as (figure, axes):
        for ax, metric in zip(axes[0], metrics, strict=True):
            rows = [row[metric] for row in scores.values()]
            own = np.array([(row["own"], *row["own_95"]) for row in rows]).T
            shuffled = np.array([(row["shuffled"], *row["shuffled_95"]) for row in rows]).T
            x = np.arange(len(rows))
            ax.errorbar(x - 0.12, own[0], error_lengths(*own), fmt="o", label="its own video", **ERROR_BARS)
            ax.errorbar(
                x + 0.12, shuffled[0], error_lengths(*shuffled), fmt="s", label="other people's videos", **ERROR_BARS
            )
            ax.set_title(metric.replace("_", " ").replace(" correlation", "\ncorrelation"))
            ax.set(xticks=x, xticklabels=[name.replace(" ", "\n", 1) for name in scores])
            ax.set(xlim=(-0.5, len(rows) - 0.5), ylim=(0, 1.0 if "F-measure" in metric else None))
        axes[0, 0].set_ylabel("score")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        title = "scored against (bars: 95% interval of the mean)"
        figure.legend(handles, labels, loc="outside lower center", ncols=2, title=title)


def main(arguments: list[str] | None = None) -> int:
    """Run the evaluation, write the report, print the tables; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m expotion_lite.evaluation", description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=64, help="held-out songs and performers (default: %(default)s)")
    add_options(parser)
    options = parser.parse_args(arguments)
    settings = Settings(visual_guidance=options.visual_guidance, guidance=options.guidance)
    results = evaluate(options.clips, settings, options.model, options.adapter)
    write_json(options.output / "alignment.json", {"clips": options.clips, "settings": asdict(settings), **results})
    plot_alignment(results["scores"], options.output / "alignment.svg")
    print(table_of(results))
    return 0
