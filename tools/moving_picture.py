"""The moving picture of the README: the bundled performer moves, and below runs the music made for the movement.

`python tools/figures.py follow` draws it.

The take is made with the defaults. The upper curve shows the events of the movement, the lower one the onset strength
of the music; a line marks the moment that is shown.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

PROMPT = "energetic rock with guitar, bass and drums"
SHOWN_S = (3.0, 7.5)
FPS = 10
WIDTH = 400  # pixels
STRIP_INCHES = (4.0, 1.5)  # at 100 dots an inch
AXES = (0.03, 0.22, 0.94, 0.75)  # left, bottom, width and height of the plot, as shares of the strip
COLOURS = 64


def write_moving_picture(path: Path) -> None:
    """Make the take, draw every picture and write the GIF."""
    pictures = draw_pictures()
    palette = pictures[len(pictures) // 2].quantize(COLOURS)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=round(1000 / FPS), loop=0, optimize=True)


def draw_pictures() -> list[Image.Image]:
    """Return one picture for each moment that is shown: the person with landmarks, and the strip below."""
    import expotion_lite as el
    from expotion_lite.plots import draw_landmarks

    take = el.generate(el.example_clip(), PROMPT, progress=False)
    onsets = el.metrics.onset_strength(take.audio, take.sample_rate)
    strip = draw_strip(take.controls.times, take.controls["event"], onsets)
    seen = list(el.read_frames(el.example_clip()))
    times = np.array([frame.time_s for frame in seen])
    pictures = []
    for moment in np.arange(SHOWN_S[0], SHOWN_S[1], 1 / FPS):
        index = int(np.abs(times - moment).argmin())
        person = Image.fromarray(draw_landmarks(seen[index].image, take.landmarks, index))
        height = round(WIDTH * person.height / person.width * 0.62)  # the part with head and shoulders
        person = person.resize((WIDTH, round(WIDTH * person.height / person.width))).crop((0, 0, WIDTH, height))
        picture = Image.new("RGB", (WIDTH, height + strip.height), "white")
        picture.paste(person, (0, 0))
        picture.paste(strip, (0, height))
        share = (moment - SHOWN_S[0]) / (SHOWN_S[1] - SHOWN_S[0])
        x = round(WIDTH * (AXES[0] + AXES[2] * share))
        ImageDraw.Draw(picture).line((x, height + 4, x, height + strip.height * (1 - AXES[1])), fill="#333333", width=2)
        pictures.append(picture)
    return pictures


def draw_strip(times: np.ndarray, events: np.ndarray, onsets: np.ndarray) -> Image.Image:
    """Draw both curves (T,) over the seconds that are shown, one above the other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=STRIP_INCHES, dpi=100)
    ax = figure.add_axes(AXES)
    rows = (
        (events, 1.35, "#E69F00", "movement: events"),
        (onsets / onsets.max(), 0.0, "#0072B2", "music: onset strength"),
    )
    for values, low, colour, label in rows:
        n = min(len(values), len(times))
        ax.fill_between(times[:n], low, low + values[:n], color=colour, linewidth=0)
        ax.text(SHOWN_S[0] + 0.03, low + 1.28, label, color=colour, fontsize=9, va="top", weight="bold")
    ax.set(xlim=SHOWN_S, ylim=(0, 2.7), yticks=[])
    seconds = np.arange(SHOWN_S[0], SHOWN_S[1])
    ax.set_xticks(seconds, [f"{second:g} s" for second in seconds], fontsize=8)
    ax.spines[["top", "right", "left"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return Image.open(buffer).convert("RGB")
