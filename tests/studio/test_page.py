"""The studio without a browser: what arrives, what is steered, made, cancelled, compared, kept and made anew."""

from __future__ import annotations

import json
import threading
from itertools import islice

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="the notebook extra is not installed: pip install -e '.[notebooks]'")

from expotion_lite.assets import example_clip
from expotion_lite.controls.steering import GROUPS, Steering, beats_curve, group_of
from expotion_lite.data.recordings import RecordedFolder
from expotion_lite.errors import Cancelled, ExpotionError
from expotion_lite.generation import Take, generate, to_audio
from expotion_lite.musicgen.settings import Settings
from expotion_lite.studio.blind_test import read_ratings
from expotion_lite.studio.browser import CHUNK
from expotion_lite.studio.filming import click_track, file_recording
from expotion_lite.studio.page import Curve, Recorder, Sound, Studio
from expotion_lite.studio.panels import SteerPanel
from expotion_lite.studio.session import Session, matched
from expotion_lite.studio.sources import again, fit
from expotion_lite.video.reading import read_frames
from expotion_lite.video.writing import write_video

PROMPT = "steady rock with guitar, bass and drums"


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory):
    """The first 2 s of the bundled clip."""
    return write_video(tmp_path_factory.mktemp("clip") / "short.mp4", islice(read_frames(example_clip()), 50))


@pytest.fixture(scope="module")
def session():
    return Session()


@pytest.fixture(scope="module")
def source(session, short_clip):
    return session.open(short_clip)


@pytest.fixture(scope="module")
def gesture(session):
    """Twelve seconds of nodding, drawn: longer than one window of the model."""
    return session.draw(beats_curve(90, 12.0, 300), 12.0)


class Browser:
    """Stands for the recorder's other end."""

    def __init__(self, recorder):
        self.answers = []
        self.recorder = recorder
        recorder.send = lambda content, buffers=None: self.answers.append(content)

    def says(self, *buffers, **content):
        self.recorder._answer(None, {"id": 1, **content}, list(buffers))
        return self.answers[-1]

    def sends(self, data, name="clip.mp4", **content):
        self.says(type="begin", name=name, size=len(data), **content)
        for index, start in enumerate(range(0, len(data), CHUNK)):
            answer = self.says(data[start : start + CHUNK], type="chunk", index=index)
            assert answer == {"type": "ack", "id": 1, "index": index}
        return self.says(type="end")


def test_a_file_arrives_in_acknowledged_chunks(tmp_path):
    done = []
    browser = Browser(Recorder(tmp_path, lambda *file: done.append(file)))
    data = bytes(range(256)) * 3000
    assert len(data) > 2 * CHUNK and browser.sends(data, "../my film.mp4")["type"] == "ack"
    ((path, heard),) = done
    assert path.read_bytes() == data and path.name == "my film.mp4" and heard is None
    assert path.is_relative_to(tmp_path) and browser.recorder.share == 1
    browser.sends(data, "my film.mp4", heard="a waltz")
    assert done[1][0].name == "my film 2.mp4" and done[1][1] == "a waltz"


@pytest.mark.parametrize("fault", ["lost", "too short", "too large", "empty", "stranger"])
def test_a_file_that_does_not_arrive_whole_gets_one_line_and_leaves_nothing(tmp_path, fault):
    done = []
    browser = Browser(Recorder(tmp_path, lambda *file: done.append(file)))
    if browser.says(type="begin", name="a.mp4", size=0 if fault == "empty" else 100)["type"] == "ack":
        if fault == "too short":
            browser.says(b"x" * 50, type="chunk", index=0)
            browser.says(type="end")
        else:
            piece = b"x" * (CHUNK + 1 if fault == "too large" else 50)
            browser.says(piece, type="chunk", index=int(fault == "lost"), id=2 if fault == "stranger" else 1)
    answer = browser.answers[-1]
    assert answer["type"] == "error" and "again" in answer["text"] and "\n" not in answer["text"]
    assert not done and not [path for path in tmp_path.rglob("*") if path.is_file()]


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


def test_a_film_that_was_deleted_makes_room_and_names_nearby_do_not_matter(tmp_path, short_clip, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Anna").mkdir()  # beside the notebook, not among the recordings
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


def test_clicks_come_at_their_tempo():
    clicks = click_track(120, 3.0)
    loud = np.abs(clicks).reshape(-1, 800).max(axis=1) > 0.1  # 20 a second
    assert np.flatnonzero(loud).tolist() == [0, 10, 20, 30, 40, 50]
    with pytest.raises(ExpotionError, match="30 to 240"):
        click_track(10, 3.0)


def test_weights_and_curves_change_what_they_name_and_nothing_else(source):
    controls = source.controls
    steered = Steering({"head": 2.0, "arms": 0.0}).draw("pulse", [0, 1, 0]).apply(controls)
    for channel in controls.channels:
        before, after = controls[channel], steered[channel]
        if channel == "pulse":
            assert after.max() > 0.95 and after[0] == 0 and abs(int(after.argmax()) - len(after) // 2) <= 1
        elif channel == "arms_missing":
            assert (after == 1).all()
        else:
            factor = {"head": 2.0, "arms": 0.0}.get(group_of(channel), 1.0)
            np.testing.assert_allclose(after, factor * before, err_msg=channel)
    alone = Steering({"head": 0.5}, {"head_pitch": 2.0, "smile": 0.0}).apply(controls)
    np.testing.assert_allclose(alone["head_pitch"], controls["head_pitch"], rtol=1e-6)
    np.testing.assert_allclose(alone["head_yaw"], 0.5 * controls["head_yaw"])
    assert not alone["smile"].any()
    with pytest.raises(ExpotionError, match="no channel 'tail'"):
        Steering(channels={"tail": 1.5}).apply(controls)
    assert Steering().apply(controls).values.tolist() == controls.values.tolist()
    assert {group_of(channel) for channel in controls.channels} == {*GROUPS, None}


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": {"feet": 1}},
        {"weights": {"head": -1}},
        {"weights": {"head": "loud"}},
        {"weights": {"head": float("nan")}},
        {"drawn": {"pulse": [1]}},
        {"drawn": {"pulse": [0, float("inf")]}},
        {"drawn": {"pulse": "up"}},
        {"weights": 3},
        {"channels": {"smile": 3}},
        {"channels": ["smile"]},
    ],
)
def test_steering_that_means_nothing_is_refused(wrong):
    with pytest.raises(ExpotionError):
        Steering(**wrong)


def test_a_drawn_gesture_moves_a_person_who_was_never_filmed(gesture):
    from expotion_lite.plots.curves import pulse_times

    nods = pulse_times(gesture.controls)
    assert len(nods) == pytest.approx(18, abs=1) and np.median(np.diff(nods)) == pytest.approx(60 / 90, abs=0.02)
    remade = again(json.loads(json.dumps(gesture.recipe)))
    assert np.array_equal(remade.controls.values, gesture.controls.values)
    with pytest.raises(ExpotionError, match="flat"):
        Session().draw([0.0] * 50, 4.0)


def test_sound_comes_while_it_is_made_and_is_what_is_kept(session, source):
    chunks, told = [], []
    kept = session.generate(source, PROMPT, on_sound=chunks.append, on_progress=told.append)
    heard, whole = np.concatenate(chunks), to_audio(session.pipeline().musicgen, kept.take.codes)
    assert len(chunks) >= 4 and len(chunks[0]) == 8000 and len(heard) == len(kept.take.audio)
    np.testing.assert_allclose(heard, np.clip(whole[: len(heard)], -1, 1), atol=1e-3)
    assert told[-1].done_s == pytest.approx(2.0, abs=0.01) and told[-1].left_s == pytest.approx(0, abs=0.1)
    same = generate(source.video, PROMPT, progress=False)
    assert np.array_equal(kept.take.codes, same.codes) and np.array_equal(kept.take.audio, same.audio)


def test_streaming_goes_on_over_the_seam_of_two_windows(session, gesture):
    chunks = []
    kept = session.generate(gesture, PROMPT, on_sound=chunks.append)
    assert kept.frames > session.pipeline().musicgen.window
    heard, whole = np.concatenate(chunks), to_audio(session.pipeline().musicgen, kept.take.codes)
    np.testing.assert_allclose(heard, np.clip(whole[: len(heard)], -1, 1), atol=2e-3)


def test_cancelled_music_is_kept_exported_and_made_anew_exactly(session, gesture, tmp_path):
    """Steered, swapped and cut short: all of it is in the json, and another session reads it."""
    cancel = threading.Event()
    steering = Steering({"arms": 0.0, "pulse": 0.5}).draw("motion_energy", [0, 1, 0.5])
    kept = session.generate(
        gesture, PROMPT, settings=Settings(seed=5, top_k=50), steering=steering, other=session.stranger(4, 6.0),
        on_progress=lambda p: p.done_s > 0.5 and cancel.set(), cancel=cancel,
    )  # fmt: skip
    assert 25 <= kept.frames < 500 and not kept.take.audio[(kept.frames + 1) * 320 :].any()
    paths = session.export(kept, tmp_path / "out" / "take")
    with pytest.raises(ExpotionError, match="exists"):
        session.export(kept, tmp_path / "out" / "take")
    remade, same = Session().rebuild(paths["json"])
    assert same and np.array_equal(remade.take.codes, kept.take.codes)
    assert np.array_equal(remade.take.audio, kept.take.audio) and remade.frames == kept.frames


def test_the_kernels_stop_button_keeps_what_was_made(session, gesture):
    """In Colab nothing else can stop it. A button is pressed once."""
    pressed = []

    def press(progress):
        if progress.done_s > 0.5 and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt

    kept = session.generate(gesture, PROMPT, on_progress=press)
    whole = session.generate(gesture, PROMPT)
    assert 25 < kept.frames < 500 and np.array_equal(kept.take.codes, whole.take.codes[:, : kept.frames])


def test_curves_of_several_channels_are_kept(gesture):
    panel = SteerPanel()
    panel.reset_curve(gesture.controls)
    panel.curve.values = [0.5] * len(panel.curve.values)
    panel.channel.value = "smile"
    assert not panel.curve.drawn and set(panel.steering().drawn) == {"pulse"}
    panel.curve.values = [1.0] * len(panel.curve.values)
    assert set(panel.steering().drawn) == {"pulse", "smile"}
    panel.channel.value = "pulse"
    assert panel.curve.values[0] == 0.5 and set(panel.steering().drawn) == {"pulse", "smile"}


def test_cancelled_before_any_music_there_is_no_take(source):
    cancel = threading.Event()
    cancel.set()
    session = Session()
    with pytest.raises(Cancelled, match="before there was any music"):
        session.generate(source, PROMPT, cancel=cancel)
    assert not session.takes


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"prompt": 3}', "{"])
def test_settings_that_are_none_are_refused(tmp_path, session, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ExpotionError, match="no settings of a take"):
        session.rebuild(tmp_path / "a.json")
    with pytest.raises(ExpotionError, match="cannot be read"):
        session.rebuild(tmp_path / "nowhere.json")


def test_a_video_that_has_changed_is_not_taken_for_the_one_before(short_clip, tmp_path):
    path = tmp_path / "a.mp4"
    recipe = {"video": str(path), "sha256": "0" * 16}
    with pytest.raises(ExpotionError, match="is gone"):
        again(recipe)
    path.write_bytes(short_clip.read_bytes())
    with pytest.raises(ExpotionError, match="not the video"):
        again(recipe)


def test_takes_are_compared_at_one_loudness_without_clipping():
    rng = np.random.default_rng(0)
    loud, soft = (np.clip(size * rng.standard_normal(32_000), -0.99, 0.99).astype(np.float32) for size in (0.4, 0.02))
    soft[16_000:] = 0  # a take that was stopped is not louder for it
    a, b = matched(loud, soft)
    assert np.sqrt(np.mean((a * loud) ** 2)) == pytest.approx(np.sqrt(np.mean((b * soft[:16_000]) ** 2)), rel=0.02)
    assert max(np.abs(a * loud).max(), np.abs(b * soft).max()) <= 1
    assert all(np.isfinite(matched(loud, np.zeros(1000, np.float32))))


def test_somebody_elses_controls_are_made_as_long(source, gesture):
    assert fit(gesture.controls, 100).values.shape == source.controls.values.shape
    longer = fit(source.controls, 250)
    assert np.array_equal(longer.values[100:200], source.controls.values)


def test_the_curve_and_the_sound_speak_plain_numbers():
    curve, sound, sent = Curve(50, duration_s=2.0), Sound(), []
    assert not curve.drawn and len(curve.values) == 50
    curve.values = beats_curve(120, 2.0, 50)
    assert curve.drawn and max(curve.values) == pytest.approx(1, abs=0.1)
    sound.send = lambda content, buffers=(): sent.append((content, [len(b) for b in buffers]))
    sound.start(2)
    sound.feed(np.zeros(100), 16_000)
    sound.end()
    assert [content["type"] for content, _ in sent] == ["start", "chunk", "end"] and sent[1][1] == [400]


@pytest.fixture(scope="module")
def studio(tmp_path_factory, short_clip):
    """A studio that works in the test's own thread, as in Colab, with the clip open."""
    studio = Studio(tmp_path_factory.mktemp("studio") / "recordings", blocking=True)
    studio.source_panel.path.value = str(short_clip)
    studio.source_panel.path_button.click()
    assert "Ready" in studio.status.value
    return studio


def test_the_studio_makes_compares_exports_and_remakes(studio, tmp_path):
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


def test_an_export_says_what_to_tick_and_takes_a_name_with_its_ending(studio, tmp_path):
    studio.listen.button.click()
    studio.takes.stem.value = str(tmp_path / "take.mp4")
    studio.takes.export.click()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["take.json", "take.mp4", "take.wav"]
    studio.takes.export.click()
    assert "tick replace" in studio.status.value and "overwrite" not in studio.status.value
    studio.takes.stem.value = "."
    studio.takes.export.click()
    assert "Name the files" in studio.status.value and "should not happen" not in studio.status.value


def test_a_reference_stays_b_until_another_is_chosen(studio):
    while len(studio.session.takes) < 3:
        studio.listen.button.click()
    studio.takes.b.value = 0
    studio.listen.button.click()
    assert (studio.takes.a.value, studio.takes.b.value) == (len(studio.session.takes) - 1, 0)


def test_a_band_that_fails_leaves_a_recorder_that_works(studio, monkeypatch):
    panel, broken = studio.source_panel, "expotion_lite.studio.page.band_music"
    monkeypatch.setattr(broken, lambda *_: (_ for _ in ()).throw(ExpotionError("The band is ill.")))
    panel.backing.value = "the band: march"
    assert panel.backing.value == "silence" and panel.recorder.ready and "ill" in studio.status.value


def test_a_picture_that_cannot_be_made_costs_no_music(short_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "expotion_lite.plots.overlay.overlay_video", lambda *_: (_ for _ in ()).throw(ExpotionError("No."))
    )
    studio = Studio(tmp_path / "recordings", blocking=True)
    studio.source_panel.path.value = str(short_clip)
    studio.source_panel.path_button.click()
    assert "cannot be shown" in studio.see.facts.value and studio.listen.sound.picture == b""
    studio.listen.button.click()
    assert len(studio.session.takes) == 1


def test_a_film_that_came_back_elsewhere_is_opened_anew(short_clip, tmp_path):
    session, film = Session(), tmp_path / "me.mp4"
    film.write_bytes(short_clip.read_bytes())
    gone = session.open(film)
    film.unlink()
    assert session.open(short_clip).video == short_clip and gone.video == film


def test_a_recording_for_no_folder_is_not_lost(studio, short_clip):
    place, studio.source_panel.folder.value = studio.source_panel.folder.value, " "
    studio._on_file(short_clip, "")
    assert "Name the folder" in studio.status.value and str(short_clip) in studio.status.value
    studio.source_panel.folder.value = place


def test_an_export_replaces_no_film_and_is_whole_or_not_there(short_clip, tmp_path, monkeypatch):
    session, film = Session(), tmp_path / "me.mp4"
    film.write_bytes(short_clip.read_bytes())
    kept = session.generate(session.open(film), PROMPT)
    with pytest.raises(ExpotionError, match="input video itself"):
        session.export(kept, tmp_path / "me", overwrite=True)
    monkeypatch.setattr(Take, "save_audio", lambda *_, **__: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        session.export(kept, tmp_path / "take")
    assert [path.name for path in tmp_path.iterdir()] == ["me.mp4"] and film.read_bytes() == short_clip.read_bytes()


def test_a_studio_that_blocks_says_how_to_stop_it(studio):
    said = []
    studio.status.observe(lambda change: said.append((change.new, studio.listen.cancel.disabled)), "value")
    studio.listen.button.click()
    studio.status.unobserve_all("value")
    assert "interrupt" in said[0][0] and "Kept" in said[-1][0] and all(disabled for _, disabled in said)


def test_the_studio_says_on_one_line_what_cannot_be(studio, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"nothing of a film")
    recorder = studio.source_panel.recorder
    browser = Browser(recorder)
    browser.sends(b"no film at all" * 100, "<b>bad</b>.mp4")
    assert "el-bad" in studio.status.value and "not a video" in studio.status.value and "<b>" not in studio.status.value
    for path in ("", "nowhere.mp4", str(tmp_path), str(tmp_path / "broken.mp4")):
        studio.source_panel.path.value = path
        studio.source_panel.path_button.click()
        assert "el-bad" in studio.status.value and studio.status.value.count("\n") == 0
        assert "should not happen" not in studio.status.value and not studio.listen.button.disabled
    prompt, studio.steer.prompt.value = studio.steer.prompt.value, "  "
    studio.listen.button.click()
    assert "prompt is empty" in studio.status.value
    studio.steer.prompt.value = prompt


def test_the_studio_works_beside_the_notebook_and_can_be_stopped(tmp_path):
    studio = Studio(tmp_path, blocking=False)
    studio.source_panel.length.value = 20.0
    studio.source_panel.gesture.values = [0.0, 1.0] * 250
    studio.source_panel.gesture_button.click()
    studio.wait(60)
    made = threading.Event()
    studio.listen.bar.observe(lambda change: change.new > 0.05 and made.set(), "value")
    studio.listen.button.click()
    assert made.wait(60) and studio.listen.button.disabled and not studio.listen.cancel.disabled
    studio.source_panel.clip_button.disabled = False
    studio.source_panel.clip_button.click()
    assert "One thing at a time" in studio.status.value
    studio.listen.cancel.click()
    studio.wait(20)
    (kept,) = studio.session.takes
    assert 0 < kept.frames < 1000 and "stopped" in studio.status.value and not studio.listen.button.disabled


def test_a_blind_test_gives_nothing_away_until_it_is_over(studio, tmp_path):
    while len(studio.session.takes) < 2:
        studio.listen.button.click()
    panel, sent = studio.blind, []
    studio.listen.sound.send = lambda content, buffers=(): sent.append(content)
    panel.place.value, panel.rounds.value = str(tmp_path / "out" / "answers.csv"), 2
    panel.which.value = (0, 1)
    panel.begin.click()
    names = [kept.name for kept in studio.session.takes]
    for number in range(1, 5):
        assert f"Number {number} of 4" in panel.asked.value and panel.questions.layout.display == ""
        shown = panel.asked.value + studio.status.value + panel.result.value + json.dumps(sent)
        assert not any(name in shown for name in names)
        panel.next.click()
        assert "from 1 to 5" in studio.status.value, "nothing was chosen yet"
        for answer in panel.answers.values():
            answer.value = number
        place, panel.place.value = panel.place.value, str(tmp_path)
        panel.next.click()
        assert "cannot be read" in studio.status.value and f"Number {number} of 4" in panel.asked.value
        panel.place.value = place
        panel.next.click()
        assert len(read_ratings(panel.place.value)) == number, "kept at once"
    assert panel.questions.layout.display == "none" and all(name in panel.result.value for name in names[:2])
    ratings = read_ratings(panel.place.value)
    assert sorted(rating.take for rating in ratings) == sorted(2 * names[:2])
    assert {rating.codes for rating in ratings} == {kept.codes_sha256[:12] for kept in studio.session.takes[:2]}
    panel.begin.click()
    panel.stop.click()
    assert "nothing was rated" in studio.status.value and panel.questions.layout.display == "none"
    panel.which.value = (0,)
    panel.begin.click()
    assert "at least two" in studio.status.value


def test_one_channel_is_weighed_alone(gesture):
    panel = SteerPanel()
    panel.reset_curve(gesture.controls)
    panel.alone.value = "smile"
    panel.alone_weight.value = 0.0
    panel.alone.value = "head_pitch"
    assert panel.alone_weight.value == 1.0
    panel.alone_weight.value = 2.0
    assert panel.steering() == Steering(channels={"smile": 0.0, "head_pitch": 2.0})
    assert "smile 0.0, head_pitch 2.0" in panel.alone_said.value
    panel.alone_weight.value = 1.0
    assert panel.steering() == Steering(channels={"smile": 0.0})


def test_a_recording_is_filed_under_its_name_and_opened(studio, short_clip):
    panel = studio.source_panel
    panel.performer.value, panel.title.value, panel.caption.value = "Ben", "waltz", "slow waltz"
    Browser(panel.recorder).sends(short_clip.read_bytes(), "recording.mp4", heard="")
    assert "Ready" in studio.status.value
    (recording,) = RecordedFolder(panel.folder.value).recordings
    assert (recording.performer, recording.path.stem, recording.caption) == ("Ben", "waltz", "slow waltz")


def test_a_recording_keeps_the_words_and_the_song_of_its_time(short_clip, tmp_path):
    """Whoever comes next may change the boxes while the studio is still busy, or while the file arrives."""
    studio = Studio(tmp_path / "all", blocking=True)
    panel, browser = studio.source_panel, Browser(studio.source_panel.recorder)
    panel.performer.value, panel.backing.value = "Ben", "the band: waltz"
    waltz = panel.caption.value
    studio._working = True  # as if music were being made
    browser.sends(short_clip.read_bytes(), "recording.mp4", heard=panel.recorder.backing_name)
    panel.performer.value = "Eve"
    studio._working = False
    panel.backing.value = "clicks"
    assert waltz and panel.caption.value == "", "nobody plays a waltz now"
    browser.sends(short_clip.read_bytes(), "recording.mp4", heard=panel.recorder.backing_name)
    panel.performer.value, panel.backing.value = "Ada", "the band: techno"
    techno = panel.caption.value
    panel.backing.value = "the band: waltz"  # while she is recorded
    browser.sends(short_clip.read_bytes(), "recording.mp4", heard="the band: techno")
    said = {r.performer: (r.caption, r.song) for r in RecordedFolder(tmp_path / "all").recordings}
    assert said == {"Ben": (waltz, "the band: waltz"), "Eve": ("", ""), "Ada": (techno, "the band: techno")}


def test_nothing_is_recorded_before_the_music_to_move_to_is_there(tmp_path):
    studio = Studio(tmp_path / "all", blocking=True)
    panel, played = studio.source_panel, []
    panel.recorder.observe(lambda change: change.new and played.append(panel.recorder.backing_name), "ready")
    studio._working = True  # as if music were being made: the band has to wait
    panel.backing.value = "the band: waltz"
    assert not panel.recorder.ready and panel.recorder.backing == b""
    panel.backing.value = "clicks"
    assert panel.recorder.ready and panel.recorder.backing, "clicks need not wait"
    panel.backing.value = "the band: waltz"
    panel.backing.value = "the band: techno"
    assert not panel.recorder.ready
    studio._do(lambda: None)
    assert panel.recorder.ready and played == ["", "the band: techno"], "what was chosen last, and only that"


def test_somebody_from_before_moves_again(studio):
    first = studio.source
    studio.source_panel.gesture.values = beats_curve(100, 6.0, 150)
    studio.source_panel.gesture_button.click()
    assert studio.source is not first and studio.source_panel.people.value == studio.source.name
    studio.source_panel.people.value = first.name
    assert studio.source is first and "Ready" in studio.status.value and first.name in studio.see.facts.value
    studio.steer.stranger_button.click()
    assert studio.source is first and studio.source_panel.people.value == first.name


def test_see_follows_what_is_compared_and_is_hidden_in_a_blind_test(studio, tmp_path):
    while len(studio.session.takes) < 2:
        studio.listen.button.click()
    studio.takes.a.value, studio.takes.b.value = 0, 1
    studio.takes.compare.click()
    assert studio.session.takes[0].name in studio.see.facts.value
    studio.blind.place.value, studio.blind.which.value = str(tmp_path / "answers.csv"), (0, 1)
    studio.blind.begin.click()
    assert studio.see.layout.display == "none"
    studio.blind.stop.click()
    assert studio.see.layout.display == ""


def test_a_take_made_anew_is_as_long_as_it_was(studio, tmp_path):
    studio.listen.button.click()
    studio.takes.stem.value = str(tmp_path / "take")
    studio.takes.export.click()
    was = studio.source.duration_s
    studio.source_panel.length.value = was + 2
    studio.source_panel.gesture.values = beats_curve(100, was + 2, 100)
    studio.source_panel.gesture_button.click()
    assert studio.source.duration_s == was + 2
    sent, studio.listen.sound.send = [], lambda content, buffers=(): sent.append(content)
    studio.takes.rebuild.click()
    assert [m["total_s"] for m in sent if m["type"] == "start"] == [pytest.approx(was)]


def test_a_take_is_made_anew_in_a_fresh_studio(studio, tmp_path):
    studio.listen.button.click()
    studio.takes.stem.value = str(tmp_path / "take")
    studio.takes.export.click()
    fresh = Studio(tmp_path / "all", blocking=True)
    fresh.takes.recipe.value = str(tmp_path / "take.json")
    fresh.takes.rebuild.click()
    assert "exactly the take" in fresh.status.value and fresh.source.recipe == studio.source.recipe
    fresh.listen.button.click()
    assert len(fresh.session.takes) == 2, "whoever was brought along can be played with"
