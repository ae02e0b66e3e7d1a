"""A jointed figure seen by a camera: from curves of movement to what MediaPipe would report, in milliseconds.

The face is MediaPipe's own mesh of 478 points, moved by a few shapes (smile, jaw, brows, lids, irises), turned about
the neck and projected with perspective. Units: the distance of the outer eye corners ("eye spans"), with the origin
between the eyes, x right, y down, z away from the camera. `assets/face_template.npz` is the mesh that MediaPipe finds
in scikit-image's astronaut photograph (NASA, public domain), turned to the front and with its smile undone.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..landmarks.extraction import Landmarks
    from .people import Performance, Performer

FACE = Path(__file__).parents[1] / "assets" / "face_template.npz"
HEAD_WIDTH = 1.5  # eye spans
NECK = np.array([0.0, 1.35, 0.85], np.float32)  # where the head turns
SHOULDERS_Y = 2.4  # eye spans below the eyes
CAMERA = 7.0  # eye spans from the camera to the eyes, about 60 cm: how strong the perspective is
UPPER_LIDS = (159, 158, 160, 161, 157, 173, 246, 386, 385, 387, 388, 384, 398, 466)
LOWER_LIDS = (145, 153, 144, 163, 154, 155, 7, 374, 380, 373, 390, 381, 382, 249)
FACE_IN_BODY = (1, 362, 473, 263, 133, 468, 33, 454, 234, 291, 61)  # face points that stand for body points 0..10
SHAPES = ("smile", "frown", "brow_up", "brow_down", "jaw", "blink", "gaze_x", "gaze_y")
N_NOISE = 6  # landmarks of one frame err together: noise moves along this many smooth shapes

# How each curve shows in MediaPipe's blendshapes: name without side -> share of the curve.
BLENDS = {
    "smile": {"mouthSmile": 0.95, "cheekSquint": 0.05, "eyeSquint": 0.35, "mouthUpperUp": 0.3, "mouthDimple": 0.04},
    "frown": {"mouthFrown": 0.45, "mouthPress": 0.25, "mouthShrugLower": 0.3, "mouthRollLower": 0.2},
    "brow_up": {"browInnerUp": 0.8, "browOuterUp": 0.75, "eyeWide": 0.15},
    "brow_down": {"browDown": 0.8, "eyeSquint": 0.25},
    "jaw": {"jawOpen": 0.9, "mouthLowerDown": 0.3, "mouthFunnel": 0.1},
    "blink": {"eyeBlink": 0.75, "eyeSquint": 0.2},
}


@cache
def _template(name: str) -> np.ndarray:
    with np.load(FACE, allow_pickle=False) as file:
        return file[name].astype(np.float32)


def face_template() -> np.ndarray:
    """(478, 3) float32, eye spans: a neutral face that looks straight into the camera."""
    return _template("points")


def face_photograph() -> np.ndarray:
    """(478, 3) float32, eye spans: the face as it is in the photograph, smiling and slightly bowed."""
    return _template("photograph")


@cache
def face_shapes() -> np.ndarray:
    """(8, 478, 3) float32, eye spans: how far each point moves where a curve of `SHAPES` is 1."""
    points = face_template()

    def around(
        centres: tuple[int, ...], reach: float, move: tuple[float, float, float], mirror: bool = False
    ) -> np.ndarray:
        shape = np.zeros_like(points)
        for centre in centres:
            weight = np.exp(-((points - points[centre]) ** 2).sum(1) / (2 * reach**2))
            side = np.sign(points[centre, 0]) if mirror else 1.0
            shape += weight[:, None] * np.array([side * move[0], move[1], move[2]])
        return shape

    lower = np.clip((points[:, 1] - 0.68) / 0.1, 0, 1) * np.exp(-((points[:, 0] / 0.6) ** 2))
    jaw = lower[:, None] * np.array([0.0, 0.42, 0.08])
    blink = np.zeros_like(points)
    blink[list(UPPER_LIDS)] = points[list(LOWER_LIDS)] - points[list(UPPER_LIDS)]
    gaze = np.zeros((2, *points.shape))
    gaze[0, 468:, 0], gaze[1, 468:, 1] = 0.07, 0.04
    shapes = [
        around((61, 291), 0.17, (0.10, -0.085, 0.04), mirror=True),
        around((61, 291), 0.12, (0.035, 0.07, 0.0), mirror=True),
        around((70, 105, 107, 336, 334, 300), 0.14, (0.0, -0.07, 0.0)),
        around((105, 107, 336, 334), 0.12, (-0.02, 0.04, 0.0), mirror=True),
        jaw, blink, gaze[0], gaze[1],
    ]  # fmt: skip
    return np.stack(shapes).astype(np.float32)


def rotations(pitch: np.ndarray, yaw: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """(T, 3, 3) rotation of a head by degrees (T,): nod down, turn right, then tilt clockwise, in the image."""
    p, y, r = (np.radians(np.asarray(a, np.float32)) for a in (pitch, yaw, roll))
    cp, sp, cy, sy, cr, sr = np.cos(p), np.sin(p), np.cos(y), np.sin(y), np.cos(r), np.sin(r)
    rows = [
        [cr * cy, -cr * sy * sp - sr * cp, -cr * sy * cp + sr * sp],
        [sr * cy, -sr * sy * sp + cr * cp, -sr * sy * cp - cr * sp],
        [sy, cy * sp, cy * cp],
    ]
    return np.moveaxis(np.array(rows, np.float32), 2, 0)


def to_landmarks(performance: Performance, performer: Performer) -> Landmarks:
    """What MediaPipe would report of a performance, with the noise and the gaps of a real camera.

    Args:
        performance: the movement.
        performer: whose camera, build and noise are used.

    Returns:
        Landmarks of T frames; NaN rows where the face or the body was lost.

    Notebook: notebooks/02_controls
    """
    from ..landmarks.extraction import Landmarks

    rng = np.random.default_rng([performer.seed, performance.seed, 478])
    curves = performance.curves
    base = dict(zip(("pitch", "yaw", "roll"), performer.view_deg, strict=True))
    pose = np.stack([curves[axis] + base[axis] for axis in base], 1).astype(np.float32)
    head = _head(performance, performer, pose, rng)
    body = _body(performance, performer, head, rng)
    face = _project(head, performer)
    face_found = _seen(performance.times, performer.losses_per_s, performer.face_seen, rng)
    body_found = _seen(performance.times, performer.losses_per_s / 4, performer.body_seen, rng)
    inside = ((face[:, [10, 152, 234, 454], :2] > -0.05) & (face[:, [10, 152, 234, 454], :2] < 1.05)).all((1, 2))
    face_found &= inside
    pose = pose + 40 * performer.jitter * rng.standard_normal(pose.shape, dtype=np.float32)
    blendshapes = _blendshapes(performance, performer, pose, rng)
    for values, found in ((face, face_found), (blendshapes, face_found), (pose, face_found), (body, body_found)):
        values[~found] = np.nan
    width, height = performer.size
    return Landmarks(
        times=np.asarray(performance.times, np.float64), face=face, blendshapes=blendshapes, head_pose=pose, body=body,
        face_found=face_found, body_found=body_found, width=width, height=height,
    )  # fmt: skip


def _head(performance: Performance, performer: Performer, pose: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, 478, 3) float32 eye spans: the face with its expression, turned about the neck and carried by the trunk."""
    curves, n = performance.curves, len(performance.times)
    build = np.random.default_rng([performer.seed, 7]).uniform(0.93, 1.07, 3).astype(np.float32)
    template = face_template() * build
    directions = rng.standard_normal((N_NOISE, 3)).astype(np.float32)
    ripples = np.cos(template @ directions.T * 3 + rng.uniform(0, 6.3, N_NOISE).astype(np.float32))  # (478, N)
    axes = rng.standard_normal((N_NOISE, 1, 3)).astype(np.float32)
    basis = np.concatenate([face_shapes(), ripples.T[:, :, None] * axes]).reshape(-1, 478 * 3)
    noise = 0.5 * performer.jitter * rng.standard_normal((n, N_NOISE), dtype=np.float32)
    weights = np.concatenate([np.stack([curves[name] for name in SHAPES], 1), noise], 1)
    weights = np.concatenate([weights, np.ones((n, 1), np.float32)], 1)
    basis = np.concatenate([basis, (template - NECK).reshape(1, -1)])
    points = (weights @ basis).reshape(n, 478, 3) @ rotations(*pose.T).transpose(0, 2, 1)
    carried = NECK + performer.jitter * rng.standard_normal((n, 3), dtype=np.float32)
    carried[:, 0] += HEAD_WIDTH * curves["sway"]
    carried[:, 1] += HEAD_WIDTH * curves["bob"]
    for axis in range(3):
        points[..., axis] += carried[:, axis, None]
    return points


def _project(points: np.ndarray, performer: Performer) -> np.ndarray:
    """Eye spans (T, N, 3) to image fractions; z on the scale of x and 0 near the middle of the head."""
    width, height = performer.size
    scale = performer.eye_span * height / width / (1 + points[..., 2] / CAMERA)
    projected = np.empty_like(points)
    projected[..., 0] = points[..., 0] * scale + np.float32(performer.centre[0])
    projected[..., 1] = points[..., 1] * (scale * np.float32(width / height)) + np.float32(performer.centre[1])
    projected[..., 2] = points[..., 2] * scale
    return projected


def _body(performance: Performance, performer: Performer, head: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, 33, 4) float32: x, y image fractions, z, visibility."""
    curves, n = performance.curves, len(performance.times)
    half = performer.shoulder_span / 2
    joints = np.zeros((n, 33, 3), np.float32)
    joints[:, :11] = head[:, FACE_IN_BODY]
    joints[:, 7:9] += np.array([[0.12, 0, 0.1], [-0.12, 0, 0.1]], np.float32)  # ears lie outside the mesh
    raised = performer.conduct > 0
    lean = HEAD_WIDTH * curves["sway"]
    for side, first, name in ((1.0, 11, "left"), (-1.0, 12, "right")):
        shoulder, elbow, wrist, hip = (joints[:, first + k] for k in (0, 2, 4, 12))
        shoulder[:, 0] = side * half + 0.65 * lean
        shoulder[:, 1] = (
            SHOULDERS_Y + HEAD_WIDTH * (curves["bob"] - curves["shoulders"]) + side * 0.006 * curves["roll"]
        )
        shoulder[:, 2] = 0.6
        hands_up = raised and (performer.hands == "both" or name == "right")
        rest = np.array([side * 1.5, SHOULDERS_Y + (1.7 if hands_up else 4.0), -1.2 if hands_up else -0.4], np.float32)
        wrist[:] = rest
        wrist[:, 0] += HEAD_WIDTH * curves[f"{name}_hand_x"] + 0.4 * lean
        wrist[:, 1] += HEAD_WIDTH * (curves[f"{name}_hand_y"] + 0.3 * curves["bob"])
        elbow[:] = 0.5 * (shoulder + wrist) + np.array([side * 0.5, 0.7 if hands_up else 0.2, 0.3], np.float32)
        hip[:] = np.array([side * 0.62 * half, SHOULDERS_Y + 5.2, 0.4], np.float32)
        joints[:, first + 6 : first + 11 : 2] = wrist[:, None] + np.array(
            [[side * 0.1, 0.9, 0], [0, 0.95, 0], [0, 0.7, 0]]
        )
        joints[:, first + 14 : first + 21 : 2] = hip[:, None] + np.array(
            [[0, 4.0, -1], [0, 8, 0], [0, 8.4, 0], [0, 8.6, -0.8]]
        )
    joints += 1.5 * performer.jitter * rng.standard_normal(joints.shape, dtype=np.float32)
    body = np.empty((n, 33, 4), np.float32)
    body[..., :3] = _project(joints, performer)
    body[..., 3] = _visibility(body, performer, rng)
    return body


def _visibility(body: np.ndarray, performer: Performer, rng: np.random.Generator) -> np.ndarray:
    """(T, 33) 0..1: near 1 inside the picture, low outside; low for arms that a table or the framing hides."""
    outside = np.maximum(np.abs(body[..., :2] - 0.5).max(-1) - 0.5, 0.0)
    visibility = 0.04 + 0.94 / (1 + (outside / 0.04) ** 2)
    if not performer.arms_seen:
        visibility[:, 13:23] = np.minimum(visibility[:, 13:23], 0.15)
    visibility[:, 25:] *= 0.1
    return np.clip(visibility + 0.015 * rng.standard_normal(visibility.shape), 0.0, 1.0)


def _blendshapes(
    performance: Performance, performer: Performer, pose: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(T, 52) 0..1, in MediaPipe's order: the curves, each person's resting values, cross-talk of the head, noise."""
    from ..landmarks.extraction import BLENDSHAPES

    curves, n = performance.curves, len(pose)
    person = np.random.default_rng([performer.seed, 52])
    resting = {
        "browDown": 0.15,
        "browOuterUp": 0.1,
        "eyeSquint": 0.3,
        "eyeBlink": 0.12,
        "mouthPress": 0.08,
        "eyeWide": 0.03,
    }
    column = {name: i for i, name in enumerate(BLENDSHAPES)}
    sides = lambda name: [column[k] for k in (name, name + "Left", name + "Right") if k in column]  # noqa: E731
    share = np.zeros((len(BLENDS), len(BLENDSHAPES)), np.float32)
    values = np.tile(person.uniform(0.0, 0.03, len(BLENDSHAPES)).astype(np.float32), (n, 1))
    for name, level in resting.items():
        values[:, sides(name)] += level * person.uniform(0.0, 1.5)
    for row, blends in zip(share, BLENDS.values(), strict=True):
        for name, weight in blends.items():
            row[sides(name)] = weight * person.uniform(0.4, 1.05)
    values += np.stack([curves[name] for name in BLENDS], 1) @ share
    down, right = pose[:, 0] / 60 + 0.4 * curves["gaze_y"], 0.6 * curves["gaze_x"] + pose[:, 1] / 120
    for name, curve in (("eyeLookDown", down), ("eyeLookUp", -down)):
        values[:, sides(name)] += np.maximum(curve, 0)[:, None]
    for name, curve in (("OutLeft", right), ("InRight", right), ("InLeft", -right), ("OutRight", -right)):
        values[:, column["eyeLook" + name]] += np.maximum(curve, 0)
    values[:, sides("eyeBlink")] += np.maximum(down, 0)[:, None] * 0.5
    values[:, sides("browInnerUp")] -= 0.2 * np.maximum(down, 0)[:, None]
    wave = rng.standard_normal((n, len(BLENDSHAPES)), dtype=np.float32)
    values += wave * (0.004 + 0.06 * values * (1 - np.minimum(values, 1.0)))
    values[:, 0] = 0.0
    return np.clip(values, 0.0, 1.0)


def _seen(times: np.ndarray, losses_per_s: float, ever: bool, rng: np.random.Generator) -> np.ndarray:
    """(T,) false during random losses of 0.1 to 0.8 s."""
    length_s = times[-1] + 1.0
    starts = rng.uniform(-1.0, times[-1], rng.poisson(losses_per_s * length_s))
    stops = starts + rng.uniform(0.1, 0.8, len(starts))
    lost = ((times[:, None] >= starts) & (times[:, None] < stops)).any(1)
    return ~lost if ever else np.zeros(len(times), bool)
