"""Output files: checked before the work, written completely or not at all."""

from __future__ import annotations

import pytest

from expotion_lite.errors import ExpotionError
from expotion_lite.files import atomic_write, check_output, copy_files


def test_an_output_is_never_the_input(tmp_path):
    video = tmp_path / "me.mp4"
    video.write_bytes(b"pictures")
    with pytest.raises(ExpotionError, match="is the input video itself"):
        check_output(tmp_path / "." / "me.mp4", ".mp4", source=video, overwrite=True)
    assert check_output(tmp_path / "new.MP4", ".mp4", source=video).name == "new.MP4"


@pytest.mark.parametrize(
    "name, words", [("out.avi", "must end in .mp4"), ("folder.mp4", "is a folder"), ("old.mp4", "exists")]
)
def test_an_output_that_cannot_be_used_is_refused(tmp_path, name, words):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "old.mp4").write_bytes(b"precious")
    with pytest.raises(ExpotionError, match=words):
        check_output(tmp_path / name, ".mp4")
    assert check_output(tmp_path / "old.mp4", ".mp4", overwrite=True)


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path, overwrite=True) as temporary:
            temporary.write_text("half of the ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_files_of_an_interrupted_write_are_not_copied(tmp_path):
    (tmp_path / "a" / ".saving-x").mkdir(parents=True)
    (tmp_path / "a" / ".adapter_model-y.safetensors").write_bytes(b"half")
    (tmp_path / "a" / "adapter_config.json").write_text("{}")
    (tmp_path / "b").mkdir()
    copy_files(tmp_path / "a", tmp_path / "b")
    assert [file.name for file in (tmp_path / "b").iterdir()] == ["adapter_config.json"]


def test_two_files_of_one_name_can_be_written_at_once(tmp_path):
    """As a video and its sound are; a program in between may replace the temporary file of the first."""
    with atomic_write(tmp_path / "out.mp4", overwrite=True) as video:
        with atomic_write(video, overwrite=True) as inner:
            inner.write_bytes(b"video")
        with atomic_write(tmp_path / "out.mp4") as rival:  # does not take the first one's file for abandoned
            assert video.read_bytes() == b"video"
            rival.write_bytes(b"of a rival")
        with atomic_write(tmp_path / "out.wav") as sound:
            sound.write_bytes(b"sound")
    assert (tmp_path / "out.mp4").read_bytes() == b"video" and (tmp_path / "out.wav").read_bytes() == b"sound"
