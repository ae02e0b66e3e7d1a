"""Extraction: a movement appears in the right channel, at the right time, with the right size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stick_people import even_times, stick_person, uneven_times

from expotion_lite.controls.channels import (
    CHANNELS,
    EXPRESSION_CHANNELS,
    MISSING_CHANNELS,
    MOTION_CHANNELS,
)
from expotion_lite.controls.extraction import extract_controls
from expotion_lite.controls.resampling import frame_times
from expotion_lite.errors import ExpotionError

CLOCKS = {
    "14.8 fps": even_times(14.8, 12),
    "25 fps": even_times(25, 12),
    "29.97 fps": even_times(29.97, 12),
    "60 fps": even_times(60, 12),
    "uneven": uneven_times(24, 12),
}
any_clock = pytest.mark.parametrize("times", CLOCKS.values(), ids=CLOCKS)
NAN = np.nan


def nodding(times, hz=1.7, first_s=0.4):
    """Return a nod: 1 at the bottom, 0 at the top; bottoms at first_s, first_s + 1 / hz, ..."""
    return 0.5 + 0.5 * np.cos(2 * np.pi * hz * (times - first_s))


def pulses(controls, least=0.3):
    """Return the times of the bumps, to a fraction of a frame."""
    pulse = controls["pulse"]
    k = np.flatnonzero((pulse[1:-1] > pulse[:-2]) & (pulse[1:-1] >= pulse[2:]) & (pulse[1:-1] > least)) + 1
    before, here, after = pulse[k - 1], pulse[k], pulse[k + 1]
    return controls.times[k] + 0.5 * (before - after) / (before - 2 * here + after) / controls.frame_rate


def assert_at(found, first_s, step_s, begin_s, end_s, within_s=0.04):
    """Assert that pulses between begin and end are at first_s + k * step_s for whole k, and none is missing."""
    expected = first_s + step_s * np.arange(-2, np.ceil(end_s / step_s) + 2)
    assert np.abs(found[:, None] - expected).min(axis=1)[(found > begin_s) & (found < end_s)].max() < within_s
    wanted = expected[(expected > begin_s) & (expected < end_s)]
    assert np.abs(found - wanted[:, None]).min(axis=1).max() < within_s


def without(landmarks, face=slice(0, 0), body=slice(0, 0)):
    """Return the landmarks without the face or the body in some frames."""
    changed = {name: getattr(landmarks, name).copy() for name in ("face", "blendshapes", "head_pose", "body")}
    found = {name: getattr(landmarks, name).copy() for name in ("face_found", "body_found")}
    for name in ("face", "blendshapes", "head_pose"):
        changed[name][face] = NAN
    changed["body"][body] = NAN
    found["face_found"][face] = False
    found["body_found"][body] = False
    return replace(landmarks, **changed, **found)


# The channels


EXPRESSIONS = {
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "frown": ("mouthFrownLeft", "mouthFrownRight"),
    "brows_up": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "brows_down": ("browDownLeft", "browDownRight"),
    "eyes_wide": ("eyeWideLeft", "eyeWideRight"),
    "eyes_closed": ("eyeBlinkLeft", "eyeBlinkRight"),
    "cheek_raise": ("eyeSquintLeft", "eyeSquintRight"),
    "jaw_open": ("jawOpen",),
    "mouth_pucker": ("mouthPucker",),
    "mouth_press": ("mouthPressLeft", "mouthPressRight"),
}


@pytest.mark.parametrize(("channel", "shapes"), EXPRESSIONS.items())
def test_an_expression_moves_its_own_channel_only(channel, shapes):
    times = even_times(30, 8)
    on = (times > 4) & (times < 6)
    controls = extract_controls(stick_person(times, **dict.fromkeys(shapes, 0.8 * on)))
    inside = (controls.times > 4.3) & (controls.times < 5.7)
    assert controls[channel][inside].min() > 0.8
    assert np.abs(controls[channel][controls.times < 3.7]).max() < 0.1
    for other in set(EXPRESSIONS) - {channel}:
        assert np.abs(controls[other]).max() < 0.1


MOTIONS = {
    "head_pitch": ("pitch", 8.0),
    "head_yaw": ("yaw", 12.0),
    "head_roll": ("roll", 8.0),
    "head_x": ("x", 0.3),
    "head_y": ("y", 0.3),
    "shoulders_x": ("shoulders_x", 0.15),
    "shoulders_y": ("shoulders_y", 0.15),
    "left_wrist_x": ("left_wrist_x", 0.6),
    "right_wrist_y": ("right_wrist_y", 0.6),
    "left_elbow_x": ("left_elbow_x", 0.3),
    "right_elbow_y": ("right_elbow_y", 0.3),
}


@any_clock
@pytest.mark.parametrize(("channel", "part", "size"), [(k, *v) for k, v in MOTIONS.items()])
def test_a_motion_has_position_velocity_and_energy(times, channel, part, size):
    """For a sine of 1 Hz: position in phase, velocity a quarter ahead, energy steady, each up to about 1."""
    controls = extract_controls(stick_person(times, jitter=0.1, **{part: size * np.sin(2 * np.pi * times)}))
    inside = (controls.times > 1) & (controls.times < 11)
    for name, shift_s in ((channel, 0.0), (f"{channel}_velocity", 0.25)):
        wave = (controls[name] * np.exp(-2j * np.pi * controls.times))[inside].sum()
        assert abs((np.angle(wave) + np.pi / 2) / (2 * np.pi) - shift_s) < 0.01
        assert 0.85 < 2 * abs(wave) / inside.sum() < 1.15
    energy = controls[
        f"{channel.removesuffix('_x').removesuffix('_y')}_energy"
        if "wrist" in channel or "elbow" in channel
        else f"{channel}_energy"
    ]
    assert energy[inside].mean() > 0.7 and energy[inside].min() > 0.4
    assert controls["motion_energy"][inside].mean() > 0.7


def test_coming_nearer_shows_in_head_z():
    times = even_times(30, 10)
    person = stick_person(times)
    middle = np.array([0.5, 0.4, 0.0], np.float32)
    zoom = (1 + 0.2 * np.sin(2 * np.pi * 0.5 * times)).astype(np.float32)[:, None, None]
    controls = extract_controls(replace(person, face=middle + zoom * (person.face - middle)))
    assert np.corrcoef(controls["head_z"], np.sin(2 * np.pi * 0.5 * controls.times))[0, 1] > 0.98


def test_elbows_have_an_energy():
    times = even_times(30, 10)
    controls = extract_controls(stick_person(times, left_elbow_y=0.3 * np.sin(6 * times) * (times > 5)))
    assert controls["left_elbow_energy"][controls.times > 5.5].min() > 0.5
    assert controls["left_elbow_energy"][controls.times < 4.5].max() < 0.1
    assert controls["right_elbow_energy"].max() < 0.1


# Size and range


def test_distance_and_shape_of_the_picture_change_nothing():
    times = uneven_times(30, 10)
    motion = {"pitch": 8 * nodding(times), "x": 0.3 * np.sin(3 * times), "right_wrist_x": 0.5 * np.sin(4 * times)}
    near = stick_person(times, size=60, **motion)
    middle = np.float32(0.4)
    face, body = middle + 0.4 * (near.face - middle), near.body.copy()
    body[:, :, :2] = middle + 0.4 * (body[:, :, :2] - middle)
    far = replace(near, face=face, body=body)
    wide = stick_person(times, width=1280, height=480, size=60, **motion)
    for other in (far, wide):
        np.testing.assert_allclose(extract_controls(other).values, extract_controls(near).values, atol=2e-3)


def test_a_turned_head_does_not_look_like_a_smaller_one():
    """Turned for a third of the clip, the eyes come closer in the picture: translations keep their size."""
    times = even_times(30, 12)
    person = stick_person(times, x=0.3 * np.sin(2 * np.pi * times))
    turned = person.face.copy()
    turned[240:, :, 0] = 0.5 + 0.5 * (turned[240:, :, 0] - 0.5)
    left = (extract_controls(person).times > 1) & (extract_controls(person).times < 7)
    before, after = extract_controls(person)["head_x"], extract_controls(replace(person, face=turned))["head_x"]
    np.testing.assert_allclose(after[left], before[left], atol=0.1)


def test_large_and_small_movers_fill_the_same_range():
    times = even_times(30, 10)
    sizes = [
        extract_controls(stick_person(times, pitch=size * np.sin(9 * times)))["head_pitch"].std() for size in (6, 25)
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


@pytest.mark.parametrize("seed", range(5))
@any_clock
def test_jitter_of_a_person_who_sits_still_stays_small_and_makes_no_pulse(times, seed):
    """Noise of a third of a pixel at an eye distance of 60, and of a third of a degree; for the pulse, twice that."""
    assert (extract_controls(stick_person(times, jitter=0.6, seed=seed))["pulse"] == 0).all()
    controls = extract_controls(stick_person(times, jitter=0.3, seed=seed))
    inside = (controls.times > 0.3) & (controls.times < 11.7)
    for name in MOTION_CHANNELS:
        assert np.abs(controls[name][inside]).max() < 0.4, name


def test_a_smile_worn_throughout_is_not_neutral():
    times = even_times(30, 10)
    controls = extract_controls(stick_person(times, mouthSmileLeft=0.7, mouthSmileRight=0.7))
    assert controls["smile"].min() > 0.8


def test_slow_drift_on_the_chair_does_not_drown_the_nods():
    times = even_times(30, 30)
    still = extract_controls(stick_person(times, y=0.2 * nodding(times)))
    drifting = extract_controls(stick_person(times, y=0.2 * nodding(times) + 0.05 * times))
    inside = (still.times > 4) & (still.times < 26)
    np.testing.assert_allclose(drifting["head_y"][inside], still["head_y"][inside], atol=0.3)
    assert drifting["head_y"][inside].std() > 0.8 * still["head_y"][inside].std()


def test_values_are_bounded_whatever_happens():
    times = even_times(30, 10)
    random = np.random.default_rng(0)
    person = stick_person(times, jitter=40.0, pitch=random.choice([0, 90], 300))
    controls = extract_controls(person)
    assert np.abs(controls.values).max() <= 1.5
    for name in CHANNELS:
        if name.endswith(("energy", "pulse", "event", "activity", "flow", "missing")):
            assert controls[name].min() >= 0 and controls[name].max() <= 1, name


# The pulse


@any_clock
@pytest.mark.parametrize("hz", [0.8, 1.7, 2.6])
def test_a_nods_bottom_is_a_pulse(times, hz):
    person = stick_person(times, jitter=0.2, pitch=8 * nodding(times, hz), y=0.08 * nodding(times, hz))
    assert_at(pulses(extract_controls(person)), 0.4, 1 / hz, 0.25, 11.75)


@any_clock
def test_a_conductors_lowest_point_is_a_pulse(times):
    beat = nodding(times, 1.5) ** 2
    person = stick_person(times, jitter=0.4, right_wrist_y=0.6 * beat, right_wrist_x=0.2 * np.sin(np.pi * 1.5 * times))
    assert_at(pulses(extract_controls(person)), 0.4, 1 / 1.5, 0.25, 11.75)


@any_clock
def test_a_bounces_bottom_is_a_pulse(times):
    person = stick_person(times, jitter=0.3, shoulders_y=0.12 * nodding(times, 2.0))
    assert_at(pulses(extract_controls(person)), 0.4, 0.5, 0.25, 11.75)


@any_clock
def test_both_ends_of_a_sway_are_pulses(times):
    person = stick_person(
        times, jitter=0.4, x=0.4 * np.cos(2 * np.pi * 0.6 * (times - 0.4)), pitch=0.5 * nodding(times)
    )
    assert_at(pulses(extract_controls(person)), 0.4, 1 / 1.2, 0.25, 11.75)


@any_clock
def test_quick_down_slow_up_is_still_within_40_ms(times):
    phase = (times - 0.5) % 0.8
    down = np.where(
        phase < 0.5, 0.5 + 0.5 * np.cos(np.pi * phase / 0.5), 0.5 - 0.5 * np.cos(np.pi * (phase - 0.5) / 0.3)
    )
    person = stick_person(times, jitter=0.2, pitch=9 * down)
    assert_at(pulses(extract_controls(person)), 0.5, 0.8, 0.25, 11.75)


def test_the_pulse_follows_the_dominant_motion():
    """Nods for half of the time, then a bounce of the shoulders at another pace."""
    times = even_times(30, 30)
    first = times < 15
    person = stick_person(
        times,
        jitter=0.3,
        pitch=10 * first * nodding(times, 1.25, 0.4),
        shoulders_y=0.15 * ~first * nodding(times, 2, 0),
    )
    found = pulses(extract_controls(person))
    assert_at(found, 0.4, 0.8, 0.25, 13)
    assert_at(found, 17, 0.5, 17, 29.75)


def test_a_single_change_of_posture_is_no_pulse():
    times = even_times(30, 10)
    assert (extract_controls(stick_person(times, pitch=15.0 * (times > 5), jitter=0.3))["pulse"] == 0).all()


def test_a_pulse_is_a_bump_of_about_a_tenth_of_a_second():
    times = even_times(30, 10)
    pulse = extract_controls(stick_person(times, pitch=8 * nodding(times, 1.0)))["pulse"]
    assert 0.8 < pulse.max() <= 1
    assert 0.08 < (pulse > 0.5 * pulse.max()).sum() / 50 / 10 < 0.16


# What is missing


def test_without_a_person_all_is_zero_and_flagged():
    times = even_times(30, 4)
    controls = extract_controls(without(stick_person(times), slice(None), slice(None)))
    for name in CHANNELS:
        assert (controls[name] == (1.0 if name in MISSING_CHANNELS else 0.0)).all(), name
    assert not controls.found.any()


def test_short_gaps_are_filled_and_long_ones_are_flagged():
    times = even_times(30, 10)
    person = stick_person(times, pitch=8 * nodding(times), right_wrist_y=0.4 * nodding(times))
    whole = extract_controls(person)
    blink = extract_controls(without(person, face=slice(100, 103)))
    assert not blink["face_missing"].any() and blink.found.all()
    np.testing.assert_allclose(blink["head_pitch"], whole["head_pitch"], atol=0.15)
    long = extract_controls(without(person, face=slice(150, 240)))
    lost = long["face_missing"] == 1
    assert abs(lost.sum() / 50 - 3) < 0.05 and long.times[lost][0] == pytest.approx(5, abs=0.03)
    for name in CHANNELS:
        if name.startswith("head") or name in EXPRESSION_CHANNELS:
            assert (long[name][lost] == 0).all(), name
    assert not long["body_missing"].any()
    np.testing.assert_array_equal(long["right_wrist_y"], whole["right_wrist_y"])


def test_found_tells_where_a_person_was_seen():
    times = even_times(25, 4)
    controls = extract_controls(without(stick_person(times), face=slice(0, 50), body=slice(25, 75)))
    assert controls.found.dtype == bool
    assert abs((~controls.found).sum() / 50 - 1) < 0.05


@pytest.mark.parametrize("away", ["out of the picture", "not visible"])
def test_arms_that_the_camera_does_not_see_are_missing(away):
    times = even_times(30, 6)
    person = stick_person(times, left_wrist_y=0.4 * nodding(times), right_wrist_y=0.4 * nodding(times))
    body = person.body.copy()
    hidden = {"out of the picture": (1, 1.3), "not visible": (3, 0.2)}[away]
    body[:, 15, hidden[0]] = hidden[1]
    one = extract_controls(replace(person, body=body))
    assert not one["arms_missing"].any() and (one["left_wrist_y"] == 0).all() and one["right_wrist_y"].std() > 0.3
    body[:, 16, hidden[0]] = hidden[1]
    none = extract_controls(replace(person, body=body))
    assert none["arms_missing"].all() and not none["body_missing"].any()


def test_without_shoulders_there_is_no_body():
    person = stick_person(even_times(30, 6))
    body = person.body.copy()
    body[:, 11, 3] = 0.1
    controls = extract_controls(replace(person, body=body))
    assert controls["body_missing"].all() and controls["arms_missing"].all() and not controls["face_missing"].any()


def test_noise_holes_and_odd_numbers_never_leave_a_nan():
    random = np.random.default_rng(1)
    person = stick_person(uneven_times(20, 8), jitter=1.0)
    for name in ("face", "blendshapes", "head_pose", "body"):
        array = getattr(person, name)
        array[random.random(array.shape) < 0.3] = NAN
    person.face[::7, 33] = person.face[::7, 263]  # both eyes at one place
    assert np.isfinite(extract_controls(person).values).all()
    collapsed = replace(person, face=np.full_like(person.face, 0.5), body=np.full_like(person.body, 0.9))
    assert np.isfinite(extract_controls(collapsed).values).all()


# Length, methods, determinism


@pytest.mark.parametrize("n_frames", [1, 2, 5])
def test_a_clip_of_a_few_frames_works(n_frames):
    controls = extract_controls(stick_person(even_times(30, n_frames / 30)))
    assert np.isfinite(controls.values).all() and controls.values.shape[1] == len(CHANNELS)


@pytest.mark.parametrize(("duration_s", "frames"), [(None, 500), (10.0, 500), (10.4, 520), (7.3, 365)])
def test_the_length_is_the_clips(duration_s, frames):
    controls = extract_controls(stick_person(even_times(25, 10)), duration_s=duration_s)
    assert controls.values.shape == (frames, len(CHANNELS)) and controls.values.dtype == np.float32
    assert controls.frame_rate == 50.0 and controls.found.shape == (frames,)
    assert controls.times[0] == 0.01


@pytest.mark.parametrize("method", ["savgol", "moving_average", "kalman", "none"])
def test_every_method_without_lag_finds_the_nods(method):
    times = even_times(30, 10)
    person = stick_person(times, jitter=0.2, pitch=8 * nodding(times))
    assert_at(pulses(extract_controls(person, method=method)), 0.4, 1 / 1.7, 0.25, 9.75)


def test_unsmoothed_controls_have_slopes_from_frame_to_frame():
    times = frame_times(500, 50.0)
    person = stick_person(times, jitter=1.0, pitch=8 * nodding(times))
    raw, smoothed = (extract_controls(person, method=method) for method in ("none", "savgol"))
    slope = np.gradient(raw["head_pitch"], raw.times)[1:-1]
    assert np.corrcoef(slope, raw["head_pitch_velocity"][1:-1])[0, 1] > 0.9  # but for the soft clipping
    wild, calm = (np.abs(np.diff(each["head_pitch_velocity"])).mean() for each in (raw, smoothed))
    assert wild > 3 * calm


def test_the_same_landmarks_give_the_same_controls():
    person = stick_person(uneven_times(30, 10), jitter=1.0)
    np.testing.assert_array_equal(extract_controls(person).values, extract_controls(person).values)


def test_five_minutes_stay_aligned():
    times = uneven_times(29.97, 300)
    found = pulses(extract_controls(stick_person(times, pitch=8 * nodding(times, 1.6), jitter=0.3), duration_s=300.0))
    assert_at(found, 0.4, 1 / 1.6, 0.25, 299.75)


def test_bad_input_is_named():
    person = stick_person(even_times(30, 3))
    empty = replace(
        person, **{name: value[:0] for name, value in vars(person).items() if isinstance(value, np.ndarray)}
    )
    with pytest.raises(ExpotionError, match="no video frames"):
        extract_controls(empty)
    with pytest.raises(ExpotionError, match="savgol"):
        extract_controls(person, method="magic")
    with pytest.raises(ExpotionError, match="max_gap_s"):
        extract_controls(person, max_gap_s=-1.0)
