"""Sources: drawn gestures, recipes, and controls of another length."""

from __future__ import annotations

import json

import numpy as np
import pytest

from expotion_lite.errors import ExpotionError
from expotion_lite.plots import event_times
from expotion_lite.studio import Session
from expotion_lite.studio.sources import from_recipe, repeat_to_length


@pytest.mark.slow
def test_a_drawn_gesture_moves_a_synthetic_person(gesture):
    nods = event_times(gesture.controls)
    assert len(nods) == pytest.approx(18, abs=1) and np.median(np.diff(nods)) == pytest.approx(60 / 90, abs=0.02)
    rebuilt = from_recipe(json.loads(json.dumps(gesture.recipe)))
    assert np.array_equal(rebuilt.controls.values, gesture.controls.values)
    with pytest.raises(ExpotionError, match="flat"):
        Session().draw([0.0] * 50, 4.0)


def test_a_changed_video_is_not_taken_for_the_original(short_clip, tmp_path):
    path = tmp_path / "a.mp4"
    recipe = {"video": str(path), "sha256": "0" * 16}
    with pytest.raises(ExpotionError, match="is gone"):
        from_recipe(recipe)
    path.write_bytes(short_clip.read_bytes())
    with pytest.raises(ExpotionError, match="not the video"):
        from_recipe(recipe)


@pytest.mark.parametrize("recipe", [{}, {"gesture": "nod"}, {"stranger": "x", "duration_s": 2.0}, {"video": 3}])
def test_an_incomplete_recipe_is_refused(recipe):
    with pytest.raises(ExpotionError, match="does not say which video or gesture"):
        from_recipe(recipe)


@pytest.mark.slow
def test_controls_are_cut_or_repeated_to_a_length(source, gesture):
    assert repeat_to_length(gesture.controls, 100).values.shape == source.controls.values.shape
    longer = repeat_to_length(source.controls, 250)
    assert np.array_equal(longer.values[100:200], source.controls.values)
