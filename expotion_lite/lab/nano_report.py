"""Report on nano without a video: how well its codec keeps music, how well its music follows text, and its faults.

    python -m expotion_lite.lab.nano_report
    python -m expotion_lite.lab.nano_report --codec runs/codec/codec

The first command prints a table and writes `figures/nano.json`. The second measures a codec alone and writes
`figures/codec.json`. The pieces are held out: nothing was trained on them. The prompts are worded like captions, so a
short prompt may equal the caption of a training piece.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation.metrics import bootstrap_interval
from ..evaluation.report import markdown_table, with_interval, write_json
from ..generation import generate_from_text
from .judges import SECONDS, MusicClassifier, corpus, embeddings
from .nano_report_rows import (
    Row,
    codec_rows,
    families_row,
    health_rows,
    in_tune_row,
    instruments_prompt,
    key_rows,
    quality_rows,
    resource_rows,
    style_prompt,
    style_row,
    tempo_row,
)

if TYPE_CHECKING:
    from ..musicgen.loading import MusicGen

FIRST = 8_500  # songs from here to 9,999 are used by nothing else
FIRST_OF_CODEC = 100_000  # songs from here choose a codec, so that those above can measure the chosen one
FIRST_OF_CLASSIFIER = 700_000_000  # songs from here train the classifier of styles and instruments
FIRST_OF_STYLES = 710_000_000  # songs from here give the unit of the Frechet distances


def evaluate(model: str, n: int, n_tempo: int, beside: str | None = None) -> list[Row]:
    """Measure a model without a video.

    Args:
        model: as of `load`.
        n: number of clips of each kind.
        n_tempo: number of prompts with a tempo, and of prompts with a key.
        beside: a second model whose distance to the band is measured, too.
    """
    from ..musicgen.loading import load

    musicgen = load(model)
    rate = musicgen.sample_rate
    held, training = corpus(musicgen, n, FIRST), corpus(musicgen, 2 * n, FIRST_OF_CLASSIFIER)
    rows = codec_rows(held, musicgen)

    prompts = [style_prompt(piece) for piece in held.pieces]
    audio, codes = generate_from_text(musicgen, prompts, SECONDS)
    by_instruments, _ = generate_from_text(musicgen, [instruments_prompt(piece) for piece in held.pieces], SECONDS)
    without_prompt, _ = generate_from_text(musicgen, prompts, SECONDS, guidance=0.0)
    noise = 0.1 * np.random.default_rng(0).standard_normal(audio.shape).astype(np.float32)
    sources = {
        "band": held.audio,
        "through the codec": held.decoded,
        "nano": audio,
        "nano without a prompt": without_prompt,
        "other pieces of the band": training.audio[:n],
        "noise": noise,
    }
    if beside:
        sources[Path(beside).name], _ = generate_from_text(load(beside), prompts, SECONDS)
    heard = {name: embeddings(clips, rate) for name, clips in sources.items()}

    classifier = MusicClassifier(embeddings(training.decoded, rate), training.pieces)
    rows += [
        tempo_row(musicgen, n_tempo),
        *key_rows(musicgen, n_tempo),
        families_row(classifier, held, heard["through the codec"], embeddings(by_instruments, rate)),
        style_row(classifier, held, heard),
        in_tune_row(held, audio, rate),
    ]
    rows += quality_rows(heard, rock_and_techno(musicgen, n))
    return rows + health_rows(audio, codes, held, rate) + resource_rows(model)


def rock_and_techno(musicgen: MusicGen, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (n, P, 200) of n pieces of rock and of n pieces of techno: their distance is the unit."""
    rock, techno = (corpus(musicgen, n, FIRST_OF_STYLES, style=style).audio for style in ("rock", "techno"))
    return embeddings(rock, musicgen.sample_rate), embeddings(techno, musicgen.sample_rate)


def codec_alone(folder: str | Path) -> MusicGen:
    """Put a trained codec into a MusicGen with an untrained language model, so that it can be measured like nano.

    Args:
        folder: a folder for `EncodecModel.from_pretrained`, or "nano" for the bundled codec.
    """
    from transformers import EncodecModel

    from ..musicgen.loading import MusicGen, load
    from .language_model import new_musicgen

    if str(folder) == "nano":
        codec = load("nano").model.audio_encoder
    else:
        codec = EncodecModel.from_pretrained(folder, dtype="float32").eval()
    return MusicGen(new_musicgen(codec, vocabulary=8), None, str(folder), round(50 * SECONDS))


def evaluate_codec(musicgen: MusicGen, n: int) -> list[Row]:
    """Measure what a codec keeps of n pieces of the band (beats, spectrum, timbre), and its use of the codebooks."""
    import torch

    from .codec_training import reconstruction_loss

    held = corpus(musicgen, n, FIRST_OF_CODEC)
    errors = []
    for decoded, original in zip(held.decoded, held.audio, strict=True):
        log_mel, *_ = reconstruction_loss(torch.from_numpy(decoded)[None, None], torch.from_numpy(original)[None, None])
        errors.append(float(log_mel))
    heard = {
        "band": embeddings(held.audio, musicgen.sample_rate),
        "through the codec": embeddings(held.decoded, musicgen.sample_rate),
    }
    how = "L1 over three resolutions, 0 = the same"
    return [
        *codec_rows(held, musicgen),
        Row("codec: log-mel error", how, float(np.mean(errors)), bootstrap_interval(np.array(errors)), ""),
        *quality_rows(heard, rock_and_techno(musicgen, n)),
    ]


def table_of(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    cells = []
    for row in rows:
        digits = 0 if row.value >= 100 else 2
        plain = f"{row.value:.{digits}f}"
        measured = with_interval(row.value, row.interval, digits) if row.interval else plain
        cells.append([row.what, row.how, measured, row.aim])
    return markdown_table(["what", "how", "measured (95%)", "aim"], cells)


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements, write the report, print the table; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.lab.nano_report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--clips", type=int, default=200, help="of each kind (default: %(default)s)")
    parser.add_argument("--tempo-prompts", type=int, default=100, help="with a tempo or a key (default: %(default)s)")
    parser.add_argument("--model", default="nano", help="nano or a folder (default: %(default)s)")
    parser.add_argument("--beside", metavar="MODEL", help="a second model whose distance to the band is shown, too")
    parser.add_argument("--codec", metavar="FOLDER", help="measure this codec alone; nano: the bundled one")
    parser.add_argument("--output", type=Path, default=Path("figures"), help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.codec:
        rows = evaluate_codec(codec_alone(options.codec), options.clips)
    else:
        rows = evaluate(options.model, options.clips, options.tempo_prompts, options.beside)
    name = "codec.json" if options.codec else "nano.json"
    write_json(options.output / name, [asdict(row) for row in rows])
    print(table_of(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
