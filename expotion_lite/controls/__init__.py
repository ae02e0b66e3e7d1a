"""Turn landmarks into controls: named channels of expression and motion at the music model's frame rate.

- `channels` lists all channels, and says how to add one.
- `extraction` computes them from landmarks.
- `smoothing` and `recursive_filters` fill gaps and remove jitter.
- `resampling` aligns video frames with the music model's 50 frames a second.
- `pulse` finds the turning points of the dominant motion.
- `steering` changes controls by hand.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
