"""Sampling without end: the window of the decoder moves on with the music, without a pause.

A decoder reads at most `musicgen.window` frames. Shortly before its window is full, a second window begins a third
of a window earlier. It reads the codes that are known, a few at each step, and takes over as soon as it has caught up.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from .sampling import draw_codes, guidance_weights
from .settings import Settings
from .step_decoder import StepDecoder

if TYPE_CHECKING:
    from .loading import MusicGen

SLICE, EVERY = 15, 5  # the next window reads 15 steps beside every 5th step of the music


@dataclass
class _Window:
    """A window of the music: its decoder, its first step, and the number of steps that it has read."""

    decoder: StepDecoder
    start: int
    read: int = 0


class EndlessSampler:
    """Sampler of one piece of music without end. Prompt and settings may change between any two frames.

    Three conditions are computed at every step: nothing, the text, text and video. Without an adapter it is the first
    two. See `sampling.guidance_weights`.

    Args:
        musicgen: the model.
        decoder: its decoder. The sampler uses copies, which share its weights.
        text: (1, L, D) from `sampling.encode_prompts`.
        mask: (1, L), likewise.
        settings: how to sample.
        follows: whether there will be controls to follow.

    Attributes:
        settings: how to sample from the next step on.
        step: number of steps so far; in the delay pattern, codebook k at step s belongs to frame s - k.
    """

    def __init__(
        self,
        musicgen: MusicGen,
        decoder: StepDecoder,
        text: torch.Tensor,
        mask: torch.Tensor,
        settings: Settings,
        follows: bool = True,
    ) -> None:
        self.settings, self.step = settings, 0
        self._musicgen, self._follows = musicgen, follows
        self._text, self._mask = text, mask
        self._generator = torch.Generator(text.device).manual_seed(settings.seed)
        self._columns: list[torch.Tensor] = []  # (K,) of each step, in the delay pattern
        self._controls: list[torch.Tensor] = []  # (D,) of each step
        self._emphasis: list[float] = []  # of each step
        self._kept = 0  # step of the first entry of these three; earlier ones are not needed any more
        self._decoder = decoder
        self._current = self._begin(0)
        self._next: _Window | None = None

    def change_text(self, text: torch.Tensor, mask: torch.Tensor) -> None:
        """Follow another prompt from the next step on. The music so far was made for the prompt before.

        Args:
            text: (1, L, D) from `sampling.encode_prompts`.
            mask: (1, L), likewise.
        """
        self._text, self._mask = text, mask
        self._read_text()

    def change_settings(self, settings: Settings) -> None:
        """Sample by other settings from the next step on. The random draws go on as they are."""
        ignored_before, self.settings = self.settings.guidance == 0, settings
        if ignored_before != (settings.guidance == 0):
            self._read_text()

    def draw(self, visual: torch.Tensor | None, emphasis: np.ndarray | None = None, n: int = 1) -> list[np.ndarray]:
        """Draw the next n steps.

        Args:
            visual: (n, D) from `adapter.embed_controls`, of the frames whose first code is drawn; None without an
                adapter.
            emphasis: (n,) 0..1, see `sampling.Condition`; None is 1 throughout.
            n: number of steps.

        Returns:
            The frames that are complete now and were not before, each (K,) int64.
        """
        frames = []
        for i in range(n):
            if visual is not None:
                self._controls.append(visual[i])
            self._emphasis.append(1.0 if emphasis is None else float(emphasis[i]))
            self._columns.append(self._draw_column())
            self.step += 1
            first = self.step - self._musicgen.n_codebooks  # the frame whose last code was drawn
            if first >= 0:
                columns = self._columns[first - self._kept :]
                frames.append(np.array([int(column[k]) for k, column in enumerate(columns)]))
        return frames

    def _draw_column(self) -> torch.Tensor:
        """Draw the codes of this step, (K,); the pad token where a codebook has no frame yet."""
        self._move_window()
        logits = self._read(self._current, self.step - self._current.start + 1)
        weights = self._weights()
        drawn = draw_codes((weights[..., None] * logits.float()).sum(0, keepdim=True), self.settings, self._generator)
        return self._known_from(drawn[0], self.step)

    def _weights(self) -> torch.Tensor:
        """Return the weights of the R conditions for each codebook at this step, (R, K)."""
        full = guidance_weights(self.settings, self._follows)
        at_most_1 = replace(self.settings, visual_guidance=min(self.settings.visual_guidance, 1.0))
        calm = guidance_weights(at_most_1, self._follows)
        emphases = self._emphasis[: -self._musicgen.n_codebooks - 1 : -1]
        emphases += [emphases[-1]] * (self._musicgen.n_codebooks - len(emphases))
        rows = []
        for names in (("none",), ("text",), ("both", "video"))[: 2 + self._follows]:
            most, least = (sum(weights.get(name, 0.0) for name in names) for weights in (full, calm))
            rows.append([least + (most - least) * emphasis for emphasis in emphases])
        return torch.tensor(rows, device=self._text.device)

    def _move_window(self) -> None:
        """Begin the next window in time, let it read a few steps, and change to it once it has read all."""
        window = self._musicgen.window
        if self._next is None:
            catching_up = EVERY * (math.ceil(window / 3 / (SLICE - EVERY)) + 1)
            if self.step - self._current.start < window - catching_up:
                return
            self._next = self._begin(self.step - window // 3)
        known = self.step - self._next.start
        if self._next.read < known and self.step % EVERY == 0:
            self._read(self._next, min(self._next.read + SLICE, known))
        if self._next.read == known:
            self._current, self._next = self._next, None
            for entries in (self._columns, self._controls, self._emphasis):
                del entries[: self._current.start - self._kept]
            self._kept = self._current.start

    def _begin(self, start: int) -> _Window:
        """Begin a window at a step."""
        window = _Window(copy.copy(self._decoder), start)
        window.decoder.start(*self._conditions(), self._musicgen.window)
        return window

    def _read(self, window: _Window, end: int) -> torch.Tensor:
        """Let a window read up to its `end`-th step. Returns the logits after it, (R, K, V).

        Its first step reads the start token, as at the beginning of music; codes of frames before it are hidden.
        """
        rows, pad = 2 + self._follows, self._musicgen.pad
        columns = []
        for i in range(window.read, end):
            if i == 0:
                columns.append(torch.full((self._musicgen.n_codebooks,), pad, device=self._text.device))
            else:
                columns.append(self._known_from(self._columns[window.start + i - 1 - self._kept], i - 1))
        tokens = torch.stack(columns, -1)[None].expand(rows, -1, -1)
        control = None
        if self._follows:
            first = window.start + window.read - self._kept
            control = torch.stack(self._controls[first : first + end - window.read])[None]
            control = torch.cat([torch.zeros_like(control).expand(rows - 1, -1, -1), control])
        window.read = end
        return window.decoder.step(tokens, control)

    def _known_from(self, column: torch.Tensor, i: int) -> torch.Tensor:
        """Replace the codes of frames before a window by the pad token, in the column (K,) of its i-th step."""
        if i >= len(column):
            return column
        return torch.where(torch.arange(len(column), device=column.device) <= i, column, self._musicgen.pad)

    def _conditions(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return text (R, L, D) and mask (R, L) of the conditions; where guidance is 0, the video's has no text."""
        shown = [0.0, 1.0, 0.0 if self.settings.guidance == 0 else 1.0][: 2 + self._follows]
        chosen = torch.tensor(shown, device=self._text.device)
        return self._text * chosen[:, None, None].to(self._text.dtype), self._mask * chosen[:, None].to(
            self._mask.dtype
        )

    def _read_text(self) -> None:
        """Let the windows read the text anew."""
        for window in (self._current, self._next):
            if window is not None:
                window.decoder.read_text(*self._conditions())
