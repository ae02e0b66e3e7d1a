"""A jointed figure in front of a camera: turns curves of movement into the landmarks that MediaPipe would report.

The face is MediaPipe's mesh of 478 points. A few shapes (smile, jaw, brows, lids, irises) move its points; it is then
turned about the neck and projected in perspective. Lengths are in eye spans (the distance between the outer eye
corners) with the origin between the eyes, x to the right, y down and z away from the camera.
`assets/face_template.npz` is the mesh that MediaPipe finds in scikit-image's astronaut photograph (NASA, public
domain), turned to the front and with its smile removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from ..landmarks.extraction import BLENDSHAPES, Landmarks
from .people import Performance, Performer

FACE = Path(__file__).parents[1] / "assets" / "face_template.npz"
HEAD_WIDTH = 1.5  # eye spans
NECK = np.array([0.0, 1.35, 0.85], np.float32)  # pivot of the head
SHOULDERS_Y = 2.4  # eye spans below the eyes
CAMERA = 7.0  # distance from the camera to the eyes, eye spans (about 60 cm): sets the strength of the perspective
# Indices into the face mesh, right eye first. An upper and a lower point at the same place meet in a blink.
UPPER_LIDS = (159, 158, 160, 161, 157, 173, 246, 386, 385, 387, 388, 384, 398, 466)
LOWER_LIDS = (145, 153, 144, 163, 154, 155, 7, 374, 380, 373, 390, 381, 382, 249)
OUTERMOST = [10, 152, 234, 454]  # top, chin, right and left of the face
FACE_IN_BODY = (1, 362, 473, 263, 133, 468, 33, 454, 234, 291, 61)  # face points at body points 0..10
SHAPES = ("smile", "frown", "brow_up", "brow_down", "jaw", "blink", "gaze_x", "gaze_y")
N_NOISE = 6  # smooth shapes of noise: the errors of neighbouring landmarks are correlated

# Share of each curve in MediaPipe's blendshapes, whose names are given without their side.
BLENDS = {
    "smile": {"mouthSmile": 0.95, "cheekSquint": 0.05, "eyeSquint": 0.35, "mouthUpperUp": 0.3, "mouthDimple": 0.04},
    "frown": {"mouthFrown": 0.45, "mouthPress": 0.25, "mouthShrugLower": 0.3, "mouthRollLower": 0.2},
    "brow_up": {"browInnerUp": 0.8, "browOuterUp": 0.75, "eyeWide": 0.15},
    "brow_down": {"browDown": 0.8, "eyeSquint": 0.25},
    "jaw": {"jawOpen": 0.9, "mouthLowerDown": 0.3, "mouthFunnel": 0.1},
    "blink": {"eyeBlink": 0.75, "eyeSquint": 0.2},
}
RESTING = {  # mean of a person's blendshapes at rest, where it is not near 0
    "browDown": 0.15,
    "browOuterUp": 0.1,
    "eyeSquint": 0.3,
    "eyeBlink": 0.12,
    "mouthPress": 0.08,
    "eyeWide": 0.03,
}


@cache
def _template(name: str) -> np.ndarray:
    with np.load(FACE, allow_pickle=False) as file:
        return file[name].astype(np.float32)


def face_template() -> np.ndarray:
    """Return a neutral face that looks straight into the camera, (478, 3) float32, eye spans."""
    return _template("points")


def face_photograph() -> np.ndarray:
    """Return the face as it is in the photograph, smiling and slightly bowed, (478, 3) float32, eye spans."""
    return _template("photograph")


@cache
def face_shapes() -> np.ndarray:
    """Return how far each point moves where a curve of `SHAPES` is 1, (8, 478, 3) float32, eye spans."""
    points = face_template()

    def around(
        centres: tuple[int, ...], reach: float, move: tuple[float, float, float], mirror: bool = False
    ) -> np.ndarray:
        """Move the points around some centres, weighted by a Gaussian; mirrored, x is towards the outside."""
        shape = np.zeros_like(points)
        for centre in centres:
            weight = np.exp(-((points - points[centre]) ** 2).sum(1) / (2 * reach**2))
            side = np.sign(points[centre, 0]) if mirror else 1.0
            shape += weight[:, None] * np.array([side * move[0], move[1], move[2]])
        return shape

    below_lips = np.clip((points[:, 1] - 0.68) / 0.1, 0, 1) * np.exp(-((points[:, 0] / 0.6) ** 2))
    blink = np.zeros_like(points)
    blink[list(UPPER_LIDS)] = points[list(LOWER_LIDS)] - points[list(UPPER_LIDS)]
    gaze_x, gaze_y = np.zeros((2, *points.shape))
    gaze_x[468:, 0], gaze_y[468:, 1] = 0.07, 0.04  # the irises are points 468 to 477
    shapes = {
        "smile": around((61, 291), 0.17, (0.10, -0.085, 0.04), mirror=True),
        "frown": around((61, 291), 0.12, (0.035, 0.07, 0.0), mirror=True),
        "brow_up": around((70, 105, 107, 336, 334, 300), 0.14, (0.0, -0.07, 0.0)),
        "brow_down": around((105, 107, 336, 334), 0.12, (-0.02, 0.04, 0.0), mirror=True),
        "jaw": below_lips[:, None] * np.array([0.0, 0.42, 0.08]),
        "blink": blink,
        "gaze_x": gaze_x,
        "gaze_y": gaze_y,
    }
    return np.stack([shapes[name] for name in SHAPES]).astype(np.float32)


def rotations(pitch: np.ndarray, yaw: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Return rotation matrices of a head, (T, 3, 3) float32.

    Args:
        pitch: (T,) degrees, + chin down; applied first.
        yaw: (T,) degrees, + to the right of the image; applied second.
        roll: (T,) degrees, + clockwise in the image; applied last.
    """
    p, y, r = (np.radians(np.asarray(a, np.float32)) for a in (pitch, yaw, roll))
    cp, sp, cy, sy, cr, sr = np.cos(p), np.sin(p), np.cos(y), np.sin(y), np.cos(r), np.sin(r)
    rows = [
        [cr * cy, -cr * sy * sp - sr * cp, -cr * sy * cp + sr * sp],
        [sr * cy, -sr * sy * sp + cr * cp, -sr * sy * cp - cr * sp],
        [sy, cy * sp, cy * cp],
    ]
    return np.moveaxis(np.array(rows, np.float32), 2, 0)


def to_landmarks(performance: Performance, performer: Performer) -> Landmarks:
    """Return the landmarks that MediaPipe would report of a performance, with the noise and gaps of a real camera.

    Args:
        performance: the movements.
        performer: the person; camera, build and noise are used.

    Returns:
        Landmarks of T frames; rows are NaN where the face or the body is lost.

    Notebook: notebooks/02_controls
    """
    rng = np.random.default_rng([performer.seed, performance.seed, 478])
    resting = dict(zip(("pitch", "yaw", "roll"), performer.view_deg, strict=True))
    pose = np.stack([performance.curves[axis] + resting[axis] for axis in resting], 1).astype(np.float32)
    head = _head(performance, performer, pose, rng)
    body = _body(performance, performer, head, rng)
    face = _project(head, performer)
    face_found = _found(performance.times, performer.losses_per_s, performer.face_seen, rng)
    body_found = _found(performance.times, performer.losses_per_s / 4, performer.body_seen, rng)
    outermost = face[:, OUTERMOST, :2]
    face_found &= ((outermost > -0.05) & (outermost < 1.05)).all((1, 2))
    pose = pose + 40 * performer.jitter * rng.standard_normal(pose.shape, dtype=np.float32)
    blendshapes = _blendshapes(performance, performer, pose, rng)
    for values, found in ((face, face_found), (blendshapes, face_found), (pose, face_found), (body, body_found)):
        values[~found] = np.nan
    width, height = performer.size
    return Landmarks(
        times=np.asarray(performance.times, np.float64),
        face=face,
        blendshapes=blendshapes,
        head_pose=pose,
        body=body,
        face_found=face_found,
        body_found=body_found,
        width=width,
        height=height,
    )


def _head(performance: Performance, performer: Performer, pose: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the face with its expression, turned about the neck and carried by the trunk, (T, 478, 3) float32."""
    curves, n = performance.curves, len(performance.times)
    build = np.random.default_rng([performer.seed, 7]).uniform(0.93, 1.07, 3).astype(np.float32)
    template = face_template() * build
    directions = rng.standard_normal((N_NOISE, 3)).astype(np.float32)
    ripples = np.cos(template @ directions.T * 3 + rng.uniform(0, 6.3, N_NOISE).astype(np.float32))  # (478, N_NOISE)
    axes = rng.standard_normal((N_NOISE, 1, 3)).astype(np.float32)
    noise = 0.5 * performer.jitter * rng.standard_normal((n, N_NOISE), dtype=np.float32)
    # Every frame is a weighted sum of face shapes, shapes of noise and the neutral face.
    basis = np.concatenate([face_shapes(), ripples.T[:, :, None] * axes, (template - NECK)[None]]).reshape(-1, 478 * 3)
    weights = np.concatenate([np.stack([curves[name] for name in SHAPES], 1), noise, np.ones((n, 1), np.float32)], 1)
    points = (weights @ basis).reshape(n, 478, 3) @ rotations(*pose.T).transpose(0, 2, 1)
    neck = NECK + performer.jitter * rng.standard_normal((n, 3), dtype=np.float32)
    neck[:, 0] += HEAD_WIDTH * curves["sway"]
    neck[:, 1] += HEAD_WIDTH * curves["bob"]
    for axis in range(3):
        points[..., axis] += neck[:, axis, None]
    return points


def _project(points: np.ndarray, performer: Performer) -> np.ndarray:
    """Project points (T, N, 3) in eye spans to image fractions; z has the scale of x and is 0 between the eyes."""
    width, height = performer.size
    scale = performer.eye_span * height / width / (1 + points[..., 2] / CAMERA)
    projected = np.empty_like(points)
    projected[..., 0] = points[..., 0] * scale + np.float32(performer.centre[0])
    projected[..., 1] = points[..., 1] * (scale * np.float32(width / height)) + np.float32(performer.centre[1])
    projected[..., 2] = points[..., 2] * scale
    return projected


def _body(performance: Performance, performer: Performer, head: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the body, (T, 33, 4) float32: x and y in image fractions, z, visibility."""
    n = len(performance.times)
    joints = np.zeros((n, 33, 3), np.float32)
    joints[:, :11] = head[:, FACE_IN_BODY]
    joints[:, 7:9] += np.array([[0.12, 0, 0.1], [-0.12, 0, 0.1]], np.float32)  # the ears lie outside the face mesh
    for side in ("left", "right"):
        _place_side(joints, performance.curves, performer, side)
    joints += 1.5 * performer.jitter * rng.standard_normal(joints.shape, dtype=np.float32)
    body = np.empty((n, 33, 4), np.float32)
    body[..., :3] = _project(joints, performer)
    body[..., 3] = _visibility(body, performer, rng)
    return body


def _place_side(joints: np.ndarray, curves: Mapping[str, np.ndarray], performer: Performer, side: str) -> None:
    """Place shoulder, arm, hip and leg of one side of the body in `joints` (T, 33, 3), eye spans, in place."""
    sign, first = (1.0, 11) if side == "left" else (-1.0, 12)  # the person's left is at the right of the image
    shoulder, elbow, wrist, hip = (joints[:, first + k] for k in (0, 2, 4, 12))
    hand_up = performer.conduct > 0 and (performer.hands == "both" or side == "right")
    half = performer.shoulder_span / 2
    lean = HEAD_WIDTH * curves["sway"]
    lift = HEAD_WIDTH * (curves["bob"] - curves["shoulders"])
    shoulder[:, 0] = sign * half + 0.65 * lean
    shoulder[:, 1] = SHOULDERS_Y + lift + sign * 0.006 * curves["roll"]
    shoulder[:, 2] = 0.6
    wrist[:] = np.array([sign * 1.5, SHOULDERS_Y + (1.7 if hand_up else 4.0), -1.2 if hand_up else -0.4], np.float32)
    wrist[:, 0] += HEAD_WIDTH * curves[f"{side}_hand_x"] + 0.4 * lean
    wrist[:, 1] += HEAD_WIDTH * (curves[f"{side}_hand_y"] + 0.3 * curves["bob"])
    elbow[:] = 0.5 * (shoulder + wrist) + np.array([sign * 0.5, 0.7 if hand_up else 0.2, 0.3], np.float32)
    hip[:] = np.array([sign * 0.62 * half, SHOULDERS_Y + 5.2, 0.4], np.float32)
    hand = np.array([[sign * 0.1, 0.9, 0], [0, 0.95, 0], [0, 0.7, 0]])
    joints[:, first + 6 : first + 11 : 2] = wrist[:, None] + hand
    leg = np.array([[0, 4.0, -1], [0, 8, 0], [0, 8.4, 0], [0, 8.6, -0.8]])
    joints[:, first + 14 : first + 21 : 2] = hip[:, None] + leg


def _visibility(body: np.ndarray, performer: Performer, rng: np.random.Generator) -> np.ndarray:
    """Return the visibility of the body, (T, 33) 0..1: high inside the picture, low outside and for hidden arms."""
    outside = np.maximum(np.abs(body[..., :2] - 0.5).max(-1) - 0.5, 0.0)
    visibility = 0.04 + 0.94 / (1 + (outside / 0.04) ** 2)
    if not performer.arms_seen:
        visibility[:, 13:23] = np.minimum(visibility[:, 13:23], 0.15)
    visibility[:, 25:] *= 0.1
    return np.clip(visibility + 0.015 * rng.standard_normal(visibility.shape), 0.0, 1.0)


def _blendshapes(
    performance: Performance, performer: Performer, pose: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the blendshapes, (T, 52) float32 0..1, in MediaPipe's order.

    They add the curves, the person's values at rest, crosstalk from the pose of the head, and noise.
    """
    curves, n = performance.curves, len(pose)
    person = np.random.default_rng([performer.seed, 52])
    share = np.zeros((len(BLENDS), len(BLENDSHAPES)), np.float32)
    values = np.tile(person.uniform(0.0, 0.03, len(BLENDSHAPES)).astype(np.float32), (n, 1))
    for name, level in RESTING.items():
        values[:, _columns(name)] += level * person.uniform(0.0, 1.5)
    for row, blends in zip(share, BLENDS.values(), strict=True):
        for name, weight in blends.items():
            row[_columns(name)] = weight * person.uniform(0.4, 1.05)
    values += np.stack([curves[name] for name in BLENDS], 1) @ share
    down, right = pose[:, 0] / 60 + 0.4 * curves["gaze_y"], 0.6 * curves["gaze_x"] + pose[:, 1] / 120
    for name, curve in (("eyeLookDown", down), ("eyeLookUp", -down)):
        values[:, _columns(name)] += np.maximum(curve, 0)[:, None]
    for name, curve in (("OutLeft", right), ("InRight", right), ("InLeft", -right), ("OutRight", -right)):
        values[:, BLENDSHAPES.index("eyeLook" + name)] += np.maximum(curve, 0)
    values[:, _columns("eyeBlink")] += np.maximum(down, 0)[:, None] * 0.5
    values[:, _columns("browInnerUp")] -= 0.2 * np.maximum(down, 0)[:, None]
    noise = rng.standard_normal((n, len(BLENDSHAPES)), dtype=np.float32)
    values += noise * (0.004 + 0.06 * values * (1 - np.minimum(values, 1.0)))
    values[:, 0] = 0.0  # "_neutral", which MediaPipe does not use
    return np.clip(values, 0.0, 1.0)


def _columns(name: str) -> list[int]:
    """Return the columns of a blendshape: of both its sides where it has two."""
    return [BLENDSHAPES.index(each) for each in (name, name + "Left", name + "Right") if each in BLENDSHAPES]


def _found(times: np.ndarray, losses_per_s: float, ever: bool, rng: np.random.Generator) -> np.ndarray:
    """Draw the frames in which a detection succeeds, (T,) bool; random losses last 0.1 to 0.8 s."""
    length_s = times[-1] + 1.0
    starts = rng.uniform(-1.0, times[-1], rng.poisson(losses_per_s * length_s))
    stops = starts + rng.uniform(0.1, 0.8, len(starts))
    lost = ((times[:, None] >= starts) & (times[:, None] < stops)).any(1)
    return ~lost if ever else np.zeros(len(times), bool)
