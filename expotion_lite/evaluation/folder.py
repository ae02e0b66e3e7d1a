"""Does music follow the people in a folder of videos? Their sound is held against their movements, and others'.

    expotion-lite evaluate takes

`takes` holds videos with the music that was made for them, such as `expotion-lite generate` writes: one folder for each
person, or videos of different people side by side. The movements are measured by another method than the one that the
music was made from: optical flow of the whole picture (Farneback 2003), without looking for a person.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data.recordings import find_videos
from ..errors import ExpotionError
from ..files import check_writable
from .real_people import FRAME_RATE, GainOverOthers, Motion, falling, gains_over_others, is_ill
from .report import markdown_table, new_figure, with_interval, write_json, write_text

if TYPE_CHECKING:
    from ..video.reading import AnyVideo

SHORTEST_S = 4.0  # a shorter video tells too little
SIDE = 160  # pixels of the longer side of the pictures that are compared
RATE = 22050  # Hz, of the sound


@dataclass(frozen=True)
class FolderReport:
    """The result of `evaluate_folder`.

    Attributes:
        videos: names of the videos that were used.
        people: number of people.
        seconds: how much of each video was compared.
        gains: "speed" and "stop" -> gain over other people's movements.
        ill: share of the videos whose music turns into a wall of sound or freezes for 2.5 s.
        left_out: name of a video -> why it was not used.
    """

    videos: tuple[str, ...]
    people: int
    seconds: float
    gains: dict[str, GainOverOthers]
    ill: float
    left_out: dict[str, str]

    def table(self) -> str:
        """Return the gains as a Markdown table."""
        meaning = {"speed": "how fast the picture moves", "stop": "where movements arrive"}
        rows = [
            [meaning[name], with_interval(gain["gain"], gain["gain_95"], sign="+"), f"{gain['p']:.4f}"]
            for name, gain in self.gains.items()
        ]
        return markdown_table(["onsets of the music against", "gain over other people (95%)", "p"], rows)

    def words(self) -> str:
        """Say in plain words what the numbers mean."""
        stop = self.gains["stop"]
        sizes = f"{len(self.videos)} videos of {self.people} people, {self.seconds:.0f} s each"
        if stop["p"] < 0.05 and stop["gain"] > 0:
            verdict = (
                "The music follows the people: it begins new sounds where the movements of its own person arrive, more "
                f"than where those of others do ({stop['gain']:+.2f} of correlation). Were there no such link, a "
                f"difference as large would occur in {stop['p']:.1%} of such experiments."
            )
        else:
            verdict = (
                "Nothing here shows that the music follows the people: its onsets fit the movements of its own person "
                f"by {stop['gain']:+.2f} of correlation more than those of others, and without any link, a "
                f"difference as large would occur in {stop['p']:.0%} of such experiments. More people make it sharper."
            )
        if self.people < 6:
            verdict += " With fewer than six people, p cannot become small, however well the music follows."
        return f"{sizes}. {verdict}"


def evaluate_folder(
    folder: str | os.PathLike[str], output: str | os.PathLike[str] | None = None, *, progress: bool = True
) -> FolderReport:
    """Measure whether the music of the videos in a folder follows the people in them.

    Onsets of each video's sound are correlated with the movements in its own picture, and in those of other people. A
    gain is the difference; p is that of a permutation test over people, whose differences change signs together.

    Args:
        folder: with a folder of videos for each person, or videos of one person each.
        output: a folder for `following.json`, `following.md` and `following.svg`; None writes nothing.
        progress: print a line for each video.

    Raises:
        ExpotionError: there is no such folder, or fewer than two people can be compared.
    """
    if not os.path.isdir(folder):
        raise ExpotionError(f"There is no folder {folder}; name one with videos and the music made for them.")
    if output is not None:
        check_writable(Path(output) / "following.json", overwrite=True)
    folder = Path(folder)
    speeds, sounds, people, names, left_out = [], [], [], [], {}
    for path in find_videos(folder):
        name = str(path.relative_to(folder))
        try:
            sound, speed = _read(path)
        except ExpotionError as error:
            left_out[name] = str(error)
            continue
        finally:
            if progress:
                print(name, file=sys.stderr, flush=True)
        inside = path.relative_to(folder).parts
        speeds.append(speed)
        sounds.append(sound)
        people.append(inside[0] if len(inside) > 1 else name)
        names.append(name)
    if len(set(people)) < 2:
        reasons = "".join(f" {name}: {reason}" for name, reason in left_out.items())
        raise ExpotionError(
            f"{folder} holds videos of {len(set(people))} people that can be used; at least two are needed to compare. "
            f"Put a folder for each person there.{reasons}"
        )
    frames = min(len(speed) for speed in speeds)
    motions: list[Motion] = [{"speed": speed[:frames], "stop": falling(speed)[:frames]} for speed in speeds]
    number = {person: i for i, person in enumerate(sorted(set(people)))}
    gains = gains_over_others([sounds], RATE, motions, [number[person] for person in people])
    report = FolderReport(
        videos=tuple(names),
        people=len(number),
        seconds=frames / FRAME_RATE,
        gains=gains,
        ill=float(np.mean([is_ill(sound, RATE) for sound in sounds])),
        left_out=left_out,
    )
    if output is not None:
        write_report(report, Path(output))
    return report


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the sound (N,) at `RATE` and the picture's speed (T,) of a video."""
    from ..video.reading import check_video

    video = check_video(path)
    if video.info.duration_s < SHORTEST_S:
        raise ExpotionError(f"It lasts {video.info.duration_s:.1f} s; {SHORTEST_S:g} s are needed.")
    sound = video.audio(RATE)
    if not np.abs(sound).max(initial=0.0) > 1e-4:
        raise ExpotionError("Its sound is silent.")
    return sound, picture_speed(video, video.info.duration_s)


def picture_speed(video: AnyVideo, duration_s: float) -> np.ndarray:
    """Return how fast the pixels of a video move in the mean, (T,) at 50 Hz, in units of 160 pixels a second.

    Args:
        video: path, bytes, binary file object, or a `Video`.
        duration_s: of the video, in seconds.
    """
    import cv2

    from ..controls.resampling import frame_times
    from ..video.reading import read_frames

    paths, times, before = [0.0], [0.0], None
    for frame in read_frames(video, max_side=SIDE):
        grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        if before is not None:
            flow = cv2.calcOpticalFlowFarneback(before, grey, None, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]
            paths.append(paths[-1] + float(np.hypot(flow[..., 0], flow[..., 1]).mean()) / SIDE)
            times.append(frame.time_s)
        before = grey
    n = max(1, round(duration_s * FRAME_RATE))
    edges = np.append(frame_times(n, FRAME_RATE) - 0.5 / FRAME_RATE, n / FRAME_RATE)
    return np.asarray(np.diff(np.interp(edges, times, paths)) * FRAME_RATE)


def write_report(report: FolderReport, folder: Path) -> None:
    """Write `following.json`, `following.md` and `following.svg`."""
    write_json(folder / "following.json", vars(report))
    left_out = "".join(f"\n- left out: {name}: {reason}" for name, reason in report.left_out.items())
    text = f"# Does the music follow the people?\n\n{report.words()}\n\n{report.table()}\n\n"
    write_text(folder / "following.md", f"{text}Takes that turn into a wall or freeze: {report.ill:.2f}\n{left_out}")
    with new_figure(folder / "following.svg", (5.0, 2.4)) as (_, axes):
        ax = axes[0, 0]
        for row, gain in enumerate(report.gains.values()):
            ax.plot(gain["gain_95"], [row, row], color="0.4")
            ax.plot(gain["gain"], row, "o", color="C0")
            ax.annotate(f"p = {gain['p']:.3f}", (gain["gain_95"][1], row), xytext=(6, -3), textcoords="offset points")
        ax.axvline(0, color="0.7", linewidth=1)
        ax.set(yticks=[0, 1], yticklabels=["speed", "arrivals"], ylim=(-0.6, 1.6))
        ax.set_xlabel("correlation of onsets with own movements\nminus that with other people's (95%)")
        ax.margins(x=0.25)
