"""From a video and a prompt to music: the whole path, and its steps.

`generate` reads the video, extracts landmarks and controls, samples codes with `generate_codes`, decodes them with
`to_audio` and cuts the audio with `fit_to_duration`.
"""

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
from .files import atomic_write, check_output
from .musicgen.settings import Settings, check_adapter, check_prompt
from .video.containers import VideoSource, read_bytes
from .video.reading import Video, check_video

if TYPE_CHECKING:
    from .controls.channels import Controls
    from .landmarks.extraction import Landmarks
    from .musicgen.adapter import AdapterConfig
    from .musicgen.loading import MusicGen
    from .musicgen.step_decoder import Decoder

FADE_S = 0.03  # at the end of the music, which would click if it were cut off


@dataclass(frozen=True, eq=False)
class Take:
    """Music for a video, with everything it was made from.

    Attributes:
        audio: (N,) float32 from -1 to 1, as long as the video.
        sample_rate: sample rate of the audio, in Hz.
        codes: (K, T) int64, the model's tokens.
        controls: what the model saw of the person, at its frame rate.
        landmarks: what the controls were computed from.
        video: the video, a path or its bytes.
        prompt: description of the music.
        settings: how the codes were sampled.
        unknown_words: words of the prompt that are not in nano's vocabulary (see `musicgen.unknown_words`).
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
        """Write the video with this music in place of its own sound.

        Args:
            path: the mp4 to write.
            overwrite: replace a file that exists.

        Raises:
            ExpotionError: the file exists or cannot be written.
        """
        from .video.writing import mux_audio

        return mux_audio(self.video, self.audio, self.sample_rate, path, overwrite=overwrite)

    def save_audio(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the music alone.

        Args:
            path: the wav file to write.
            overwrite: replace a file that exists.

        Raises:
            ExpotionError: the file exists or cannot be written.
        """
        from .video.writing import write_wav

        return write_wav(path, self.audio, self.sample_rate, overwrite=overwrite)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A loaded model with its adapter, ready to sample one batch at a time.

    Attributes:
        musicgen: the model, with the adapter added to it.
        decoder: its decoder for sampling.
        peft_model: the PEFT model around it, whose visual adapter reads the controls; None without an adapter.
        config: architecture of the adapter; None without an adapter.
        lock: held while the decoder samples.
    """

    musicgen: MusicGen
    decoder: Decoder
    peft_model: Any | None
    config: AdapterConfig | None
    lock: threading.Lock = field(default_factory=threading.Lock)


def load_pipeline(
    model: str | os.PathLike[str] = "nano",
    adapter: str | os.PathLike[str] | None = "bundled",
    device: str = "auto",
    dtype: str | None = None,
) -> Pipeline:
    """Load a model and its adapter. The last pipeline is kept, so that the same request returns it at once.

    Args:
        model: "nano", "facebook/musicgen-small" (-medium, -large), or a folder.
        adapter: "bundled" (it belongs to nano), a folder that fine-tuning wrote, or None for music that does not
            follow the video.
        device: "auto" (a GPU where there is one, else the CPU), "cpu", "cuda", ...
        dtype: "float32", "bfloat16" or "float16"; None chooses by the device.

    Raises:
        ExpotionError: there is no such model, adapter, device or dtype, or the adapter does not fit the model.

    Notebook: notebooks/06_lora_finetuning
    """
    from .musicgen.adapter import BUNDLED
    from .musicgen.loading import device_named

    model, adapter = str(model), None if adapter is None else str(adapter)
    if adapter == "bundled" and model != "nano":
        raise ExpotionError(
            f"The bundled adapter belongs to nano, not to {model}; name an adapter that was trained for it, "
            "or none (--adapter none, adapter=None) for music that does not follow the video."
        )
    folder = str(BUNDLED) if adapter == "bundled" else adapter
    times = tuple(_modification_times(place) for place in (model, folder))
    return _load_pipeline(model, folder, str(device_named(device)), dtype, times)


def _modification_times(folder: str | None) -> tuple[int, ...]:
    """Return when the files of a folder were written, so that weights that have changed are loaded again."""
    path = Path(folder or "")
    return tuple(sorted(file.stat().st_mtime_ns for file in path.iterdir())) if folder and path.is_dir() else ()


@lru_cache(maxsize=1)
def _load_pipeline(
    model: str, folder: str | None, device: str, dtype: str | None, times: tuple[tuple[int, ...], ...]
) -> Pipeline:
    """Load a pipeline. `times` only makes the cache forget weights that have changed."""
    from .musicgen.adapter import load_adapter
    from .musicgen.loading import load
    from .musicgen.step_decoder import StepDecoder

    musicgen = load(model, device=device, dtype=dtype)
    peft_model, config = load_adapter(musicgen, folder) if folder is not None else (None, None)
    return Pipeline(musicgen, StepDecoder(musicgen.model.decoder), peft_model, config)


def generate(
    video: VideoSource,
    prompt: str,
    *,
    output: str | os.PathLike[str] | None = None,
    audio_output: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] = "nano",
    adapter: str | os.PathLike[str] | None = "bundled",
    device: str = "auto",
    dtype: str | None = None,
    seed: int = 0,
    guidance: float = Settings.guidance,
    visual_guidance: float = Settings.visual_guidance,
    temperature: float = Settings.temperature,
    top_k: int = Settings.top_k,
    beat: float = 0.5,
    progress: bool = True,
    overwrite: bool = False,
    cancel: threading.Event | None = None,
) -> Take:
    """Make music for a video of a person.

    Args:
        video: a path, bytes, or a binary file object (it is read from its start and kept in memory).
        prompt: description of the music: style, instruments, mood, tempo.
        output: the mp4 to write, the video with its music; None writes none.
        audio_output: the wav file to write, the music alone; None writes none.
        model: "nano", "facebook/musicgen-small" (-medium, -large), or a folder.
        adapter: "bundled", a folder, or None for music that does not follow the video.
        device: where the model runs: "auto" (a GPU where there is one, else the CPU), "cpu", "cuda", ... Landmarks are
            always extracted on the CPU.
        dtype: "float32", "bfloat16" or "float16"; None chooses by the device.
        seed: the same seed, video and prompt give the same music on the same machine.
        guidance: weight of the prompt (1: as trained, 0: ignored).
        visual_guidance: weight of the video (1: as trained, 0: ignored).
        temperature: randomness of the draws; below 1 is more predictable, above 1 more random.
        top_k: number of the likeliest codes to draw from.
        beat: from every gesture (0) to a steady beat (1); 0.5 follows the beat of a person who moves steadily and the
            gestures of others, see `controls.events.find_person_events`.
        progress: show progress bars.
        overwrite: replace outputs that exist.
        cancel: set it from another thread to stop. The take then holds the music sampled so far, followed by silence.

    Returns:
        The take. Files are written only to `output` and `audio_output`.

    Raises:
        ExpotionError: something about the input cannot be used; the message says what to do.
        Cancelled: `cancel` was set before the first frame of music was sampled.

    Notebook: notebooks/00_start_here
    """
    from .controls.channels import CHANNELS
    from .controls.extraction import extract_controls
    from .controls.steering import Steering
    from .landmarks.extraction import extract_landmarks
    from .musicgen.prompts import respell, unknown_words
    from .video.writing import mux_audio

    if not isinstance(video, (str, os.PathLike, bytes, bytearray, memoryview)):
        video = read_bytes(video)
    settings = Settings(
        seed=seed, guidance=guidance, visual_guidance=visual_guidance, temperature=temperature, top_k=top_k
    )
    steering = Steering(beat=beat)
    opened = check_request(
        video, prompt, output=output, audio_output=audio_output, model=model, adapter=adapter, overwrite=overwrite
    )
    pipeline = load_pipeline(model, adapter, device, dtype)
    musicgen = pipeline.musicgen
    channels = pipeline.config.channels if pipeline.config is not None else ()
    if unknown_channels := [name for name in channels if name not in CHANNELS]:
        raise ExpotionError(
            f"The adapter reads {', '.join(unknown_channels)}, which is not extracted from videos; train it again."
        )

    landmarks = extract_landmarks(opened, progress=progress, cancel=cancel).require_person()
    duration_s = opened.info.duration_s
    controls = extract_controls(landmarks, frame_rate=musicgen.frame_rate, duration_s=duration_s)
    controls = steering.apply(controls)
    known = respell(musicgen, check_prompt(prompt))
    codes = generate_codes(pipeline, [known], [controls], settings, progress=progress, cancel=cancel)[0]
    audio = fit_to_duration(to_audio(musicgen, codes), musicgen.sample_rate, duration_s)
    unknown = unknown_words(musicgen, prompt)
    take = Take(audio, musicgen.sample_rate, codes, controls, landmarks, video, prompt, settings, unknown)
    with ExitStack() as outputs:  # neither file is moved into place before both are written
        if output is not None:
            temporary = outputs.enter_context(atomic_write(output, overwrite))
            mux_audio(opened, audio, take.sample_rate, temporary, overwrite=True)
        if audio_output is not None:
            take.save_audio(outputs.enter_context(atomic_write(audio_output, overwrite)), overwrite=True)
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
    """Sample codes for prompts and controls, all in one batch.

    Args:
        pipeline: model and adapter, from `load_pipeline`.
        prompts: B descriptions of music.
        controls: B controls of T frames each, at the model's frame rate.
        settings: how to sample.
        progress: show a progress bar.
        cancel: set it from another thread to stop; the codes sampled so far are returned.

    Returns:
        codes: (B, K, T) int64, or fewer frames if cancelled.

    Raises:
        ExpotionError: the adapter reads a channel that the controls do not have.
        Cancelled: `cancel` was set while another call was using the pipeline.

    Notebook: notebooks/08_does_it_work
    """
    import torch
    from tqdm.auto import tqdm

    from .controls.guarding import emphasis_of, guard
    from .musicgen.adapter import embed_controls
    from .musicgen.sampling import Condition, encode_prompts, sample_codes

    visual = emphasis = None
    if pipeline.config is not None:
        guarded = [guard(each.select(pipeline.config.channels)) for each in controls]
        with torch.inference_mode():
            visual = embed_controls(pipeline.peft_model, torch.from_numpy(np.stack([each.values for each in guarded])))
        if "event" in pipeline.config.channels:
            emphasis = torch.from_numpy(np.stack([emphasis_of(each) for each in guarded])).to(visual.device)
    condition = Condition(*encode_prompts(pipeline.musicgen, prompts), visual, emphasis)
    n_frames = len(controls[0].values)
    with (
        _locked(pipeline, cancel),
        tqdm(total=n_frames, desc="music", unit="frame", disable=not progress, leave=False) as bar,
    ):

        def report(done: int) -> None:
            bar.update(done - bar.n)

        codes = sample_codes(
            pipeline.musicgen, pipeline.decoder, condition, n_frames, settings, progress=report, cancel=cancel
        )
    return codes.cpu().numpy()


@contextmanager
def _locked(pipeline: Pipeline, cancel: threading.Event | None) -> Iterator[None]:
    """Hold the pipeline's lock while the block runs. Waiting for it ends when `cancel` is set."""
    while not pipeline.lock.acquire(timeout=0.1):
        if cancel is not None and cancel.is_set():
            raise Cancelled("Stopped while other music was being made; ask again for this.")
    try:
        yield
    finally:
        pipeline.lock.release()


def generate_from_text(
    musicgen: MusicGen,
    prompts: list[str],
    duration_s: float,
    *,
    batch: int = 20,
    guidance: float = 2.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Sample music for prompts alone, without a video, with the temperature and top_k that MusicGen was published with.

    Each batch has its own seed.

    Args:
        musicgen: the model.
        prompts: N descriptions of music.
        duration_s: length of each piece, in seconds.
        batch: prompts sampled at once.
        guidance: weight of the prompt.

    Returns:
        Audio (N, samples) float32, and codes (N, K, T) int64.
    """
    import torch

    from .musicgen.codes import decode
    from .musicgen.sampling import Condition, encode_prompts, sample_codes
    from .musicgen.step_decoder import StepDecoder

    decoder, codes = StepDecoder(musicgen.model.decoder), []
    n_frames = round(duration_s * musicgen.frame_rate)
    for i in range(0, len(prompts), batch):
        condition = Condition(*encode_prompts(musicgen, prompts[i : i + batch]))
        settings = Settings(seed=i, guidance=guidance, temperature=1.0, top_k=250)
        codes.append(sample_codes(musicgen, decoder, condition, n_frames, settings))
        print(f"  {min(i + batch, len(prompts))} of {len(prompts)} clips", file=sys.stderr, flush=True)
    return np.concatenate([decode(musicgen, part).numpy() for part in codes]), torch.cat(codes).cpu().numpy()


def to_audio(musicgen: MusicGen, codes: np.ndarray) -> np.ndarray:
    """Decode codes to audio.

    Args:
        musicgen: the model whose codec is used.
        codes: (K, T) integers.

    Returns:
        audio: (N,) float32 at the model's sample rate.

    Notebook: notebooks/08_does_it_work
    """
    import torch

    from .musicgen.codes import decode

    if codes.shape[-1] == 0:
        return np.zeros(0, np.float32)
    return decode(musicgen, torch.from_numpy(codes)[None])[0].numpy()


def fit_to_duration(audio: np.ndarray, sample_rate: int, duration_s: float) -> np.ndarray:
    """Cut music to a duration or append silence, fade out its end, and scale it down if it would clip.

    Args:
        audio: (N,) float32.
        sample_rate: sample rate of the audio, in Hz.
        duration_s: duration of the video, in seconds.

    Returns:
        (round(duration_s * sample_rate),) float32 from -1 to 1.

    Notebook: notebooks/08_does_it_work
    """
    out = np.zeros(max(1, round(duration_s * sample_rate)), np.float32)
    n = min(len(out), len(audio))
    out[:n] = audio[:n]
    fade = min(n, round(FADE_S * sample_rate))
    out[n - fade : n] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return out / max(1.0, float(np.abs(out).max()) / 0.99)


def check_request(
    video: VideoSource,
    prompt: str,
    *,
    output: str | os.PathLike[str] | None = None,
    audio_output: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] = "nano",
    adapter: str | os.PathLike[str] | None = "bundled",
    overwrite: bool = False,
) -> Video:
    """Check everything about a request that can be checked before anything is computed.

    Args:
        video: a path, bytes or a binary file.
        prompt: description of the music.
        output: the mp4 to write, or None.
        audio_output: the wav file to write, or None.
        model: "nano", "facebook/musicgen-small" (-medium, -large), or a folder.
        adapter: "bundled", a folder, or None.
        overwrite: replace outputs that exist.

    Returns:
        The opened video.

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
