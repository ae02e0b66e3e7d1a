"""What was seen in a video, drawn on its pictures: as stills, in a row, and as a video."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..errors import ExpotionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..landmarks.extraction import Landmarks
    from ..video.reading import Frame

# Okabe & Ito's palette, which readers with any common colour blindness can tell apart (jfly.uni-koeln.de/color).
PALETTE = {
    "black": (0, 0, 0),
    "orange": (230, 159, 0),
    "sky": (86, 180, 233),
    "green": (0, 158, 115),
    "yellow": (240, 228, 66),
    "blue": (0, 114, 178),
    "vermilion": (213, 94, 0),
    "pink": (204, 121, 167),
}

# Chains of MediaPipe's point numbers, and their colour. A chain that ends where it began is closed.
_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152)
_OVAL += (148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10)
_FACE = (
    ("sky", _OVAL),
    ("sky", (168, 6, 197, 195, 5, 4, 1, 2)),
    ("sky", (98, 97, 2, 326, 327)),
    ("yellow", (46, 53, 52, 65, 55, 107, 66, 105, 63, 70, 46)),
    ("yellow", (276, 283, 282, 295, 285, 336, 296, 334, 293, 300, 276)),
    ("green", (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246, 33)),
    ("green", (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466, 263)),
    ("vermilion", (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185, 61)),
    ("vermilion", (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191, 78)),
)
_IRISES = ((468, 469), (473, 474))  # middle and a point of the rim
_HEAD = (("sky", (7, 3, 2, 1, 0, 4, 5, 6, 8)), ("sky", (9, 10)))
_BODY = (
    ("pink", (11, 12, 24, 23, 11)),
    ("orange", (11, 13, 15)),
    ("orange", (15, 17, 19, 15, 21)),
    ("blue", (12, 14, 16)),
    ("blue", (16, 18, 20, 16, 22)),
    ("orange", (23, 25, 27, 29, 31, 27)),
    ("blue", (24, 26, 28, 30, 32, 28)),
)
_JOINTS = (11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
_VISIBLE = 0.5
_SHIFT = 4  # cv2 takes points as whole numbers of 1 / 2**4 pixels


def draw_landmarks(image: np.ndarray, landmarks: Landmarks, index: int) -> np.ndarray:
    """Draw what was found in one frame on its picture: the face's outlines and the body's skeleton.

    The person's left arm and leg are orange, the right ones blue. Body points with a visibility under 0.5 are left out.

    Args:
        image: (H, W, 3) uint8 RGB, the frame, at any size.
        landmarks: of the whole video.
        index: the frame's number.

    Returns:
        (H, W, 3) uint8 RGB, a new picture; equal to `image` where nobody was found.

    Raises:
        ExpotionError: there is no such frame, or `image` is no picture.

    Notebook: notebooks/00_start_here
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
    for _, points, width in lines:  # a soft dark edge first, so that the lines show on any ground
        cv2.polylines(drawn, [_fixed(points)], False, PALETTE["black"], width + 2 * thin, cv2.LINE_AA, _SHIFT)
    drawn = cv2.addWeighted(drawn, 0.3, image, 0.7, 0)
    for colour, points, width in lines:
        cv2.polylines(drawn, [_fixed(points)], False, PALETTE[colour], width, cv2.LINE_AA, _SHIFT)
    for colour, point, radius in _dots(landmarks, index, size, thin):
        centre, reach = tuple(_fixed(point).tolist()), round(radius * 2**_SHIFT)
        cv2.circle(drawn, centre, reach, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(drawn, centre, reach, PALETTE[colour], thin, cv2.LINE_AA, _SHIFT)
    return drawn


def plot_landmarks(image: np.ndarray, landmarks: Landmarks, index: int, *, ax: Axes | None = None) -> Axes:
    """Show one frame with its landmarks.

    Args:
        image: (H, W, 3) uint8 RGB, the frame.
        landmarks: of the whole video.
        index: the frame's number.
        ax: where to draw; None makes a figure.

    Returns:
        The axes.

    Notebook: notebooks/00_start_here
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
    """Show a row of frames with their landmarks.

    Args:
        video: what the landmarks were found in.
        landmarks: of every frame of it.
        times: which moments, seconds (the nearest frame of each is shown); or how many, evenly spread.

    Returns:
        The figure, one axes for each frame.

    Raises:
        ExpotionError: no moment is asked for, or the landmarks are of another video.

    Notebook: notebooks/00_start_here
    """
    import matplotlib.pyplot as plt

    if isinstance(times, int):
        times = (np.arange(times) + 0.5) / max(times, 1) * landmarks.times[-1]
    wanted = [int(np.abs(landmarks.times - time).argmin()) for time in times]
    if not wanted:
        raise ExpotionError("A strip of no pictures was asked for; name at least one time.")
    pictures = {index: frame.image for index, frame in frames_of(video, landmarks) if index in wanted}
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
    """Write a copy of a video with its landmarks drawn on every picture; memory stays bounded.

    Args:
        video: what the landmarks were found in: a path, bytes, or a binary file.
        landmarks: of every frame of it.
        path: the mp4 to write.
        audio: (N,) float32 within -1..1, the sound to put under it; None for silence.
        sample_rate: of `audio`, Hz.
        overwrite: whether an existing file may be replaced.

    Returns:
        The path written.

    Raises:
        ExpotionError: the landmarks are of another video, or one of the two files cannot be used.

    Notebook: notebooks/00_start_here
    """
    from ..video.reading import probe
    from ..video.writing import write_video

    info, frames = probe(video), _drawn(video, landmarks)
    return write_video(
        path, frames, audio=audio, sample_rate=sample_rate, duration_s=info.duration_s, overwrite=overwrite
    )


def frames_of(video: str | os.PathLike[str] | bytes | BinaryIO, landmarks: Landmarks) -> Iterator[tuple[int, Frame]]:
    """Yield the number and the picture of each frame of the video that the landmarks were found in.

    Raises:
        ExpotionError: the times of the frames are not those of the landmarks.
    """
    from ..video.reading import read_frames

    index = -1
    for index, frame in enumerate(read_frames(video)):
        if index >= len(landmarks.times) or abs(landmarks.times[index] - frame.time_s) > 1e-3:
            break
        yield index, frame
    else:
        if index + 1 == len(landmarks.times):
            return
    raise ExpotionError("These landmarks are of another video: its frames are at other times. Extract them anew.")


def _drawn(video: str | os.PathLike[str] | bytes | BinaryIO, landmarks: Landmarks) -> Iterator[Frame]:
    from ..video.reading import Frame

    for index, frame in frames_of(video, landmarks):
        yield Frame(draw_landmarks(frame.image, landmarks, index), frame.time_s)


Line = tuple[str, np.ndarray, int]  # colour, (N, 2) pixels, width in pixels


def _face_lines(landmarks: Landmarks, index: int, size: np.ndarray, width: int) -> Iterator[Line]:
    if not landmarks.face_found[index]:
        return
    points = landmarks.face[index, :, :2] * size
    for colour, chain in _FACE:
        yield colour, points[list(chain)], width


def _body_lines(landmarks: Landmarks, index: int, size: np.ndarray, width: int) -> Iterator[Line]:
    """Yield the skeleton link by link, where both ends are visible; the head only where the face was not found."""
    if not landmarks.body_found[index]:
        return
    points, seen = landmarks.body[index, :, :2] * size, landmarks.body[index, :, 3] >= _VISIBLE
    for colour, chain in _BODY if landmarks.face_found[index] else _HEAD + _BODY:
        for link in pairwise(chain):
            if seen[list(link)].all():
                yield colour, points[list(link)], width


def _dots(landmarks: Landmarks, index: int, size: np.ndarray, thin: int) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield colour, (2,) pixels and radius of irises and joints."""
    if landmarks.face_found[index]:
        points = landmarks.face[index, :, :2] * size
        for middle, rim in _IRISES:
            radius = float(np.linalg.norm(points[middle] - points[rim]))
            yield "green", points[middle], max(0.5 * radius, 0.75)
    if landmarks.body_found[index]:
        for joint in _JOINTS:
            x, y, _, visibility = landmarks.body[index, joint]
            if visibility >= _VISIBLE:
                colour = "orange" if joint % 2 else "blue"  # odd numbers are the person's left
                yield colour, np.array([x, y]) * size, 2.0 * thin + 0.5


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(np.clip(points, -(2**14), 2**14) * 2**_SHIFT).astype(np.int32)
