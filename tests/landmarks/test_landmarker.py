"""MediaPipe's landmarkers as the library wraps them: head angles, and model files that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from expotion_lite.errors import ExpotionError
from expotion_lite.landmarks.landmarker import Landmarker, head_angles


def pose(rotation: np.ndarray, place: tuple[float, float, float]) -> np.ndarray:
    """Build a facial transformation matrix, (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, place
    return matrix


class TestHeadAngles:
    @pytest.mark.parametrize("pitch, yaw, roll", [(20, 0, 0), (0, 30, 0), (0, 0, 25), (15, -20, 10), (-35, 40, -60)])
    def test_known_rotations_are_recovered(self, pitch, yaw, roll):
        rotation = 1.3 * Rotation.from_euler("YXZ", [yaw, pitch, -roll], degrees=True).as_matrix()
        assert head_angles(pose(rotation, (0, 0, -50))) == pytest.approx([pitch, yaw, roll], abs=1e-3)

    @pytest.mark.parametrize(
        "nose, up, expected",
        [
            ((0, -1, 1), (0, 1, 1), (45, 0, 0)),  # chin down
            ((1, 0, 1), (0, 1, 0), (0, 45, 0)),  # to the image's right
            ((0, 0, 1), (1, 1, 0), (0, 0, 45)),  # clockwise: the top of the head leans to the image's right
        ],
    )
    def test_signs(self, nose, up, expected):
        """In MediaPipe's camera space (x right, y up, z towards the camera) the nose points along the third column."""
        columns = np.array([np.cross(up, nose), up, nose], float)
        rotation = (columns / np.linalg.norm(columns, axis=1, keepdims=True)).T
        assert head_angles(pose(rotation, (0, 0, -60))) == pytest.approx(expected, abs=1e-3)

    def test_a_face_at_the_side_that_looks_into_the_camera_is_not_turned(self):
        rotation = Rotation.from_euler("Y", -30, degrees=True).as_matrix()
        place = 60 * np.sin(np.radians(30)), 0, -60 * np.cos(np.radians(30))
        assert head_angles(pose(rotation, place)) == pytest.approx([0, 0, 0], abs=1e-3)


def test_a_file_that_is_no_model_gives_a_clear_line(tmp_path):
    path = tmp_path / "pose.task"
    path.write_text("not a model")
    with pytest.raises(ExpotionError, match="cannot use .*pose.task"):
        Landmarker("pose", path, 1, video=False)
