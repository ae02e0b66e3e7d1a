"""Report on which control channels survive the way from synthetic landmarks through pixels back to landmarks.

    python -m expotion_lite.lab.landmark_survival --people 8

Training takes a performance's landmarks directly, which costs milliseconds. With a video, they come from pixels: the
warped photograph is written as a video file, and MediaPipe finds its landmarks. This prints the correlation of the two
for each channel, and writes `figures/rendered.json` and `figures/rendered.svg`. A channel that does not survive would
teach the adapter something that no video shows, so `data.UNDETECTED_EXPRESSIONS` excludes it. Two kinds cannot be
judged in this way: the photograph has no arms, and it already smiles so widely that a wider smile hardly changes it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..controls.channels import CHANNELS, Controls
from ..controls.extraction import extract_controls
from ..evaluation.report import new_figure, write_json

FIRST_SONG, FIRST_PERFORMER = 9_000, 9_000  # held out, and used by nothing else
SECONDS = 8.0
SURVIVES = 0.3  # the lowest correlation of a channel that survives


def both_ways(song: int, performer: int) -> tuple[Controls, Controls]:
    """Extract the controls of one performance from its landmarks and from its pixels.

    The person faces the camera and is found in every frame. The rendered photograph does not show the hands.

    Args:
        song: the seed of the piece.
        performer: the seed of the person.

    Returns:
        (controls from landmarks, controls from pixels)
    """
    from ..landmarks.extraction import extract_landmarks
    from ..synthetic import band
    from ..synthetic.camera import to_landmarks
    from ..synthetic.people import draw_performer
    from ..synthetic.performer import perform
    from ..synthetic.photograph import render_frames
    from ..video.writing import write_video

    person = replace(draw_performer(performer), face_seen=True, body_seen=True, losses_per_s=0.0, view_deg=(0, 0, 0))
    performance = perform(band.compose(song, SECONDS), person)
    direct = extract_controls(to_landmarks(performance, person), duration_s=SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / "person.mp4", render_frames(performance))
        seen = extract_landmarks(path, progress=False)
    return direct, extract_controls(seen, duration_s=SECONDS)


def survival(pairs: Sequence[tuple[Controls, Controls]]) -> dict[str, float]:
    """Correlate the two versions of each channel over all frames of all people.

    Args:
        pairs: for each person, controls from landmarks and from pixels.

    Returns:
        Channel -> -1..1; 0 for a channel that never moves.

    Example:
        >>> moves = np.sin(np.arange(100))[:, None].repeat(len(CHANNELS), 1).astype(np.float32)
        >>> same = Controls(moves, CHANNELS, 50.0, np.ones(100, bool))
        >>> round(survival([(same, same)])["smile"], 3)
        1.0
    """
    n = min(len(controls.values) for pair in pairs for controls in pair)
    direct = np.concatenate([from_landmarks.values[:n] for from_landmarks, _ in pairs])
    rendered = np.concatenate([from_pixels.values[:n] for _, from_pixels in pairs])
    correlation = {}
    for column, name in enumerate(CHANNELS):
        a, b = direct[:, column], rendered[:, column]
        correlation[name] = float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-6 and b.std() > 1e-6 else 0.0
    return correlation


def _best_first(correlation: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(correlation.items(), key=lambda item: item[1], reverse=True)


def plot_survival(correlation: Mapping[str, float], path: Path) -> None:
    """Draw a bar for each channel, the best first; channels that do not survive are grey."""
    bars = _best_first(correlation)[::-1]  # bars are drawn from the bottom up
    names, values = [name.replace("_", " ") for name, _ in bars], [value for _, value in bars]
    with new_figure(path, (6.5, 0.19 * len(bars) + 0.8)) as (_, axes):
        ax = axes[0, 0]
        ax.barh(range(len(bars)), values, color=["C0" if value >= SURVIVES else "0.7" for value in values])
        ax.axvline(SURVIVES, color="0.3", linewidth=0.8, linestyle=":")
        ax.set_yticks(range(len(bars)), names, fontsize="x-small")
        ax.set(xlabel="correlation between landmarks and pixels", ylim=(-0.7, len(bars) - 0.3))


def main(arguments: list[str] | None = None) -> int:
    """Run the measurement, write the report, print the correlations; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.lab.landmark_survival", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--people", type=int, default=8, help="each moves to another song (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("figures"), help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    pairs = []
    for i in range(options.people):
        pairs.append(both_ways(FIRST_SONG + i, FIRST_PERFORMER + i))
        print(f"  {i + 1} of {options.people} people", file=sys.stderr, flush=True)
    correlation = survival(pairs)
    write_json(options.output / "rendered.json", {"people": options.people, "correlation": correlation})
    plot_survival(correlation, options.output / "rendered.svg")
    for name, value in _best_first(correlation):
        print(f"{value:6.2f}  {name}{'' if value >= SURVIVES else '  (does not survive)'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
