"""Hear music while it is being made: codes are overheard as they are drawn and decoded a half second at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from .decoding import StepDecoder
    from .musicgen import MusicGen

CHUNK_S = 0.5
MARGIN = 8  # frames around a chunk that its sound depends on
MEMORY = 250  # frames before it that the codec's recurrent layers are reminded of


class Overheard:
    """A `StepDecoder` that tells which codes go through it: what was drawn at one step is read at the next.

    Attributes:
        codes: the frames that are whole by now, each (K,) int64.
    """

    def __init__(self, decoder: StepDecoder, n_codebooks: int, heard: Callable[[list[np.ndarray]], None]) -> None:
        """decoder: that does the work. heard: called after each step with all whole frames so far."""
        self.codes: list[np.ndarray] = []
        self._decoder, self._n_codebooks, self._heard = decoder, n_codebooks, heard
        self._columns: list[np.ndarray] = []
        self._begin = self._end = 0  # of the window, in frames

    def start(self, text: torch.Tensor, mask: torch.Tensor, steps: int) -> None:
        """Begin a window of so many steps. What it repeats of the one before comes in its first step."""
        self._columns, self._steps = [], steps
        self._decoder.start(text, mask, steps)

    def step(self, tokens: torch.Tensor, control: torch.Tensor | None) -> torch.Tensor:
        """Go on by `tokens` (rows, K, n); returns the decoder's logits."""
        new = list(tokens[0].T.cpu().numpy())
        if not self._columns:  # the first column is the start token, then come the frames that are known
            self._begin = self._end - (len(new) - 1)
            self._end = self._begin + self._steps - self._n_codebooks + 1
            self._columns, new = [new[0]], new[1:]
        self._columns += new
        self._collect()
        return self._decoder.step(tokens, control)

    def _collect(self) -> None:
        """Undo the delay pattern: codebook k of frame t was read k steps late."""
        before = len(self.codes)
        while self._begin + len(self._columns) - 1 - (self._n_codebooks - 1) > len(self.codes):
            first = 1 + len(self.codes) - self._begin
            self.codes.append(np.array([self._columns[first + k][k] for k in range(self._n_codebooks)]))
        if len(self.codes) > before:
            self._heard(self.codes)


class SoundStream:
    """Turn growing codes into chunks of sound that fit together without a seam.

    Example:
        >>> stream = SoundStream(None, print, 8)
        >>> stream.finish([])
    """

    def __init__(self, musicgen: MusicGen, on_sound: Callable[[np.ndarray], None], n_samples: int) -> None:
        """on_sound: called with (N,) float32 within -1..1. n_samples: how much is wanted in all."""
        self._musicgen, self._on_sound, self._left = musicgen, on_sound, n_samples
        self._done = 0

    def hear(self, codes: list[np.ndarray]) -> None:
        """Sound what is certain by now, if it is a chunk. codes: all frames so far, each (K,)."""
        chunk = round(CHUNK_S * self._musicgen.frame_rate)
        if len(codes) - MARGIN - self._done >= chunk:
            self._emit(codes, len(codes) - MARGIN)

    def finish(self, codes: list[np.ndarray]) -> None:
        """Sound the rest."""
        if len(codes) > self._done:
            self._emit(codes, len(codes))

    def _emit(self, codes: list[np.ndarray], end: int) -> None:
        import torch

        from .musicgen import decode

        first = max(0, self._done - MEMORY)
        heard = torch.from_numpy(np.stack(codes[first:], axis=1))[None]
        audio = decode(self._musicgen, heard, margin=MARGIN, start=self._done - first, end=end - first)[0].numpy()
        audio = np.clip(audio[: self._left], -1.0, 1.0)
        self._done, self._left = end, self._left - len(audio)
        if len(audio):
            self._on_sound(audio)
