"""How good nano is without a video: does its codec keep the music, does its music follow the words, is it healthy?

    python -m expotion_lite.nano_evaluation
    python -m expotion_lite.nano_evaluation --codec runs/codec/codec

The first prints a table and writes `figures/nano.json`, the second measures a codec alone and writes
`figures/codec.json`. The pieces are held out: nothing was trained on them. Prompts are worded like captions, so a short
one may have been a caption too, of another piece.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .bands import BANDS, band_of
from .files import writing
from .metrics import beat_f_measure, bootstrap_interval, cents_off, in_tune, tempo_by_line, track_beats

if TYPE_CHECKING:
    from collections.abc import Callable

    from .band import Piece
    from .bands import Band
    from .musicgen import MusicGen

FIRST = 8_500  # songs from here to 9,999 are used by nothing else
FIRST_OF_CODEC = 100_000  # songs from here choose a codec, so that those above measure what was chosen
SECONDS = 10.0
FAMILIES = {
    "drums": ("drums",),
    "piano": ("piano",),
    "guitar": ("guitar", "electric guitar", "nylon guitar"),
    "strings": ("strings",),
    "synth": ("synth lead", "synth bass"),
}


@dataclass(frozen=True)
class Row:
    """A line of the table: `what` was measured and `how`, its `value` with a 95% interval, and what was aimed at."""

    what: str
    how: str
    value: float
    interval: tuple[float, float] | None
    aim: str


@dataclass(frozen=True)
class Corpus:
    """N pieces as the band plays them and as the codec gives them back: audio (N, samples), codes (N, K, T)."""

    pieces: list[Piece]
    audio: np.ndarray
    decoded: np.ndarray
    codes: np.ndarray


def corpus(musicgen: MusicGen, n: int, first: int, **drawn: Any) -> Corpus:
    """Let the model's band play n pieces, encode and decode them. drawn: what it shall not draw, such as a style."""
    import torch

    from .musicgen import decode, encode

    band = band_of(musicgen)
    pieces = [band.compose(first + i, SECONDS, **drawn) for i in range(n)]
    audio = np.stack([band.play(piece, musicgen.sample_rate) for piece in pieces])
    parts = [encode(musicgen, torch.from_numpy(audio[i : i + 8])) for i in range(0, n, 8)]
    decoded = np.concatenate([decode(musicgen, part).numpy() for part in parts])
    return Corpus(pieces, audio, decoded, torch.cat(parts).cpu().numpy())


def sing(
    musicgen: MusicGen, prompts: list[str], *, batch: int = 20, **settings: float
) -> tuple[np.ndarray, np.ndarray]:
    """Music for prompts without a video. Returns (audio (N, samples), codes (N, K, T))."""
    import torch

    from .decoding import StepDecoder
    from .musicgen import decode
    from .sampling import Condition, encode_prompts, sample_codes
    from .settings import Settings

    decoder, codes = StepDecoder(musicgen.model.decoder), []
    for i in range(0, len(prompts), batch):
        text = Condition(*encode_prompts(musicgen, prompts[i : i + batch]))
        chosen = Settings(seed=i, **settings)
        codes.append(sample_codes(musicgen, decoder, text, round(SECONDS * musicgen.frame_rate), chosen))
        print(f"  {min(i + batch, len(prompts))} of {len(prompts)} clips", file=sys.stderr, flush=True)
    return np.concatenate([decode(musicgen, part).numpy() for part in codes]), torch.cat(codes).cpu().numpy()


def embeddings(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """musicnn's embeddings of clips at equal loudness, 3 s at a time. audio: (N, samples). Returns (N, P, 200)."""
    from .musicnn import embed

    level = np.sqrt((audio**2).mean(1, keepdims=True))
    return np.stack([embed(clip, sample_rate, overlap_s=0.0) for clip in 0.1 * audio / np.maximum(level, 1e-4)])


class Judge:
    """Tells styles and instruments by ear: logistic regression on musicnn's embeddings of band audio (scikit-learn)."""

    def __init__(self, heard: np.ndarray, pieces: list[Piece]) -> None:
        """heard: (N, P, 200) embeddings of these N pieces."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        fresh = lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=2000))  # noqa: E731
        x = heard.mean(1)
        self.style = fresh().fit(x, [piece.style for piece in pieces])
        self.families = {name: fresh().fit(x, plays(pieces, name)) for name in FAMILIES}

    def right_style(self, heard: np.ndarray, pieces: list[Piece]) -> np.ndarray:
        """(N,) whether each clip sounds like the style of its piece."""
        return self.style.predict(heard.mean(1)) == np.array([piece.style for piece in pieces])

    def hears(self, heard: np.ndarray) -> dict[str, np.ndarray]:
        """Which of N clips each family plays in: name -> (N,) bool."""
        return {name: judge.predict(heard.mean(1)) for name, judge in self.families.items()}


def balanced_accuracy(said: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> float:
    """How often what is there is heard and what is not there is not, which weigh the same; mean over the names.

    Example:
        >>> balanced_accuracy({"drums": np.array([1, 1, 1, 1])}, {"drums": np.array([1, 1, 1, 0])})
        0.5
    """
    right = [said[name][truth[name] == there] == there for name in truth for there in (True, False)]
    return float(np.mean([part.mean() for part in right if len(part)]))


def resampled(score: Callable[[np.ndarray], float], n: int, draws: int = 1000) -> tuple[float, float]:
    """95% percentile bootstrap interval of a score of the chosen among n clips, (M,) indices to a number."""
    rng = np.random.default_rng(0)
    low, high = np.quantile([score(rng.integers(n, size=n)) for _ in range(draws)], [0.025, 0.975])
    return float(low), float(high)


def families_row(judge: Judge, held: Corpus, heard: dict[str, np.ndarray]) -> Row:
    """Whether who plays is who was asked for, by prompts that name players only. heard: "decoded", "asked"."""
    truth = {name: plays(held.pieces, name) for name in FAMILIES}
    known, said = judge.hears(heard["decoded"]), judge.hears(heard["asked"])

    def score(picks: np.ndarray) -> float:
        return balanced_accuracy({k: v[picks] for k, v in said.items()}, {k: v[picks] for k, v in truth.items()})

    n = len(held.pieces)
    ceiling = balanced_accuracy(known, truth)
    how = (
        "five families there or not, balanced (chance 0.5), prompts that name players only; "
        f"by a judge who is right on {ceiling:.2f} of the band through the codec"
    )
    return Row("instruments follow text", how, score(np.arange(n)), resampled(score, n), ">= 0.85")


def plays(pieces: list[Piece], family: str) -> np.ndarray:
    """(N,) whether a family plays in each piece."""
    return np.array([bool(set(FAMILIES[family]) & set(piece.instruments)) for piece in pieces])


def prompt_for(piece: Piece) -> str:
    """A prompt that names the style and everybody who plays."""
    *most, last = piece.instruments
    return f"{piece.style} with {', '.join(most)} and {last}" if most else f"{piece.style} with {last}"


def players_of(piece: Piece) -> str:
    """A prompt that names everybody who plays, and no style."""
    *most, last = piece.instruments
    return f"music with {', '.join(most)} and {last}" if most else f"music with {last}"


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
    use = [_perplexity(held.codes[:, k], size) / size for k in range(musicgen.n_codebooks)]
    return [
        Row("codec: beats", "F at 70 ms, decoded / original", float(decoded.mean() / original.mean()),
            (float(ratios[0]), float(ratios[1])), ">= 0.95"),
        Row("codec: codebook use", "perplexity / size, the least used codebook", min(use), None, ">= 0.5"),
        tuning_row(held, musicgen.sample_rate),
    ]  # fmt: skip


def tuning_row(held: Corpus, sample_rate: int) -> Row:
    """Whether notes keep their pitch: where codes hold no phase, tones slide to the nearest multiple of 50 Hz."""
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


def tempo_prompts(band: Band, sample_rate: int, n: int) -> tuple[list[str], list[Piece], np.ndarray]:
    """Prompts that name a style and a tempo at which the beat tracker reads three of three of the band's pieces right.

    What a listener cannot tap to, such as a drone, would measure the tracker instead of the model.

    Returns:
        (n prompts, a fourth piece of the band for each, (n,) their tempi, 60 to 170 bpm)
    """
    rng, wanted, chosen = np.random.default_rng(42), np.linspace(60, 170, n).round(), []
    range_of = {name: style.tempo_bpm for name, style in band.styles.items()}
    for bpm in wanted:
        for style in rng.permutation(
            [s for s, (low, high) in range_of.items() if low <= bpm <= high] or list(range_of)
        ):
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
    rate, band = musicgen.sample_rate, band_of(musicgen)
    prompts, pieces, wanted = tempo_prompts(band, rate, n)
    audio, _ = sing(musicgen, prompts)
    right, known = (
        np.array([right_tempo(clip, rate, bpm) for clip, bpm in zip(clips, wanted, strict=True)])
        for clips in (audio, [band.play(piece, rate) for piece in pieces])
    )
    how = f"line through the beats within 4%, octave errors are wrong; of the band's own {known.mean():.2f} are right"
    return Row("tempo follows text", how, float(right.mean()), bootstrap_interval(right), ">= 0.80")


def sick(audio: np.ndarray, codes: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    """Which of N clips are silent (for 2 s or more), clipped, stuck or noise: name -> (N,) bool.

    audio: (N, samples); codes: (N, K, T) at 50 Hz.
    """
    import librosa

    seconds = audio[:, : audio.shape[1] // sample_rate * sample_rate].reshape(len(audio), -1, sample_rate)
    quiet = np.sqrt((seconds**2).mean(2)) < 0.002
    flat = np.array([np.median(librosa.feature.spectral_flatness(y=clip)) for clip in audio])
    return {
        "silent": (quiet[:, 1:] & quiet[:, :-1]).any(1),
        "clipped": (np.abs(audio) >= 0.99).mean(1) > 1e-3,
        "stuck": np.array([max(_longest_run(row) for row in clip) >= 100 for clip in codes]),
        "noise-like": flat > 0.3,
    }


def _longest_run(codes: np.ndarray) -> int:
    """For how many frames one code is repeated at most. codes: (T,)."""
    changes = np.flatnonzero(np.diff(codes)) + 1
    return int(np.diff([0, *changes, len(codes)]).max())


def health_rows(audio: np.ndarray, codes: np.ndarray, band: Corpus, sample_rate: int) -> list[Row]:
    """Shares of clips that are silent, clipped, stuck or noise, with exact intervals (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    how = {
        "silent": "RMS under 0.002 for 2 s", "clipped": "0.1% of the samples at full scale",
        "stuck": "one code of any codebook for 2 s", "noise-like": "median spectral flatness over 0.3",
    }  # fmt: skip
    aims = {"silent": "0", "clipped": "0", "stuck": "<= 0.01", "noise-like": "<= 0.01"}
    own = sick(band.audio, band.codes, sample_rate)
    rows = []
    for name, bad in sick(audio, codes, sample_rate).items():
        span = binomtest(int(bad.sum()), len(bad)).proportion_ci(method="exact")
        rows.append(Row(f"health: {name}", f"{how[name]}; the band's own: {own[name].mean():.2f}", float(bad.mean()),
                        (float(span.low), float(span.high)), aims[name]))  # fmt: skip
    return rows


def quality_rows(sets: dict[str, np.ndarray], styles: tuple[np.ndarray, np.ndarray]) -> list[Row]:
    """Frechet distances to the band's music, in units of the distance between two of its styles.

    The intervals are by the jackknife over twenty groups of clips (Efron and Stein 1981).
    sets: (N, P, 200) embeddings by name, "band" among them, of equal size; styles: the same of two styles.
    """
    from .musicnn import frechet_distance

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return frechet_distance(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]))

    unit, band, rows = distance(*styles), sets["band"], []
    aims = {"through the codec": "<= 0.25", "nano": "<= 2 x the codec's"}
    groups = np.array_split(np.random.default_rng(0).permutation(len(band)), min(20, len(band)))
    for name, heard in sets.items():
        if name == "band":
            continue
        value = distance(heard, band) / unit
        without = [distance(np.delete(heard, g, 0), np.delete(band, g, 0)) / unit for g in groups]
        spread = 1.96 * np.sqrt((len(groups) - 1) * np.var(without))
        rows.append(Row(f"distance to the band: {name}", "Frechet, musicnn, 1 = from rock to techno", value,
                        (float(max(value - spread, 0)), float(value + spread)), aims.get(name, "")))  # fmt: skip
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

    from .musicgen import NANO, load

    threads, speeds = torch.get_num_threads(), []
    torch.set_num_threads(2)
    musicgen = load(model)
    for _ in range(6):  # the first warms up
        began = time.perf_counter()
        sing(musicgen, ["rock"])
        speeds.append(SECONDS / (time.perf_counter() - began))
    torch.set_num_threads(threads)
    assets = sum(file.stat().st_size for file in NANO.parent.rglob("*") if file.is_file()) / 1e6
    code = (
        "from expotion_lite.musicgen import load; from expotion_lite.nano_evaluation import peak_mb, sing; "
        f"sing(load({model!r}), ['rock']); print(peak_mb())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [
        Row(
            "speed",
            "seconds of music a second, one clip, guidance on, two threads, median of five",
            float(np.median(speeds[1:])),
            (min(speeds[1:]), max(speeds[1:])),
            ">= 3",
        ),
        Row("size", "MB of assets on disk", assets, None, "<= 60"),
        Row("memory", "MB at most, to make one clip of 10 s", float(run.stdout), None, "<= 1000"),
    ]


def evaluate(model: str, n: int, n_tempo: int, beside: str | None = None) -> list[Row]:
    """Measure everything. n: clips of each kind; n_tempo: prompts with a tempo; beside: a model to compare with."""
    from .musicgen import load

    musicgen = load(model)
    rate = musicgen.sample_rate
    held, train = corpus(musicgen, n, FIRST), corpus(musicgen, 2 * n, 700_000_000)
    rows = codec_rows(held, musicgen)

    prompts = [prompt_for(piece) for piece in held.pieces]
    audio, codes = sing(musicgen, prompts)
    asked, _ = sing(musicgen, [players_of(piece) for piece in held.pieces])
    unasked, _ = sing(musicgen, prompts, guidance=0.0)
    noise = 0.1 * np.random.default_rng(0).standard_normal(audio.shape).astype(np.float32)
    heard = {
        "band": embeddings(held.audio, rate), "through the codec": embeddings(held.decoded, rate),
        "nano": embeddings(audio, rate), "nano without a prompt": embeddings(unasked, rate),
        "other pieces of the band": embeddings(train.audio[:n], rate), "noise": embeddings(noise, rate),
    }  # fmt: skip
    if beside:
        heard[beside] = embeddings(sing(load(beside), prompts)[0], rate)
    judge = Judge(embeddings(train.decoded, rate), train.pieces)
    right = {name: judge.right_style(each, held.pieces) for name, each in heard.items()}
    ceiling, decoded = right["band"].mean(), right["through the codec"].mean()
    tuned = {name: np.array([in_tune(clip, rate) for clip in clips])
             for name, clips in (("band", held.audio), ("nano", audio))}  # fmt: skip
    rows += [
        tempo_row(musicgen, n_tempo),
        families_row(judge, held, {"decoded": heard["through the codec"], "asked": embeddings(asked, rate)}),
        Row("style follows text", f"by a judge who is right on {ceiling:.2f} of the band's own, {decoded:.2f} of it "
            f"through the codec; chance {1 / len(judge.style.classes_):.2f}", float(right["nano"].mean()),
            bootstrap_interval(right["nano"]), f">= {0.75 * ceiling:.2f}"),
        Row("in tune", f"loudest tone within 20 cents of a note; the band: {tuned['band'].mean():.2f}, chance 0.4",
            float(tuned["nano"].mean()), bootstrap_interval(tuned["nano"]), ""),
    ]  # fmt: skip
    rows += quality_rows(heard, rock_and_techno(musicgen, n))
    return rows + health_rows(audio, codes, held, rate) + resource_rows(model)


def rock_and_techno(musicgen: MusicGen, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (n, P, 200) of two styles, whose distance is the unit of the others."""
    made = [corpus(musicgen, n, 710_000_000, style=name).audio for name in ("rock", "techno")]
    return embeddings(made[0], musicgen.sample_rate), embeddings(made[1], musicgen.sample_rate)


def codec_alone(folder: str | Path, band: Band) -> MusicGen:
    """A trained codec with an untrained language model around it, so that it can be measured like nano.

    Args:
        folder: that `EncodecModel.from_pretrained` loads, or "nano" for the bundled one's.
        band: whose music it is for.
    """
    from transformers import EncodecModel

    from .language_training import new_musicgen
    from .musicgen import MusicGen, load

    if str(folder) == "nano":
        codec = load("nano").model.audio_encoder
    else:
        codec = EncodecModel.from_pretrained(folder, dtype="float32").eval()
    return MusicGen(new_musicgen(codec, band, vocabulary=8), None, str(folder), round(50 * SECONDS))


def evaluate_codec(musicgen: MusicGen, n: int) -> list[Row]:
    """What a codec keeps of n pieces of its band: beats, log-mel spectrum, timbre; and how it uses its codebooks."""
    import torch

    from .codec_training import reconstruction_loss

    held = corpus(musicgen, n, FIRST_OF_CODEC)
    pairs = zip(held.decoded, held.audio, strict=True)
    apart = np.array([reconstruction_loss(*(torch.from_numpy(x)[None, None] for x in pair))[0] for pair in pairs])
    heard = {
        "band": embeddings(held.audio, musicgen.sample_rate),
        "through the codec": embeddings(held.decoded, musicgen.sample_rate),
    }
    return [
        *codec_rows(held, musicgen),
        Row("codec: log-mel error", "L1 over three resolutions, 0 = the same", float(apart.mean()),
            bootstrap_interval(apart), ""),
        *quality_rows(heard, rock_and_techno(musicgen, n)),
    ]  # fmt: skip


def table_of(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | how | measured (95%) | aim |", "|---|---|---|---|"]
    for row in rows:
        digits = 0 if row.value >= 100 else 2
        span = f" ({row.interval[0]:.{digits}f} to {row.interval[1]:.{digits}f})" if row.interval else ""
        lines.append(f"| {row.what} | {row.how} | {row.value:.{digits}f}{span} | {row.aim} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Evaluate, write, print; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.nano_evaluation", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--clips", type=int, default=200, help="of each kind (default: %(default)s)")
    parser.add_argument("--tempo-prompts", type=int, default=100)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--beside", metavar="MODEL", help="another, whose distance to the band to show too")
    parser.add_argument("--codec", metavar="FOLDER", help="measure this codec alone; nano: the bundled one's")
    parser.add_argument("--band", choices=BANDS, default="full", help="whose music, with --codec")
    parser.add_argument("--output", type=Path, default=Path("figures"), help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.codec:
        rows = evaluate_codec(codec_alone(options.codec, BANDS[options.band]), options.clips)
    else:
        rows = evaluate(options.model, options.clips, options.tempo_prompts, options.beside)
    options.output.mkdir(parents=True, exist_ok=True)
    name = "codec.json" if options.codec else "nano.json"
    with writing(options.output / name, overwrite=True) as temporary:
        temporary.write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n")
    print(table_of(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
