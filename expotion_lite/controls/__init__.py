"""Turn landmarks into controls: named channels of expression and motion at the music model's frame rate.

`channels` lists all channels and says how to add one. `extraction` computes them, with the filters of `smoothing` and
`recursive_filters` and the turning points of `pulse`. `steering` changes controls by hand.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
