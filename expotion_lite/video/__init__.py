"""Read videos by their true times, and write music under their pictures.

`reading` decodes pictures and sound, `writing` makes an mp4 or a wav. Below them lie `containers` (opens a file and
refuses one that is damaged), `demuxing` (times and orientation of every picture) and `muxing` (encodes or copies
pictures).

Example:
    >>> import tempfile
    >>> import numpy as np
    >>> from expotion_lite import Frame, probe, read_frames, write_video
    >>> pictures = (Frame(np.full((48, 64, 3), 40 * i, np.uint8), i / 15) for i in range(5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_video(f"{folder}/grey.mp4", pictures, audio=np.zeros(16000, np.float32), sample_rate=16000)
    ...     info = probe(path)
    ...     times = [round(frame.time_s, 4) for frame in read_frames(path)]
    >>> info.width, info.height, info.frames, round(info.duration_s, 3), info.has_audio
    (64, 48, 5, 0.333, True)
    >>> times
    [0.0, 0.0667, 0.1333, 0.2, 0.2667]
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
