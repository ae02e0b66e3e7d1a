"""Landmarks of a photograph that is moved, turned and hidden; the threads; bad input; saved landmarks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from astronaut import IRISES, MOUTH, NOSE, extract, film, needs_models, same, scene

import expotion_lite
from expotion_lite.errors import Cancelled, ExpotionError
from expotion_lite.landmarks.extraction import BLENDSHAPES, Landmarks, LiveLandmarks, extract_landmarks
from expotion_lite.video.reading import Frame
from expotion_lite.video.writing import write_video

pytestmark = needs_models


class TestOnePerson:
    def test_points_lie_on_the_features_of_the_photograph(self, photo_landmarks):
        face = photo_landmarks.face[2, :, :2] * 512
        for point, place in [(468, IRISES[0]), (473, IRISES[1]), (1, NOSE)]:
            assert np.linalg.norm(face[point] - place) < 6
        assert np.linalg.norm((face[13] + face[14]) / 2 - MOUTH) < 6
        body = photo_landmarks.body[2, :, :2] * 512
        assert np.linalg.norm(body[0] - NOSE) < 12
        assert body[12, 0] < NOSE[0] < body[11, 0]  # her right shoulder is on the picture's left
        assert body[11:13, 1].min() > MOUTH[1]

    def test_she_smiles_with_open_eyes(self, photo_landmarks):
        score = dict(zip(BLENDSHAPES, photo_landmarks.blendshapes[2].tolist(), strict=True))
        assert min(score["mouthSmileLeft"], score["mouthSmileRight"]) > 0.7
        assert max(score["eyeBlinkLeft"], score["eyeBlinkRight"], score["mouthPucker"]) < 0.3

    def test_blendshapes_are_named_in_mediapipes_order(self):
        from mediapipe.tasks.python.vision.face_landmarker import Blendshapes

        names = [re.sub("_(.)", lambda letter: letter[1].upper(), shape.name.lower()) for shape in Blendshapes]
        assert names[0].lower() == "neutral"
        assert list(BLENDSHAPES[1:]) == names[1:]

    def test_missing_frames_are_flagged_and_nan(self, photo_landmarks):
        seen = photo_landmarks
        assert seen.face_found.tolist() == seen.body_found.tolist() == [False, True, True, True, False]
        for values in (seen.face, seen.blendshapes, seen.head_pose, seen.body):
            assert values.dtype == np.float32
            missing = np.isnan(values.reshape(5, -1))
            assert missing[[0, 4]].all() and not missing[1:4].any()
        assert seen.require_person() is seen

    def test_turning_the_picture_changes_the_roll(self, photo):
        rolls = []
        for degrees in (-20, 0, 20):  # clockwise
            turn = cv2.getRotationMatrix2D((225, 125), -degrees, 1)
            image = cv2.warpAffine(photo, turn, (512, 512), borderMode=cv2.BORDER_REFLECT)
            rolls.append(extract(image).head_pose[0, 2])
        assert np.diff(rolls) == pytest.approx(20, abs=4)

    @pytest.mark.parametrize("angle, shift", [(0, (0, 10)), (1, (12, 0))])
    def test_moving_the_middle_of_the_face_turns_the_head(self, photo, angle, shift):
        """A nose that moves down within the outline of the face is a nod (+ pitch); to the right, a turn (+ yaw)."""
        y, x = np.mgrid[:512, :512].astype(np.float32)
        bump = np.exp(-(((x - NOSE[0]) / 40) ** 2 + ((y - NOSE[1]) / 45) ** 2))
        angles = []
        for sign in (-1, 1):
            warped = cv2.remap(photo, x - sign * shift[0] * bump, y - sign * shift[1] * bump, cv2.INTER_LINEAR)
            angles.append(extract(warped).head_pose[0, angle])
        assert angles[1] - angles[0] > 8

    def test_place_and_distance_do_not_change_the_head_pose(self, photo):
        spots = [(130, 0.6), (500, 0.6), (320, 0.6), (320, 0.35)]
        poses = np.concatenate([extract(scene(photo, spot)).head_pose for spot in spots])
        assert np.ptp(poses, axis=0).max() < 7

    def test_a_large_picture_gives_the_same_fractions(self, photo, photo_landmarks):
        large = extract(cv2.resize(photo, (1536, 1536), interpolation=cv2.INTER_CUBIC))
        assert (large.width, large.height) == (1536, 1536)
        assert np.abs(large.face[0, :, :2] - photo_landmarks.face[2, :, :2]).max() < 0.01


class TestThreads:
    def test_the_speed_of_the_source_changes_nothing(self, photo):
        images = [np.roll(photo, 6 * step, 1) for step in range(8)]

        def slowly() -> Iterator[Frame]:
            for index, frame in enumerate(film(images)):
                time.sleep(0.08 * (index % 3 == 0))
                yield frame

        assert same(extract(*images), extract_landmarks(slowly(), progress=False))

    def test_few_frames_are_in_memory(self):
        alive, most, count = 0, 0, 60

        def gone() -> None:
            nonlocal alive
            alive -= 1

        def frames() -> Iterator[Frame]:
            nonlocal alive, most
            for index in range(count):
                image = np.full((64, 64, 3), index, np.uint8)
                weakref.finalize(image, gone)
                alive += 1
                most = max(most, alive)
                yield Frame(image, index / 30)

        assert len(extract_landmarks(frames(), progress=False).times) == count
        assert most < 20

    def test_frames_within_one_millisecond_are_kept_apart(self, photo):
        frames = [Frame(photo, 5 + offset) for offset in (0, 0.0001, 0.0002, 0.5)]
        landmarks = extract_landmarks(frames, progress=False)
        assert landmarks.times == pytest.approx([0, 0.0001, 0.0002, 0.5])
        assert landmarks.face_found.all() and landmarks.body_found.all()

    def test_a_video_file(self, photo, tmp_path):
        small = cv2.resize(photo, (320, 320), interpolation=cv2.INTER_AREA)
        times = [0.0, 0.04, 0.11, 0.2]
        path = write_video(tmp_path / "clip.mp4", [Frame(small, time_s) for time_s in times])
        with path.open("rb") as file:
            for video in (path, file):
                landmarks = extract_landmarks(video, progress=False, max_side=200)
                assert (landmarks.width, landmarks.height) == (320, 320)
                assert landmarks.times == pytest.approx(times, abs=0.002)
                assert landmarks.face_found.all() and landmarks.body_found.all()

    def test_an_error_of_the_source_is_passed_on_and_no_thread_remains(self, photo):
        def broken() -> Iterator[Frame]:
            yield Frame(photo, 0.0)
            raise ExpotionError("the file ends here")

        before = threading.active_count()
        with pytest.raises(ExpotionError, match="the file ends here"):
            extract_landmarks(broken(), progress=False)
        assert threading.active_count() <= before

    def test_it_can_be_cancelled(self, photo):
        cancel = threading.Event()

        def endless() -> Iterator[Frame]:
            for index in range(10_000):
                if index == 3:
                    cancel.set()
                yield Frame(photo, index / 30)

        before = threading.active_count()
        with pytest.raises(Cancelled, match="Stopped"):
            extract_landmarks(endless(), progress=False, cancel=cancel)
        assert threading.active_count() <= before

    def test_nothing_is_printed(self, photo, tmp_path):
        cv2.imwrite(str(tmp_path / "photo.png"), photo[..., ::-1])
        code = (
            "import cv2; from expotion_lite import Frame, extract_landmarks;"
            "image = cv2.imread('photo.png')[..., ::-1];"
            "frames = [Frame(image, 0.0), Frame(0 * image, 0.1)];"
            "assert extract_landmarks(frames, progress=False).face_found.tolist() == [True, False]"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(expotion_lite.__file__).parents[1])}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_progress_can_be_shown(self, photo, capsys):
        extract_landmarks(film([photo] * 30))
        shown = capsys.readouterr().err
        assert "Looking for face and body" in shown and "0/30" in shown
        assert re.search(r"[1-9]\d*/30 \[\d\d:\d\d<\d\d:\d\d", shown), "the time left"


class TestBadInput:
    def test_a_video_without_people_gives_nan(self):
        landmarks = extract(*[np.full((240, 320, 3), 128, np.uint8)] * 3)
        assert not landmarks.face_found.any() and not landmarks.body_found.any()
        assert np.isnan(landmarks.face).all() and np.isnan(landmarks.body).all()
        with pytest.raises(ExpotionError, match="A person was found in none of the 3 frames"):
            landmarks.require_person()

    @pytest.mark.parametrize(
        "video, words",
        [
            ([], "no frames"),
            (5, "int is no video"),
            ([Frame(np.zeros((8, 8, 3), np.uint8), 0.0)], "8 x 8 pixels"),
            ([Frame(np.zeros((64, 64), np.uint8), 0.0)], "uint8 RGB"),
            ([Frame(np.zeros((64, 64, 3)), 0.0)], "float64"),
            ([Frame(np.zeros((64, 64, 3), np.uint8), t) for t in (0.0, 0.0)], "Frame 1 is at 0 s"),
            ([Frame(np.zeros((64, 64, 3), np.uint8), float("nan"))], "Frame 0"),
        ],
    )
    def test_unusable_frames_give_a_clear_line(self, video, words):
        with pytest.raises(ExpotionError, match=words) as error:
            extract_landmarks(video, progress=False)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("option", [{"max_people": 0}, {"max_side": 10}, {"face_model": "nowhere.task"}])
    def test_bad_options_are_named(self, option):
        with pytest.raises(ExpotionError, match="max_people|max_side|nowhere.task"):
            extract_landmarks([], progress=False, **option)


class TestSavedLandmarks:
    def test_they_are_loaded_unchanged(self, photo_landmarks, tmp_path):
        path = photo_landmarks.save(tmp_path / "landmarks.npz")
        loaded = Landmarks.load(path)
        assert same(photo_landmarks, loaded)
        assert (loaded.width, loaded.height) == (512, 512)
        with pytest.raises(ExpotionError, match="exists"):
            photo_landmarks.save(path)
        photo_landmarks.save(path, overwrite=True)
        assert [item.name for item in tmp_path.iterdir()] == ["landmarks.npz"]

    def test_those_without_pixels_have_no_optical_flow(self, photo_landmarks, tmp_path):
        """Synthetic people have none, and neither do files of earlier versions."""
        synthetic = replace(photo_landmarks, flow=None)
        assert Landmarks.load(synthetic.save(tmp_path / "landmarks.npz")).flow is None

    def test_other_files_are_refused(self, tmp_path):
        other = tmp_path / "other.npz"
        np.savez(other, face=np.zeros(3))
        text = tmp_path / "text.npz"
        text.write_text("hello")
        for path in (other, text, tmp_path / "missing.npz"):
            with pytest.raises(ExpotionError, match=path.name):
                Landmarks.load(path)

    def test_shapes_are_checked(self, photo_landmarks):
        with pytest.raises(ExpotionError, match="blendshapes has shape"):
            replace(photo_landmarks, blendshapes=np.zeros((5, 51), np.float32))
        with pytest.raises(ExpotionError, match="flow has shape"):
            replace(photo_landmarks, flow=np.zeros((5, 2), np.float32))


class TestPicturesAsTheyCome:
    def test_they_give_the_landmarks_of_a_video(self, photo):
        pictures = [np.roll(photo, 3 * i, axis=1) for i in range(5)]
        frames = [Frame(picture, 7.0 + 0.04 * i) for i, picture in enumerate(pictures)]
        expected = extract_landmarks(frames, progress=False)
        with LiveLandmarks() as live:
            found = [live.find(frame.image, frame.time_s) for frame in frames]
        assert [float(each.times[0]) for each in found] == [frame.time_s for frame in frames]
        for name in ("face", "blendshapes", "head_pose", "body", "flow", "face_found", "brightness"):
            together = np.concatenate([getattr(each, name) for each in found])
            np.testing.assert_array_equal(together, getattr(expected, name))
        assert (found[0].width, found[0].height) == (512, 512)

    def test_what_is_no_picture_or_comes_too_late_is_refused_and_the_next_one_is_not(self, photo):
        with LiveLandmarks() as live:
            live.find(photo, 1.0)
            for image, time_s, message in (
                (photo, 1.0, "not after"),
                (photo[..., 0], 2.0, "RGB"),
                (photo[:8, :8], 2.0, "too small"),
            ):
                with pytest.raises(ExpotionError, match=message):
                    live.find(image, time_s)
            assert live.find(photo, 2.0).face_found[0]
