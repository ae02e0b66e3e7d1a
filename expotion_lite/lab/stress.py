"""Timing and health: does music meet given events, and does it stay well whatever is shown?

    python -m expotion_lite.lab.stress

makes music for lists of irregular events, for single gestures after stillness, and for odd inputs (noise, constants,
extremes, nobody), and prints a table. `--seconds 60` makes long music for the odd inputs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..controls.channels import ADAPTER_CHANNELS, Controls
from ..controls.events import Events, event_curve, find_activity
from ..evaluation.following import make_music
from ..evaluation.metrics import beat_f_measure, bootstrap_interval, onset_strength
from ..evaluation.real_people import is_ill
from ..evaluation.report import markdown_table, with_interval
from ..generation import Pipeline, load_pipeline
from ..musicgen.settings import Settings
from .real_motion import PROMPTS

RATE = 50.0
ANSWERED_S = 0.15  # a gesture is answered if an onset lies within this time


def controls_of(events: Events, n_frames: int) -> Controls:
    """Return the controls of somebody whose movements arrive at these events and who has no face."""
    curve = event_curve(events, n_frames, RATE)
    values = np.zeros((n_frames, len(ADAPTER_CHANNELS)), np.float32)
    values[:, ADAPTER_CHANNELS.index("event")] = curve
    values[:, ADAPTER_CHANNELS.index("activity")] = find_activity(curve, RATE)
    values[:, ADAPTER_CHANNELS.index("face_missing")] = 1
    return Controls(values, ADAPTER_CHANNELS, RATE, np.ones(n_frames, bool))


def irregular_events(duration_s: float, rng: np.random.Generator) -> Events:
    """Draw events 0.35 to 1.6 s apart, without a beat."""
    times = 0.4 + np.cumsum(np.append(0.0, np.exp(rng.uniform(np.log(0.35), np.log(1.6), 40))))
    times = times[times < duration_s - 0.3]
    return Events(times, rng.uniform(0.6, 1.0, len(times)))


def find_onsets(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return when sounds begin, (N,) seconds: librosa's onsets, those of the louder half of the strengths."""
    from librosa.onset import onset_detect

    strength = onset_strength(audio, sample_rate, 100.0)
    frames = onset_detect(onset_envelope=strength, sr=sample_rate, hop_length=round(sample_rate / 100), delta=0.12)
    return np.asarray(frames / 100.0)


def timing(pipeline: Pipeline, n: int, settings: Settings) -> list[list[str]]:
    """Measure how well irregular events are met, and how often a single gesture is answered: rows of a table."""
    duration_s, rate = 10.0, pipeline.musicgen.sample_rate
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(n)]
    lists = [irregular_events(duration_s, np.random.default_rng([3, i])) for i in range(n)]
    music = make_music(pipeline, prompts, [controls_of(each, 500) for each in lists], settings, progress=False)
    onsets = [find_onsets(audio, rate) for audio in music]
    own = np.array([beat_f_measure(onsets[i], lists[i].times, 0.1) for i in range(n)])
    others = np.array(
        [np.mean([beat_f_measure(onsets[i], lists[j].times, 0.1) for j in range(n) if j != i]) for i in range(n)]
    )

    gestures = [2.5 + 2.0 * np.random.default_rng([4, i]).random() for i in range(n)]
    hits = [controls_of(Events(np.array([time]), np.ones(1)), 500) for time in gestures]
    music = make_music(pipeline, prompts, hits, settings, progress=False)
    answered = np.array(
        [_answered(find_onsets(audio, rate), time) for audio, time in zip(music, gestures, strict=True)]
    )
    by_chance = np.array(
        [_answered(find_onsets(audio, rate), time - 1.3) for audio, time in zip(music, gestures, strict=True)]
    )
    return [
        ["irregular events: F within 0.1 s", _mean(own)],
        ["the same, other lists", _mean(others)],
        ["gesture after stillness: answered within 0.15 s", _mean(answered)],
        ["the same, 1.3 s before it", _mean(by_chance)],
    ]


def _answered(onsets: np.ndarray, time: float) -> float:
    """Return 1 if there is an onset near a time, else 0."""
    return float((np.abs(onsets - time) <= ANSWERED_S).any())


def odd_controls(kind: str, n_frames: int, seed: int) -> Controls:
    """Return controls that no person gives: "noise", "constant", "extreme", "missing" or "still"."""
    rng, shape = np.random.default_rng([5, seed]), (n_frames, len(ADAPTER_CHANNELS))
    missing = [ADAPTER_CHANNELS.index(name) for name in ("face_missing", "motion_missing")]
    makers: dict[str, Callable[[], np.ndarray]] = {
        "noise": lambda: rng.normal(0, 1, shape).clip(-1.5, 1.5),
        "constant": lambda: np.tile(rng.uniform(-1, 1, shape[1]), (n_frames, 1)),
        "extreme": lambda: np.where(rng.random(shape) < 0.5, -1.5, 1.5),
        "missing": lambda: np.zeros(shape),
        "still": lambda: np.zeros(shape),
    }
    values = makers[kind]().astype(np.float32)
    values[:, missing] = 1 if kind == "missing" else 0
    values[:, [ADAPTER_CHANNELS.index(name) for name in ("event", "activity")]] = np.clip(values[:, :2], 0, 1)
    return Controls(values, ADAPTER_CHANNELS, RATE, np.ones(n_frames, bool))


def health(pipeline: Pipeline, n: int, seconds: float, settings: Settings) -> list[list[str]]:
    """Measure how often music falls ill with odd inputs: rows of a table."""
    rows = []
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(n)]
    for kind in ("noise", "constant", "extreme", "missing", "still"):
        shown = [odd_controls(kind, round(seconds * RATE), i) for i in range(n)]
        music = make_music(pipeline, prompts, shown, settings, progress=False)
        ill = np.array([float(is_ill(audio, pipeline.musicgen.sample_rate)) for audio in music])
        rows.append([f"ill takes of {seconds:g} s: {kind}", _mean(ill)])
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def _mean(values: np.ndarray) -> str:
    """Format the mean of values (N,) with its interval."""
    return with_interval(float(values.mean()), bootstrap_interval(values))


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.lab.stress", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--adapter", default="bundled", help="bundled or a folder")
    parser.add_argument("--clips", type=int, default=32, help="of each kind")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the music for odd inputs")
    parser.add_argument("--visual-guidance", type=float, default=Settings.visual_guidance)
    options = parser.parse_args(arguments)
    pipeline = load_pipeline("nano", options.adapter)
    settings = replace(Settings(seed=7), visual_guidance=options.visual_guidance)
    rows = timing(pipeline, options.clips, settings) + health(pipeline, options.clips, options.seconds, settings)
    print(markdown_table(["measured", "mean (95%)"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
