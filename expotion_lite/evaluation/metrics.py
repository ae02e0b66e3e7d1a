"""Does the music follow the person? Plain functions of arrays; each alignment score is meant to be compared with the
score against other people's videos (the shuffled control)."""

from __future__ import annotations

import numpy as np

from ..errors import ExpotionError


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

    Onsets beside the moments at which motion turns: Davis and Agrawala 2018, Visual Rhythm and Beat. The maximum
    favours high values, also where there is no relation: read it beside its shuffled control.

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


def tempo_of(onsets: np.ndarray, frame_rate: float) -> float:
    """Beats a minute, 50 to 200: where onsets repeat best after one, two, three and four beats together.

    What repeats after half a beat, or after one and a half, seldom does so after all multiples of that, too: this finds
    the tempo of more of the band's pieces than librosa's estimate, which is from one beat alone (`test_metrics.py`
    compares them). Tempos near 120 are preferred, by a normal weight over their logarithm, as in Ellis 2007; its
    deviation, 1.4 octaves, and the four beats were chosen on pieces of the band by which nothing is measured.

    Args:
        onsets: (T,) `onset_strength`, of five seconds or more, since four slow beats must fit in.
        frame_rate: in Hz.

    Example:
        >>> clicks = np.tile([1.0] + [0.0] * 59, 10)
        >>> round(tempo_of(clicks, 100.0))
        100
    """
    import librosa

    bpm = np.geomspace(50.0, 200.0, 281)
    again = librosa.autocorrelate(onsets - onsets.mean()) / np.arange(len(onsets), 0, -1)
    lags = 60.0 * frame_rate / bpm * np.arange(1, 5)[:, None]
    repeats = np.interp(lags, np.arange(len(again)), again, right=0.0).sum(0)
    return float(bpm[np.argmax(repeats * np.exp(-0.5 * (np.log2(bpm / 120.0) / 1.4) ** 2))])


def track_beats(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Beat times that a listener's foot would find, (B,) seconds (dynamic programming; Ellis 2007, as in librosa).

    It is given `onset_strength`, which averages over bands of frequency: librosa's own median over them loses notes
    that fill few bands, and finds fewer of the band's beats; and the tempo of `tempo_of`.
    """
    import librosa

    onsets, hop = onset_strength(audio, sample_rate, 100.0), round(sample_rate / 100)
    found = librosa.beat.beat_track(
        onset_envelope=onsets, sr=sample_rate, hop_length=hop, bpm=tempo_of(onsets, 100.0), tightness=200, trim=False,
        units="time",
    )  # fmt: skip
    return found[1]


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

    A tempo counts as right within 4% (Gouyon et al. 2006, "accuracy 1": half and double tempo are wrong).

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


def beat_alignment_score(motion_s: np.ndarray, beats_s: np.ndarray, sigma_s: float = 0.05) -> float:
    """How close to a beat of the music the motion turns, on average (Li et al. 2021, AI Choreographer, section 5.2).

    Music with more beats always scores higher: read it beside its shuffled control.

    Args:
        motion_s: (M,) seconds at which the motion turns, such as `plots.pulse_times`.
        beats_s: (B,) seconds of the music's beats.
        sigma_s: how far off counts for exp(-1/2); theirs is three frames of sixty a second.

    Returns:
        0..1; 0 if there is no motion or no beat.

    Example:
        >>> round(beat_alignment_score(np.array([1.0, 2.05]), np.array([1.0, 2.0, 3.0])), 3)
        0.803
    """
    if len(motion_s) == 0 or len(beats_s) == 0:
        return 0.0
    apart = np.abs(np.subtract.outer(motion_s, beats_s)).min(1)
    return float(np.exp(-(apart**2) / (2 * sigma_s**2)).mean())


def level_curve(audio: np.ndarray, sample_rate: int, frame_rate: float = 50.0, smooth_s: float = 1.0) -> np.ndarray:
    """How loud the music is around each frame, in dB below full scale.

    Args:
        audio: (N,); sample_rate: in Hz; frame_rate: of the result, in Hz.
        smooth_s: length of the window over which the power is averaged, in seconds.

    Returns:
        (round(N / sample_rate * frame_rate),), not below -80.
    """
    n = round(len(audio) / sample_rate * frame_rate)
    edges = np.round(np.arange(n + 1) * sample_rate / frame_rate).astype(int).clip(max=len(audio))
    total = np.append(0.0, np.cumsum(audio.astype(np.float64) ** 2))
    half = round(smooth_s * frame_rate / 2)
    first, last = edges[np.maximum(np.arange(n) - half, 0)], edges[np.minimum(np.arange(n) + half + 1, n)]
    return 10 * np.log10(np.maximum((total[last] - total[first]) / np.maximum(last - first, 1), 1e-8))


def energy_correlation(level: np.ndarray, energy: np.ndarray) -> float:
    """Pearson's correlation (1895) of the music's level with how strongly it should be played. (T,) each, -1..1.

    Example:
        >>> level = np.array([-30.0, -20.0, -10.0])
        >>> round(energy_correlation(level, np.array([0.1, 0.2, 0.3])), 3), energy_correlation(level, 0 * level)
        (1.0, 0.0)

    Raises:
        ExpotionError: the two differ in length.
    """
    if level.shape != energy.shape:
        raise ExpotionError(f"Level {level.shape} and energy {energy.shape} differ in length; cut them to the shorter.")
    return _pearson(level, energy)


# How often each step of the scale occurs in a key, from the tonic up (Albrecht and Shanahan 2013, over 490 pieces).
_PROFILES = np.array([
    [0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081],
    [0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052],
])  # fmt: skip


def key_of(chroma: np.ndarray) -> tuple[int, str, float]:
    """The key whose profile correlates best with how much of each pitch class there is (Krumhansl 1990, chapter 4).

    Args:
        chroma: (12,), C first, such as `chroma_of`.

    Returns:
        (tonic 0..11 with C 0, "major" or "minor", how much better it correlates than the best key of the other mode)

    Example:
        >>> key_of(np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1.0]))[:2]
        (0, 'major')
    """
    scores = np.array([[_pearson(chroma, np.roll(profile, k)) for k in range(12)] for profile in _PROFILES])
    mode, tonic = np.unravel_index(int(scores.argmax()), scores.shape)
    return int(tonic), ("major", "minor")[mode], float(scores[mode].max() - scores[1 - mode].max())


def mode_of(chroma: np.ndarray, tonic: int) -> str:
    """ "major" or "minor": which third above a known tonic there is more of.

    Without the tonic the same notes may be C major or A minor, and `key_of` has to guess between the two.

    Args:
        chroma: (12,), C first, such as `chroma_of`.
        tonic: 0..11, semitones above C.

    Example:
        >>> dorian = np.array([1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 1, 0.0])
        >>> mode_of(dorian, 0)
        'minor'
    """
    return "major" if chroma[(tonic + 4) % 12] > chroma[(tonic + 3) % 12] else "minor"


def chroma_of(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """How much of each pitch class there is, (12,), C first; the strongest is 1. audio: (N,)."""
    import librosa

    harmonic = librosa.effects.harmonic(audio, margin=2.0)  # drums have no key
    window = 2 ** round(np.log2(sample_rate / 4))  # a quarter of a second, so that semitones are told apart
    chroma = librosa.feature.chroma_stft(y=harmonic, sr=sample_rate, n_fft=window, tuning=0.0).mean(1)
    return chroma / max(float(chroma.max()), 1e-9)


def tag_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of the angle between tag probabilities. a, b: (N, tags), such as `musicnn.tag`'s. Returns (N,) 0..1.

    What CLAP's score is for captions (Copet 2023), with tags instead.

    Example:
        >>> float(tag_similarity(np.array([[0.5, 0.0]]), np.array([[0.2, 0.0]]))[0])
        1.0
    """
    return (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-9)


def tag_divergence(reference: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence of tag probabilities, each tag there or not: mean over the tags, in nats.

    As in the evaluation of MusicGen (Copet 2023), there of PaSST's labels.

    reference, made: (N, tags) 0..1. Returns (N,) 0 or more.

    Example:
        >>> half, quarter = np.full((1, 3), 0.5), np.full((1, 3), 0.25)
        >>> tag_divergence(half, half)[0], round(float(tag_divergence(half, quarter)[0]), 4)
        (np.float64(0.0), 0.1438)
    """
    p, q = reference.clip(1e-6, 1 - 1e-6), made.clip(1e-6, 1 - 1e-6)
    return (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(1)


def loudness_lufs(audio: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness by ITU-R BS.1770-4, in LUFS; -inf for silence. audio: (N,), 0.4 s or more."""
    import pyloudnorm

    return float(pyloudnorm.Meter(sample_rate).integrated_loudness(audio.astype(np.float64)))


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
    return float((1 + np.sum((signs * differences).mean(1) >= differences.mean() - 1e-12)) / (1 + draws))
