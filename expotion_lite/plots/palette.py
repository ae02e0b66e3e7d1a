"""The colours of all figures: Okabe and Ito's palette (jfly.uni-koeln.de/color).

Readers with any common form of colour blindness can tell these colours apart.
"""

from __future__ import annotations

PALETTE = {
    "black": (0, 0, 0),
    "orange": (230, 159, 0),
    "sky": (86, 180, 233),
    "green": (0, 158, 115),
    "yellow": (240, 228, 66),
    "blue": (0, 114, 178),
    "vermilion": (213, 94, 0),
    "pink": (204, 121, 167),
}
"""Name -> red, green, blue, each 0..255."""


def rgb(name: str) -> tuple[float, float, float]:
    """Return a colour of the palette for matplotlib: red, green, blue, each 0..1.

    Args:
        name: a key of `PALETTE`.

    Example:
        >>> rgb("black")
        (0.0, 0.0, 0.0)
    """
    red, green, blue = PALETTE[name]
    return red / 255, green / 255, blue / 255
