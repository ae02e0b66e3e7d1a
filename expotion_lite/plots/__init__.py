"""Figures of the person, the controls and the music, on one time axis.

`curves` plots controls, onsets, spectrograms and training losses; `overlay` draws landmarks on pictures and videos;
`palette` holds the colours.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
