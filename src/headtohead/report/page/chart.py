"""One chart of the page: an SVG that is complete by itself, and its values for the pointer."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from headtohead.report.figures import STYLE
from headtohead.report.page.svg import inline_svg

INK, MUTED, GRID, NEUTRAL = "#111111", "#555555", "#e3e3e3", "#8a8a8a"
"""What the style sheet turns into the colours of the reader's theme."""

WIDTH, HEIGHT = 400.0, 268.0
FILE_DPI = 200
MARGINS = (54.0, 14.0, 44.0, 12.0)
"""Left, right, bottom, top, in the SVG's units. Fixed: fitting them would take half the time."""

CHART_STYLE: dict[Any, Any] = {
    **STYLE,
    "figure.dpi": 72,
    "savefig.dpi": 72,
    "font.size": 11.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": NEUTRAL,
    "xtick.color": NEUTRAL,
    "ytick.color": NEUTRAL,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "axes.facecolor": "none",
}


@dataclass(frozen=True)
class Series:
    """Values that the pointer can read: places in the SVG, and what is said there.

    `head` is the head's position in the study, or None for what belongs to no head; `said` has
    a text for each place.
    """

    label: str
    head: int | None
    places: tuple[tuple[float, float], ...]
    said: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """A chart that is drawn: `description` is its text for those who cannot see it."""

    name: str
    title: str
    caption: str
    description: str
    svg: str
    series: tuple[Series, ...]
    figure: Figure = field(compare=False, repr=False)

    def file(self, suffix: str) -> bytes:
        """The chart as a file by itself, with title and legend; `suffix` is png or svg."""
        axes = self.figure.axes[0]
        with style.context(["default", CHART_STYLE]):
            axes.set_title(self.title)
            if axes.get_legend_handles_labels()[0]:
                axes.legend()
            buffer = io.BytesIO()
            metadata = {"png": {"Software": None}, "svg": {"Date": None}}[suffix]
            self.figure.savefig(
                buffer, format=suffix, dpi=FILE_DPI, bbox_inches="tight", metadata=metadata
            )
        return buffer.getvalue()


@dataclass
class Drawing:
    """A chart being drawn: matplotlib's axes, and the readable values collected on the way."""

    figure: Figure
    axes: Axes
    height: float
    series: list[tuple[str, int | None, list[tuple[float, float]], list[str]]] = field(
        default_factory=list
    )

    def readable(
        self,
        label: str,
        head: int | None,
        points: Sequence[tuple[float, float]],
        said: Sequence[str],
    ) -> None:
        """Remember points in data units, each with what it says."""
        self.series.append((label, head, list(points), list(said)))

    def finish(self, name: str, title: str, caption: str, description: str) -> Chart:
        """The chart, drawn."""
        svg = inline_svg(self.figure, name, title, description)
        series = tuple(
            Series(label, head, tuple(self._place(x, y) for x, y in points), tuple(said))
            for label, head, points, said in self.series
            if points
        )
        return Chart(name, title, caption, description, svg, series, self.figure)

    def _place(self, x: float, y: float) -> tuple[float, float]:
        across, up = self.axes.transData.transform((x, y))
        return round(float(across), 1), round(self.height - float(up), 1)


@contextmanager
def drawing(
    width: float = WIDTH,
    height: float = HEIGHT,
    margins: tuple[float, float, float, float] = MARGINS,
) -> Iterator[Drawing]:
    """Axes in the page's style, whatever the user's matplotlibrc says."""
    left, right, bottom, top = margins
    with style.context(["default", CHART_STYLE]):
        figure = Figure(figsize=(width / 72, height / 72))
        FigureCanvasSVG(figure)
        box = (
            left / width,
            bottom / height,
            (width - left - right) / width,
            (height - bottom - top) / height,
        )
        yield Drawing(figure, figure.add_axes(box), height)
