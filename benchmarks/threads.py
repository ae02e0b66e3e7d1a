"""Sampling with one thread against two, alone and beside a busy process.

    python benchmarks/threads.py [--seconds 5] [--pairs 5]

A small model's matrix products are short, and two threads wait for each other after each. Both ways run in turns in one
process; the result is the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import torch

from expotion_lite.musicgen import sampling
from expotion_lite.musicgen.loading import load
from expotion_lite.musicgen.settings import Settings
from expotion_lite.musicgen.step_decoder import StepDecoder


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(2)
    musicgen = load("nano", device="cpu")
    decoder = StepDecoder(musicgen.model.decoder)
    text, mask = sampling.encode_prompts(musicgen, ["a fast happy techno piece with synth bass and drums"])
    frames = round(options.seconds * musicgen.frame_rate)
    condition = sampling.Condition(text, mask, torch.zeros(1, frames, decoder.codes.shape[1]))
    one_thread, two_threads = sampling.ONE_THREAD_WIDTH, 0

    def frames_per_second(limit: int) -> float:
        sampling.ONE_THREAD_WIDTH = limit
        began = time.perf_counter()
        sampling.sample_codes(musicgen, decoder, condition, frames, Settings())
        return frames / (time.perf_counter() - began)

    for beside in (0, 1):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(beside)]
        try:
            frames_per_second(one_thread), frames_per_second(two_threads)  # warm up
            pairs = [(frames_per_second(one_thread), frames_per_second(two_threads)) for _ in range(options.pairs)]
        finally:
            for each in busy:
                each.kill()
        one, two = (statistics.median(speeds) for speeds in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        where = "beside a busy process" if beside else "alone"
        print(f"{where}: one thread {one:.0f} frames per second, two {two:.0f}: {ratio:.2f} times")


if __name__ == "__main__":
    main()
