"""The classifier that is to tell real people from synthetic ones."""

from __future__ import annotations

import numpy as np

from expotion_lite.controls.channels import ADAPTER_CHANNELS
from expotion_lite.lab.likeness import as_in_training, features_of, told_apart


def clips(n, mean, seed):
    rng = np.random.default_rng(seed)
    seen = [1] * 7 + [0] * 2  # nothing is missing
    return [rng.normal(mean, 0.2, (300, len(ADAPTER_CHANNELS))).clip(0, 1) * seen for _ in range(n)]


def test_only_what_differs_is_told_apart():
    people = np.arange(24) // 2
    like, unlike = ([features_of(each) for each in clips(30, mean, seed)] for mean, seed in ((0.4, 1), (0.5, 2)))
    real = [features_of(each) for each in clips(24, 0.4, 3)]
    assert told_apart(real, unlike, people) > 0.95 and 0.25 < told_apart(real, like, people) < 0.75


def test_the_features_are_of_the_frames_that_are_compared():
    values = np.zeros((400, len(ADAPTER_CHANNELS)))
    values[:240:2, 0] = 1
    values[240:] = 9
    assert features_of(values)[:4].tolist() == [0.5, 0.5, 1.0, 1.0] and not features_of(values)[4:].any()


def test_performers_are_shown_as_in_training():
    performers = clips(4, 0.4, 4)
    shown = as_in_training(performers)
    assert [each.shape for each in shown] == [(300, len(ADAPTER_CHANNELS))] * 4
    assert not np.allclose(shown[0][:, 2:7], performers[0][:, 2:7])
