"""The band: what its pieces say of themselves is what is heard."""

from __future__ import annotations

import numpy as np
import pytest

from expotion_lite.band import KEYS, SCALES, STYLES, compose
from expotion_lite.synth import render


def test_the_same_seed_is_the_same_piece():
    assert np.array_equal(render(compose(3, 4.0)), render(compose(3, 4.0)))
    assert not np.array_equal(render(compose(3, 4.0)), render(compose(4, 4.0)))


@pytest.mark.parametrize("seed", range(12))
def test_beats_are_evenly_spaced_at_the_tempo_and_downbeats_are_among_them(seed):
    piece = compose(seed)
    assert np.allclose(np.diff(piece.beats), 60 / piece.tempo_bpm)
    assert np.isin(piece.downbeats, piece.beats).all()
    assert np.allclose(np.diff(piece.downbeats), 240 / piece.tempo_bpm)
    assert piece.energy.shape == (600,) and 0 < piece.energy.min() <= piece.energy.max() <= 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("mode", ["major", "minor"])
def test_every_pitch_belongs_to_the_key(style, mode):
    piece = compose(5, style=style, mode=mode, key="D")
    scale = {(KEYS.index("D") + step) % 12 for step in SCALES[mode]}
    assert {note.pitch % 12 for note in piece.notes if note.pitch} <= scale


@pytest.mark.parametrize("style", ["techno", "rock", "folk"])
def test_a_pulse_is_heard_where_the_beats_are(style):
    """Onsets, found without the score, are stronger on the beats than halfway between them."""
    from expotion_lite.metrics import onset_strength

    piece = compose(11, style=style)
    onsets = onset_strength(render(piece), 16_000)
    on = np.round(piece.beats[1:-1] * 50).astype(int)
    between = np.round((piece.beats[1:-1] + 15 / piece.tempo_bpm) * 50).astype(int)
    near = lambda frames: np.mean([onsets[f - 1 : f + 3].max() for f in frames])  # noqa: E731
    assert near(on) > 2 * near(between)


@pytest.mark.parametrize("seed", range(6))
def test_louder_where_the_energy_is_higher_and_never_digital_silence(seed):
    piece = compose(seed, style="rock")
    audio = render(piece)
    loudness = np.sqrt((audio.reshape(600, 320) ** 2).mean(1))
    assert loudness.min() > 1e-4 and np.abs(audio).max() < 1
    if np.ptp(piece.energy) > 0.3:
        assert loudness[piece.energy == piece.energy.max()].mean() > loudness[piece.energy == piece.energy.min()].mean()


def test_captions_are_many_and_leave_the_tempo_out_when_asked():
    from expotion_lite.band import caption

    piece = compose(8, style="folk")
    texts = {caption(piece, np.random.default_rng(i)) for i in range(50)}
    assert len(texts) > 25 and any("bpm" in text for text in texts)
    silent = " ".join(caption(piece, np.random.default_rng(i), tempo=False) for i in range(50))
    assert "bpm" not in silent and "mid-tempo" not in silent and "fast" not in silent.split()
