"""The sampling loop: one step of codes at a time, guided by text and by video, over as many windows as it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..errors import ExpotionError
from .codes import delay, undelay
from .loading import MusicGen
from .step_decoder import StepDecoder

if TYPE_CHECKING:
    from .settings import Settings

UNKNOWN = -1
SMALL = 256  # pieces times width, such as one of nano's: one thread is as quick as two, see `one_thread`


@dataclass(frozen=True)
class Condition:
    """What the music should follow.

    Attributes:
        text: (B, L, D) projected hidden states of the prompts, zeros where masked.
        mask: (B, L), 1 for words.
        visual: (B, T, D) from `adapter.embed_controls`, a row for each frame of music; None without video.
    """

    text: torch.Tensor
    mask: torch.Tensor
    visual: torch.Tensor | None = None


def encode_prompts(musicgen: MusicGen, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts to what the decoder attends to: (B, L, D) hidden states and their (B, L) mask."""
    model = musicgen.model
    tokens = musicgen.processor.tokenizer(prompts, return_tensors="pt", padding=True, verbose=False).to(model.device)
    with torch.inference_mode():
        hidden = model.text_encoder(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        if hasattr(model, "enc_to_dec_proj"):
            hidden = model.enc_to_dec_proj(hidden)
    return hidden * tokens.attention_mask[..., None], tokens.attention_mask


def guidance_rows(settings: Settings, has_video: bool) -> dict[str, float]:
    """Which conditions are run, and their weights in the guided logits.

    `l(none) + w_text * (l(text) - l(none)) + w_video * (l(text, video) - l(text))` (after Brooks 2023, equation 3),
    with the terms of each condition put together, and those that weigh nothing left out.

    Example:
        >>> from expotion_lite.musicgen.settings import Settings
        >>> guidance_rows(Settings(guidance=3.0, visual_guidance=2.0), has_video=True)
        {'none': -2.0, 'text': 1.0, 'both': 2.0}
        >>> guidance_rows(Settings(guidance=1.0), has_video=False)
        {'text': 1.0}
        >>> guidance_rows(Settings(guidance=0.0, visual_guidance=2.0), has_video=True)
        {'none': -1.0, 'video': 2.0}
    """
    video = settings.visual_guidance if has_video else 0.0
    if settings.guidance == 0.0:  # the words are not read at all
        weights = {"none": 1.0 - video, "video": video}
    else:
        weights = {"none": 1.0 - settings.guidance, "text": settings.guidance - video, "both": video}
    return {name: weight for name, weight in weights.items() if weight != 0.0}


def choose(logits: torch.Tensor, settings: Settings, generator: torch.Generator) -> torch.Tensor:
    """Draw codes from the `top_k` likeliest. logits: (B, K, V). Returns (B, K) int64."""
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
    decoder: StepDecoder,
    condition: Condition,
    n_frames: int,
    settings: Settings,
    *,
    progress: Callable[[int], None] | None = None,
    cancel: threading.Event | None = None,
) -> torch.Tensor:
    """Make the codes of `n_frames` frames of music.

    Music longer than the model's window is made window by window: each begins with the second half of what is there.

    Args:
        musicgen: the model; `decoder`: its `StepDecoder`.
        condition: text and video, B of each.
        n_frames: length of the music in code frames.
        settings: how to sample.
        progress: called with the number of frames done, now and then.
        cancel: set it to stop; what is done by then is returned.

    Returns:
        (B, K, n) int64 codes; n is n_frames, less if cancelled.

    Raises:
        ExpotionError: fewer than one frame is asked for, or the video is shorter than the music.

    Notebook: notebooks/00_start_here
    """
    if n_frames < 1:
        raise ExpotionError("Less than one frame of music was asked for; use a longer video.")
    if condition.visual is not None and condition.visual.shape[1] < n_frames:
        raise ExpotionError(
            f"The controls last {condition.visual.shape[1]} frames and the music {n_frames}; make them equal."
        )
    generator = torch.Generator(condition.text.device).manual_seed(settings.seed)
    codes = torch.full(
        (len(condition.text), musicgen.n_codebooks, n_frames), UNKNOWN, dtype=torch.int64, device=condition.text.device
    )
    start, report = 0, progress or (lambda done: None)
    small = codes.device.type == "cpu" and condition.text.shape[0] * condition.text.shape[2] <= SMALL
    with one_thread() if small else nullcontext():
        while True:
            end = min(start + musicgen.window, n_frames)
            done = _sample_window(musicgen, decoder, condition, codes, start, end, settings, generator, report, cancel)
            if done < end or end == n_frames:
                report(done)
                return codes[..., :done]
            start = end - musicgen.window // 2


@contextmanager
def one_thread() -> Iterator[None]:
    """While the block runs, torch computes in the thread that calls it, and in no other.

    Several threads wait for one another after every product. Beside another process that wants a core this costs more
    than they gain, unless the products are large: `benchmarks/threads.py`.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _sample_window(
    musicgen: MusicGen,
    decoder: StepDecoder,
    condition: Condition,
    codes: torch.Tensor,
    start: int,
    end: int,
    settings: Settings,
    generator: torch.Generator,
    progress: Callable[[int], None],
    cancel: threading.Event | None,
) -> int:
    """Fill in the unknown codes of frames start..end, in place. Returns the frame up to which all codes are there."""
    n_codebooks, steps = codes.shape[1], end - start + codes.shape[1] - 1
    known = int((codes[0, 0, start:end] != UNKNOWN).sum())
    rows = guidance_rows(settings, condition.visual is not None)
    text, mask, control = _stack(condition, rows, start, end, steps)
    weights = torch.tensor(list(rows.values()), device=text.device)[:, None, None, None]
    layout = torch.nn.functional.pad(delay(codes[..., start:end], musicgen.pad), (1, 0), value=musicgen.pad)

    def guided(first: int, last: int) -> torch.Tensor:
        tokens = layout[..., first:last].repeat(len(rows), 1, 1)
        logits = decoder.step(tokens, None if control is None else control[:, first:last])
        return (weights * logits.float().unflatten(0, (len(rows), -1))).sum(0)

    decoder.start(text, mask, steps)
    logits = guided(0, known + 1)
    for step in range(known, steps):
        column = layout[..., step + 1]
        layout[..., step + 1] = torch.where(column == UNKNOWN, choose(logits, settings, generator), column)
        done = max(step - n_codebooks + 2, known)  # frames whose last codebook is drawn
        if cancel is not None and cancel.is_set():
            codes[..., start : start + done] = undelay(layout[..., 1:])[..., :done]
            return start + done
        if step % 25 == 0:
            progress(start + done)
        if step + 1 < steps:
            logits = guided(step + 1, step + 2)
    codes[..., start:end] = undelay(layout[..., 1:])
    return end


def _stack(
    condition: Condition, rows: dict[str, float], start: int, end: int, steps: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """The conditions one below the other: text (R * B, L, D), mask (R * B, L), control (R * B, steps, D) or None."""
    reads, sees = ("text", "both"), ("video", "both")
    text = torch.cat([condition.text if row in reads else torch.zeros_like(condition.text) for row in rows])
    mask = torch.cat([condition.mask if row in reads else torch.zeros_like(condition.mask) for row in rows])
    if not set(sees) & set(rows):
        return text, mask, None
    visual = condition.visual[:, start:end]
    visual = torch.cat([visual, visual[:, -1:].expand(-1, steps - visual.shape[1], -1)], dim=1)
    control = torch.cat([visual if row in sees else torch.zeros_like(visual) for row in rows])
    return text, mask, control
