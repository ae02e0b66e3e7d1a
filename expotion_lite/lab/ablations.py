"""What each part is worth: music made with and without each of them, for people and songs that nothing was trained on.

    python -m expotion_lite.lab.ablations --clips 200

writes `figures/results.json`, `figures/results.md` and `figures/results.svg` and prints the table. The captions name
the tonic, but neither tempo nor mood, major or minor: these are left to the video. (A style makes some of them
likelier; what music makes of that, "text only" shows.) Music and scores of each row are kept under `--folder`, so that
a run that was interrupted goes on.

    python -m expotion_lite.lab.ablations --curve --clips 200

does so for the row "face + motion" at rising visual guidance, for other people, who choose the default by it:
`figures/guidance.json` and `figures/guidance.svg`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..controls.channels import Controls, hide
from ..controls.extraction import extract_controls
from ..data.synthetic import CHOOSING, EXAMPLES_VERSION, HELD_OUT_PERFORMERS, HELD_OUT_SONGS
from ..evaluation.alignment import gain_of, make_music
from ..evaluation.metrics import (
    beat_f_measure,
    bootstrap_interval,
    chroma_of,
    energy_correlation,
    level_curve,
    mode_of,
    onset_motion_correlation,
    onset_strength,
    paired_permutation_test,
    tag_similarity,
    tempo_by_line,
    track_beats,
)
from ..files import digest_of, writing
from ..musicgen.settings import Settings
from ..synthetic import band
from ..synthetic.harmony import BRIGHT, KEYS

if TYPE_CHECKING:
    from ..landmarks.extraction import Landmarks
    from ..musicgen.loading import MusicGen
    from ..synthetic.pieces import Piece

OTHERS = 20  # people against whom each piece of music is held too
KEPT_AS = (".json", ".safetensors")  # what a model and an adapter consist of
NOISE, LOSSES_PER_S = 0.04, 0.4  # of noisy landmarks: sd as a share of the eyes' distance, and lost faces


@dataclass(frozen=True)
class Arm:
    """One way to make the music.

    Attributes:
        name: of the row.
        method: of smoothing, see `controls.extract_controls`.
        hidden: "expression" or "motion", if the model may not see it.
        noisy: whether the landmarks are. away: whether heads are turned away, so that no face is found.
        visual_guidance: other than the settings'; 0 if the video is not shown at all.
        adapted: whether the adapter and LoRA are there.
        others: whether another person's video is shown.
        played: whether it is the band's own music, encoded and decoded.
    """

    name: str
    method: str = "savgol"
    hidden: str = ""
    noisy: bool = False
    away: bool = False
    visual_guidance: float | None = None
    adapted: bool = True
    others: bool = False
    played: bool = False


ARMS = (
    Arm("text only", adapted=False, visual_guidance=0.0),
    Arm("LoRA without video", visual_guidance=0.0),
    Arm("face only", hidden="motion"),
    Arm("motion only", hidden="expression"),
    Arm("face + motion"),
    Arm("face + motion, not smoothed", method="none"),
    Arm("face + motion, published interpolation", method="published"),
    Arm("noisy landmarks, smoothed", noisy=True),
    Arm("noisy landmarks, not smoothed", noisy=True, method="none"),
    Arm("noisy landmarks, published interpolation", noisy=True, method="published"),
    Arm("head turned away", away=True),
    Arm("another person's video", others=True),
    Arm("the band itself", played=True),
)
COLUMNS = {  # name -> how many decimals
    "beat F-measure": 2,
    "tempo within 4%": 2,
    "onset-motion correlation": 2,
    "the same, shuffled": 2,
    "energy correlation": 2,
    "mode agreement": 2,
    "tag adherence": 3,
}
AGAINST_OTHERS = tuple(name for name in COLUMNS if name not in ("the same, shuffled", "tag adherence"))
COMPARED = (  # what a row is expected to be better at than another
    ("face + motion", "text only", "beat F-measure"),
    ("face + motion", "another person's video", "beat F-measure"),
    ("face + motion", "face + motion, published interpolation", "beat F-measure"),
    ("noisy landmarks, smoothed", "noisy landmarks, not smoothed", "beat F-measure"),
    ("noisy landmarks, smoothed", "noisy landmarks, published interpolation", "beat F-measure"),
    ("face + motion", "face only", "beat F-measure"),
    ("face + motion", "motion only", "energy correlation"),
    ("face + motion", "motion only", "mode agreement"),
    ("face only", "motion only", "mode agreement"),
)
# Raise this when the same weights give other music, or the same music other scores; caches are then computed anew.
_SCORES_VERSION = 1
MOST_FURTHER = 1.2  # from the band's music, by the Frechet distance, than music by text only may be
CURVE = (0.0, 2.0, 4.0, 4.5, 5.0, 6.0, 8.0, 12.0)  # visual guidance


@dataclass(frozen=True)
class Stage:
    """n pieces, what a camera saw of those who moved to them, clean and noisy, and captions."""

    pieces: list[Piece]
    clean: list[Landmarks]
    noisy: list[Landmarks]
    captions: list[str]
    frame_rate: float
    duration_s: float

    def controls(
        self, noisy: bool = False, method: str = "savgol", hidden: str = "", away: bool = False
    ) -> list[Controls]:
        """Of everybody, smoothed by a method, with one of the modalities hidden if named, or no face found."""
        people = self.noisy if noisy else self.clean
        each = [
            extract_controls(seen, frame_rate=self.frame_rate, duration_s=self.duration_s, method=method)
            for seen in (map(faceless, people) if away else people)
        ]
        return [replace(c, values=hide(c.values, c.channels, hidden)) for c in each] if hidden else each


def faceless(seen: Landmarks) -> Landmarks:
    """The same landmarks, if no face had been found."""
    lost = {name: np.full_like(getattr(seen, name), np.nan) for name in ("face", "blendshapes", "head_pose")}
    return replace(seen, face_found=np.zeros_like(seen.face_found), **lost)


def stage_of(musicgen: MusicGen, n: int, first: int = 0) -> Stage:
    """n held-out songs and performers, from number `first` on; those below `data.CHOOSING` chose nothing either."""
    from ..synthetic.people import draw_performer
    from ..synthetic.performer import perform, to_landmarks

    duration_s = musicgen.window / musicgen.frame_rate
    pieces, clean, noisy, captions = [], [], [], []
    for i in range(first, first + n):
        piece, person = band.compose(HELD_OUT_SONGS + i, duration_s), draw_performer(HELD_OUT_PERFORMERS + i)
        performance, shaky = perform(piece, person), replace(person, jitter=NOISE, losses_per_s=LOSSES_PER_S)
        pieces.append(piece)
        clean.append(to_landmarks(performance, person))
        noisy.append(to_landmarks(performance, shaky))
        captions.append(band.describe(piece, np.random.default_rng([piece.seed, 5]), tempo=False, mood=False, key=True))
    return Stage(pieces, clean, noisy, captions, musicgen.frame_rate, duration_s)


def make(arm: Arm, stage: Stage, model: str, adapter: str, settings: Settings) -> list[np.ndarray]:
    """The music of one arm for everybody on the stage. Returns a list of (N,) float32."""
    import torch

    from ..generation import load_pipeline, to_audio
    from ..musicgen.codes import encode

    pipeline = load_pipeline(model, adapter if arm.adapted else None)
    if arm.played:
        musicgen, played = pipeline.musicgen, _played(pipeline.musicgen, stage)
        return [to_audio(musicgen, encode(musicgen, torch.from_numpy(audio)[None])[0].numpy()) for audio in played]
    controls = stage.controls(arm.noisy, arm.method, arm.hidden, arm.away)
    if arm.others:
        controls = controls[1:] + controls[:1]
    if arm.visual_guidance is not None:
        settings = replace(settings, visual_guidance=arm.visual_guidance)
    return make_music(pipeline, stage.captions, controls, settings)


def measure(audio: list[np.ndarray], sample_rate: int, stage: Stage, pulses: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Scores of the music of one arm: a column's name -> (N,), and "embeddings" (N * P, 200), "tags" (N, 50).

    What can be held against other people too, `AGAINST_OTHERS`, also comes as "shuffled NAME": its mean over them.

    pulses: (T,) of everybody, by whose motion the music should begin its notes.
    """
    from .judges import at_equal_level, embeddings
    from .musicnn import tag

    n, scores = len(audio), {f"{kind}{name}": [] for kind in ("", "shuffled ") for name in AGAINST_OTHERS}
    for i, clip in enumerate(audio):
        fits = _fit_of(clip, sample_rate, stage.frame_rate, KEYS.index(stage.pieces[i].key))
        own = fits(stage.pieces[i], pulses[i])
        others = [(i + k) % n for k in range(2, min(OTHERS, n - 2) + 2)]  # the next is whom `others` lets music follow
        shuffled = np.mean([fits(stage.pieces[j], pulses[j]) for j in others], axis=0)
        for column, value in zip(scores.values(), (*own, *shuffled), strict=True):
            column.append(float(value))
    heard = embeddings(np.stack(audio), sample_rate)
    tags = np.array([list(tag(clip, sample_rate).values()) for clip in at_equal_level(np.stack(audio))])
    return {name: np.array(values) for name, values in scores.items()} | {"embeddings": heard, "tags": tags}


def _fit_of(
    clip: np.ndarray, sample_rate: int, frame_rate: float, tonic: int
) -> Callable[[Piece, np.ndarray], tuple[float, ...]]:
    """What tells how well music fits a piece and the pulse (T,) of who moved to it: a score for `AGAINST_OTHERS`.

    tonic: that was asked for, 0..11.
    """
    beats, onsets = track_beats(clip, sample_rate), onset_strength(clip, sample_rate)
    tempo, level = tempo_by_line(beats), level_curve(clip, sample_rate, frame_rate)
    bright = mode_of(chroma_of(clip, sample_rate), tonic) == "major"
    return lambda piece, pulse: (
        beat_f_measure(beats, piece.beats),
        float(abs(tempo / piece.tempo_bpm - 1) <= 0.04),
        onset_motion_correlation(onsets, pulse),
        energy_correlation(level[: len(piece.energy)], piece.energy[: len(level)]),
        float(bright == (piece.mode in BRIGHT)),
    )


def run(
    n: int,
    settings: Settings,
    model: str,
    adapter: str,
    folder: Path,
    arms: tuple[Arm, ...] = ARMS,
    first: int = 0,
) -> dict[str, dict]:
    """Make and score everything for people from number `first` on, or what is not kept in `folder` yet.

    Returns:
        `rows`: an arm's name -> column -> mean and 95% interval, with "frechet", the distance to the band's own music
        in units of that of text only. `gains`: pairs of rows, see `COMPARED`. `controls`: an arm's name -> what is
        held `AGAINST_OTHERS` -> its mean for other people's videos and how far it lies above that, with p.
    """
    from ..generation import load_pipeline

    musicgen = load_pipeline(model, adapter).musicgen
    stage = stage_of(musicgen, n, first)
    pulses = [controls["pulse"] for controls in stage.controls()]
    own = _kept(folder / "band.npz", lambda: measure(_played(musicgen, stage), musicgen.sample_rate, stage, pulses))
    scores = {}
    for arm in arms:
        print(arm.name, file=sys.stderr, flush=True)
        path = folder / f"{arm.name.replace(' ', '_').replace(',', '')}.npz"
        scores[arm.name] = _kept(
            path,
            lambda arm=arm: measure(make(arm, stage, model, adapter, settings), musicgen.sample_rate, stage, pulses),
        )
        scores[arm.name]["tag adherence"] = tag_similarity(scores[arm.name]["tags"], own["tags"])
    return summary_of(scores, own)


def curve(n: int, settings: Settings, model: str, adapter: str, folder: Path) -> dict[float, dict]:
    """What visual guidance does: for each of `CURVE`, the row "face + motion" of `run`, and how far it is `above`.

    `above` is that of the correlation, from `controls`; "frechet" is in units of the row "text only" of the same
    people. They are those who choose, so that the default may be chosen by it.
    """
    arms = {arm.name: arm for arm in ARMS}
    names = {scale: f"visual guidance {scale:g}" for scale in CURVE}
    seeing = [replace(arms["face + motion"], name=name, visual_guidance=scale) for scale, name in names.items()]
    kept = kept_in(folder, model, adapter, settings, n, CHOOSING)
    results = run(n, settings, model, adapter, kept, (arms["text only"], *seeing), CHOOSING)
    return {
        scale: results["rows"][name] | {"above": results["controls"][name]["onset-motion correlation"]}
        for scale, name in names.items()
    }


def summary_of(scores: dict[str, dict[str, np.ndarray]], own: dict[str, np.ndarray]) -> dict[str, dict]:
    """What `run` returns, from the scores of each row and of the band's own music."""
    from .musicnn import frechet_distance

    flat = lambda heard: heard.reshape(-1, heard.shape[-1])  # noqa: E731
    apart = {name: frechet_distance(flat(own["embeddings"]), flat(row["embeddings"])) for name, row in scores.items()}
    unit = apart.get("text only", 1.0)
    scores = {
        name: row | {"the same, shuffled": row["shuffled onset-motion correlation"]} for name, row in scores.items()
    }
    rows = {
        name: {column: {"mean": float(row[column].mean()), "95": bootstrap_interval(row[column])} for column in COLUMNS}
        | {"frechet": apart[name] / unit}
        for name, row in scores.items()
    }
    return {
        "rows": rows,
        "gains": [
            {"row": a, "against": b, "column": column,
             **gain_of(scores[a][column] - scores[b][column])}
            for a, b, column in COMPARED if {a, b} <= scores.keys()
        ],
        "controls": {
            name: {column: _above(row[column], row[f"shuffled {column}"]) for column in AGAINST_OTHERS}
            for name, row in scores.items()
        },
    }  # fmt: skip


def _above(own: np.ndarray, shuffled: np.ndarray) -> dict[str, object]:
    """How far scores (N,) lie above those for other people's videos (N,)."""
    gap = own - shuffled
    return {"shuffled": float(shuffled.mean()), "above": float(gap.mean()), "95": bootstrap_interval(gap),
            "p": paired_permutation_test(gap)}  # fmt: skip


def _played(musicgen: MusicGen, stage: Stage) -> list[np.ndarray]:
    """The band's own music as it was played, before any codec."""
    return [band.play(piece, musicgen.sample_rate) for piece in stage.pieces]


def _kept(path: Path, make_scores) -> dict[str, np.ndarray]:  # noqa: ANN001 - a function without arguments
    """Scores from a file if it is there, else made and written to it."""
    if not path.exists():
        scores = make_scores()
        with writing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **scores)
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def table_of(results: dict[str, dict]) -> str:
    """The results as Markdown: a table of rows, and what was compared."""
    lines = [
        "| music from | " + " | ".join([*COLUMNS, "Frechet distance, text only = 1"]) + " |",
        "|---" * (len(COLUMNS) + 2) + "|",
    ]
    for name, row in results["rows"].items():
        cells = [
            f"{row[column]['mean']:.{digits}f} ({row[column]['95'][0]:.{digits}f} to {row[column]['95'][1]:.{digits}f})"
            for column, digits in COLUMNS.items()
        ]
        lines.append("| " + " | ".join([name, *cells, f"{row['frechet']:.2f}"]) + " |")
    lines += [
        "",
        "| above its shuffled control | " + " | ".join(AGAINST_OTHERS) + " |",
        "|---" * (1 + len(AGAINST_OTHERS)) + "|",
    ]
    for name, gaps in results["controls"].items():
        cells = [
            f"{gap['above']:+.2f} ({gap['95'][0]:+.2f} to {gap['95'][1]:+.2f}), p {gap['p']:.4f}"
            for gap in gaps.values()
        ]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    lines += ["", "| row | against | column | gain (95%) | p |", "|---|---|---|---|---|"]
    for gain in results["gains"]:
        low, high = gain["gain_95"]
        lines.append(
            f"| {gain['row']} | {gain['against']} | {gain['column']} | "
            f"{gain['gain']:+.2f} ({low:+.2f} to {high:+.2f}) | {gain['p']:.4f} |"
        )
    return "\n".join(lines)


def plot_results(results: dict[str, dict], path: Path) -> None:
    """A dot with its 95% interval for each row and column."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows, columns = results["rows"], [name for name in COLUMNS if name != "the same, shuffled"]
    figure, axes = plt.subplots(2, 3, figsize=(9.5, 0.9 + 0.52 * len(rows)), sharey=True, layout="constrained")
    places = np.arange(len(rows))[::-1]
    for ax, column in zip(axes.flat, columns, strict=True):
        means, errors = _means_and_errors(rows, column)
        ax.errorbar(means, places, xerr=errors, fmt="o", color="#0072B2", ecolor="0.4", capsize=3)
        if column == "onset-motion correlation":
            ax.plot([row["the same, shuffled"]["mean"] for row in rows.values()], places, "s", color="#E69F00",
                    markersize=4, label="onset-motion correlation with other people's videos")  # fmt: skip
            figure.legend(*ax.get_legend_handles_labels(), loc="outside lower right", fontsize="small")
        ax.set(title=column, yticks=places, yticklabels=list(rows), ylim=(-0.6, len(rows) - 0.4))
        ax.grid(axis="x", color="0.9")
        ax.spines[["top", "right"]].set_visible(False)
    with writing(path, overwrite=True) as temporary:
        figure.savefig(temporary)
    plt.close(figure)


def _means_and_errors(rows: dict, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Means (R,) of a column, and how far its interval reaches below and above (2, R)."""
    means = np.array([row[column]["mean"] for row in rows.values()])
    return means, np.abs(np.array([row[column]["95"] for row in rows.values()]).T - means)


def plot_curve(rows: dict[float, dict], path: Path) -> None:
    """Scores over visual guidance, and what it costs; a dotted line marks the default.

    A good default is where the beats have stopped gaining, and the music is no further from the band's than
    `MOST_FURTHER` times that by text only.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(11.5, 3.0), layout="constrained")
    for ax, column in zip(axes[:3], ("beat F-measure", "onset-motion correlation", "tag adherence"), strict=True):
        means, errors = _means_and_errors(rows, column)
        ax.errorbar(list(rows), means, yerr=errors, fmt="o-", color="#0072B2", ecolor="0.4", capsize=3)
        if column == "onset-motion correlation":
            ax.plot(list(rows), [row["the same, shuffled"]["mean"] for row in rows.values()], "s-", color="#E69F00",
                    markersize=4, label="other people's videos")  # fmt: skip
            ax.legend(loc="center right", bbox_to_anchor=(1.0, 0.3), fontsize="small", frameon=True, framealpha=1,
                      edgecolor="none")  # fmt: skip
        ax.set(title=column)
    axes[3].plot(list(rows), [row["frechet"] for row in rows.values()], "o-", color="#0072B2")
    axes[3].axhline(MOST_FURTHER, color="#E69F00", linestyle="--", label="limit")
    axes[3].legend(loc="lower right", fontsize="small")
    axes[3].set(title="Frechet / text only")
    for ax in axes:
        ax.axvline(Settings.visual_guidance, color="0.5", linestyle=":")
        ax.set(xlabel="visual guidance")
        ax.spines[["top", "right"]].set_visible(False)
    with writing(path, overwrite=True) as temporary:
        figure.savefig(temporary)
    plt.close(figure)


def kept_in(folder: Path, model: str, adapter: str, settings: Settings, n: int, first: int = 0) -> Path:
    """The folder, made if it is not there, of rows of one model, adapter, setting, people, and code."""
    from ..musicgen.adapter import BUNDLED
    from ..musicgen.loading import NANO

    folders = (NANO if model == "nano" else Path(model), BUNDLED if adapter == "bundled" else Path(adapter))
    made_by = [
        (EXAMPLES_VERSION, _SCORES_VERSION),
        *(digest_of(file) for folder in folders for file in sorted(folder.glob("*")) if file.suffix in KEPT_AS),
    ]
    place = folder / hashlib.sha256(json.dumps([made_by, settings.to_json(), n, first]).encode()).hexdigest()[:12]
    place.mkdir(parents=True, exist_ok=True)
    return place


def main(arguments: list[str] | None = None) -> int:
    """Run the experiments, write the figures, print the tables; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m expotion_lite.lab.ablations", description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=200, help="held-out songs and performers, 3 or more")
    parser.add_argument("--model", default="nano", help="nano or a folder")
    parser.add_argument("--adapter", default="bundled", help="bundled or a folder")
    parser.add_argument("--visual-guidance", type=float, default=Settings.visual_guidance)
    parser.add_argument("--guidance", type=float, default=Settings.guidance)
    parser.add_argument(
        "--curve", action="store_true", help="visual guidance from 0 to 12, for other people, instead of the table"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/experiments"), help="where rows are kept")
    parser.add_argument("--output", type=Path, default=Path("figures"), help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.clips > CHOOSING:
        parser.error(f"--clips is {CHOOSING:,} at most; people after these choose settings.")
    if options.clips < 3:
        parser.error("--clips is the number of people; with fewer than 3 there are no others to compare with.")
    settings = Settings(visual_guidance=options.visual_guidance, guidance=options.guidance)
    what = {"clips": options.clips, "settings": json.loads(settings.to_json())}
    options.output.mkdir(parents=True, exist_ok=True)
    if options.curve:
        rows = curve(options.clips, settings, options.model, options.adapter, options.folder)
        _write(options.output / "guidance.json", json.dumps(what | {"rows": rows}, indent=1))
        plot_curve(rows, options.output / "guidance.svg")
        return 0
    folder = kept_in(options.folder, options.model, options.adapter, settings, options.clips)
    results = run(options.clips, settings, options.model, options.adapter, folder)
    _write(options.output / "results.json", json.dumps(what | results, indent=1))
    _write(options.output / "results.md", table_of(results))
    plot_results(results, options.output / "results.svg")
    print(table_of(results))
    return 0


def _write(path: Path, text: str) -> None:
    with writing(path, overwrite=True) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
