"""Synthetic people who react to music: the training data of the visual adapter, with exact ground truth.

`people.draw_performer` draws a person from a seed, `perform` lets the person react to a piece, as curves of movement
and expression. `camera.to_landmarks` turns the curves into the landmarks that MediaPipe would report (milliseconds per
clip, for training); `photograph.render_frames` turns them into pictures (for tests of the whole chain).

    python -m expotion_lite.synthetic.performer OUT.mp4 [--seed N]      # write a clip like the bundled one
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import ExpotionError
from ..video.writing import write_video
from .band import compose
from .people import Performance, Performer, draw_performer
from .photograph import render_frames
from .pieces import Piece
from .reactions import drifts, face, movement

# Raise this when a seed gives another person, other movements or other landmarks: caches are then computed anew.
PERFORMER_VERSION = 1


def perform(
    piece: Piece, performer: Performer, *, seed: int = 0, start_s: float = 0.0, duration_s: float | None = None
) -> Performance:
    """Let a person react to a piece of music.

    Movements turn on the beats (a nod reaches its lowest point `lateness_s` after the beat) and grow with the energy of
    the music. The mouth follows the mode, brows and jaw follow the accents. Blinks, gaze and slow drifts do not depend
    on the music.

    Args:
        piece: the music; `seed`, `duration_s`, `beats`, `downbeats`, `accents`, `mode` and `energy` are used.
        performer: the person.
        seed: another seed gives another take of the same person with the same music.
        start_s: start of the video in seconds from the start of the piece. Windows of one take agree.
        duration_s: length of the video in seconds; None goes on to the end of the piece.

    Returns:
        The take, with time 0 at `start_s` of the piece.

    Raises:
        ExpotionError: the window does not lie inside the piece.

    Example:
        >>> take = perform(compose(1), draw_performer(3), duration_s=4.0)
        >>> len(take.times) == len(take.curves["pitch"])
        True

    Notebook: notebooks/05_data
    """
    if duration_s is None:
        duration_s = piece.duration_s - start_s
    if start_s < 0 or duration_s <= 0 or start_s + duration_s > piece.duration_s + 1e-6:
        raise ExpotionError(
            f"There are no {duration_s:g} s of music from {start_s:g} s on: the piece lasts {piece.duration_s:g} s. "
            "Ask for a shorter or earlier part."
        )
    rng = np.random.default_rng([performer.seed, piece.seed, seed])
    times = _frame_times(performer, duration_s, np.random.default_rng([performer.seed, seed, 25]))
    now = times + start_s
    drift = drifts(now, rng, 12)
    curves = movement(piece, performer, now, drift, rng) | face(piece, performer, now, drift, rng)
    return Performance(times, {name: curve.astype(np.float32) for name, curve in curves.items()}, seed)


def _frame_times(performer: Performer, duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the times of the frames, (T,) seconds.

    An uneven camera delays frames by up to a third of a frame and drops one in thirty.
    """
    step = 1.0 / performer.frame_rate
    times = np.arange(max(1, round(duration_s * performer.frame_rate))) * step
    if performer.uneven:
        keep = rng.random(len(times)) > 1 / 30
        keep[0] = True
        times = (times + rng.uniform(0.0, step / 3, len(times)))[keep]
    return times - times[0]


def bundled_performance(seed: int) -> Performance:
    """Draw a ten-second take whose movements are easy to see: clear nods at 100 bpm, sway, smiles and raised brows.

    Notebook: notebooks/01_landmarks
    """
    performer = replace(
        draw_performer(seed),
        lead="nod",
        every=1,
        offbeat=False,
        frame_rate=25.0,
        uneven=False,
        lateness_s=0.02,
        timing_sd_s=0.008,
        size_sd=0.1,
        fidget=0.3,
        expressivity=0.95,
        nod_deg=15.0,
        tilt_deg=4.0,
        bounce=0.12,
        sway=0.22,
    )
    return perform(compose(seed, 10.0, style="rock", tempo_bpm=100.0, mode="major"), performer)


def main(arguments: list[str] | None = None) -> int:
    """Write a clip like the bundled one; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.synthetic.performer",
        description="Render a synthetic performer as an mp4 without sound.",
    )
    parser.add_argument("output", type=Path, metavar="OUT.mp4")
    parser.add_argument("--seed", type=int, default=27, help="another seed gives another take (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT.mp4 if it exists")
    options = parser.parse_args(arguments)
    try:
        write_video(options.output, render_frames(bundled_performance(options.seed)), overwrite=options.overwrite)
    except ExpotionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"Wrote {options.output} ({options.output.stat().st_size / 1e6:.2f} MB).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
