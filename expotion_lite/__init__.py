"""Music for a video of a person: expression and motion steer a text-to-music model.

    >>> import expotion_lite as el
    >>> el.Settings(seed=7).guidance
    2.0

The names below are imported when they are first used, so that `import expotion_lite` is immediate.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_MODULE_OF = {
    "ExpotionError": "errors",
    "Settings": "settings",
    "Frame": "video",
    "VideoInfo": "video",
    "probe": "video",
    "read_frames": "video",
    "read_audio": "video",
    "write_video": "video",
    "write_wav": "video",
    "mux_audio": "video",
    "Landmarks": "landmarks",
    "extract_landmarks": "landmarks",
    "Controls": "controls",
    "extract_controls": "controls",
    "smooth": "smoothing",
    "resample": "smoothing",
    "load": "musicgen",
    "Take": "generation",
    "generate": "generation",
}

__all__ = [*_MODULE_OF, "__version__"]

if TYPE_CHECKING:  # the same names, for editors
    from .controls import Controls as Controls
    from .controls import extract_controls as extract_controls
    from .errors import ExpotionError as ExpotionError
    from .generation import Take as Take
    from .generation import generate as generate
    from .landmarks import Landmarks as Landmarks
    from .landmarks import extract_landmarks as extract_landmarks
    from .musicgen import load as load
    from .settings import Settings as Settings
    from .smoothing import resample as resample
    from .smoothing import smooth as smooth
    from .video import Frame as Frame
    from .video import VideoInfo as VideoInfo
    from .video import mux_audio as mux_audio
    from .video import probe as probe
    from .video import read_audio as read_audio
    from .video import read_frames as read_frames
    from .video import write_video as write_video
    from .video import write_wav as write_wav


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
