"""Upright pictures: the rotation, mirroring, pixel shape and colours that a file states are applied here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from ..errors import ExpotionError
from .colours import HDR_TRANSFERS, to_sdr

if TYPE_CHECKING:
    import av
    from av.sidedata.sidedata import SideData

SMALLEST_SIDE = 32  # pixels; no face can be recognised in a smaller picture
MOST_PIXELS = 64_000_000  # of a picture; 8K has 33 million


@dataclass(frozen=True)
class UprightTransform:
    """Transform of stored pictures into upright ones: scale to width x height, transpose (or not), then mirror."""

    width: int
    height: int
    transposed: bool
    mirror_x: bool
    mirror_y: bool
    rotation: int
    pixel_aspect: float = 1.0

    @classmethod
    def from_first(
        cls, picture: av.VideoFrame, stream: av.VideoStream, name: str, max_side: int | None = None
    ) -> UprightTransform:
        """Derive the transform from the first picture: its size, pixel shape and display matrix (FFmpeg's display.h).

        Args:
            picture: the first decoded frame.
            stream: the stream that it comes from.
            name: of the video, for error messages.
            max_side: larger pictures are scaled so that their longer side has this many pixels.

        Raises:
            ExpotionError: the picture is smaller than `SMALLEST_SIDE` or larger than `MOST_PIXELS`.
        """
        aspect = float(stream.sample_aspect_ratio or 1)
        width, height = round(picture.width * aspect), picture.height
        if min(width, height) < SMALLEST_SIDE:
            small = f"{width}x{height} pixels are too few to see a person"
            raise ExpotionError(f"{name}: {small}; give a video of at least {SMALLEST_SIDE}x{SMALLEST_SIDE}.")
        if width * height > MOST_PIXELS:
            raise ExpotionError(f"{name}: pictures of {width}x{height} pixels are too large; scale it to 4K or less.")
        scale = min(1.0, (max_side or math.inf) / max(width, height))
        a, b, c, d = _display_matrix(picture)
        transposed = abs(b) > abs(a)
        mirror_x, mirror_y = (c < 0, b < 0) if transposed else (a < 0, d < 0)
        rotation = round(math.degrees(math.atan2(-c, d)) / 90) * 90 % 360
        scaled_width, scaled_height = max(1, round(width * scale)), max(1, round(height * scale))
        return cls(scaled_width, scaled_height, transposed, mirror_x, mirror_y, rotation, aspect)

    def apply(self, picture: av.VideoFrame) -> np.ndarray:
        """Return the upright picture, (H, W, 3) uint8 RGB in the colours of BT.709.

        All pictures get the size of the first. One of another shape, as when a phone is turned, gets black borders.
        """
        width, height = self._fitted(picture)
        image = _rgb(picture, width, height)
        if (width, height) != (self.width, self.height):
            canvas = np.zeros((self.height, self.width, 3), np.uint8)
            top, left = (self.height - height) // 2, (self.width - width) // 2
            canvas[top : top + height, left : left + width] = image
            image = canvas
        image = image.swapaxes(0, 1) if self.transposed else image
        return np.ascontiguousarray(image[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1])

    def _fitted(self, picture: av.VideoFrame) -> tuple[int, int]:
        """Return the width and height of a picture within this size; a difference of 2% is rounding, no border."""
        shape = picture.width * self.pixel_aspect / picture.height / (self.width / self.height)
        if 0.98 < shape < 1.02:
            return self.width, self.height
        return max(1, round(self.width * min(1.0, shape))), max(1, round(self.height / max(1.0, shape)))


def _rgb(picture: av.VideoFrame, width: int, height: int) -> np.ndarray:
    """Scale a picture and return it as (height, width, 3) uint8 RGB, tone-mapped if it is HDR."""
    if picture.color_trc not in HDR_TRANSFERS:
        return picture.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    wide = picture.to_ndarray(format="rgb48le", width=width, height=height, interpolation="AREA")
    return to_sdr(wide, picture.color_trc)


def _display_matrix(picture: av.VideoFrame) -> tuple[float, float, float, float]:
    """Return the rotation part (a, b, c, d) of a picture's display matrix; the identity if the file has none."""
    side_data = cast("dict[str, SideData]", picture.side_data)  # PyAV types motion vectors only
    stored = side_data.get("DISPLAYMATRIX")
    if stored is None:
        return 1.0, 0.0, 0.0, 1.0
    matrix = np.frombuffer(bytes(stored), np.int32)
    return float(matrix[0]), float(matrix[1]), float(matrix[3]), float(matrix[4])
