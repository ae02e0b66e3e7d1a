"""Controls for the frames that are drawn next: foreseen beats in time, other events after the delay, each once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import find_peaks

from expotion_lite.controls.channels import ADAPTER_CHANNELS, CHANNELS, Controls
from expotion_lite.live import RecentControls, Timeline

DELAY_S, LEAD_S, N = 0.6, 0.3, 5


def _recording(stops, duration_s=14.0, turns=()):
    """Return controls of somebody whose hands arrive at `stops`, and whose nods turn at `turns`, seconds."""
    times = (np.arange(round(duration_s * 50)) + 0.5) / 50
    values = np.zeros((len(times), len(CHANNELS)), np.float32)
    speed = np.full(len(times), 0.3 if len(turns) else 0.0)
    for stop in stops:
        speed = np.maximum(speed, np.interp(times, [stop - 0.25, stop - 0.1, stop, stop + 0.06], [0, 1, 0.6, 0]))
    values[:, CHANNELS.index("left_wrist_y_velocity")] = speed
    for turn in turns:
        bump = np.exp(-0.5 * ((times - turn) / 0.05) ** 2)
        values[:, CHANNELS.index("pulse")] = np.maximum(values[:, CHANNELS.index("pulse")], bump)
    return Controls(values, CHANNELS, 50.0, np.ones(len(times), bool))


def _events(recording, beat=0.5, duration_s=14.0):
    """Let the recording happen, and return when the music has events, and how strong they are."""
    eyes, timeline, rows = RecentControls(recording), Timeline(ADAPTER_CHANNELS, 50.0, DELAY_S, beat), []
    for now in np.arange(0, duration_s, N / 50):
        eyes.now_s = now
        timeline.look(eyes.recent())
        controls, before = timeline.controls(now, now + LEAD_S, N)
        rows.append(controls.values[before : before + N, 0])
    curve = np.concatenate(rows)
    frames, _ = find_peaks(curve, height=0.1)
    return LEAD_S + (frames + 0.5) / 50, curve[frames]


def test_gestures_without_a_beat_are_heard_once_each_and_after_the_delay():
    stops = np.array([1.5, 2.3, 4.1, 4.9, 6.2, 8.9, 10.4, 11.0])
    times, _ = _events(_recording(stops))
    assert len(times) == len(stops)
    np.testing.assert_allclose(times - stops, DELAY_S, atol=0.1)
    assert np.ptp(times - stops) < 0.08, "the rhythm of the gestures is kept"


def test_a_steady_beat_is_heard_as_it_comes():
    beats = 0.6 + 0.55 * np.arange(22)
    times, strengths = _events(_recording((), turns=beats))
    late = times[times > 4.0]
    distances = np.abs(beats[:, None] - late).min(axis=1)[(beats > 4.2) & (beats < 12)]
    assert distances.max() < 0.06 and strengths[times > 4.0].min() > 0.5
    assert np.diff(late).min() > 0.45, "no event is doubled where the beat is corrected"


def test_who_stops_is_not_followed_any_longer():
    beats = 0.6 + 0.5 * np.arange(12)
    times, _ = _events(_recording((), turns=beats))
    assert 0 < (times > beats[-1] + 0.1).sum() <= 3 and times.max() < beats[-1] + 2.0


def test_the_knob_goes_from_gestures_to_the_beat():
    beats, stops = 0.6 + 0.6 * np.arange(20), 0.6 + 0.6 * np.arange(20) + 0.2
    recording = _recording(stops, turns=beats)
    gestures, beat = _events(recording, beat=0.0)[0], _events(recording, beat=1.0)[0]
    in_time = [
        np.abs(times[(times > 5) & (times < 12)][:, None] - beats).min(axis=1).max() < 0.06
        for times in (gestures, beat)
    ]
    assert in_time == [False, True]
    assert np.abs(gestures[gestures > 3][:, None] - (stops + DELAY_S)).min(axis=1).max() < 0.1


def test_before_anybody_is_seen_everything_is_missing():
    controls, before = Timeline(ADAPTER_CHANNELS, 50.0, DELAY_S).controls(0.0, LEAD_S, N)
    assert len(controls.values) > before + N
    assert (controls["face_missing"] == 1).all() and (controls["motion_missing"] == 1).all()
    assert not controls["event"].any()


def test_expressions_come_after_the_delay_and_stay_where_the_future_is_not_known():
    recording = _recording((2.0,))
    smile = np.linspace(0, 1, len(recording.values))
    recording.values[:, CHANNELS.index("smile")] = smile
    eyes, timeline = RecentControls(recording), Timeline(ADAPTER_CHANNELS, 50.0, DELAY_S)
    eyes.now_s = 8.0
    timeline.look(eyes.recent())
    controls, before = timeline.controls(8.0, 8.0 + LEAD_S, N)
    assert controls["smile"][before] == pytest.approx(np.interp(8.0 + LEAD_S - DELAY_S, [0, 14], [0, 1]), abs=0.01)
    assert controls["smile"][-1] == pytest.approx(np.interp(8.0, [0, 14], [0, 1]), abs=0.01)
