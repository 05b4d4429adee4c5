"""How charts look: a head's colour and marker, the same in every chart, and matplotlib's style."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Okabe & Ito's palette, which readers with any colour vision tell apart; yellow is left out, for
# it is too pale for a line on white.
HEAD_COLORS = {"fc": "#D55E00", "fc_dropout": "#009E73", "gap": "#0072B2", "avgpool2x2": "#CC79A7"}
OTHER_COLORS = ("#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

INK, MUTED, GRID, NEUTRAL = "#111111", "#555555", "#e3e3e3", "#8a8a8a"
"""What the page's style sheet turns into the colours of the reader's theme."""

FONT_SIZE = 11.0
LARGEST_CLASS = "largest class"

STYLE: dict[Any, Any] = {
    "figure.dpi": 72,
    "savefig.dpi": 72,
    "font.size": FONT_SIZE,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.edgecolor": NEUTRAL,
    "axes.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": NEUTRAL,
    "ytick.color": NEUTRAL,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "headtohead",
}


@dataclass(frozen=True)
class HeadStyle:
    """A head's colour, marker and line style, the same in every chart of a study.

    `hollow` markers are white within: a second line of the same head.
    """

    color: str
    marker: str
    dashes: str = "-"
    hollow: bool = False


def head_styles(heads: Iterable[str]) -> dict[str, HeadStyle]:
    """Colours by name for the article's heads, by order for others; markers by order."""
    names = list(heads)
    others = [head for head in names if head not in HEAD_COLORS]
    spare = {head: OTHER_COLORS[i % len(OTHER_COLORS)] for i, head in enumerate(others)}
    return {
        head: HeadStyle(HEAD_COLORS.get(head) or spare[head], MARKERS[i % len(MARKERS)])
        for i, head in enumerate(names)
    }
