"""MediaPipe's face and pose landmarkers: one picture in, the people in it out, as plain arrays."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import ExpotionError
from .model_files import ModelKind

Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom; pixels


@dataclass(frozen=True)
class Person:
    """A face or a body in one picture.

    Attributes:
        points: (N, 3) float32, pixels of the picture; 478 points of a face or 33 of a body.
        size: pixels, the scale of the head: the longer side of a face; for a body it is estimated from the shoulders
            and the trunk.
        visibility: (33,) float32, 0..1; None for a face.
        blendshapes: (52,) float32, 0..1; None for a body.
        head_pose: (3,) float32, degrees: pitch, yaw and roll; None for a body.
    """

    points: np.ndarray
    size: float
    visibility: np.ndarray | None = None
    blendshapes: np.ndarray | None = None
    head_pose: np.ndarray | None = None

    @property
    def head(self) -> np.ndarray:
        """Centre of the head, (2,) pixels: of the face, or of a body's eyes, ears, nose and mouth."""
        points = self.points[:, :2] if self.visibility is None else self.points[:11, :2]
        return (points.min(0) + points.max(0)) / 2

    def around(self, left: float, top: float, right: float, bottom: float) -> Box:
        """Return the box around the head whose sides are this many head sizes away from its centre."""
        x, y = self.head.tolist()
        return x - left * self.size, y - top * self.size, x + right * self.size, y + bottom * self.size

    def moved(self, left: int, top: int) -> Person:
        """Return the person in the coordinates of the whole picture, given the offset of a crop in pixels."""
        return replace(self, points=self.points + np.array([left, top, 0], np.float32))


def head_angles(matrix: np.ndarray) -> np.ndarray:
    """Compute pitch, yaw and roll from MediaPipe's facial transformation matrix.

    The matrix places the face in front of a camera that looks along -z (x right, y up). The angles are relative to
    the line from the face to the camera: a head that looks into the camera has 0, 0, 0 wherever it is in the picture,
    and a step to the side does not turn the head.

    Args:
        matrix: (4, 4), rotation and translation.

    Returns:
        (3,) float32, degrees: pitch (+ chin down), yaw (+ to the image's right), roll (+ clockwise in the image),
        from R = Ry(yaw) Rx(pitch) Rz(-roll).

    Example:
        >>> ahead = np.eye(4); ahead[2, 3] = -50  # straight ahead, 50 cm away
        >>> bool(np.allclose(head_angles(ahead), 0))
        True
    """
    towards = -matrix[:3, 3] / np.linalg.norm(matrix[:3, 3])
    across = np.array([towards[2], 0.0, -towards[0]]) / np.hypot(towards[0], towards[2])
    view = np.stack([across, np.cross(towards, across), towards])  # rows: right, up and towards the camera
    rotation = view @ matrix[:3, :3]
    rotation = rotation / np.linalg.norm(rotation, axis=0)  # the matrix also contains a scale
    pitch = -np.arcsin(np.clip(rotation[1, 2], -1, 1))
    yaw = np.arctan2(rotation[0, 2], rotation[2, 2])
    roll = -np.arctan2(rotation[1, 0], rotation[1, 1])
    return np.degrees([pitch, yaw, roll]).astype(np.float32)


class _Muted:
    """Context manager that discards what C++ code writes to stderr; several threads may be inside at once."""

    def __init__(self) -> None:
        self._lock, self._inside, self._kept = threading.Lock(), 0, -1

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            try:
                sys.stderr.flush()
                self._kept = os.dup(2)
            except (OSError, AttributeError, ValueError):  # there is no stderr
                self._kept = -1
                return
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._kept >= 0:
                os.dup2(self._kept, 2)
                os.close(self._kept)


_MUTED = _Muted()


def muted() -> _Muted:
    """Return a context manager that hides MediaPipe's start-up messages, which no setting turns off."""
    return _MUTED


class Landmarker:
    """One MediaPipe landmarker.

    Args:
        kind: "face" or "pose".
        model: path of the model file.
        people: the most to find in a picture.
        video: follow people from picture to picture instead of searching each picture anew.

    Raises:
        ExpotionError: MediaPipe cannot use the model file.
    """

    def __init__(self, kind: ModelKind, model: Path, people: int, video: bool) -> None:
        from mediapipe.tasks.python import vision
        from mediapipe.tasks.python.core.base_options import BaseOptions

        self._kind, self._clock_ms, self._video = kind, -1, video
        options: dict[str, Any] = {
            "base_options": BaseOptions(model_asset_path=str(model)),
            "running_mode": vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE,
        }
        try:
            with muted():
                if kind == "face":
                    options |= {"output_face_blendshapes": True, "output_facial_transformation_matrixes": True}
                    self._task = vision.FaceLandmarker.create_from_options(
                        vision.FaceLandmarkerOptions(num_faces=people, **options)
                    )
                else:
                    self._task = vision.PoseLandmarker.create_from_options(
                        vision.PoseLandmarkerOptions(num_poses=people, **options)
                    )
        except Exception as error:
            raise ExpotionError(
                f"MediaPipe cannot use {model} as its {kind} landmarker; name another file, or none."
            ) from error

    def find(self, image: np.ndarray, time_s: float = 0.0) -> list[Person]:
        """Find the people in a picture.

        Args:
            image: (h, w, 3) uint8 RGB.
            time_s: seconds; used only with `video`.
        """
        import mediapipe

        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        if self._video:
            # MediaPipe wants whole milliseconds that increase, even if two pictures lie within one millisecond.
            self._clock_ms = max(self._clock_ms + 1, round(1000 * time_s))
            result = self._task.detect_for_video(picture, self._clock_ms)
        else:
            result = self._task.detect(picture)
        height, width = image.shape[:2]
        scale = np.array([width, height, width], np.float32)
        return _faces(result, scale) if self._kind == "face" else _bodies(result, scale)

    def close(self) -> None:
        """Free the model."""
        self._task.close()


def _points(marks: Any, scale: np.ndarray) -> np.ndarray:
    """Convert MediaPipe's N landmarks to (N, 3) float32 in pixels."""
    return np.array([(mark.x, mark.y, mark.z) for mark in marks], np.float32) * scale


def _faces(result: Any, scale: np.ndarray) -> list[Person]:
    people = []
    for marks, shapes, matrix in zip(
        result.face_landmarks, result.face_blendshapes, result.facial_transformation_matrixes, strict=True
    ):
        points = _points(marks, scale)
        size = float((points.max(0) - points.min(0))[:2].max())
        blendshapes = np.array([shape.score for shape in shapes], np.float32)
        people.append(Person(points, size, blendshapes=blendshapes, head_pose=head_angles(matrix)))
    return people


def _bodies(result: Any, scale: np.ndarray) -> list[Person]:
    people = []
    for marks in result.pose_landmarks:
        points = _points(marks, scale)
        shoulders, hips = points[11:13, :2], points[23:25, :2]
        shoulder_width = np.linalg.norm(shoulders[0] - shoulders[1])
        trunk_length = np.linalg.norm(shoulders.mean(0) - hips.mean(0))
        size = float(max(0.5 * shoulder_width, 0.35 * trunk_length))  # of a head, by usual proportions
        visibility = np.array([mark.visibility for mark in marks], np.float32)
        people.append(Person(points, size, visibility=visibility))
    return people
