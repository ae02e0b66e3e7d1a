"""The studio's widget, driven by its buttons, without a browser."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="the notebook extra is not installed: pip install -e '.[notebooks]'")

from expotion_lite.controls import beats_curve
from expotion_lite.data import RecordedFolder
from expotion_lite.errors import ExpotionError
from expotion_lite.studio import Studio, read_ratings


@pytest.fixture(scope="module")
def studio(tmp_path_factory, short_clip):
    """Return a studio that works in the test's own thread, as in Colab, with the clip open."""
    studio = Studio(tmp_path_factory.mktemp("studio") / "recordings", blocking=True)
    studio.source_panel.path.value = str(short_clip)
    studio.source_panel.path_button.click()
    assert "Ready" in studio.status.value
    return studio


def make_takes(studio, count):
    """Press Generate until there are so many takes."""
    while len(studio.session.takes) < count:
        studio.listen.button.click()


@pytest.mark.slow
def test_takes_are_made_compared_exported_and_rebuilt(studio, tmp_path):
    studio.listen.button.click()
    studio.steer.seed.value = 3
    studio.steer.mutes["arms"].value = True
    studio.listen.button.click()
    first, second = studio.session.takes
    assert "Kept as 2" in studio.status.value and studio.listen.bar.value == 1.0
    assert not np.array_equal(first.take.codes, second.take.codes)
    timeline = studio.see.timeline
    assert timeline.picture.startswith(b"\x89PNG") and timeline.alt.startswith("Controls, onsets, beats")
    assert 0 < timeline.left < timeline.right < 1 and timeline.duration_s == pytest.approx(2.0)
    levels = np.frombuffer(timeline.levels, "<f4").reshape(-1, len(timeline.meters))
    assert np.array_equal(levels[:, timeline.meters.index("head pitch")], second.take.controls["head_pitch"])
    assert timeline.key == studio.listen.sound.key != "" and b"ftyp" in studio.listen.sound.picture[:12]
    assert (studio.takes.a.value, studio.takes.b.value) == (1, 0)
    studio.takes.compare.click()
    assert "equally loud" in studio.status.value
    studio.takes.stem.value = str(tmp_path / "mine")
    studio.takes.export.click()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".mp4", ".wav"]
    studio.takes.rebuild.click()
    assert "exactly the take" in studio.status.value and len(studio.session.takes) == 3


@pytest.mark.slow
def test_an_export_takes_a_name_with_ending_and_replaces_only_if_ticked(studio, tmp_path):
    make_takes(studio, 1)
    studio.takes.stem.value = str(tmp_path / "take.mp4")
    studio.takes.export.click()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["take.json", "take.mp4", "take.wav"]
    studio.takes.export.click()
    assert "tick replace" in studio.status.value and "overwrite" not in studio.status.value
    studio.takes.stem.value = "."
    studio.takes.export.click()
    assert "Name the files" in studio.status.value and "Unexpected" not in studio.status.value


@pytest.mark.slow
def test_a_failing_band_leaves_a_recorder_that_works(studio, monkeypatch):
    panel, band_music = studio.source_panel, "expotion_lite.studio.recording_controller.band_music"
    monkeypatch.setattr(band_music, lambda *_: (_ for _ in ()).throw(ExpotionError("The band is ill.")))
    panel.backing.value = "the band: march"
    assert panel.backing.value == "silence" and panel.recorder.ready and "ill" in studio.status.value


@pytest.mark.slow
def test_without_a_picture_music_is_made_all_the_same(short_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "expotion_lite.plots.overlay.overlay_video", lambda *_: (_ for _ in ()).throw(ExpotionError("No."))
    )
    studio = Studio(tmp_path / "recordings", blocking=True)
    studio.source_panel.path.value = str(short_clip)
    studio.source_panel.path_button.click()
    assert "cannot be shown" in studio.see.facts.value and studio.listen.sound.picture == b""
    studio.listen.button.click()
    assert len(studio.session.takes) == 1


def test_a_recording_without_a_folder_is_not_lost(studio, short_clip):
    panel = studio.source_panel
    folder, panel.folder.value = panel.folder.value, " "
    panel.recorder.on_file(short_clip, "")
    assert "Name the folder" in studio.status.value and str(short_clip) in studio.status.value
    panel.folder.value = folder


@pytest.mark.slow
def test_a_blocking_studio_says_how_to_stop_it(studio):
    seen = []
    studio.status.observe(lambda change: seen.append((change.new, studio.listen.cancel.disabled)), "value")
    studio.listen.button.click()
    studio.status.unobserve_all("value")
    assert "interrupt" in seen[0][0] and "Kept" in seen[-1][0] and all(disabled for _, disabled in seen)


def test_errors_are_shown_on_one_line_and_the_studio_stays_usable(studio, tmp_path, browser_of):
    (tmp_path / "broken.mp4").write_bytes(b"nothing of a film")
    browser_of(studio.source_panel.recorder).send_file(b"no film at all" * 100, "<b>bad</b>.mp4")
    assert "el-bad" in studio.status.value and "not a video" in studio.status.value and "<b>" not in studio.status.value
    for path in ("", "nowhere.mp4", str(tmp_path), str(tmp_path / "broken.mp4")):
        studio.source_panel.path.value = path
        studio.source_panel.path_button.click()
        assert "el-bad" in studio.status.value and studio.status.value.count("\n") == 0
        assert "Unexpected" not in studio.status.value and not studio.listen.button.disabled
    prompt, studio.steer.prompt.value = studio.steer.prompt.value, "  "
    studio.listen.button.click()
    assert "prompt is empty" in studio.status.value
    studio.steer.prompt.value = prompt


@pytest.mark.slow
def test_a_studio_in_a_thread_can_be_cancelled(tmp_path):
    studio = Studio(tmp_path, blocking=False)
    studio.source_panel.length.value = 20.0
    studio.source_panel.gesture.values = [0.0, 1.0] * 250
    studio.source_panel.gesture_button.click()
    studio.wait(60)
    begun = threading.Event()
    studio.listen.bar.observe(lambda change: change.new > 0.05 and begun.set(), "value")
    studio.listen.button.click()
    assert begun.wait(60) and not studio.listen.cancel.disabled
    assert studio.listen.button.disabled and studio.source_panel.people.disabled
    studio.source_panel.clip_button.disabled = False
    studio.source_panel.clip_button.click()
    assert "One thing at a time" in studio.status.value
    studio.listen.cancel.click()
    studio.wait(20)
    (made,) = studio.session.takes
    assert 0 < made.frames < 1000 and "stopped" in studio.status.value
    assert not studio.listen.button.disabled and not studio.source_panel.people.disabled


@pytest.mark.slow
def test_a_blind_test_names_no_take_before_its_end(studio, tmp_path, monkeypatch):
    make_takes(studio, 2)
    panel, sent = studio.blind, []
    monkeypatch.setattr(studio.listen.sound, "send", lambda content, buffers=(): sent.append(content))
    panel.place.value, panel.rounds.value = str(tmp_path / "out" / "answers.csv"), 2
    panel.which.value = (0, 1)
    panel.begin.click()
    names = [made.name for made in studio.session.takes]
    for number in range(1, 5):
        assert f"Take {number} of 4" in panel.asked.value and panel.questions.layout.display == ""
        shown = panel.asked.value + studio.status.value + panel.result.value + json.dumps(sent)
        assert not any(name in shown for name in names)
        panel.next.click()
        assert "from 1 to 5" in studio.status.value, "nothing was chosen yet"
        for answer in panel.answers.values():
            answer.value = number
        place, panel.place.value = panel.place.value, str(tmp_path)
        panel.next.click()
        assert "cannot be read" in studio.status.value and f"Take {number} of 4" in panel.asked.value
        panel.place.value = place
        panel.next.click()
        assert len(read_ratings(panel.place.value)) == number, "saved at once"
    assert panel.questions.layout.display == "none" and all(name in panel.result.value for name in names[:2])
    ratings = read_ratings(panel.place.value)
    assert sorted(rating.take for rating in ratings) == sorted(2 * names[:2])
    assert {rating.codes for rating in ratings} == {made.codes_sha256[:12] for made in studio.session.takes[:2]}
    panel.begin.click()
    panel.stop.click()
    assert "nothing was rated" in studio.status.value and panel.questions.layout.display == "none"
    panel.which.value = (0,)
    panel.begin.click()
    assert "at least two" in studio.status.value


@pytest.mark.slow
def test_the_figure_follows_a_comparison_and_is_hidden_during_a_blind_test(studio, tmp_path):
    make_takes(studio, 2)
    studio.takes.a.value, studio.takes.b.value = 0, 1
    studio.takes.compare.click()
    assert studio.session.takes[0].name in studio.see.facts.value
    studio.blind.place.value, studio.blind.which.value = str(tmp_path / "answers.csv"), (0, 1)
    studio.blind.begin.click()
    assert studio.see.layout.display == "none"
    studio.blind.stop.click()
    assert studio.see.layout.display == ""


def test_a_recording_is_filed_under_its_name_and_opened(studio, short_clip, browser_of):
    panel = studio.source_panel
    panel.performer.value, panel.title.value, panel.caption.value = "Ben", "waltz", "slow waltz"
    browser_of(panel.recorder).send_file(short_clip.read_bytes(), "recording.mp4", backing_name="")
    assert "Ready" in studio.status.value
    (recording,) = RecordedFolder(panel.folder.value).recordings
    assert (recording.performer, recording.path.stem, recording.caption) == ("Ben", "waltz", "slow waltz")


@pytest.mark.slow
def test_a_recording_keeps_the_texts_and_the_song_of_its_time(short_clip, tmp_path, browser_of):
    """The fields may change while the recording waits for other work, or while it arrives."""
    studio = Studio(tmp_path / "all", blocking=True)
    panel, browser = studio.source_panel, browser_of(studio.source_panel.recorder)
    data = short_clip.read_bytes()
    panel.performer.value, panel.backing.value = "Ben", "the band: waltz"
    waltz = panel.caption.value

    def record_ben_while_other_work_is_done():
        browser.send_file(data, "recording.mp4", backing_name=panel.recorder.backing_name)
        panel.performer.value = "Eve"

    studio.jobs.submit(record_ben_while_other_work_is_done)
    panel.backing.value = "clicks"
    assert waltz and panel.caption.value == "", "clicks are no waltz"
    browser.send_file(data, "recording.mp4", backing_name=panel.recorder.backing_name)
    panel.performer.value, panel.backing.value = "Ada", "the band: techno"
    techno = panel.caption.value
    panel.backing.value = "the band: waltz"  # while the recording to techno arrives
    browser.send_file(data, "recording.mp4", backing_name="the band: techno")
    filed = {r.performer: (r.caption, r.song) for r in RecordedFolder(tmp_path / "all").recordings}
    assert filed == {"Ben": (waltz, "the band: waltz"), "Eve": ("", ""), "Ada": (techno, "the band: techno")}


def test_the_recorder_waits_until_the_backing_is_there(tmp_path):
    studio = Studio(tmp_path / "all", blocking=True)
    panel, ready_with, states = studio.source_panel, [], []
    panel.recorder.observe(lambda change: change.new and ready_with.append(panel.recorder.backing_name), "ready")

    def choose_while_other_work_is_done():
        for backing in ("the band: waltz", "clicks", "the band: waltz", "the band: techno"):
            panel.backing.value = backing
            states.append((panel.recorder.ready, bool(panel.recorder.backing)))

    studio.jobs.submit(choose_while_other_work_is_done)
    assert states == [(False, False), (True, True), (False, False), (False, False)], "clicks need not wait"
    assert panel.recorder.ready and ready_with == ["", "the band: techno"], "only what was chosen last"


@pytest.mark.slow
def test_an_earlier_source_can_be_chosen_again(studio):
    first = studio.source
    studio.source_panel.gesture.values = beats_curve(100, 6.0, 150)
    studio.source_panel.gesture_button.click()
    assert studio.source is not first and studio.source_panel.people.value == studio.source.name
    studio.source_panel.people.value = first.name
    assert studio.source is first and "Ready" in studio.status.value and first.name in studio.see.facts.value
    studio.steer.stranger_button.click()
    assert studio.source is first and studio.source_panel.people.value == first.name


@pytest.mark.slow
def test_a_rebuilt_take_has_the_length_of_its_own_source(studio, tmp_path, monkeypatch):
    make_takes(studio, 1)
    studio.takes.stem.value = str(tmp_path / "take")
    studio.takes.export.click()
    length_s = studio.session.takes[studio.takes.a.value].source.duration_s
    studio.source_panel.length.value = length_s + 2
    studio.source_panel.gesture.values = beats_curve(100, length_s + 2, 100)
    studio.source_panel.gesture_button.click()
    assert studio.source.duration_s == length_s + 2
    sent = []
    monkeypatch.setattr(studio.listen.sound, "send", lambda content, buffers=(): sent.append(content))
    studio.takes.rebuild.click()
    assert [m["total_s"] for m in sent if m["type"] == "start"] == [pytest.approx(length_s)]


@pytest.mark.slow
def test_a_take_is_rebuilt_in_a_fresh_studio(studio, tmp_path):
    make_takes(studio, 1)
    studio.takes.stem.value = str(tmp_path / "take")
    studio.takes.export.click()
    fresh = Studio(tmp_path / "all", blocking=True)
    fresh.takes.recipe.value = str(tmp_path / "take.json")
    fresh.takes.rebuild.click()
    made = studio.session.takes[studio.takes.a.value]
    assert "exactly the take" in fresh.status.value and fresh.source.recipe == made.source.recipe
    fresh.listen.button.click()
    assert len(fresh.session.takes) == 2, "the source of the rebuilt take can be used"
