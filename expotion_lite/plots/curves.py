"""Plots of controls, onsets, spectrograms and training losses over time.

Each `plot_x(data, *, ax=None)` draws into the axes that it is given, or into a new figure, and returns the axes.
"""

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
from .palette import rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..controls.channels import Controls
    from ..generation import Take

SHOWN = ("event", "activity", "head_pitch", "head_roll", "shoulders_x", "smile", "brows_up")
"""The channels that are shown unless others are named."""

_LANE = 2.3  # height of a channel's lane, in own ranges: a curve within -1.5..1.5 hardly touches the next lane
_FLOOR_DB = -80.0
_MEL_BANDS = 80
_ONSETS_PER_S = 100.0
_MEANS_SHOWN = 40  # points of a training loss; a longer log is averaged in groups of neighbours
_LOSSES = {
    "loss": ("training", "sky"),
    "held_out_loss": ("held out", "blue"),
    "held_out_loss_shuffled": ("held out, another's video", "vermilion"),
    "held_out_loss_none": ("held out, no video", "orange"),
    "mel": ("training", "green"),
    "held_out_mel": ("held out", "black"),
}
"""Column of a training log -> label and colour of its line."""


def plot_controls(controls: Controls, channels: Sequence[str] = SHOWN, *, ax: Axes | None = None, **style: Any) -> Axes:
    """Plot channels over time, one lane above the other, with a grey background where nobody was found.

    Args:
        controls: the controls of one person, T frames.
        channels: names of channels, from the top lane down; see `expotion_lite.controls.DESCRIPTIONS`.
        ax: where to draw; None makes a figure.
        **style: options of the lines for matplotlib, such as `linewidth`.

    Returns:
        The axes. The y axis names the channels; the distance of two lanes is 2.3 own ranges.

    Raises:
        ExpotionError: no channel is named, or the controls have no channel of that name.

    Notebook: notebooks/00_start_here
    """
    if isinstance(channels, str) or not channels:
        raise ExpotionError("Name the channels to show as a list, for example ['head_pitch', 'smile'].")
    curves = [controls[name] for name in channels]
    ax = _axes(ax, (8.0, 0.8 + 0.55 * len(channels)))
    zeros = -_LANE * np.arange(len(channels))
    for name, curve, zero in zip(channels, curves, zeros, strict=True):
        colour = _channel_colour(name)
        line: dict[str, Any] = {"color": colour, "linewidth": 1.5} | style
        ax.axhline(zero, color="0.8", linewidth=0.8, zorder=0)
        ax.fill_between(controls.times, zero, zero + curve, color=colour, alpha=0.25, linewidth=0)
        ax.plot(controls.times, zero + curve, **line)
    background: dict[str, Any] = {"color": "0.88", "linewidth": 0, "zorder": -1}
    full_height = ax.get_xaxis_transform()
    ax.fill_between(controls.times, 0, 1, where=~controls.found, transform=full_height, **background)
    ax.set_yticks(zeros, [name.replace("_", " ") for name in channels])
    ax.set_ylim(zeros[-1] - 1.5, 1.6)
    ax.tick_params(axis="y", length=0)
    ax.set_ylabel("controls\n(1 = own range)")
    return _label_time_axis(ax, len(curves[0]) / controls.frame_rate)


def event_times(controls: Controls, min_height: float = 0.3, channel: str = "event") -> np.ndarray:
    """Return the times (N,), in seconds, of a person's events: the peaks of a channel.

    Args:
        controls: the controls of one person.
        min_height: 0..1; lower peaks do not count.
        channel: "event", or "pulse" for the turning points of the dominant motion alone.

    Raises:
        ExpotionError: the controls have no such channel.

    Notebook: notebooks/00_start_here
    """
    from scipy.signal import find_peaks

    return controls.times[find_peaks(controls[channel], height=min_height)[0]]


def plot_onsets(
    audio: np.ndarray, sample_rate: int, *, marks: np.ndarray | None = None, ax: Axes | None = None
) -> Axes:
    """Plot onset strength over time: `metrics.onset_strength`, scaled so that the largest value is 1.

    Args:
        audio: (N,) float32 at `sample_rate` Hz.
        sample_rate: Hz.
        marks: (M,) seconds, times to mark with dotted lines, for example `event_times`.
        ax: where to draw; None makes a figure.

    Returns:
        The axes.

    Raises:
        ExpotionError: `audio` is not one channel of finite samples.

    Notebook: notebooks/00_start_here
    """
    from ..evaluation.metrics import onset_strength

    strength = onset_strength(_checked_audio(audio, 1024), sample_rate, _ONSETS_PER_S)
    strength = strength / max(float(strength.max()), 1e-9)
    times = np.arange(len(strength)) / _ONSETS_PER_S
    ax = _axes(ax, (8.0, 2.0))
    _mark_times(ax, marks)
    ax.fill_between(times, strength, color=rgb("sky"), alpha=0.5, linewidth=0)
    ax.plot(times, strength, color=rgb("blue"), linewidth=1.2)
    ax.set_ylim(0, 1.05)
    ax.set_yticks([0, 0.5, 1])
    ax.set_ylabel("onset\nstrength")
    return _label_time_axis(ax, len(audio) / sample_rate)


def plot_spectrogram(audio: np.ndarray, sample_rate: int, *, ax: Axes | None = None) -> Axes:
    """Plot a log-mel spectrogram, in decibels below the loudest value.

    Args:
        audio: (N,) float32 at `sample_rate` Hz.
        sample_rate: Hz.
        ax: where to draw; None makes a figure.

    Returns:
        The axes, with a colour bar beside it.

    Raises:
        ExpotionError: `audio` is not one channel of finite samples.

    Notebook: notebooks/04_inside_musicgen
    """
    import librosa

    mel, hop = _log_mel(audio, sample_rate)
    ax = _axes(ax, (8.0, 3.0))
    half_hop_s = 0.5 * hop / sample_rate
    extent = (-half_hop_s, (2 * mel.shape[1] - 1) * half_hop_s, -0.5, len(mel) - 0.5)
    image = ax.imshow(
        mel, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=_FLOOR_DB, vmax=0, interpolation="nearest"
    )
    ticks = [hz for hz in (125, 500, 1000, 2000, 4000, 8000, 16000) if hz < sample_rate / 2]
    centres = librosa.mel_frequencies(len(mel) + 2, fmin=0.0, fmax=sample_rate / 2)[1:-1]
    rows = np.interp(ticks, centres, np.arange(len(mel)))
    ax.set_yticks(rows, [f"{hz / 1000:g}k" if hz >= 1000 else f"{hz}" for hz in ticks])
    ax.set_ylabel("frequency\n(Hz, mel scale)")
    ax.grid(False)
    ax.figure.colorbar(image, ax=ax, label="dB", pad=0.01, fraction=0.05, ticks=[_FLOOR_DB, _FLOOR_DB / 2, 0])
    return _label_time_axis(ax, len(audio) / sample_rate)


def plot_take(take: Take, *, channels: Sequence[str] = SHOWN, beats: np.ndarray | None = None) -> Figure:
    """Plot the controls, onsets and spectrogram of a take on one time axis.

    Dotted lines in all three mark the person's events (`event_times`).

    Args:
        take: from `expotion_lite.generate`.
        channels: names of the controls to show.
        beats: (B,) seconds, beats of the music, for example `metrics.track_beats`; marked above the onsets.

    Returns:
        The figure: three axes that share their x axis.

    Raises:
        ExpotionError: the take's controls have no channel of a name in `channels`.

    Notebook: notebooks/00_start_here
    """
    import matplotlib.pyplot as plt

    heights = [0.35 * len(channels) + 0.3, 1.0, 2.0]
    figure, axes = plt.subplots(
        3, 1, sharex=True, figsize=(8.0, sum(heights) + 1.0), height_ratios=heights, layout="constrained"
    )
    plot_controls(take.controls, channels, ax=axes[0])
    marks = event_times(take.controls) if "event" in take.controls.channels else np.zeros(0)
    plot_onsets(take.audio, take.sample_rate, marks=marks, ax=axes[1])
    plot_spectrogram(take.audio, take.sample_rate, ax=axes[2])
    if beats is not None:
        axes[1].plot(beats, np.full(len(beats), 1.12), "v", color=rgb("black"), markersize=5, clip_on=False)
        axes[1].set_title("triangles: beats of the music", loc="right", fontsize="small", pad=11)
    _mark_times(axes[0], marks)
    _mark_times(axes[2], marks, colour=(1.0, 1.0, 1.0))
    for ax in axes[:2]:
        ax.set_xlabel("")
    axes[0].set_title("dotted: events", loc="right", fontsize="small")
    figure.suptitle(f'"{shorten(take.prompt, 70)}"', fontsize="medium")
    return figure


def plot_training(
    log: str | os.PathLike[str] | Iterable[str | Mapping[str, Any]], stage: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """Plot the losses of one stage of a training over time.

    Args:
        log: the file `log.jsonl` that training writes, or its lines.
        stage: "quantised", "language", "adapter", ...; None takes the stage of the last line.
        ax: where to draw; None makes a figure.

    Returns:
        The axes: training loss as a line, held-out losses as lines with dots, over minutes.

    Raises:
        ExpotionError: the log cannot be read, or has no line of that stage.
    """
    rows = _log_rows(log)
    stage = stage or (rows[-1]["stage"] if rows else None)
    rows = [row for row in rows if row["stage"] == stage]
    if not rows:
        raise ExpotionError(f"The log holds nothing of a stage {stage!r}; give the log.jsonl of a training.")
    ax = _axes(ax, (7.0, 3.5))
    for column, (label, colour) in _LOSSES.items():
        points = [(row["minutes"], row[column]) for row in rows if column in row]
        if column.startswith("held_out") and points:
            ax.plot(*zip(*points, strict=True), marker="o", markersize=3, color=rgb(colour), label=label)
        elif points:  # a training loss varies from batch to batch, so it is averaged
            groups = np.array_split(np.array(points), min(len(points), _MEANS_SHOWN))
            ax.plot(*np.transpose([group.mean(axis=0) for group in groups]), color=rgb(colour), label=label)
    ax.set_xlabel("training time (minutes)")
    ax.set_ylabel("loss (nats per code)" if "mel" not in rows[0] else "log-mel error")
    ax.set_title(str(stage), fontsize="medium")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.15 * len(ax.get_lines()) * (high - low))  # room for the legend
    ax.legend(frameon=False, fontsize="small", loc="upper right")
    return ax


def _log_rows(log: str | os.PathLike[str] | Iterable[str | Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Read the rows of a training log that name a stage and a finite time."""
    try:
        lines = Path(log).read_text().splitlines() if isinstance(log, str | os.PathLike) else list(log)
        rows = [json.loads(line) if isinstance(line, str) else line for line in lines]
        return [row for row in rows if row["stage"] and math.isfinite(row["minutes"])]
    except (OSError, ValueError, TypeError, KeyError) as error:
        name = log if isinstance(log, str | os.PathLike) else "This"
        raise ExpotionError(f"{name} is not the log of a training; give the log.jsonl that training wrote.") from error


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return the given axes, or those of a new figure of `size` inches."""
    import matplotlib.pyplot as plt

    return ax if ax is not None else plt.subplots(figsize=size, layout="constrained")[1]


def _label_time_axis(ax: Axes, duration_s: float) -> Axes:
    ax.set_xlim(0, duration_s)
    ax.set_xlabel("time (s)")
    return ax


def _mark_times(ax: Axes, times: np.ndarray | None, colour: tuple[float, float, float] | None = None) -> None:
    for time in () if times is None else times:
        ax.axvline(time, color=colour or rgb("vermilion"), linewidth=1.0, linestyle=":", zorder=1.5)


def _log_mel(audio: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
    """Return decibels below the loudest (80, F), -80..0, and the hop in samples: windows of 64 ms, hops of 10 ms."""
    import librosa

    window, hop = 2 ** round(math.log2(0.064 * sample_rate)), max(1, round(0.01 * sample_rate))
    audio = _checked_audio(audio, window)
    power = librosa.feature.melspectrogram(y=audio, sr=sample_rate, n_fft=window, hop_length=hop, n_mels=_MEL_BANDS)
    loudest = max(float(power.max()), 1e-10)
    return librosa.power_to_db(power / loudest, top_db=None).clip(_FLOOR_DB, 0), hop


def _checked_audio(audio: np.ndarray, min_samples: int) -> np.ndarray:
    """Return audio (N,), padded with zeros to `min_samples`, the length of librosa's window."""
    audio = np.asarray(audio)
    if audio.ndim != 1 or not len(audio) or audio.dtype.kind != "f" or not np.isfinite(audio).all():
        raise ExpotionError(f"The audio is {audio.dtype} {audio.shape}; give one channel of finite samples, -1..1.")
    return np.pad(audio, (0, max(0, min_samples - len(audio))))


def _channel_colour(channel: str) -> tuple[float, float, float]:
    """Return the colour of a channel's kind: event, energy, missing, motion or expression."""
    from ..controls.channels import EXPRESSION_CHANNELS

    if channel in ("event", "pulse"):
        return rgb("vermilion")
    if channel.endswith("_energy"):
        return rgb("green")
    if channel.endswith("_missing"):
        return rgb("black")
    return rgb("pink" if channel in EXPRESSION_CHANNELS else "blue")
