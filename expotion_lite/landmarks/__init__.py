"""Find the face and the upper body of one person in every picture of a video, with MediaPipe.

`extraction` is the public function, `tracking` follows one person from picture to picture, `landmarker` wraps
MediaPipe, and `model_files` finds its models without the network where that is possible."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
