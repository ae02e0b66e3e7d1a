"""The live engine: sound that is always ready, follows a person, and changes with them."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from expotion_lite.errors import ExpotionError
from expotion_lite.evaluation.metrics import beat_f_measure, track_beats
from expotion_lite.generation import load_pipeline
from expotion_lite.live import LiveEngine, play_recording
from expotion_lite.live.engine import RESERVE_S
from expotion_lite.musicgen import Settings
from expotion_lite.synthetic.band import compose
from expotion_lite.synthetic.camera import to_landmarks
from expotion_lite.synthetic.people import draw_performer
from expotion_lite.synthetic.performer import perform

PROMPT = "happy rock with guitar, bass and drums"


@pytest.fixture(scope="module")
def pipeline():
    return load_pipeline()


def _nodding(seed, duration_s, tempo_bpm):
    performer = replace(draw_performer(seed), lead="nod", every=1, offbeat=False, nod_deg=12.0, face_seen=True)
    piece = compose(seed, duration_s, style="rock", tempo_bpm=tempo_bpm)
    return piece, to_landmarks(perform(piece, performer), performer)


class _Camera:
    """Show landmarks to an engine as they happen, each 0.06 s after its picture; `hidden` seconds show nobody."""

    def __init__(self, engine, landmarks, hidden=(np.inf, np.inf)):
        self.engine, self.landmarks, self.hidden, self.next = engine, landmarks, hidden, 0

    def __call__(self, now_s):
        times = self.landmarks.times
        while self.next < len(times) and times[self.next] < now_s - 0.06:
            frame = self.landmarks.part(self.next, self.next + 1)
            if self.hidden[0] <= times[self.next] < self.hidden[1]:
                nothing = {name: np.full_like(getattr(frame, name), np.nan) for name in ("face", "body", "head_pose")}
                frame = replace(frame, **nothing, face_found=np.array([False]), body_found=np.array([False]))
            self.engine.see(frame)
            self.next += 1


def _level(audio, rate, start_s, end_s):
    return float(np.sqrt(np.mean(audio[round(start_s * rate) : round(end_s * rate)] ** 2)))


def test_a_steady_person_is_followed_in_time_over_several_windows(pipeline):
    piece, landmarks = _nodding(3, 16.0, 112.0)
    engine = LiveEngine(pipeline, PROMPT, Settings(seed=1))
    audio = play_recording(engine, _Camera(engine, landmarks), 16.0)
    status = engine.status(15.9)
    assert status.tempo_bpm == pytest.approx(112.0, rel=0.04) and status.certainty > 0.8
    assert np.abs(piece.beats - status.next_beat_s).min() < 0.1 or status.next_beat_s > piece.beats[-1]
    beats, true = track_beats(audio, engine.sample_rate), piece.beats
    assert beat_f_measure(beats[beats > 5], true[true > 5]) > 0.6
    assert status.person and status.volume > 0.9 and 15.9 < status.made_s < 16.3


def test_enough_sound_is_always_ready_and_no_more(pipeline):
    engine = LiveEngine(pipeline, PROMPT)
    made = 0
    for now in (10.0, 10.02, 10.3, 10.31, 10.5):
        audio = engine.advance(now)
        made += len(audio)
        ahead_s = made / engine.sample_rate - (now - 10.0)
        assert RESERVE_S <= ahead_s < RESERVE_S + 0.17
        assert audio.dtype == np.float32 and (not len(audio) or np.abs(audio).max() <= 1)
    engine.skip(0.5)
    assert not len(engine.advance(10.6)), "after a pause of the sound, what is ready lasts longer"
    assert len(engine.advance(20.0)) < 0.5 * engine.sample_rate, "what was missed is not made up for"


def test_music_fades_when_nobody_is_there_and_comes_back_with_them(pipeline):
    _, landmarks = _nodding(3, 14.0, 112.0)
    engine = LiveEngine(pipeline, PROMPT)
    audio, rate = play_recording(engine, _Camera(engine, landmarks, hidden=(5.0, 10.0)), 14.0), engine.sample_rate
    before, during, after = (_level(audio, rate, *span) for span in ((3.0, 5.0), (8.5, 10.0), (11.5, 14.0)))
    assert during < 0.1 * before and after > 0.3 * before
    silent = LiveEngine(pipeline, PROMPT)
    assert _level(play_recording(silent, lambda now: None, 2.0), rate, 0, 2) < 1e-6


def test_a_person_who_sits_still_is_played_for_quietly(pipeline):
    performer = replace(draw_performer(3), fidget=0.0, jitter=0.0, face_seen=True, body_seen=True)
    piece = replace(compose(3, 12.0), beats=np.zeros(0), downbeats=np.zeros(0), accents=np.zeros(0))
    engine = LiveEngine(pipeline, PROMPT)
    play_recording(engine, _Camera(engine, to_landmarks(perform(piece, performer), performer)), 10.0)
    assert engine.status(10.0).person and engine.status(10.0).volume < 0.35


def test_prompt_settings_and_beat_change_while_it_plays(pipeline):
    engine, other = (LiveEngine(pipeline, PROMPT, Settings(seed=4)) for _ in range(2))
    np.testing.assert_array_equal(engine.advance(0.0), other.advance(0.0))
    with pytest.raises(ExpotionError, match="empty"):
        engine.change(prompt=" ", beat=1.0)
    assert engine._timeline.beat == 0.5
    engine.change(prompt="calm piano", settings=Settings(guidance=5.0, visual_guidance=1.0), beat=1.0)
    assert engine._timeline.beat == 1.0
    assert [len(each.advance(1.0)) for each in (engine, other)]
    engine.change(settings=Settings(guidance=0.0))
    assert len(engine.advance(2.0))


def test_threads_may_report_change_and_advance_at_once(pipeline):
    _, landmarks = _nodding(3, 6.0, 112.0)
    engine, failures = LiveEngine(pipeline, PROMPT), []

    def attempt(work):
        try:
            work()
        except Exception as error:
            failures.append(error)

    def show():
        for i in range(len(landmarks.times)):
            engine.see(landmarks.part(i, i + 1))

    def change():
        for beat in np.linspace(0, 1, 50):
            engine.change(prompt=PROMPT, beat=float(beat))
            engine.status(1.0)

    threads = [threading.Thread(target=attempt, args=(work,)) for work in (show, change)]
    for thread in threads:
        thread.start()
    total = sum(len(engine.advance(now)) for now in np.arange(0, 3, 0.1))
    for thread in threads:
        thread.join()
    assert not failures and total >= 3.0 * engine.sample_rate


def test_without_an_adapter_it_plays_what_the_words_say():
    engine = LiveEngine(load_pipeline(adapter=None), PROMPT)
    assert len(engine.advance(0.0)) and engine.status(0.0).tempo_bpm is None
