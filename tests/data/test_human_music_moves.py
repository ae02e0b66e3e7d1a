"""The published recordings: a replica in a folder, and the same on a hub that this test plays."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from expotion_lite.cli import main
from expotion_lite.data.human_music_moves import HumanMusicMoves, captions_in, song_and_performer
from expotion_lite.errors import ExpotionError, Unreachable
from expotion_lite.musicgen.loading import load
from expotion_lite.synthetic.performer import bundled_performance, render_frames
from expotion_lite.video.writing import mux_audio, write_video

RATE = 16_000
CLIPS = (
    "4.mp4_ProudPeacock_2025-02-28T12-21-34_clip2",
    "4.mp4_EagerRabbit_2025-03-01T04-45-17_clip1",
    "79.mp4_EagerRabbit_2025-03-01T05-12-36_clip3",
)


@pytest.fixture(scope="module")
def replica(tmp_path_factory):
    """Three clips of two people and two songs, with captions, in the published layout."""
    folder = tmp_path_factory.mktemp("replica")
    take = bundled_performance(27)
    frames = take.times < 2.5
    silent = folder / "silent.mp4"
    write_video(silent, render_frames(replace(take, times=take.times[frames],
                                              curves={k: v[frames] for k, v in take.curves.items()})))  # fmt: skip
    (folder / "v1" / "video").mkdir(parents=True)
    times = np.arange(round(2.5 * RATE)) / RATE
    for clip in CLIPS:
        tone = (0.3 * np.sin(2 * np.pi * (440 if clip.startswith("4.") else 660) * times)).astype(np.float32)
        mux_audio(silent, tone, RATE, folder / "v1" / "video" / f"{clip}.mp4")
    silent.unlink()
    captions = {f"{CLIPS[0]}.mp4": {"caption": "<s> a slow\n tune </s>"}, CLIPS[2]: "a fast tune"}
    (folder / "v1" / "captions.json").write_text(json.dumps(captions))
    (folder / "README.md").write_text("about")
    return folder


@pytest.fixture
def musicgen():
    return replace(load("nano"), window=100)  # 2 s


def test_clips_say_which_song_and_whose_they_are(replica, musicgen, tmp_path):
    data = HumanMusicMoves(replica, kept=tmp_path)
    assert [(r.song, r.performer) for r in data.recordings] == [
        ("4.mp4", "EagerRabbit"), ("4.mp4", "ProudPeacock"), ("79.mp4", "EagerRabbit")
    ]  # fmt: skip
    examples = data.examples(musicgen)
    assert examples.codes.shape == (3, 4, 100) and examples.captions == ("", "a slow tune", "a fast tune")
    assert examples.songs[0] == examples.songs[1] != examples.songs[2]
    assert examples.performers[0] == examples.performers[2] != examples.performers[1]
    assert len(HumanMusicMoves(replica, kept=tmp_path, limit=1).recordings) == 1
    assert not (replica / ".expotion-lite").exists()


def test_from_the_hub_one_clip_at_a_time_is_here_and_none_stays(replica, musicgen, tmp_path, monkeypatch):
    here, most = [], []

    class Hub:
        def list_repo_tree(self, name, repo_type, recursive):
            assert (name, repo_type, recursive) == ("mbzmusic/human-music-moves", "dataset", True)
            yield SimpleNamespace(path="v1")  # a folder
            for path in sorted(replica.rglob("*")):
                if path.is_file():
                    yield SimpleNamespace(path=path.relative_to(replica).as_posix(), blob_id=path.name[::-1] * 3)

        def hf_hub_download(self, name, file, repo_type, local_dir):
            target = Path(local_dir) / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(replica / file, target)
            here.append(target)
            most.append(len(list(Path(local_dir).rglob("*.mp4"))))
            return str(target)

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    data = HumanMusicMoves(kept=tmp_path)
    examples = data.examples(musicgen)
    assert len(examples) == 3 and max(most) == 1 and not any(path.exists() for path in here)
    here.clear()
    again = HumanMusicMoves(kept=tmp_path).examples(musicgen)
    assert np.array_equal(again.codes, examples.codes)
    assert [path.name for path in here] == ["captions.json"], "what is known is not fetched again"


def test_a_hub_that_cannot_be_reached_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ExpotionError, match="ask for access there"):
        HumanMusicMoves("nobody/nothing", kept=tmp_path)


def test_a_clip_that_does_not_arrive_is_not_left_out_in_silence(replica, musicgen, tmp_path, monkeypatch):
    data = HumanMusicMoves(replica, kept=tmp_path)

    @contextmanager
    def broken():
        def fetch(recording):
            raise Unreachable("the hub is gone")

        yield fetch

    monkeypatch.setattr(data, "_fetching", broken)
    with pytest.raises(Unreachable, match="the hub is gone"):
        data.examples(musicgen)


def test_a_folder_without_clips_and_a_broken_table_are_refused(tmp_path):
    (tmp_path / "me.mp4").write_bytes(b"")
    with pytest.raises(ExpotionError, match="no clip"):
        HumanMusicMoves(tmp_path)
    (tmp_path / "captions.json").write_text("[1, 2]")
    with pytest.raises(ExpotionError, match="no table of captions"):
        captions_in(tmp_path / "captions.json")


def test_captions_come_as_tables_of_several_kinds(tmp_path):
    (tmp_path / "captions.csv").write_text(f'{CLIPS[0]},"slow, sad"\n')
    assert captions_in(tmp_path / "captions.csv") == {CLIPS[0]: "slow, sad"}
    (tmp_path / "captions.json").write_text(json.dumps([{"file": f"x/{CLIPS[1]}.mp4", "caption": "fast"}]))
    assert captions_in(tmp_path / "captions.json") == {CLIPS[1]: "fast"}
    assert song_and_performer("holiday.mp4") is None


def test_finetune_takes_them_by_name(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["finetune", "human-music-moves", "-o", str(tmp_path / "adapter")]) == 2
    assert "mbzmusic/human-music-moves cannot be read from the hub" in capsys.readouterr().err
    assert not (tmp_path / "adapter").exists()
