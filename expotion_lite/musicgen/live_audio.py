"""Audio while music is sampled: decodes the codes in chunks of half a second, as soon as they are drawn.

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
MARGIN = 8  # frames on either side that the codec's convolutions read


class ObservedDecoder:
    """A decoder that reports the codes passing through it: codes drawn at one step are read at the next.

    Args:
        decoder: computes the logits.
        n_codebooks: number of codes per frame.
        on_codes: called after a step that completes a frame, with all complete frames.

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
            self._on_codes(self.codes)


class AudioStream:
    """Decoder of codes to audio chunks that join without a seam.

    Args:
        musicgen: the model whose codec is used.
        on_audio: called with each chunk, (N,) float32 from -1 to 1.
        n_samples: length of all audio; what comes after is dropped.

    Example:
        >>> from expotion_lite.musicgen.loading import load
        >>> chunks = []
        >>> stream = AudioStream(load("nano"), chunks.append, n_samples=8_000)
        >>> stream.finish(30 * [np.zeros(4, int)])
        >>> sum(map(len, chunks))
        8000
    """

    def __init__(self, musicgen: MusicGen, on_audio: Callable[[np.ndarray], None], n_samples: int) -> None:
        self._musicgen, self._on_audio, self._samples_left = musicgen, on_audio, n_samples
        self._before, self._lstm, self._after = split_at_lstm(musicgen.model.audio_encoder.decoder)
        self._done = 0  # frames that are decoded
        self._state: Any = None  # of the LSTM after these frames
        self._past: list[torch.Tensor] = []  # the LSTM's output for the last few of them

    def feed(self, codes: list[np.ndarray]) -> None:
        """Decode what no later code can change, once it fills a chunk. codes: all frames so far, each (K,)."""
        chunk = round(CHUNK_S * self._musicgen.frame_rate)
        if len(codes) - MARGIN - self._done >= chunk:
            self._decode_up_to(len(codes) - MARGIN, codes)

    def finish(self, codes: list[np.ndarray]) -> None:
        """Decode the rest. codes: all frames, each (K,)."""
        if len(codes) > self._done:
            self._decode_up_to(len(codes), codes)

    def _decode_up_to(self, end: int, codes: list[np.ndarray]) -> None:
        """Decode the frames up to `end`, continuing from the LSTM's state, which holds the phase of every tone."""
        import torch

        past, new = min(self._done, MARGIN), end - self._done
        with torch.inference_mode():
            known = torch.from_numpy(np.stack(codes[self._done - past :], axis=1))[None]
            latents = self._before(latents_of(self._musicgen, known))[..., past:]
            hidden, state = self._run_lstm(latents[..., :new], self._state)
            lookahead, _ = self._run_lstm(latents[..., new:], state)  # context for the convolutions, decoded later
            hidden = torch.cat([*self._past, hidden, lookahead], -1)
            decoded = self._after(hidden)[0, 0].float().cpu().numpy()
        hop = self._musicgen.hop
        audio = np.clip(decoded[past * hop : (past + new) * hop][: self._samples_left], -1.0, 1.0)
        self._past = [hidden[..., max(0, past + new - MARGIN) : past + new]]
        self._state, self._done, self._samples_left = state, end, self._samples_left - len(audio)
        if len(audio):
            self._on_audio(audio)

    def _run_lstm(self, latents: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Run the codec's `EncodecLSTM` over (1, D, T) from a state on. Returns (1, D, T) and the new state."""
        if not latents.shape[-1]:
            return latents, state
        out, state = self._lstm.lstm(latents.permute(2, 0, 1), state)
        return latents + out.permute(1, 2, 0), state
