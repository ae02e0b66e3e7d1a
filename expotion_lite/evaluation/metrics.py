"""Metrics of music and of how well it follows a person, as plain functions of arrays.

Compare each alignment score with the same music's scores against other people's videos (the shuffled control).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ExpotionError


def onset_strength(audio: np.ndarray, sample_rate: int, frame_rate: float = 50.0) -> np.ndarray:
    """Return how much new sound begins in each frame (spectral flux; Boeck and Widmer 2013, as librosa computes it).

    Args:
        audio: (N,) float32.
        sample_rate: in Hz.
        frame_rate: of the result, in Hz.

    Returns:
        (round(N / sample_rate * frame_rate),) float32, 0 or more.
    """
    from librosa.onset import onset_strength as spectral_flux

    hop = round(sample_rate / frame_rate)
    strength = spectral_flux(y=audio, sr=sample_rate, hop_length=hop, n_fft=1024, n_mels=64)
    n = round(len(audio) / sample_rate * frame_rate)
    return np.pad(strength, (0, max(0, n - len(strength))))[:n].astype(np.float32)


def onset_motion_correlation(
    onsets: np.ndarray, motion: np.ndarray, frame_rate: float = 50.0, max_lag_s: float = 0.3
) -> float:
    """Return the largest Pearson correlation of onset strength and motion over shifts of up to `max_lag_s` either way.

    Onsets of music and turning points of motion are compared as in Davis and Agrawala 2018, Visual Rhythm and Beat.
    The maximum over shifts is above 0 even for unrelated curves, so compare it with its shuffled control.

    Args:
        onsets: (T,) at `frame_rate`.
        motion: (T,) at `frame_rate`.
        frame_rate: in Hz.
        max_lag_s: the largest shift, in seconds.

    Returns:
        -1..1; 0 if either is constant.

    Raises:
        ExpotionError: the two differ in length, are not finite, or are no longer than twice the largest shift.

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
        raise ExpotionError("Onsets or motion contain NaN or infinite values; replace them by 0.")
    shifts = round(max_lag_s * frame_rate)
    if len(onsets) <= 2 * shifts + 1:
        raise ExpotionError(
            f"{len(onsets)} frames are too few to shift by {shifts}; use a longer clip or a smaller lag."
        )
    earlier = [_pearson(onsets[: len(onsets) - s], motion[s:]) for s in range(1, shifts + 1)]
    later = [_pearson(onsets[s:], motion[: len(motion) - s]) for s in range(shifts + 1)]
    return max(earlier + later)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation of two arrays (T,), or 0 if either is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    a, b = a.astype(np.float64) - a.mean(), b.astype(np.float64) - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size)


def tempo_of(onsets: np.ndarray, frame_rate: float) -> float:
    """Estimate the tempo, 50 to 200 beats a minute, at which onsets repeat best after one, two, three and four beats.

    The autocorrelation at these four lags is summed. A wrong lag, such as half a beat, may have a peak, but seldom at
    all its multiples. So this finds the tempo of more of the band's pieces than librosa's estimate, which looks at one
    lag alone (`test_metrics.py` compares them). A normal weight over the logarithm prefers tempos near 120 (Ellis
    2007). Its deviation, 1.4 octaves, and the number of beats were chosen on pieces of the band that no report uses.

    Args:
        onsets: (T,) `onset_strength` of at least five seconds, so that four slow beats fit in.
        frame_rate: in Hz.

    Example:
        >>> clicks = np.tile([1.0] + [0.0] * 59, 10)
        >>> round(tempo_of(clicks, 100.0))
        100
    """
    import librosa

    bpm = np.geomspace(50.0, 200.0, 281)
    autocorrelation = librosa.autocorrelate(onsets - onsets.mean()) / np.arange(len(onsets), 0, -1)
    lags = 60.0 * frame_rate / bpm * np.arange(1, 5)[:, None]  # (4 beats, tempos), in frames
    repetition = np.interp(lags, np.arange(len(autocorrelation)), autocorrelation, right=0.0).sum(0)
    preference = np.exp(-0.5 * (np.log2(bpm / 120.0) / 1.4) ** 2)
    return float(bpm[np.argmax(repetition * preference)])


def track_beats(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Find the beats of music by dynamic programming (Ellis 2007, as in librosa).

    librosa's tracker gets our `onset_strength` and our `tempo_of`. `onset_strength` averages over frequency bands;
    librosa's default, their median, misses notes that fill few bands, and finds fewer of the band's beats.

    Args:
        audio: (N,) float32.
        sample_rate: in Hz.

    Returns:
        (B,) seconds.
    """
    from librosa.beat import beat_track

    onsets = onset_strength(audio, sample_rate, 100.0)
    _, beats = beat_track(
        onset_envelope=onsets,
        sr=sample_rate,
        hop_length=round(sample_rate / 100),
        bpm=tempo_of(onsets, 100.0),
        tightness=200,
        trim=False,
        units="time",
    )
    return np.asarray(beats)


def seconds_with_onsets(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return in which seconds of music librosa finds an onset, (S,) bool.

    The beat scores of D2M-GAN (Zhu et al. 2022) and LORIS (Yu et al. 2023) compare music by these.
    """
    from librosa.onset import onset_detect

    found = onset_detect(y=audio, sr=sample_rate, units="time").astype(int)
    seconds = np.zeros(max(1, -(-len(audio) // sample_rate)), bool)
    seconds[found[found < len(seconds)]] = True
    return seconds


def f1_in_seconds(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the F1 score of seconds with onsets as LORIS defines it, 0..1.

    Coverage is the share of the music's seconds that are the reference's, too; hit rate is the share of the
    reference's that are the music's. F1 is their harmonic mean. Unrelated music reaches about 0.8, so compare with a
    shuffled control.

    Args:
        found: (S,) bool of the music, from `seconds_with_onsets`.
        truth: (S,) bool of the reference; the longer one is cut.

    Example:
        >>> f1_in_seconds(np.array([True, True, False]), np.array([True, False, False])).__round__(3)
        0.667
    """
    n = min(len(found), len(truth))
    common = float((found[:n] & truth[:n]).sum())
    return 2 * common / max(float(found[:n].sum() + truth[:n].sum()), 1.0)


def beat_f_measure(found: np.ndarray, truth: np.ndarray, window_s: float = 0.07) -> float:
    """Return the F-measure of found beats (Davies 2009). The first 5 s count, too; evaluations often leave them out.

    Args:
        found: (B,) seconds.
        truth: (B',) seconds.
        window_s: the largest distance of a found beat from a true one that counts as a hit, in seconds.

    Returns:
        0..1; 0 if either is empty.

    Example:
        >>> beat_f_measure(np.array([0.5, 1.0, 1.5]), np.array([0.52, 1.02, 1.52]))
        1.0
    """
    import mir_eval

    if len(found) == 0 or len(truth) == 0:
        return 0.0
    return float(mir_eval.beat.f_measure(np.sort(truth), np.sort(found), f_measure_threshold=window_s))


def tempo_by_line(beats: np.ndarray) -> float:
    """Return the tempo, in beats a minute, of a straight line fitted to beat times, which averages out their jitter.

    The reports count a tempo as right within 4% (Gouyon et al. 2006, "accuracy 1": half and double tempo are wrong).

    Args:
        beats: (B,) seconds, in order.

    Returns:
        Beats a minute; 0 if there are fewer than three beats.

    Example:
        >>> round(tempo_by_line(np.array([0.0, 0.51, 0.99, 1.5])), 1)
        120.5
    """
    if len(beats) < 3:
        return 0.0
    return float(60.0 / np.polyfit(np.arange(len(beats)), beats, 1)[0])


def cents_off(audio: np.ndarray, sample_rate: int, frequency_hz: float, within: float = 100.0) -> float:
    """Return how far the loudest frequency near a note lies from that note, in cents (hundredths of a semitone).

    Args:
        audio: (N,) in which the note sounds; 0.25 s resolve about 5 cents at 500 Hz.
        sample_rate: in Hz.
        frequency_hz: of the note.
        within: the search range, in cents either way.

    Returns:
        -within..within; 0 is in tune.

    Example:
        >>> a_quarter_tone_sharp = np.sin(2 * np.pi * 452.893 * np.arange(8000) / 16000)
        >>> round(cents_off(a_quarter_tone_sharp, 16000, 440.0))
        50
    """
    size = 1 << 17  # zero padding makes the frequency grid much finer than a cent
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size))
    low = round(frequency_hz * 2 ** (-within / 1200) * size / sample_rate)
    high = round(frequency_hz * 2 ** (within / 1200) * size / sample_rate)
    loudest = (low + int(np.argmax(spectrum[low : high + 1]))) * sample_rate / size
    return float(np.clip(1200 * np.log2(loudest / frequency_hz), -within, within))


def in_tune(audio: np.ndarray, sample_rate: int, *, window_s: float = 0.3, cents: float = 20.0) -> float:
    """Return how often the loudest tone from 250 to 2000 Hz is a note of the tempered scale on A = 440 Hz.

    Args:
        audio: (N,) of at least `window_s`.
        sample_rate: in Hz.
        window_s: the length of the windows, each of which gives one tone; they overlap by half.
        cents: the largest distance from the nearest note that counts as in tune.

    Returns:
        0..1, the share of the windows; by chance it is cents / 50.

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


def level_curve(audio: np.ndarray, sample_rate: int, frame_rate: float = 50.0, smooth_s: float = 1.0) -> np.ndarray:
    """Return the level of music around each frame, in dB relative to full scale.

    Args:
        audio: (N,) -1..1.
        sample_rate: in Hz.
        frame_rate: of the result, in Hz.
        smooth_s: the length of the window over which the power is averaged, in seconds.

    Returns:
        (round(N / sample_rate * frame_rate),), at least -80.
    """
    n = round(len(audio) / sample_rate * frame_rate)
    edges = np.round(np.arange(n + 1) * sample_rate / frame_rate).astype(int).clip(max=len(audio))
    energy_before = np.append(0.0, np.cumsum(audio.astype(np.float64) ** 2))
    half = round(smooth_s * frame_rate / 2)
    first, last = edges[np.maximum(np.arange(n) - half, 0)], edges[np.minimum(np.arange(n) + half + 1, n)]
    power = (energy_before[last] - energy_before[first]) / np.maximum(last - first, 1)
    return 10 * np.log10(np.maximum(power, 1e-8))


def energy_correlation(level: np.ndarray, energy: np.ndarray) -> float:
    """Return the Pearson correlation of the music's level with how strongly it should be played.

    Args:
        level: (T,) from `level_curve`.
        energy: (T,) of the piece.

    Returns:
        -1..1; 0 if either is constant.

    Raises:
        ExpotionError: the two differ in length.

    Example:
        >>> level = np.array([-30.0, -20.0, -10.0])
        >>> round(energy_correlation(level, np.array([0.1, 0.2, 0.3])), 3), energy_correlation(level, 0 * level)
        (1.0, 0.0)
    """
    if level.shape != energy.shape:
        raise ExpotionError(f"Level {level.shape} and energy {energy.shape} differ in length; cut them to the shorter.")
    return _pearson(level, energy)


# Key profiles: how often each semitone above the tonic occurs (Albrecht and Shanahan 2013, over 490 pieces).
_MAJOR = (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081)
_MINOR = (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052)
_PROFILES = np.array([_MAJOR, _MINOR])


def key_of(chroma: np.ndarray) -> tuple[int, str, float]:
    """Return the key whose profile correlates best with the strength of the pitch classes (Krumhansl 1990, chapter 4).

    Args:
        chroma: (12,), C first, such as from `chroma_of`.

    Returns:
        (tonic 0..11 with C 0, "major" or "minor", its correlation minus the best correlation of any key in the other
        mode)

    Example:
        >>> key_of(np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1.0]))[:2]
        (0, 'major')
    """
    scores = np.array([[_pearson(chroma, np.roll(profile, k)) for k in range(12)] for profile in _PROFILES])
    mode, tonic = np.unravel_index(int(scores.argmax()), scores.shape)
    return int(tonic), ("major", "minor")[mode], float(scores[mode].max() - scores[1 - mode].max())


def mode_of(chroma: np.ndarray, tonic: int) -> str:
    """Return "major" or "minor": the mode whose third above a known tonic is the stronger.

    The tonic is needed because C major and A minor have the same notes. `key_of` has to guess between the two.

    Args:
        chroma: (12,), C first, such as from `chroma_of`.
        tonic: 0..11, semitones above C.

    Example:
        >>> dorian = np.array([1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 1, 0.0])
        >>> mode_of(dorian, 0)
        'minor'
    """
    return "major" if chroma[(tonic + 4) % 12] > chroma[(tonic + 3) % 12] else "minor"


def chroma_of(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the strength of each pitch class in music.

    Args:
        audio: (N,) float32.
        sample_rate: in Hz.

    Returns:
        (12,), C first; the strongest is 1.
    """
    from librosa.effects import harmonic
    from librosa.feature import chroma_stft

    pitched = harmonic(audio, margin=2.0)  # drums have no key
    window = 2 ** round(np.log2(sample_rate / 4))  # 0.25 s separate semitones
    chroma = chroma_stft(y=pitched, sr=sample_rate, n_fft=window, tuning=0.0).mean(1)
    return chroma / max(float(chroma.max()), 1e-9)


def tag_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine similarity of tag probabilities, as the CLAP score (Copet 2023) does of text and audio.

    Args:
        a: (N, tags), such as from `lab.musicnn.tag`.
        b: (N, tags).

    Returns:
        (N,) 0..1.

    Example:
        >>> float(tag_similarity(np.array([[0.5, 0.0]]), np.array([[0.2, 0.0]]))[0])
        1.0
    """
    return (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-9)


def against_others(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split scores of all music against all videos into the scores for the own video and the means over the others.

    Args:
        scores: (N, N), music by video.

    Returns:
        (own (N,), shuffled (N,)).
    """
    n = len(scores)
    own = np.diag(scores)
    return own, (scores.sum(1) - own) / (n - 1)


def bootstrap_interval(
    *samples: np.ndarray,
    statistic: Callable[..., Any] = np.mean,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic (Efron 1979), by `scipy.stats.bootstrap`.

    Args:
        *samples: (N,) each. Several samples are paired: each draw takes the same N positions from all of them.
        statistic: a function of the samples. If it has an argument `axis`, it is called once for all draws.
        level: of confidence, 0..1.
        draws: number of resamples.
        seed: of the resamples.

    Returns:
        (lower, upper) bound; twice the statistic itself if N is 1.

    Example:
        >>> bootstrap_interval(np.array([0.25, 0.5, 0.25, 0.5]), draws=1000)
        (0.25, 0.5)
    """
    from scipy.stats import bootstrap

    if len(samples[0]) == 1:
        only = float(statistic(*samples))
        return only, only
    drawn = bootstrap(
        samples,
        statistic,
        paired=True,
        confidence_level=level,
        n_resamples=draws,
        method="percentile",
        random_state=np.random.default_rng(seed),  # SciPy before 1.15 has no `rng`
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def paired_permutation_test(
    differences: np.ndarray, draws: int = 10_000, seed: int = 0, *, two_sided: bool = False
) -> float:
    """Test whether a mean of paired differences is above 0 by flipping their signs (Fisher 1935).

    The test is `scipy.stats.permutation_test`: exact where the differences have at most `draws` patterns of signs.

    Args:
        differences: (N,).
        draws: number of patterns of signs that are drawn at random if there are more than this.
        seed: of the patterns.
        two_sided: test whether the mean differs from 0 in either direction instead.

    Returns:
        p, above 0: the number of sign patterns whose mean is at least the measured one, itself
        included, divided by the number of all patterns.

    Example:
        >>> paired_permutation_test(np.array([0.2, 0.1, 0.3, 0.2]))
        0.0625
    """
    from scipy.stats import permutation_test

    def mean(values: np.ndarray, axis: int) -> np.ndarray:
        return values.mean(axis).round(12)  # so that equal means of different patterns compare as equal

    if len(differences) == 1:  # SciPy wants two
        return 0.5 if differences[0] > 0 and not two_sided else 1.0
    tested = permutation_test(
        (differences,),
        mean,
        permutation_type="samples",
        alternative="two-sided" if two_sided else "greater",
        n_resamples=draws,
        random_state=np.random.default_rng(seed),
    )
    return float(tested.pvalue)
