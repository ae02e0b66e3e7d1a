"""Reading and writing of videos, with the timestamp of every frame.

- `reading`: `Video`, and `probe`, `read_frames` and `read_audio`, return facts, frames and sound of a video.
- `writing`: `write_video`, `mux_audio` and `write_wav` write an mp4 or a wav.
- `containers`: opens a file and refuses damaged ones.
- `demuxing`: chooses among streams, and reads packets and their timestamps.
- `upright`, `colours`: rotation, pixel shape and HDR of pictures. `sound`: decoding and mixing of sound.
- `muxing`: encodes or copies frames into an mp4 and encodes its sound.

Example:
    >>> import tempfile
    >>> import numpy as np
    >>> from expotion_lite import Frame, probe, read_frames, write_video
    >>> frames = (Frame(np.full((48, 64, 3), 40 * i, np.uint8), i / 15) for i in range(5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_video(f"{folder}/grey.mp4", frames, audio=np.zeros(16000, np.float32), sample_rate=16000)
    ...     info = probe(path)
    ...     times = [round(frame.time_s, 4) for frame in read_frames(path)]
    >>> info.width, info.height, info.frames, round(info.duration_s, 3), info.has_audio
    (64, 48, 5, 0.333, True)
    >>> times
    [0.0, 0.0667, 0.1333, 0.2, 0.2667]
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
