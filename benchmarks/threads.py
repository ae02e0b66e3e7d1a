"""Sampling speed by the number of threads and how they wait, on a quiet machine and beside a busy process.

    python benchmarks/threads.py [--seconds 10] [--pairs 3]

OpenMP's threads wait for one another actively unless told otherwise (OMP_WAIT_POLICY): quick while every thread has a
core, and slow where another process wants one, because who waits then keeps the one who is waited for from working.
Each setting needs a process of its own; they take turns, and the figures are ratios to the first.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

SETTINGS = (("ACTIVE", 2), ("PASSIVE", 2), ("PASSIVE", 1))
MEASURE = """
import sys, time, torch
from expotion_lite.decoding import StepDecoder
from expotion_lite.musicgen import load
from expotion_lite.sampling import Condition, encode_prompts, sample_codes
from expotion_lite.settings import Settings
threads, frames = int(sys.argv[1]), round(50 * float(sys.argv[2]))
torch.set_num_threads(threads)
musicgen = load("nano")
decoder = StepDecoder(musicgen.model.decoder)
text = Condition(*encode_prompts(musicgen, ["a fast happy techno piece"]))
watched = Condition(text.text, text.mask, torch.zeros(1, frames, decoder.codes.shape[1]))
sample_codes(musicgen, decoder, watched, 25, Settings())
began = time.perf_counter()
done = 0
while done < frames and time.perf_counter() - began < 20:  # a starved one shall end, too
    sample_codes(musicgen, decoder, watched, 25, Settings())
    done += 25
print(done / (time.perf_counter() - began))
"""


def frames_a_second(policy: str, threads: int, seconds: float) -> float:
    """Of one process that makes music, text and video guided."""
    environment = os.environ | {"OMP_WAIT_POLICY": policy, "OMP_NUM_THREADS": str(threads)}
    words = [sys.executable, "-c", MEASURE, str(threads), str(seconds)]
    return float(subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    for beside in (0, 1):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(beside)]
        try:
            rounds = [[frames_a_second(*each, options.seconds) for each in SETTINGS] for _ in range(options.pairs)]
        finally:
            for each in busy:
                each.kill()
        print(f"{'beside a busy process' if beside else 'alone'}:")
        for k, (policy, threads) in enumerate(SETTINGS):
            speed = statistics.median(row[k] for row in rounds)
            ratio = statistics.median(row[k] / row[0] for row in rounds)
            print(f"  {threads} threads, {policy.lower():8} {speed:6.0f} frames a second, {ratio:5.2f} times the first")


if __name__ == "__main__":
    main()
