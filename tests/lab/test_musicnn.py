"""The port of musicnn against the original, its reader of checkpoints, the Frechet distance against closed forms."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from expotion_lite.errors import ExpotionError
from expotion_lite.lab import musicnn
from expotion_lite.lab.musicnn import TAGS, embed, frechet_distance, load_musicnn, patches, read_checkpoint, tag

# What TensorFlow 2.21 says of the first patch of arpeggio(): the graph in MTT_musicnn/.meta with the weights of the
# package, not training, fed with patches(arpeggio(), 16_000)[:1]. LOGITS is model/dense_1/BiasAdd, in the order of
# TAGS; EMBEDDING the first 20 numbers of model/batch_normalization_10/batchnorm/add_1. The port was within 4e-5.
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


def package_folder():
    (folder,) = importlib.util.find_spec("musicnn").submodule_search_locations
    return Path(folder)


def checkpoint():
    folder = package_folder() / "MTT_musicnn"
    return (folder / ".index").read_bytes(), (folder / ".data-00000-of-00001").read_bytes()


def test_the_port_says_what_the_original_says():
    with torch.inference_mode():
        logits, embedding = load_musicnn()(torch.from_numpy(patches(arpeggio(), 16_000)[:1]))
    assert logits.shape == (1, 50) and embedding.shape == (1, 200)
    assert logits[0].numpy() == pytest.approx(LOGITS, abs=2e-3)
    assert embedding[0, :20].numpy() == pytest.approx(EMBEDDING, abs=2e-3)
    assert "musicnn" not in sys.modules and "tensorflow" not in sys.modules


def test_tags_are_those_of_the_package_in_its_order():
    tree = ast.parse((package_folder() / "configuration.py").read_text())
    (labels,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "MTT_LABELS"]
    assert list(TAGS) == ast.literal_eval(labels)


def test_tags_are_the_mean_likelihood_over_patches_at_any_sample_rate():
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


def test_patches_are_cut_where_they_should_be():
    audio = arpeggio()
    apart, overlapping = patches(audio, 16_000), patches(audio, 16_000, overlap_s=1.5)
    assert apart.shape == (2, 187, 96) and overlapping.shape == (3, 187, 96) and apart.dtype == np.float32
    step = 187 - 94  # 1.5 s are 93.75 frames
    np.testing.assert_array_equal(overlapping[1, : 187 - step], overlapping[0, step:])
    np.testing.assert_array_equal(apart[0], overlapping[0])
    assert len(patches(audio[: 3 * 16_000], 16_000)) == 1


def test_patches_hold_the_logarithm_of_the_power():
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
def test_unusable_music_is_refused(audio, overlap_s, message):
    with pytest.raises(ExpotionError, match=message):
        patches(audio, 16_000, overlap_s)


def test_missing_weights_say_how_to_get_them(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExpotionError, match="not installed; run: pip install --no-deps musicnn==0.1.0"):
        load_musicnn.__wrapped__()


def test_other_weights_are_refused(monkeypatch, tmp_path):
    (tmp_path / "MTT_musicnn").mkdir()
    for name, content in zip((".index", ".data-00000-of-00001"), checkpoint(), strict=True):
        (tmp_path / "MTT_musicnn" / name).write_bytes(content[:-1] + b"x")
    spec = importlib.util.find_spec("musicnn")
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ExpotionError, match="is not the file of musicnn 0.1.0"):
        load_musicnn.__wrapped__()


def test_the_network_is_loaded_once_and_for_hearing_only():
    model = load_musicnn()
    assert model is load_musicnn() and not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert sum(parameter.numel() for parameter in model.parameters()) == 787_159  # the original's


def test_the_checkpoint_is_read_whole():
    index, data = checkpoint()
    tensors = read_checkpoint(index, data)
    assert len(tensors) == 150 and sum(tensor.nbytes for tensor in tensors.values()) == len(data)
    assert tensors["conv2d/kernel"].shape == (7, 38, 1, 204) and tensors["beta1_power"].shape == ()
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())


def block(*entries):
    """A block of LevelDB's format: (shared, rest of the key, value), one restart, no compression, no checksum."""
    body = b"".join(bytes([shared, len(key), len(value)]) + key + value for shared, key, value in entries)
    return body + bytes(4) + (1).to_bytes(4, "little") + bytes(5)


def index_of(*entries, kind=b"\0"):
    tensors = block(*entries)
    tensors = tensors[:-5] + kind + tensors[-4:]
    table = block((0, b"z", bytes([0, len(tensors) - 5])))
    handles = bytes([0, 0, len(tensors), len(table) - 5])
    return tensors + table + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def entry(*fields):
    return b"".join(bytes(field) for field in fields)


# BundleEntryProto: 1 type (1 is float), 2 shape, 3 data file, 4 offset, 5 size, 6 checksum, 7 slices
TWO_BY_ONE = [(8, 1), (18, 8, 18, 2, 8, 2, 18, 2, 8, 1), (40, 8)]


def test_a_checkpoint_made_by_hand():
    data = np.array([1, 2, 3], "<f4").tobytes()
    index = index_of(
        (0, b"", entry((8, 1))),
        (0, b"conv/a", entry(*TWO_BY_ONE, (53, 1, 2, 3, 4))),
        (5, b"b", entry((8, 1), (18, 0), (32, 8), (40, 4))),
    )
    tensors = read_checkpoint(index, data)
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {"conv/a": [[1], [2]], "conv/b": 3}


@pytest.mark.parametrize(
    "fields, message",
    [
        ([(8, 2), *TWO_BY_ONE[1:]], "more than whole float32"),
        ([*TWO_BY_ONE, (24, 1)], "more than whole float32"),
        ([*TWO_BY_ONE, (58, 0)], "more than whole float32"),
        ([*TWO_BY_ONE, (32, 8)], "damaged"),  # begins within the data, ends beyond
        ([*TWO_BY_ONE[:2], (40, 4)], "damaged"),  # smaller than its shape
        ([(8, 1), (16, 2), (40, 8)], "damaged"),  # the shape is a number
        ([*TWO_BY_ONE, (51,)], "damaged"),  # no such kind of field
        ([*TWO_BY_ONE, (32, 128)], "damaged"),  # a number without its end
    ],
)
def test_a_tensor_that_cannot_be_read_is_refused(fields, message):
    with pytest.raises(ExpotionError, match=message):
        read_checkpoint(index_of((0, b"a", entry(*fields))), bytes(12))


def test_what_is_no_plain_checkpoint_is_refused():
    with pytest.raises(ExpotionError, match="not the index of a TensorFlow checkpoint"):
        read_checkpoint(b"", b"")
    with pytest.raises(ExpotionError, match="not the index of a TensorFlow checkpoint"):
        read_checkpoint(checkpoint()[0][:-1], b"")
    with pytest.raises(ExpotionError, match="compressed"):
        read_checkpoint(index_of((0, b"a", entry(*TWO_BY_ONE)), kind=b"\1"), bytes(8))
    with pytest.raises(ExpotionError, match="damaged"):
        read_checkpoint(checkpoint()[0], b"")


def test_damage_anywhere_is_an_expotion_error_or_other_numbers():
    index, data = checkpoint()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        broken = bytearray(index)
        for at in rng.integers(len(index) - 8, size=3):
            broken[at] = rng.integers(256)
        try:
            tensors = read_checkpoint(bytes(broken), data)
        except ExpotionError:
            refused += 1
        else:
            assert sum(tensor.nbytes for tensor in tensors.values()) <= 2 * len(data)
    assert 30 < refused < 150


def normal(n, d, seed):
    """(n, d) with a mean of exactly 0 and a covariance of exactly 1."""
    x = np.random.default_rng(seed).standard_normal((n, d))
    x -= x.mean(0)
    return np.linalg.qr(x)[0] * np.sqrt(n - 1)


def test_frechet_distance_of_a_set_to_itself_is_none_also_with_few_samples():
    for n in (500, 50, 2):
        a = np.random.default_rng(n).standard_normal((n, 200))
        assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
        assert frechet_distance(a, a[::-1].astype(np.float32)) == pytest.approx(0, abs=1e-4)


def test_frechet_distance_of_a_shift_is_its_square_and_of_a_scale_that_of_the_spreads():
    a, shift = normal(300, 20, 0), np.linspace(-1, 2, 20)
    assert frechet_distance(a, a + shift) == pytest.approx(shift @ shift)
    assert frechet_distance(a, 3 * normal(100, 20, 1)) == pytest.approx((3 - 1) ** 2 * 20)
    spread, other = np.linspace(0, 2, 20), np.linspace(3, 1, 20)  # one direction has none at all
    expected = np.sum((spread - other) ** 2) + shift @ shift
    assert frechet_distance(a * spread, normal(400, 20, 2) * other + shift) == pytest.approx(expected)


def test_frechet_distance_where_the_covariances_do_not_commute():
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
def test_sets_that_cannot_be_compared_are_refused(a, b, message):
    with pytest.raises(ExpotionError, match=message):
        frechet_distance(a, b)
