"""Hear music while it is being made: codes are overheard as they are drawn and decoded a half second at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from .loading import MusicGen
    from .step_decoder import StepDecoder

CHUNK_S = 0.5
MARGIN = 8  # frames around a chunk that its sound depends on, but for what the codec remembers


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
        >>> from expotion_lite.musicgen.loading import load
        >>> chunks = []
        >>> stream = SoundStream(load("nano"), chunks.append, n_samples=8_000)
        >>> stream.finish(30 * [np.zeros(4, int)])
        >>> sum(map(len, chunks))
        8000
    """

    def __init__(self, musicgen: MusicGen, on_sound: Callable[[np.ndarray], None], n_samples: int) -> None:
        """on_sound: called with (N,) float32 within -1..1. n_samples: how much is wanted in all."""
        from .codes import in_three

        self._musicgen, self._on_sound, self._left = musicgen, on_sound, n_samples
        self._before, self._memory, self._after = in_three(musicgen.model.audio_encoder.decoder)
        self._done, self._state, self._past = 0, None, []  # frames that sounded; the memory after them; their last few

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
        """Sound the frames up to `end`. The codec's memory, which holds the phase of every tone, goes on."""
        import torch

        from .codes import latents_of

        past, new = min(self._done, MARGIN), end - self._done
        with torch.inference_mode():
            known = torch.from_numpy(np.stack(codes[self._done - past :], axis=1))[None]
            ahead = self._before(latents_of(self._musicgen, known))[..., past:]
            sure, state = self._remember(ahead[..., :new], self._state)
            hidden = torch.cat([*self._past, sure, self._remember(ahead[..., new:], state)[0]], -1)
            audio = self._after(hidden)[0, 0].float().cpu().numpy()
        hop = round(self._musicgen.sample_rate / self._musicgen.frame_rate)
        audio = np.clip(audio[past * hop : (past + new) * hop][: self._left], -1.0, 1.0)
        self._past = [hidden[..., max(0, past + new - MARGIN) : past + new]]
        self._state, self._done, self._left = state, end, self._left - len(audio)
        if len(audio):
            self._on_sound(audio)

    def _remember(self, hidden: torch.Tensor, state: tuple | None) -> tuple[torch.Tensor, tuple | None]:
        """Run the memory, like its `EncodecLSTM`, over (1, D, T) from a state on. Returns (1, D, T) and the state."""
        if not hidden.shape[-1]:
            return hidden, state
        out, state = self._memory.lstm(hidden.permute(2, 0, 1), state)
        return hidden + out.permute(1, 2, 0), state
