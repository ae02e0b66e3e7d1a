"""Synthetic music and synthetic people who move to it, with the exact truth about both.

The band: `band` composes, plays and describes a piece, from `styles`, `harmony`, `arranging`, `instruments` and
`captions`. The people: `people` says who they are, `performer` and `reactions` how they move, `camera` what MediaPipe
would see of them, and `photograph` draws them as pixels."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
