"""Synthetic performers: they turn on the beats, show the mood of the music, and MediaPipe sees their movements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest

from expotion_lite.assets import example_clip
from expotion_lite.errors import ExpotionError
from expotion_lite.landmarks.extraction import BLENDSHAPES, Landmarks, extract_landmarks
from expotion_lite.synthetic.camera import LOWER_LIDS, UPPER_LIDS, to_landmarks
from expotion_lite.synthetic.people import Performer, draw_performer
from expotion_lite.synthetic.performer import main, perform
from expotion_lite.synthetic.photograph import LOWER_LIP, UPPER_LIP, render_frames
from expotion_lite.video.reading import probe

STEADY = {
    "lead": "nod",
    "nod_deg": 16.0,
    "every": 1,
    "offbeat": False,
    "timing_sd_s": 0.0,
    "size_sd": 0.05,
    "fidget": 0.0,
    "uneven": False,
    "frame_rate": 60.0,
    "face_seen": True,
    "body_seen": True,
    "losses_per_s": 0.0,
}


@dataclass(frozen=True)
class Music:
    """The parts of a piece that a performer reacts to: a steady beat in four."""

    seed: int
    mode: str
    tempo_bpm: float
    duration_s: float
    beats: np.ndarray
    downbeats: np.ndarray
    accents: np.ndarray
    energy: np.ndarray


def music(
    seed: int = 0, mode: str = "major", tempo_bpm: float = 100.0, duration_s: float = 10.0, energy: float = 0.7
) -> Music:
    beats = np.arange(0.2, duration_s, 60 / tempo_bpm)
    accents = beats[5::8]
    loud = np.full(round(50 * duration_s), energy)
    return Music(seed, mode, tempo_bpm, duration_s, beats, beats[1::4], accents, loud)


def steady(seed: int = 0, **habits: object) -> Performer:
    return replace(draw_performer(seed), **(STEADY | habits))


def peaks(times: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Times of the local maxima of a curve, interpolated by parabolas (a pitch is largest where the chin is lowest)."""
    k = np.flatnonzero((curve[1:-1] > curve[:-2]) & (curve[1:-1] >= curve[2:]) & (curve[1:-1] > curve.mean())) + 1
    before, at, after = curve[k - 1], curve[k], curve[k + 1]
    return times[k] + (times[1] - times[0]) * 0.5 * (before - after) / (before - 2 * at + after)


@pytest.mark.parametrize("lateness_s", [-0.03, 0.0, 0.06])
@pytest.mark.parametrize("tempo_bpm", [64.0, 100.0, 148.0])
def test_nods_reach_their_lowest_point_on_the_beat_plus_the_personal_lateness(
    lateness_s: float, tempo_bpm: float
) -> None:
    piece = music(tempo_bpm=tempo_bpm)
    take = perform(piece, steady(lateness_s=lateness_s))
    expected = piece.beats + lateness_s
    expected = expected[(expected > 0.1) & (expected < 9.9)]
    found = peaks(take.times, take.curves["pitch"].astype(float))
    found = found[(found > expected[0] - 0.1) & (found < expected[-1] + 0.1)]
    np.testing.assert_allclose(found, expected, atol=0.012)


def test_a_window_agrees_with_the_whole_take() -> None:
    piece, person = music(), steady(fidget=0.5)
    whole, part = perform(piece, person, seed=4), perform(piece, person, seed=4, start_s=2.0, duration_s=3.0)
    assert part.times[0] == 0.0
    for name in whole.curves:
        there = np.interp(part.times + 2.0, whole.times, whole.curves[name])
        np.testing.assert_allclose(part.curves[name], there, atol=1e-4)


def test_downbeat_performers_nod_once_a_bar() -> None:
    piece = music(tempo_bpm=120.0)
    take = perform(piece, steady(every=4, lateness_s=0.0))
    found = peaks(take.times, take.curves["pitch"].astype(float))
    np.testing.assert_allclose(found, piece.downbeats[: len(found)], atol=0.012)
    assert len(found) == len(piece.downbeats)


def test_faces_smile_more_in_major_and_frown_more_in_minor() -> None:
    takes = {
        mode: [perform(music(s, mode), draw_performer(s)).curves for s in range(40)] for mode in ("major", "minor")
    }
    mean = {mode: {k: np.array([t[k].mean() for t in ts]) for k in takes["major"][0]} for mode, ts in takes.items()}
    assert (mean["major"]["smile"] > mean["minor"]["smile"]).mean() > 0.95
    assert (mean["minor"]["frown"] > mean["major"]["frown"]).mean() > 0.95
    assert (mean["minor"]["brow_down"] > mean["major"]["brow_down"]).mean() > 0.95


def test_movement_grows_with_the_music() -> None:
    soft, loud = (perform(music(energy=e), steady()).curves for e in (0.1, 0.9))
    assert np.ptp(loud["pitch"]) > 1.6 * np.ptp(soft["pitch"])


def test_brows_rise_at_accents_only() -> None:
    piece = music()
    curves = [(t := perform(piece, steady(seed, expressivity=1.0))).curves["brow_up"] for seed in range(20)]
    mean = np.mean(curves, axis=0)
    distance = np.abs(t.times[:, None] - piece.accents).min(axis=1)
    assert mean[distance < 0.05].min() > 0.2
    assert mean[distance > 0.8].max() == 0.0


def test_curves_are_continuous_and_in_range() -> None:
    for seed in range(30):
        person = replace(draw_performer(seed), frame_rate=60.0, uneven=False)
        curves = perform(music(seed), person).curves
        for name in ("smile", "frown", "brow_up", "brow_down", "jaw", "blink"):
            assert curves[name].min() >= 0.0 and curves[name].max() <= 1.0
        assert np.abs(np.diff(curves["pitch"])).max() < 4.5  # degrees from frame to frame
        assert np.abs(np.diff(curves["sway"])).max() < 0.08


def test_everybody_has_a_strong_rhythmic_movement_and_most_move_on_every_beat() -> None:
    crowd = [draw_performer(seed) for seed in range(500)]
    assert all(p.nod_deg > 3 or p.bounce > 0.1 or p.conduct > 0.5 or p.tap > 0.1 for p in crowd)
    assert np.mean([p.lead == "nod" for p in crowd]) > 0.45
    assert np.mean([p.every == 1 and not p.offbeat for p in crowd]) > 0.75
    assert all(p.face_seen or p.body_seen for p in crowd)
    assert all(-0.03 <= p.lateness_s <= 0.06 for p in crowd)


def test_frame_times_are_those_of_the_camera() -> None:
    even = perform(music(), steady(frame_rate=29.97)).times
    np.testing.assert_allclose(even, np.arange(len(even)) / 29.97, atol=1e-9)
    uneven = perform(music(), steady(frame_rate=25.0, uneven=True)).times
    assert uneven[0] == 0 and (np.diff(uneven) > 0).all()
    assert np.diff(uneven).std() > 0.004
    assert 9.0 < uneven[-1] <= 10.0


def test_the_same_seeds_give_the_same_landmarks_and_other_seeds_give_others() -> None:
    person = draw_performer(5)
    first, again = (to_landmarks(perform(music(), person, seed=2), person) for _ in range(2))
    for name in ("times", "face", "blendshapes", "head_pose", "body"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    other = perform(music(), person, seed=3).curves["pitch"]
    assert not np.array_equal(other, perform(music(), person, seed=2).curves["pitch"])


def test_landmarks_move_in_the_directions_of_the_curves() -> None:
    person = steady(jitter=1e-4, view_deg=(0.0, 0.0, 0.0))
    take = perform(music(), person)
    still = {name: np.zeros_like(curve) for name, curve in take.curves.items()}

    def seen(**values: float) -> Landmarks:
        curves = {name: still[name] + np.float32(value) for name, value in values.items()}
        return to_landmarks(replace(take, curves=still | curves), person)

    rest = seen()
    assert seen(pitch=15).face[0, 1, 1] > rest.face[0, 1, 1]  # chin down: the nose moves down
    assert seen(yaw=15).face[0, 1, 0] > rest.face[0, 1, 0]  # to the right of the image
    tilted = seen(roll=15).face[0]
    assert tilted[263, 1] > tilted[33, 1]  # clockwise: the eye at the right of the image moves down
    assert rest.face[0, 263, 0] > rest.face[0, 33, 0] and rest.body[0, 11, 0] > rest.body[0, 12, 0]
    assert rest.face[0, 10, 1] < rest.face[0, 468, 1] < rest.face[0, 1, 1] < rest.face[0, 152, 1] < rest.body[0, 11, 1]
    assert seen(shoulders=0.2).body[0, 11, 1] < rest.body[0, 11, 1]
    wide, smiling = (x.face[0, 291, 0] - x.face[0, 61, 0] for x in (rest, seen(smile=1)))
    assert smiling > 1.1 * wide
    assert seen(smile=0.8).blendshapes[:, BLENDSHAPES.index("mouthSmileLeft")].mean() > 0.25
    np.testing.assert_allclose(seen(pitch=12, yaw=-7, roll=3).head_pose.mean(0), [12, -7, 3], atol=0.05)


def test_lids_and_lips_are_those_of_mediapipe() -> None:
    from mediapipe.tasks.python.vision import FaceLandmarksConnections as Mesh

    lips = [(edge.start, edge.end) for edge in Mesh.FACE_LANDMARKS_LIPS]
    assert set(pairwise((78, *UPPER_LIP, 308))) | set(pairwise((78, *LOWER_LIP, 308))) <= set(lips)
    meets = dict(zip(UPPER_LIDS, LOWER_LIDS, strict=True))
    for eye in (Mesh.FACE_LANDMARKS_RIGHT_EYE, Mesh.FACE_LANDMARKS_LEFT_EYE):
        lower, upper = ([edge.end for edge in eye[half]] for half in (slice(0, 7), slice(8, 15)))
        assert [meets[point] for point in upper] == lower


def test_lost_frames_are_flagged_and_nan() -> None:
    person = replace(draw_performer(1), losses_per_s=1.0, face_seen=True, body_seen=True)
    seen = to_landmarks(perform(music(), person), person)
    assert 0.1 < seen.face_found.mean() < 0.95
    for values, found in (
        (seen.face, seen.face_found),
        (seen.blendshapes, seen.face_found),
        (seen.head_pose, seen.face_found),
        (seen.body, seen.body_found),
    ):
        rows = values.reshape(len(found), -1)
        assert np.isnan(rows[~found]).all() and np.isfinite(rows[found]).all()
    hidden = replace(person, face_seen=False)
    assert not to_landmarks(perform(music(), hidden), hidden).face_found.any()


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ExpotionError, match="lasts 10 s"):
        perform(music(), steady(), start_s=8.0, duration_s=3.0)
    with pytest.raises(ExpotionError, match="seed"):
        draw_performer(-1)
    with pytest.raises(ExpotionError, match="even sides"):
        render_frames(perform(music(), steady()), size=(481, 480))


def test_music_without_beats_still_gets_a_performance() -> None:
    empty = np.zeros(0)
    take = perform(replace(music(), beats=empty, downbeats=empty, accents=empty), draw_performer(2))
    assert all(np.isfinite(curve).all() for curve in take.curves.values())


@pytest.mark.parametrize("size", [(480, 480), (640, 360), (360, 640)])
def test_pictures_have_the_size_and_number_asked_for(size: tuple[int, int]) -> None:
    take = perform(music(), steady(frame_rate=15.0), duration_s=0.2)
    frames = list(render_frames(take, size=size))
    assert [frame.time_s for frame in frames] == take.times.tolist()
    assert all(frame.image.shape == (size[1], size[0], 3) and frame.image.dtype == np.uint8 for frame in frames)
    assert 60 < frames[0].image.mean() < 200


@pytest.mark.slow
def test_mediapipe_sees_the_nods_in_the_pixels() -> None:
    person = steady(frame_rate=15.0, sway=0.2, tilt_deg=4.0, bounce=0.0, nod_deg=15.0)
    take = perform(music(), person, duration_s=3.0)
    seen = extract_landmarks(render_frames(take), progress=False)
    assert seen.face_found.all() and seen.body_found.all()
    assert (seen.body[:, 11:13, 3] > 0.5).all()
    for measured, curve in (
        (seen.head_pose[:, 0], "pitch"),
        (seen.face[:, 1, 1], "pitch"),
        (seen.head_pose[:, 2], "roll"),
    ):
        assert np.corrcoef(measured, take.curves[curve])[0, 1] > 0.8
    assert np.ptp(seen.face[:, 1, 1]) * 480 > 8  # pixels


def test_the_command_writes_a_clip_and_keeps_an_existing_one(tmp_path, monkeypatch, capsys) -> None:
    short = perform(music(), steady(frame_rate=15.0), duration_s=0.4)
    monkeypatch.setattr("expotion_lite.synthetic.performer.bundled_performance", lambda seed: short)
    assert main([str(tmp_path / "clip.mp4")]) == 0
    info = probe(tmp_path / "clip.mp4")
    assert (info.frames, info.has_audio, info.codec) == (6, False, "h264")
    before = (tmp_path / "clip.mp4").read_bytes()
    assert main([str(tmp_path / "clip.mp4")]) == 2
    assert "exists" in capsys.readouterr().err
    assert (tmp_path / "clip.mp4").read_bytes() == before


@pytest.mark.slow
def test_mediapipe_finds_face_and_shoulders_in_every_frame_of_the_bundled_clip() -> None:
    seen = extract_landmarks(example_clip(), progress=False)
    assert len(seen.times) == 250 and seen.face_found.all() and seen.body_found.all()
    assert seen.body[:, 11:13, 3].min() > 0.5, "visibility of the shoulders"
