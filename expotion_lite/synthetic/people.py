"""TODO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ExpotionError

if TYPE_CHECKING:
    pass
LEADS = {"nod": 0.56, "bounce": 0.14, "conduct": 0.18, "sway": 0.07, "tap": 0.05}
FRAME_RATES = (15.0, 20.0, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0)
FRAME_RATE_WEIGHTS = (0.14, 0.1, 0.08, 0.16, 0.14, 0.26, 0.04, 0.08)
SIZES = ((640, 480), (640, 360), (1280, 720), (480, 640), (480, 480))


@dataclass(frozen=True)
class Performer:
    """A person's habits, and the camera they sit in front of. Lengths are in head widths unless stated.

    Attributes:
        seed: what it was drawn from.
        lead: the part that leads: "nod", "bounce", "conduct", "sway" or "tap".
        nod_deg: degrees from a nod's top to its bottom in the loudest music. `tilt_deg`: the same, head to the side.
        bounce: the shoulders' way down on the beat, in the loudest music. `sway`: side to side of the head.
        conduct, tap: travel of the hands, both conducting or one tapping.
        every: moves on every 1st, 2nd or 4th beat (4 = downbeats). `offbeat`: half a beat later.
        lateness_s: seconds the movement comes after the beat; negative anticipates.
        timing_sd_s: seconds, spread of single movements around that. `size_sd`: their spread in size (log).
        expressivity: 0..1, how far the face goes with the music. `resting_smile`: 0..1, worn always.
        fidget: 0..1, slow movement that means nothing.
        frame_rate: of the video, Hz. `uneven`: frames come at irregular times and some are dropped, as webcams do.
        size: pixels of the video, (width, height).
        eye_span: distance of the outer eye corners as a fraction of the video's height: how near the camera is.
        centre: where the eyes rest, image fractions (x, y). `view_deg`: resting head (pitch, yaw, roll).
        shoulder_span: distance of the shoulders in outer-eye distances. `hands`: "both" or "right".
        jitter: noise of the landmarks, as a fraction of the eye span. `losses_per_s`: how often the face is lost.
        face_seen, body_seen, arms_seen: false where the camera never sees them.
    """

    seed: int
    lead: str
    nod_deg: float
    tilt_deg: float
    bounce: float
    sway: float
    conduct: float
    tap: float
    every: int
    offbeat: bool
    lateness_s: float
    timing_sd_s: float
    size_sd: float
    expressivity: float
    resting_smile: float
    fidget: float
    frame_rate: float
    uneven: bool
    size: tuple[int, int]
    eye_span: float
    centre: tuple[float, float]
    view_deg: tuple[float, float, float]
    shoulder_span: float
    hands: str
    jitter: float
    losses_per_s: float
    face_seen: bool = True
    body_seen: bool = True
    arms_seen: bool = True


@dataclass(frozen=True)
class Performance:
    """Movement and expression over time, before any camera.

    Attributes:
        times: (T,) seconds of the video's frames, 0 at the first, strictly increasing.
        curves: name -> (T,) float32. Degrees: `pitch` (+ chin down), `yaw` (+ to the image's right),
            `roll` (+ clockwise). Head widths: `sway` (+ right), `bob` (+ down; head and shoulders together),
            `shoulders` (+ raised), `left_hand_x`, `left_hand_y`, `right_hand_x`, `right_hand_y` (+ right, + down,
            from rest; left is the person's own left). 0..1: `smile`, `frown`, `brow_up`, `brow_down`, `jaw`,
            `blink`. -1..1: `gaze_x`, `gaze_y`.
        seed: of everything drawn at random that is not in the curves (landmark noise, lost frames).
    """

    times: np.ndarray
    curves: dict[str, np.ndarray]
    seed: int = 0


def draw_performer(seed: int) -> Performer:
    """Draw a person from a seed. There is always one strong rhythmic part, most often a nodding head.

    Args:
        seed: 0 or more; the same seed gives the same person.

    Raises:
        ExpotionError: a negative seed.

    Example:
        >>> draw_performer(3) == draw_performer(3)
        True

    Notebook: notebooks/02_controls
    """
    if seed < 0:
        raise ExpotionError(f"A seed is 0 or more, not {seed}.")
    rng = np.random.default_rng([seed, 19690720])
    pick = lambda options, weights: options[rng.choice(len(options), p=weights)]  # noqa: E731
    lead = pick(list(LEADS), list(LEADS.values()))
    hands_lead = lead in ("conduct", "tap")
    arms_seen = hands_lead or rng.random() < 0.6
    face_seen = lead in ("nod", "sway") or rng.random() > 0.15
    body_seen = not face_seen or hands_lead or lead == "bounce" or rng.random() > 0.05
    # A part that does not lead follows in about half of all people, at less than its full size.
    follows = lambda part, chance: 1.0 if lead == part else rng.uniform(0.2, 0.7) * (rng.random() < chance)  # noqa: E731
    nod = max(follows("nod", 0.7), 0.35 * (lead in ("sway", "tap")))
    every = int(pick((1, 2, 4), (0.84, 0.12, 0.04)))
    near = rng.uniform(0.055, 0.11) if arms_seen else np.exp(rng.uniform(np.log(0.06), np.log(0.24)))
    steadiness = rng.random()
    return Performer(
        seed=seed,
        lead=lead,
        nod_deg=float(nod * rng.uniform(9.0, 24.0)),
        tilt_deg=float(rng.uniform(2.0, 9.0) * (rng.random() < 0.5)),
        bounce=float(follows("bounce", 0.5) * rng.uniform(0.12, 0.3)),
        sway=float(follows("sway", 0.5) * rng.uniform(0.25, 0.7)),
        conduct=float((lead == "conduct") * rng.uniform(0.6, 1.6)),
        tap=float((lead == "tap" or rng.random() < 0.1) * rng.uniform(0.2, 0.45)),
        every=every,
        offbeat=bool(every == 1 and rng.random() < 0.02),
        lateness_s=float(rng.uniform(-0.03, 0.06)),
        timing_sd_s=float(0.004 + 0.02 * steadiness),
        size_sd=float(0.06 + 0.22 * steadiness),
        expressivity=float(rng.beta(2.5, 1.2)),
        resting_smile=float(rng.uniform(0.0, 0.3) * (rng.random() < 0.3)),
        fidget=float(rng.beta(1.5, 2.5)),
        frame_rate=float(pick(FRAME_RATES, FRAME_RATE_WEIGHTS)),
        uneven=bool(rng.random() < 0.3),
        size=SIZES[rng.integers(len(SIZES))],
        eye_span=float(near),
        centre=(float(rng.uniform(0.38, 0.62)), float(rng.uniform(0.26, 0.36 if arms_seen else 0.48))),
        view_deg=(float(rng.normal(0, 5)), float(rng.normal(0, 9)), float(rng.normal(0, 2.5))),
        shoulder_span=float(rng.uniform(3.2, 4.4)),
        hands="right" if rng.random() < 0.35 else "both",
        jitter=float(np.exp(rng.uniform(np.log(0.002), np.log(0.02)))),
        losses_per_s=float(rng.uniform(0.05, 0.4) * (rng.random() < 0.3)),
        face_seen=bool(face_seen),
        body_seen=bool(body_seen),
        arms_seen=bool(arms_seen),
    )
