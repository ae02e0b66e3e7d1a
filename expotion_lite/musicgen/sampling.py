"""The sampling loop: draws MusicGen's codes step by step, guided by text and video.

`sample_codes` walks over the windows of a piece, `_Sampler.fill_window` over the steps of a window, and
`_Sampler.guided_logits` combines the conditions at a step. The delay pattern itself is in `codes.delay`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad as pad_tensor

from ..errors import ExpotionError
from .adapter import frames_to_steps
from .codes import delay, undelay
from .loading import MusicGen
from .step_decoder import Decoder

if TYPE_CHECKING:
    from .settings import Settings

UNKNOWN = -1  # a code that is not drawn yet
ONE_THREAD_WIDTH = 256  # where batch size times width is at most this (nano: one piece), one thread is as fast as two
REPORT_STEPS = 25  # steps between two reports of progress
READ_TEXT, READ_VIDEO = ("text", "both"), ("video", "both")  # the conditions of `guidance_weights` that read each


@dataclass(frozen=True)
class Condition:
    """The text and the video that the music should follow.

    Attributes:
        text: (B, L, D) projected hidden states of the prompts, zeros where masked.
        mask: (B, L), 1 for words.
        visual: (B, T, D) from `adapter.embed_controls`, one row per frame of music; None without video.
        emphasis: (B, T) 0..1, where the visual guidance applies in full; where it is 0, it is at most 1. None applies
            it everywhere. See `controls.guarding`.
    """

    text: torch.Tensor
    mask: torch.Tensor
    visual: torch.Tensor | None = None
    emphasis: torch.Tensor | None = None


def encode_prompts(musicgen: MusicGen, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Encode prompts for the decoder's cross-attention.

    Args:
        musicgen: the model whose text encoder is used.
        prompts: B texts.

    Returns:
        Hidden states (B, L, D), zeros where masked, and their mask (B, L).

    Notebook: notebooks/04_inside_musicgen
    """
    model = musicgen.model
    tokens = musicgen.processor.tokenizer(prompts, return_tensors="pt", padding=True, verbose=False).to(model.device)
    with torch.inference_mode():
        hidden = model.text_encoder(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        if hasattr(model, "enc_to_dec_proj"):
            hidden = model.enc_to_dec_proj(hidden)
    return hidden * tokens.attention_mask[..., None], tokens.attention_mask


def guidance_weights(settings: Settings, has_video: bool) -> dict[str, float]:
    """Return the conditions that the decoder has to run, with their weights in the guided logits.

    The guided logits are `l(none) + w_text * (l(text) - l(none)) + w_video * (l(text, video) - l(text))` (after Brooks
    2023, equation 3). The terms of each condition are collected, and conditions of weight 0 are left out.

    Args:
        settings: holds the two guidance weights.
        has_video: whether there are controls to follow.

    Returns:
        Weights by condition: "none", "text", "video", or "both" (text and video). They sum to 1.

    Example:
        >>> from expotion_lite.musicgen.settings import Settings
        >>> guidance_weights(Settings(guidance=3.0, visual_guidance=2.0), has_video=True)
        {'none': -2.0, 'text': 1.0, 'both': 2.0}
        >>> guidance_weights(Settings(guidance=1.0), has_video=False)
        {'text': 1.0}
        >>> guidance_weights(Settings(guidance=0.0, visual_guidance=2.0), has_video=True)
        {'none': -1.0, 'video': 2.0}

    Notebook: notebooks/04_inside_musicgen
    """
    video = settings.visual_guidance if has_video else 0.0
    if settings.guidance == 0.0:  # the text is ignored, so the video is compared with nothing instead of with the text
        weights = {"none": 1.0 - video, "video": video}
    else:
        weights = {"none": 1.0 - settings.guidance, "text": settings.guidance - video, "both": video}
    return {name: weight for name, weight in weights.items() if weight != 0.0}


def draw_codes(logits: torch.Tensor, settings: Settings, generator: torch.Generator) -> torch.Tensor:
    """Draw one code per codebook from the `top_k` likeliest.

    Args:
        logits: (B, K, V).
        settings: temperature and top_k.
        generator: source of randomness, on the device of the logits.

    Returns:
        codes: (B, K) int64.

    Notebook: notebooks/04_inside_musicgen
    """
    if settings.top_k == 1:
        return logits.argmax(-1)
    logits = (logits - logits.amax(-1, keepdim=True)) / settings.temperature
    if settings.top_k < logits.shape[-1]:
        least = logits.topk(settings.top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    drawn = torch.multinomial(logits.softmax(-1).flatten(0, 1), 1, generator=generator)
    return drawn.view(logits.shape[:2])


def sample_codes(
    musicgen: MusicGen,
    decoder: Decoder,
    condition: Condition,
    n_frames: int,
    settings: Settings,
    *,
    progress: Callable[[int], None] | None = None,
    cancel: threading.Event | None = None,
) -> torch.Tensor:
    """Sample the codes of `n_frames` frames of music.

    The model was trained on windows of `musicgen.window` frames. Longer music is sampled window by window; each window
    begins with the second half of the one before, whose codes are kept, and continues from there.

    Args:
        musicgen: the model.
        decoder: its `StepDecoder`, or another decoder with the same methods.
        condition: text and video of B pieces.
        n_frames: length of the music in code frames.
        settings: how to sample.
        progress: called with the number of finished frames, every 25 steps and at the end.
        cancel: set it to stop; the frames that are finished by then are returned.

    Returns:
        codes: (B, K, n) int64 on the model's device; n is n_frames, or less if cancelled.

    Raises:
        ExpotionError: `n_frames` is below 1, or the controls are shorter than the music.

    Notebook: notebooks/04_inside_musicgen
    """
    if n_frames < 1:
        raise ExpotionError("Less than one frame of music was asked for; use a longer video.")
    if condition.visual is not None and condition.visual.shape[1] < n_frames:
        raise ExpotionError(
            f"The controls last {condition.visual.shape[1]} frames and the music {n_frames}; make them equal."
        )
    report = progress or _no_report
    sampler = _Sampler(musicgen, decoder, condition, settings, report, cancel)
    shape = (len(condition.text), musicgen.n_codebooks, n_frames)
    codes = torch.full(shape, UNKNOWN, dtype=torch.int64, device=condition.text.device)
    start = 0
    with _threads_for(condition):
        while True:
            end = min(start + musicgen.window, n_frames)
            done = sampler.fill_window(codes, start, end)
            if done < end or end == n_frames:
                report(done)
                return codes[..., :done]
            start = end - musicgen.window // 2


class _Sampler:
    """Sampling state of one batch of pieces: what stays the same in all windows and steps."""

    def __init__(
        self,
        musicgen: MusicGen,
        decoder: Decoder,
        condition: Condition,
        settings: Settings,
        report: Callable[[int], None],
        cancel: threading.Event | None,
    ) -> None:
        self.musicgen, self.decoder, self.condition, self.settings = musicgen, decoder, condition, settings
        self.report, self.cancel = report, cancel
        self.generator = torch.Generator(condition.text.device).manual_seed(settings.seed)
        has_video, device = condition.visual is not None, condition.text.device
        full = calm = guidance_weights(settings, has_video)
        if condition.emphasis is not None:
            at_most_1 = replace(settings, visual_guidance=min(settings.visual_guidance, 1.0))
            calm = guidance_weights(at_most_1, has_video)
        self.rows = list(full | calm)  # a condition may have a weight of 0 in one of them
        self.weights, self.calm_weights = (
            torch.tensor([weights.get(row, 0.0) for row in self.rows], device=device)[:, None, None, None]
            for weights in (full, calm)
        )

    def fill_window(self, codes: torch.Tensor, start: int, end: int) -> int:
        """Draw the unknown codes of frames start..end of codes (B, K, T), in place.

        Returns:
            The frame up to which all codes are drawn: `end`, or less if cancelled.
        """
        n_codebooks = codes.shape[1]
        n_steps = end - start + n_codebooks - 1
        known = int((codes[0, 0, start:end] != UNKNOWN).sum())  # frames that the window before has drawn

        # In the delay pattern, codebook k of frame t is drawn at step t + k. Column 0 is the start token, so that
        # step s reads column s and draws column s + 1.
        columns = pad_tensor(delay(codes[..., start:end], self.musicgen.pad), (1, 0), value=self.musicgen.pad)
        text = self._stacked(self.condition.text, READ_TEXT)
        mask = self._stacked(self.condition.mask, READ_TEXT)
        control = self._stacked_control(start, end, n_codebooks)
        self.decoder.start(text, mask, n_steps)

        read = 0  # columns that the decoder has read: first the start token and all known frames, then one at a time
        for step in range(known, n_steps):
            weights = self.weights_at(start + step, n_codebooks)
            logits = self.guided_logits(columns, control, read, step + 1, weights)
            read = step + 1
            column = columns[..., step + 1]
            drawn = draw_codes(logits, self.settings, self.generator)
            columns[..., step + 1] = torch.where(column == UNKNOWN, drawn, column)

            done = max(step - n_codebooks + 2, known)  # frames whose last codebook is drawn
            if self.cancel is not None and self.cancel.is_set():
                codes[..., start : start + done] = undelay(columns[..., 1:])[..., :done]
                return start + done
            if step % REPORT_STEPS == 0:
                self.report(start + done)
        codes[..., start:end] = undelay(columns[..., 1:])
        return end

    def weights_at(self, step: int, n_codebooks: int) -> torch.Tensor:
        """Return the weights of R conditions (R, B, K, 1) at a step, which draws codebook k of frame step - k."""
        emphasis = self.condition.emphasis
        if emphasis is None:
            return self.weights
        frames = (step - torch.arange(n_codebooks, device=emphasis.device)).clamp(0, emphasis.shape[1] - 1)
        return self.calm_weights + (self.weights - self.calm_weights) * emphasis[:, frames, None]

    def guided_logits(
        self, columns: torch.Tensor, control: torch.Tensor | None, first: int, last: int, weights: torch.Tensor
    ) -> torch.Tensor:
        """Let the decoder read columns first..last under every condition, and return the weighted logits (B, K, V).

        columns: (B, K, S). control: (R * B, S, D) for R conditions, or None. weights: (R, B or 1, K or 1, 1).
        """
        n_rows = len(self.rows)
        tokens = columns[..., first:last].repeat(n_rows, 1, 1)
        logits = self.decoder.step(tokens, None if control is None else control[:, first:last])
        return (weights * logits.float().unflatten(0, (n_rows, -1))).sum(0)

    def _stacked(self, part: torch.Tensor, readers: tuple[str, ...]) -> torch.Tensor:
        """Repeat a part (B, ...) for R conditions, as zeros for those that do not read it: (R * B, ...)."""
        return torch.cat([part if row in readers else torch.zeros_like(part) for row in self.rows])

    def _stacked_control(self, start: int, end: int, n_codebooks: int) -> torch.Tensor | None:
        """Stack the control of frames start..end for R conditions: (R * B, S, D), or None if none reads it."""
        visual = self.condition.visual
        if visual is None or not set(READ_VIDEO) & set(self.rows):
            return None
        return self._stacked(frames_to_steps(visual[:, start:end], n_codebooks), READ_VIDEO)


def _no_report(done: int) -> None:
    """Ignore the progress."""


def _threads_for(condition: Condition) -> AbstractContextManager[None]:
    """Use one thread on a CPU where the matrix products are small."""
    batch, _, width = condition.text.shape
    small = condition.text.device.type == "cpu" and batch * width <= ONE_THREAD_WIDTH
    return one_thread() if small else nullcontext()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block with one torch thread, then restore the number of threads.

    Several threads synchronize after every matrix product. For small products this costs more than it gains when other
    processes use the cores; `benchmarks/threads.py` measures it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
