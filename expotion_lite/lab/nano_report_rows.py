"""The rows of nano's report: each measures one thing, with its interval, beside what was aimed at."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation.metrics import (
    beat_f_measure,
    bootstrap_interval,
    cents_off,
    chroma_of,
    in_tune,
    key_of,
    mode_of,
    tempo_by_line,
    track_beats,
)
from ..generation import generate_from_text
from ..synthetic import band
from ..synthetic.harmony import BRIGHT, KEYS
from .judges import SECONDS, Corpus, Judge, balanced_accuracy, plays

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..musicgen.loading import MusicGen
    from ..synthetic.pieces import Piece


@dataclass(frozen=True)
class Row:
    """A line of the table: `what` was measured and `how`, its `value` with a 95% interval, and what was aimed at."""

    what: str
    how: str
    value: float
    interval: tuple[float, float] | None
    aim: str


def resampled(score: Callable[[np.ndarray], float], n: int, draws: int = 1000) -> tuple[float, float]:
    """95% percentile bootstrap interval of a score of the chosen among n clips, (M,) indices to a number."""
    rng = np.random.default_rng(0)
    low, high = np.quantile([score(rng.integers(n, size=n)) for _ in range(draws)], [0.025, 0.975])
    return float(low), float(high)


def jackknifed(score: Callable[[np.ndarray], float], n: int) -> tuple[float, float]:
    """95% interval of a score of n clips, (M,) indices to a number, by leaving out each of twenty groups of them.

    For scores that would be another with fewer different clips (Efron and Stein 1981).
    """
    every = np.random.default_rng(0).permutation(n)
    groups = np.array_split(every, min(20, n))
    without = [score(np.setdiff1d(every, group)) for group in groups]
    value, spread = score(np.sort(every)), 1.96 * np.sqrt((len(groups) - 1) * np.var(without))
    return float(max(value - spread, 0)), float(value + spread)


def codec_rows(held: Corpus, musicgen: MusicGen) -> list[Row]:
    """What the codec keeps of the beat, and how evenly it uses its codebooks."""
    scores = [
        [beat_f_measure(track_beats(clip, musicgen.sample_rate), piece.beats) for clip in (original, decoded)]
        for piece, original, decoded in zip(held.pieces, held.audio, held.decoded, strict=True)
    ]
    original, decoded = np.array(scores).T
    rng = np.random.default_rng(0)
    picks = rng.integers(len(scores), size=(2000, len(scores)))
    ratios = np.quantile(decoded[picks].mean(1) / original[picks].mean(1), [0.025, 0.975])
    size = musicgen.model.decoder.config.vocab_size
    used = lambda picks: [_perplexity(held.codes[picks, k], size) / size for k in range(musicgen.n_codebooks)]  # noqa: E731
    use = used(np.arange(len(scores)))
    return [
        Row("codec: beats", "F at 70 ms, decoded / original", float(decoded.mean() / original.mean()),
            (float(ratios[0]), float(ratios[1])), ">= 0.95"),
        Row("codec: codebook use", f"perplexity / size, the least of {', '.join(f'{each:.2f}' for each in use)}",
            min(use), jackknifed(lambda picks: min(used(picks)), len(scores)), ">= 0.5"),
        tuning_row(held, musicgen.sample_rate),
    ]  # fmt: skip


def tuning_row(held: Corpus, sample_rate: int) -> Row:
    """Whether notes keep their pitch: where nothing holds their phase, tones slide to multiples of 50 Hz."""
    by_piece = []
    for piece, original, decoded in zip(held.pieces, held.audio, held.decoded, strict=True):
        right = []
        for note in piece.notes:
            start, end = note.onset_s + 0.05, note.onset_s + min(note.duration_s, 0.5) - 0.02
            if note.pitch < 60 or end - start < 0.2 or start < 0 or end > SECONDS:
                continue
            hz, span = 440 * 2 ** ((note.pitch - 69) / 12), slice(round(start * sample_rate), round(end * sample_rate))
            if abs(cents_off(original[span], sample_rate, hz)) < 10:
                right.append(abs(cents_off(decoded[span], sample_rate, hz)) < 20)
        by_piece.append(right)

    def score(picks: np.ndarray) -> float:
        notes = [right for i in picks for right in by_piece[i]]
        return float(np.mean(notes)) if notes else 0.0

    n = len(by_piece)
    return Row("codec: in tune", "long notes from C4 up, within 20 cents, of those so in the original; chance 0.2",
               score(np.arange(n)), resampled(score, n), "")  # fmt: skip


def _perplexity(codes: np.ndarray, size: int) -> float:
    share = np.bincount(codes.ravel(), minlength=size) / codes.size
    return float(np.exp(-(share * np.log(share + 1e-12)).sum()))


def tempo_prompts(sample_rate: int, n: int) -> tuple[list[str], list[Piece], np.ndarray]:
    """Prompts that name a style and a tempo at which the beat tracker reads three of three of the band's pieces right.

    What a listener cannot tap to, such as a drone, would measure the tracker instead of the model.

    Returns:
        (n prompts, a fourth piece of the band for each, (n,) their tempi, 60 to 170 bpm)
    """
    rng, wanted, chosen = np.random.default_rng(42), np.linspace(60, 170, n).round(), []
    range_of = {name: style.tempo_bpm for name, style in band.STYLES.items()}
    for bpm in wanted:
        for style in rng.permutation([s for s, (low, high) in range_of.items() if low <= bpm <= high]):
            pieces = [band.compose(int(seed), SECONDS, style=str(style), tempo_bpm=float(bpm))
                      for seed in rng.integers(720_000_000, 730_000_000, size=4)]  # fmt: skip
            if all(right_tempo(band.play(piece, sample_rate), sample_rate, bpm) for piece in pieces[:3]):
                break  # without any, the last style stays
        chosen.append(pieces[3])
    return [f"{piece.style}, {bpm:.0f} bpm" for piece, bpm in zip(chosen, wanted, strict=True)], chosen, wanted


def right_tempo(audio: np.ndarray, sample_rate: int, bpm: float) -> bool:
    """Whether a line through the beats of the audio is within 4% of a tempo."""
    return abs(tempo_by_line(track_beats(audio, sample_rate)) / bpm - 1) <= 0.04


def tempo_row(musicgen: MusicGen, n: int) -> Row:
    """Whether the tempo that a prompt names is the tempo that is played."""
    rate = musicgen.sample_rate
    prompts, pieces, wanted = tempo_prompts(rate, n)
    audio, _ = generate_from_text(musicgen, prompts, SECONDS)
    right, known = (
        np.array([right_tempo(clip, rate, bpm) for clip, bpm in zip(clips, wanted, strict=True)])
        for clips in (audio, [band.play(piece, rate) for piece in pieces])
    )
    how = f"line through the beats within 4%, octave errors are wrong; of the band's own {known.mean():.2f} are right"
    return Row("tempo follows text", how, float(right.mean()), bootstrap_interval(right), ">= 0.80")


def key_rows(musicgen: MusicGen, n: int) -> list[Row]:
    """Whether music is in the key that a prompt names, such as "waltz in D minor": its tonic, and its third."""
    rate, pieces = musicgen.sample_rate, [band.compose(740_000_000 + i, SECONDS) for i in range(n)]
    audio, _ = generate_from_text(musicgen, [f"{piece.style} in {piece.key} {piece.mode}" for piece in pieces], SECONDS)

    def right(clips: list[np.ndarray]) -> np.ndarray:
        """(2, n): whether the tonic and the mode are those of the pieces."""
        found = []
        for clip, piece in zip(clips, pieces, strict=True):
            chroma, tonic = chroma_of(clip, rate), KEYS.index(piece.key)
            bright = mode_of(chroma, tonic) == "major"
            found.append((key_of(chroma)[0] == tonic, bright == (piece.mode in BRIGHT)))
        return np.array(found).T

    said, known = right(list(audio)), right([band.play(piece, rate) for piece in pieces])
    hows = (
        f"that of the key that fits best (chance 0.08); of the band's own {known[0].mean():.2f} are right",
        f"the third above the tonic asked for (chance 0.5); of the band's own {known[1].mean():.2f} are right",
    )
    return [
        Row(f"{what} follows text", how, float(hits.mean()), bootstrap_interval(hits), "")
        for what, how, hits in zip(("tonic", "mode"), hows, said, strict=True)
    ]


def families_row(judge: Judge, held: Corpus, heard: dict[str, np.ndarray]) -> Row:
    """Whether who plays is who was asked for, by prompts that name players only. heard: "decoded", "asked"."""
    truth = {name: plays(held.pieces, name) for name in judge.families}
    known, said = judge.hears(heard["decoded"]), judge.hears(heard["asked"])

    def score(picks: np.ndarray) -> float:
        return balanced_accuracy({k: v[picks] for k, v in said.items()}, {k: v[picks] for k, v in truth.items()})

    n = len(held.pieces)
    ceiling = balanced_accuracy(known, truth)
    how = (
        f"{len(truth)} families there or not, balanced (chance 0.5), prompts that name players only; "
        f"by a judge who is right on {ceiling:.2f} of the band through the codec"
    )
    return Row("instruments follow text", how, score(np.arange(n)), resampled(score, n), ">= 0.85")


def style_row(judge: Judge, held: Corpus, heard: dict[str, np.ndarray]) -> Row:
    """Whether the style is the one that was asked for. heard: "band", "through the codec", "nano"."""
    right = {name: judge.right_style(heard[name], held.pieces) for name in ("band", "through the codec", "nano")}
    ceiling, decoded = right["band"].mean(), right["through the codec"].mean()
    how = (
        f"by a judge who is right on {ceiling:.2f} of the band's own, {decoded:.2f} of it through the codec; "
        f"chance {1 / len(judge.style.classes_):.2f}"
    )
    aim = f">= {0.75 * max(ceiling, decoded):.2f}"  # the judge has learned from music through the codec
    return Row("style follows text", how, float(right["nano"].mean()), bootstrap_interval(right["nano"]), aim)


def in_tune_row(held: Corpus, audio: np.ndarray, sample_rate: int) -> Row:
    """Whether what a model plays, audio (N, samples), is in tune, beside the band."""
    original, sung = (np.array([in_tune(clip, sample_rate) for clip in clips]) for clips in (held.audio, audio))
    how = f"loudest tone within 20 cents of a note; the band: {original.mean():.2f}, chance 0.4"
    return Row("in tune", how, float(sung.mean()), bootstrap_interval(sung), "")


def prompt_for(piece: Piece) -> str:
    """A prompt that names the style and everybody who plays."""
    return f"{piece.style} with {_everybody(piece)}"


def players_of(piece: Piece) -> str:
    """A prompt that names everybody who plays, and no style."""
    return f"music with {_everybody(piece)}"


def _everybody(piece: Piece) -> str:
    *most, last = piece.instruments
    return f"{', '.join(most)} and {last}" if most else last


def sick(audio: np.ndarray, codes: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    """Which of N clips are silent (for 2 s or more), clipped, stuck or noise: name -> (N,) bool.

    audio: (N, samples); codes: (N, K, T) at 50 Hz.
    """
    import librosa

    hop = sample_rate // 50
    parts = audio[:, : audio.shape[1] // hop * hop].reshape(len(audio), -1, hop)
    quiet = np.sqrt((parts**2).mean(2)) < 0.002
    flat = np.array([np.median(librosa.feature.spectral_flatness(y=clip)) for clip in audio])
    return {
        "silent": np.array([_longest_run(row, of=True) >= 100 for row in quiet]),
        "clipped": (np.abs(audio) >= 0.99).mean(1) > 1e-3,
        "stuck": np.array([max(_longest_run(row) for row in clip) >= 100 for clip in codes]),
        "noise-like": flat > 0.3,
    }


def _longest_run(values: np.ndarray, of: float | None = None) -> int:
    """For how many frames one value is repeated at most, any or the one that is named. values: (T,)."""
    starts = np.array([0, *np.flatnonzero(np.diff(values)) + 1])
    lengths = np.diff([*starts, len(values)])
    return int(lengths[values[starts] == of].max(initial=0) if of is not None else lengths.max())


def health_rows(audio: np.ndarray, codes: np.ndarray, played: Corpus, sample_rate: int) -> list[Row]:
    """Shares of clips that are silent, clipped, stuck or noise, with exact intervals (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    how = {
        "silent": "RMS under 0.002 for 2 s", "clipped": "0.1% of the samples at full scale",
        "stuck": "one code of any codebook for 2 s", "noise-like": "median spectral flatness over 0.3",
    }  # fmt: skip
    aims = {"silent": "0", "clipped": "0", "stuck": "<= 0.01", "noise-like": "<= 0.01"}
    own = sick(played.audio, played.codes, sample_rate)
    rows = []
    for name, bad in sick(audio, codes, sample_rate).items():
        span = binomtest(int(bad.sum()), len(bad)).proportion_ci(method="exact")
        rows.append(Row(f"health: {name}", f"{how[name]}; the band's own: {own[name].mean():.2f}", float(bad.mean()),
                        (float(span.low), float(span.high)), aims[name]))  # fmt: skip
    return rows


def quality_rows(sets: dict[str, np.ndarray], styles: tuple[np.ndarray, np.ndarray]) -> list[Row]:
    """Frechet distances to the band's music, in units of the distance between two of its styles.

    sets: (N, P, 200) embeddings by name, "band" among them, of equal size; styles: the same of two styles.
    """
    from .musicnn import frechet_distance

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return frechet_distance(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]))

    unit, original, rows = distance(*styles), sets["band"], []
    aims = {"through the codec": "<= 0.25", "nano": "<= 2 x the codec's"}
    for name, heard in sets.items():
        if name == "band":
            continue
        score = lambda picks, heard=heard: distance(heard[picks], original[picks]) / unit  # noqa: E731
        value, span = score(np.arange(len(original))), jackknifed(score, len(original))
        how = "Frechet, musicnn, 1 = from rock to techno"
        rows.append(Row(f"distance to the band: {name}", how, value, span, aims.get(name, "")))
    return rows


def peak_mb() -> float:
    """The most memory that this process has held, MB."""
    status = Path("/proc/self/status")  # Linux: ru_maxrss there also remembers the process that started this one
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1000
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes


def resource_rows(model: str) -> list[Row]:
    """Speed with guidance, size on disk, and the memory of a process that makes one clip."""
    import torch

    from ..musicgen.loading import NANO, load

    threads, speeds = torch.get_num_threads(), []
    torch.set_num_threads(2)
    musicgen = load(model)
    for _ in range(6):  # the first warms up
        began = time.perf_counter()
        generate_from_text(musicgen, ["rock"], SECONDS)
        speeds.append(SECONDS / (time.perf_counter() - began))
    torch.set_num_threads(threads)
    folder = NANO.parent if model == "nano" else Path(model)  # with nano: its adapter and the clip too
    assets = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    code = (
        "from expotion_lite.generation import generate_from_text; from expotion_lite.musicgen.loading import load; "
        "from expotion_lite.lab.nano_report_rows import peak_mb; "
        f"generate_from_text(load({model!r}), ['rock'], {SECONDS}); print(peak_mb())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [
        Row(
            "speed",
            "seconds of music a second, one clip, guidance on, two cores, median of five",
            float(np.median(speeds[1:])),
            (min(speeds[1:]), max(speeds[1:])),
            ">= 3",
        ),
        Row("size", "MB of assets on disk", assets, None, "<= 60"),
        Row("memory", "MB at most, to make one clip of 10 s", float(run.stdout), None, "<= 1000"),
    ]
