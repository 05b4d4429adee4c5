"""One chart: on the page an SVG with its values for the pointer, by itself a PNG or SVG file."""

import io
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator
from PIL import Image

from headtohead.report.charts.style import FONT_SIZE, LARGEST_CLASS, MUTED, NEUTRAL, STYLE
from headtohead.report.charts.svg import HEAD_ID, file_svg, inline_svg

WIDTH, HEIGHT = 400.0, 268.0
NAME_LINE, NAME_LINES = 24, 3
"""Characters of a line, and lines, that a head's name may take beside its row."""
FILE_DPI, FILE_COLORS = 150, 96
"""Of a PNG: more would make a large study's figures heavy and no line clearer."""
CAPTION_LETTER, NARROWEST = 4.9, 50
"""Of a caption in a file: units that a letter takes, and letters in a line at the least."""
MARGINS = (54.0, 14.0, 44.0, 12.0)
"""Left, right, bottom, top, in the SVG's units. Fixed: fitting them would take half the time."""

FEWEST_TICKS, MOST_TICKS = 3, 6
LOG_MANTISSAS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
"""What is labelled on a logarithmic axis, the first that gives enough: beyond, even steps."""


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

    def file(self, suffix: str, subtitle: str = "") -> bytes:
        """The chart as a file by itself; `suffix` is png or svg, `subtitle` says what it is of."""
        return figure_file(self.figure, suffix, self.title, subtitle, self.caption)


def figure_file(
    figure: Figure, suffix: str, title: str, subtitle: str = "", caption: str = ""
) -> bytes:
    """A drawn figure as a file by itself: title above, caption below, legend beside it.

    `suffix` is png or svg; the same bytes whenever the content is the same.
    """
    axes = figure.axes[0]
    with style.context(["default", STYLE]):
        axes.set_title(f"{title}\n" if subtitle else title)
        below = axes.text(0, 1.03, subtitle, transform=axes.transAxes, fontsize=9, color=MUTED)
        wide = max(NARROWEST, int(72 * figure.get_figwidth() / CAPTION_LETTER))
        told = "\n".join(textwrap.wrap(caption, wide, break_on_hyphens=False))
        note = figure.text(0.01, -0.02, told, va="top", fontsize=9, color=MUTED)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    found = saved(figure, suffix)
    for text in (below, note):
        text.remove()  # or the next file would have it twice
    return found


def saved(figure: Figure, suffix: str) -> bytes:
    """`figure` as a small PNG of few colours, or a small SVG."""
    buffer = io.BytesIO()
    metadata = {"png": {"Software": None}, "svg": {"Date": None}}[suffix]
    with style.context(["default", STYLE]):
        figure.savefig(buffer, format=suffix, dpi=FILE_DPI, bbox_inches="tight", metadata=metadata)
    if suffix == "svg":
        return file_svg(buffer.getvalue())
    with Image.open(buffer) as image:
        return few_colors(image.convert("RGB"))


def few_colors(image: Image.Image) -> bytes:
    """An RGB drawing as a PNG of a palette, which is found on every third pixel: that is enough.

    The colour of its first pixel, the paper, stays as it is: Pillow may take any colour of the
    palette that is as near as these.
    """
    size = (max(1, image.width // 3), max(1, image.height // 3))
    palette = image.resize(size, Image.Resampling.NEAREST).quantize(
        FILE_COLORS, Image.Quantize.MAXCOVERAGE, kmeans=1
    )
    paper = np.array(image.getpixel((0, 0)))
    colors = np.array(palette.getpalette()).reshape(-1, 3)
    apart = np.abs(colors - paper).max(axis=1)
    colors[apart <= max(8, apart.min())] = paper
    palette.putpalette(colors.ravel().tolist())
    packed = io.BytesIO()
    few = image.quantize(palette=palette, dither=Image.Dither.NONE)
    few.save(packed, "PNG", optimize=True, dpi=(FILE_DPI, FILE_DPI))
    return packed.getvalue()


@dataclass
class Drawing:
    """A chart being drawn: matplotlib's axes, and the readable values collected on the way."""

    figure: Figure
    axes: Axes
    height: float
    series: list[tuple[str, int | None, list[tuple[float, float]], list[str]]] = field(
        default_factory=list
    )
    _marked: int = 0

    def belongs(self, head: int, *artists: Artist) -> None:
        """Artists that go with a head, and are hidden with it."""
        for artist in artists:
            self._marked += 1
            artist.set_gid(f"{HEAD_ID}{head}.{self._marked}")

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
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(width / 72, height / 72))
        FigureCanvasSVG(figure)
        box = (
            left / width,
            bottom / height,
            (width - left - right) / width,
            (height - bottom - top) / height,
        )
        yield Drawing(figure, figure.add_axes(box), height)


def draw_largest_class(paper: Drawing, share: float, *, error: bool = False) -> str:
    """A dashed line at the accuracy of always predicting the largest class; what it says in words.

    `error` draws it on an axis of errors. It belongs to no head, and is never hidden.
    """
    at = 100 * (1 - share) if error else 100 * share
    dashes = (0, (4, 3))
    paper.axes.axhline(at, color=NEUTRAL, linewidth=1.2, linestyle=dashes, label=LARGEST_CLASS)
    said = f"always predicting the largest class: {at:.1f} %{' error' if error else ''}"
    paper.readable(LARGEST_CLASS, None, [(float(np.mean(paper.axes.get_xlim())), at)], [said])
    return said


def text_width(text: str) -> float:
    """Units of the SVG that one line takes in the widest font that a browser may have for it."""
    width, _, _ = text_to_path.get_text_width_height_descent(
        text, FontProperties(size=FONT_SIZE), ismath=False
    )
    return float(width)


def shortened(text: str, room: float) -> str:
    """As much of a line as fits into `room` units; what is cut ends in "…"."""
    if text_width(text) <= room:
        return text
    keep = len(text)
    while keep and text_width(f"{text[:keep]}…") > room:
        keep -= 1
    return f"{text[:keep]}…"


def wrapped(name: str) -> str:
    """A head's name on up to three lines, broken between words; what does not fit ends in "…"."""
    lines = [""]
    for piece in re.findall(r"[^\s_.:/+-]*[\s_.:/+-]*", name):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > NAME_LINE:
            lines.append("")
        lines[-1] += piece
    cut = [part for line in lines for part in textwrap.wrap(line.strip(), NAME_LINE) or [""]]
    if len(cut) > NAME_LINES:
        cut = [*cut[: NAME_LINES - 1], f"{cut[NAME_LINES - 1][: NAME_LINE - 1]}…"]
    return "\n".join(cut)


def name_rows(paper: Drawing, heads: Sequence[int], names: Sequence[str]) -> None:
    """The y axis as one row for each name, first on top; a row's label is hidden with its head."""
    axes = paper.axes
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [wrapped(name) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for head, tick in zip(heads, axes.yaxis.get_major_ticks(), strict=True):
        paper.belongs(head, tick.label1)


def name_margin(names: Sequence[str]) -> float:
    """The left margin, in units, that `name_rows` of these names needs."""
    lines = [line for name in names for line in wrapped(name).split("\n")]
    return 14 + max(map(text_width, lines))


def keep_within(axes: Axes, low: float, high: float) -> None:
    """Cut the air that matplotlib leaves around values where none can be: below 0, above 100 %."""
    below, above = axes.get_ylim()
    axes.set_ylim(max(below, low), min(above, high))


def log_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers on the logarithmic axis from `low` to `high`, both above 0."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas in LOG_MANTISSAS:
        ticks = [m * 10.0**d for d in decades for m in mantissas if low <= m * 10.0**d <= high]
        if len(ticks) > MOST_TICKS:
            return ticks[:: math.ceil(len(ticks) / MOST_TICKS)]
        if len(ticks) >= FEWEST_TICKS:
            return ticks
    locator = MaxNLocator(MOST_TICKS - 1, min_n_ticks=FEWEST_TICKS, steps=[1, 2, 2.5, 5, 10])
    return [float(tick) for tick in locator.tick_values(low, high) if low <= tick <= high]
