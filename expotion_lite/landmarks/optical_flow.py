"""Motion of a person's pixels from picture to picture: dense optical flow inside the person's outline.

Landmarks say where joints are, with jitter. Optical flow sees every pixel that moves: clothes, hands, trunk and legs.
It comes from OpenCV's DIS (Kroeger et al. 2016, Fast Optical Flow using Dense Inverse Search) on small grey pictures.
The movement of the background, as of a camera held by hand, is fitted and taken away.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from .landmarker import Person

SIDE = 160  # pixels of the longer side of the pictures that are compared
HEAD, ARMS, TRUNK = 0, 1, 2  # columns of the result

_BACKGROUND_SHARE = 0.15  # of the picture, at least, to fit the background's movement
_STEP = 4  # every fourth pixel of the background is enough for the fit
_FITS = 3  # rounds; each leaves out the half that fits worst
_CUT = 35.0  # mean difference of grey values, 0..255, of two pictures between which the scene was cut
_SAME = 0.02  # the same, of a picture that merely repeats the one before
_FACE_MARGIN, _LIMB_WIDTH, _TRUNK_MARGIN = 0.35, 0.45, 0.3  # in head sizes, shoulder widths, shoulder widths
_LIMBS = {ARMS: ((11, 13, 15, 19), (12, 14, 16, 20)), TRUNK: ((23, 25, 27, 31), (24, 26, 28, 32))}
_SHOULDERS_AND_HIPS = (11, 12, 24, 23)
_VISIBLE = 0.3
_SHOULDERS_IN_HEADS, _PICTURES_IN_SIZES = 2.0, 4.0  # a person's size where only a face, or nothing, is found


class FlowMeter:
    """Measures how far the pixels of head, arms and trunk have moved since the picture before."""

    def __init__(self) -> None:
        import cv2

        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._before: np.ndarray | None = None
        self._repeated = False
        self._last = np.full(3, np.nan, np.float32)

    def step(self, image: np.ndarray, face: Person | None, body: Person | None) -> np.ndarray:
        """Compare a picture with the one before.

        Args:
            image: (h, w, 3) uint8 RGB.
            face: the person's face in pixels of the picture; None if it is not found.
            body: the person's body; None if it is not found.

        Returns:
            (3,) float32: path length of the pixels of head, arms and trunk (with legs), summed over the pixels and
            divided by the area of a square as wide as the shoulders; in shoulder widths. Where nobody is found, all
            that moves counts as trunk. NaN for the first picture and for one repeated picture, whose movement shows in
            the next one. After a cut, what was measured before it.
        """
        import cv2

        scale = SIDE / max(image.shape[:2])
        size = tuple(max(16, round(side * scale)) for side in image.shape[1::-1])
        grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        before, self._before = self._before, grey
        if before is None:
            return self._last
        change = float(cv2.absdiff(before, grey).mean())
        self._repeated = change < _SAME and not self._repeated
        if self._repeated:
            return np.full(3, np.nan, np.float32)
        if change > _CUT:
            return self._last
        moved = self._flow.calc(before, grey, None)
        regions, person_size = draw_regions(grey.shape, scale, face, body)
        background = regions < 0
        if background.mean() >= _BACKGROUND_SHARE:
            moved = moved - background_motion(moved, background)
        path = np.hypot(moved[..., 0], moved[..., 1])
        sums = [path[regions == region].sum() for region in (HEAD, ARMS, TRUNK)]
        self._last = (np.array(sums) / person_size**3).astype(np.float32)
        return self._last


def background_motion(moved: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Fit the movement of the background by one affine map: translation, rotation, zoom.

    Args:
        moved: (h, w, 2) optical flow in pixels.
        background: (h, w) bool.

    Returns:
        (h, w, 2), the fitted movement of every pixel.
    """
    rows, columns = np.mgrid[: moved.shape[0], : moved.shape[1]]
    places = np.stack([np.ones_like(rows), rows, columns], axis=-1).astype(np.float64)
    chosen = background[::_STEP, ::_STEP]
    inputs, targets = places[::_STEP, ::_STEP][chosen], moved[::_STEP, ::_STEP][chosen]
    fit = np.zeros((3, 2))
    fit[0] = np.median(targets, axis=0)
    for _ in range(_FITS):  # what moves in the background by itself fits worst, and is left out
        error = np.abs(targets - inputs @ fit).sum(axis=1)
        kept = error <= np.median(error)
        fit = np.linalg.lstsq(inputs[kept], targets[kept], rcond=None)[0]
    return np.asarray(places @ fit)


def draw_regions(
    shape: tuple[int, ...], scale: float, face: Person | None, body: Person | None
) -> tuple[np.ndarray, float]:
    """Draw where head, arms and trunk are in a small picture, with a margin.

    Args:
        shape: (h, w) of the small picture.
        scale: its size as a share of the picture in which the person was found.
        face: the face, or None.
        body: the body, or None.

    Returns:
        (h, w) int8: `HEAD`, `ARMS`, `TRUNK`, or -1 for the background; and the shoulder width in pixels of the small
        picture (estimated where there are no shoulders). The whole picture is trunk where nobody was found.
    """
    import cv2

    regions = np.full(shape, -1, np.int8)
    if face is None and body is None:
        return np.full(shape, TRUNK, np.int8), max(shape) / _PICTURES_IN_SIZES
    width = 0.0
    if body is not None:
        points = body.points[:, :2] * scale
        seen = np.asarray(body.visibility) > _VISIBLE
        width = float(np.hypot(*(points[11] - points[12])))
        width = max(width, 0.5 * float(np.hypot(*(points[[11, 12]].mean(0) - points[[23, 24]].mean(0)))))
        margin = max(1, round(_LIMB_WIDTH * width))
        trunk = cv2.convexHull(np.round(points[list(_SHOULDERS_AND_HIPS)]).astype(np.int32))
        cv2.fillConvexPoly(regions, trunk, TRUNK)
        cv2.polylines(regions, [trunk], True, TRUNK, max(1, round(2 * _TRUNK_MARGIN * width)))
        for region in (TRUNK, ARMS):
            for start, end in _visible_bones(_LIMBS[region], seen):
                line = [tuple(np.round(points[joint]).astype(int).tolist()) for joint in (start, end)]
                cv2.line(regions, line[0], line[1], region, margin)
    head = face.points[:, :2] * scale if face is not None else body.points[:11, :2] * scale  # type: ignore[union-attr]
    low, high = head.min(axis=0), head.max(axis=0)
    if face is None:  # eyes, ears and mouth span only the middle of the head
        grown = float((high - low).max()) * 0.8
    else:
        grown = _FACE_MARGIN * float((high - low).max())
    left, top = np.floor(low - grown).astype(int).clip(0)
    right, bottom = np.ceil(high + grown).astype(int).clip(0)
    regions[top:bottom, left:right] = HEAD
    if width == 0:
        width = _SHOULDERS_IN_HEADS * float((high - low).max())
    return regions, max(width, 4.0)


def _visible_bones(chains: tuple[tuple[int, ...], ...], seen: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the pairs of neighbouring joints of which both are seen."""
    for chain in chains:
        for start, end in pairwise(chain):
            if seen[start] and seen[end]:
                yield start, end
