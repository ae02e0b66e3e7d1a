"""Steer by hand what movements say: weigh channels alone or in groups, draw a curve over one, move to somebody else.

Everything here turns `Controls` into other `Controls`; the model never knows that a hand was at work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import ExpotionError
from .channels import EXPRESSION, Controls

GROUPS = ("expression", "head", "shoulders", "arms", "pulse")
"""Groups of channels that are weighed together; `pulse` is what sums up the whole person: pulse and motion energy."""
MOST_WEIGHT = 2.0
MOST_POINTS = 5_000
_SUMMARIES = ("pulse", "motion_energy")
_ARMS = ("left_wrist", "right_wrist", "left_elbow", "right_elbow")


def group_of(channel: str) -> str | None:
    """Return the group that a channel belongs to; None for the flags that say what is missing.

    Example:
        >>> group_of("smile"), group_of("head_pitch_velocity"), group_of("left_wrist_x"), group_of("face_missing")
        ('expression', 'head', 'arms', None)
    """
    if channel in _SUMMARIES:
        return "pulse"
    if channel in EXPRESSION:
        return "expression"
    if channel.startswith(_ARMS):
        return "arms"
    return next((group for group in ("head", "shoulders") if channel.startswith(f"{group}_")), None)


@dataclass(frozen=True)
class Steering:
    """What a hand changes about the controls.

    Attributes:
        weights: group -> 0..2; 1 leaves it as it is, 0 mutes it. Groups that are not named keep 1.
        channels: channel -> 0..2, on top of its group's weight.
        drawn: channel -> the points of a curve, evenly spread from the clip's start to its end, in own range.

    Raises:
        ExpotionError: an unknown group, a weight out of range, or a curve that is no row of finite numbers.

    Example:
        >>> Steering({"arms": 0}, {"smile": 2}).to_dict()
        {'weights': {'arms': 0.0}, 'channels': {'smile': 2.0}, 'drawn': {}}

    Notebook: notebooks/07_play_it
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    channels: Mapping[str, float] = field(default_factory=dict)
    drawn: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(isinstance(table, Mapping) for table in (self.weights, self.channels, self.drawn)):
            raise ExpotionError(
                "Steering is weights by group, weights by channel, and curves by channel: three tables."
            )
        if unknown := [str(name) for name in self.weights if name not in GROUPS]:
            raise ExpotionError(f"There is no group {unknown[0]!r} to weigh; the groups are {', '.join(GROUPS)}.")
        for name in ("weights", "channels"):
            weights = {str(of): _weight(of, value) for of, value in getattr(self, name).items()}
            object.__setattr__(self, name, {of: value for of, value in weights.items() if value != 1.0})
        object.__setattr__(self, "drawn", {str(name): _points(name, curve) for name, curve in self.drawn.items()})

    def draw(self, channel: str, points: Sequence[float] | None) -> Steering:
        """Return this steering with a curve for one more channel; None takes the channel's curve away."""
        rest = {name: curve for name, curve in self.drawn.items() if name != channel}
        return replace(self, drawn=rest if points is None else rest | {channel: points})

    def apply(self, controls: Controls) -> Controls:
        """Return the controls with weights and curves laid over them, (T, C) as before.

        Muted arms, and arms and shoulders, are flagged as not seen: so the model was taught what absence is.

        Raises:
            ExpotionError: a weight or a curve is for a channel that the controls do not have.
        """
        for channel in [*self.channels, *self.drawn]:
            if channel not in controls.channels:
                raise ExpotionError(f"There is no channel {channel!r} to steer; try pulse or motion_energy.")
        values = controls.values.copy()
        for column, channel in enumerate(controls.channels):
            values[:, column] *= self.weights.get(group_of(channel) or "", 1.0) * self.channels.get(channel, 1.0)
        for channel in self._unseen() & set(controls.channels):
            values[:, controls.channels.index(channel)] = 1.0
        for channel, points in self.drawn.items():
            values[:, controls.channels.index(channel)] = stretch(points, len(values))
        return replace(controls, values=values)

    def _unseen(self) -> set[str]:
        muted = {group for group, weight in self.weights.items() if weight == 0}
        return ({"arms_missing"} if "arms" in muted else set()) | (
            {"body_missing"} if {"arms", "shoulders"} <= muted else set()
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, for JSON."""
        return {
            "weights": dict(self.weights),
            "channels": dict(self.channels),
            "drawn": {name: list(curve) for name, curve in self.drawn.items()},
        }


def stretch(points: Sequence[float], n_frames: int) -> np.ndarray:
    """Return a curve of few or many evenly spread points as one value a frame, (n_frames,) float32.

    Example:
        >>> stretch([0, 1, 0], 5).tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    places = np.linspace(0, len(points) - 1, n_frames)
    return np.interp(places, np.arange(len(points)), np.asarray(points, float)).astype(np.float32)


def check_tempo(bpm: float) -> None:
    """Raises ExpotionError for a tempo outside 30 to 240 beats a minute."""
    if not 30 <= bpm <= 240:
        raise ExpotionError(f"A tempo of {bpm:g} beats a minute cannot be followed; choose 30 to 240.")


def beats_curve(bpm: float, duration_s: float, n_points: int) -> list[float]:
    """Return a curve of `n_points` with one bump for each beat, as the channel `pulse` has them.

    Raises:
        ExpotionError: a tempo outside 30 to 240 beats a minute.
    """
    from .pulse import pulse_train

    check_tempo(bpm)
    beats = np.arange(30 / bpm, duration_s, 60 / bpm)
    curve = pulse_train(np.linspace(0, duration_s, n_points), beats, np.ones(len(beats)))
    return [round(float(value), 4) for value in curve]


def _weight(group: str, value: Any) -> float:
    try:
        number = -1.0 if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= MOST_WEIGHT:
        raise ExpotionError(f"The weight of {group} is {value!r}; choose a number, 0 to {MOST_WEIGHT:g}.")
    return number


def _points(channel: str, curve: Any) -> tuple[float, ...]:
    try:
        points = np.asarray(curve, float)
    except (TypeError, ValueError):
        points = np.full(1, np.nan)
    if points.ndim != 1 or not 2 <= len(points) <= MOST_POINTS or not np.isfinite(points).all():
        raise ExpotionError(f"The curve for {channel} is no row of 2 to {MOST_POINTS:,} finite numbers; draw it anew.")
    return tuple(float(value) for value in np.clip(points, -1.5, 1.5))
