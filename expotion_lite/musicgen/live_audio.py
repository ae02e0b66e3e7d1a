"""Audio while music is sampled: decodes the codes in chunks as soon as they are drawn.

`ObservedDecoder` reports the codes as the sampling loop draws them, and `AudioStream` turns them into audio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .codes import latents_of, split_at_lstm

if TYPE_CHECKING:
    import torch

    from .loading import MusicGen
    from .step_decoder import Decoder

CHUNK_S = 0.5
BEFORE, AFTER = 3, 2  # frames on either side that the codec's convolutions before and after its LSTM read
MARGIN = BEFORE + AFTER  # frames that must follow a frame before it is decoded


class ObservedDecoder:
    """A decoder that reports the codes passing through it: codes drawn at one step are read at the next.

    Args:
        decoder: computes the logits.
        n_codebooks: number of codes per frame.
        on_codes: called after a step that completes frames, with the new ones, each (K,) int64.

    Attributes:
        codes: the complete frames so far, each (K,) int64.
    """

    def __init__(self, decoder: Decoder, n_codebooks: int, on_codes: Callable[[list[np.ndarray]], None]) -> None:
        self.codes: list[np.ndarray] = []
        self._decoder, self._n_codebooks, self._on_codes = decoder, n_codebooks, on_codes
        self._columns: list[np.ndarray] = []  # of the window, in the delay pattern, from the start token on
        self._begin = self._end = 0  # of the window, in frames

    def start(self, text: torch.Tensor, text_mask: torch.Tensor, max_steps: int) -> None:
        """Begin a window of `max_steps` steps. Its first step repeats the frames it shares with the one before."""
        self._columns, self._max_steps = [], max_steps
        self._decoder.start(text, text_mask, max_steps)

    def step(self, tokens: torch.Tensor, control: torch.Tensor | None = None) -> torch.Tensor:
        """Report the frames that `tokens` (rows, K, n) complete, and return the decoder's logits."""
        new = list(tokens[0].T.cpu().numpy())
        if not self._columns:  # a new window: the start token, then the frames that are known
            n_known = len(new) - 1
            self._begin = self._end - n_known
            self._end = self._begin + self._max_steps - (self._n_codebooks - 1)
        self._columns += new
        self._report_new_frames()
        return self._decoder.step(tokens, control)

    def _report_new_frames(self) -> None:
        """Undo the delay pattern: codebook k of frame t is in column t + k, counted after the start token."""
        n_before = len(self.codes)
        n_complete = self._begin + len(self._columns) - 1 - (self._n_codebooks - 1)
        for frame in range(n_before, n_complete):
            first = 1 + frame - self._begin
            self.codes.append(np.array([self._columns[first + k][k] for k in range(self._n_codebooks)]))
        if len(self.codes) > n_before:
            self._on_codes(self.codes[n_before:])


class AudioStream:
    """Decoder of codes to audio chunks that join without a seam. Its memory does not grow.

    Args:
        musicgen: the model whose codec is used.
        on_audio: called with each chunk, (N,) float32 from -1 to 1.
        n_samples: length of all audio; what comes after is dropped. None for music without end.
        chunk_s: length of a chunk in seconds; the last one may be shorter.

    Example:
        >>> from expotion_lite.musicgen.loading import load
        >>> chunks = []
        >>> stream = AudioStream(load("nano"), chunks.append, n_samples=8_000)
        >>> stream.feed(30 * [np.zeros(4, int)])
        >>> stream.finish()
        >>> sum(map(len, chunks))
        8000
    """

    def __init__(
        self,
        musicgen: MusicGen,
        on_audio: Callable[[np.ndarray], None],
        n_samples: int | None = None,
        *,
        chunk_s: float = CHUNK_S,
    ) -> None:
        self._musicgen, self._on_audio, self._samples_left = musicgen, on_audio, n_samples
        self._chunk = max(1, round(chunk_s * musicgen.frame_rate))
        self._before, self._lstm, self._after = split_at_lstm(musicgen.model.audio_encoder.decoder)
        self._frames: list[np.ndarray] = []  # those that the LSTM has not read, and `BEFORE` earlier ones
        self._read = 0  # of these frames, those that the LSTM has read
        self._state: Any = None  # of the LSTM after them
        self._hidden: torch.Tensor | None = None  # its output where it is not decoded, and `AFTER` earlier frames
        self._decoded = 0  # of these frames of output, those that are decoded

    def feed(self, codes: list[np.ndarray]) -> None:
        """Add frames, each (K,), and decode what no later frame can change, once it fills a chunk."""
        self._frames += codes
        if self._waiting() - MARGIN >= self._chunk:
            self._decode(BEFORE, AFTER)

    def finish(self) -> None:
        """Decode the rest."""
        if self._waiting():
            self._decode(0, 0)

    def _waiting(self) -> int:
        """Return the number of frames that are not decoded."""
        heard = 0 if self._hidden is None else self._hidden.shape[-1]
        return len(self._frames) - self._read + heard - self._decoded

    def _decode(self, before: int, after: int) -> None:
        """Let the LSTM read all frames but the last `before`, and decode its output but for the last `after` frames.

        The state of the LSTM holds the phase of every tone.
        """
        import torch

        end = len(self._frames) - before
        with torch.inference_mode():
            known = torch.from_numpy(np.stack(self._frames, axis=1))[None]
            new, self._state = self._run_lstm(
                self._before(latents_of(self._musicgen, known))[..., self._read : end], self._state
            )
            hidden = new if self._hidden is None else torch.cat([self._hidden, new], -1)
            decoded = self._after(hidden)[0, 0].float().cpu().numpy()
        hop, last = self._musicgen.hop, hidden.shape[-1] - after
        audio = np.clip(decoded[self._decoded * hop : last * hop][: self._samples_left], -1.0, 1.0)
        first, begin = max(0, end - BEFORE), max(0, last - AFTER)
        self._frames, self._read = self._frames[first:], end - first
        self._hidden, self._decoded = hidden[..., begin:], last - begin
        if self._samples_left is not None:
            self._samples_left -= len(audio)
        if len(audio):
            self._on_audio(audio)

    def _run_lstm(self, latents: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Run the codec's `EncodecLSTM` over (1, D, T) from a state on. Returns (1, D, T) and the new state."""
        if not latents.shape[-1]:
            return latents, state
        out, state = self._lstm.lstm(latents.permute(2, 0, 1), state)
        return latents + out.permute(1, 2, 0), state
