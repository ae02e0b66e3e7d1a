"""Event curves drawn from music itself, so that an adapter learns to follow events without seeing anybody.

Music that is to follow events can teach them: its own onsets are events that it follows perfectly. So in training the
channels `event` and `activity` are taken from the music's onsets, made as imperfect as those of a person are, and later
a person's take their place (V2M-Zero, arXiv 2603.11042, reports the same for other models). No pairs of people and
music are needed, and any music serves.

Curves are drawn anew at each step: other bands of frequency, some events dropped, late, merged, halved or doubled, some
added, stretches missing. Now and then they are nonsense, which the model then learns not to follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from ..controls.events import Events, event_curve, find_events

if TYPE_CHECKING:
    from ..data.examples import Examples
    from ..musicgen.loading import MusicGen

BANDS = (0, 14, 36, 64)  # limits of the low, middle and high bands, of 64 mel bands
_WIDTHS = np.diff(BANDS) / BANDS[-1]
_EXPRESSIONS = ("smile", "frown", "brows_up", "jaw_open", "expression_energy")
_DEVIATION = (0.3, 0.3, 1.0, 1.0, 1.0)  # of held expressions: smiles and frowns would tell the mode of the music
_RESTLESSNESS = (0.35, 0.1, 0.25, 0.15, 0.3)  # at most, the standard deviation of a restless face


def onset_curves(audio: np.ndarray, sample_rate: int, frames: int, frame_rate: float = 50.0) -> np.ndarray:
    """Return onset strength in three bands of frequency, and the level, of music.

    Args:
        audio: (N,) float32.
        sample_rate: in Hz.
        frames: length of the result.
        frame_rate: of the result, in Hz.

    Returns:
        (frames, 4) float32: low, middle and high onset strength, and the root mean square.
    """
    from librosa.feature import rms
    from librosa.onset import onset_strength_multi

    hop = round(sample_rate / frame_rate)
    onsets = onset_strength_multi(
        y=audio, sr=sample_rate, n_fft=1024, hop_length=hop, n_mels=BANDS[-1], channels=list(BANDS)
    )
    level = rms(y=audio, frame_length=1024, hop_length=hop)
    curves = np.concatenate([onsets, level]).T[:frames]
    return np.pad(curves, ((0, frames - len(curves)), (0, 0))).astype(np.float32)


def decoded(musicgen: MusicGen, examples: Examples, batch: int = 8) -> Iterator[np.ndarray]:
    """Decode the codes of examples, one after another: (S,) float32 each."""
    from ..musicgen.codes import decode

    for first in range(0, len(examples), batch):
        codes = torch.from_numpy(np.maximum(examples.codes[first : first + batch], 0).astype(np.int64))
        for audio in decode(musicgen, codes).cpu().numpy():
            yield audio.reshape(-1)


def draw_event_curves(onsets: np.ndarray, rng: np.random.Generator, *, person_like: bool = True) -> np.ndarray:
    """Draw event curve and activity from the onsets of music, as a person who moves to it might give them.

    Args:
        onsets: (T, 4) from `onset_curves`, at 50 Hz.
        rng: source of the draws.
        person_like: whether the curves are made imperfect; without, they are exact.

    Returns:
        (T, 2) float32, 0..1.

    Notebook: notebooks/06_lora_finetuning
    """
    frames = len(onsets)
    weights = _draw_bands(rng) if person_like else _WIDTHS
    strength = onsets[:, :3].astype(np.float64) @ weights
    smoothed = gaussian_filter1d(strength, rng.uniform(1.5, 3.0) if person_like else 2.0)
    gap_s, prominence = (rng.integers(10, 22) / 50, rng.uniform(0.08, 0.2)) if person_like else (0.24, 0.15)
    scaled = smoothed / (np.percentile(smoothed, 99) + 1e-9)
    events = find_events(scaled, 50.0, least_gap_s=gap_s, prominence=prominence)
    if person_like:
        events = _imperfect(events, frames / 50.0, rng)
    width_s = rng.uniform(0.044, 0.058) if person_like else 0.05
    return np.stack(
        [event_curve(events, frames, 50.0, width_s), _draw_activity(strength, onsets[:, 3], rng, person_like)], axis=1
    ).astype(np.float32)


def _draw_bands(rng: np.random.Generator) -> np.ndarray:
    """Draw how much the three bands count, (3,): mostly as in full-band onset strength, or one of them, or any mix."""
    kind = rng.random()
    if kind < 0.6:
        return _WIDTHS
    return np.eye(3)[rng.integers(3)] if kind < 0.85 else rng.dirichlet([1, 1, 1])


def _imperfect(events: Events, duration_s: float, rng: np.random.Generator) -> Events:
    """Drop, halve, double, delay and add events, and change their strengths."""
    times, strengths = events.times, events.strengths
    if len(times) > 3 and rng.random() < 0.6:  # only the stronger ones
        kept = strengths >= np.quantile(strengths, rng.uniform(0, 0.5))
        times, strengths = times[kept], strengths[kept]
    kind = rng.random()
    if len(times) > 3 and kind < 0.05:  # every other
        first = rng.integers(2)
        times, strengths = times[first::2], strengths[first::2]
    elif len(times) > 3 and kind < 0.1:  # one more between any two
        between = (times[1:] + times[:-1]) / 2
        times, strengths = np.append(times, between), np.append(strengths, 0.4 * (strengths[1:] + strengths[:-1]))
    kept = rng.random(len(times)) > rng.uniform(0, 0.08)
    times, strengths = times[kept], strengths[kept]
    late = rng.normal(0, 0.01) + rng.normal(0, rng.uniform(0.002, 0.014), len(times))
    times, strengths = times + late, np.clip(strengths + rng.normal(0, 0.1, len(times)), 0.2, 1.0)
    if rng.random() < 0.12:
        added = rng.integers(1, 4)
        times = np.append(times, rng.uniform(0, duration_s, added))
        strengths = np.append(strengths, rng.uniform(0.2, 0.6, added))
    order = np.argsort(times)
    return Events(times[order], strengths[order])


def _draw_activity(strength: np.ndarray, level: np.ndarray, rng: np.random.Generator, person_like: bool) -> np.ndarray:
    """Draw an activity (T,) from onset strength or level, smoothed; a person's wanders besides."""
    if not person_like:
        smoothed = gaussian_filter1d(strength, 6.0)
        return np.clip(0.85 * smoothed / (np.percentile(smoothed, 98) + 1e-9), 0.0, 1.0)
    source = strength if rng.random() < 0.7 else level.astype(np.float64)
    smoothed = gaussian_filter1d(source, rng.uniform(5, 16))
    activity = 0.85 * smoothed / (np.percentile(smoothed, 98) + 1e-9) * rng.uniform(0.6, 1.0) ** rng.integers(0, 2)
    if rng.random() < 0.4:
        activity += gaussian_filter1d(rng.normal(0, 1, len(level)), rng.uniform(8, 40)) * rng.uniform(0, 0.5)
    return np.clip(activity, 0.0, 1.0)


def _speech(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Draw how far a jaw opens in speech, (frames,): about four syllables a second, and pauses of seconds."""
    syllables = gaussian_filter1d(rng.normal(0, 1, frames), rng.uniform(2, 4))
    phrases = gaussian_filter1d(rng.normal(0, 1, frames), rng.uniform(20, 60)) > 0
    return rng.uniform(0.1, 0.5) * np.maximum(syllables / syllables.std(), 0) * phrases


class EventCurveControls:
    """Draws the controls of training examples anew at each step, for `train_adapter`.

    For music to which nobody moves, and for a share of the performances, events and activity come from the music. The
    others keep those of the performer.

    Args:
        examples: with the channels event, activity and motion_missing, and faces or none.
        onsets: (N, T, 4) from `onset_curves`.
        performed: (N,) bool, whether somebody moves to the music.
        bright: (N,) bool, whether the music's mode is bright, as a smile tells. Music to which nobody moves then shows
            the face of a performer to other music of the same kind: events are followed whatever the face does. None
            shows faces that tell nothing.
        from_music: share of the performances whose curves are taken from the music.
        person_like: whether curves from music are made imperfect.
        nonsense: share of the examples whose controls are nonsense.
    """

    def __init__(
        self,
        examples: Examples,
        onsets: np.ndarray,
        performed: np.ndarray,
        *,
        bright: np.ndarray | None = None,
        from_music: float = 0.25,
        person_like: bool = True,
        nonsense: float = 0.05,
    ) -> None:
        self.onsets, self.performed = onsets, performed
        self.from_music, self.person_like, self.nonsense = from_music, person_like, nonsense
        names = examples.channels
        self.curves = [names.index(name) for name in ("event", "activity")]
        self.expressions = [names.index(name) for name in _EXPRESSIONS if name in names]
        self.energy, self.frown, self.jaw = (
            [names.index(name) for name in (wanted,) if name in names]
            for wanted in ("expression_energy", "frown", "jaw_open")
        )
        self.deviation, self.restlessness = (
            np.array([number for number, name in zip(numbers, _EXPRESSIONS, strict=True) if name in names])
            for numbers in (_DEVIATION, _RESTLESSNESS)
        )
        self.face_missing = names.index("face_missing")
        self.motion_missing = names.index("motion_missing")
        self.bright = np.zeros(len(examples), bool) if bright is None else bright
        self.faces: dict[bool, np.ndarray] = {}
        if bright is not None:
            columns = [*self.expressions, self.face_missing]
            self.faces = {kind: examples.controls[performed & (bright == kind)][..., columns] for kind in (False, True)}

    def __call__(self, row: int, controls: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the controls (T, C) float32 of an example for one step.

        Args:
            row: the example's number.
            controls: (T, C), what the example holds.
            rng: source of the draws.
        """
        values, performed = controls.astype(np.float64), bool(self.performed[row])
        frames = len(values)
        if not performed or rng.random() < self.from_music:
            drawn = draw_event_curves(self.onsets[row], rng, person_like=self.person_like)
            values[:, self.curves] = drawn[:frames]
            values[:, self.motion_missing] = 0
            if not performed:
                self._draw_face(values, bool(self.bright[row]), rng)
        if rng.random() < 0.15:  # activity that is missing or low
            values[:, self.curves[1]] *= 0 if rng.random() < 0.5 else rng.uniform(0.3, 1.0)
        if rng.random() < 0.15:
            start = rng.integers(0, max(1, frames - 50))
            self._miss(values, slice(start, start + rng.integers(25, 120)))
        if rng.random() < 0.08:
            self._miss(values, slice(None))
            values[:, self.motion_missing] = rng.random() < 0.6  # else the person is seen, and still
        self._blur_face(values, rng)
        if rng.random() < self.nonsense:
            self._draw_nonsense(values, rng)
        return values.astype(np.float32)

    def _draw_face(self, values: np.ndarray, bright: bool, rng: np.random.Generator) -> None:
        """Show a performer's face to music of this mode, or if there is none, one that tells nothing."""
        values[:, self.face_missing] = 1
        faces = self.faces.get(bright, np.zeros(0))
        if len(faces):
            shown = faces[rng.integers(len(faces))][: len(values)]
            values[:, self.expressions], values[:, self.face_missing] = shown[:, :-1], shown[:, -1]
        elif rng.random() < 0.4:
            n = len(self.expressions)
            held = (rng.random(n) < 0.3) * rng.uniform(-0.3, 0.5, n) * self.deviation
            values[:, self.expressions] = np.clip(rng.normal(0, 0.08, n) + held, -1, 1)
            values[:, self.energy] = np.abs(values[:, self.energy])
            values[:, self.face_missing] = 0

    def _blur_face(self, values: np.ndarray, rng: np.random.Generator) -> None:
        """Hide the performer's face or some of its expressions, or make it as restless as real faces are.

        These frown seldom and little, speak, and change their expressions several times a second.
        """
        n = len(self.expressions)
        if rng.random() < 0.15:
            values[:, self.expressions], values[:, self.face_missing] = 0, 1
            return
        values[:, self.frown] *= rng.uniform(0.1, 1.0)
        slow, quick = rng.uniform(10, 40), rng.uniform(2, 8)  # frames
        restless = rng.random() * rng.uniform(0.3, 1.0, n) * self.restlessness
        for width, share in ((slow, 0.5), (quick, 1.0)):
            wavering = gaussian_filter1d(rng.normal(0, 1, (len(values), n)), width, axis=0)
            values[:, self.expressions] += wavering / wavering.std(axis=0) * restless * share
        if rng.random() < 0.4:
            values[:, self.jaw] += _speech(len(values), rng)[:, None]
        values[:, self.energy] += rng.uniform(0, 0.8) * (1 - values[:, self.energy])  # real faces are seldom quiet
        values[:, self.energy] = np.clip(values[:, self.energy], 0, 1)
        values[:, self.expressions] *= rng.random(n) > 0.12
        values[:, self.expressions] *= values[:, [self.face_missing]] < 0.5

    def _miss(self, values: np.ndarray, stretch: slice) -> None:
        """Let motion be missing for a stretch."""
        values[stretch, self.curves] = 0
        values[stretch, self.motion_missing] = 1

    def _draw_nonsense(self, values: np.ndarray, rng: np.random.Generator) -> None:
        """Replace events, activity and expressions by noise, constants or extremes."""
        frames, chosen = len(values), self.curves + self.expressions
        kind = rng.integers(5)
        if kind == 0:
            values[:, chosen] = rng.normal(0, 1, (frames, len(chosen)))
        elif kind == 1:
            values[:, chosen] = rng.uniform(-1.5, 1.5, len(chosen))
        elif kind == 2:
            values[:, self.curves[0]] = rng.random(frames)
        elif kind == 3:
            values[:, self.curves] = 1
        else:
            noise = rng.normal(0, 1, (frames, 2))
            values[:, self.curves] = 4 * gaussian_filter1d(noise, rng.uniform(1, 6), axis=0)
        values[:, self.curves] = np.clip(values[:, self.curves], 0, 1)
        values[:, self.expressions] = np.clip(values[:, self.expressions], -1.5, 1.5)
