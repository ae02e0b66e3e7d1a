"""Figures of the person, the controls and the music, on one time axis.

`curves` draws controls, onsets, spectrograms and trainings; `overlay` draws landmarks on pictures and videos."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
