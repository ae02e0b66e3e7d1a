"""Does live music follow people as they move? Synthetic people, changes of tempo, single gestures, and real motion.

    python -m expotion_lite.lab.live_following --report figures/live.json --motion motion.npz

shows recordings to the live engine as if they happened now, with a clock that runs faster than time. A picture is
reported 0.06 s after it was taken, as long as finding its landmarks takes. All that is measured counts from the moment
at which a sound would be heard. `--motion` is a file of curves as `lab.real_motion` reads it; without it, that row is
left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.metrics import beat_f_measure, bootstrap_interval, tempo_by_line, track_beats
from ..evaluation.real_people import gains_over_others, is_ill
from ..evaluation.report import markdown_table, new_figure, with_interval, write_json
from ..generation import Pipeline, load_pipeline
from ..landmarks.extraction import Landmarks
from ..live import DELAY_S, LiveEngine, RecentControls, play_recording
from ..musicgen.settings import Settings
from ..plots.palette import rgb
from ..synthetic.band import compose
from ..synthetic.camera import to_landmarks
from ..synthetic.people import Performance, Performer, draw_performer
from ..synthetic.performer import perform
from ..synthetic.pieces import Piece
from .real_motion import Clip, all_channels, motions_of, read_clips
from .stress import find_onsets

PROMPTS = (
    "techno with drums and synth lead",
    "rock with guitar, bass and drums",
    "lo-fi hip hop with electric piano and drums",
    "latin bossa nova with nylon guitar and percussion",
)
"""Styles without a tempo."""
LATENCY_S = 0.06
SETTLED_S = 5.0  # beats are compared from here on
PEOPLE, TEMPI, GESTURES = 46_000, 47_000, 48_000  # first seeds
TEMPO_CHANGES = ((0.0, 90.0), (20.0, 120.0), (40.0, 100.0))  # seconds, beats a minute
ADAPTED_S = 3.0  # after a change of tempo, the music should have it
ANSWERED_S = (0.1, 0.7)  # seconds after a gesture in which its sound begins


def show_live(pipeline: Pipeline, landmarks: Landmarks, duration_s: float, prompt: str, seed: int) -> np.ndarray:
    """Let somebody move in front of the live engine. Return the sound as it would be heard."""
    engine, times, shown = LiveEngine(pipeline, prompt, Settings(seed=seed)), landmarks.times, 0

    def show(now_s: float) -> None:
        nonlocal shown
        while shown < len(times) and times[shown] <= now_s - LATENCY_S:
            engine.see(landmarks.part(shown, shown + 1))
            shown += 1

    return play_recording(engine, show, duration_s)


def steady_people(pipeline: Pipeline, n: int) -> dict[str, Any]:
    """Measure the beats of music for synthetic people: own song's, and those of the others' songs."""
    rate, music, beats = pipeline.musicgen.sample_rate, [], []
    for i in range(n):
        piece, person = compose(PEOPLE + i, 20.0), draw_performer(PEOPLE + i)
        landmarks = to_landmarks(perform(piece, person), person)
        music.append(show_live(pipeline, landmarks, 20.0, PROMPTS[i % len(PROMPTS)], i))
        beats.append(piece.beats[piece.beats > SETTLED_S])
        _tell(f"person {i + 1} of {n}")
    found = [track_beats(audio, rate) for audio in music]
    scores = np.array([[beat_f_measure(own[own > SETTLED_S], true) for true in beats] for own in found])
    others = (scores.sum(axis=1) - scores.diagonal()) / max(1, n - 1)
    ill = np.array([float(is_ill(audio[round(SETTLED_S * rate) :], rate)) for audio in music])
    return {"beat_f": _mean(scores.diagonal()), "beat_f_others": _mean(others), "ill": _mean(ill), "people": n}


def tempo_changes(pipeline: Pipeline, n: int) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Measure whether the music takes over a change of tempo in time. Return this, and the beats of each take."""
    rate, right, scores, all_beats = pipeline.musicgen.sample_rate, [], [], []
    for i in range(n):
        piece, person = _piece_with_changes(TEMPI + i), _nodding(TEMPI + i)
        landmarks = to_landmarks(perform(piece, person), person)
        audio = show_live(pipeline, landmarks, 60.0, PROMPTS[i % len(PROMPTS)], i)
        ends = [start for start, _ in TEMPO_CHANGES[1:]] + [60.0]
        beats = []
        for (start, tempo), end in zip(TEMPO_CHANGES, ends, strict=True):
            first = start + (ADAPTED_S if start else SETTLED_S)
            found = first + track_beats(audio[round(first * rate) : round(end * rate)], rate)
            beats.append(found)
            true = piece.beats[(piece.beats > first) & (piece.beats < end)]
            right.append(float(abs(tempo_by_line(found) / tempo - 1) <= 0.04))
            scores.append(beat_f_measure(found, true))
        all_beats.append(np.concatenate(beats))
        _tell(f"tempo changes {i + 1} of {n}")
    by_take = np.array([right, scores]).reshape(2, n, -1).mean(axis=2)
    return {"tempo_right": _mean(by_take[0]), "beat_f": _mean(by_take[1]), "takes": n}, all_beats


def _piece_with_changes(seed: int) -> Piece:
    """Compose a piece whose beats follow `TEMPO_CHANGES`, for somebody to nod to."""
    beats = [0.4]
    while beats[-1] < 60:
        tempo = [bpm for start, bpm in TEMPO_CHANGES if start <= beats[-1]][-1]
        beats.append(beats[-1] + 60 / tempo)
    times = np.array(beats)
    energy = np.full(3000, 0.7, np.float32)
    return replace(
        compose(seed, 60.0), beats=times, downbeats=times[::4], accents=times[::4], energy=energy, beats_per_bar=4
    )


def _nodding(seed: int) -> Performer:
    """Draw somebody who nods on every beat in front of a camera that sees face and body."""
    return replace(
        draw_performer(seed), lead="nod", every=1, offbeat=False, nod_deg=12.0, face_seen=True, body_seen=True
    )


def gestures(pipeline: Pipeline, n: int) -> dict[str, Any]:
    """Measure how often a single conductor's hit after stillness is answered in time, and 1.5 s before it by chance."""
    rate = pipeline.musicgen.sample_rate
    answered: list[float] = []
    by_chance: list[float] = []
    louder: list[float] = []
    for i in range(n):
        hit_s = 6.0 + 2.0 * np.random.default_rng([GESTURES, i]).random()
        audio = show_live(pipeline, _one_hit(GESTURES + i, hit_s), 10.0, PROMPTS[i % len(PROMPTS)], i)
        onsets = find_onsets(audio, rate)
        for list_of, at in ((answered, hit_s), (by_chance, hit_s - 1.5)):
            list_of.append(float(((onsets > at + ANSWERED_S[0]) & (onsets <= at + ANSWERED_S[1])).any()))
        louder.append(_level_db(audio, rate, hit_s + 0.4, hit_s + 1.4) - _level_db(audio, rate, hit_s - 1.0, hit_s))
        _tell(f"gesture {i + 1} of {n}")
    rows = {"answered": answered, "by_chance": by_chance, "louder_db": louder}
    return {name: _mean(np.array(values)) for name, values in rows.items()} | {"gestures": n}


def _one_hit(seed: int, hit_s: float) -> Landmarks:
    """Return the landmarks of somebody who sits still for 10 s, but for both hands that strike down once.

    The hands of some people are out of the picture; they count, too.
    """
    person = replace(
        _nodding(seed),
        nod_deg=0.0,
        bounce=0.0,
        sway=0.0,
        conduct=0.0,
        tap=0.0,
        tilt_deg=0.0,
        fidget=0.05,
        arms_seen=True,
    )
    take = perform(replace(compose(seed, 10.0), beats=np.zeros(0), accents=np.zeros(0)), person)
    distance = np.where(take.times < hit_s, (hit_s - take.times) / 0.3, (take.times - hit_s) / 0.5).clip(0, 1)
    curves = dict(take.curves)
    for hand in ("left_hand_y", "right_hand_y"):
        curves[hand] = (curves[hand] + 1.6 * (0.5 + 0.5 * np.cos(np.pi * distance))).astype(np.float32)
    return to_landmarks(Performance(take.times, curves, take.seed), person)


def real_motion(pipeline: Pipeline, clips: Sequence[Clip]) -> dict[str, Any]:
    """Measure own minus others' motion, as `lab.real_motion` does, with the motion that was `DELAY_S` ago."""
    rate, music = pipeline.musicgen.sample_rate, []
    for i, clip in enumerate(clips):
        eyes = RecentControls(all_channels(clip, pixels=True))
        engine = LiveEngine(pipeline, PROMPTS[i % len(PROMPTS)], Settings(seed=i), eyes=eyes)

        def show(now_s: float, eyes: RecentControls = eyes) -> None:
            eyes.now_s = max(0.0, now_s - LATENCY_S)

        audio = play_recording(engine, show, len(clip.controls.values) / 50 + DELAY_S)
        music.append(audio[round(DELAY_S * rate) :])
        _tell(f"clip {i + 1} of {len(clips)}")
    gains = gains_over_others([music], rate, motions_of(list(clips)), [clip.source for clip in clips])
    ill = np.array([float(is_ill(audio, rate)) for audio in music])
    return dict(gains) | {"ill": _mean(ill), "clips": len(clips)}


def plot_tempo(takes: Sequence[np.ndarray], path: Path) -> None:
    """Draw the tempo of a person who changes it twice, and of the music of some takes.

    Args:
        takes: beats of each, seconds.
        path: the SVG to write.
    """
    with new_figure(path, (7.5, 3.2)) as (_, axes):
        ax = axes[0, 0]
        edges = [start for start, _ in TEMPO_CHANGES] + [60.0]
        ax.stairs(
            [bpm for _, bpm in TEMPO_CHANGES], edges, color=rgb("black"), linewidth=2, label="person", baseline=None
        )
        for i, beats in enumerate(takes):
            tempo = 60 / np.maximum(np.convolve(np.diff(beats), np.ones(4) / 4, "valid"), 1e-6)
            middle = beats[2:-2]
            same = np.array(
                [len({sum(t >= e for e in edges) for t in beats[j : j + 5]}) == 1 for j in range(len(tempo))]
            )
            label = "music" if i == 0 else None
            ax.plot(middle[same], tempo[same], ".", color=rgb("blue"), alpha=0.5, label=label)
        ax.set(xlabel="time (s)", ylabel="tempo (beats a minute)", xlim=(0, 60), ylim=(60, 150))
        ax.legend(loc="upper right")


def _level_db(audio: np.ndarray, rate: int, start_s: float, end_s: float) -> float:
    """Return the level of a stretch of audio in dB."""
    part = audio[round(start_s * rate) : round(end_s * rate)]
    return float(20 * np.log10(np.sqrt(np.mean(part**2)) + 1e-4))


def _mean(values: np.ndarray) -> list[float]:
    """Return the mean of values (N,) with the bounds of its 95% interval."""
    return [float(values.mean()), *map(float, bootstrap_interval(values))]


def _tell(text: str) -> None:
    """Print progress."""
    print(text, file=sys.stderr, flush=True)


def table_of(report: dict[str, Any]) -> str:
    """Return a report as a Markdown table."""

    def cell(part: str, name: str, sign: str = "", digits: int = 2) -> str:
        value, *interval = report[part][name]
        return with_interval(value, interval, digits, sign)

    rows = [
        ["beat F, own song", cell("people", "beat_f")],
        ["beat F, others' songs", cell("people", "beat_f_others")],
        ["ill takes", cell("people", "ill")],
        [f"tempo within 4%, from {ADAPTED_S:g} s after a change", cell("tempo", "tempo_right")],
        ["beat F there", cell("tempo", "beat_f")],
        [f"gesture after stillness answered within {ANSWERED_S[1]:g} s", cell("gestures", "answered")],
        ["the same, 1.5 s before it", cell("gestures", "by_chance")],
        ["louder after the gesture than before (dB)", cell("gestures", "louder_db", "+", 1)],
    ]
    for name in ("speed", "stop", "joints"):
        if "real" in report:
            gain = report["real"][name]
            text = f"{with_interval(gain['gain'], gain['gain_95'], sign='+')}, p {gain['p']:.4f}"
            rows.append([f"real people, gain over others: {name}", text])
    return markdown_table(["measured", "mean (95%)"], rows)


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a table; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.lab.live_following", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--adapter", default="bundled", help="bundled or a folder")
    parser.add_argument("--people", type=int, default=10, help="synthetic people, and gestures (default: %(default)s)")
    parser.add_argument("--takes", type=int, default=3, help="of a minute with changes of tempo (default: %(default)s)")
    parser.add_argument("--motion", type=Path, help="a file of real people's motion")
    parser.add_argument(
        "--report", type=Path, metavar="FILE.json", help="where to write the numbers, and a figure beside"
    )
    options = parser.parse_args(arguments)
    pipeline = load_pipeline("nano", options.adapter)
    report: dict[str, Any] = {"people": steady_people(pipeline, options.people)}
    report["tempo"], beats = tempo_changes(pipeline, options.takes)
    report["gestures"] = gestures(pipeline, options.people)
    if options.motion is not None:
        report["real"] = real_motion(pipeline, read_clips(options.motion))
    print(table_of(report))
    if options.report is not None:
        write_json(options.report, report)
        plot_tempo(beats, options.report.with_suffix(".svg"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
