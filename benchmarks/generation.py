"""Sampling speed on the CPU: our loop against transformers' `generate`, same weights, length and text guidance.

    python benchmarks/generation.py [--seconds 10] [--pairs 5]

Both run in turns in one process, so that a change in the machine's speed affects both; the result is the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import torch

from expotion_lite.musicgen.loading import load
from expotion_lite.musicgen.sampling import Condition, encode_prompts, sample_codes
from expotion_lite.musicgen.settings import Settings
from expotion_lite.musicgen.step_decoder import StepDecoder

PROMPT = "a fast happy techno piece with synth bass and drums"


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    musicgen = load(options.model, device="cpu")
    decoder = StepDecoder(musicgen.model.decoder)
    frames = round(options.seconds * musicgen.frame_rate)
    steps = frames + musicgen.n_codebooks - 1
    inputs = musicgen.processor(text=[PROMPT], padding=True, return_tensors="pt")
    text = Condition(*encode_prompts(musicgen, [PROMPT]))
    text_and_video = replace(text, visual=torch.zeros(1, frames, decoder.codes.shape[1]))
    decode = musicgen.model.audio_encoder.decode

    def theirs() -> None:
        musicgen.model.generate(**inputs, max_new_tokens=steps, do_sample=True, top_k=250, guidance_scale=3.0)

    def ours(condition: Condition) -> None:
        sample_codes(musicgen, decoder, condition, frames, Settings())

    def steps_per_second(run: Callable[..., None], *arguments: Condition) -> float:
        began = time.perf_counter()
        run(*arguments)
        return steps / (time.perf_counter() - began)

    # `generate` also decodes to audio; this replaces the codec, so that only the sampling is compared
    musicgen.model.audio_encoder.decode = lambda codes, *rest, **more: SimpleNamespace(audio_values=codes)
    try:
        theirs(), ours(text)  # warm up
        rows = [
            (steps_per_second(theirs), steps_per_second(ours, text), steps_per_second(ours, text_and_video))
            for _ in range(options.pairs)
        ]
    finally:
        musicgen.model.audio_encoder.decode = decode
    names = ("transformers generate", "ours, text guidance", "ours, text and video")
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        median = statistics.median(column)
        print(f"{name:24s} {median:7.1f} steps/s  {median / musicgen.frame_rate:5.1f} s of music per second")
    ratios = [own / other for other, own, _ in rows]
    span = f"{min(ratios):.2f} to {max(ratios):.2f}, {options.pairs} pairs"
    print(f"ratio ours / generate    {statistics.median(ratios):.2f} ({span})")


if __name__ == "__main__":
    main()
