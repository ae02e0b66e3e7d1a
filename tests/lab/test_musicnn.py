"""Tests of the port of musicnn against the original, and of the Frechet distance against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from expotion_lite.errors import ExpotionError
from expotion_lite.lab import musicnn
from expotion_lite.lab.musicnn import TAGS, WEIGHTS, embed, frechet_distance, load_musicnn, patches, tag

# Recorded from the original: TensorFlow 2.21 ran the graph MTT_musicnn/.meta of the package musicnn 0.1.0 with its own
# weights, in inference mode, on patches(arpeggio(), 16_000)[:1]. LOGITS is model/dense_1/BiasAdd, in the order of TAGS.
# EMBEDDING is the first 20 numbers of model/batch_normalization_10/batchnorm/add_1. The port was within 4e-5 of both.
LOGITS = [
    -2.646, -1.965, -1.168, -2.823, -3.718, -4.710, -1.604, -6.263, -5.207, -0.418,
    -3.644, -3.989, -5.930, -4.684, -1.537, -5.484, -5.433, -5.838, -5.499, -5.012,
    -5.364, -2.333, -7.893, -5.737, -3.842, -8.032, -6.331, -5.509, -2.822, -4.846,
    -2.718, -4.967, -0.853, -5.701, -4.704, -7.383, -5.512, -3.490, -5.096, -5.460,
    -6.481, -5.387, -3.718, -6.896, -3.704, -4.193, -5.553, -9.423, -6.524, -7.600,
]  # fmt: skip
EMBEDDING = [
    -0.080, -0.033, 2.134, -0.186, -0.079, 0.987, -0.106, -0.225, -0.024, -0.605,
    -0.059, -0.095, -0.129, -0.063, -0.050, 0.538, -0.026, -0.247, -0.033, -0.096,
]  # fmt: skip


def arpeggio(sample_rate=16_000):
    """6 s of plucked notes, four a second."""
    t = np.arange(6 * sample_rate) / sample_rate
    pitches = 220 * 2 ** (np.array([0, 4, 7, 12, 9, 5, 2, 11]) / 12)
    audio = np.zeros_like(t)
    for note in range(24):
        since = t - 0.25 * note
        tone = sum(np.sin(2 * np.pi * pitches[note % 8] * k * since) / k for k in range(1, 9))
        audio += 0.1 * (since >= 0) * np.exp(-4 * np.maximum(since, 0)) * tone
    return audio.astype(np.float32)


def test_port_reproduces_recorded_outputs_of_the_original():
    with torch.inference_mode():
        logits, embedding = load_musicnn()(torch.from_numpy(patches(arpeggio(), 16_000)[:1]))
    assert logits.shape == (1, 50) and embedding.shape == (1, 200)
    assert logits[0].numpy() == pytest.approx(LOGITS, abs=2e-3)
    assert embedding[0, :20].numpy() == pytest.approx(EMBEDDING, abs=2e-3)


def test_weights_come_with_their_licence():
    licence = WEIGHTS.with_name("musicnn.LICENSE.md").read_text()
    assert "Music Technology Group, Universitat Pompeu Fabra 2019" in licence and "Jordi Pons" in licence
    assert "this permission notice appear in all copies" in licence
    assert WEIGHTS.stat().st_size < 4e6


def test_tags_are_mean_likelihoods_over_patches_at_any_sample_rate():
    audio = arpeggio()
    with torch.inference_mode():
        logits, _ = load_musicnn()(torch.from_numpy(patches(audio, 16_000)))
    likelihood = tag(audio, 16_000)
    assert tuple(likelihood) == TAGS
    assert list(likelihood.values()) == pytest.approx(logits.sigmoid().mean(0).tolist(), abs=1e-5)
    assert max(likelihood, key=likelihood.get) == "piano"
    assert list(tag(arpeggio(32_000), 32_000).values()) == pytest.approx(list(likelihood.values()), abs=0.02)


def test_embeddings_do_not_depend_on_the_batch(monkeypatch):
    together = embed(arpeggio(), 16_000)
    assert together.shape == (3, 200) and together.dtype == np.float32
    monkeypatch.setattr(musicnn, "BATCH", 2)
    assert embed(arpeggio(), 16_000) == pytest.approx(together, abs=1e-4)


def test_patches_start_at_the_asked_step():
    audio = arpeggio()
    apart, overlapping = patches(audio, 16_000), patches(audio, 16_000, overlap_s=1.5)
    assert apart.shape == (2, 187, 96) and overlapping.shape == (3, 187, 96) and apart.dtype == np.float32
    step = 187 - 94  # 1.5 s are 93.75 frames
    np.testing.assert_array_equal(overlapping[1, : 187 - step], overlapping[0, step:])
    np.testing.assert_array_equal(apart[0], overlapping[0])
    assert len(patches(audio[: 3 * 16_000], 16_000)) == 1


def test_patches_are_logarithms_of_mel_power():
    assert not patches(np.zeros(3 * 16_000), 16_000).any()
    quiet, loud = (patches(a * np.sin(2 * np.pi * 1000 * np.arange(48_000) / 16_000), 16_000)[0] for a in (0.05, 0.5))
    band = loud.sum(0).argmax()
    # Slaney's mel is 3 / 200 Hz up to 1 kHz and logarithmic above; 97 equal steps reach 8 kHz
    assert band == pytest.approx(15 / (15 + 27 * np.log(8) / np.log(6.4)) * 97 - 1, abs=1)
    np.testing.assert_allclose((10 ** loud[:, band] - 1) / (10 ** quiet[:, band] - 1), 100, rtol=1e-2)


@pytest.mark.parametrize(
    "audio, overlap_s, message",
    [
        (np.zeros(47_999), 0.0, "47999 samples at 16000 Hz are too few for musicnn; give it at least 3 s"),
        (np.zeros(0), 0.0, "0 samples at"),
        (np.zeros((2, 48_000)), 0.0, "not mono"),
        (np.full(48_000, np.nan), 0.0, "NaN"),
        (np.zeros(48_000), -1.0, "cannot overlap by -1 s"),
        (np.zeros(48_000), 3.0, "cannot overlap by 3 s"),
    ],
)
def test_unusable_audio_is_refused(audio, overlap_s, message):
    with pytest.raises(ExpotionError, match=message):
        patches(audio, 16_000, overlap_s)


def test_network_is_loaded_once_and_for_inference_only():
    model = load_musicnn()
    assert model is load_musicnn() and not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert sum(parameter.numel() for parameter in model.parameters()) == 787_159  # the original's


def normal(n, d, seed):
    """(n, d) with a mean of exactly 0 and a covariance of exactly 1."""
    x = np.random.default_rng(seed).standard_normal((n, d))
    x -= x.mean(0)
    return np.linalg.qr(x)[0] * np.sqrt(n - 1)


def test_frechet_distance_of_a_set_to_itself_is_zero():
    for n in (500, 50, 2):
        a = np.random.default_rng(n).standard_normal((n, 200))
        assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
        assert frechet_distance(a, a[::-1].astype(np.float32)) == pytest.approx(0, abs=1e-4)


def test_frechet_distance_of_shifted_and_scaled_sets():
    a, shift = normal(300, 20, 0), np.linspace(-1, 2, 20)
    assert frechet_distance(a, a + shift) == pytest.approx(shift @ shift)
    assert frechet_distance(a, 3 * normal(100, 20, 1)) == pytest.approx((3 - 1) ** 2 * 20)
    spread, other = np.linspace(0, 2, 20), np.linspace(3, 1, 20)  # one direction has none at all
    expected = np.sum((spread - other) ** 2) + shift @ shift
    assert frechet_distance(a * spread, normal(400, 20, 2) * other + shift) == pytest.approx(expected)


def test_frechet_distance_of_covariances_that_do_not_commute():
    a = normal(50, 2, 0) @ np.array([[2.0, 0.3], [0.0, 0.5]])
    b = normal(70, 2, 1) @ np.array([[0.7, -1.0], [0.2, 1.5]])
    one, two = np.cov(a.T), np.cov(b.T)
    product = one @ two
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))  # of 2 by 2: Cayley and Hamilton
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(one + two) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(b, a) == pytest.approx(expected)


@pytest.mark.parametrize(
    "a, b, message",
    [
        (np.zeros((3, 2)), np.zeros((3, 4)), "cannot be compared"),
        (np.zeros((3, 2)), np.zeros((1, 2)), "cannot be compared"),
        (np.zeros(3), np.zeros(3), "cannot be compared"),
        (np.zeros((3, 2)), np.full((3, 2), np.inf), "NaN or infinite"),
    ],
)
def test_sets_of_different_dimensions_are_refused(a, b, message):
    with pytest.raises(ExpotionError, match=message):
        frechet_distance(a, b)
