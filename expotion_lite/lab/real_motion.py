"""Music for the recorded motion of real people, and how well it follows them.

    python -m expotion_lite.lab.real_motion motion.npz runs/real

reads a file of curves at 50 Hz. For each clip NN these are the controls `NN/controls` (T, C), with names in `channels`;
the mean optical flow of the picture, `NN/speed` (T,), and how fast it falls, `NN/stop`; `NN/source`, the number of the
person; and where it is known, `NN/onset`, the onset strength of the music that the person moved to. The program makes
music for every clip and seed, writes it to `runs/real/SEED/NN.wav`, and prints how much better the onsets of this music
fit the motion of its own clip than that of other people. `--curves landmarks` hides the optical flow from the model.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..controls.channels import CHANNELS, Controls
from ..controls.events import with_events
from ..evaluation.following import make_music
from ..evaluation.real_people import (
    GainOverOthers,
    Motion,
    gains_of_onsets,
    gains_over_others,
    is_ill,
    joint_arrivals,
)
from ..evaluation.report import ERROR_BARS, error_lengths, markdown_table, new_figure, with_interval, write_json
from ..musicgen.settings import Settings
from ..plots.palette import rgb
from ..video.writing import write_wav

if TYPE_CHECKING:
    from ..generation import Pipeline

PROMPTS = (
    "fast techno with drums and synth lead",
    "happy rock with guitar, bass and drums",
    "calm lo-fi hip hop with electric piano and drums",
    "happy latin bossa nova with nylon guitar and percussion",
)
FRAMES = 500
"""Music is made for this many frames, and cut to the clip; a shorter clip is continued by its last values."""
COMPARED_FRAMES = 240
"""Onsets and motion are compared in the first frames; all clips are at least this long."""


@dataclass(frozen=True, eq=False)
class Clip:
    """The motion of one person in one clip.

    Attributes:
        name: of the clip.
        source: number of the person, group or song; clips of one source are not independent.
        controls: (T, C) of the clip, without optical flow.
        speed: (T,) mean optical flow.
        stop: (T,) how fast it falls.
        onsets: (T,) onset strength of the music that the person really moved to; None if unknown.
    """

    name: str
    source: int
    controls: Controls
    speed: np.ndarray
    stop: np.ndarray
    onsets: np.ndarray | None = None


def read_clips(path: Path) -> list[Clip]:
    """Read the clips of a motion file, see the module's docstring."""
    with np.load(path, allow_pickle=False) as arrays:
        channels = tuple(str(name) for name in arrays["channels"])
        names = sorted({key.split("/")[0] for key in arrays if "/" in key})
        clips = []
        for name in names:
            values = arrays[f"{name}/controls"].astype(np.float32)
            found = np.ones(len(values), bool)
            controls = Controls(values, channels, 50.0, found)
            speed, stop, onsets = (arrays.get(f"{name}/{curve}") for curve in ("speed", "stop", "onset"))
            clips.append(Clip(name, int(arrays[f"{name}/source"]), controls, speed, stop, onsets))
    return clips


def shown_controls(clip: Clip, pixels: bool, frames: int = FRAMES, beat: float = 0.5) -> Controls:
    """Return all channels of a clip, its events found from optical flow and landmarks, or from landmarks alone."""
    controls = with_events(all_channels(clip, pixels), beat)
    longer = ((0, max(0, frames - len(controls.values))), (0, 0))
    return replace(controls, values=np.pad(controls.values[:frames], longer, mode="edge"), found=np.ones(frames, bool))


def all_channels(clip: Clip, pixels: bool) -> Controls:
    """Return all channels of a clip without events, with the speed of its pixels as the trunk's, or without any."""
    values = np.zeros((len(clip.controls.values), len(CHANNELS)), np.float32)
    for name in clip.controls.channels:
        values[:, CHANNELS.index(name)] = clip.controls[name]
    missing = clip.controls["face_missing"] * clip.controls["body_missing"]
    values[:, CHANNELS.index("motion_missing")] = 0 if pixels else missing
    if pixels:
        n = min(len(values), len(clip.speed))
        height = max(float(np.percentile(clip.speed, 95)), 1e-9)
        values[:n, CHANNELS.index("trunk_flow")] = np.minimum(clip.speed[:n] / height, 1.5)
    return Controls(values, CHANNELS, 50.0, clip.controls.found)


def play_clips(
    pipeline: Pipeline, clips: list[Clip], pixels: bool, settings: Settings, beat: float = 0.5
) -> list[np.ndarray]:
    """Make music for each clip, as long as the clip; the prompts take turns."""
    controls = [shown_controls(clip, pixels, beat=beat) for clip in clips]
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(len(clips))]
    music = make_music(pipeline, prompts, controls, settings, batch=13, progress=False)
    rate = pipeline.musicgen.sample_rate
    return [audio[: round(len(clip.controls.values) / 50 * rate)] for audio, clip in zip(music, clips, strict=True)]


def motions_of(clips: list[Clip]) -> list[Motion]:
    """Return what onsets are compared with: speed and arrivals of the pixels, and arrivals of the joints."""
    curves = [{"speed": clip.speed, "stop": clip.stop, "joints": joint_arrivals(clip.controls)} for clip in clips]
    return [{name: curve[:COMPARED_FRAMES] for name, curve in each.items()} for each in curves]


def table_of(gains: dict[str, GainOverOthers]) -> str:
    """Return the gains as a Markdown table."""
    rows = [
        [name, with_interval(gain["gain"], gain["gain_95"], sign="+"), f"{gain['p']:.4f}"]
        for name, gain in gains.items()
    ]
    return markdown_table(["onsets against", "gain over other people (95%)", "p"], rows)


def plot_gains(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw the gains of all rows over other people, with 95% intervals, a panel for each kind of motion.

    Args:
        rows: label -> a row of a report. A row of somebody else's figures may lack intervals and kinds of motion.
        path: the SVG to write.
    """
    titles = {"speed": "how fast the picture moves", "stop": "where movements arrive", "joints": "where joints arrive"}
    with new_figure(path, (10.5, 0.9 + 0.42 * len(rows)), columns=3, sharex=True, sharey=True) as (figure, axes):
        places = np.arange(len(rows))[::-1]
        for ax, (kind, title) in zip(axes[0], titles.items(), strict=True):
            for place, row in zip(places, rows.values(), strict=True):
                gain = row.get(kind)
                if gain is None:
                    continue
                bounds = gain.get("gain_95", (gain["gain"], gain["gain"]))
                errors = error_lengths(*np.array([[gain["gain"], *bounds]]).T) if "gain_95" in gain else None
                colour = rgb("blue" if "gain_95" in gain else "black")
                ax.errorbar([gain["gain"]], [place], xerr=errors, fmt="o", color=colour, **ERROR_BARS)
            ax.axvline(0, color="0.7", linewidth=1)
            ax.set(title=title, yticks=places, yticklabels=list(rows), ylim=(-0.6, len(rows) - 0.4))
            ax.grid(axis="x", color="0.9")
        figure.supxlabel(
            "onsets of music: correlation with own motion minus that with other people's", fontsize="medium"
        )


def main(arguments: list[str] | None = None) -> int:
    """Make and score the music; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.lab.real_motion", description=__doc__.splitlines()[0]
    )
    parser.add_argument("motion", type=Path, help="the file of curves")
    parser.add_argument("folder", type=Path, help="for the music")
    parser.add_argument("--curves", choices=("pixels", "landmarks"), default="pixels")
    parser.add_argument("--original", action="store_true", help="score the music that they really moved to instead")
    parser.add_argument("--adapter", default="bundled")
    parser.add_argument("--seeds", type=int, default=2)
    for name in ("guidance", "visual_guidance", "temperature", "top_k"):
        default = getattr(Settings, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--beat", type=float, default=0.5)
    parser.add_argument("--report", type=Path, metavar="FILE", help="a .json to write the numbers to, as row --label")
    parser.add_argument("--label", default="bundled adapter", help="name of the row (default: %(default)s)")
    options = parser.parse_args(arguments)
    from ..generation import load_pipeline

    clips = read_clips(options.motion)
    if options.original:
        report_original([clip for clip in clips if clip.onsets is not None], options)
        return 0
    pipeline = load_pipeline("nano", options.adapter)
    rate = pipeline.musicgen.sample_rate
    music = []
    for seed in range(1, options.seeds + 1):
        settings = Settings(
            seed=100 * seed,
            guidance=options.guidance,
            visual_guidance=options.visual_guidance,
            temperature=options.temperature,
            top_k=options.top_k,
        )
        music.append(play_clips(pipeline, clips, options.curves == "pixels", settings, options.beat))
        for clip, audio in zip(clips, music[-1], strict=True):
            write_wav(options.folder / str(seed) / f"{clip.name}.wav", audio, rate, overwrite=True)
        print(f"seed {seed} of {options.seeds}", file=sys.stderr, flush=True)
    gains = gains_over_others(music, rate, motions_of(clips), [clip.source for clip in clips])
    ill = float(np.mean([is_ill(audio, rate) for takes in music for audio in takes]))
    print(table_of(gains), f"ill takes: {ill:.3f}", sep="\n\n")
    made = {"seeds": options.seeds, "visual_guidance": options.visual_guidance, "ill": ill}
    write_row(options.report, options.label, gains | {"clips": len(clips)} | made)
    return 0


def report_original(clips: list[Clip], options: argparse.Namespace) -> None:
    """Score the music that people really moved to."""
    onsets = [[clip.onsets[:COMPARED_FRAMES] for clip in clips if clip.onsets is not None]]
    gains = gains_of_onsets(onsets, motions_of(clips), [clip.source for clip in clips])
    print(table_of(gains))
    write_row(options.report, options.label, gains | {"clips": len(clips)})


def write_row(report: Path | None, label: str, row: dict[str, Any]) -> None:
    """Add a row to a report or replace it; None writes nothing."""
    if report is not None:
        rows = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
        write_json(report, rows | {label: row})


if __name__ == "__main__":
    sys.exit(main())
