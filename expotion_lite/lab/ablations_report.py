"""The page, tables and figures of the ablations, made from their results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from ..evaluation.following import Gain
from ..evaluation.report import ERROR_BARS, Interval, error_lengths, markdown_table, new_figure, with_interval
from ..musicgen.settings import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Column:
    """A score of the ablations.

    Attributes:
        digits: decimals in the table.
        explanation: how it is measured.
    """

    digits: int
    explanation: str


COLUMNS = {
    "beat F-measure": Column(
        2,
        "F-measure of the beats that a beat tracker finds in the music against the song's true beats. It is 1 if every "
        "true beat is found within 70 ms and no beat is added.",
    ),
    "tempo within 4%": Column(
        2,
        "Share of clips with the song's tempo, within 4%. The tempo is that of a line through the found beats. Half "
        "and double tempo count as wrong.",
    ),
    "onset-motion correlation": Column(
        2,
        "Pearson correlation of the music's onset strength with the turning points of the person's motion (the channel "
        "`pulse`). It is the largest over shifts of up to 0.3 s either way, so it compares tempo, regularity and "
        "strength, not the exact moment.",
    ),
    "the same, shuffled": Column(
        2,
        "Shuffled control: mean of the same correlation with other people's motion. The largest correlation over many "
        "shifts is above 0 even for music that follows nobody; this column says by how much.",
    ),
    "F1 in seconds": Column(
        2,
        "The beat score of the literature on music for dance (D2M-GAN, LORIS): onsets fall into bins of a second, and "
        "the bins of the music are compared with those of the song. Published scores are 0.85 to 0.98. Unrelated music "
        "reaches about 0.8, see the shuffled control: on its own this score says nothing.",
    ),
    "energy correlation": Column(
        2,
        "Pearson correlation of the music's level, in dB over 1 s, with how strongly the song is played at each time.",
    ),
    "mode agreement": Column(
        2,
        "Share of clips with the song's third, major or minor, above the tonic that the prompt names. Chance is 0.5, "
        "or more where a style prefers one mode.",
    ),
    "tag adherence": Column(
        3,
        "Cosine similarity of the tag probabilities of musicnn (50 tags of styles, instruments and moods) for the "
        "music and for the song as the band plays it.",
    ),
    "ill takes": Column(
        3,
        "Share of clips that turn into a wall of sound, or in which nothing begins, for 2.5 s or longer.",
    ),
}
FRECHET = Column(
    2,
    "Squared Frechet distance between musicnn's embeddings of the music and of the band's own music, in units of that "
    "of *text only*. A lower distance is closer to the band's sound. It is one number for all clips.",
)
AGAINST_OTHERS = tuple(name for name in COLUMNS if name not in ("the same, shuffled", "tag adherence", "ill takes"))
MOST_FURTHER = 1.2  # the largest Frechet distance, in units of that of text only, that the default guidance may cost

Mean = TypedDict("Mean", {"mean": float, "95": Interval})
"""A mean over the clips, with its 95% interval."""

AboveControl = TypedDict("AboveControl", {"shuffled": float, "above": float, "95": Interval, "p": float})
"""The mean for other people's videos, how far the own score is above it, the interval of that, and its p."""


class Comparison(Gain):
    """Gain of a `row` in a `column` over the row `against` it, for the same people."""

    row: str
    against: str
    column: str


class AblationResults(TypedDict):
    """The results of all rows.

    `rows` has for each row a `Mean` for each of `COLUMNS`, and the number "frechet". `controls` has for each row what
    is scored `AGAINST_OTHERS`.
    """

    rows: dict[str, dict[str, Any]]
    gains: list[Comparison]
    controls: dict[str, dict[str, AboveControl]]


def results_page(
    results: AblationResults, clips: int, settings: Mapping[str, float], explanations: Mapping[str, str]
) -> str:
    """Return `figures/results.md`: the tables, with the method, the rows and the columns explained.

    Args:
        results: of all rows.
        clips: number of people.
        settings: of sampling, by name.
        explanations: row -> how its music was made.
    """
    scores, controls, gains = _tables(results)
    rows = markdown_table(["row", "how the music is made"], [[name, explanations[name]] for name in results["rows"]])
    columns = {name: column.explanation for name, column in COLUMNS.items()} | {"Frechet distance": FRECHET.explanation}
    return f"""# Ablation results

What each part of Expotion Lite contributes: the same people and songs, with one part removed or replaced in each row.
`make experiments` measures this. `python tools/figures.py results` rebuilds this page and its figure from
[results.json](results.json), so do not edit them by hand.

- [Method](#method): people, songs, prompts and settings
- [Rows](#rows) and [columns](#columns): what is compared, and how it is scored
- [Scores](#scores): each row by itself
- [Scores above the shuffled control](#scores-above-the-shuffled-control): does the music follow this person?
- [Comparisons of rows](#comparisons-of-rows): is one row better than another?
- [How to read the numbers](#how-to-read-the-numbers)

## Method

Music was generated for {clips} synthetic people, each of whom moves to a song of the procedural band. Nothing was
trained on these people and songs, and they chose no setting. Their landmarks are computed without a camera. How well
music follows real people is measured by `python -m expotion_lite.lab.real_motion`, see the README;
[a picture](training_choices.svg) shows what parts of the adapter's training are worth there.

The prompt describes the song. It names the tonic, but neither tempo, mood nor mode (major or minor), so that only the
video can tell these. All rows use the same people, songs, prompts and random seeds. The guidance by the prompt is
{settings["guidance"]:g} and the visual guidance {settings["visual_guidance"]:g}, unless a row says otherwise.

## Rows

{rows}

## Columns

{markdown_table(["column", "what it measures"], [[name, text] for name, text in columns.items()])}

## Scores

Means over the {clips} clips, with 95% intervals. Higher is better, except for the Frechet distance.

{scores}

![Each score of each row with its 95% interval](results.svg)

## Scores above the shuffled control

Each cell is the mean difference between the score for the own person (or song) and the mean score of the same music
for other people, with its 95% interval and p. Music that follows nobody is near 0.

{controls}

## Comparisons of rows

Mean differences between two rows for the same people, with their 95% intervals and p. To compare two rows, use this
table: intervals of the first table can overlap although the difference is clear, because people differ more than rows.

{gains}

## How to read the numbers

- **Intervals** are 95% percentile bootstrap intervals over the people.
- **p** is one-sided. It is the share of random sign flips of the people's differences whose mean is at least the
  measured one. 10,000 patterns of signs are drawn, so the smallest possible p is 0.0001.
- **Several tests**: the last table has {len(results["gains"])} rows. To allow for that, multiply each of its p by their
  number (Bonferroni).
- **The band itself** is a reference, not a ceiling. It is below 1 because the beat tracker also errs on its music.
  Music that follows the person can exceed it in the onset-motion correlation: the band does not follow the person.
- **Text only** can be above its control in tempo: the prompt names a style, and a style narrows the tempo down."""


def tables_of(results: AblationResults) -> str:
    """Return the three tables of results in Markdown."""
    return "\n\n".join(_tables(results))


def _tables(results: AblationResults) -> tuple[str, str, str]:
    """Return the tables of scores, of scores above their controls, and of comparisons."""
    scores = [
        [
            name,
            *(with_interval(row[key]["mean"], row[key]["95"], column.digits) for key, column in COLUMNS.items()),
            f"{row['frechet']:.{FRECHET.digits}f}",
        ]
        for name, row in results["rows"].items()
    ]
    controls = [
        [name, *(f"{with_interval(gap['above'], gap['95'], sign='+')}, p {gap['p']:.4f}" for gap in gaps.values())]
        for name, gaps in results["controls"].items()
    ]
    gains = [
        [
            gain["row"],
            gain["against"],
            gain["column"],
            with_interval(gain["gain"], gain["gain_95"], sign="+"),
            f"{gain['p']:.4f}",
        ]
        for gain in results["gains"]
    ]
    return (
        markdown_table(["music from", *COLUMNS, "Frechet distance, text only = 1"], scores),
        markdown_table(["above its shuffled control", *AGAINST_OTHERS], controls),
        markdown_table(["row", "against", "column", "gain (95%)", "p"], gains),
    )


def plot_results(results: AblationResults, path: Path) -> None:
    """Draw each score of each row as a dot with its 95% interval."""
    rows = results["rows"]
    shown = [name for name in COLUMNS if name != "the same, shuffled"]
    places = np.arange(len(rows))[::-1]
    with new_figure(path, (12.5, 0.9 + 0.52 * len(rows)), 2, 4, sharey=True) as (figure, axes):
        for ax, column in zip(axes.flat, shown, strict=True):
            values, errors = _values_and_errors(list(rows.values()), column)
            ax.errorbar(values, places, xerr=errors, fmt="o", **ERROR_BARS)
            ax.set(title=column, yticks=places, yticklabels=list(rows), ylim=(-0.6, len(rows) - 0.4))
            ax.grid(axis="x", color="0.9")
            if column == "onset-motion correlation":
                label = "onset-motion correlation with other people's videos"
                shuffled, _ = _values_and_errors(list(rows.values()), "the same, shuffled")
                ax.plot(shuffled, places, "s", label=label)
                figure.legend(*ax.get_legend_handles_labels(), loc="outside lower right", fontsize="small")


def plot_curve(rows: Mapping[float, Mapping[str, Any]], path: Path) -> None:
    """Draw scores and Frechet distance over visual guidance; a dotted line marks the default.

    A good default is where the beats have stopped gaining and the Frechet distance is at most `MOST_FURTHER`.

    Args:
        rows: visual guidance -> a row as in `AblationResults`.
        path: the SVG to write.
    """
    scales, measured = list(rows), list(rows.values())
    with new_figure(path, (11.5, 3.0), columns=4) as (_, axes):
        *scored, last = axes[0]
        for ax, column in zip(scored, ("beat F-measure", "onset-motion correlation", "tag adherence"), strict=True):
            values, errors = _values_and_errors(measured, column)
            ax.errorbar(scales, values, yerr=errors, fmt="o-", **ERROR_BARS)
            if column == "onset-motion correlation":
                shuffled, _ = _values_and_errors(measured, "the same, shuffled")
                ax.plot(scales, shuffled, "s-", label="other people's videos")
                box = {"frameon": True, "framealpha": 1, "edgecolor": "none"}  # hides the dotted line behind the text
                ax.legend(loc="center right", bbox_to_anchor=(1.0, 0.3), fontsize="small", **box)
            _mark_default(ax, column)
        last.plot(scales, [row["frechet"] for row in measured], "o-")
        last.axhline(MOST_FURTHER, color="C1", linestyle="--", label="limit")
        last.legend(loc="lower right", fontsize="small")
        _mark_default(last, "Frechet / text only")


def _mark_default(ax: Axes, title: str) -> None:
    ax.axvline(Settings.visual_guidance, color="0.5", linestyle=":")
    ax.set(title=title, xlabel="visual guidance")


def _values_and_errors(rows: Sequence[Mapping[str, Any]], column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return means (R,) of a column, and how far their intervals reach below and above (2, R)."""
    points = np.array([(row[column]["mean"], *row[column]["95"]) for row in rows]).T
    return points[0], error_lengths(*points)
