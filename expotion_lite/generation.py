"""From a video and a prompt to a video with its own music."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Cancelled, ExpotionError
from .files import check_output, writing
from .musicgen.settings import Settings, check_adapter, check_prompt
from .video.containers import whole
from .video.reading import VideoInfo, check_video

if TYPE_CHECKING:
    from .controls.channels import Controls
    from .landmarks.extraction import Landmarks
    from .musicgen.adapter import AdapterConfig
    from .musicgen.loading import MusicGen
    from .musicgen.step_decoder import StepDecoder

FADE_S = 0.03  # at the end, so that music that is cut off does not click


@dataclass(frozen=True, eq=False)
class Take:
    """Music made for a video, and what it was made from.

    Attributes:
        audio: (N,) float32 within -1..1, as long as the video.
        sample_rate: of the audio, in Hz.
        codes: (K, T) int64, the model's tokens.
        controls: what the model saw of the person; `landmarks`: what they were read from.
        video: the video it was made for (a path, or its bytes).
        prompt: the words it was made from; `settings`: how it was sampled.
        unknown_words: of the prompt, which say nothing to the model (see `musicgen.unknown_words`).
    """

    audio: np.ndarray
    sample_rate: int
    codes: np.ndarray
    controls: Controls
    landmarks: Landmarks
    video: str | os.PathLike[str] | bytes
    prompt: str
    settings: Settings
    unknown_words: tuple[str, ...] = ()

    def __repr__(self) -> str:
        seconds = len(self.audio) / self.sample_rate
        return f"<Take: {seconds:.1f} s for {self.prompt!r}, {self.settings}>"

    def save_video(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the video with this music as mp4. Raises ExpotionError if that cannot be."""
        from .video.writing import mux_audio

        return mux_audio(self.video, self.audio, self.sample_rate, path, overwrite=overwrite)

    def save_audio(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the music as a wav file. Raises ExpotionError if that cannot be."""
        from .video.writing import write_wav

        return write_wav(path, self.audio, self.sample_rate, overwrite=overwrite)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A model that is ready to play, one piece at a time: with its adapter on, and folded into a decoder."""

    musicgen: MusicGen
    decoder: StepDecoder
    peft_model: Any | None
    config: AdapterConfig | None
    lock: threading.Lock = field(default_factory=threading.Lock)


def load_pipeline(
    model: str = "nano", adapter: str | None = "bundled", device: str = "cpu", dtype: str | None = None
) -> Pipeline:
    """Load a model and put an adapter on it; the last one is kept, so that the next take starts at once.

    Args:
        model: see `expotion_lite.musicgen.loading.load`.
        adapter: "bundled" (it belongs to nano), a folder that fine-tuning wrote, or None: the model does not see.
        device: "cpu", "cuda", ...
        dtype: see `expotion_lite.musicgen.loading.load`.

    Raises:
        ExpotionError: there is no such model or adapter, or they do not fit.
    """
    from .musicgen.adapter import BUNDLED

    if adapter == "bundled" and model != "nano":
        raise ExpotionError(
            f"The bundled adapter belongs to nano, not to {model}; name an adapter that was trained for it, "
            "or none (--adapter none, adapter=None) to play without seeing the video."
        )
    folder = str(BUNDLED) if adapter == "bundled" else adapter
    return _load_pipeline(model, folder, device, dtype, tuple(_age(place) for place in (model, folder)))


def _age(folder: str | None) -> tuple[int, ...]:
    """When the files of a folder were last written, so that a model trained anew is loaded anew."""
    path = Path(folder or "")
    return tuple(sorted(file.stat().st_mtime_ns for file in path.iterdir())) if folder and path.is_dir() else ()


@lru_cache(maxsize=1)
def _load_pipeline(model: str, folder: str | None, device: str, dtype: str | None, _: tuple) -> Pipeline:
    from .musicgen.adapter import load_adapter
    from .musicgen.loading import load
    from .musicgen.step_decoder import StepDecoder

    musicgen = load(model, device=device, dtype=dtype)
    peft_model, config = load_adapter(musicgen, folder) if folder is not None else (None, None)
    return Pipeline(musicgen, StepDecoder(musicgen.model.decoder), peft_model, config)


def generate(
    video: Any,
    prompt: str,
    *,
    output: str | os.PathLike[str] | None = None,
    audio_output: str | os.PathLike[str] | None = None,
    model: str = "nano",
    adapter: str | None = "bundled",
    device: str = "cpu",
    dtype: str | None = None,
    seed: int = 0,
    guidance: float = Settings.guidance,
    visual_guidance: float = Settings.visual_guidance,
    temperature: float = Settings.temperature,
    top_k: int = Settings.top_k,
    progress: bool = True,
    overwrite: bool = False,
    cancel: threading.Event | None = None,
) -> Take:
    """Make music for a video of a person.

    Args:
        video: a path, bytes, or a binary file object, which is read from its start and kept in memory.
        prompt: what the music should be like, in words.
        output: where to write the video with its music (mp4), if anywhere.
        audio_output: where to write the music alone (wav), if anywhere.
        model: "nano", "facebook/musicgen-small" (-medium, -large), or a folder.
        adapter: "bundled", a folder, or None for music that does not follow the video.
        device: where the model runs: "cpu", "cuda", ... (the landmarks are always found on the CPU).
        dtype: what it computes in: "float32", "bfloat16" or "float16"; None chooses by the device.
        seed: the same seed, video and prompt give the same music on the same machine.
        guidance: how closely the music follows the prompt (1: as trained, 0: not at all).
        visual_guidance: how closely it follows the video (1: as trained, 0: not at all).
        temperature: how daring the choice of codes is.
        top_k: how many of the likeliest codes are drawn from.
        progress: whether to show progress bars.
        overwrite: whether existing outputs may be replaced.
        cancel: set it from another thread to stop. The take then holds the music that was made so far, then silence.

    Returns:
        The take. Nothing is written unless `output` or `audio_output` says so.

    Raises:
        ExpotionError: something about the input cannot be used; the message says what to do.
        Cancelled: `cancel` was set before the music began.

    Notebook: notebooks/00_start_here
    """
    if hasattr(video, "read"):
        video = whole(video)
    settings = Settings(
        seed=seed, guidance=guidance, visual_guidance=visual_guidance, temperature=temperature, top_k=top_k
    )
    info = check_request(
        video, prompt, output=output, audio_output=audio_output, model=model, adapter=adapter, overwrite=overwrite
    )
    pipeline = load_pipeline(str(model), None if adapter is None else str(adapter), device, dtype)

    from .controls.extraction import extract_controls
    from .landmarks.extraction import extract_landmarks
    from .musicgen.prompts import respell, unknown_words

    landmarks = extract_landmarks(video, progress=progress, cancel=cancel).require_person()
    controls = extract_controls(landmarks, frame_rate=pipeline.musicgen.frame_rate, duration_s=info.duration_s)
    read = respell(pipeline.musicgen, check_prompt(prompt))
    codes = generate_codes(pipeline, [read], [controls], settings, progress=progress, cancel=cancel)[0]
    audio = fit_to_duration(to_audio(pipeline.musicgen, codes), pipeline.musicgen.sample_rate, info.duration_s)
    take = Take(audio, pipeline.musicgen.sample_rate, codes, controls, landmarks, video, prompt, settings,
                unknown_words(pipeline.musicgen, prompt))  # fmt: skip
    with ExitStack() as both:  # neither file appears before both are whole
        if output is not None:
            take.save_video(both.enter_context(writing(output, overwrite)), overwrite=True)
        if audio_output is not None:
            take.save_audio(both.enter_context(writing(audio_output, overwrite)), overwrite=True)
    return take


def generate_codes(
    pipeline: Pipeline,
    prompts: list[str],
    controls: list[Controls],
    settings: Settings,
    *,
    progress: bool = False,
    cancel: threading.Event | None = None,
) -> np.ndarray:
    """Sample music for controls of one length, as many at once as there are prompts. Returns codes (B, K, T) int64.

    Raises:
        ExpotionError: the adapter reads a channel that the controls do not have.
        Cancelled: `cancel` was set while other music was being made.
    """
    import torch
    from tqdm.auto import tqdm

    from .musicgen.adapter import embed_controls
    from .musicgen.sampling import Condition, encode_prompts, sample_codes

    visual = None
    if pipeline.config is not None:
        values = torch.from_numpy(np.stack([c.select(pipeline.config.channels).values for c in controls]))
        with torch.inference_mode():
            visual = embed_controls(pipeline.peft_model, values)
    text, mask = encode_prompts(pipeline.musicgen, prompts)
    n_frames = len(controls[0].values)
    with (
        _turn(pipeline, cancel),
        tqdm(total=n_frames, desc="music", unit="frame", disable=not progress, leave=False) as bar,
    ):
        report = lambda done: bar.update(done - bar.n)  # noqa: E731
        condition = Condition(text, mask, visual)
        codes = sample_codes(
            pipeline.musicgen, pipeline.decoder, condition, n_frames, settings, progress=report, cancel=cancel
        )
    return codes.cpu().numpy()


@contextmanager
def _turn(pipeline: Pipeline, cancel: threading.Event | None) -> Iterator[None]:
    """Wait until nobody else plays, or for `cancel`."""
    while not pipeline.lock.acquire(timeout=0.1):
        if cancel is not None and cancel.is_set():
            raise Cancelled("Stopped while other music was being made; ask again for this.")
    try:
        yield
    finally:
        pipeline.lock.release()


def generate_from_text(
    musicgen: MusicGen, prompts: list[str], duration_s: float, *, batch: int = 20, **settings: float
) -> tuple[np.ndarray, np.ndarray]:
    """Music for N prompts without a video, `batch` at a time. Returns (audio (N, samples), codes (N, K, T))."""
    import torch

    from .musicgen.codes import decode
    from .musicgen.sampling import Condition, encode_prompts, sample_codes
    from .musicgen.step_decoder import StepDecoder

    decoder, codes = StepDecoder(musicgen.model.decoder), []
    for i in range(0, len(prompts), batch):
        text = Condition(*encode_prompts(musicgen, prompts[i : i + batch]))
        chosen = Settings(seed=i, **settings)
        codes.append(sample_codes(musicgen, decoder, text, round(duration_s * musicgen.frame_rate), chosen))
        print(f"  {min(i + batch, len(prompts))} of {len(prompts)} clips", file=sys.stderr, flush=True)
    return np.concatenate([decode(musicgen, part).numpy() for part in codes]), torch.cat(codes).cpu().numpy()


def to_audio(musicgen: MusicGen, codes: np.ndarray) -> np.ndarray:
    """Codes (K, T) to audio (N,) float32."""
    import torch

    from .musicgen.codes import decode

    if codes.shape[-1] == 0:
        return np.zeros(0, np.float32)
    return decode(musicgen, torch.from_numpy(codes)[None])[0].numpy()


def fit_to_duration(audio: np.ndarray, sample_rate: int, duration_s: float) -> np.ndarray:
    """Bring music to the video's length (cut, or silence added), fade its end and keep it from clipping.

    audio: (N,) float32. Returns (round(duration_s * sample_rate),) float32 within -1..1.
    """
    out = np.zeros(max(1, round(duration_s * sample_rate)), np.float32)
    n = min(len(out), len(audio))
    out[:n] = audio[:n]
    fade = min(n, round(FADE_S * sample_rate))
    out[n - fade : n] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return out / max(1.0, float(np.abs(out).max()) / 0.99)


def check_request(
    video: Any,
    prompt: str,
    *,
    output: str | os.PathLike[str] | None = None,
    audio_output: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] = "nano",
    adapter: str | os.PathLike[str] | None = "bundled",
    overwrite: bool = False,
) -> VideoInfo:
    """Check everything about a request that can be checked in a moment, and return the video's facts.

    Args:
        video: a path, bytes or a binary file.
        prompt: what the music should be like.
        output: the .mp4 to write, or None.
        audio_output: the .wav to write, or None.
        model: see `expotion_lite.musicgen.loading.load`.
        adapter: `"bundled"`, a folder, or None.
        overwrite: whether existing outputs may be replaced.

    Raises:
        ExpotionError: the first thing found that would fail later.
    """
    from .musicgen.loading import model_folder

    check_prompt(prompt)
    model_folder(model)
    check_adapter(adapter)
    if output is not None:
        check_output(output, ".mp4", source=video, overwrite=overwrite)
    if audio_output is not None:
        check_output(audio_output, ".wav", source=video, overwrite=overwrite)
    return check_video(video)
