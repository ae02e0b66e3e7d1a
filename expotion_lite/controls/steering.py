"""Steering: change controls by hand, by weights for channels or groups of channels and by drawn curves.

Everything here turns `Controls` into other `Controls`; the model needs no change for it. Events and activity are found
anew from the channels that were changed: with muted arms, no arrival of an arm is an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np

from ..errors import ExpotionError
from .channels import CHANNELS, EXPRESSION_CHANNELS, LIMBS, Controls
from .events import with_events
from .pulse import pulse_train

GROUPS = ("expression", "head", "shoulders", "arms", "pulse")
"""Groups of channels that share a weight. `pulse` holds those of the whole body: pulse, events, energy and activity."""
MAX_WEIGHT = 2.0
"""The largest weight."""
MAX_POINTS = 5_000
"""The largest number of points of a drawn curve."""
_FOUND = ("event", "activity")  # from the other channels
_WHOLE_BODY = ("pulse", "motion_energy", *_FOUND)
_FLOWS = {"head_flow": "head", "arms_flow": "arms", "trunk_flow": "shoulders"}


def group_of(channel: str) -> str | None:
    """Return the group that a channel belongs to; None for the flags of missing parts.

    Args:
        channel: its name.

    Example:
        >>> group_of("smile"), group_of("head_pitch_velocity"), group_of("left_wrist_x"), group_of("face_missing")
        ('expression', 'head', 'arms', None)

    Notebook: notebooks/07_play_it
    """
    if channel in _WHOLE_BODY:
        return "pulse"
    if channel in _FLOWS:
        return _FLOWS[channel]
    if channel in EXPRESSION_CHANNELS:
        return "expression"
    if channel.startswith(LIMBS):
        return "arms"
    return next((group for group in ("head", "shoulders") if channel.startswith(f"{group}_")), None)


@dataclass(frozen=True)
class Steering:
    """Changes to controls: weights and drawn curves.

    Attributes:
        weights: group -> factor 0..2; 1 changes nothing, 0 mutes the group. Groups that are not named keep 1.
        channels: channel -> factor 0..2, multiplied with the weight of its group.
        drawn: channel -> values of a curve that replaces it, evenly spaced from the clip's start to its end, -1.5..1.5.
        beat: from every gesture (0) to a steady beat (1); 0.5 decides by how steady the person is, see
            `events.find_person_events`.

    Raises:
        ExpotionError: a group is unknown, a weight is out of range, or a curve is not a list of finite numbers.

    Example:
        >>> Steering({"arms": 0}, {"smile": 2}).to_dict()
        {'weights': {'arms': 0.0}, 'channels': {'smile': 2.0}, 'drawn': {}, 'beat': 0.5}

    Notebook: notebooks/07_play_it
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    channels: Mapping[str, float] = field(default_factory=dict)
    drawn: Mapping[str, Sequence[float]] = field(default_factory=dict)
    beat: float = 0.5

    def __post_init__(self) -> None:
        """Check the entries, convert them to plain numbers, and drop weights of 1."""
        if not all(isinstance(table, Mapping) for table in (self.weights, self.channels, self.drawn)):
            raise ExpotionError(
                "Steering consists of three tables: weights by group, weights by channel, and curves by channel."
            )
        if unknown := [str(name) for name in self.weights if name not in GROUPS]:
            raise ExpotionError(f"There is no group {unknown[0]!r} to weigh; the groups are {', '.join(GROUPS)}.")
        for name in ("weights", "channels"):
            weights = {str(key): _checked_weight(key, value) for key, value in getattr(self, name).items()}
            object.__setattr__(self, name, {key: value for key, value in weights.items() if value != 1.0})
        object.__setattr__(self, "beat", _checked_weight("the beat", self.beat, most=1.0))
        drawn = {str(channel): _checked_curve(channel, curve) for channel, curve in self.drawn.items()}
        object.__setattr__(self, "drawn", drawn)

    def draw(self, channel: str, points: Sequence[float] | None) -> Steering:
        """Return this steering with a drawn curve for a channel.

        Args:
            channel: its name.
            points: values of the curve, see `Steering`. None removes the channel's curve.
        """
        rest = {name: curve for name, curve in self.drawn.items() if name != channel}
        return replace(self, drawn=rest if points is None else rest | {channel: points})

    def apply(self, controls: Controls) -> Controls:
        """Return the controls with weights and curves applied, (T, C) as before.

        Events and activity are found anew if what they are found from has changed. Muted arms are also flagged as
        missing, and so is the body if arms and shoulders are muted, and all motion if head, arms and shoulders are, or
        the whole body's channels: the model has learned absence in this form.

        Args:
            controls: to change; they stay as they are.

        Raises:
            ExpotionError: a weight or a curve is for a channel that the controls do not have.
        """
        for channel in [*self.channels, *self.drawn]:
            if channel not in controls.channels:
                raise ExpotionError(f"There is no channel {channel!r} to steer; try event or activity.")
        others = [channel for channel in controls.channels if channel not in _FOUND]
        changed = self._change(controls, others)
        if set(CHANNELS) <= set(controls.channels) and (
            self.beat != 0.5 or not np.array_equal(changed.values, controls.values)
        ):
            changed = with_events(changed, self.beat)
        return self._change(changed, [channel for channel in controls.channels if channel in _FOUND])

    def _change(self, controls: Controls, channels: Sequence[str]) -> Controls:
        """Return the controls with weights, flags and drawn curves applied to some of the channels."""
        values, flags = controls.values.copy(), self._flags_of_muted_parts()
        for channel in channels:
            column = controls.channels.index(channel)
            values[:, column] *= self.weights.get(group_of(channel) or "", 1.0) * self.channels.get(channel, 1.0)
            if channel in flags:
                values[:, column] = 1.0
            if channel in self.drawn:
                values[:, column] = stretch(self.drawn[channel], len(values))
        return replace(controls, values=values)

    def _flags_of_muted_parts(self) -> set[str]:
        """Return the missing flags that belong to the muted groups."""
        muted = {group for group, weight in self.weights.items() if weight == 0}
        flags = set()
        if "arms" in muted:
            flags.add("arms_missing")
        if {"arms", "shoulders"} <= muted:
            flags.add("body_missing")
        if {"head", "arms", "shoulders"} <= muted or ("pulse" in muted and not set(self.drawn) & set(_FOUND)):
            flags.add("motion_missing")
        return flags

    def to_dict(self) -> dict[str, Any]:
        """Return the steering as plain dicts, lists and numbers, for JSON."""
        return {
            "weights": dict(self.weights),
            "channels": dict(self.channels),
            "drawn": {name: list(curve) for name, curve in self.drawn.items()},
            "beat": self.beat,
        }


def stretch(points: Sequence[float], n_frames: int) -> np.ndarray:
    """Interpolate evenly spaced points linearly to one value for each frame.

    Args:
        points: values of the curve, two or more.
        n_frames: length of the result.

    Returns:
        (n_frames,) float32, from the first point to the last.

    Example:
        >>> stretch([0, 1, 0], 5).tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    places = np.linspace(0, len(points) - 1, n_frames)
    return np.interp(places, np.arange(len(points)), np.asarray(points, float)).astype(np.float32)


def check_tempo(bpm: float) -> None:
    """Raise ExpotionError for a tempo outside 30 to 240 beats per minute."""
    if not 30 <= bpm <= 240:
        raise ExpotionError(f"A tempo of {bpm:g} beats per minute cannot be followed; choose 30 to 240.")


def beats_curve(bpm: float, duration_s: float, n_points: int) -> list[float]:
    """Return a curve with one bump for each beat, in the form of the channels `event` and `pulse`.

    Args:
        bpm: tempo, beats per minute.
        duration_s: length of the clip, seconds.
        n_points: length of the curve.

    Returns:
        n_points values, 0..1; the first beat is half a beat after the start.

    Raises:
        ExpotionError: the tempo is outside 30 to 240 beats per minute.

    Notebook: notebooks/07_play_it
    """
    check_tempo(bpm)
    beats = np.arange(30 / bpm, duration_s, 60 / bpm)
    curve = pulse_train(np.linspace(0, duration_s, n_points), beats, np.ones(len(beats)))
    return [round(float(value), 4) for value in curve]


def _checked_weight(name: str, value: object, most: float = MAX_WEIGHT) -> float:
    """Return the weight of a group or channel, or the share of the beat, as a number, or raise ExpotionError."""
    if not isinstance(value, bool) and isinstance(value, Real) and 0 <= float(value) <= most:
        return float(value)
    raise ExpotionError(f"The weight of {name} is {value!r}; choose a number from 0 to {most:g}.")


def _checked_curve(channel: str, curve: Sequence[float]) -> tuple[float, ...]:
    """Return the points of a curve clipped to -1.5..1.5, or raise ExpotionError."""
    try:
        points = np.asarray(curve, float)
    except (TypeError, ValueError):
        points = np.full(1, np.nan)
    if points.ndim != 1 or not 2 <= len(points) <= MAX_POINTS or not np.isfinite(points).all():
        raise ExpotionError(
            f"The curve for {channel} is not a list of 2 to {MAX_POINTS:,} finite numbers; draw it again."
        )
    return tuple(float(value) for value in np.clip(points, -1.5, 1.5))
