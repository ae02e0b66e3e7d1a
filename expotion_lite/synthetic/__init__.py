"""Synthetic music and synthetic people who move to it, with exact ground truth for both.

Music: `band` composes, plays and describes pieces (`pieces`). Its tables are `styles`, `harmony`, `instruments` and
`drums`; `arranging` writes the notes, `tones` and `drums` synthesise them, `mixing` turns them into audio (`acoustics`
holds what these share), and `captions` describes them.

People: `people` draws a person, `performer` lets the person react to a piece by the curves of `reactions`, `camera`
turns these into landmarks, and `photograph` into pictures.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
