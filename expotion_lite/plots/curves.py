"""Pictures to look at: the person, the controls and the music, on one time axis."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ExpotionError
from .overlay import PALETTE, draw_landmarks, overlay_video, plot_landmark_strip, plot_landmarks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..controls.channels import Controls
    from ..generation import Take

__all__ = [
    "PALETTE",
    "draw_landmarks",
    "overlay_video",
    "plot_controls",
    "plot_landmark_strip",
    "plot_landmarks",
    "plot_onsets",
    "plot_spectrogram",
    "plot_take",
    "plot_training",
    "pulse_times",
]

SHOWN = ("pulse", "head_pitch", "head_roll", "shoulders_x", "smile", "brows_up", "motion_energy")
"""The channels that are shown unless others are asked for."""

_LANE = 2.3  # the height of a channel's lane, in its own units: -1.5..1.5 may just touch the next
_FLOOR_DB = -80.0
_CYCLE = ("sky", "blue", "vermilion", "orange", "green", "black")
_ONSETS_PER_S = 100.0


def plot_controls(controls: Controls, channels: Sequence[str] = SHOWN, *, ax: Axes | None = None, **style: Any) -> Axes:
    """Show channels over time, one lane above the other. Where nobody was found the ground is grey.

    Args:
        controls: T frames of them.
        channels: names, from the top lane down; see `expotion_lite.controls.extraction.DESCRIPTIONS`.
        ax: where to draw; None makes a figure.
        **style: of the lines, for matplotlib.

    Returns:
        The axes. Its y axis names the channels; the distance of two lanes is 2.3 times a person's own range.

    Raises:
        ExpotionError: no channel, or an unknown one, is asked for.

    Notebook: notebooks/00_start_here
    """
    if isinstance(channels, str) or not channels:
        raise ExpotionError("Name the channels to show as a list, for example ['head_pitch', 'smile'].")
    curves = [controls[name] for name in channels]
    ax = _axes(ax, (8.0, 0.8 + 0.55 * len(channels)))
    rests = -_LANE * np.arange(len(channels))
    for name, curve, rest in zip(channels, curves, rests, strict=True):
        colour = _colour(name)
        ax.axhline(rest, color="0.8", linewidth=0.8, zorder=0)
        ax.fill_between(controls.times, rest, rest + curve, color=colour, alpha=0.25, linewidth=0)
        ax.plot(controls.times, rest + curve, **({"color": colour, "linewidth": 1.5} | style))
    absent = ~controls.found
    ax.fill_between(
        controls.times, 0, 1, where=absent, transform=ax.get_xaxis_transform(), color="0.88", linewidth=0, zorder=-1
    )
    ax.set_yticks(rests, [name.replace("_", " ") for name in channels])
    ax.set_ylim(rests[-1] - 1.5, 1.6)
    ax.tick_params(axis="y", length=0)
    ax.set_ylabel("controls\n(1 = own range)")
    return _time_axis(ax, len(curves[0]) / controls.frame_rate)


def pulse_times(controls: Controls, least: float = 0.3) -> np.ndarray:
    """Return the moments (N,), in seconds, at which the leading motion turns: the peaks of the channel `pulse`.

    Args:
        controls: of a person.
        least: 0..1, lower peaks do not count.

    Raises:
        ExpotionError: the controls have no channel `pulse`.

    Notebook: notebooks/00_start_here
    """
    from scipy.signal import find_peaks

    return controls.times[find_peaks(controls["pulse"], height=least)[0]]


def plot_onsets(
    audio: np.ndarray, sample_rate: int, *, marks: np.ndarray | None = None, ax: Axes | None = None
) -> Axes:
    """Show where notes begin: `metrics.onset_strength`, the largest made 1.

    Args:
        audio: (N,) float32 at `sample_rate` Hz.
        sample_rate: Hz.
        marks: (M,) seconds, moments to mark, for example `pulse_times`.
        ax: where to draw; None makes a figure.

    Returns:
        The axes.

    Raises:
        ExpotionError: `audio` is not one channel of finite samples.

    Notebook: notebooks/00_start_here
    """
    from ..evaluation.metrics import onset_strength

    strength = onset_strength(_checked(audio, 1024), sample_rate, _ONSETS_PER_S)
    strength = strength / max(float(strength.max()), 1e-9)
    times = np.arange(len(strength)) / _ONSETS_PER_S
    ax = _axes(ax, (8.0, 2.0))
    _mark(ax, marks)
    ax.fill_between(times, strength, color=_shade("sky"), alpha=0.5, linewidth=0)
    ax.plot(times, strength, color=_shade("blue"), linewidth=1.2)
    ax.set_ylim(0, 1.05)
    ax.set_yticks([0, 0.5, 1])
    ax.set_ylabel("onset\nstrength")
    return _time_axis(ax, len(audio) / sample_rate)


def plot_spectrogram(audio: np.ndarray, sample_rate: int, *, ax: Axes | None = None) -> Axes:
    """Show which frequencies sound when, as a log-mel spectrogram in decibels under the loudest.

    Args:
        audio: (N,) float32 at `sample_rate` Hz.
        sample_rate: Hz.
        ax: where to draw; None makes a figure.

    Returns:
        The axes, with a colour bar beside it.

    Raises:
        ExpotionError: `audio` is not one channel of finite samples.

    Notebook: notebooks/00_start_here
    """
    import librosa

    mel, hop = _log_mel(audio, sample_rate)
    ax = _axes(ax, (8.0, 3.0))
    half = 0.5 * hop / sample_rate
    extent = (-half, (2 * mel.shape[1] - 1) * half, -0.5, len(mel) - 0.5)
    image = ax.imshow(
        mel, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=_FLOOR_DB, vmax=0, interpolation="nearest"
    )
    ticks = [hz for hz in (125, 500, 1000, 2000, 4000, 8000, 16000) if hz < sample_rate / 2]
    middles = librosa.mel_frequencies(len(mel) + 2, fmin=0.0, fmax=sample_rate / 2)[1:-1]
    rows = np.interp(ticks, middles, np.arange(len(mel)))
    ax.set_yticks(rows, [f"{hz / 1000:g}k" if hz >= 1000 else f"{hz}" for hz in ticks])
    ax.set_ylabel("frequency\n(Hz, mel scale)")
    ax.grid(False)
    ax.figure.colorbar(image, ax=ax, label="dB", pad=0.01, fraction=0.05, ticks=[_FLOOR_DB, _FLOOR_DB / 2, 0])
    return _time_axis(ax, len(audio) / sample_rate)


def plot_take(take: Take, *, channels: Sequence[str] = SHOWN, beats: np.ndarray | None = None) -> Figure:
    """Show a take on one time axis: what was read off the person, where notes begin, and which frequencies sound.

    Dotted lines mark where the person's leading motion turns (`pulse_times`), in all three.

    Args:
        take: from `expotion_lite.generate`.
        channels: of its controls.
        beats: (B,) seconds, of the music, for example `metrics.track_beats`; marked over the onsets.

    Returns:
        The figure, three axes that share their x axis.

    Raises:
        ExpotionError: an unknown channel is asked for.

    Notebook: notebooks/00_start_here
    """
    import matplotlib.pyplot as plt

    heights = [0.35 * len(channels) + 0.3, 1.0, 2.0]
    figure, axes = plt.subplots(
        3, 1, sharex=True, figsize=(8.0, sum(heights) + 1.0), height_ratios=heights, layout="constrained"
    )
    plot_controls(take.controls, channels, ax=axes[0])
    marks = pulse_times(take.controls) if "pulse" in take.controls.channels else np.zeros(0)
    plot_onsets(take.audio, take.sample_rate, marks=marks, ax=axes[1])
    plot_spectrogram(take.audio, take.sample_rate, ax=axes[2])
    if beats is not None:
        axes[1].plot(beats, np.full(len(beats), 1.12), "v", color=_shade("black"), markersize=5, clip_on=False)
        axes[1].set_title("triangles: beats of the music", loc="right", fontsize="small", pad=11)
    _mark(axes[0], marks)
    _mark(axes[2], marks, (1.0, 1.0, 1.0))
    for ax in axes[:2]:
        ax.set_xlabel("")
    axes[0].set_title("dotted: pulse", loc="right", fontsize="small")
    figure.suptitle(f'"{shorten(take.prompt, 70)}"', fontsize="medium")
    return figure


def plot_training(
    log: str | os.PathLike[str] | Iterable[str | Mapping[str, Any]], stage: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """Show how the loss fell during one stage of a training.

    Args:
        log: the file `log.jsonl` that training writes, or its lines.
        stage: "quantised", "language", "adapter", ...; None takes the one that was logged last.
        ax: where to draw; None makes a figure.

    Returns:
        The axes: training loss as a line, held-out losses as lines with dots, over minutes.

    Raises:
        ExpotionError: the log cannot be read, or holds nothing of that stage.

    Notebook: notebooks/00_start_here
    """
    rows = _log_rows(log)
    stage = stage or (rows[-1]["stage"] if rows else None)
    rows = [row for row in rows if row["stage"] == stage]
    if not rows:
        raise ExpotionError(f"The log holds nothing of a stage {stage!r}; give the log.jsonl of a training.")
    ax = _axes(ax, (7.0, 3.5))
    for (name, label), shade in zip(_LOSSES.items(), _CYCLE, strict=True):
        points = [(row["minutes"], row[name]) for row in rows if name in row]
        if name.startswith("held_out") and points:
            ax.plot(*zip(*points, strict=True), marker="o", markersize=3, color=_shade(shade), label=label)
        elif points:  # a training loss jumps from batch to batch: of a long log, means of neighbours
            means = [np.mean(part, axis=0) for part in np.array_split(points, min(len(points), 40))]
            ax.plot(*np.transpose(means), color=_shade(shade), label=label)
    ax.set_xlabel("training time (minutes)")
    ax.set_ylabel("loss (nats per code)" if "mel" not in rows[0] else "log-mel error")
    ax.set_title(str(stage), fontsize="medium")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.15 * len(ax.get_lines()) * (high - low))  # room for the legend
    ax.legend(frameon=False, fontsize="small", loc="upper right")
    return ax


_LOSSES = {
    "loss": "training",
    "held_out_loss": "held out",
    "held_out_loss_shuffled": "held out, another's video",
    "held_out_loss_none": "held out, no video",
    "mel": "training",
    "held_out_mel": "held out",
}


def _log_rows(log: str | os.PathLike[str] | Iterable[str | Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    try:
        lines = Path(log).read_text().splitlines() if isinstance(log, str | os.PathLike) else list(log)
        rows = [json.loads(line) if isinstance(line, str) else line for line in lines]
        return [row for row in rows if row["stage"] and math.isfinite(row["minutes"])]
    except (OSError, ValueError, TypeError, KeyError) as error:
        name = log if isinstance(log, str | os.PathLike) else "This"
        raise ExpotionError(f"{name} is not the log of a training; give the log.jsonl that training wrote.") from error


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    import matplotlib.pyplot as plt

    return ax if ax is not None else plt.subplots(figsize=size, layout="constrained")[1]


def _time_axis(ax: Axes, duration_s: float) -> Axes:
    ax.set_xlim(0, duration_s)
    ax.set_xlabel("time (s)")
    return ax


def _mark(ax: Axes, times: np.ndarray | None, colour: tuple[float, float, float] | None = None) -> None:
    for time in () if times is None else times:
        ax.axvline(time, color=colour or _shade("vermilion"), linewidth=1.0, linestyle=":", zorder=1.5)


def _log_mel(audio: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
    """Return decibels (80, F) under the loudest, -80..0, from windows of about 64 ms, and the hop, about 10 ms."""
    import librosa

    window, hop = 2 ** round(math.log2(0.064 * sample_rate)), max(1, round(0.01 * sample_rate))
    audio = _checked(audio, window)
    power = librosa.feature.melspectrogram(y=audio, sr=sample_rate, n_fft=window, hop_length=hop, n_mels=80)
    loudest = max(float(power.max()), 1e-10)
    return librosa.power_to_db(power / loudest, top_db=None).clip(_FLOOR_DB, 0), hop


def _checked(audio: np.ndarray, least: int) -> np.ndarray:
    """Return audio (N,), with silence after it up to `least` samples, which librosa's windows want."""
    audio = np.asarray(audio)
    if audio.ndim != 1 or not len(audio) or audio.dtype.kind != "f" or not np.isfinite(audio).all():
        raise ExpotionError(f"The audio is {audio.dtype} {audio.shape}; give one channel of finite samples, -1..1.")
    return np.pad(audio, (0, max(0, least - len(audio))))


def _colour(channel: str) -> tuple[float, float, float]:
    """Return the colour of a channel's kind: pulse, energy, missing, motion or expression."""
    from ..controls.channels import EXPRESSION

    if channel == "pulse":
        return _shade("vermilion")
    if channel.endswith("_energy"):
        return _shade("green")
    if channel.endswith("_missing"):
        return _shade("black")
    return _shade("pink" if channel in EXPRESSION else "blue")


def _shade(name: str) -> tuple[float, float, float]:
    red, green, blue = PALETTE[name]
    return red / 255, green / 255, blue / 255
