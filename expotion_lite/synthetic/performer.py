"""Synthetic people who react to music: the training data of the visual adapter, with its truth known exactly.

`draw_performer` draws a person's habits from a seed: which parts of the body lead, how large, how late, how steady,
and the camera in front of them. `perform` lets the person react to a piece, as curves of movement and expression over
time. `to_landmarks` turns the curves into what MediaPipe would report (milliseconds a clip, for training);
`render_frames` turns them into pixels (the warped photograph of `photograph.py`, for end-to-end runs).

    python -m expotion_lite.synthetic.performer OUT.mp4 [--seed N]      # a clip like the bundled one
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ExpotionError
from .camera import to_landmarks
from .people import Performance, Performer, draw_performer
from .photograph import render_frames
from .reactions import drifts, face, movement

if TYPE_CHECKING:
    from .pieces import Piece
__all__ = ["Performance", "Performer", "draw_performer", "perform", "render_frames", "to_landmarks"]

# Raise this when a seed gives another person, other movements or other landmarks; caches are then computed anew.
PERFORMER_VERSION = 1


def perform(
    piece: Piece, performer: Performer, *, seed: int = 0, start_s: float = 0.0, duration_s: float | None = None
) -> Performance:
    """Let a person react to a piece of music.

    Movement turns on the beats (a nod is at its bottom `lateness_s` after its beat) and grows with the music's energy;
    the face follows the mode, brows and jaw the accents; blinks, gaze and slow drifts mean nothing.

    Args:
        piece: the music; of it, `seed`, `duration_s`, `beats`, `downbeats`, `accents`, `mode` and `energy` are read.
        performer: who reacts.
        seed: another seed is another take of the same person with the same music.
        start_s: seconds into the piece at which the video begins. Windows of one take show the same movements.
        duration_s: length of the video in seconds; to the piece's end unless given.

    Returns:
        A Performance whose time 0 is `start_s` of the piece.

    Raises:
        ExpotionError: the window is not inside the piece.

    Example:
        >>> from expotion_lite.synthetic.band import compose
        >>> take = perform(compose(1), draw_performer(3), duration_s=4.0)
        >>> len(take.times) == len(take.curves["pitch"])
        True

    Notebook: notebooks/02_controls
    """
    if duration_s is None:
        duration_s = piece.duration_s - start_s
    if start_s < 0 or duration_s <= 0 or start_s + duration_s > piece.duration_s + 1e-6:
        raise ExpotionError(
            f"No {duration_s:g} s of music from {start_s:g} s on: the piece lasts {piece.duration_s:g} s; ask for less."
        )
    rng = np.random.default_rng([performer.seed, piece.seed, seed])
    times = _frame_times(performer, duration_s, np.random.default_rng([performer.seed, seed, 25]))
    now = times + start_s
    drift = drifts(now, rng, 12)
    curves = movement(piece, performer, now, drift, rng) | face(piece, performer, now, drift, rng)
    return Performance(times, {name: curve.astype(np.float32) for name, curve in curves.items()}, seed)


def _frame_times(performer: Performer, duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """(T,) seconds. An uneven camera is late by up to a third of a frame, and drops one frame in thirty."""
    step = 1.0 / performer.frame_rate
    times = np.arange(max(1, round(duration_s * performer.frame_rate))) * step
    if performer.uneven:
        keep = rng.random(len(times)) > 1 / 30
        keep[0] = True
        times = (times + rng.uniform(0.0, step / 3, len(times)))[keep]
    return times - times[0]


def bundled_performance(seed: int) -> Performance:
    """Ten seconds of somebody who shows what can be seen: clear nods at 100 bpm, sway, smiles, raised brows."""
    from .band import compose

    showing = {"lead": "nod", "every": 1, "offbeat": False, "frame_rate": 25.0, "uneven": False}
    habits = {"lateness_s": 0.02, "timing_sd_s": 0.008, "size_sd": 0.1, "fidget": 0.3, "expressivity": 0.95}
    sizes = {"nod_deg": 15.0, "tilt_deg": 4.0, "bounce": 0.12, "sway": 0.22}
    performer = replace(draw_performer(seed), **showing, **habits, **sizes)
    return perform(compose(seed, 10.0, style="rock", tempo_bpm=100.0, mode="major"), performer)


def main(arguments: list[str] | None = None) -> int:
    """Write a clip like the bundled one; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.synthetic.performer",
        description="Render a synthetic performer, without sound, as an mp4.",
    )
    parser.add_argument("output", type=Path, metavar="OUT.mp4")
    parser.add_argument("--seed", type=int, default=27, help="another seed is another take (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT.mp4 if it exists")
    options = parser.parse_args(arguments)
    try:
        from ..video.writing import write_video

        write_video(options.output, render_frames(bundled_performance(options.seed)), overwrite=options.overwrite)
    except ExpotionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"Wrote {options.output} ({options.output.stat().st_size / 1e6:.2f} MB).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
