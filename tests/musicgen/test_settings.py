"""Settings: values out of range are refused with the range, and JSON keeps them."""

from __future__ import annotations

import numpy as np
import pytest

from expotion_lite import ExpotionError, Settings
from expotion_lite.musicgen import check_prompt
from expotion_lite.musicgen.settings import check_adapter


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"seed": 2**32},
        {"seed": 1.5},
        {"seed": True},
        {"guidance": -0.1},
        {"guidance": 20.5},
        {"guidance": float("nan")},
        {"guidance": "3"},
        {"guidance": None},
        {"visual_guidance": -1},
        {"visual_guidance": float("inf")},
        {"temperature": 0},
        {"temperature": -1},
        {"temperature": 5.1},
        {"top_k": 0},
        {"top_k": 2.0},
    ],
)
def test_a_setting_out_of_range_is_refused_with_its_name_and_range(wrong):
    (name,) = wrong
    with pytest.raises(ExpotionError, match=rf"^{name} is .*; choose a .*number, .*\d.*\.$"):
        Settings(**wrong)


def test_the_limits_of_the_ranges_are_allowed():
    Settings(seed=0, guidance=0, visual_guidance=0, temperature=1e-3, top_k=1)
    Settings(seed=2**32 - 1, guidance=20, visual_guidance=20, temperature=5, top_k=10**6)


def test_numpy_numbers_become_plain_ones():
    settings = Settings(seed=np.int64(3), guidance=np.float32(2.5), top_k=np.int32(50))
    assert settings == Settings(seed=3, guidance=2.5, top_k=50)
    assert [type(v) for v in (settings.seed, settings.guidance, settings.top_k)] == [int, float, int]


def test_json_keeps_everything_and_fills_in_defaults():
    settings = Settings(seed=9, guidance=1.25, visual_guidance=0.5, temperature=0.7, top_k=40)
    assert Settings.from_json(settings.to_json()) == settings
    assert Settings.from_json('{"seed": 4}') == Settings(seed=4)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"speed": 1}', '{"seed": "1"}', '{"guidance": NaN}'])
def test_json_without_settings_is_refused(text):
    with pytest.raises(ExpotionError):
        Settings.from_json(text)


def test_a_prompt_over_the_limits_is_refused():
    assert check_prompt("word " * 200).count("word") == 200
    with pytest.raises(ExpotionError, match="201 words.*at most 200 words"):
        check_prompt("word " * 201)
    with pytest.raises(ExpotionError, match="2,000 characters"):
        check_prompt("x" * 2001)


@pytest.mark.parametrize("prompt", ["", "  \n\t", "\x00\u200b", None, 3, b"piano"])
def test_a_prompt_without_words_is_refused(prompt):
    with pytest.raises(ExpotionError, match=r"^The prompt is .*piano.*\.$"):
        check_prompt(prompt)


def test_a_prompt_in_any_script_is_kept():
    assert check_prompt("ruhige Klaviermusik,\u00a0schön – 静かな音楽") == "ruhige Klaviermusik, schön – 静かな音楽"


def test_an_adapter_is_the_bundled_one_none_or_a_folder(tmp_path):
    for fine in ("bundled", None, tmp_path, str(tmp_path)):
        check_adapter(fine)
    for wrong in (tmp_path / "gone", "gone", 3):
        with pytest.raises(ExpotionError, match="No adapter folder"):
            check_adapter(wrong)
