"""Measurements of how well music follows a person.

- `metrics` has plain functions of arrays: onsets, beats, tempo, key, intervals, permutation tests.
- `following` makes music for held-out performers, and scores it against their own and other people's videos;
  `python -m expotion_lite.evaluation` runs it.
- `folder` scores a folder of videos of real people (`expotion-lite evaluate`); `real_people` has the scores.
- `report` writes results as JSON, tables and figures.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
