"""Landmarks drawn on the pictures of a video: as one still, as a row of stills, and as a video."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..errors import ExpotionError
from .palette import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..landmarks.extraction import Landmarks
    from ..video.reading import Frame, Video

Chain = tuple[str, tuple[int, ...]]  # name of a colour, and numbers of landmarks; a closed chain repeats its first
Line = tuple[str, np.ndarray, int]  # name of a colour, (N, 2) pixels, width in pixels

_NOSE: tuple[Chain, ...] = (("sky", (168, 6, 197, 195, 5, 4, 1, 2)), ("sky", (98, 97, 2, 326, 327)))
_IRISES = ((468, 469), (473, 474))  # the centre and a point of the rim
_HEAD: tuple[Chain, ...] = (("sky", (7, 3, 2, 1, 0, 4, 5, 6, 8)), ("sky", (9, 10)))
_BODY: tuple[Chain, ...] = (
    ("pink", (11, 12, 24, 23, 11)),
    ("orange", (11, 13, 15)),
    ("orange", (15, 17, 19, 15, 21)),
    ("blue", (12, 14, 16)),
    ("blue", (16, 18, 20, 16, 22)),
    ("orange", (23, 25, 27, 29, 31, 27)),
    ("blue", (24, 26, 28, 30, 32, 28)),
)
_JOINTS = (11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
_MIN_VISIBILITY = 0.5
_SHIFT = 4  # cv2 takes points as whole numbers of 1 / 2**4 pixels


@cache
def _face_chains() -> tuple[Chain, ...]:
    """Return the outlines of a face, from MediaPipe's tables. The tables lack the nose."""
    from mediapipe.tasks.python.vision.face_landmarker import FaceLandmarksConnections as Tables

    lips = Tables.FACE_LANDMARKS_LIPS
    outlines = (
        ("yellow", Tables.FACE_LANDMARKS_RIGHT_EYEBROW),
        ("yellow", Tables.FACE_LANDMARKS_LEFT_EYEBROW),
        ("green", Tables.FACE_LANDMARKS_RIGHT_EYE),
        ("green", Tables.FACE_LANDMARKS_LEFT_EYE),
        ("vermilion", lips[: len(lips) // 2]),  # the outer outline
        ("vermilion", lips[len(lips) // 2 :]),  # the inner outline
    )
    oval = _closed_chain((link.start, link.end) for link in Tables.FACE_LANDMARKS_FACE_OVAL)
    rest = [(colour, _closed_chain((link.start, link.end) for link in links)) for colour, links in outlines]
    return (("sky", oval), *_NOSE, *rest)


def _closed_chain(links: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """Return the points of a closed outline in order; the last is the first again.

    MediaPipe lists an outline as one loop, or as two paths that begin near the same corner. Of two paths, the chain
    goes along the first and back along the second.

    Example:
        >>> _closed_chain([(33, 7), (7, 133), (33, 246), (246, 133)])
        (33, 7, 133, 246, 33)
    """
    paths: list[list[int]] = []
    for start, end in links:
        if not paths or paths[-1][-1] != start:
            paths.append([start])
        paths[-1].append(end)
    there, *back = paths
    loop = there + [point for path in back for point in reversed(path)] + [there[0]]
    return (loop[0], *(point for before, point in pairwise(loop) if point != before))


def draw_landmarks(image: np.ndarray, landmarks: Landmarks, index: int) -> np.ndarray:
    """Draw the landmarks of one frame on its picture: the outlines of the face and the skeleton of the body.

    The person's left arm and leg are orange, the right ones blue. Body points with a visibility under 0.5 are left out.

    Args:
        image: (H, W, 3) uint8 RGB, the frame, at any size.
        landmarks: landmarks of the whole video.
        index: number of the frame.

    Returns:
        (H, W, 3) uint8 RGB, a new picture; equal to `image` where nobody was found.

    Raises:
        ExpotionError: there is no such frame, or `image` is not a picture.
    """
    import cv2

    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ExpotionError(f"The picture is {image.dtype} {image.shape}; give (height, width, 3) uint8 RGB.")
    count = len(landmarks.times)
    if not -count <= index < count:
        raise ExpotionError(f"There is no frame {index}; the video has {count} of them.")
    drawn = image.copy()
    size = np.array([image.shape[1], image.shape[0]])
    thin = max(1, round(max(image.shape[:2]) / 640))
    lines = [*_face_lines(landmarks, index, size, thin), *_body_lines(landmarks, index, size, 2 * thin)]
    for _, points, width in lines:  # a soft dark edge first, so that the lines show on any background
        cv2.polylines(drawn, [_to_fixed_point(points)], False, PALETTE["black"], width + 2 * thin, cv2.LINE_AA, _SHIFT)
    drawn = cv2.addWeighted(drawn, 0.3, image, 0.7, 0)
    for colour, points, width in lines:
        cv2.polylines(drawn, [_to_fixed_point(points)], False, PALETTE[colour], width, cv2.LINE_AA, _SHIFT)
    for colour, point, radius in _dots(landmarks, index, size, thin):
        centre, reach = tuple(_to_fixed_point(point).tolist()), round(radius * 2**_SHIFT)
        cv2.circle(drawn, centre, reach, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(drawn, centre, reach, PALETTE[colour], thin, cv2.LINE_AA, _SHIFT)
    return drawn


def plot_landmarks(image: np.ndarray, landmarks: Landmarks, index: int, *, ax: Axes | None = None) -> Axes:
    """Plot one frame with its landmarks.

    Args:
        image: (H, W, 3) uint8 RGB, the frame.
        landmarks: landmarks of the whole video.
        index: number of the frame.
        ax: where to draw; None makes a figure.

    Returns:
        The axes.
    """
    import matplotlib.pyplot as plt

    ax = ax if ax is not None else plt.subplots(figsize=(5.0, 5.0), layout="constrained")[1]
    ax.imshow(draw_landmarks(image, landmarks, index))
    ax.set_axis_off()
    found = [
        f"{name} {'found' if seen[index] else 'missing'}"
        for name, seen in (("face", landmarks.face_found), ("body", landmarks.body_found))
    ]
    ax.set_title(f"{landmarks.times[index]:.2f} s: {', '.join(found)}", fontsize="medium")
    return ax


def plot_landmark_strip(
    video: str | os.PathLike[str] | bytes | BinaryIO,
    landmarks: Landmarks,
    times: Sequence[float] | int = 5,
) -> Figure:
    """Plot a row of frames with their landmarks.

    Args:
        video: the video that the landmarks were extracted from.
        landmarks: landmarks of all its frames.
        times: seconds, the nearest frame of each is shown; or a number of frames, evenly spread.

    Returns:
        The figure, with one axes for each frame.

    Raises:
        ExpotionError: `times` is empty, or the landmarks belong to another video.

    Notebook: notebooks/00_start_here
    """
    import matplotlib.pyplot as plt

    from ..video.reading import Video

    chosen = (np.arange(times) + 0.5) / max(times, 1) * landmarks.times[-1] if isinstance(times, int) else times
    wanted = [int(np.abs(landmarks.times - time).argmin()) for time in chosen]
    if not wanted:
        raise ExpotionError("A strip of no pictures was asked for; name at least one time.")
    pictures = {index: frame.image for index, frame in _matched_frames(Video.of(video), landmarks) if index in wanted}
    size = (2.2 * len(wanted), 2.2 * landmarks.height / landmarks.width + 0.3)
    figure, axes = plt.subplots(1, len(wanted), figsize=size, squeeze=False, layout="constrained")
    for index, ax in zip(wanted, axes[0], strict=True):
        plot_landmarks(pictures[index], landmarks, index, ax=ax)
        ax.set_title(f"{landmarks.times[index]:.2f} s", fontsize="medium")
    return figure


def overlay_video(
    video: str | os.PathLike[str] | bytes | BinaryIO,
    landmarks: Landmarks,
    path: str | os.PathLike[str],
    *,
    audio: np.ndarray | None = None,
    sample_rate: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a copy of a video with its landmarks drawn on every picture. Frames are read one by one.

    Args:
        video: the video that the landmarks were extracted from: a path, bytes, or a binary file.
        landmarks: landmarks of all its frames.
        path: the mp4 to write.
        audio: (N,) float32 within -1..1, the sound of the new video; None for no sound.
        sample_rate: Hz, of `audio`.
        overwrite: replace the file if it exists.

    Returns:
        The path written.

    Raises:
        ExpotionError: the landmarks belong to another video, or one of the two files cannot be used.

    Notebook: notebooks/00_start_here
    """
    from ..video.reading import Frame, Video
    from ..video.writing import write_video

    opened = Video.of(video)
    frames = (
        Frame(draw_landmarks(frame.image, landmarks, index), frame.time_s)
        for index, frame in _matched_frames(opened, landmarks)
    )
    return write_video(
        path, frames, audio=audio, sample_rate=sample_rate, duration_s=opened.info.duration_s, overwrite=overwrite
    )


def _matched_frames(video: Video, landmarks: Landmarks) -> Iterator[tuple[int, Frame]]:
    """Yield the number and the frame of each picture of the video that the landmarks were extracted from.

    Raises:
        ExpotionError: the frames have other times than the landmarks.
    """
    index = -1
    for index, frame in enumerate(video.frames()):
        if index >= len(landmarks.times) or abs(landmarks.times[index] - frame.time_s) > 1e-3:
            break
        yield index, frame
    else:
        if index + 1 == len(landmarks.times):
            return
    raise ExpotionError("These landmarks belong to another video: its frames have other times. Extract them again.")


def _face_lines(landmarks: Landmarks, index: int, size: np.ndarray, width: int) -> Iterator[Line]:
    if not landmarks.face_found[index]:
        return
    points = landmarks.face[index, :, :2] * size
    for colour, chain in _face_chains():
        yield colour, points[list(chain)], width


def _body_lines(landmarks: Landmarks, index: int, size: np.ndarray, width: int) -> Iterator[Line]:
    """Yield the links of the skeleton whose ends are both visible; those of the head only if no face was found."""
    if not landmarks.body_found[index]:
        return
    points, visible = landmarks.body[index, :, :2] * size, landmarks.body[index, :, 3] >= _MIN_VISIBILITY
    for colour, chain in _BODY if landmarks.face_found[index] else _HEAD + _BODY:
        for link in pairwise(chain):
            if visible[list(link)].all():
                yield colour, points[list(link)], width


def _dots(landmarks: Landmarks, index: int, size: np.ndarray, thin: int) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield colour, (2,) pixels and radius of irises and joints."""
    if landmarks.face_found[index]:
        points = landmarks.face[index, :, :2] * size
        for centre, rim in _IRISES:
            radius = float(np.linalg.norm(points[centre] - points[rim]))
            yield "green", points[centre], max(0.5 * radius, 0.75)
    if landmarks.body_found[index]:
        for joint in _JOINTS:
            x, y, _, visibility = landmarks.body[index, joint]
            if visibility >= _MIN_VISIBILITY:
                colour = "orange" if joint % 2 else "blue"  # odd numbers are the person's left side
                yield colour, np.array([x, y]) * size, 2.0 * thin + 0.5


def _to_fixed_point(points: np.ndarray) -> np.ndarray:
    """Return pixels as the whole numbers that cv2 takes, far points clipped."""
    return np.round(np.clip(points, -(2**14), 2**14) * 2**_SHIFT).astype(np.int32)
