"""Training examples: codes of music, controls of a person who moves to it, and a caption.

`examples` holds them and divides them without leaks; `synthetic` draws them, `recordings` reads a folder of
videos, and `human_music_moves` the published recordings."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
