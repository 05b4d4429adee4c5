"""Learning curves of many heads on one sheet: a panel each, all on one scale."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headtohead.report.charts.chart import Drawing
from headtohead.report.charts.curves import NOTHING, Curve, draw_curves
from headtohead.report.charts.style import FONT_SIZE, INK, MUTED, STYLE
from headtohead.store.ledger import SplitName

COLUMNS = 4
WIDTH, HEIGHT = 190.0, 140.0
"""Of a panel, in points."""


@dataclass(frozen=True)
class Panel:
    """A head's curves."""

    title: str
    curves: tuple[Curve, ...]


def draw_panels(
    title: str, subtitle: str, panels: Sequence[Panel], largest: Mapping[SplitName, float] = NOTHING
) -> Figure:
    """A sheet of `panels`; `largest` as in `draw_curves`."""
    rows = math.ceil(len(panels) / COLUMNS)
    with style.context(["default", STYLE]):
        size = (COLUMNS * WIDTH / 72, rows * HEIGHT / 72)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        places = figure.subplots(rows, COLUMNS, squeeze=False).ravel().tolist()
        for place, (panel, axes) in enumerate(zip(panels, places, strict=False)):
            draw_curves(Drawing(figure, axes, HEIGHT), panel.curves, largest)
            axes.set_title(panel.title)
            axes.set_ylabel("")
            axes.tick_params(labelleft=place % COLUMNS == 0)
            if place + COLUMNS < len(panels):
                axes.set_xlabel("")
        _align(places[: len(panels)])
        for axes in places[len(panels) :]:
            axes.set_axis_off()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        figure.supylabel(panels[0].curves[-1].quantity.axis, fontsize=FONT_SIZE)
        figure.supxlabel(subtitle, x=0.01, ha="left", fontsize=9, color=MUTED)
        _add_legend(figure, panels)
    return figure


def _align(places: Sequence[Axes]) -> None:
    """One scale for all, wide enough for each."""
    across = [value for axes in places for value in axes.get_xlim()]
    up = [value for axes in places for value in axes.get_ylim()]
    for axes in places:
        axes.set(xlim=(min(across), max(across)), ylim=(min(up), max(up)))


def _add_legend(figure: Figure, panels: Sequence[Panel]) -> None:
    """Once for the sheet: kinds of lines in ink, but another head's in its colour."""
    kinds = {curve.label: (panel, curve) for panel in panels for curve in panel.curves}
    handles = []
    for label, (panel, curve) in kinds.items():
        color = INK if curve.track.head == panel.title else curve.style.color
        handles.append(Line2D([], [], label=label, color=color))
        handles[-1].set(linestyle=curve.style.dashes)
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
