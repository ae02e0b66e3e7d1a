"""The band: what its pieces say of themselves is what is heard."""

from __future__ import annotations

import numpy as np
import pytest

from expotion_lite.evaluation.metrics import onset_strength
from expotion_lite.synthetic.band import compose, play

RATE = 16_000


def test_the_same_seed_is_the_same_piece():
    first, again, other = (play(compose(seed, 4.0), RATE) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("style", ["techno", "rock", "funk", "march"])
def test_a_pulse_is_heard_where_the_beats_are(style):
    """Onsets, found without the score, are stronger on the beats than a quarter of a beat after them."""
    piece = compose(11, style=style)
    onsets = onset_strength(play(piece, RATE), RATE)
    on = np.round(piece.beats[1:-1] * 50).astype(int)
    between = np.round((piece.beats[1:-1] + 15 / piece.tempo_bpm) * 50).astype(int)
    near = lambda frames: np.mean([onsets[f - 1 : f + 3].max() for f in frames])  # noqa: E731
    assert near(on) > 1.5 * near(between)


@pytest.mark.parametrize("seed", range(6))
def test_louder_where_the_energy_is_higher_and_never_digital_silence(seed):
    piece = compose(seed, style="rock")
    audio = play(piece, RATE)
    loudness = np.sqrt((audio.reshape(600, 320) ** 2).mean(1))
    assert loudness.min() > 1e-4 and np.abs(audio).max() < 1
    if np.ptp(piece.energy) > 0.3:
        assert loudness[piece.energy == piece.energy.max()].mean() > loudness[piece.energy == piece.energy.min()].mean()
