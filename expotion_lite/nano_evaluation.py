"""How good nano is without a video: does its codec keep the music, does its music follow the words, is it healthy?

    python -m expotion_lite.nano_evaluation
    python -m expotion_lite.nano_evaluation --codec runs/codec/codec --band full

The first prints a table and writes `figures/nano.json`, the second measures a codec alone and writes
`figures/codec.json`. Pieces and prompts are held out: nothing was trained on them.
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
    from .band import Piece
    from .bands import Band
    from .musicgen import MusicGen

FIRST = 8_500  # songs from here to 9,999 are used by nothing else
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

    def right_families(self, heard: np.ndarray, pieces: list[Piece]) -> np.ndarray:
        """(N,) share of the families that are judged rightly present or absent; present and absent weigh the same."""
        shares = []
        for name, judge in self.families.items():
            truth = plays(pieces, name)
            weight = np.where(truth, 0.5 / max(truth.mean(), 1e-9), 0.5 / max(1 - truth.mean(), 1e-9))
            shares.append(weight * (judge.predict(heard.mean(1)) == truth))
        return np.mean(shares, axis=0)


def plays(pieces: list[Piece], family: str) -> np.ndarray:
    """(N,) whether a family plays in each piece."""
    return np.array([bool(set(FAMILIES[family]) & set(piece.instruments)) for piece in pieces])


def prompt_for(piece: Piece) -> str:
    """A prompt that names the style and everybody who plays."""
    *most, last = piece.instruments
    return f"{piece.style} with {', '.join(most)} and {last}" if most else f"{piece.style} with {last}"


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
    right = []
    for piece, original, decoded in zip(held.pieces, held.audio, held.decoded, strict=True):
        for note in piece.notes:
            start, end = note.onset_s + 0.05, note.onset_s + min(note.duration_s, 0.5) - 0.02
            if note.pitch < 60 or end - start < 0.2 or start < 0 or end > SECONDS:
                continue
            hz, span = 440 * 2 ** ((note.pitch - 69) / 12), slice(round(start * sample_rate), round(end * sample_rate))
            if abs(cents_off(original[span], sample_rate, hz)) < 10:
                right.append(abs(cents_off(decoded[span], sample_rate, hz)) < 20)
    return Row("codec: in tune", "long notes from C4 up, within 20 cents, of those so in the original; chance 0.2",
               float(np.mean(right)), bootstrap_interval(np.array(right)), "")  # fmt: skip


def _perplexity(codes: np.ndarray, size: int) -> float:
    share = np.bincount(codes.ravel(), minlength=size) / codes.size
    return float(np.exp(-(share * np.log(share + 1e-12)).sum()))


def tempo_prompts(band: Band, sample_rate: int, n: int) -> tuple[list[str], np.ndarray]:
    """Prompts that name a style and a tempo at which the beat tracker reads the band's own piece right.

    What a listener cannot tap to, such as a drone, would measure the tracker instead of the model.

    Returns:
        (n prompts, (n,) their tempi, 60 to 170 bpm)
    """
    rng, wanted = np.random.default_rng(42), np.linspace(60, 170, n).round()

    def style_for(bpm: float) -> str:
        range_of = {name: style.tempo_bpm for name, style in band.styles.items()}
        played = [name for name, (low, high) in range_of.items() if low <= bpm <= high] or list(range_of)
        for _ in range(50):
            style, seed = str(rng.choice(played)), int(rng.integers(720_000_000, 730_000_000))
            piece = band.compose(seed, SECONDS, style=style, tempo_bpm=float(bpm))
            if right_tempo(band.play(piece, sample_rate), sample_rate, bpm):
                break
        return style

    return [f"{style_for(bpm)}, {bpm:.0f} bpm" for bpm in wanted], wanted


def right_tempo(audio: np.ndarray, sample_rate: int, bpm: float) -> bool:
    """Whether a line through the beats of the audio is within 4% of a tempo."""
    return abs(tempo_by_line(track_beats(audio, sample_rate)) / bpm - 1) <= 0.04


def tempo_row(musicgen: MusicGen, n: int) -> Row:
    """Whether the tempo that a prompt names is the tempo that is played."""
    prompts, wanted = tempo_prompts(band_of(musicgen), musicgen.sample_rate, n)
    audio, _ = sing(musicgen, prompts)
    right = np.array([right_tempo(clip, musicgen.sample_rate, bpm) for clip, bpm in zip(audio, wanted, strict=True)])
    return Row("tempo follows text", "line through the beats within 4%, octave errors are wrong; the band itself: 1",
               float(right.mean()), bootstrap_interval(right), ">= 0.80")  # fmt: skip


def health_rows(audio: np.ndarray, codes: np.ndarray) -> list[Row]:
    """Shares of clips that are silent, clipped, stuck or noise."""
    import librosa

    flat = np.array([np.median(librosa.feature.spectral_flatness(y=clip)) for clip in audio])
    still = np.diff(codes[:, 0], axis=1) == 0
    runs = np.array(
        [max((len(run) for run in "".join("x" if s else " " for s in row).split()), default=0) for row in still]
    )
    sick = {
        "silent": np.sqrt((audio**2).mean(1)) < 0.005,
        "clipped": (np.abs(audio) >= 0.99).mean(1) > 1e-3,
        "stuck": runs + 1 >= 100,
        "noise-like": flat > 0.3,
    }
    how = {
        "silent": "RMS under 0.005", "clipped": "0.1% of the samples at full scale",
        "stuck": "one code of the first codebook for 2 s", "noise-like": "median spectral flatness over 0.3",
    }  # fmt: skip
    aims = {"silent": "0", "clipped": "0", "stuck": "<= 0.01", "noise-like": "<= 0.01"}
    return [Row(f"health: {name}", how[name], float(bad.mean()), bootstrap_interval(bad), aims[name])
            for name, bad in sick.items()]  # fmt: skip


def quality_rows(sets: dict[str, np.ndarray], styles: tuple[np.ndarray, np.ndarray]) -> list[Row]:
    """Frechet distances to the band's music, in units of the distance between two of its styles.

    sets: (N, P, 200) embeddings by name, "band" among them, of equal size; styles: the same of two styles.
    """
    from .musicnn import frechet_distance

    pool = lambda heard: heard.reshape(-1, heard.shape[-1])  # noqa: E731
    unit = frechet_distance(pool(styles[0]), pool(styles[1]))
    aims = {"through the codec": "<= 0.25", "nano": "<= 2 x the codec's"}
    return [
        Row(f"distance to the band: {name}", "Frechet, musicnn, 1 = from rock to techno",
            frechet_distance(pool(heard), pool(sets["band"])) / unit, None, aims.get(name, ""))
        for name, heard in sets.items() if name != "band"
    ]  # fmt: skip


def peak_mb() -> float:
    """The most memory that this process has held, MB."""
    status = Path("/proc/self/status")  # Linux: ru_maxrss there also remembers the process that started this one
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1000
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes


def resource_rows(model: str) -> list[Row]:
    """Speed with guidance, size on disk, and the memory of a process that makes one clip."""
    from .musicgen import NANO, load

    musicgen = load(model)
    sing(musicgen, ["rock"])
    began = time.perf_counter()
    sing(musicgen, ["rock"])
    speed = SECONDS / (time.perf_counter() - began)
    assets = sum(file.stat().st_size for file in NANO.parent.rglob("*") if file.is_file()) / 1e6
    code = (
        "from expotion_lite.musicgen import load; from expotion_lite.nano_evaluation import peak_mb, sing; "
        f"sing(load({model!r}), ['rock']); print(peak_mb())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [
        Row("speed", "seconds of music a second, one clip, guidance on", speed, None, ">= 3"),
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
    unasked, _ = sing(musicgen, [""] * n, guidance=1.0)
    noise = 0.1 * np.random.default_rng(0).standard_normal(audio.shape).astype(np.float32)
    heard = {
        "band": embeddings(held.audio, rate), "through the codec": embeddings(held.decoded, rate),
        "nano": embeddings(audio, rate), "nano without a prompt": embeddings(unasked, rate),
        "noise": embeddings(noise, rate),
    }  # fmt: skip
    if beside:
        heard[beside] = embeddings(sing(load(beside), prompts)[0], rate)
    judge = Judge(embeddings(train.decoded, rate), train.pieces)
    ceiling, styles = (judge.right_style(heard[name], held.pieces) for name in ("through the codec", "nano"))
    known, families = (judge.right_families(heard[name], held.pieces) for name in ("through the codec", "nano"))
    rows += [
        tempo_row(musicgen, n_tempo),
        Row("instruments follow text", f"five families there or not, by a judge who is right on {known.mean():.2f}",
            float(families.mean()), bootstrap_interval(families), ">= 0.85"),
        Row("style follows text", f"by a judge who is right on {ceiling.mean():.2f}", float(styles.mean()),
            bootstrap_interval(styles), f">= {0.75 * ceiling.mean():.2f}"),
    ]  # fmt: skip
    tuned = {name: np.array([in_tune(clip, rate) for clip in clips])
             for name, clips in (("band", held.audio), ("nano", audio))}  # fmt: skip
    how = f"loudest tone within 20 cents of a note; the band itself: {tuned['band'].mean():.2f}, chance 0.4"
    rows.append(Row("in tune", how, float(tuned["nano"].mean()), bootstrap_interval(tuned["nano"]), ""))
    rows += quality_rows(heard, rock_and_techno(musicgen, n))
    return rows + health_rows(audio, codes) + resource_rows(model)


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

    held = corpus(musicgen, n, FIRST)
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
    parser.add_argument("--band", choices=BANDS, default="first", help="whose music, with --codec")
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
