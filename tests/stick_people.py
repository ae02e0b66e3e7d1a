"""Landmarks of a stick person whose movements are known exactly."""

from __future__ import annotations

import numpy as np

from expotion_lite.landmarks.extraction import BLENDSHAPES, Landmarks

# Index in the face mesh -> place in eye distances, from the point between the eyes (x to the image's right, y down).
FACE = {33: (-0.5, 0.0), 263: (0.5, 0.0), 133: (-0.18, 0.02), 362: (0.18, 0.02), 234: (-0.75, 0.2), 454: (0.75, 0.2)}
FACE |= {168: (0.0, 0.0), 6: (0.0, 0.1), 1: (0.0, 0.5), 152: (0.0, 1.3), 10: (0.0, -0.7)}
# Index of the body landmark -> place in shoulder widths, from the point between the shoulders.
BODY = {11: (0.5, 0.0), 12: (-0.5, 0.0), 13: (0.6, 0.5), 14: (-0.6, 0.5), 15: (0.4, 0.2), 16: (-0.4, 0.2)}


def even_times(frame_rate: float, duration_s: float) -> np.ndarray:
    """Return the times of an even frame rate, (T,) seconds."""
    return np.arange(round(duration_s * frame_rate)) / frame_rate


def uneven_times(frame_rate: float, duration_s: float, seed: int = 0) -> np.ndarray:
    """Return times as a webcam records them, (T,) seconds: frames up to 40 % late, one in ten lost, the first at 0."""
    random = np.random.default_rng(seed)
    times = even_times(frame_rate, duration_s)
    times[1:] += random.uniform(0, 0.4 / frame_rate, len(times) - 1)
    keep = random.random(len(times)) > 0.1
    keep[0] = True
    return times[keep]


def stick_person(
    times: np.ndarray,
    *,
    width: int = 640,
    height: int = 480,
    size: float = 60.0,
    jitter: float = 0.0,
    seed: int = 0,
    **motion: np.ndarray | float,
) -> Landmarks:
    """Make landmarks of a person who makes the given movements and is otherwise still.

    Args:
        times: (T,) seconds.
        width: pixels of the picture.
        height: pixels of the picture.
        size: eye distance in pixels; the shoulders are three times as wide.
        jitter: standard deviation of the noise: pixels on points, degrees on angles, a tenth of it on blendshapes.
        seed: of the noise.
        **motion: pitch, yaw, roll (degrees); x, y of the head (eye distances); shoulders_x, shoulders_y, left_wrist_x,
            ..., right_elbow_y (shoulder widths); or the name of a blendshape. Each is (T,) or a number.
    """
    random = np.random.default_rng(seed)
    motion = {name: np.broadcast_to(np.asarray(curve, float), times.shape) for name, curve in motion.items()}
    still = np.zeros(len(times))
    face, body = np.zeros((len(times), 478, 3), np.float32), np.zeros((len(times), 33, 4), np.float32)
    roll, picture = np.radians(motion.get("roll", still)), np.array([width, height])
    for index, (x, y) in FACE.items():
        right = motion.get("x", still) + x * np.cos(roll) - y * np.sin(roll)
        down = motion.get("y", still) + x * np.sin(roll) + y * np.cos(roll)
        point = np.array([width / 2, height / 3]) + size * np.stack([right, down], axis=1)
        face[:, index, :2] = (point + random.normal(0, jitter, point.shape)) / picture
    for index, (x, y) in BODY.items():
        name = {13: "left_elbow", 14: "right_elbow", 15: "left_wrist", 16: "right_wrist"}.get(index, "none")
        right = x + motion.get("shoulders_x", still) + motion.get(f"{name}_x", still)
        down = y + motion.get("shoulders_y", still) + motion.get(f"{name}_y", still)
        point = np.array([width / 2, height / 3 + 2.5 * size]) + 3 * size * np.stack([right, down], axis=1)
        body[:, index, :2] = (point + random.normal(0, jitter, point.shape)) / picture
    body[:, :, 3] = 0.99
    shapes = np.full((len(times), 52), 0.05) + random.normal(0, jitter / 10, (len(times), 52)).clip(-0.05, None)
    for name in set(motion) & set(BLENDSHAPES):
        shapes[:, BLENDSHAPES.index(name)] += motion[name]
    pose = np.stack([motion.get(name, still) for name in ("pitch", "yaw", "roll")], axis=1)
    pose = pose + random.normal(0, jitter, pose.shape)
    found = np.ones(len(times), bool)
    return Landmarks(
        times,
        face,
        shapes.clip(0, 1).astype(np.float32),
        pose.astype(np.float32),
        body,
        found,
        found.copy(),
        width,
        height,
    )
