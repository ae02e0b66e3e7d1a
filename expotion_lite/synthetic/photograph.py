"""Pictures of a performer: scikit-image's astronaut photograph (NASA, public domain), warped frame by frame.

Each frame joins two layers. The back layer is the photograph with the head painted out; it bends smoothly where the
trunk sways and the shoulders lift. The front layer is the head: a triangle mesh over MediaPipe's face points, the
outline of the hair and the neck. Its vertices turn in depth about the neck, as `camera.py` turns the landmarks, and
each triangle takes its pixels along (piecewise affine warping). The hands are outside the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..errors import ExpotionError
from ..video.reading import Frame
from .camera import CAMERA, HEAD_WIDTH, LOWER_LIDS, NECK, SHAPES, UPPER_LIDS, face_photograph, face_shapes, rotations
from .people import Performance

SIDE = 512  # pixels, width and height of the photograph
EYES = np.array([224.75, 102.32])  # pixels of the photograph, midway between the irises
EYE_SPAN = 60.12  # pixels between the outer eye corners
POSE = (14.9, 0.65, 3.5)  # degrees (pitch, yaw, roll) of the photographed head
SMILE = 0.9  # of the photographed face
VIEW_MIDDLE, VIEW_TOP, VIEW_HEIGHT = 222.0, 2.0, 400.0  # pixels, the part of the photograph that is shown
# Outline of the head in pixels, clockwise from the crown; left and right in the image. The neck ends inside the collar.
HAIR_RIGHT = [[227, 16], [251, 19], [268, 27], [282, 36], [291, 48], [297, 61], [300, 78], [300, 93], [294, 111]]
NECK_RIGHT = [[285, 123], [275, 134], [266, 138], [263, 150], [257, 163], [254, 182], [258, 204], [262, 236]]
NECK_LEFT = [[182, 236], [185, 204], [187, 178], [186, 152], [181, 133], [174, 128], [169, 116], [157, 104], [154, 92]]
HAIR_LEFT = [[153, 68], [156, 58], [164, 50], [174, 43], [189, 35], [201, 23], [212, 21]]
OUTLINE = np.array(HAIR_RIGHT + NECK_RIGHT + NECK_LEFT + HAIR_LEFT, float)
# Indices into the face mesh from the right corner of the mouth to the left, without the corners 78 and 308.
UPPER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)  # inner edge
LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)  # inner edge
GAINS = {"smile": 1.0, "frown": 2.0, "brow_up": 1.6, "brow_down": 3.0, "jaw": 1.0}  # factors on `camera.face_shapes`
# Depth of the mesh in eye spans, and what it is reduced to: at full depth a turned photograph shows folds.
DEPTH, FLATTER_DEPTH = (-0.6, -0.1, 0.1, 0.8), (-0.38, -0.08, 0.1, 0.4)
DARK = np.array([52, 18, 18], np.float32)  # RGB inside an open mouth
LIP_LINE = np.array([120, 62, 56], np.float32)  # RGB where closed lips meet
FINE = 2  # the head is drawn at this multiple of the resolution, then averaged


@dataclass(frozen=True)
class Rig:
    """The photograph in two layers, and the mesh that moves the front one.

    Attributes:
        behind: (512, 512, 3) uint8, the photograph with the head painted out.
        front: (512, 512, 3) uint8, the photograph.
        alpha: (512, 512) float32, 1 where the front layer is head.
        points: (N, 3) vertices of the mesh in eye spans: the 468 face points, a row below the upper teeth, the outline.
        rest: (N, 2) the same vertices in pixels of the photograph.
        grip: (N,) 1 where a vertex moves with the head, 0 where it moves with the trunk.
        triangles: (M, 3) indices into `points`.
        shapes: name -> (N, 3) how far the vertices move where that curve is 1, eye spans.
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
    """Render a performance as pictures of the moving photograph, one at a time.

    Args:
        performance: movement and expression; the curves of the hands are not visible.
        size: (width, height) in pixels, both even and at least 64.

    Yields:
        One Frame for each of the times of the performance.

    Raises:
        ExpotionError: the size is not possible.

    Notebook: notebooks/01_landmarks
    """
    width, height = size
    if min(size) < 64 or width % 2 or height % 2 or not 0.25 <= width / height <= 4:
        raise ExpotionError(
            f"Cannot render {width}x{height} pixels; choose even sides of at least 64, such as 480x480."
        )
    return _frames(performance, size)


def _frames(performance: Performance, size: tuple[int, int]) -> Iterator[Frame]:
    rig = load_rig()
    for index, time_s in enumerate(performance.times):
        state = {name: float(curve[index]) for name, curve in performance.curves.items()}
        yield Frame(_picture(rig, state, size), float(time_s))


@cache
def load_rig() -> Rig:
    """Build layers and mesh from the photograph, once."""
    from scipy.spatial import Delaunay
    from skimage.data import astronaut

    front = astronaut()
    behind, alpha = _layers(front)
    face = face_photograph()[:468].astype(float)
    face[:, 2] = np.interp(face[:, 2], DEPTH, FLATTER_DEPTH)
    upper, lower = face[list(UPPER_LIP[1:-1])], face[list(LOWER_LIP[1:-1])]
    teeth = lower + 0.15 * (upper - lower)
    outwards = OUTLINE - OUTLINE.mean(0)
    rim = OUTLINE + 7 * outwards / np.linalg.norm(outwards, axis=1, keepdims=True)
    neck = (rim[:, 1] > 140) & (rim[:, 1] < 250)
    rim_in_depth = np.c_[(rim - EYES) / EYE_SPAN, np.where(neck, 0.5, 0.3)]
    points = np.concatenate([face, teeth, rim_in_depth])
    rest = points[:, :2] * EYE_SPAN + EYES
    grip = np.r_[np.ones(468 + len(teeth)), np.where(neck, np.clip((240 - rim[:, 1]) / 100, 0, 1), 1.0)]
    return Rig(behind, front, alpha, points, rest, grip, Delaunay(rest).simplices, _shapes(points, len(teeth)))


def _layers(photograph: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the photograph with the head painted out, and the mask of the head (512, 512) float32 0..1."""
    import cv2

    mask = np.zeros(photograph.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(OUTLINE * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    above_collar = np.clip((205 - np.arange(SIDE)) / 20, 0, 1)[:, None]
    hole = cv2.dilate((mask * above_collar).astype(np.uint8), np.ones((9, 9), np.uint8)) > 8
    behind = cv2.inpaint(photograph, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA)
    fade = np.clip((236 - np.arange(SIDE)) / 40, 0, 1)[:, None]  # fades inside the black collar, where no edge shows
    return behind, (cv2.GaussianBlur(mask, (0, 0), 1.2) / 255 * fade).astype(np.float32)


def _shapes(points: np.ndarray, n_teeth: int) -> dict[str, np.ndarray]:
    """Turn `camera.face_shapes` to the photographed head and enlarge those that would hardly show."""
    turn = rotations(*np.array(POSE)[:, None])[0]
    shapes = {name: np.zeros_like(points) for name in GAINS}
    for name, gain in GAINS.items():
        shapes[name][:468] = gain * face_shapes()[SHAPES.index(name), :468] @ turn.T
    upper, lower = list(UPPER_LIP), list(LOWER_LIP)
    gap = points[lower] - points[upper]
    shapes["smile"][upper] -= 0.45 * gap  # the lips close as the smile fades
    shapes["smile"][lower] += 0.65 * gap
    teeth = slice(468, 468 + n_teeth)
    for shape in shapes.values():
        shape[teeth] = shape[upper[1:-1]]
    shapes["smile"][teeth] = shapes["smile"][lower[1:-1]]
    shapes["blink"] = np.zeros_like(points)
    shapes["blink"][list(UPPER_LIDS)] = 0.92 * (points[list(LOWER_LIDS)] - points[list(UPPER_LIDS)])
    return shapes


def _picture(rig: Rig, state: Mapping[str, float], size: tuple[int, int]) -> np.ndarray:
    """Draw one frame, (H, W, 3) uint8; `state` holds the values of the curves."""
    picture = _background(rig, state, size)
    _draw_head(picture, rig, state, size)
    return picture


def _background(rig: Rig, state: Mapping[str, float], size: tuple[int, int]) -> np.ndarray:
    """Bend the back layer, (H, W, 3) uint8.

    Each pixel of the frame takes its colour from a source in the photograph. `_trunk` gives the displacement at the
    source, which is not known, so it is found by iteration, on a coarse grid.
    """
    import cv2

    (width, height), (scale, left, top) = size, _view(size)
    columns, rows = (8 * np.arange(-(-side // 8)) + 4 for side in size)
    target = np.stack(np.meshgrid(columns / scale + left - 0.5, rows / scale + top - 0.5), -1)
    source = target
    for _ in range(3):
        source = target - _trunk(source, state)
    displacement = (source - target).astype(np.float32)
    sources: np.ndarray = cv2.resize(displacement, None, fx=8, fy=8)[:height, :width]
    sources[..., 0] += (np.arange(width, dtype=np.float32) + 0.5) / scale + left - 0.5
    sources[..., 1] += ((np.arange(height, dtype=np.float32) + 0.5) / scale + top - 0.5)[:, None]
    return _remap(rig.behind, sources, cv2.INTER_CUBIC, cv2.BORDER_REFLECT_101)


def _draw_head(picture: np.ndarray, rig: Rig, state: Mapping[str, float], size: tuple[int, int]) -> None:
    """Warp the front layer and draw it over the picture (H, W, 3) uint8, in place."""
    import cv2

    scale, left, top = _view(size)
    vertices, depth = _vertices(rig, state)
    vertices = (vertices - (left, top) + 0.5) * scale - 0.5
    x0, y0 = np.maximum(np.floor(vertices.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(vertices.max(0)).astype(int) + 1, size)
    inside = picture[y0:y1, x0:x1]
    vertices = (vertices - (x0, y0) + 0.5) * FINE - 0.5
    sources = _sources(rig, vertices, depth, (FINE * (y1 - y0), FINE * (x1 - x0)))
    head = _remap(rig.front, sources, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    _paint_mouth(head, vertices, state)
    alpha = _remap(rig.alpha, sources, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    shown = (x1 - x0, y1 - y0)
    head = cv2.resize(head, shown, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(alpha, shown, interpolation=cv2.INTER_AREA)[..., None]
    inside[:] = inside + alpha * (head - inside.astype(np.float32)) + 0.5


def _remap(image: np.ndarray, sources: np.ndarray, interpolation: int, border: int) -> np.ndarray:
    """Return the picture (H, W, ...) whose pixels come from points `sources` (H, W, 2) of an image."""
    import cv2

    # OpenCV's type stubs do not know that the second map may be None if the first one holds x and y.
    return cv2.remap(image, sources, None, interpolation, borderMode=border)  # type: ignore[call-overload]


def _view(size: tuple[int, int]) -> tuple[float, float, float]:
    """Return the scale (pixels of the frame per pixel of the photograph), left and top of the part that is shown."""
    width, height = size
    shown = min(max(VIEW_HEIGHT, 300 * height / width), 510.0, SIDE * height / width)
    shown_width = shown * width / height
    return height / shown, float(np.clip(VIEW_MIDDLE - shown_width / 2, 0, SIDE - shown_width)), VIEW_TOP


def _ramp(x: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Return a smooth step from 0 at `start` to 1 at `stop`."""
    x = np.clip((x - start) / (stop - start), 0.0, 1.0)
    return x * x * (3 - 2 * x)


def _trunk(at: np.ndarray, state: Mapping[str, float]) -> np.ndarray:
    """Return the displacement (..., 2) of the back layer at points (..., 2), in pixels of the photograph."""
    x, y = at[..., 0], at[..., 1]
    unit = HEAD_WIDTH * EYE_SPAN
    body = _ramp(y, 100, 215) * _ramp(x, -60, 80) * (1 - _ramp(x, 320, 440) * (1 - _ramp(y, 280, 400)))
    lean = 0.65 * np.clip((560 - y) / 310, 0, 1.35)
    lift = body * np.clip((620 - y) / 360, 0, 1)
    return np.stack([unit * state["sway"] * lean * body, unit * (state["bob"] * body - state["shoulders"] * lift)], -1)


def _vertices(rig: Rig, state: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices of the mesh in pixels of the photograph (N, 2), and their depth in eye spans (N,)."""
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


def _sources(rig: Rig, vertices: np.ndarray, depth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the source of each pixel in the photograph, (H, W, 2) float32; outside it where no triangle lies.

    Args:
        rig: layers and mesh.
        vertices: (N, 2) where the vertices are drawn, pixels of a picture of this shape.
        depth: (N,) their depth; near triangles are drawn over far ones.
        shape: (H, W).
    """
    import cv2

    a, b, c = (vertices[rig.triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    owner = np.full(shape, -1, np.int32)  # index of the triangle that a pixel shows
    outlines = np.rint(np.stack([a, b, c], 1) * 16).astype(np.int32)
    for index in np.argsort(-depth[rig.triangles].mean(1)):
        if abs(area[index]) > 0.05:
            cv2.fillConvexPoly(owner, outlines[index], int(index), cv2.LINE_8, 4)
    # Each triangle maps its pixels by source = start + x * by_x + y * by_y.
    area = np.where(np.abs(area) > 0.05, area, 1.0)
    ra, rb, rc = (rig.rest[rig.triangles[:, k]] for k in range(3))
    along, down = (rb - ra) / area[:, None], (rc - ra) / area[:, None]
    by_x = along * (c - a)[:, 1:] - down * (b - a)[:, 1:]
    by_y = down * (b - a)[:, :1] - along * (c - a)[:, :1]
    start = ra - by_x * a[:, :1] - by_y * a[:, 1:]
    # The row added at the end belongs to owner -1: pixels without a triangle come from far outside the photograph.
    start, by_x, by_y = (
        np.concatenate([table, [[fill, fill]]]).astype(np.float32)
        for table, fill in ((start, -100.0), (by_x, 0.0), (by_y, 0.0))
    )
    source: np.ndarray = start[owner]
    source += by_x[owner] * np.arange(shape[1], dtype=np.float32)[None, :, None]
    source += by_y[owner] * np.arange(shape[0], dtype=np.float32)[:, None, None]
    return source


def _paint_mouth(head: np.ndarray, vertices: np.ndarray, state: Mapping[str, float]) -> None:
    """Paint an open mouth dark between upper teeth and lower lip, and hide the teeth without a smile, in place."""
    jaw, smiling = state["jaw"], float(_ramp(np.array(state["smile"]), 0.1, 0.5))
    upper, lower = vertices[list(UPPER_LIP)], vertices[list(LOWER_LIP)]
    teeth = vertices[468 : 468 + len(LOWER_LIP) - 2]
    corners = vertices[[78, 308]]
    lips = np.concatenate([corners[:1], lower, corners[1:], upper[::-1]])
    _fill(head, lips, LIP_LINE + min(1.0, 6 * jaw) * (DARK - LIP_LINE), 1 - smiling)
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
