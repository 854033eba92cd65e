"""The plots of a report as SVG text for a page, by matplotlib. A figure holds no text of files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any colour vision tell apart, the yellow left out
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#5b4a8a", "#000000")
GREY = ("#8a9199", "#b9bec4")
SIZE = (5.2, 2.9)  # inches; 72 SVG units each
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mdtk",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#57606a",
    "axes.labelcolor": "#1c2126",
    "xtick.color": "#57606a",
    "ytick.color": "#57606a",
    "axes.grid": True,
    "grid.color": "#e4e8ec",
    "axes.axisbelow": True,
}


def colour(place: int) -> str:
    """The colour of the model at a place of the page's list of models."""
    return COLOURS[place % len(COLOURS)]


def shares(values: Mapping[str, np.ndarray], label: str) -> str:
    """For each colour the share of images whose value is below x: the curve to the left is better for an error."""
    with _figure() as (figure, axes):
        highest = max(float(np.quantile(one, 0.98)) for one in values.values())
        for own, one in values.items():
            ordered = np.sort(one)
            share = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
            axes.step(np.r_[ordered[0], ordered], np.r_[0, share], where="post", color=own, **_line(own))
        axes.set(xlabel=label, ylabel="images below, %", xlim=(0, highest * 1.05), ylim=(0, 101))
        return _svg(figure)


def histogram(values: Mapping[str, np.ndarray], label: str) -> str:
    """The number of images in bins of the value, an outline for each colour."""
    with _figure() as (figure, axes):
        together = np.concatenate(list(values.values()))
        edges = np.linspace(0, float(np.quantile(together, 0.98)) * 1.05, min(26, 6 + len(together) // 12))
        for own, one in values.items():
            counts, _ = np.histogram(np.clip(one, edges[0], edges[-1]), edges)
            axes.stairs(counts, edges, color=own, fill=len(values) == 1, **_line(own))
        axes.set(xlabel=f"{label} (the last bin holds all above)", ylabel="images", xlim=(0, edges[-1]))
        axes.set_ylim(bottom=0)
        return _svg(figure)


def bars(values: Mapping[str, Sequence[float]], names: Sequence[str], label: str) -> str:
    """Groups of bars, a group for each of `names` with a bar for each colour; NaN leaves a gap."""
    with _figure() as (figure, axes):
        width = 0.8 / len(values)
        for place, (own, heights) in enumerate(values.items()):
            left = np.arange(len(names)) + (place - (len(values) - 1) / 2) * width
            axes.bar(left, np.nan_to_num(heights), width * 0.92, color=own)
        axes.set_xticks(range(len(names)), list(names))
        axes.grid(axis="x", visible=False)
        axes.set(ylabel=label)
        return _svg(figure)


def lines(curves: Mapping[str, Sequence[tuple[int, float]]], label: str) -> str:
    """Values over steps, a line for each colour; a few values are marked."""
    with _figure() as (figure, axes):
        for own, points in curves.items():
            steps, values = zip(*points, strict=True)
            axes.plot(steps, values, color=own, marker="o" if len(points) < 30 else "", markersize=3, linewidth=1.6)
        axes.set(xlabel="step", ylabel=label)
        return _svg(figure)


def _line(own: str) -> dict[str, Any]:
    return {"linewidth": 1.4, "linestyle": "--"} if own in GREY else {"linewidth": 1.8}


class _figure:
    """A figure and its axes in this module's style, without pyplot and its global state."""

    def __enter__(self) -> tuple[Figure, Axes]:
        self.context = matplotlib.rc_context(STYLE)
        self.context.__enter__()
        figure = Figure(figsize=SIZE, layout="constrained")
        return figure, figure.add_subplot()

    def __exit__(self, *_: object) -> None:
        self.context.__exit__(None, None, None)


def _svg(figure: Figure) -> str:
    """The figure as an <svg> element that takes the width of its place."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
