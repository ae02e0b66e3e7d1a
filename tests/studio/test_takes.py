"""Takes: equal loudness for comparing, and files that hold no recipe."""

from __future__ import annotations

import numpy as np
import pytest

from expotion_lite.errors import ExpotionError
from expotion_lite.studio import match_loudness
from expotion_lite.studio.takes import read_recipe


def test_gains_make_takes_equally_loud_without_clipping():
    rng = np.random.default_rng(0)
    loud, soft = (np.clip(size * rng.standard_normal(32_000), -0.99, 0.99).astype(np.float32) for size in (0.4, 0.02))
    soft[16_000:] = 0  # silence after a cancelled take does not count
    a, b = match_loudness(loud, soft)
    assert np.sqrt(np.mean((a * loud) ** 2)) == pytest.approx(np.sqrt(np.mean((b * soft[:16_000]) ** 2)), rel=0.02)
    assert max(np.abs(a * loud).max(), np.abs(b * soft).max()) <= 1
    assert all(np.isfinite(match_loudness(loud, np.zeros(1000, np.float32))))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"prompt": 3}', "{"])
def test_a_file_without_a_recipe_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ExpotionError, match="no settings of a take"):
        read_recipe(tmp_path / "a.json")
    with pytest.raises(ExpotionError, match="cannot be read"):
        read_recipe(tmp_path / "nowhere.json")
