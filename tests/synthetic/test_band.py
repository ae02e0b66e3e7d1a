"""The band: the audio of a piece agrees with its ground truth."""

from __future__ import annotations

import numpy as np
import pytest

from expotion_lite.evaluation.metrics import onset_strength
from expotion_lite.synthetic.band import compose, play

RATE = 16_000


def test_the_same_seed_gives_the_same_audio():
    first, again, other = (play(compose(seed, 4.0), RATE) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("style", ["techno", "rock", "funk", "march"])
def test_onsets_are_strongest_on_the_beats(style):
    """The onset strength of the audio is compared with that a quarter of a beat later."""
    piece = compose(11, style=style)
    onsets = onset_strength(play(piece, RATE), RATE)
    on = np.round(piece.beats[1:-1] * 50).astype(int)
    between = np.round((piece.beats[1:-1] + 15 / piece.tempo_bpm) * 50).astype(int)

    def strength(frames):
        return np.mean([onsets[f - 1 : f + 3].max() for f in frames])

    assert strength(on) > 1.5 * strength(between)


@pytest.mark.parametrize("seed", range(6))
def test_audio_is_louder_where_the_energy_is_higher_and_never_digitally_silent(seed):
    piece = compose(seed, style="rock")
    audio = play(piece, RATE)
    loudness = np.sqrt((audio.reshape(600, 320) ** 2).mean(1))
    assert loudness.min() > 1e-4 and np.abs(audio).max() < 1
    if np.ptp(piece.energy) > 0.3:
        assert loudness[piece.energy == piece.energy.max()].mean() > loudness[piece.energy == piece.energy.min()].mean()
