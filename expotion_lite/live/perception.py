"""Perception in live playing: controls of the last seconds, from what was seen so far.

Sizes and ranges are those of the last eight seconds. So they are sensible after one second, settled after five, and
follow a person who comes nearer or grows tired. What is older is forgotten, and memory stays the same.
"""

from __future__ import annotations

import bisect
import threading
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..controls.channels import Controls
from ..controls.events import with_events
from ..controls.extraction import extract_controls
from ..errors import ExpotionError
from ..landmarks.extraction import Landmarks

MEMORY_S = 8.0
LEAST_FRAMES = 4  # fewer tell nothing about movement
_ARRAYS = ("face", "blendshapes", "head_pose", "body", "face_found", "body_found")


@dataclass(frozen=True, eq=False)
class Recent:
    """Controls of the last seconds.

    Attributes:
        controls: up to the last frame that was seen.
        start_s: time of their beginning, on the clock by which frames are reported.
    """

    controls: Controls
    start_s: float

    @property
    def end_s(self) -> float:
        """Time of their end."""
        return self.start_s + len(self.controls.values) / self.controls.frame_rate


class Eyes(Protocol):
    """Whatever sees a person: `RecentLandmarks`, or `RecentControls` for recorded curves."""

    def recent(self) -> Recent | None:
        """Return the controls of the last seconds; None while too little was seen."""


class RecentLandmarks:
    """Landmarks of the last eight seconds. Frames may come late, out of order, unevenly, twice, or not at all.

    Threads may report frames and ask for controls at the same time.

    Args:
        frame_rate: of the controls, Hz.
        memory_s: seconds that are remembered.
    """

    def __init__(self, frame_rate: float = 50.0, memory_s: float = MEMORY_S) -> None:
        self._frame_rate, self._memory_s = frame_rate, memory_s
        self._times: list[float] = []
        self._frames: list[Landmarks] = []
        self._lock = threading.Lock()

    def add(self, frame: Landmarks) -> None:
        """Take in a frame.

        Args:
            frame: landmarks of one frame. Its time is when the picture was taken, in seconds on any clock that goes on
                evenly. A frame of a time that is known already is ignored.

        Raises:
            ExpotionError: these are no landmarks of one frame.
        """
        if len(frame.times) != 1:
            raise ExpotionError(f"These are landmarks of {len(frame.times)} frames; add them one by one.")
        time_s = float(frame.times[0])
        with self._lock:
            place = bisect.bisect_left(self._times, time_s)
            if place < len(self._times) and self._times[place] - time_s < 1e-6:
                return
            self._times.insert(place, time_s)
            self._frames.insert(place, frame)
            old = bisect.bisect_left(self._times, self._times[-1] - self._memory_s)
            del self._times[:old], self._frames[:old]

    def recent(self) -> Recent | None:
        """Return the controls of the last seconds; None while there are fewer than four frames."""
        with self._lock:
            times, frames = list(self._times), list(self._frames)
        if len(times) < LEAST_FRAMES:
            return None
        last = frames[-1]
        frames = [frame for frame in frames if (frame.width, frame.height) == (last.width, last.height)]
        times = times[-len(frames) :]
        if len(times) < LEAST_FRAMES:
            return None
        arrays: dict[str, Any] = {name: np.concatenate([getattr(frame, name) for frame in frames]) for name in _ARRAYS}
        flows = [frame.flow for frame in frames if frame.flow is not None]
        arrays["flow"] = np.concatenate(flows) if len(flows) == len(frames) else None
        landmarks = Landmarks(np.array(times) - times[0], **arrays, width=last.width, height=last.height)
        return Recent(extract_controls(landmarks, frame_rate=self._frame_rate), times[0])


class RecentControls:
    """Recorded controls, shown up to the present as if they were seen now.

    Args:
        controls: the recording, with all channels.
        memory_s: seconds that are remembered.
    """

    def __init__(self, controls: Controls, memory_s: float = MEMORY_S) -> None:
        self._controls, self._n = controls, round(memory_s * controls.frame_rate)
        self.now_s = 0.0
        """Time of the recording up to which it is shown, seconds."""

    def recent(self) -> Recent | None:
        """Return the controls of the last seconds; None while there are fewer than four frames."""
        end = min(int(self.now_s * self._controls.frame_rate), len(self._controls.values))
        start = max(0, end - self._n)
        if end - start < LEAST_FRAMES:
            return None
        part = replace(self._controls, values=self._controls.values[start:end], found=self._controls.found[start:end])
        return Recent(with_events(part), start / self._controls.frame_rate)
