"""Rows of nano's report: each measures one property, with an interval, beside its aim."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from ..evaluation.report import Interval
from ..generation import generate_from_text
from ..synthetic import band
from ..synthetic.harmony import BRIGHT, KEYS
from .judges import SECONDS, Corpus, MusicClassifier, balanced_accuracy, plays

if TYPE_CHECKING:
    from ..musicgen.loading import MusicGen
    from ..synthetic.pieces import Note, Piece

HELD_FRAMES = 100  # 2 s at 50 Hz: the length of silence or of one repeated code that counts as a fault


@dataclass(frozen=True)
class Row:
    """A line of the report.

    Attributes:
        what: the property.
        how: how it is measured.
        value: the measurement.
        interval: its 95% interval, or None.
        aim: the value that was aimed at, in words; empty if there is none.
    """

    what: str
    how: str
    value: float
    interval: Interval | None
    aim: str


def jackknife_interval(score: Callable[[np.ndarray], float], n: int) -> Interval:
    """Return the 95% jackknife interval of a score of n clips (Efron and Stein 1981).

    Twenty groups of clips are left out in turn. The bootstrap repeats clips, and the scores that use this function
    would be biased by fewer different clips.

    Args:
        score: from (M,) indices of clips to a number.
        n: number of clips.
    """
    order = np.random.default_rng(0).permutation(n)
    groups = np.array_split(order, min(20, n))
    without = [score(np.setdiff1d(order, group)) for group in groups]
    value, half_width = score(np.arange(n)), 1.96 * np.sqrt((len(groups) - 1) * np.var(without))
    return float(max(value - half_width, 0)), float(value + half_width)


def codec_rows(held: Corpus, musicgen: MusicGen) -> list[Row]:
    """Measure how well the codec keeps beats and pitch, and how evenly it uses its codebooks."""
    rate = musicgen.sample_rate

    def beats_of(clips: np.ndarray) -> np.ndarray:
        pairs = zip(clips, held.pieces, strict=True)
        return np.array([beat_f_measure(track_beats(clip, rate), piece.beats) for clip, piece in pairs])

    def ratio(decoded: np.ndarray, original: np.ndarray, axis: int = -1) -> np.ndarray:
        return decoded.mean(axis) / original.mean(axis)

    size = musicgen.model.decoder.config.vocab_size

    def usage(picks: np.ndarray) -> list[float]:
        return [_perplexity(held.codes[picks, k], size) / size for k in range(musicgen.n_codebooks)]

    original, decoded, n = beats_of(held.audio), beats_of(held.decoded), len(held.pieces)
    each = usage(np.arange(n))
    return [
        Row(
            "codec: beats",
            "F at 70 ms, decoded / original",
            float(ratio(decoded, original)),
            bootstrap_interval(decoded, original, statistic=ratio, draws=2000),
            ">= 0.95",
        ),
        Row(
            "codec: codebook use",
            f"perplexity / size, the least of {', '.join(f'{use:.2f}' for use in each)}",
            min(each),
            jackknife_interval(lambda picks: min(usage(picks)), n),
            ">= 0.5",
        ),
        tuning_row(held, rate),
    ]


def tuning_row(held: Corpus, sample_rate: int) -> Row:
    """Measure how many notes keep their pitch through the codec.

    If a codec does not keep the phase of its frames, tones slide to multiples of 50 Hz.
    """
    by_piece: list[list[bool]] = []
    for piece, original, decoded in zip(held.pieces, held.audio, held.decoded, strict=True):
        kept = []
        for note in filter(_is_long, piece.notes):
            start, end = _sustained(note)
            span, hz = slice(round(start * sample_rate), round(end * sample_rate)), 440 * 2 ** ((note.pitch - 69) / 12)
            if abs(cents_off(original[span], sample_rate, hz)) < 10:
                kept.append(abs(cents_off(decoded[span], sample_rate, hz)) < 20)
        by_piece.append(kept)

    def score(picks: np.ndarray) -> float:
        notes = [kept for i in picks for kept in by_piece[i]]
        return float(np.mean(notes)) if notes else 0.0

    how = "long notes from C4 up, within 20 cents, of those so in the original; chance 0.2"
    indices = np.arange(len(by_piece))
    return Row("codec: in tune", how, score(indices), bootstrap_interval(indices, statistic=score, draws=1000), "")


def _sustained(note: Note) -> tuple[float, float]:
    """Return the part of a note between its attack and its release, at most 0.43 s: (start, end) in seconds."""
    return note.onset_s + 0.05, note.onset_s + min(note.duration_s, 0.5) - 0.02


def _is_long(note: Note) -> bool:
    """Return whether a note is C4 or higher and is held for 0.2 s within the clip."""
    start, end = _sustained(note)
    return note.pitch >= 60 and end - start >= 0.2 and start >= 0 and end <= SECONDS


def _perplexity(codes: np.ndarray, size: int) -> float:
    """Return the perplexity of codes of one codebook: the number of entries that would be as varied if used evenly."""
    share = np.bincount(codes.ravel(), minlength=size) / codes.size
    return float(np.exp(-(share * np.log(share + 1e-12)).sum()))


def tempo_prompts(sample_rate: int, n: int) -> tuple[list[str], list[Piece], np.ndarray]:
    """Choose prompts that name a style and a tempo, both such that the beat tracker is right on the band's own pieces.

    A style is taken if the tracker finds the tempo of three of its pieces out of three. Otherwise a style without a
    clear beat, such as a drone, would measure the tracker instead of the model.

    Args:
        sample_rate: in Hz.
        n: how many.

    Returns:
        (n prompts, another piece of the band for each, (n,) tempos from 60 to 170 beats a minute)
    """
    rng, tempos, chosen = np.random.default_rng(42), np.linspace(60, 170, n).round(), []
    range_of = {name: style.tempo_bpm for name, style in band.STYLES.items()}
    for bpm in tempos:
        for style in rng.permutation([s for s, (low, high) in range_of.items() if low <= bpm <= high]):
            seeds = rng.integers(720_000_000, 730_000_000, size=4)
            pieces = [band.compose(int(seed), SECONDS, style=str(style), tempo_bpm=float(bpm)) for seed in seeds]
            if all(right_tempo(band.play(piece, sample_rate), sample_rate, bpm) for piece in pieces[:3]):
                break  # if no style passes, the last one is taken
        chosen.append(pieces[3])
    return [f"{piece.style}, {bpm:.0f} bpm" for piece, bpm in zip(chosen, tempos, strict=True)], chosen, tempos


def right_tempo(audio: np.ndarray, sample_rate: int, bpm: float) -> bool:
    """Return whether the tempo of a line through the beats of audio (N,) is within 4% of `bpm`."""
    return abs(tempo_by_line(track_beats(audio, sample_rate)) / bpm - 1) <= 0.04


def tempo_row(musicgen: MusicGen, n: int) -> Row:
    """Measure how often music has the tempo that its prompt names, over n prompts."""
    rate = musicgen.sample_rate
    prompts, pieces, tempos = tempo_prompts(rate, n)
    audio, _ = generate_from_text(musicgen, prompts, SECONDS)
    right, of_band = (
        np.array([right_tempo(clip, rate, bpm) for clip, bpm in zip(clips, tempos, strict=True)])
        for clips in (audio, [band.play(piece, rate) for piece in pieces])
    )
    how = f"line through the beats within 4%, octave errors are wrong; of the band's own {of_band.mean():.2f} are right"
    return Row("tempo follows text", how, float(right.mean()), bootstrap_interval(right), ">= 0.80")


def key_rows(musicgen: MusicGen, n: int) -> list[Row]:
    """Measure how often music has the tonic and the mode that its prompt names, such as "waltz in D minor"."""
    rate, pieces = musicgen.sample_rate, [band.compose(740_000_000 + i, SECONDS) for i in range(n)]
    prompts = [f"{piece.style} in {piece.key} {piece.mode}" for piece in pieces]
    audio, _ = generate_from_text(musicgen, prompts, SECONDS)
    right = _right_keys(audio, pieces, rate)
    of_band = _right_keys([band.play(piece, rate) for piece in pieces], pieces, rate)
    hows = {
        "tonic": "that of the key that fits best (chance 0.08)",
        "mode": "the third above the tonic asked for (chance 0.5)",
    }
    return [
        Row(
            f"{what} follows text",
            f"{hows[what]}; of the band's own {of_band[what].mean():.2f} are right",
            float(right[what].mean()),
            bootstrap_interval(right[what]),
            "",
        )
        for what in hows
    ]


def _right_keys(clips: Iterable[np.ndarray], pieces: Sequence[Piece], sample_rate: int) -> dict[str, np.ndarray]:
    """Return whether N clips have the "tonic" and the "mode" of N pieces: name -> (N,) bool."""
    tonics, modes = [], []
    for clip, piece in zip(clips, pieces, strict=True):
        chroma, tonic = chroma_of(clip, sample_rate), KEYS.index(piece.key)
        tonics.append(key_of(chroma)[0] == tonic)
        modes.append((mode_of(chroma, tonic) == "major") == (piece.mode in BRIGHT))
    return {"tonic": np.array(tonics), "mode": np.array(modes)}


def families_row(classifier: MusicClassifier, held: Corpus, decoded: np.ndarray, generated: np.ndarray) -> Row:
    """Measure whether the instruments that a prompt names play, and no others.

    Args:
        classifier: which recognises the families.
        held: N pieces.
        decoded: (N, P, 200) embeddings of the pieces through the codec, which give the classifier's own accuracy.
        generated: (N, P, 200) embeddings of music for prompts that name only the instruments of the pieces.
    """
    truth = {name: plays(held.pieces, name) for name in classifier.families}
    predicted = classifier.predict_families(generated)

    def score(picks: np.ndarray) -> float:
        return balanced_accuracy({k: v[picks] for k, v in predicted.items()}, {k: v[picks] for k, v in truth.items()})

    indices = np.arange(len(held.pieces))
    ceiling = balanced_accuracy(classifier.predict_families(decoded), truth)
    how = (
        f"{len(truth)} families there or not, balanced (chance 0.5), prompts that name instruments only; "
        f"by a classifier that is right on {ceiling:.2f} of the band through the codec"
    )
    interval = bootstrap_interval(indices, statistic=score, draws=1000)
    return Row("instruments follow text", how, score(indices), interval, ">= 0.85")


def style_row(classifier: MusicClassifier, held: Corpus, heard: Mapping[str, np.ndarray]) -> Row:
    """Measure how often music has the style that its prompt names.

    Args:
        classifier: which recognises the styles.
        held: N pieces.
        heard: (N, P, 200) embeddings of "band", "through the codec" and "nano".
    """
    right = {
        name: classifier.style_is_right(heard[name], held.pieces) for name in ("band", "through the codec", "nano")
    }
    original, decoded = right["band"].mean(), right["through the codec"].mean()
    how = (
        f"by a classifier that is right on {original:.2f} of the band's own, {decoded:.2f} of it through the codec; "
        f"chance {1 / len(classifier.style.classes_):.2f}"
    )
    aim = f">= {0.75 * max(original, decoded):.2f}"  # the classifier was trained on music through the codec
    return Row("style follows text", how, float(right["nano"].mean()), bootstrap_interval(right["nano"]), aim)


def in_tune_row(held: Corpus, audio: np.ndarray, sample_rate: int) -> Row:
    """Measure whether generated audio (N, samples) is in tune, beside the band."""
    of_band, generated = (np.array([in_tune(clip, sample_rate) for clip in clips]) for clips in (held.audio, audio))
    how = f"loudest tone within 20 cents of a note; the band: {of_band.mean():.2f}, chance 0.4"
    return Row("in tune", how, float(generated.mean()), bootstrap_interval(generated), "")


def style_prompt(piece: Piece) -> str:
    """Return a prompt that names the style and all instruments of a piece."""
    return f"{piece.style} with {_instruments(piece)}"


def instruments_prompt(piece: Piece) -> str:
    """Return a prompt that names all instruments of a piece, and no style."""
    return f"music with {_instruments(piece)}"


def _instruments(piece: Piece) -> str:
    *most, last = piece.instruments
    return f"{', '.join(most)} and {last}" if most else last


@dataclass(frozen=True)
class _Fault:
    """A fault of generated clips: how it is detected, and the share of clips that was aimed at."""

    how: str
    aim: str


FAULTS = {
    "silent": _Fault("RMS under 0.002 for 2 s", "0"),
    "clipped": _Fault("0.1% of the samples at full scale", "0"),
    "stuck": _Fault("one code of any codebook for 2 s", "<= 0.01"),
    "noise-like": _Fault("median spectral flatness over 0.3", "<= 0.01"),
}


def find_faults(audio: np.ndarray, codes: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    """Detect the faults named in `FAULTS`.

    Args:
        audio: (N, samples).
        codes: (N, K, T) at 50 Hz.
        sample_rate: in Hz.

    Returns:
        Fault -> (N,) bool.
    """
    from librosa.feature import spectral_flatness

    hop = sample_rate // 50
    frames = audio[:, : audio.shape[1] // hop * hop].reshape(len(audio), -1, hop)
    quiet = np.sqrt((frames**2).mean(2)) < 0.002
    flatness = np.array([np.median(spectral_flatness(y=clip)) for clip in audio])
    return {
        "silent": np.array([_longest_run(row, of=True) >= HELD_FRAMES for row in quiet]),
        "clipped": (np.abs(audio) >= 0.99).mean(1) > 1e-3,
        "stuck": np.array([max(_longest_run(row) for row in clip) >= HELD_FRAMES for clip in codes]),
        "noise-like": flatness > 0.3,
    }


def _longest_run(values: np.ndarray, of: float | None = None) -> int:
    """Return the length of the longest run of one value in values (T,): of any value, or of `of`."""
    starts = np.array([0, *np.flatnonzero(np.diff(values)) + 1])
    lengths = np.diff([*starts, len(values)])
    return int(lengths[values[starts] == of].max(initial=0) if of is not None else lengths.max())


def health_rows(audio: np.ndarray, codes: np.ndarray, held: Corpus, sample_rate: int) -> list[Row]:
    """Measure the shares of clips with each fault, with exact intervals (Clopper and Pearson 1934).

    Args:
        audio: (N, samples), generated.
        codes: (N, K, T) of it.
        held: pieces of the band, whose shares are named beside.
        sample_rate: in Hz.
    """
    from scipy.stats import binomtest

    of_band = find_faults(held.audio, held.codes, sample_rate)
    rows = []
    for name, found in find_faults(audio, codes, sample_rate).items():
        span = binomtest(int(found.sum()), len(found)).proportion_ci(method="exact")
        how = f"{FAULTS[name].how}; the band's own: {of_band[name].mean():.2f}"
        interval = (float(span.low), float(span.high))
        rows.append(Row(f"health: {name}", how, float(found.mean()), interval, FAULTS[name].aim))
    return rows


def quality_rows(sets: Mapping[str, np.ndarray], styles: tuple[np.ndarray, np.ndarray]) -> list[Row]:
    """Measure Frechet distances to the band's music, in units of the distance between two of its styles.

    Args:
        sets: name -> (N, P, 200) embeddings, "band" among them.
        styles: (N, P, 200) embeddings of each of two styles.
    """
    from .musicnn import frechet_distance

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return frechet_distance(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]))

    unit, of_band = distance(*styles), sets["band"]
    aims = {"through the codec": "<= 0.25", "nano": "<= 2 x the codec's"}
    indices, rows = np.arange(len(of_band)), []
    for name, heard in sets.items():
        if name == "band":
            continue

        def score(picks: np.ndarray, heard: np.ndarray = heard) -> float:
            return distance(heard[picks], of_band[picks]) / unit

        how = "Frechet, musicnn, 1 = from rock to techno"
        interval = jackknife_interval(score, len(indices))
        rows.append(Row(f"distance to the band: {name}", how, score(indices), interval, aims.get(name, "")))
    return rows


def peak_mb() -> float:
    """Return the peak memory of this process, in MB."""
    status = Path("/proc/self/status")  # on Linux, ru_maxrss also counts the process that started this one
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1000
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes


def resource_rows(model: str) -> list[Row]:
    """Measure the speed with guidance, the size on disk, and the memory of a process that makes one clip."""
    from ..musicgen.loading import NANO

    speeds = _speeds(model)
    folder = NANO.parent if model == "nano" else Path(model)  # nano's adapter and the example clip count, too
    assets = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    code = (
        "from expotion_lite.generation import generate_from_text; from expotion_lite.musicgen.loading import load; "
        "from expotion_lite.lab.nano_report_rows import peak_mb; "
        f"generate_from_text(load({model!r}), ['rock'], {SECONDS}); print(peak_mb())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    how = "seconds of music a second, one clip, guidance on, two cores, median of five"
    return [
        Row("speed", how, float(np.median(speeds)), (min(speeds), max(speeds)), ">= 3"),
        Row("size", "MB of assets on disk", assets, None, "<= 60"),
        Row("memory", "MB at most, to make one clip of 10 s", float(run.stdout), None, "<= 1000"),
    ]


def _speeds(model: str, repeats: int = 5) -> list[float]:
    """Return how many seconds of music a model makes in a second on two cores, measured several times."""
    import torch

    from ..musicgen.loading import load

    musicgen, threads = load(model), torch.get_num_threads()
    torch.set_num_threads(2)
    speeds = []
    for _ in range(1 + repeats):
        began = time.perf_counter()
        generate_from_text(musicgen, ["rock"], SECONDS)
        speeds.append(SECONDS / (time.perf_counter() - began))
    torch.set_num_threads(threads)
    return speeds[1:]  # the first run warms up
