"""Scores for music made for real people, whose true beats nobody knows: onsets against own and others' motion.

The motion is measured apart from what the model saw where that can be: `speed` and `stop` come from the optical flow of
the whole picture, `joints` from landmarks alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypedDict

import numpy as np

from ..controls.channels import Controls
from ..errors import ExpotionError
from .metrics import bootstrap_interval, onset_motion_correlation, paired_permutation_test
from .report import Interval

Motion: TypeAlias = dict[str, np.ndarray]
"""Curves (T,) at 50 Hz that onsets are compared with, by name."""

FRAME_RATE = 50.0
_SD = 2.0  # frames, of the smoothing of all curves and of the onsets
# A window of 2 s is ill below either limit: of its spectral contrast in dB (a wall of sound), and of the 98th
# percentile of the mean rise of its mel bands in dB a frame (nothing begins). The band's music hardly ever is.
_LEAST_CONTRAST, _LEAST_ATTACKS = 14.61, 0.645


class GainOverOthers(TypedDict):
    """Mean of own minus others' correlation, its 95% interval over people, and p by sign flips over people."""

    gain: float
    gain_95: Interval
    p: float


def _smooth(curve: np.ndarray) -> np.ndarray:
    """Smooth a curve (T,) by a Gaussian."""
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(np.asarray(curve, dtype=np.float64), _SD))


def falling(speed: np.ndarray) -> np.ndarray:
    """Return where a speed (T,) falls, movements arriving: (T,) 0 or more."""
    return _smooth(np.maximum(-np.gradient(_smooth(_smooth(speed))), 0))


def joint_arrivals(controls: Controls) -> np.ndarray:
    """Return where head, shoulders and arms arrive, (T,) 0 or more: how fast the speed of all landmarks falls."""
    moving = [i for i, name in enumerate(controls.channels) if name.endswith("_velocity")]
    joint_speed = np.sqrt((controls.values[:, moving].astype(np.float64) ** 2).mean(axis=1))
    return falling(joint_speed)


def gains_over_others(
    music: Sequence[Sequence[np.ndarray]], sample_rate: int, motions: Sequence[Motion], sources: Sequence[int]
) -> dict[str, GainOverOthers]:
    """Tell how much better the onsets of music fit the motion of the own clip than that of other people.

    Args:
        music: for each seed, (samples,) for each of N clips.
        sample_rate: in Hz.
        motions: of the N clips, curves of one length.
        sources: N numbers of people; clips of one person are not compared with each other.

    Raises:
        ExpotionError: all clips are of one person.
    """
    frames = len(next(iter(motions[0].values())))
    onsets = [[smoothed_onsets(audio, sample_rate, frames) for audio in takes] for takes in music]
    return gains_of_onsets(onsets, motions, sources)


def gains_of_onsets(
    onsets: Sequence[Sequence[np.ndarray]], motions: Sequence[Motion], sources: Sequence[int]
) -> dict[str, GainOverOthers]:
    """Do what `gains_over_others` does, for onset strengths (T,) instead of music."""
    if len(set(sources)) < 2:
        raise ExpotionError("All clips are of one person; give clips of two or more to compare.")
    of, people = np.asarray(sources), sorted(set(sources))
    gains: dict[str, GainOverOthers] = {}
    for name in motions[0]:
        table = np.array(
            [
                [np.mean([onset_motion_correlation(takes[i], motion[name]) for takes in onsets]) for motion in motions]
                for i in range(len(motions))
            ]
        )
        difference = np.array([table[i, i] - table[i, of != of[i]].mean() for i in range(len(of))])
        by_person = np.array([difference[of == person].mean() for person in people])
        gains[name] = {
            "gain": float(difference.mean()),
            "gain_95": bootstrap_interval(by_person),
            "p": sign_flip_p(difference, of),
        }
    return gains


def sign_flip_p(differences: np.ndarray, sources: np.ndarray) -> float:
    """Return p of a mean of differences (N,), by flipping the sign of all differences of a person together."""
    by_person = np.array([differences[sources == person].sum() for person in np.unique(sources)])
    return paired_permutation_test(by_person, two_sided=True)


def smoothed_onsets(audio: np.ndarray, sample_rate: int, frames: int) -> np.ndarray:
    """Return the onset strength of music at 50 Hz, smoothed and cut or filled to (frames,)."""
    from librosa import resample
    from librosa.onset import onset_strength

    if sample_rate != 22050:
        audio = resample(np.asarray(audio, np.float32), orig_sr=sample_rate, target_sr=22050)
    strength = onset_strength(y=audio, sr=22050, hop_length=441)
    return _smooth(np.pad(strength, (0, max(0, frames - len(strength))))[:frames])


def is_ill(audio: np.ndarray, sample_rate: int) -> bool:
    """Tell whether music turns into a wall of sound, or nothing begins in it, for 2.5 s or longer.

    Args:
        audio: (N,) float32.
        sample_rate: in Hz.
    """
    import librosa

    if sample_rate != 16000:
        audio = librosa.resample(np.asarray(audio, np.float32), orig_sr=sample_rate, target_sr=16000)
    spectrum = np.abs(librosa.stft(audio, n_fft=1024, hop_length=160))
    mel = librosa.power_to_db(librosa.feature.melspectrogram(S=spectrum**2, sr=16000, n_mels=64) + 1e-10)
    contrast = librosa.feature.spectral_contrast(S=spectrum, sr=16000, n_bands=5, fmin=200)[1:5].mean(axis=0)
    rise = np.append(0.0, np.maximum(np.diff(mel, axis=1), 0).mean(axis=0))
    starts = range(0, max(1, len(contrast) - 200), 50)
    bad = np.array(
        [
            contrast[i : i + 200].mean() < _LEAST_CONTRAST or np.percentile(rise[i : i + 200], 98) < _LEAST_ATTACKS
            for i in starts
        ]
    )
    return bool((bad[1:] & bad[:-1]).any())
