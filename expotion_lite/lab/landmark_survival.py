"""Do synthetic people look the same to the model whether they come as numbers or as pixels?

    python -m expotion_lite.lab.landmark_survival --people 8

Training takes a performance's landmarks directly, which costs milliseconds. A video takes the long way: the warped
photograph, a video file, MediaPipe. For each channel of the controls this prints the correlation between the two, and
writes `figures/rendered.json` and `figures/rendered.svg`. Channels that do not survive the long way teach an adapter
what no video will show it: `data.LEFT_OUT`. Two kinds cannot be judged like this: the photograph has no arms, and it
smiles so widely already that a wider smile is hardly one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..controls.channels import CHANNELS, Controls
from ..controls.extraction import extract_controls
from ..files import writing

FIRST_SONG, FIRST_PERFORMER = 9_000, 9_000  # held out, and used by nothing else
SECONDS = 8.0
SURVIVES = 0.3  # least correlation


def both_ways(song: int, performer: int) -> tuple[Controls, Controls]:
    """Controls of one performance by way of its landmarks, and by way of its pixels.

    The person faces the camera and is never lost. What the hands do is not in the pixels.
    """
    from ..landmarks.extraction import extract_landmarks
    from ..synthetic import band
    from ..synthetic.people import draw_performer
    from ..synthetic.performer import perform, render_frames, to_landmarks
    from ..video.writing import write_video

    person = replace(draw_performer(performer), face_seen=True, body_seen=True, losses_per_s=0.0, view_deg=(0, 0, 0))
    performance = perform(band.compose(song, SECONDS), person)
    direct = extract_controls(to_landmarks(performance, person), duration_s=SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / "person.mp4", render_frames(performance))
        seen = extract_landmarks(path, progress=False)
    return direct, extract_controls(seen, duration_s=SECONDS)


def survival(pairs: list[tuple[Controls, Controls]]) -> dict[str, float]:
    """Each channel's correlation between both ways, over all frames of all people; 0 for one that never moves.

    Example:
        >>> moves = np.sin(np.arange(100))[:, None].repeat(len(CHANNELS), 1).astype(np.float32)
        >>> same = Controls(moves, CHANNELS, 50.0, np.ones(100, bool))
        >>> round(survival([(same, same)])["smile"], 3)
        1.0
    """
    n = min(len(controls.values) for pair in pairs for controls in pair)
    direct, seen = (np.concatenate([pair[way].values[:n] for pair in pairs]) for way in (0, 1))
    found = {}
    for column, name in enumerate(CHANNELS):
        a, b = direct[:, column], seen[:, column]
        found[name] = float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-6 and b.std() > 1e-6 else 0.0
    return found


def plot_survival(found: dict[str, float], path: Path) -> None:
    """A bar for each channel, the best first."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = sorted(found, key=found.get)
    figure, ax = plt.subplots(figsize=(6.5, 0.19 * len(names) + 0.8), layout="constrained")
    ax.barh(
        range(len(names)),
        [found[n] for n in names],
        color=["#0072B2" if found[n] >= SURVIVES else "0.7" for n in names],
    )
    ax.axvline(SURVIVES, color="0.3", linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize="x-small")
    ax.set(xlabel="correlation between landmarks and pixels", ylim=(-0.7, len(names) - 0.3))
    ax.spines[["top", "right"]].set_visible(False)
    with writing(path, overwrite=True) as temporary:
        figure.savefig(temporary)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> int:
    """Measure, write, print; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m expotion_lite.lab.landmark_survival", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--people", type=int, default=8, help="each with a song of their own (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("figures"), help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    pairs = []
    for i in range(options.people):
        pairs.append(both_ways(FIRST_SONG + i, FIRST_PERFORMER + i))
        print(f"  {i + 1} of {options.people} people", file=sys.stderr, flush=True)
    found = survival(pairs)
    options.output.mkdir(parents=True, exist_ok=True)
    with writing(options.output / "rendered.json", overwrite=True) as temporary:
        temporary.write_text(json.dumps({"people": options.people, "correlation": found}, indent=1) + "\n")
    plot_survival(found, options.output / "rendered.svg")
    for name in sorted(found, key=found.get, reverse=True):
        print(f"{found[name]:6.2f}  {name}{'' if found[name] >= SURVIVES else '  (does not survive)'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
