"""TODO."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError  # what numpy says of some damaged headers
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ExpotionError
from ..files import writing
from .columns import columns_of
from .smoothing import frame_times

if TYPE_CHECKING:
    pass


def _pair(name: str) -> tuple[str, str]:
    """Return the names of a blendshape's two sides."""
    return f"{name}Left", f"{name}Right"


# For each expression: the blendshapes it averages, the most that a resting face can show of it (a wide smile held
# throughout a clip must not become neutral), the change that counts as full range at least, and what it is.
_EXPRESSIONS: dict[str, tuple[tuple[str, ...], float, float, str]] = {
    "smile": (_pair("mouthSmile"), 0.15, 0.3, "corners of the mouth up"),
    "frown": (_pair("mouthFrown"), 0.1, 0.15, "corners of the mouth down"),
    "brows_up": (("browInnerUp", *_pair("browOuterUp")), 0.2, 0.3, "eyebrows raised"),
    "brows_down": (_pair("browDown"), 0.3, 0.3, "eyebrows lowered"),
    "eyes_wide": (_pair("eyeWide"), 0.1, 0.15, "eyes wide open"),
    "eyes_closed": (_pair("eyeBlink"), 0.3, 0.4, "eyes closed, blinks included"),
    "cheek_raise": ((*_pair("cheekSquint"), *_pair("eyeSquint")), 0.25, 0.15, "cheeks up"),
    "jaw_open": (("jawOpen",), 0.1, 0.2, "mouth open"),
    "mouth_pucker": (("mouthPucker",), 0.3, 0.3, "lips pushed forward"),
    "mouth_press": (_pair("mouthPress"), 0.15, 0.2, "lips pressed together"),
}
# For each motion: the distance from neutral that counts as full range at least, and what it is, with its unit.
_MOTIONS: dict[str, tuple[float, str]] = {
    "head_pitch": (4.0, "head nods, + = chin down (degrees)"),
    "head_yaw": (6.0, "head turns, + = to the image's right (degrees)"),
    "head_roll": (4.0, "head tilts, + = clockwise in the image (degrees)"),
    "head_x": (0.12, "head moves sideways, + = to the image's right (eye distances)"),
    "head_y": (0.12, "head moves up and down, + = down (eye distances)"),
    "head_z": (0.1, "head comes nearer, + = nearer (natural log of size)"),
    "shoulders_x": (0.06, "shoulders move sideways, + = to the image's right (shoulder widths)"),
    "shoulders_y": (0.06, "shoulders move up and down, + = down (shoulder widths)"),
    "shoulders_tilt": (3.0, "shoulder line tilts, + = clockwise in the image (degrees)"),
    **{
        f"{side}_{joint}_{axis}": (floor, f"{side} {joint} from between the shoulders, + = {way} (shoulder widths)")
        for joint, floor in (("wrist", 0.25), ("elbow", 0.15))
        for side in ("left", "right")
        for axis, way in (("x", "to the image's right"), ("y", "down"))
    },
}
_TRUNK = tuple(name for name in _MOTIONS if name.startswith(("head", "shoulders")))
_LIMBS = tuple(f"{side}_{joint}" for joint in ("wrist", "elbow") for side in ("left", "right"))
_RAW = (*_EXPRESSIONS, *_MOTIONS)  # what is measured in every video frame
# For each energy: the measured columns whose speeds it sums. Blinks would drown the rest of the expressions.
_ENERGIES: dict[str, tuple[str, ...]] = {
    "expression_energy": tuple(name for name in _EXPRESSIONS if name != "eyes_closed"),
    **{f"{name}_energy": (name,) for name in _TRUNK},
    **{f"{limb}_energy": (f"{limb}_x", f"{limb}_y") for limb in _LIMBS},
    "motion_energy": tuple(_MOTIONS),
}
EXPRESSION: tuple[str, ...] = (*_EXPRESSIONS, "expression_energy")
MISSING: tuple[str, ...] = ("face_missing", "body_missing", "arms_missing")
DESCRIPTIONS: dict[str, str] = {
    **{name: f"Expression: {row[-1]} (blendshape 0..1, in own range)." for name, row in _EXPRESSIONS.items()},
    "expression_energy": "Energy: how fast the face changes, blinks apart, 0..1 in own range.",
    **{name: f"Position: {_MOTIONS[name][-1]}, in own range." for name in _MOTIONS},
    **{f"{name}_velocity": f"Velocity: {_MOTIONS[name][-1]} per second, in own range." for name in _MOTIONS},
    **{f"{name}_energy": f"Energy: speed of {name}, 0..1 in own range." for name in (*_TRUNK, *_LIMBS)},
    "motion_energy": "Energy: speed of everything seen of head, shoulders and arms, 0..1 in own range.",
    "pulse": "Pulse: 0..1, a bump where the leading motion turns (a nod's bottom, a conductor's ictus, a sway's end).",
    "face_missing": "Missing: 1 where no face is seen for longer than the longest gap, else 0.",
    "body_missing": "Missing: 1 where no shoulders are seen for longer than the longest gap, else 0.",
    "arms_missing": "Missing: 1 where neither wrist is seen for longer than the longest gap, else 0.",
}
"""One line for each channel, with its unit."""
CHANNELS: tuple[str, ...] = tuple(DESCRIPTIONS)
"""The channels' names, in the order of the columns."""
MOTION: tuple[str, ...] = tuple(name for name in CHANNELS if name not in EXPRESSION + MISSING)
MODALITIES: dict[str, tuple[str, ...]] = {"expression": EXPRESSION, "motion": MOTION}
"""What a face expresses, and how head, shoulders and arms move."""


@dataclass(frozen=True, eq=False)
class Controls:
    """Named channels at the music model's frame rate.

    Attributes:
        values: (T, C) float32, no NaN; about -1.5..1.5, energies, pulse and missing flags 0..1.
        channels: C names, see `DESCRIPTIONS`.
        frame_rate: frames per second, Hz; frame j is at (j + 0.5) / frame_rate seconds.
        found: (T,) bool, a face or a body was seen in the video frame nearest in time.

    Raises:
        ExpotionError: the shapes do not fit together, or a value is not finite.

    Notebook: notebooks/02_controls
    """

    values: np.ndarray
    channels: tuple[str, ...]
    frame_rate: float
    found: np.ndarray

    def __post_init__(self) -> None:
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
        """(T,) centres of the frames, seconds."""
        return frame_times(len(self.values), self.frame_rate)

    def __getitem__(self, channel: str) -> np.ndarray:
        """Return one channel by name, (T,) float32."""
        if channel not in self.channels:
            raise ExpotionError(f"There is no channel {channel!r}; the channels are {', '.join(self.channels)}.")
        return self.values[:, self.channels.index(channel)]

    def select(self, channels: Sequence[str]) -> Controls:
        """Return these channels only, in this order: what an adapter reads, which may be older than some channels.

        Raises:
            ExpotionError: one of them is not there; the message names it.
        """
        columns = columns_of(channels, self.channels)
        return Controls(self.values[:, columns], tuple(channels), self.frame_rate, self.found)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write an .npz with `values`, `channels`, `frame_rate` and `found`, whole or not at all.

        Raises:
            ExpotionError: the file exists and overwrite is false, or it cannot be written.
        """
        with writing(path, overwrite) as temporary, open(temporary, "wb") as file:
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
        """Read what `save` wrote.

        Raises:
            ExpotionError: no such file, not such a file, or its arrays do not fit together.
        """
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                values, channels, frame_rate, found = (arrays[k] for k in ("values", "channels", "frame_rate", "found"))
        except FileNotFoundError:
            raise ExpotionError(f"There is no file {path}; make it with `expotion-lite controls`.") from None
        except KeyError as error:
            raise ExpotionError(f"{path} is not a controls file: {error.args[0]}.") from None
        except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error, TokenError):
            raise ExpotionError(f"{path} is not a controls file; make one with `expotion-lite controls`.") from None
        if (values.dtype.kind, channels.dtype.kind, found.dtype.kind) != ("f", "U", "b") or channels.ndim != 1:
            raise ExpotionError(f"{path} is not a controls file: its arrays have the wrong types.")
        if frame_rate.shape != () or frame_rate.dtype.kind not in "fiu":
            raise ExpotionError(f"{path} is not a controls file: its frame_rate is not one number.")
        return cls(values.astype(np.float32), tuple(channels.tolist()), float(frame_rate), found)


def hide(values: np.ndarray, channels: Sequence[str], modality: str) -> np.ndarray:
    """Controls as if one of `MODALITIES` had not been seen: its channels are 0, a hidden body is flagged as missing.

    Args:
        values: (..., C) of these C channels.
        channels: their names.
        modality: "expression" or "motion".

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
    lost = np.isin(channels, ("body_missing", "arms_missing")) & (modality == "motion")
    return np.where(lost, 1, np.where(hidden, 0, values)).astype(values.dtype)
