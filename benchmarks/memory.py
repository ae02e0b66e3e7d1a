"""Peak memory of `generate` on a 5-minute video against the 10-second one it is made from.

    python benchmarks/memory.py [--seconds 300]

Each runs in its own process, on the CPU; the result is the ratio of the two peaks of resident memory.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from expotion_lite.assets import example_clip
from expotion_lite.video.reading import Frame, probe, read_frames
from expotion_lite.video.writing import write_video


def peak_of(video: str) -> None:
    """Generate music for a video, and print this process's peak memory (MB) and the seconds it took."""
    from expotion_lite.generation import generate

    began = time.perf_counter()
    generate(video, "steady rock with guitar, bass and drums", device="cpu", progress=False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.perf_counter() - began)


def lengthen(source: Path, seconds: float, path: Path) -> None:
    """Write a clip that repeats `source` until it lasts `seconds`."""
    length = probe(source).duration_s
    frames = (
        Frame(frame.image, frame.time_s + repeat * length)
        for repeat in itertools.count()
        for frame in read_frames(source)
    )
    write_video(path, itertools.takewhile(lambda frame: frame.time_s < seconds, frames))


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        return peak_of(options.peak_of)
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "long.mp4"
        lengthen(example_clip(), options.seconds, long)
        peaks = {}
        for name, video in (("10 s", example_clip()), (f"{options.seconds:g} s", long)):
            run = subprocess.run(
                [sys.executable, __file__, "--peak-of", str(video)], capture_output=True, text=True, check=True
            )
            peaks[name], seconds = map(float, run.stdout.split()[-2:])
            print(f"{name:>6} video: peak {peaks[name]:.0f} MB, {seconds:.0f} s")
    short, longer = peaks.values()
    print(f"ratio {longer / short:.2f}")
    return None


if __name__ == "__main__":
    main()
