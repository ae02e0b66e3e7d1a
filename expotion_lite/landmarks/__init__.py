"""Landmarks of the face and the upper body of one person, in every frame of a video, found with MediaPipe.

- `extraction`: `extract_landmarks` runs the pipeline; `Landmarks` holds, saves and loads its result.
- `tracking`: chooses one person and follows their face and body from frame to frame.
- `landmarker`: wraps MediaPipe's face and pose models: one picture in, people out.
- `model_files`: finds or downloads the files of these models.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
