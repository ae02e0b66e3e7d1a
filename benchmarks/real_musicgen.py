"""Peak memory of a model of facebook/musicgen-small's shape: after loading, and after 2 s of music for a prompt.

    python benchmarks/real_musicgen.py [--dtype float32 bfloat16]

The weights are random, which changes the music but not the memory. Each dtype runs in its own process, on the CPU; the
memory includes torch and transformers. The folder of 1.2 GB that it writes is removed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from expotion_lite.course import make_stand_in
from expotion_lite.lab.nano_report_rows import peak_mb
from expotion_lite.musicgen.codes import decode
from expotion_lite.musicgen.loading import load
from expotion_lite.musicgen.sampling import Condition, encode_prompts, sample_codes
from expotion_lite.musicgen.settings import Settings


def peak_of(folder: str, dtype: str) -> None:
    """Load a model, sample 2 s of music, and print this process's peak memory (MB) before and after sampling."""
    from expotion_lite.musicgen.step_decoder import StepDecoder

    musicgen = load(folder, device="cpu", dtype=dtype)
    loaded = peak_mb()
    condition = Condition(*encode_prompts(musicgen, ["slow rock"]))
    codes = sample_codes(musicgen, StepDecoder(musicgen.model.decoder), condition, 100, Settings())
    decode(musicgen, codes)
    print(loaded, peak_mb())


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--peak-of", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.peak_of:
        return peak_of(*options.peak_of)
    with tempfile.TemporaryDirectory() as folder:
        make_stand_in(Path(folder))
        for dtype in options.dtype:
            command = [sys.executable, __file__, "--peak-of", folder, dtype]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            loaded, sampled = map(float, run.stdout.split()[-2:])
            print(f"{dtype:>9}: {loaded:.0f} MB after loading, {sampled:.0f} MB after 2 s of music")
    return None


if __name__ == "__main__":
    main()
