"""How good nano is without a video: does its codec keep the music, does its music follow the words, is it healthy?

    python -m expotion_lite.lab.nano_report
    python -m expotion_lite.lab.nano_report --codec runs/codec/codec

The first prints a table and writes `figures/nano.json`, the second measures a codec alone and writes
`figures/codec.json`. The pieces are held out: nothing was trained on them. Prompts are worded like captions, so a short
one may have been a caption too, of another piece.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation.metrics import bootstrap_interval
from ..files import writing
from ..generation import generate_from_text
from .judges import SECONDS, Judge, corpus, embeddings
from .nano_report_rows import (
    Row,
    codec_rows,
    families_row,
    health_rows,
    in_tune_row,
    key_rows,
    players_of,
    prompt_for,
    quality_rows,
    resource_rows,
    style_row,
    tempo_row,
)

if TYPE_CHECKING:
    from ..musicgen.loading import MusicGen

FIRST = 8_500  # songs from here to 9,999 are used by nothing else
FIRST_OF_CODEC = 100_000  # songs from here choose a codec, so that those above measure what was chosen


def evaluate(model: str, n: int, n_tempo: int, beside: str | None = None) -> list[Row]:
    """Measure everything. n: clips of each kind; n_tempo: prompts with a tempo; beside: a model to compare with."""
    from ..musicgen.loading import load

    musicgen = load(model)
    rate = musicgen.sample_rate
    held, train = corpus(musicgen, n, FIRST), corpus(musicgen, 2 * n, 700_000_000)
    rows = codec_rows(held, musicgen)

    prompts = [prompt_for(piece) for piece in held.pieces]
    audio, codes = generate_from_text(musicgen, prompts, SECONDS)
    asked, _ = generate_from_text(musicgen, [players_of(piece) for piece in held.pieces], SECONDS)
    unasked, _ = generate_from_text(musicgen, prompts, SECONDS, guidance=0.0)
    noise = 0.1 * np.random.default_rng(0).standard_normal(audio.shape).astype(np.float32)
    heard = {
        "band": embeddings(held.audio, rate), "through the codec": embeddings(held.decoded, rate),
        "nano": embeddings(audio, rate), "nano without a prompt": embeddings(unasked, rate),
        "other pieces of the band": embeddings(train.audio[:n], rate), "noise": embeddings(noise, rate),
    }  # fmt: skip
    if beside:
        heard[Path(beside).name] = embeddings(generate_from_text(load(beside), prompts, SECONDS)[0], rate)
    judge = Judge(embeddings(train.decoded, rate), train.pieces)
    rows += [
        tempo_row(musicgen, n_tempo),
        *key_rows(musicgen, n_tempo),
        families_row(judge, held, {"decoded": heard["through the codec"], "asked": embeddings(asked, rate)}),
        style_row(judge, held, heard),
        in_tune_row(held, audio, rate),
    ]
    rows += quality_rows(heard, rock_and_techno(musicgen, n))
    return rows + health_rows(audio, codes, held, rate) + resource_rows(model)


def rock_and_techno(musicgen: MusicGen, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (n, P, 200) of two styles, whose distance is the unit of the others."""
    made = [corpus(musicgen, n, 710_000_000, style=name).audio for name in ("rock", "techno")]
    return embeddings(made[0], musicgen.sample_rate), embeddings(made[1], musicgen.sample_rate)


def codec_alone(folder: str | Path) -> MusicGen:
    """A trained codec with an untrained language model around it, so that it can be measured like nano.

    Args:
        folder: that `EncodecModel.from_pretrained` loads, or "nano" for the bundled one's.
    """
    from transformers import EncodecModel

    from ..musicgen.loading import MusicGen, load
    from .language_training import new_musicgen

    if str(folder) == "nano":
        codec = load("nano").model.audio_encoder
    else:
        codec = EncodecModel.from_pretrained(folder, dtype="float32").eval()
    return MusicGen(new_musicgen(codec, vocabulary=8), None, str(folder), round(50 * SECONDS))


def evaluate_codec(musicgen: MusicGen, n: int) -> list[Row]:
    """What a codec keeps of n pieces of the band: beats, log-mel spectrum, timbre; and how it uses its codebooks."""
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
        prog="python -m expotion_lite.lab.nano_report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--clips", type=int, default=200, help="of each kind (default: %(default)s)")
    parser.add_argument("--tempo-prompts", type=int, default=100)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--beside", metavar="MODEL", help="another, whose distance to the band to show too")
    parser.add_argument("--codec", metavar="FOLDER", help="measure this codec alone; nano: the bundled one's")
    parser.add_argument("--output", type=Path, default=Path("figures"), help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.codec:
        rows = evaluate_codec(codec_alone(options.codec), options.clips)
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
