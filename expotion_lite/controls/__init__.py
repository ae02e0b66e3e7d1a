"""Turn landmarks into controls: named channels of expression and motion at the music model's frame rate.

`channels` names every channel, `extraction` computes them, with `smoothing` and `recursive_filters` for the filters and
`pulse` for the turning points of the motion. `steering` changes controls by hand."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
