"""Draw the house from the code: `python tools/house.py docs/figures/house.svg`.

Each floor is a layer of `tests/test_architecture.py`, top to bottom; each room a module or folder
of it, with its files and lines; each arrow the imports between two floors, thicker for more. Arrows
point down: the same test proves it. The same code gives the same bytes.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from test_architecture import LAYERS, PACKAGE, imports_of, layer_of, modules
from test_architecture import ROOT as OUTSIDE

WIDTH, MARGIN, FLOOR, ROOM = 760, 16, 58, 34
GUTTER = 150
"""Pixels right of the rooms, for the arrows."""

STYLE = """text{font:13px system-ui,sans-serif;fill:#1d2733}.small{font-size:11px;fill:#52606d}
.room{fill:#eef4f8;stroke:#7b93a7}.arrow{fill:none;stroke:#0a7d91;stroke-opacity:.55}
@media(prefers-color-scheme:dark){svg{background:#fff}}"""


@dataclass(frozen=True)
class Room:
    """A module or folder of the package."""

    name: str
    files: int
    lines: int


def floors() -> list[list[Room]]:
    """The rooms of each layer, in the layer's order."""
    found: list[list[Room]] = []
    known = modules()
    for index, names in enumerate(LAYERS):
        rooms = []
        for name in names:
            mine = [
                path
                for module, path in known.items()
                if (module == name or module.startswith(name + ".")) and layer_of(module) == index
            ]
            lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in mine)
            if mine:
                rooms.append(Room(name, len(mine), lines))
        found.append(rooms)
    return found


def arrows() -> Counter[tuple[int, int]]:
    """How many modules' imports go from one layer to another below it."""
    counted: Counter[tuple[int, int]] = Counter()
    known = modules(PACKAGE)
    for module, path in known.items():
        mine = layer_of(module)
        if module in OUTSIDE or mine is None:
            continue
        targets = {layer_of(name) for name in imports_of(path.read_text("utf-8"), known) if name}
        counted.update((mine, theirs) for theirs in targets if theirs is not None and theirs > mine)
    return counted


def drawn() -> str:
    """The house as SVG."""
    rows = floors()
    height = 2 * MARGIN + FLOOR * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="The layers of headtohead and their imports, which point down">',
        f"<style>{STYLE}</style>",
        '<marker id="head" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 6 3 0 6z" fill="#0a7d91"/>'
        "</marker>",
    ]
    for index, rooms in enumerate(rows):
        parts += _floor(rooms, MARGIN + index * FLOOR)
    for (above, below), count in sorted(arrows().items()):
        parts.append(_arrow(above, below, count))
    return "\n".join([*parts, "</svg>", ""])


def _floor(rooms: list[Room], y: int) -> list[str]:
    parts = []
    width = (WIDTH - GUTTER - MARGIN) / max(len(rooms), 1)
    for index, room in enumerate(rooms):
        x, wide = MARGIN + index * width, width - 8
        files = f"{room.files} files, " if room.files > 1 else ""
        parts += [
            f'<rect class="room" x="{x:.0f}" y="{y}" width="{wide:.0f}" height="{ROOM}" rx="4"/>',
            f'<text x="{x + 8:.0f}" y="{y + 15}">{escape(room.name)}</text>',
            f'<text class="small" x="{x + 8:.0f}" y="{y + 28}">{files}{room.lines:,} lines</text>',
        ]
    return parts


def _arrow(above: int, below: int, count: int) -> str:
    """A curve at the right, further out the more floors it passes."""
    x = WIDTH - GUTTER - 6
    start, end = MARGIN + above * FLOOR + ROOM * 0.7, MARGIN + below * FLOOR + ROOM * 0.3
    out = x + 8 + (GUTTER - 20) * (below - above) / len(LAYERS) * 1.3
    thick = min(0.6 + 0.25 * count, 4)
    return (
        f'<path class="arrow" marker-end="url(#head)" stroke-width="{thick:.2f}" '
        f'd="M{x} {start:.0f}C{out:.0f} {start:.0f} {out:.0f} {end:.0f} {x} {end:.0f}">'
        f"<title>{count} imports</title></path>"
    )


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.write_text(drawn(), encoding="utf-8")
    print(out)
