"""Widgets and layouts that the panels of the studio share."""

from __future__ import annotations

from typing import Any

import ipywidgets as ipw

FIT = ipw.Layout(width="auto", align_self="flex-start")
WIDE = ipw.Layout(width="98%")
LABELLED = {"description_width": "120px"}


def text_field(value: str = "", **options: Any) -> ipw.Text:
    """Return a text field that sends its text to Python when it loses the focus.

    If it sent every letter, a click on a button could overtake the last ones: ipywidgets holds new values back until
    Python has handled those before, but does not hold back clicks.

    Args:
        value: the text at the start.
        **options: traits of `ipywidgets.Text`, such as `description`.
    """
    return ipw.Text(value, continuous_update=False, style=LABELLED, **options)


def slider(name: str, value: float, low: float, high: float, step: float) -> ipw.FloatSlider:
    """Return a slider that sends its value to Python when it is let go."""
    return ipw.FloatSlider(
        value,
        min=low,
        max=high,
        step=step,
        description=name,
        style=LABELLED,
        continuous_update=False,
        layout=ipw.Layout(width="400px"),
        readout_format=".2f" if step < 0.1 else ".1f",
    )


def title(number: int, text: str) -> ipw.HTML:
    """Return the heading of a panel."""
    return ipw.HTML(f"<h3><span class='el-step' aria-hidden='true'>{number}</span>{text}</h3>")


def hint(text: str) -> ipw.HTML:
    """Return a line of small print. text: HTML."""
    return ipw.HTML(f"<p class='el-hint'>{text}</p>")


def tabs(pages: dict[str, ipw.Widget]) -> ipw.Tab:
    """Return tabs with these names and contents."""
    tab = ipw.Tab(list(pages.values()))
    for index, name in enumerate(pages):
        tab.set_title(index, name)  # ipywidgets 7, which Google Colab has, lacks the trait `titles`
    return tab
