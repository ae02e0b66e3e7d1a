"""Does the music follow the person? Plain functions of arrays; each alignment score is meant to be compared with the
score against other people's videos (the shuffled control)."""

from __future__ import annotations

import numpy as np

from .errors import ExpotionError


def onset_strength(audio: np.ndarray, sample_rate: int, frame_rate: float = 50.0) -> np.ndarray:
    """How much new sound begins in each frame (spectral flux; Boeck and Widmer 2013, as librosa computes it).

    Args:
        audio: (N,) float32.
        sample_rate: in Hz.
        frame_rate: of the result, in Hz.

    Returns:
        (round(N / sample_rate * frame_rate),) float32, 0 or more.
    """
    import librosa

    hop = round(sample_rate / frame_rate)
    strength = librosa.onset.onset_strength(y=audio, sr=sample_rate, hop_length=hop, n_fft=1024, n_mels=64)
    n = round(len(audio) / sample_rate * frame_rate)
    return np.pad(strength, (0, max(0, n - len(strength))))[:n].astype(np.float32)


def onset_motion_correlation(
    onsets: np.ndarray, motion: np.ndarray, frame_rate: float = 50.0, max_lag_s: float = 0.3
) -> float:
    """Largest Pearson correlation of onset strength and motion over shifts of up to `max_lag_s` either way.

    The maximum favours high values, also where there is no relation: read it beside its shuffled control.

    Args:
        onsets, motion: (T,) at `frame_rate`.
        frame_rate: in Hz.
        max_lag_s: in seconds.

    Returns:
        -1..1; 0 if either is constant.

    Raises:
        ExpotionError: the two differ in length, or are no longer than the largest shift.

    Example:
        >>> clicks = np.tile([1.0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 20)
        >>> round(onset_motion_correlation(clicks, np.roll(clicks, 3)), 3)
        1.0
    """
    if onsets.shape != motion.shape:
        raise ExpotionError(
            f"Onsets {onsets.shape} and motion {motion.shape} differ in length; cut them to the shorter."
        )
    if not (np.isfinite(onsets).all() and np.isfinite(motion).all()):
        raise ExpotionError("Onsets or motion hold NaN or infinite values; put 0 where something is missing.")
    shifts = round(max_lag_s * frame_rate)
    if len(onsets) <= 2 * shifts + 1:
        raise ExpotionError(
            f"{len(onsets)} frames are too few to shift by {shifts}; use a longer clip or a smaller lag."
        )
    scores = [_pearson(onsets[max(0, s) : len(onsets) + min(0, s)], motion[max(0, -s) : len(motion) + min(0, -s)])
              for s in range(-shifts, shifts + 1)]  # fmt: skip
    return max(scores)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    a, b = a.astype(np.float64) - a.mean(), b.astype(np.float64) - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size)


def track_beats(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Beat times that a listener's foot would find, (B,) seconds (dynamic programming; Ellis 2007)."""
    import librosa

    _, beats = librosa.beat.beat_track(y=audio, sr=sample_rate, hop_length=round(sample_rate / 100), units="time")
    return beats


def beat_f_measure(found: np.ndarray, truth: np.ndarray, window_s: float = 0.07) -> float:
    """F-measure of beats within 70 ms (Davies 2009), without the leading 5 s that mir_eval's authors trim.

    found, truth: (B,) seconds. Returns 0..1.

    Example:
        >>> beat_f_measure(np.array([0.5, 1.0, 1.5]), np.array([0.52, 1.02, 1.52]))
        1.0
    """
    import mir_eval

    if len(found) == 0 or len(truth) == 0:
        return 0.0
    return float(mir_eval.beat.f_measure(np.sort(truth), np.sort(found), f_measure_threshold=window_s))


def tempo_by_line(beats: np.ndarray) -> float:
    """Tempo in beats a minute from a straight line through beat times, which averages out their jitter.

    beats: (B,) seconds, in order. Returns 0 if there are fewer than three.

    Example:
        >>> round(tempo_by_line(np.array([0.0, 0.51, 0.99, 1.5])), 1)
        120.5
    """
    if len(beats) < 3:
        return 0.0
    return float(60.0 / np.polyfit(np.arange(len(beats)), beats, 1)[0])


def cents_off(audio: np.ndarray, sample_rate: int, frequency_hz: float, within: float = 100.0) -> float:
    """How far the loudest frequency near a note's lies from it, in hundredths of a semitone (cents).

    Args:
        audio: (N,) in which the note sounds; a quarter of a second tells about 5 cents at 500 Hz.
        sample_rate: in Hz.
        frequency_hz: of the note.
        within: how far to look, in cents either way.

    Returns:
        -within..within; 0 is in tune.

    Example:
        >>> a_quarter_tone_sharp = np.sin(2 * np.pi * 452.893 * np.arange(8000) / 16000)
        >>> round(cents_off(a_quarter_tone_sharp, 16000, 440.0))
        50
    """
    size = 1 << 17  # so finely, by zero padding, that the grid does not count
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size))
    low, high = (round(frequency_hz * 2 ** (side * within / 1200) * size / sample_rate) for side in (-1, 1))
    loudest = (low + int(np.argmax(spectrum[low : high + 1]))) * sample_rate / size
    return float(np.clip(1200 * np.log2(loudest / frequency_hz), -within, within))


def in_tune(audio: np.ndarray, sample_rate: int, *, window_s: float = 0.3, cents: float = 20.0) -> float:
    """How often the loudest tone from 250 to 2000 Hz is a note of the tempered scale on A = 440 Hz.

    Args:
        audio: (N,) of at least `window_s`.
        sample_rate: in Hz.
        window_s: over which each tone is looked for; cents: how far it may be from the nearest note.

    Returns:
        0..1, share of the windows; by chance cents / 50.

    Example:
        >>> note = np.sin(2 * np.pi * 523.25 * np.arange(16000) / 16000)
        >>> between = np.sin(2 * np.pi * 538 * np.arange(16000) / 16000)
        >>> in_tune(note, 16000), in_tune(between, 16000)
        (1.0, 0.0)
    """
    n, size = round(window_s * sample_rate), 1 << 15
    windows = np.lib.stride_tricks.sliding_window_view(audio, n)[:: n // 2]
    first, last = (round(hz * size / sample_rate) for hz in (250, 2000))
    loudest = np.abs(np.fft.rfft(windows * np.hanning(n), size))[:, first:last].argmax(1) + first
    semitones = 12 * np.log2(loudest * sample_rate / size / 440)
    return float((np.abs(semitones - np.round(semitones)) * 100 <= cents).mean())


def against_others(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split a table of scores of all music against all videos into each music's own and its mean over the others'.

    scores: (N, N), music by video. Returns (own (N,), shuffled (N,)).
    """
    n = len(scores)
    own = np.diag(scores)
    return own, (scores.sum(1) - own) / (n - 1)


def bootstrap_interval(
    values: np.ndarray, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron 1979). values: (N,)."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(draws, len(values)))].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_permutation_test(differences: np.ndarray, draws: int = 10_000, seed: int = 0) -> float:
    """One-sided p of a mean difference above 0, by flipping signs at random (Fisher 1935). differences: (N,)."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], size=(draws, len(differences)))
    return float((1 + np.sum((signs * differences).mean(1) >= differences.mean())) / (1 + draws))
