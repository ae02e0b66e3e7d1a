"""Recording: the backing music that people move to, and the folder that recordings are filed in."""

from __future__ import annotations

import numpy as np
import pytest

from expotion_lite.data import RecordedFolder
from expotion_lite.errors import ExpotionError
from expotion_lite.studio.recording import click_track, file_recording


def test_recordings_become_a_folder_to_fine_tune_with(tmp_path, short_clip):
    for performer, caption in [("Anna", 'a "slow" waltz, with strings'), ("Anna", "rock"), ("", "folk")]:
        arrived = tmp_path / "arrived.mp4"
        arrived.write_bytes(short_clip.read_bytes())
        file_recording(arrived, tmp_path / "all", name="dance", performer=performer, caption=caption, song="s")
    recordings = RecordedFolder(tmp_path / "all").recordings
    assert [(r.path.parent.name, r.path.name, r.caption, r.performer) for r in recordings] == [
        ("Anna", "dance 2.mp4", "rock", "Anna"),
        ("Anna", "dance.mp4", 'a "slow" waltz, with strings', "Anna"),
        ("me", "dance.mp4", "folk", "me"),
    ]
    files = [path for path in (tmp_path / "all").rglob("*") if path.is_file()]
    folders = [tmp_path / "all", tmp_path / "all" / "Anna"]
    assert len(files) == 4 and {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


def test_the_name_of_a_deleted_recording_is_free_again(tmp_path, short_clip, monkeypatch):
    """A folder of the performer's name beside the folder of recordings does not matter."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Anna").mkdir()
    for caption in ("rock", "folk", "waltz"):
        arrived = tmp_path / "arrived.mp4"
        arrived.write_bytes(short_clip.read_bytes())
        path = file_recording(arrived, "all", name="dance", performer="Anna", caption=caption)
        if caption == "rock":
            path.unlink()
    recordings = RecordedFolder("all").recordings
    assert sorted((r.path.name, r.caption, r.performer) for r in recordings) == [
        ("dance 2.mp4", "waltz", "Anna"),
        ("dance.mp4", "folk", "Anna"),
    ]


def test_clicks_have_their_tempo():
    clicks = click_track(120, 3.0)
    loud = np.abs(clicks).reshape(-1, 800).max(axis=1) > 0.1  # 20 blocks per second
    assert np.flatnonzero(loud).tolist() == [0, 10, 20, 30, 40, 50]
    with pytest.raises(ExpotionError, match="30 to 240"):
        click_track(10, 3.0)
