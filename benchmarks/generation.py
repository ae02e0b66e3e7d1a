"""Sampling speed: our loop against transformers' `generate`, same weights, same length, guidance on.

    python benchmarks/generation.py [--seconds 10] [--pairs 5]

The two take turns in one process, so that a change in the machine's speed meets both; the figure is the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from expotion_lite.musicgen.loading import load
from expotion_lite.musicgen.sampling import Condition, encode_prompts, sample_codes
from expotion_lite.musicgen.settings import Settings
from expotion_lite.musicgen.step_decoder import StepDecoder

PROMPT = "a fast happy techno piece with synth bass and drums"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    musicgen = load(options.model)
    decoder = StepDecoder(musicgen.model.decoder)
    frames = round(options.seconds * musicgen.frame_rate)
    steps = frames + musicgen.n_codebooks - 1
    inputs = musicgen.processor(text=[PROMPT], padding=True, return_tensors="pt")
    seen = Condition(*encode_prompts(musicgen, [PROMPT]))
    watched = Condition(seen.text, seen.mask, torch.zeros(1, frames, decoder.codes.shape[1]))
    decode = musicgen.model.audio_encoder.decode

    def theirs() -> None:
        musicgen.model.generate(**inputs, max_new_tokens=steps, do_sample=True, top_k=250, guidance_scale=3.0)

    def ours() -> None:
        sample_codes(musicgen, decoder, seen, frames, Settings())

    def with_video() -> None:
        sample_codes(musicgen, decoder, watched, frames, Settings())

    def timed(run) -> float:
        began = time.perf_counter()
        run()
        return steps / (time.perf_counter() - began)

    # generate decodes to sound as well; only the sampling is compared
    musicgen.model.audio_encoder.decode = lambda codes, *rest, **more: type("Out", (), {"audio_values": codes})()
    try:
        timed(theirs), timed(ours)
        rows = [(timed(theirs), timed(ours), timed(with_video)) for _ in range(options.pairs)]
    finally:
        musicgen.model.audio_encoder.decode = decode
    names = ("transformers generate", "ours, text guidance", "ours, text and video")
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        median = statistics.median(column)
        print(f"{name:24s} {median:7.1f} steps/s  {median / musicgen.frame_rate:5.1f} s of music a second")
    ratios = [own / other for other, own, _ in rows]
    span = f"{min(ratios):.2f} to {max(ratios):.2f}, {options.pairs} pairs"
    print(f"ratio ours / generate    {statistics.median(ratios):.2f} ({span})")


if __name__ == "__main__":
    main()
