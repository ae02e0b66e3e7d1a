"""Training examples: codes of music, controls of a person who moves to it, and a caption.

`examples` holds them and divides them without leaks. They come from `synthetic` performers, from `recordings` in a
folder, or from the published recordings `human_music_moves`.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
