"""A folder of recordings becomes examples, and what was computed is cached."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from recorded import RATE, tune, write_class, write_recording

from expotion_lite.assets import example_clip
from expotion_lite.data.recordings import CACHE_FOLDER, RecordedFolder
from expotion_lite.errors import ExpotionError
from expotion_lite.video import reading
from expotion_lite.video.demuxing import scan_packets
from expotion_lite.video.reading import read_frames
from expotion_lite.video.writing import write_video


@pytest.fixture(scope="module")
def class_folder(tmp_path_factory):
    return write_class(tmp_path_factory.mktemp("class"))


def test_recordings_are_cut_into_windows_with_song_performer_and_caption(class_folder, musicgen, quick_landmarks):
    data = RecordedFolder(class_folder)
    assert [r.path.name for r in data.recordings] == ["one.mp4", "one.mp4", "two.mp4", "silent.mp4"]
    assert [r.performer for r in data.recordings] == ["anna", "ben", "cleo", ""]
    examples = data.examples(musicgen)
    assert examples.codes.shape == (6, 4, 100) and examples.controls.shape[:2] == (6, 100)
    assert examples.captions == ("a tune, slowly", "a tune, slowly", "", "", "", "")
    assert len(set(examples.performers)) == 3 and len(set(examples.songs)) == 2, "the same file name is the same song"
    assert examples.performers[0] == examples.performers[1] != examples.performers[2]
    ((path, reason),) = data.left_out.items()
    assert path.name == "silent.mp4" and "no sound" in reason
    assert np.abs(examples.controls[0, :, examples.channels.index("head_pitch")]).max() > 0.3


def test_identical_sounds_are_the_same_song_if_the_table_names_no_other(musicgen, quick_landmarks, tmp_path):
    for name in ("anna/one.mp4", "ben/two.mp4", "cleo/three.mp4"):
        write_recording(tmp_path / name, tune(440))
    assert len(set(RecordedFolder(tmp_path).examples(musicgen).songs)) == 1
    (tmp_path / "captions.csv").write_text("file,song\nanna/one.mp4,waltz\nben/two.mp4,\ncleo/three.mp4,waltz\n")
    assert len(set(RecordedFolder(tmp_path).examples(musicgen).songs)) == 1


def test_short_and_silent_recordings_are_left_out_and_named(musicgen, quick_landmarks, tmp_path):
    write_recording(tmp_path / "anna/fine.mp4", tune(440))
    write_recording(tmp_path / "ben/quiet.mp4", 0 * tune(440))
    write_recording(tmp_path / "cleo/short.mp4", tune(440), duration_s=1.0)
    data = RecordedFolder(tmp_path)
    assert len(set(data.examples(musicgen).performers)) == 1
    reasons = {path.name: reason for path, reason in data.left_out.items()}
    assert reasons.keys() == {"quiet.mp4", "short.mp4"}
    assert reasons["quiet.mp4"].startswith("its sound is silent")
    assert reasons["short.mp4"] == "it lasts 1.0 s; record at least 2 s."


@pytest.mark.parametrize("suffix", [".3gp", ".mts", ".m2ts"])
def test_files_of_phones_and_camcorders_are_found(tmp_path, suffix):
    (tmp_path / f"a{suffix}").touch()
    assert [recording.path.suffix for recording in RecordedFolder(tmp_path).recordings] == [suffix]


@pytest.mark.slow
def test_mediapipe_sees_the_person_in_a_recording(musicgen, tmp_path):
    frames = islice(read_frames(example_clip()), 0, 56, 2)
    write_video(tmp_path / "me.mp4", frames, audio=tune(440, 2.24), sample_rate=RATE)
    examples = RecordedFolder(tmp_path).examples(musicgen)
    assert not examples.controls[0, :, examples.channels.index("face_missing")].any()
    assert np.abs(examples.controls[0, :, examples.channels.index("head_pitch")]).max() > 0.3


@contextmanager
def another_codec(musicgen):
    """Change a weight of the codec while the block runs."""
    bias = musicgen.model.audio_encoder.encoder.layers[0].conv.bias
    bias.data += 0.5
    yield musicgen
    bias.data -= 0.5


def test_each_video_is_read_through_once(musicgen, monkeypatch, quick_landmarks, tmp_path):
    scanned = []

    def scan(source):
        scanned.append(source)
        return scan_packets(source)

    monkeypatch.setattr(reading, "scan_packets", scan)
    paths = [write_recording(tmp_path / name / "one.mp4", tune(hz)) for name, hz in (("anna", 440), ("ben", 550))]
    RecordedFolder(tmp_path).examples(musicgen)
    assert scanned == paths
    RecordedFolder(tmp_path).examples(musicgen)
    assert len(scanned) == 2, "everything is in the cache"


def test_controls_and_codes_are_computed_again_only_if_they_change(musicgen, monkeypatch, quick_landmarks, tmp_path):
    write_recording(tmp_path / "anna" / "one.mp4", tune(440))
    first = RecordedFolder(tmp_path).examples(musicgen)
    cached = {path.name for path in (tmp_path / CACHE_FOLDER).iterdir()}
    assert len(cached) == 2 and len(quick_landmarks) == 1

    def never(*_, **__):
        raise AssertionError("computed again")

    with monkeypatch.context() as patched:
        patched.setattr("expotion_lite.musicgen.codes.encode", never)
        again = RecordedFolder(tmp_path).examples(musicgen)
        assert np.array_equal(again.codes, first.codes) and np.allclose(again.controls, first.controls)
        longer = RecordedFolder(tmp_path).examples(replace(musicgen, window=200))  # another window needs nothing new
        assert longer.codes.shape == (1, 4, 200) and len(quick_landmarks) == 1
        write_recording(tmp_path / "anna" / "one.mp4", tune(550))
        with pytest.raises(AssertionError, match="computed again"):
            RecordedFolder(tmp_path).examples(musicgen)
    changed = RecordedFolder(tmp_path).examples(musicgen)
    assert len(quick_landmarks) == 2 and {path.name for path in (tmp_path / CACHE_FOLDER).iterdir()} > cached
    with another_codec(musicgen) as other:
        assert not np.array_equal(RecordedFolder(tmp_path).examples(other).codes, changed.codes)
    assert len(quick_landmarks) == 2, "another codec needs no new landmarks"


def test_the_rest_of_a_window_after_a_short_recording_is_masked(class_folder, musicgen, quick_landmarks):
    examples = RecordedFolder(class_folder).examples(replace(musicgen, window=300))
    assert (examples.codes[:, :, 227:] == -1).all() and (examples.codes[:, :, :224] >= 0).all()
    missing = examples.controls[:, :, examples.channels.index("face_missing")]
    assert missing[:, 230:].all() and not missing[:, :200].any()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,caption\na,b\n", "has an unknown column 'name'; its columns may be file, caption, performer, song"),
        ("caption\na\n", "has no column 'file'"),
        ("file,caption\nnobody.mp4,x\n", "names nobody.mp4, which is not there"),
        ("file,caption\na.mp4,x\na.mp4,y\n", "twice"),
        ("file,caption\na.mp4,x, y\n", "captions with commas in quotes"),
    ],
)
def test_a_table_of_the_wrong_form_is_explained(tmp_path, table, message):
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / "captions.csv").write_text(table)
    with pytest.raises(ExpotionError, match=message):
        RecordedFolder(tmp_path)


def test_a_folder_without_a_usable_recording_is_explained(tmp_path, musicgen):
    with pytest.raises(ExpotionError, match="holds no video"):
        RecordedFolder(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(ExpotionError, match="No recording in .* can be used; a.mp4"):
        RecordedFolder(tmp_path).examples(musicgen)
