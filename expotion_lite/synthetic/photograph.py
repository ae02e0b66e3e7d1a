"""A performer in pixels: scikit-image's astronaut photograph (NASA, public domain), made to move.

Two layers are warped and put together for each frame. Behind: the photograph with the head painted out, bent smoothly
where the trunk sways and the shoulders lift. In front: the head, a mesh of triangles over MediaPipe's face points,
the outline of the hair and the neck; its corners are turned in depth about the neck as `camera.py` turns
the landmarks, and each triangle carries its pixels along (piecewise-affine warping). Hands are out of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ExpotionError
from .camera import CAMERA, HEAD_WIDTH, LOWER_LIDS, NECK, SHAPES, UPPER_LIDS, face_photograph, face_shapes, rotations

if TYPE_CHECKING:
    from ..video.reading import Frame
    from .people import Performance

EYES = np.array([224.75, 102.32])  # pixels of the photograph, midway between the irises
EYE_SPAN = 60.12  # pixels between the outer eye corners
POSE = (14.9, 0.65, 3.5)  # degrees (pitch, yaw, roll) of the photographed head
SMILE = 0.9  # of the photographed face
VIEW = (222.0, 2.0, 400.0)  # pixels: middle, top and height of the part of the photograph that is shown
# Outline of the hair, face and neck in pixels, clockwise from the crown; then the neck inside the collar.
OUTLINE = np.array([
    (227, 16), (251, 19), (268, 27), (282, 36), (291, 48), (297, 61), (300, 78), (300, 93), (294, 111), (285, 123),
    (275, 134), (266, 138), (263, 150), (257, 163), (254, 182), (258, 204), (262, 236),
    (182, 236), (185, 204), (187, 178), (186, 152), (181, 133), (174, 128), (169, 116), (157, 104), (154, 92),
    (153, 68), (156, 58), (164, 50), (174, 43), (189, 35), (201, 23), (212, 21),
], float)  # fmt: skip
UPPER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)  # the inner edges of the lips
LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)
GAINS = {"smile": 1.0, "frown": 2.0, "brow_up": 1.6, "brow_down": 3.0, "jaw": 1.0}  # on the shapes of `figure`
FLATTER = (-0.6, -0.1, 0.1, 0.8), (-0.38, -0.08, 0.1, 0.4)  # eye spans: a photograph turned too deep shows its folds
DARK = np.array([52, 18, 18], np.float32)  # RGB inside an open mouth
LIP_LINE = np.array([120, 62, 56], np.float32)  # RGB where closed lips meet
FINE = 2  # the head is drawn at this many times the picture's resolution, then averaged


@dataclass(frozen=True)
class Rig:
    """The photograph, taken apart.

    Attributes:
        behind: (512, 512, 3) uint8, the head painted out. `front`: the photograph itself.
        alpha: (512, 512) float32, 1 where the front layer is head.
        points: (N, 3) corners of the mesh, eye spans from the eyes, depth included: the 468 face points, a row
            below the upper teeth, the outline. `rest`: (N, 2) the same in pixels of the photograph.
        grip: (N,) 1 where a corner moves with the head, 0 where with the trunk.
        triangles: (M, 3) indices into points.
        shapes: name -> (N, 3) eye spans that corners move where that curve is 1.
    """

    behind: np.ndarray
    front: np.ndarray
    alpha: np.ndarray
    points: np.ndarray
    rest: np.ndarray
    grip: np.ndarray
    triangles: np.ndarray
    shapes: dict[str, np.ndarray]


def render_frames(performance: Performance, *, size: tuple[int, int] = (480, 480)) -> Iterator[Frame]:
    """Render a performance as pictures of the moving photograph, one by one.

    Args:
        performance: movement and expression; the hands' curves are not shown.
        size: (width, height) in pixels, each even and at least 64.

    Yields:
        One Frame for each of the performance's times.

    Raises:
        ExpotionError: an unusable size, or scikit-image is not installed.

    Notebook: notebooks/00_start_here
    """
    width, height = size
    if min(size) < 64 or width % 2 or height % 2 or not 0.25 <= width / height <= 4:
        raise ExpotionError(
            f"Cannot render {width}x{height} pixels; choose even sides of at least 64, such as 480x480."
        )
    return _frames(performance, size)


def _frames(performance: Performance, size: tuple[int, int]) -> Iterator[Frame]:
    from ..video.reading import Frame

    rig = load_rig()
    for index, time_s in enumerate(performance.times):
        state = {name: float(curve[index]) for name, curve in performance.curves.items()}
        yield Frame(_picture(rig, state, size), float(time_s))


@cache
def load_rig() -> Rig:
    """Take the photograph apart; done once.

    Raises:
        ExpotionError: scikit-image, which carries the photograph, is not installed.
    """
    import cv2
    from scipy.spatial import Delaunay

    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise ExpotionError(
            "Rendering a performer needs scikit-image, which carries the photograph; run: pip install scikit-image"
        ) from error
    front = astronaut()
    mask = np.zeros(front.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(OUTLINE * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    above_collar = np.clip((205 - np.arange(512)) / 20, 0, 1)[:, None]
    hole = cv2.dilate((mask * above_collar).astype(np.uint8), np.ones((9, 9), np.uint8)) > 8
    behind = cv2.inpaint(front, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA)
    fade = np.clip((236 - np.arange(512)) / 40, 0, 1)[:, None]  # inside the black collar: no edge to see
    alpha = (cv2.GaussianBlur(mask, (0, 0), 1.2) / 255 * fade).astype(np.float32)

    face = face_photograph()[:468].astype(float)
    face[:, 2] = np.interp(face[:, 2], *FLATTER)
    teeth = face[list(LOWER_LIP[1:-1])] + 0.15 * (face[list(UPPER_LIP[1:-1])] - face[list(LOWER_LIP[1:-1])])
    outwards = OUTLINE - OUTLINE.mean(0)
    rim = OUTLINE + 7 * outwards / np.linalg.norm(outwards, axis=1, keepdims=True)
    neck = (rim[:, 1] > 140) & (rim[:, 1] < 250)
    depth = np.where(neck, 0.5, 0.3)
    rim3 = np.c_[(rim - EYES) / EYE_SPAN, depth]
    points = np.concatenate([face, teeth, rim3])
    rest = points[:, :2] * EYE_SPAN + EYES
    grip = np.r_[np.ones(468 + len(teeth)), np.where(neck, np.clip((240 - rim[:, 1]) / 100, 0, 1), 1.0)]
    return Rig(behind, front, alpha, points, rest, grip, Delaunay(rest).simplices, _shapes(points, len(teeth)))


def _shapes(points: np.ndarray, n_teeth: int) -> dict[str, np.ndarray]:
    """The face shapes of `figure`, turned to the photographed head, larger where the photograph needs it."""
    turn = rotations(*np.array(POSE)[:, None])[0]
    shapes = {name: np.zeros_like(points) for name in GAINS}
    for name, gain in GAINS.items():
        shapes[name][:468] = gain * face_shapes()[SHAPES.index(name), :468] @ turn.T
    upper, lower = list(UPPER_LIP), list(LOWER_LIP)
    gap = points[lower] - points[upper]
    shapes["smile"][upper] -= 0.45 * gap  # the lips close as the smile goes
    shapes["smile"][lower] += 0.65 * gap
    teeth = slice(468, 468 + n_teeth)
    for shape in shapes.values():
        shape[teeth] = shape[upper[1:-1]]
    shapes["smile"][teeth] = shapes["smile"][lower[1:-1]]
    shapes["blink"] = np.zeros_like(points)
    shapes["blink"][list(UPPER_LIDS)] = 0.92 * (points[list(LOWER_LIDS)] - points[list(UPPER_LIDS)])
    return shapes


def _picture(rig: Rig, state: dict[str, float], size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8: one frame."""
    import cv2

    (width, height), (scale, left, top) = size, _view(size)
    # Pixels are pulled, so the displacement is needed where a pixel comes from: found in a few steps, on a coarse grid.
    columns, rows = (8 * np.arange(-(-side // 8)) + 4 for side in size)
    target = np.stack(np.meshgrid(columns / scale + left - 0.5, rows / scale + top - 0.5), -1)
    source = target
    for _ in range(3):
        source = target - _trunk(source, state)
    shift = cv2.resize((source - target).astype(np.float32), None, fx=8, fy=8)[:height, :width]
    x, y = (np.arange(width, dtype=np.float32) + 0.5) / scale + left - 0.5, (np.arange(height, dtype=np.float32) + 0.5)
    shift[..., 0] += x
    shift[..., 1] += (y / scale + top - 0.5)[:, None]
    picture = cv2.remap(rig.behind, shift, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)

    corners, depth = _corners(rig, state)
    corners = (corners - (left, top) + 0.5) * scale - 0.5
    x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, size)
    inside = picture[y0:y1, x0:x1]
    fine = (corners - (x0, y0) + 0.5) * FINE - 0.5
    source = _pull(rig, fine, depth, (FINE * (y1 - y0), FINE * (x1 - x0)))
    head = cv2.remap(rig.front, source, None, cv2.INTER_LINEAR)
    _paint_mouth(head, fine, state)
    shrink = lambda image: cv2.resize(image, inside.shape[1::-1], interpolation=cv2.INTER_AREA)  # noqa: E731
    alpha = shrink(cv2.remap(rig.alpha, source, None, cv2.INTER_LINEAR))[..., None]
    inside[:] = inside + alpha * (shrink(head) - inside.astype(np.float32)) + 0.5
    return picture


def _view(size: tuple[int, int]) -> tuple[float, float, float]:
    """Scale (output pixels per pixel of the photograph), left and top of the part that is shown."""
    width, height = size
    middle, top, shown = VIEW
    shown = min(max(shown, 300 * height / width), 510.0, 512 * height / width)
    shown_width = shown * width / height
    return height / shown, float(np.clip(middle - shown_width / 2, 0, 512 - shown_width)), top


def _ramp(x: np.ndarray, start: float, stop: float) -> np.ndarray:
    """0 at start, 1 at stop, smooth between."""
    x = np.clip((x - start) / (stop - start), 0.0, 1.0)
    return x * x * (3 - 2 * x)


def _trunk(at: np.ndarray, state: dict[str, float]) -> np.ndarray:
    """(..., 2) displacement in pixels of what is at (..., 2) pixels of the photograph, the head aside."""
    x, y = at[..., 0], at[..., 1]
    unit = HEAD_WIDTH * EYE_SPAN
    body = _ramp(y, 100, 215) * _ramp(x, -60, 80) * (1 - _ramp(x, 320, 440) * (1 - _ramp(y, 280, 400)))
    lean = 0.65 * np.clip((560 - y) / 310, 0, 1.35)
    lift = body * np.clip((620 - y) / 360, 0, 1)
    return np.stack([unit * state["sway"] * lean * body, unit * (state["bob"] * body - state["shoulders"] * lift)], -1)


def _corners(rig: Rig, state: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Where the mesh's corners (N, 2) are in pixels of the photograph, and their depth (N,)."""
    points = rig.points + (state["smile"] - SMILE) * rig.shapes["smile"]
    for name in ("frown", "brow_up", "brow_down", "jaw", "blink"):
        points += state[name] * rig.shapes[name]
    points[:, :2] *= 1 + points[:, 2:] / CAMERA
    turn = rotations(*(np.array([state[axis]]) for axis in ("pitch", "yaw", "roll")))[0]
    points = (points - NECK) @ turn.T + NECK
    head = points[:, :2] / (1 + points[:, 2:] / CAMERA) * EYE_SPAN + EYES
    head += HEAD_WIDTH * EYE_SPAN * np.array([state["sway"], state["bob"]])
    trunk = rig.rest + _trunk(rig.rest, state)
    return trunk + rig.grip[:, None] * (head - trunk), points[:, 2]


def _pull(rig: Rig, corners: np.ndarray, depth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W, 2) float32: for each pixel, where in the photograph it comes from; far outside where no triangle lies."""
    import cv2

    a, b, c = (corners[rig.triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    owner = np.full(shape, -1, np.int32)
    outlines = np.rint(np.stack([a, b, c], 1) * 16).astype(np.int32)
    for index in np.argsort(-depth[rig.triangles].mean(1)):  # far ones first
        if abs(area[index]) > 0.05:
            cv2.fillConvexPoly(owner, outlines[index], int(index), cv2.LINE_8, 4)
    area = np.where(np.abs(area) > 0.05, area, 1.0)
    ra, rb, rc = (rig.rest[rig.triangles[:, k]] for k in range(3))
    along, down = (rb - ra) / area[:, None], (rc - ra) / area[:, None]
    by_x = along * (c - a)[:, 1:] - down * (b - a)[:, 1:]
    by_y = down * (b - a)[:, :1] - along * (c - a)[:, :1]
    start = ra - by_x * a[:, :1] - by_y * a[:, 1:]
    # One more row for owner -1: nobody's pixels come from far outside the photograph.
    start, by_x, by_y = (
        np.concatenate([table, [[fill, fill]]]).astype(np.float32)
        for table, fill in ((start, -100.0), (by_x, 0.0), (by_y, 0.0))
    )
    source = start[owner]
    source += by_x[owner] * np.arange(shape[1], dtype=np.float32)[None, :, None]
    source += by_y[owner] * np.arange(shape[0], dtype=np.float32)[:, None, None]
    return source


def _paint_mouth(head: np.ndarray, corners: np.ndarray, state: dict[str, float]) -> None:
    """In place: dark between the upper teeth and the lower lip of an open mouth; no teeth without a smile."""
    jaw, shown = state["jaw"], float(_ramp(np.array(state["smile"]), 0.1, 0.5))
    upper, lower = corners[list(UPPER_LIP)], corners[list(LOWER_LIP)]
    teeth = corners[468 : 468 + len(LOWER_LIP) - 2]
    ends = corners[[78, 308]]
    lips = np.concatenate([ends[:1], lower, ends[1:], upper[::-1]])
    _fill(head, lips, LIP_LINE + min(1.0, 6 * jaw) * (DARK - LIP_LINE), 1 - shown)
    _fill(head, np.concatenate([lower, teeth[::-1]]), DARK, min(1.0, 8 * jaw))


def _fill(head: np.ndarray, edge: np.ndarray, colour: np.ndarray, strength: float) -> None:
    """Paint a polygon with soft edges into (H, W, 3) uint8, in place."""
    import cv2

    if strength < 0.01:
        return
    mask = np.zeros(head.shape[:2], np.uint8)
    points = [np.rint(edge * 16).astype(np.int32)]
    cv2.fillPoly(mask, points, 255, cv2.LINE_AA, 4)
    cv2.polylines(mask, points, True, 255, FINE, cv2.LINE_AA, 4)
    (x0, y0), (x1, y1) = np.floor(edge.min(0)).astype(int) - 8, np.ceil(edge.max(0)).astype(int) + 8
    part = (slice(max(y0, 0), max(y1, 0)), slice(max(x0, 0), max(x1, 0)))
    weight = cv2.GaussianBlur(mask[part], (0, 0), 0.6 * FINE)[..., None] * np.float32(strength / 255)
    head[part] = head[part] + weight * (colour.astype(np.float32) - head[part]) + 0.5
