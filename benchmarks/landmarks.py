"""Speed of landmark extraction, against a plain loop: decode, then face, then body, frame by frame.

Both ways get the same video and the same models in VIDEO mode. They run in turns, so that other load on the machine
affects both; the ratio is computed within each pair. Times include loading the models.

    python benchmarks/landmarks.py                      # a clip of a moving photograph, at two sizes
    python benchmarks/landmarks.py --video my_clip.mp4  # your own clip
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from expotion_lite.landmarks.extraction import Landmarks, extract_landmarks
from expotion_lite.landmarks.landmarker import muted
from expotion_lite.landmarks.model_files import find_model
from expotion_lite.video.reading import Frame
from expotion_lite.video.writing import write_video


def moving_photograph(size: tuple[int, int], count: int, frame_rate: float = 30.0) -> Iterator[Frame]:
    """Yield frames of a portrait (scikit-image's astronaut) that sways and nods a little."""
    import cv2
    from skimage.data import astronaut

    width, height = size
    photo, scale = astronaut(), height / 512
    for index in range(count):
        time_s = index / frame_rate
        turn = cv2.getRotationMatrix2D((256, 512), 4 * np.sin(2 * np.pi * time_s), scale)
        turn[:, 2] += width / 2 - 256 + 0.05 * width * np.sin(np.pi * time_s), height - 512
        yield Frame(cv2.warpAffine(photo, turn, size, borderMode=cv2.BORDER_REFLECT), time_s)


def naive(video: Path) -> tuple[np.ndarray, np.ndarray]:
    """Find face points (T, 478, 3) and body points (T, 33, 4) in a plain loop over the full frames."""
    import av
    import mediapipe as mp
    from mediapipe.tasks.python import vision
    from mediapipe.tasks.python.core.base_options import BaseOptions

    def options(kind: str) -> dict:
        return {
            "base_options": BaseOptions(model_asset_path=str(find_model(kind))),
            "running_mode": vision.RunningMode.VIDEO,
        }

    face_options = vision.FaceLandmarkerOptions(
        **options("face"), output_face_blendshapes=True, output_facial_transformation_matrixes=True
    )
    faces, bodies = [], []
    with (
        muted(),
        vision.FaceLandmarker.create_from_options(face_options) as face,
        vision.PoseLandmarker.create_from_options(vision.PoseLandmarkerOptions(**options("pose"))) as pose,
        av.open(str(video)) as container,
    ):
        for picture in container.decode(video=0):
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=picture.to_ndarray(format="rgb24"))
            time_ms = round(1000 * picture.time)
            seen = face.detect_for_video(image, time_ms)
            faces.append([(p.x, p.y, p.z) for p in seen.face_landmarks[0]] if seen.face_landmarks else None)
            stance = pose.detect_for_video(image, time_ms)
            marks = stance.pose_landmarks[0] if stance.pose_landmarks else []
            bodies.append([(p.x, p.y, p.z, p.visibility) for p in marks] or None)
    return tuple(
        np.array([np.full(shape, np.nan) if row is None else row for row in rows])
        for rows, shape in ((faces, (478, 3)), (bodies, (33, 4)))
    )


def ours(video: Path) -> Landmarks:
    """Extract landmarks with the library."""
    return extract_landmarks(video, progress=False)


def clocked(work: Callable[[Path], object], video: Path) -> tuple[object, float, float]:
    """Return the result of `work`, and its wall time and CPU time in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work(video)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def compare(video: Path, label: str, repeats: int) -> float:
    """Run both ways in turns, print a line each, and return the median ratio of their frame rates."""
    ours(video)  # warm up: imports and disk
    walls, cpus = np.zeros((repeats, 2)), np.zeros((repeats, 2))
    for repeat in range(repeats):
        for way in (0, 1) if repeat % 2 == 0 else (1, 0):
            result, walls[repeat, way], cpus[repeat, way] = clocked((naive, ours)[way], video)
            if way == 0:
                points = result[0]
            else:
                landmarks = result
    count = len(landmarks.times)
    apart = np.nanmedian(np.abs(points - landmarks.face)[:, :, :2] * (landmarks.width, landmarks.height))
    ratio = walls[:, 0] / walls[:, 1]
    for way, name in enumerate(("naive", "ours")):
        wall, cpu = np.median(walls[:, way]), np.median(cpus[:, way])
        print(
            f"{label}  {name:6s} {count / wall:6.1f} frames/s  wall {1000 * wall / count:5.1f} ms/frame  "
            f"CPU {1000 * cpu / count:5.1f} ms/frame"
        )
    print(
        f"{label}  ratio {np.median(ratio):.2f} (median of {repeats} pairs, {ratio.min():.2f}..{ratio.max():.2f}); "
        f"face found in {landmarks.face_found.sum()}, body in {landmarks.body_found.sum()} of {count} frames; "
        f"face points {apart:.2f} pixels apart (median)",
        flush=True,
    )
    return float(np.median(ratio))


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, action="append", help="measure on this video; may be repeated")
    parser.add_argument("--frames", type=int, default=300, help="length of the made clip (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of runs (default %(default)s)")
    options = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores")
    if options.video:
        for video in options.video:
            compare(video, video.name, options.repeats)
        return
    with tempfile.TemporaryDirectory() as folder:
        for size in ((640, 480), (1280, 720)):
            label = f"{size[0]}x{size[1]}"
            video = write_video(Path(folder) / f"{label}.mp4", moving_photograph(size, options.frames))
            compare(video, label, options.repeats)


if __name__ == "__main__":
    main()
