"""Channels of the controls: their names, units and floors, and `Controls`, which holds their values.

Every channel is a row of a table below or follows from one. To add a channel:

1. Add a row to `EXPRESSIONS`, `MOTIONS` or `ENERGIES`. Its description, its place in `CHANNELS` and the channel of its
   velocity (of a motion) follow. Begin a motion's name with the part that moves ("head_", "shoulders_", "left_wrist_"):
   the part decides its steering group, and whether slow drift is removed (head and shoulders only).
2. Say in `extraction.py` how it is measured. A motion is one more entry in `_measure_head` or `_measure_body`; it also
   goes into `TURNS_AT_BOTTOM` or `TURNS_AT_BOTH_ENDS` if its turning points can mark the beat. Expressions (the mean of
   their blendshapes) and energies (the speeds of their motions) need no code.
3. Raise `CONTROLS_VERSION` there, so that cached controls are computed anew, and train an adapter that reads the new
   channel. Adapters look their channels up by name, so those trained before still work.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ExpotionError
from ..files import atomic_write
from ..stored import read_npz
from .columns import column_indices
from .resampling import frame_times


@dataclass(frozen=True)
class Expression:
    """A facial expression, measured as the mean of some of MediaPipe's blendshapes.

    Attributes:
        description: what the face does where the channel is 1.
        blendshapes: names of the blendshapes, each 0..1.
        highest_neutral: the largest mean that can be this person's neutral face, 0..1. Neutral is the median of the
            clip, but never above this value: a smile held throughout a clip remains a smile.
        floor: the change of the mean that counts as full range for a person who changes less, 0..1.
    """

    description: str
    blendshapes: tuple[str, ...]
    highest_neutral: float
    floor: float


@dataclass(frozen=True)
class Motion:
    """A movement of head, shoulders or arms.

    Attributes:
        description: of the movement, with its positive direction.
        unit: of the measured position.
        floor: the distance from neutral that counts as full range for a person who moves less, in `unit`.
    """

    description: str
    unit: str
    floor: float


@dataclass(frozen=True)
class Energy:
    """The joint speed of some measured channels, without direction.

    Attributes:
        description: of the energy.
        channels: names of the expressions or motions whose speeds are combined (root of the sum of squares).
    """

    description: str
    channels: tuple[str, ...]


def _sides(*names: str) -> tuple[str, ...]:
    """Return the names of the blendshapes on the left and right of the face."""
    return tuple(f"{name}{side}" for name in names for side in ("Left", "Right"))


def _limb_motions(joint: str, floor: float) -> dict[str, Motion]:
    """Return the motions of a joint of both arms in both directions of the image."""
    return {
        f"{side}_{joint}_{axis}": Motion(
            f"{side} {joint} from between the shoulders, + = {positive}", "shoulder widths", floor
        )
        for side in ("left", "right")
        for axis, positive in (("x", "to the image's right"), ("y", "down"))
    }


EXPRESSIONS: dict[str, Expression] = {
    "smile": Expression("corners of the mouth up", _sides("mouthSmile"), highest_neutral=0.15, floor=0.3),
    "frown": Expression("corners of the mouth down", _sides("mouthFrown"), highest_neutral=0.1, floor=0.15),
    "brows_up": Expression("eyebrows raised", ("browInnerUp", *_sides("browOuterUp")), highest_neutral=0.2, floor=0.3),
    "brows_down": Expression("eyebrows lowered", _sides("browDown"), highest_neutral=0.3, floor=0.3),
    "eyes_wide": Expression("eyes wide open", _sides("eyeWide"), highest_neutral=0.1, floor=0.15),
    "eyes_closed": Expression("eyes closed, blinks included", _sides("eyeBlink"), highest_neutral=0.3, floor=0.4),
    "cheek_raise": Expression("cheeks up", _sides("cheekSquint", "eyeSquint"), highest_neutral=0.25, floor=0.15),
    "jaw_open": Expression("mouth open", ("jawOpen",), highest_neutral=0.1, floor=0.2),
    "mouth_pucker": Expression("lips pushed forward", ("mouthPucker",), highest_neutral=0.3, floor=0.3),
    "mouth_press": Expression("lips pressed together", _sides("mouthPress"), highest_neutral=0.15, floor=0.2),
}
"""The expressions of the face, by channel."""

MOTIONS: dict[str, Motion] = {
    "head_pitch": Motion("head nods, + = chin down", "degrees", floor=4.0),
    "head_yaw": Motion("head turns, + = to the image's right", "degrees", floor=6.0),
    "head_roll": Motion("head tilts, + = clockwise in the image", "degrees", floor=4.0),
    "head_x": Motion("head moves sideways, + = to the image's right", "eye distances", floor=0.12),
    "head_y": Motion("head moves up and down, + = down", "eye distances", floor=0.12),
    "head_z": Motion("head comes nearer, + = nearer", "natural log of size", floor=0.1),
    "shoulders_x": Motion("shoulders move sideways, + = to the image's right", "shoulder widths", floor=0.06),
    "shoulders_y": Motion("shoulders move up and down, + = down", "shoulder widths", floor=0.06),
    "shoulders_tilt": Motion("shoulder line tilts, + = clockwise in the image", "degrees", floor=3.0),
    **_limb_motions("wrist", floor=0.25),
    **_limb_motions("elbow", floor=0.15),
}
"""The motions of head, shoulders and arms, by channel."""

MEASURED: tuple[str, ...] = (*EXPRESSIONS, *MOTIONS)
"""The channels that are measured in every video frame, in the order of the columns."""
TRUNK: tuple[str, ...] = tuple(name for name in MOTIONS if name.startswith(("head_", "shoulders_")))
"""The motions of head and shoulders."""
LIMBS: tuple[str, ...] = ("left_wrist", "right_wrist", "left_elbow", "right_elbow")
"""The joints of the arms; each has the motions `_x` and `_y`."""

ENERGIES: dict[str, Energy] = {
    # Without blinks, which would drown the other expressions.
    "expression_energy": Energy(
        "speed of the face's changes, blinks left out", tuple(name for name in EXPRESSIONS if name != "eyes_closed")
    ),
    **{f"{name}_energy": Energy(f"speed of {name}", (name,)) for name in TRUNK},
    **{f"{limb}_energy": Energy(f"speed of {limb}", (f"{limb}_x", f"{limb}_y")) for limb in LIMBS},
    "motion_energy": Energy("speed of everything seen of head, shoulders and arms", tuple(MOTIONS)),
}
"""The energies, by channel."""

FLOWS: dict[str, str] = {
    "head_flow": "the head",
    "arms_flow": "the arms",
    "trunk_flow": "trunk and legs (of the whole picture where nobody is found)",
}
"""The optical flows, by channel."""

EXPRESSION_CHANNELS: tuple[str, ...] = (*EXPRESSIONS, "expression_energy")
"""The channels of the face's expression."""
MISSING_CHANNELS: tuple[str, ...] = ("face_missing", "body_missing", "arms_missing", "motion_missing")
"""The flags (0 or 1) of parts that the camera does not see."""

_ENERGY_DESCRIPTIONS = {
    name: f"Energy: {energy.description}, 0..1, scaled to own range." for name, energy in ENERGIES.items()
}
DESCRIPTIONS: dict[str, str] = {
    **{
        name: f"Expression: {expression.description} (blendshape 0..1), scaled to own range."
        for name, expression in EXPRESSIONS.items()
    },
    "expression_energy": _ENERGY_DESCRIPTIONS["expression_energy"],  # stands with the face; the other energies follow
    **{
        name: f"Position: {motion.description} ({motion.unit}), scaled to own range."
        for name, motion in MOTIONS.items()
    },
    **{
        f"{name}_velocity": f"Velocity: {motion.description} ({motion.unit} per second), scaled to own range."
        for name, motion in MOTIONS.items()
    },
    **_ENERGY_DESCRIPTIONS,
    **{
        name: f"Flow: speed of the pixels of {part}, 0..1; their sum is scaled to own range, 0 without pixels."
        for name, part in FLOWS.items()
    },
    "pulse": "Pulse: 0..1, a bump where the dominant motion turns (bottom of a nod, conductor's ictus, end of a sway).",
    "event": "Event: 0..1, a bump where a movement arrives, as high as the arrival is strong (see `events.py`).",
    "activity": "Activity: 0..1, how fast the person moves, smoothed over 0.12 s and scaled to own range.",
    "face_missing": "Missing: 1 where no face is seen for longer than the longest gap that is filled, else 0.",
    "body_missing": "Missing: 1 where no shoulders are seen for longer than the longest gap that is filled, else 0.",
    "arms_missing": "Missing: 1 where neither wrist is seen for longer than the longest gap that is filled, else 0.",
    "motion_missing": "Missing: 1 where neither face nor shoulders are seen for that long, else 0.",
}
"""One line for each channel, with its unit. Own range: that of the person in the clip, see `extraction.py`."""
CHANNELS: tuple[str, ...] = tuple(DESCRIPTIONS)
"""The names of all channels, in the order of the columns."""
MOTION_CHANNELS: tuple[str, ...] = tuple(
    name for name in CHANNELS if name not in EXPRESSION_CHANNELS + MISSING_CHANNELS
)
"""The channels of how head, shoulders and arms move, with pulse, event and activity."""
ADAPTER_CHANNELS: tuple[str, ...] = (
    "event",
    "activity",
    "smile",
    "frown",
    "brows_up",
    "jaw_open",
    "expression_energy",
    "face_missing",
    "motion_missing",
)
"""The channels that a new adapter reads: few, in which real people and synthetic ones are alike (`lab/likeness.py`)."""
MODALITIES: dict[str, tuple[str, ...]] = {"expression": EXPRESSION_CHANNELS, "motion": MOTION_CHANNELS}
"""The two kinds of input, which training can hide from the model one at a time."""


@dataclass(frozen=True, eq=False)
class Controls:
    """Named channels at the music model's frame rate.

    Attributes:
        values: (T, C) float32 without NaN. Energies, pulse, event, activity and flags are 0..1, flows 0..1.5, the
            others -1.5..1.5.
        channels: C names, see `DESCRIPTIONS`.
        frame_rate: frames per second, Hz; frame j is at (j + 0.5) / frame_rate seconds.
        found: (T,) bool, true where a face or a body was seen in the video frame nearest in time.

    Raises:
        ExpotionError: the shapes do not fit together, or a value is not finite.

    Notebook: notebooks/02_controls
    """

    values: np.ndarray
    channels: tuple[str, ...]
    frame_rate: float
    found: np.ndarray

    def __post_init__(self) -> None:
        """Check that the shapes fit together and that every value is finite."""
        n_frames, n_channels = self.values.shape if self.values.ndim == 2 else (-1, -1)
        if self.found.shape != (n_frames,) or len(self.channels) != n_channels:
            raise ExpotionError(
                f"Controls do not fit together: values {self.values.shape}, {len(self.channels)} channels, "
                f"found {self.found.shape}; give (T, C), C names and (T,)."
            )
        if not np.isfinite(self.values).all():
            raise ExpotionError("Controls hold NaN or infinite values; put 0 where something is missing.")
        if not 0 < self.frame_rate < np.inf:
            raise ExpotionError(f"The frame rate of the controls is {self.frame_rate}; give a positive number, in Hz.")

    @property
    def times(self) -> np.ndarray:
        """Centres of the frames, (T,) seconds."""
        return frame_times(len(self.values), self.frame_rate)

    def __getitem__(self, channel: str) -> np.ndarray:
        """Return one channel by name, (T,) float32.

        Raises:
            ExpotionError: there is no such channel.
        """
        if channel not in self.channels:
            raise ExpotionError(f"There is no channel {channel!r}; the channels are {', '.join(self.channels)}.")
        return self.values[:, self.channels.index(channel)]

    def select(self, channels: Sequence[str]) -> Controls:
        """Return some of the channels, in the given order, such as those that an adapter was trained to read.

        Args:
            channels: their names.

        Raises:
            ExpotionError: a channel is not there; the message names it.
        """
        columns = column_indices(channels, self.channels)
        return Controls(self.values[:, columns], tuple(channels), self.frame_rate, self.found)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write an .npz file with `values`, `channels`, `frame_rate` and `found`, complete or not at all.

        Args:
            path: the file to write.
            overwrite: replace the file if it exists.

        Returns:
            The path.

        Raises:
            ExpotionError: the file exists and overwrite is false, or it cannot be written.
        """
        with atomic_write(path, overwrite) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file,
                values=self.values.astype(np.float32),
                channels=np.array(self.channels, dtype=np.str_),
                frame_rate=np.float64(self.frame_rate),
                found=self.found.astype(bool),
            )
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Controls:
        """Load a file that `save` wrote.

        Args:
            path: the file to read.

        Raises:
            ExpotionError: the file does not exist, is no file of controls, or its arrays do not fit together.
        """
        try:
            arrays = read_npz(path)
            values, channels, frame_rate, found = (arrays[k] for k in ("values", "channels", "frame_rate", "found"))
        except FileNotFoundError:
            raise ExpotionError(f"There is no file {path}; make it with `expotion-lite controls`.") from None
        except KeyError as error:
            raise ExpotionError(f"{path} is not a controls file: {error.args[0]!r} is missing.") from None
        except (OSError, ValueError) as error:
            raise ExpotionError(
                f"{path} is not a controls file ({error}); make one with `expotion-lite controls`."
            ) from None
        if (values.dtype.kind, channels.dtype.kind, found.dtype.kind) != ("f", "U", "b") or channels.ndim != 1:
            raise ExpotionError(f"{path} is not a controls file: its arrays have the wrong types.")
        if frame_rate.shape != () or frame_rate.dtype.kind not in "fiu":
            raise ExpotionError(f"{path} is not a controls file: its frame_rate is not one number.")
        return cls(values.astype(np.float32), tuple(channels.tolist()), float(frame_rate), found)


def hide(values: np.ndarray, channels: Sequence[str], modality: str) -> np.ndarray:
    """Hide one modality: set its channels to 0, and flag body, arms and motion as missing if motion is hidden.

    Args:
        values: (..., C) controls.
        channels: C names.
        modality: one of `MODALITIES`, "expression" or "motion".

    Returns:
        (..., C), a copy.

    Raises:
        ExpotionError: there is no such modality.

    Example:
        >>> hide(np.array([0.4, 0.7, 0.0]), ("smile", "pulse", "body_missing"), "motion").tolist()
        [0.4, 0.0, 1.0]
    """
    if modality not in MODALITIES:
        raise ExpotionError(f"There is no modality {modality!r}; choose {' or '.join(MODALITIES)}.")
    hidden = np.isin(channels, MODALITIES[modality])
    flagged = np.isin(channels, ("body_missing", "arms_missing", "motion_missing")) & (modality == "motion")
    return np.where(flagged, 1, np.where(hidden, 0, values)).astype(values.dtype)
