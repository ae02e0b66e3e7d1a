"""The live engine in real time: pictures in, sound out, without a gap?

    python benchmarks/live.py [--minutes 5]

Pictures of a synthetic performer (320 x 240, 10 a second) go through landmarks and engine as they would from a camera.
A sound card takes 20 ms of sound every 20 ms. After a gap it waits 0.05 s longer, so that more is ready, as the player
in the browser does. Printed are its gaps, the share of two cores, the memory, and how the
level of the sound drifts.
"""

from __future__ import annotations

import argparse
import os
import resource
import threading
import time
from pathlib import Path

import cv2
import numpy as np

import expotion_lite as el
from expotion_lite.synthetic.performer import bundled_performance
from expotion_lite.synthetic.photograph import render_frames

PICTURES_A_S, BLOCK_S, PAUSE_S = 10, 0.02, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    minutes = parser.parse_args().minutes
    take = bundled_performance(27)
    frames = list(render_frames(take))[:: round(25 / PICTURES_A_S)]
    pictures = [cv2.resize(frame.image, (320, 240), interpolation=cv2.INTER_AREA) for frame in frames]
    pictures += pictures[-2:0:-1]  # forth and back, so that nobody jumps
    engine = el.LiveEngine(el.load_pipeline(), "rock with guitar, bass and drums")
    stop, ready, heard = threading.Event(), [np.zeros(0, np.float32)], []
    lock, gaps, latencies, when = threading.Lock(), [0.0], [], []

    def see() -> None:
        """Find landmarks of a picture every 0.1 s."""
        with el.LiveLandmarks() as live:
            i = 0
            while not stop.wait(max(0.0, start + i / PICTURES_A_S - time.monotonic())):
                taken = time.monotonic()
                engine.see(live.find(pictures[i % len(pictures)], taken))
                latencies.append(time.monotonic() - taken)
                i = max(i + 1, int((time.monotonic() - start) * PICTURES_A_S))  # skip what is missed

    def listen() -> None:
        """Take a block of sound every 20 ms, and count what is missing."""
        n, i, start_s = round(BLOCK_S * engine.sample_rate), 0, start + 1.0
        while not stop.wait(max(0.0, start_s + i * BLOCK_S - time.monotonic())):
            with lock:
                block, ready[0] = ready[0][:n], ready[0][n:]
            heard.append(block)
            if len(block) < n:
                gaps[0] += 1
                when.append(round(time.monotonic() - start, 1))
                engine.skip((n - len(block)) / engine.sample_rate)
                start_s += PAUSE_S
            i += 1

    start = time.monotonic()
    with lock:
        ready[0] = np.append(ready[0], engine.advance(start + 1.0))
    print(f"first sound after {time.monotonic() - start:.2f} s")
    threads = [threading.Thread(target=work) for work in (see, listen)]
    before = resource.getrusage(resource.RUSAGE_SELF)
    for thread in threads:
        thread.start()
    memory, minute = [], 0
    while (passed := time.monotonic() - start) < 60 * minutes:
        audio = engine.advance(max(time.monotonic(), start + 1.0))
        with lock:
            ready[0] = np.append(ready[0], audio)
        if passed > 30 * (minute + 1):
            minute += 1
            memory.append(_memory_mb())
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sound = np.concatenate(heard)
    parts = np.array_split(sound, max(1, round(minutes)))
    levels = [20 * np.log10(np.sqrt(np.mean(part**2)) + 1e-6) for part in parts]
    print(f"{passed / 60:.1f} minutes: {gaps[0]:.0f} gaps in {len(heard)} blocks")
    print("gaps at (s):", *sorted(set(when)))
    print(f"landmarks {1000 * np.median(latencies):.0f} ms, 95% within {1000 * np.percentile(latencies, 95):.0f} ms")
    print(f"{100 * spent / passed / min(2, os.cpu_count() or 1):.0f}% of two cores")
    print(f"memory every half minute (MB): {' '.join(f'{each:.0f}' for each in memory)}")
    print(f"level of each minute (dB): {' '.join(f'{level:.1f}' for level in levels)}")


def _memory_mb() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
