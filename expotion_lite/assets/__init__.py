"""Files bundled with the package: the example clip, the nano model, its adapter and the face template."""

from __future__ import annotations

from pathlib import Path


def example_clip() -> Path:
    """Return the path of the bundled clip: 10 s of a synthetic performer, without sound (see clip/README.md).

    Example:
        >>> example_clip().name
        'performer.mp4'

    Notebook: notebooks/00_start_here
    """
    return Path(__file__).parent / "clip" / "performer.mp4"
