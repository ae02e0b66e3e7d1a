"""Codes: the delay pattern equals transformers', and the codec in chunks equals the codec at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from expotion_lite.musicgen import decode, delay, encode, inputs_and_labels, undelay
from expotion_lite.synthetic.band import compose, play


@pytest.fixture(scope="module")
def audio():
    """13 s of a synthetic piece, (1, N) at nano's sample rate."""
    return torch.from_numpy(play(compose(24, 13.0), 16_000))[None]


def test_the_delay_pattern_equals_transformers(nano):
    codes = torch.randint(0, 256, (2, 4, 9))
    start = torch.full((8, 1), nano.pad)
    _, mask = nano.model.decoder.build_delay_pattern_mask(start, nano.pad, max_length=9 + 4)
    delayed = torch.nn.functional.pad(delay(codes, nano.pad), (1, 0), value=nano.pad)
    expected = (mask.view(2, 4, -1) == nano.pad)[..., : delayed.shape[-1]]
    assert torch.equal(delayed == nano.pad, expected)
    assert torch.equal(undelay(delay(codes, nano.pad)), codes)


def test_missing_frames_are_padding_in_the_inputs_and_ignored_in_the_labels():
    codes = torch.tensor([[[5, 6, -1], [7, 8, -1]]])
    inputs, labels = inputs_and_labels(codes, pad=9)
    assert inputs.tolist() == [[9, 5, 6, 9], [9, 9, 7, 8]]
    assert labels[0].T.tolist() == [[5, 6, -100, -100], [-100, 7, 8, -100]]


@pytest.mark.slow
def test_codes_keep_the_music(nano):
    """A decoded piece correlates with itself more than with other pieces (log-mel spectrograms)."""
    import librosa

    audio = torch.from_numpy(np.stack([play(compose(seed, 4.0), 16_000) for seed in (21, 22, 23)]))
    decoded = decode(nano, encode(nano, audio))
    assert decoded.shape == audio.shape
    mels = librosa.feature.melspectrogram(y=torch.cat([audio, decoded]).numpy(), sr=16_000, n_mels=64)
    table = np.corrcoef(np.log(mels + 1e-3).reshape(6, -1))[:3, 3:]
    assert (table.diagonal() > 0.8).all()
    assert (table.diagonal() > np.where(np.eye(3), -1, table).max(1)).all()


@pytest.mark.slow
def test_decoding_in_chunks_equals_decoding_at_once(nano, audio):
    codes = encode(nano, audio)
    expected = nano.model.audio_encoder.decode(codes[None], [None]).audio_values[:, 0].detach()
    at_once, in_chunks, without_margin = (decode(nano, codes, **how) for how in ({"chunk": 1000}, {}, {"margin": 0}))
    assert (at_once - expected).abs().max() < 1e-5
    assert (at_once - in_chunks).abs().max() < 1e-3 * at_once.abs().max()
    assert (at_once - without_margin).abs().max() > 5 * (at_once - in_chunks).abs().max(), "the margin is needed"


@pytest.mark.slow
def test_encoding_in_chunks_equals_encoding_at_once(nano, audio):
    """Also for a length that is not a multiple of a frame."""
    audio = audio[:, :-100]
    expected = nano.model.audio_encoder.encode(audio[:, None]).audio_codes[0]
    assert torch.equal(encode(nano, audio, chunk=1000), expected)
    in_chunks, without_margin = encode(nano, audio), encode(nano, audio, chunk=100, margin=0)
    assert in_chunks.shape == expected.shape and (in_chunks == expected).float().mean() > 0.999, "except for rounding"
    assert (without_margin == expected).float().mean() < 0.995, "the margin is needed"
