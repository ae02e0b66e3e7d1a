"""Ablations: music made with and without each part of the system, for held-out people and songs.

    python -m expotion_lite.lab.ablations --clips 200

writes `figures/results.json`, `figures/results.md` and `figures/results.svg` and prints the tables. The captions name
the tonic, but neither tempo, mood nor mode, so that only the video can tell these. (A style makes some of them more
likely; the row "text only" shows how much.) Music and scores of each row are kept under `--folder`, so that an
interrupted run continues where it stopped.

    python -m expotion_lite.lab.ablations --curve --clips 200

does the same for the row "face + motion" at rising visual guidance. It uses other people, because its result chooses
the default, and writes `figures/guidance.json` and `figures/guidance.svg`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..controls.channels import Controls, hide
from ..controls.extraction import extract_controls
from ..data.synthetic import EXAMPLES_VERSION, HELD_OUT_PERFORMERS, HELD_OUT_SONGS, VALIDATION_OFFSET
from ..evaluation.following import make_music, summarise_gain
from ..evaluation.metrics import (
    beat_f_measure,
    bootstrap_interval,
    chroma_of,
    energy_correlation,
    f1_in_seconds,
    level_curve,
    mode_of,
    onset_motion_correlation,
    onset_strength,
    paired_permutation_test,
    seconds_with_onsets,
    tag_similarity,
    tempo_by_line,
    track_beats,
)
from ..evaluation.real_people import is_ill
from ..evaluation.report import add_options, write_json, write_text
from ..files import atomic_write, digest_of
from ..musicgen.settings import Settings
from ..synthetic import band
from ..synthetic.harmony import BRIGHT, KEYS
from .ablations_report import (
    AGAINST_OTHERS,
    COLUMNS,
    AblationResults,
    AboveControl,
    plot_curve,
    plot_results,
    results_page,
    tables_of,
)

if TYPE_CHECKING:
    from ..landmarks.extraction import Landmarks
    from ..synthetic.pieces import Piece

OTHERS = 20  # how many other people each clip is scored against
WEIGHTS = (".json", ".safetensors")  # endings of the files that a model or an adapter consists of
NOISE, LOSSES_PER_S = 0.04, 0.4  # of noisy landmarks: deviation in eye distances, and lost faces


@dataclass(frozen=True)
class Condition:
    """A row of the ablations: one way to make the music.

    Attributes:
        name: of the row.
        explanation: of the row, for readers of the report.
        method: of smoothing, see `extract_controls`.
        hidden: the modality that the model may not see: "expression", "motion", or "" for none.
        noisy: whether the landmarks are noisy.
        face_lost: whether no face is found, as if heads were turned away.
        visual_guidance: replaces that of the settings; 0 does not show the video at all.
        adapted: whether the adapter and LoRA are loaded.
        others_video: whether another person's video is shown.
        played: whether it is the band's own music, encoded and decoded.
    """

    name: str
    explanation: str
    method: str = "savgol"
    hidden: str = ""
    noisy: bool = False
    face_lost: bool = False
    visual_guidance: float | None = None
    adapted: bool = True
    others_video: bool = False
    played: bool = False


_PUBLISHED = "brought to 50 frames a second as in the published Expotion: means over 0.2 s, interpolated, without times"
_NOISY = (
    f"All channels, from noisy landmarks (standard deviation {NOISE:g} eye distances, the face lost {LOSSES_PER_S:g} "
    "times a second)"
)
CONDITIONS = (
    Condition(
        "text only",
        "nano without adapter and LoRA; it hears only the prompt.",
        adapted=False,
        visual_guidance=0.0,
    ),
    Condition("LoRA without video", "Adapter and LoRA are loaded, but no video is shown.", visual_guidance=0.0),
    Condition("face only", "The channels of motion are hidden.", hidden="motion"),
    Condition("motion only", "The channels of the face's expression are hidden.", hidden="expression"),
    Condition("face + motion", "All channels, smoothed by a Savitzky-Golay filter: the default."),
    Condition("face + motion, not smoothed", "All channels, resampled but not smoothed.", method="none"),
    Condition("face + motion, published interpolation", f"All channels, {_PUBLISHED}.", method="published"),
    Condition("noisy landmarks, smoothed", f"{_NOISY}, smoothed.", noisy=True),
    Condition("noisy landmarks, not smoothed", f"{_NOISY}, not smoothed.", noisy=True, method="none"),
    Condition("noisy landmarks, published interpolation", f"{_NOISY}, {_PUBLISHED}.", noisy=True, method="published"),
    Condition("head turned away", "No face is found in any frame; shoulders and arms remain.", face_lost=True),
    Condition("another person's video", "The prompt is the song's; the video is another person's.", others_video=True),
    Condition(
        "the band itself",
        "The song as the band plays it, encoded and decoded by nano's codec: a reference for music that fits.",
        played=True,
    ),
)
COMPARED = (  # (row, row that it is expected to be better than, column)
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
CURVE = (0.0, 2.0, 4.0, 5.5, 7.0)  # visual guidance
# Raise this when the same weights give other music, or the same music other scores; caches are then computed anew.
_SCORES_VERSION = 3


@dataclass(frozen=True)
class HeldOutPeople:
    """N held-out people and the songs that they move to.

    Attributes:
        pieces: N songs.
        clean: N landmarks.
        noisy: N landmarks of the same performances, with noise and lost faces.
        captions: N prompts.
        frame_rate: of the controls, in Hz.
        duration_s: of each song, in seconds.
    """

    pieces: list[Piece]
    clean: list[Landmarks]
    noisy: list[Landmarks]
    captions: list[str]
    frame_rate: float
    duration_s: float

    def controls(self, condition: Condition) -> list[Controls]:
        """Extract everybody's controls, with the landmarks, smoothing and hidden modality of a condition."""
        landmarks = self.noisy if condition.noisy else self.clean
        if condition.face_lost:
            landmarks = [without_face(each) for each in landmarks]
        controls = [
            extract_controls(each, frame_rate=self.frame_rate, duration_s=self.duration_s, method=condition.method)
            for each in landmarks
        ]
        if not condition.hidden:
            return controls
        return [replace(each, values=hide(each.values, each.channels, condition.hidden)) for each in controls]


def without_face(landmarks: Landmarks) -> Landmarks:
    """Return the landmarks as if no face had been found."""
    lost = {name: np.full_like(getattr(landmarks, name), np.nan) for name in ("face", "blendshapes", "head_pose")}
    return replace(landmarks, face_found=np.zeros_like(landmarks.face_found), **lost)


def held_out_people(n: int, duration_s: float, frame_rate: float, first: int = 0) -> HeldOutPeople:
    """Make held-out people and the songs that they move to.

    Args:
        n: how many.
        duration_s: the length of the songs, in seconds.
        frame_rate: of the controls, in Hz.
        first: number of the first person and song. Those from `VALIDATION_OFFSET` on choose settings.
    """
    from ..synthetic.camera import to_landmarks
    from ..synthetic.people import draw_performer
    from ..synthetic.performer import perform

    pieces, clean, noisy, captions = [], [], [], []
    for i in range(first, first + n):
        piece, person = band.compose(HELD_OUT_SONGS + i, duration_s), draw_performer(HELD_OUT_PERFORMERS + i)
        performance, shaky = perform(piece, person), replace(person, jitter=NOISE, losses_per_s=LOSSES_PER_S)
        pieces.append(piece)
        clean.append(to_landmarks(performance, person))
        noisy.append(to_landmarks(performance, shaky))
        captions.append(band.describe(piece, np.random.default_rng([piece.seed, 5]), tempo=False, mood=False, key=True))
    return HeldOutPeople(pieces, clean, noisy, captions, frame_rate, duration_s)


def make(condition: Condition, people: HeldOutPeople, model: str, adapter: str, settings: Settings) -> list[np.ndarray]:
    """Make the music of one condition for everybody. Return (samples,) float32 for each person."""
    import torch

    from ..generation import load_pipeline, to_audio
    from ..musicgen.codes import encode

    pipeline = load_pipeline(model, adapter if condition.adapted else None)
    musicgen = pipeline.musicgen
    if condition.played:
        played = _played_by_band(musicgen.sample_rate, people)
        return [to_audio(musicgen, encode(musicgen, torch.from_numpy(audio)[None])[0].numpy()) for audio in played]
    controls = people.controls(condition)
    if condition.others_video:
        controls = controls[1:] + controls[:1]
    if condition.visual_guidance is not None:
        settings = replace(settings, visual_guidance=condition.visual_guidance)
    return make_music(pipeline, people.captions, controls, settings)


def _played_by_band(sample_rate: int, people: HeldOutPeople) -> list[np.ndarray]:
    """Play the band's own music, without any codec."""
    return [band.play(piece, sample_rate) for piece in people.pieces]


@dataclass(frozen=True)
class _Features:
    """Features of a clip that the scores compare.

    Beats (B,) in seconds, tempo, onsets (T,), bins of a second (S,) bool with an onset, level (T,), and the mode.
    """

    beats: np.ndarray
    tempo_bpm: float
    onsets: np.ndarray
    seconds: np.ndarray
    level: np.ndarray
    bright: bool


def _features_of(clip: np.ndarray, sample_rate: int, frame_rate: float, tonic: int) -> _Features:
    """Analyse a clip. The mode is that of the third above a tonic 0..11, the one that the prompt named."""
    beats = track_beats(clip, sample_rate)
    return _Features(
        beats,
        tempo_by_line(beats),
        onset_strength(clip, sample_rate),
        seconds_with_onsets(clip, sample_rate),
        level_curve(clip, sample_rate, frame_rate),
        mode_of(chroma_of(clip, sample_rate), tonic) == "major",
    )


@dataclass(frozen=True)
class Reference:
    """The reference of a clip: a song, the pulse (T,) of the person who moved to it, and its seconds (S,) bool."""

    piece: Piece
    pulse: np.ndarray
    seconds: np.ndarray


def _fit(clip: _Features, reference: Reference) -> tuple[float, ...]:
    """Score how well a clip fits a song and the person who moved to it, for `AGAINST_OTHERS`."""
    piece = reference.piece
    return (
        beat_f_measure(clip.beats, piece.beats),
        float(abs(clip.tempo_bpm / piece.tempo_bpm - 1) <= 0.04),
        onset_motion_correlation(clip.onsets, reference.pulse),
        f1_in_seconds(clip.seconds, reference.seconds),
        energy_correlation(clip.level[: len(piece.energy)], piece.energy[: len(clip.level)]),
        float(clip.bright == (piece.mode in BRIGHT)),
    )


def references_of(people: HeldOutPeople, sample_rate: int) -> list[Reference]:
    """Return what the music is compared with. The pulse is that of clean, smoothed landmarks."""
    pulses = [controls["pulse"] for controls in people.controls(Condition("", ""))]
    return [
        Reference(piece, pulse, seconds_with_onsets(song, sample_rate))
        for piece, pulse, song in zip(people.pieces, pulses, _played_by_band(sample_rate, people), strict=True)
    ]


def measure(
    audio: Sequence[np.ndarray], sample_rate: int, people: HeldOutPeople, references: Sequence[Reference]
) -> dict[str, np.ndarray]:
    """Score the music of one condition.

    Args:
        audio: (samples,) for each of N people.
        sample_rate: in Hz.
        people: N.
        references: N, from `references_of`.

    Returns:
        For each of `AGAINST_OTHERS`, NAME -> (N,) for the own person, and "shuffled NAME" -> (N,), the mean over
        `OTHERS`. Also "ill takes" (N,), "embeddings" (N, P, 200) and "tags" (N, 50).
    """
    from .judges import at_equal_level, embeddings
    from .musicnn import tag

    n = len(audio)
    own, shuffled = [], []
    for i, clip in enumerate(audio):
        features = _features_of(clip, sample_rate, people.frame_rate, KEYS.index(people.pieces[i].key))
        own.append(_fit(features, references[i]))
        # The next person is left out: with `others_video`, the music was made for that person.
        others = [(i + k) % n for k in range(2, min(OTHERS, n - 2) + 2)]
        shuffled.append(np.mean([_fit(features, references[j]) for j in others], axis=0))
    scores = dict(zip(AGAINST_OTHERS, np.array(own, float).T, strict=True))
    scores |= {f"shuffled {name}": column for name, column in zip(AGAINST_OTHERS, np.array(shuffled).T, strict=True)}
    scores["ill takes"] = np.array([float(is_ill(clip, sample_rate)) for clip in audio])
    heard = embeddings(np.stack(audio), sample_rate)
    tags = np.array([list(tag(clip, sample_rate).values()) for clip in at_equal_level(np.stack(audio))])
    return scores | {"embeddings": heard, "tags": tags}


def run(
    n: int,
    settings: Settings,
    model: str,
    adapter: str,
    folder: Path,
    conditions: Sequence[Condition] = CONDITIONS,
    first: int = 0,
) -> AblationResults:
    """Make and score the music of all conditions, except for what `folder` already holds.

    Args:
        n: number of people.
        settings: of sampling.
        model: as of `load_pipeline`.
        adapter: as of `load_pipeline`.
        folder: where the scores of each row are kept.
        conditions: the rows.
        first: number of the first person.
    """
    from ..generation import load_pipeline

    musicgen = load_pipeline(model, adapter).musicgen
    people = held_out_people(n, musicgen.window / musicgen.frame_rate, musicgen.frame_rate, first)
    references = references_of(people, musicgen.sample_rate)

    def scores_of(audio: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        return measure(audio, musicgen.sample_rate, people, references)

    def scores_of_condition(condition: Condition) -> dict[str, np.ndarray]:
        return scores_of(make(condition, people, model, adapter, settings))

    own = _kept(folder / "band.npz", lambda: scores_of(_played_by_band(musicgen.sample_rate, people)))
    scores = {}
    for condition in conditions:
        print(condition.name, file=sys.stderr, flush=True)
        path = folder / f"{condition.name.replace(' ', '_').replace(',', '')}.npz"
        row = _kept(path, partial(scores_of_condition, condition))
        scores[condition.name] = row | {"tag adherence": tag_similarity(row["tags"], own["tags"])}
    return summarise(scores, own)


def _kept(path: Path, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return scores from a file; compute and write them if it does not exist."""
    if not path.exists():
        scores = compute()
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **scores)  # type: ignore[arg-type]  # NumPy's stub takes a name for `allow_pickle`
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def guidance_curve(n: int, settings: Settings, model: str, adapter: str, folder: Path) -> dict[float, dict[str, Any]]:
    """Measure the row "face + motion" at each visual guidance of `CURVE`, for the people who choose settings.

    Returns:
        Visual guidance -> a row of `AblationResults`, and "above": that of the onset-motion correlation in `controls`.
        "frechet" is in units of the row "text only" of the same people.
    """
    by_name = {condition.name: condition for condition in CONDITIONS}
    names = {scale: f"visual guidance {scale:g}" for scale in CURVE}
    rows = [replace(by_name["face + motion"], name=name, visual_guidance=scale) for scale, name in names.items()]
    kept = cache_folder(folder, model, adapter, settings, n, VALIDATION_OFFSET)
    results = run(n, settings, model, adapter, kept, (by_name["text only"], *rows), VALIDATION_OFFSET)
    return {
        scale: results["rows"][name] | {"above": results["controls"][name]["onset-motion correlation"]}
        for scale, name in names.items()
    }


def summarise(scores: dict[str, dict[str, np.ndarray]], own: dict[str, np.ndarray]) -> AblationResults:
    """Summarise scores as means, intervals and p.

    Args:
        scores: row -> what `measure` returns, and "tag adherence" (N,).
        own: what `measure` returns of the band's own music.
    """
    from .musicnn import frechet_distance

    def patches(row: dict[str, np.ndarray]) -> np.ndarray:
        return row["embeddings"].reshape(-1, row["embeddings"].shape[-1])

    distances = {name: frechet_distance(patches(own), patches(row)) for name, row in scores.items()}
    unit = distances.get("text only", 1.0)
    rows: dict[str, dict[str, Any]] = {}
    for name, row in scores.items():
        columns = row | {"the same, shuffled": row["shuffled onset-motion correlation"]}
        rows[name] = {
            column: {"mean": float(columns[column].mean()), "95": bootstrap_interval(columns[column])}
            for column in COLUMNS
        }
        rows[name]["frechet"] = distances[name] / unit
    return {
        "rows": rows,
        "gains": [
            {"row": a, "against": b, "column": column, **summarise_gain(scores[a][column] - scores[b][column])}
            for a, b, column in COMPARED
            if {a, b} <= scores.keys()
        ],
        "controls": {
            name: {column: _above_control(row[column], row[f"shuffled {column}"]) for column in AGAINST_OTHERS}
            for name, row in scores.items()
        },
    }


def _above_control(own: np.ndarray, shuffled: np.ndarray) -> AboveControl:
    """Summarise how far scores (N,) are above those for other people (N,)."""
    gap = own - shuffled
    return {
        "shuffled": float(shuffled.mean()),
        "above": float(gap.mean()),
        "95": bootstrap_interval(gap),
        "p": paired_permutation_test(gap),
    }


def write_report(results: AblationResults, clips: int, settings: dict[str, float], folder: Path) -> None:
    """Write `results.md` and `results.svg` from the content of `results.json`."""
    explanations = {condition.name: condition.explanation for condition in CONDITIONS}
    write_text(folder / "results.md", results_page(results, clips, settings, explanations))
    plot_results(results, folder / "results.svg")


def cache_folder(folder: Path, model: str, adapter: str, settings: Settings, n: int, first: int = 0) -> Path:
    """Return a folder, made if needed, for rows of one model, adapter, settings, people and version of the code."""
    from ..musicgen.adapter import BUNDLED
    from ..musicgen.loading import NANO

    folders = (NANO if model == "nano" else Path(model), BUNDLED if adapter == "bundled" else Path(adapter))
    made_by = [
        (EXAMPLES_VERSION, _SCORES_VERSION),
        *(digest_of(file) for folder in folders for file in sorted(folder.glob("*")) if file.suffix in WEIGHTS),
    ]
    key = hashlib.sha256(json.dumps([made_by, settings.to_json(), n, first]).encode()).hexdigest()[:12]
    place = folder / key
    place.mkdir(parents=True, exist_ok=True)
    return place


def main(arguments: list[str] | None = None) -> int:
    """Run the ablations, write the report, print the tables; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m expotion_lite.lab.ablations", description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=200, help="held-out songs and performers, 3 or more")
    add_options(parser)
    parser.add_argument(
        "--curve", action="store_true", help="visual guidance from 0 to 12, for other people, instead of the tables"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/experiments"), help="where rows are kept")
    options = parser.parse_args(arguments)
    if options.clips > VALIDATION_OFFSET:
        parser.error(f"--clips is {VALIDATION_OFFSET:,} at most; the people after these choose settings.")
    if options.clips < 3:
        parser.error("--clips is the number of people; with fewer than 3 there are no others to compare with.")
    settings = Settings(visual_guidance=options.visual_guidance, guidance=options.guidance)
    made_with = {"clips": options.clips, "settings": asdict(settings)}
    if options.curve:
        rows = guidance_curve(options.clips, settings, options.model, options.adapter, options.folder)
        write_json(options.output / "guidance.json", made_with | {"rows": rows})
        plot_curve(rows, options.output / "guidance.svg")
        return 0
    folder = cache_folder(options.folder, options.model, options.adapter, settings, options.clips)
    results = run(options.clips, settings, options.model, options.adapter, folder)
    write_json(options.output / "results.json", made_with | dict(results))
    write_report(results, options.clips, asdict(settings), options.output)
    print(tables_of(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
