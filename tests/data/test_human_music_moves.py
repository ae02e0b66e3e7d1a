"""The published recordings: a replica in a folder, and the same on a simulated hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from recorded import tune, write_recording

from expotion_lite.cli import main
from expotion_lite.data.human_music_moves import HumanMusicMoves, captions_in, song_and_performer
from expotion_lite.errors import ExpotionError, Unreachable

CLIPS = (
    "4.mp4_ProudPeacock_2025-02-28T12-21-34_clip2",
    "4.mp4_EagerRabbit_2025-03-01T04-45-17_clip1",
    "79.mp4_EagerRabbit_2025-03-01T05-12-36_clip3",
)


@pytest.fixture(scope="module")
def replica(tmp_path_factory):
    """Three recordings of two performers and two songs, with captions, in the published layout."""
    folder = tmp_path_factory.mktemp("replica")
    for clip in CLIPS:
        hz = 440 if clip.startswith("4.") else 660
        write_recording(folder / "v1" / "video" / f"{clip}.mp4", tune(hz, 2.5), 2.5)
    captions = {f"{CLIPS[0]}.mp4": {"caption": "<s> a slow\n tune </s>"}, CLIPS[2]: "a fast tune"}
    (folder / "v1" / "captions.json").write_text(json.dumps(captions))
    (folder / "README.md").write_text("about")
    return folder


class Hub:
    """A hub that serves a folder.

    Attributes:
        downloads: the paths of all downloaded files.
        most_videos: the largest number of downloaded videos that existed at the same time.
        broken: whether downloads fail.
    """

    def __init__(self, folder):
        self.folder, self.downloads, self.most_videos, self.broken = folder, [], 0, False

    def list_repo_tree(self, name, repo_type, recursive):
        assert (name, repo_type, recursive) == ("mbzmusic/human-music-moves", "dataset", True)
        yield SimpleNamespace(path="v1")  # a folder
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                yield SimpleNamespace(path=path.relative_to(self.folder).as_posix(), blob_id=path.name[::-1] * 3)

    def hf_hub_download(self, name, file, repo_type, local_dir):
        if self.broken and file.endswith(".mp4"):
            raise OSError("connection lost")
        target = Path(local_dir) / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / file, target)
        self.downloads.append(target)
        self.most_videos = max(self.most_videos, len(list(Path(local_dir).rglob("*.mp4"))))
        return str(target)


@pytest.fixture
def hub(replica, monkeypatch):
    hub = Hub(replica)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    return hub


def test_a_clips_name_tells_song_and_performer(replica, musicgen, quick_landmarks, tmp_path):
    data = HumanMusicMoves(replica, cache=tmp_path)
    expected = [("4.mp4", "EagerRabbit"), ("4.mp4", "ProudPeacock"), ("79.mp4", "EagerRabbit")]
    assert [(r.song, r.performer) for r in data.recordings] == expected
    examples = data.examples(musicgen)
    assert examples.codes.shape == (3, 4, 100) and examples.captions == ("", "a slow tune", "a fast tune")
    assert examples.songs[0] == examples.songs[1] != examples.songs[2]
    assert examples.performers[0] == examples.performers[2] != examples.performers[1]
    assert len(HumanMusicMoves(replica, cache=tmp_path, limit=1).recordings) == 1
    assert not (replica / ".expotion-lite").exists()


def test_only_one_downloaded_video_exists_at_a_time_and_none_remains(hub, musicgen, quick_landmarks, tmp_path):
    examples = HumanMusicMoves(cache=tmp_path).examples(musicgen)
    assert len(examples) == 3 and hub.most_videos == 1 and not any(path.exists() for path in hub.downloads)
    hub.downloads.clear()
    again = HumanMusicMoves(cache=tmp_path).examples(musicgen)
    assert np.array_equal(again.codes, examples.codes)
    assert [path.name for path in hub.downloads] == ["captions.json"], "cached recordings are not downloaded again"


def test_an_unreachable_hub_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ExpotionError, match="ask for access there"):
        HumanMusicMoves("nobody/nothing", cache=tmp_path)


def test_a_failed_download_is_an_error_and_not_a_recording_left_out(hub, musicgen, tmp_path):
    data = HumanMusicMoves(cache=tmp_path)
    hub.broken = True
    with pytest.raises(Unreachable, match="connection lost"):
        data.examples(musicgen)


def test_a_folder_without_clips_and_a_broken_table_are_refused(tmp_path):
    (tmp_path / "me.mp4").write_bytes(b"")
    with pytest.raises(ExpotionError, match="no recording that is named like"):
        HumanMusicMoves(tmp_path)
    for text in ("[1, 2]", json.dumps([{"file": CLIPS[0]}])):
        (tmp_path / "captions.json").write_text(text)
        with pytest.raises(ExpotionError, match="no table of captions"):
            captions_in(tmp_path / "captions.json")


def test_captions_are_read_from_tables_of_several_kinds(tmp_path):
    (tmp_path / "captions.csv").write_text(f'{CLIPS[0]},"slow, sad"\n')
    assert captions_in(tmp_path / "captions.csv") == {CLIPS[0]: "slow, sad"}
    (tmp_path / "captions.json").write_text(json.dumps([{"file": f"x/{CLIPS[1]}.mp4", "caption": "fast"}]))
    assert captions_in(tmp_path / "captions.json") == {CLIPS[1]: "fast"}
    assert song_and_performer("holiday.mp4") is None


def test_finetune_takes_the_data_set_by_name(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["finetune", "human-music-moves", "-o", str(tmp_path / "adapter")]) == 2
    assert "mbzmusic/human-music-moves cannot be read from the hub" in capsys.readouterr().err
    assert not (tmp_path / "adapter").exists()
