"""Live playing: music without end that follows a person as they move.

- `perception`: what was seen in the last seconds, as controls.
- `foresight`: the phase-locked pulse, which tells when the next beat will come.
- `timeline`: controls for the frames that are drawn next, foreseen or late.
- `engine`: the live engine, which puts these together with `musicgen.endless` and hands out sound.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
