"""People who react to music: their habits and their camera, drawn from a seed, and the movements of one take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..errors import ExpotionError

LEADS = {"nod": 0.56, "bounce": 0.14, "conduct": 0.18, "sway": 0.07, "tap": 0.05}  # leading movement -> probability
FRAME_RATES = (15.0, 20.0, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0)
FRAME_RATE_WEIGHTS = (0.14, 0.1, 0.08, 0.16, 0.14, 0.26, 0.04, 0.08)
SIZES = ((640, 480), (640, 360), (1280, 720), (480, 640), (480, 480))  # pixels, (width, height)

T = TypeVar("T")


@dataclass(frozen=True)
class Performer:
    """A person's habits and the camera in front of them. Lengths are in head widths unless stated otherwise.

    Attributes:
        seed: the seed that the person was drawn from.
        lead: the leading movement: "nod", "bounce", "conduct", "sway" or "tap".
        nod_deg: size of a nod from top to bottom in the loudest music, degrees.
        tilt_deg: size of a tilt of the head to the side in the loudest music, degrees.
        bounce: distance that the shoulders sink on the beat in the loudest music.
        sway: distance that the head moves from side to side.
        conduct: distance that the conducting hands move.
        tap: distance that the tapping hand moves.
        every: the person moves on every 1st, 2nd or 4th beat; 4 means downbeats.
        offbeat: the person moves half a beat late.
        lateness_s: delay of movements after the beat, seconds; negative ones come early.
        timing_sd_s: standard deviation of the delay of single movements, seconds.
        size_sd: standard deviation of the logarithm of their size.
        expressivity: 0..1, how strongly the face follows the music.
        resting_smile: 0..1, the smile without music.
        fidget: 0..1, size of slow movements that do not depend on the music.
        frame_rate: frame rate of the video, Hz.
        uneven: frames are unevenly spaced and some are dropped, as with webcams.
        size: (width, height) of the video, pixels.
        eye_span: distance between the outer eye corners as a fraction of the height of the video; larger is nearer.
        centre: resting position of the eyes (x, y), image fractions.
        view_deg: resting orientation of the head (pitch, yaw, roll), degrees.
        shoulder_span: distance between the shoulders in eye spans.
        hands: hands that move, "both" or "right".
        jitter: noise of the landmarks as a fraction of the eye span.
        losses_per_s: rate at which the detector loses the face, Hz.
        face_seen: the camera sees the face.
        body_seen: the camera sees the body.
        arms_seen: the camera sees the arms.
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
    """Movement and expression over time, independent of the camera.

    Attributes:
        times: (T,) times of the video frames in seconds, strictly increasing from 0.
        curves: name -> (T,) float32. Degrees: `pitch` (+ chin down), `yaw` (+ to the right of the image),
            `roll` (+ clockwise). Head widths: `sway` (+ right), `bob` (+ down; head and shoulders together),
            `shoulders` (+ raised), `left_hand_x`, `left_hand_y`, `right_hand_x`, `right_hand_y` (+ right, + down,
            from rest; left is the person's own left). 0..1: `smile`, `frown`, `brow_up`, `brow_down`, `jaw`,
            `blink`. -1..1: `gaze_x`, `gaze_y`.
        seed: seed of what is random but not in the curves (noise of the landmarks, lost frames).
    """

    times: np.ndarray
    curves: dict[str, np.ndarray]
    seed: int = 0


def draw_performer(seed: int) -> Performer:
    """Draw a person from a seed. Each person has one strong rhythmic movement, most often a nod.

    Args:
        seed: 0 or more; the same seed gives the same person.

    Raises:
        ExpotionError: the seed is negative.

    Example:
        >>> draw_performer(3) == draw_performer(3)
        True

    Notebook: notebooks/02_controls
    """
    if seed < 0:
        raise ExpotionError(f"The seed must be 0 or more, not {seed}.")
    rng = np.random.default_rng([seed, 19690720])
    lead = _pick(rng, tuple(LEADS), tuple(LEADS.values()))
    hands_lead = lead in ("conduct", "tap")
    arms_seen = hands_lead or rng.random() < 0.6
    face_seen = lead in ("nod", "sway") or rng.random() > 0.15
    body_seen = not face_seen or hands_lead or lead == "bounce" or rng.random() > 0.05

    def share(movement: str, probability: float) -> float:
        """Draw the share of its full size that a movement has; one that does not lead is smaller, or absent."""
        return 1.0 if lead == movement else rng.uniform(0.2, 0.7) * (rng.random() < probability)

    nod = max(share("nod", 0.7), 0.35 * (lead in ("sway", "tap")))
    every = _pick(rng, (1, 2, 4), (0.84, 0.12, 0.04))
    eye_span = rng.uniform(0.055, 0.11) if arms_seen else np.exp(rng.uniform(np.log(0.06), np.log(0.24)))
    unsteadiness = rng.random()
    # The order of the lines below is the order of the random draws: to move one gives other people.
    return Performer(
        seed=seed,
        lead=lead,
        nod_deg=float(nod * rng.uniform(9.0, 24.0)),
        tilt_deg=float(rng.uniform(2.0, 9.0) * (rng.random() < 0.5)),
        bounce=float(share("bounce", 0.5) * rng.uniform(0.12, 0.3)),
        sway=float(share("sway", 0.5) * rng.uniform(0.25, 0.7)),
        conduct=float((lead == "conduct") * rng.uniform(0.6, 1.6)),
        tap=float((lead == "tap" or rng.random() < 0.1) * rng.uniform(0.2, 0.45)),
        every=every,
        offbeat=bool(every == 1 and rng.random() < 0.02),
        lateness_s=float(rng.uniform(-0.03, 0.06)),
        timing_sd_s=float(0.004 + 0.02 * unsteadiness),
        size_sd=float(0.06 + 0.22 * unsteadiness),
        expressivity=float(rng.beta(2.5, 1.2)),
        resting_smile=float(rng.uniform(0.0, 0.3) * (rng.random() < 0.3)),
        fidget=float(rng.beta(1.5, 2.5)),
        frame_rate=_pick(rng, FRAME_RATES, FRAME_RATE_WEIGHTS),
        uneven=bool(rng.random() < 0.3),
        size=SIZES[rng.integers(len(SIZES))],
        eye_span=float(eye_span),
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


def _pick(rng: np.random.Generator, options: Sequence[T], probabilities: Sequence[float]) -> T:
    """Draw one of the options by their probabilities."""
    return options[int(rng.choice(len(options), p=probabilities))]
