"""How charts look: a head's colour and marker, the same in every chart, and matplotlib's style."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Okabe & Ito's palette, which readers with any colour vision tell apart; yellow is left out, for
# it is too pale for a line on white.
# Three of Tol's are added. Eleven colours and eight markers have no common factor: walking through
# both at once, 88 heads get pairs that differ.
COLORS = (
    *("#D55E00", "#009E73", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933"),
    *("#332288", "#000000", "#7F7F7F"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

KNOWN_HEADS = (
    *("fc", "fc_dropout", "gap", "avgpool2x2", "linear", "gem", "attention", "gmp", "mlp"),
    *("bilinear", "netvlad", "lse", "simpool", "efficient_probing", "gap_bn", "gap_fc"),
    *("fc_small", "conv", "ln_linear", "avg_max", "concat_avg_max", "mixed", "gated", "softpool"),
    *("stochastic", "kmax", "spp", "rmac", "nin", "wildcat", "csra", "attention_latent"),
    *("abmil", "class_attention", "ml_decoder", "se_gap", "cbam_gap", "isqrt_cov", "class_mean"),
    "cosine",
)
"""Heads whose colour and marker go by their place here, in every study: append, do not reorder."""

OWN_FIRST, OWN = 40, 48
"""Heads of the user's own have so many places, from this one on. Neither follows from how many
heads are known: one more of these would change the colours of all others."""

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
    """Colour and marker by name, whatever else is in the study.

    A head of the user's own gets its place from its name; where another head of the study has that
    place, the next one that is free.
    """
    names = list(heads)
    taken = {KNOWN_HEADS.index(head): head for head in names if head in KNOWN_HEADS}
    for head in names:
        if head in KNOWN_HEADS:
            continue
        first = _own_place(head)
        turn = [OWN_FIRST + (first + step) % OWN for step in range(OWN)]
        # More heads than there are styles: they start again, and share some.
        place = next((p for p in turn if p not in taken), OWN_FIRST + OWN + len(taken))
        taken[place] = head
    places = {head: place for place, head in taken.items()}
    return {
        head: HeadStyle(COLORS[places[head] % len(COLORS)], MARKERS[places[head] % len(MARKERS)])
        for head in names
    }


def _own_place(head: str) -> int:
    """Which of the places from OWN_FIRST on a name that is not known has: always the same one."""
    number = int.from_bytes(hashlib.sha256(head.encode()).digest()[:8], "big")
    return number % OWN
