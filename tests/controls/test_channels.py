"""Channels have names, descriptions and groups, and controls are selected, hidden and saved by them."""

from __future__ import annotations

import numpy as np
import pytest
from stick_people import even_times, stick_person

from expotion_lite.controls.channels import (
    CHANNELS,
    DESCRIPTIONS,
    ENERGIES,
    EXPRESSION_CHANNELS,
    EXPRESSIONS,
    MEASURED,
    MISSING_CHANNELS,
    MOTION_CHANNELS,
    Controls,
    hide,
)
from expotion_lite.controls.extraction import extract_controls
from expotion_lite.errors import ExpotionError
from expotion_lite.landmarks.extraction import BLENDSHAPES

NAN = np.nan


def test_every_channel_is_named_described_and_grouped_once():
    assert tuple(DESCRIPTIONS) == CHANNELS and len(set(CHANNELS)) == len(CHANNELS)
    assert sorted(EXPRESSION_CHANNELS + MOTION_CHANNELS + MISSING_CHANNELS) == sorted(CHANNELS)
    assert all(text.endswith(".") and "\n" not in text for text in DESCRIPTIONS.values())


def test_expressions_and_energies_are_made_of_what_is_measured():
    assert {shape for expression in EXPRESSIONS.values() for shape in expression.blendshapes} <= set(BLENDSHAPES)
    assert {name for energy in ENERGIES.values() for name in energy.channels} == set(MEASURED) - {"eyes_closed"}


def test_some_channels_can_be_selected_in_any_order():
    controls = extract_controls(stick_person(even_times(30, 2), pitch=np.sin(even_times(30, 2))))
    two = controls.select(["pulse", "head_pitch"])
    assert two.channels == ("pulse", "head_pitch") and two.values.shape == (100, 2)
    assert np.array_equal(two["head_pitch"], controls["head_pitch"]) and two.found is controls.found
    with pytest.raises(ExpotionError, match="no channel tail"):
        controls.select(["pulse", "tail"])


def test_a_hidden_modality_is_zero_and_the_other_unchanged():
    values = np.random.default_rng(0).normal(size=(2, 5, len(CHANNELS))).astype(np.float32)
    for modality, hidden in (("expression", EXPRESSION_CHANNELS), ("motion", MOTION_CHANNELS)):
        left = hide(values, CHANNELS, modality)
        flags = ("body_missing", "arms_missing", "motion_missing") if modality == "motion" else ()
        for column, name in enumerate(CHANNELS):
            expected = 0 if name in hidden else 1 if name in flags else values[..., column]
            assert (left[..., column] == expected).all(), name
    with pytest.raises(ExpotionError, match="choose expression or motion"):
        hide(values, CHANNELS, "sound")


def test_an_unknown_channel_is_refused_by_name(controls):
    with pytest.raises(ExpotionError, match="the channels are smile"):
        controls["grin"]


@pytest.fixture
def controls():
    times = even_times(30, 3)
    person = stick_person(times, pitch=8 * np.sin(9 * times))
    for name in ("face", "blendshapes", "head_pose", "body"):
        getattr(person, name)[:40] = NAN
    person.face_found[:40] = person.body_found[:40] = False
    return extract_controls(person)


def test_a_saved_file_reads_back_the_same(controls, tmp_path):
    path = controls.save(tmp_path / "new" / "controls.npz")
    loaded = Controls.load(path)
    np.testing.assert_array_equal(loaded.values, controls.values)
    np.testing.assert_array_equal(loaded.found, controls.found)
    assert loaded.channels == controls.channels and loaded.frame_rate == 50.0
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays) == {"values", "channels", "frame_rate", "found"}
        assert arrays["values"].dtype == np.float32 and arrays["channels"].dtype.kind == "U"
        assert arrays["frame_rate"].shape == () and arrays["found"].dtype == bool


def test_an_existing_file_is_only_replaced_when_asked(controls, tmp_path):
    path = tmp_path / "controls.npz"
    path.write_bytes(b"mine")
    with pytest.raises(ExpotionError, match="exists"):
        controls.save(path)
    assert path.read_bytes() == b"mine"
    controls.save(path, overwrite=True)
    assert Controls.load(path).channels == CHANNELS
    assert [child.name for child in tmp_path.iterdir()] == ["controls.npz"]


def good():
    return {
        "values": np.zeros((5, 2), np.float32),
        "channels": np.array(["a", "b"]),
        "frame_rate": np.float64(50),
        "found": np.ones(5, bool),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"values": np.zeros((5, 3), np.float32)},
        {"values": np.full((5, 2), NAN, np.float32)},
        {"values": np.array([["a", "b"]] * 5)},
        {"values": np.zeros(5, np.float32)},
        {"channels": np.array([1, 2])},
        {"channels": np.array([{}, {}], dtype=object)},
        {"frame_rate": np.float64(0)},
        {"frame_rate": np.ones(3)},
        {"frame_rate": np.array("fifty")},
        {"found": np.ones(4, bool)},
        {"found": np.ones(5)},
        {"found": None},
    ],
    ids=str,
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(change, tmp_path):
    arrays = {name: array for name, array in (good() | change).items() if array is not None}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ExpotionError) as caught:
        Controls.load(tmp_path / "bad.npz")
    assert "\n" not in str(caught.value)


def test_other_files_are_refused_in_one_line(controls, tmp_path):
    whole = controls.save(tmp_path / "controls.npz").read_bytes()
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "damaged.npz").write_bytes(whole[:200] + bytes(60) + whole[260:])
    np.save(tmp_path / "array.npy", np.zeros(3))
    names = ("text.npz", "empty.npz", "cut.npz", "damaged.npz", "array.npy", "none.npz", ".")
    for name in names:
        with pytest.raises(ExpotionError) as caught:
            Controls.load(tmp_path / name)
        assert "\n" not in str(caught.value)
