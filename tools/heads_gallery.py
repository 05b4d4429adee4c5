"""Draw docs/heads.md: every head by family, each with a picture of what it takes from feature maps.

    python tools/heads_gallery.py [FOLDER]

The picture: a head is given feature maps of 7 × 7 places in which one object fires strongly and a
second one less, and the size of the logit's derivative at each place is drawn, computed with the
head itself: dark places decide, white ones are not looked at. Learned heads have their first
weights (seed 0).
"""

import io
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from headtohead.heads.base import ClosedFormHead, Head
from headtohead.heads.describe import head_facts
from headtohead.heads.table import FAMILIES, HEADS, build_head

ROOT = Path(__file__).parent.parent
PICTURES = "figures/heads"
MAPS = (1280, 7, 7)
CLASSES = 2
CHANNELS, SIDE, CELL = 64, 7, 10

START = """# The heads

Every head that comes with headtohead. Parameters are those on {maps} feature maps with
{classes} classes; `headtohead heads --maps CxHxW --classes N` counts them for yours, and
`headtohead heads NAME` explains one. [A head of your own](own_head.md) is one class.
How all compare on the same features: [every head](zoo.md).

The picture says which places of the maps decide: the size of the logit's derivative at each of
7 × 7 places, computed with the head itself and its first weights, on the feature maps below. Dark
places decide, white ones do not matter. What a head learns can move them.

![The feature maps' mean: one object that fires strongly, and a weaker one](figures/heads/input.png)

This page is drawn by `python tools/heads_gallery.py`.
"""


def features() -> Tensor:
    """(1, CHANNELS, SIDE, SIDE) non-negative maps: two objects, each in half of the channels."""
    random = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    strong = torch.exp(-((rows - 2) ** 2 + (columns - 2) ** 2) / 2.0)
    weak = 0.5 * torch.exp(-((rows - 5) ** 2 + (columns - 5) ** 2) / 1.5)
    share = torch.rand(CHANNELS, 2, generator=random)
    noise = 0.1 * torch.rand(1, CHANNELS, SIDE, SIDE, generator=random)
    return noise + (share[:, :1, None] * strong + share[:, 1:, None] * weak)[None]


def weights_of(name: str) -> NDArray[np.float64]:
    """(SIDE, SIDE) sizes of the first logit's derivative, the largest of them 1."""
    torch.manual_seed(0)
    head = build_head(name, CHANNELS, (SIDE, SIDE), 1).eval()
    maps = features()
    if isinstance(head, ClosedFormHead):
        _fit(head, maps)
    maps.requires_grad_()
    head(maps)[0, 0].backward()
    assert maps.grad is not None  # noqa: S101 - it was asked for above
    found = maps.grad[0].square().sum(0).sqrt().double().numpy()
    return found / max(float(found.max()), 1e-12)


def _fit(head: Head, maps: Tensor) -> None:
    """Two classes: these maps, and the same turned around."""
    assert isinstance(head, ClosedFormHead)  # noqa: S101
    head.reset()
    head.fit(torch.cat([maps, maps.flip(1)]), torch.tensor([0, 1]))


def picture(values: NDArray[np.float64]) -> bytes:
    """A PNG of one square a place, from white (0) to dark blue (1)."""
    white, blue = np.array([255.0, 255.0, 255.0]), np.array([0.0, 60.0, 115.0])
    shade = white + values[..., None] * (blue - white)
    cells = np.kron(shade.round().astype(np.uint8), np.ones((CELL, CELL, 1), np.uint8))
    cells[::CELL] = cells[:, ::CELL] = 225  # lines between places
    buffer = io.BytesIO()
    Image.fromarray(cells).quantize(32).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def page() -> str:
    """docs/heads.md, from the table of heads."""
    parts = [START.format(maps=" × ".join(map(str, MAPS)), classes=CLASSES)]
    for family, entries in FAMILIES.items():
        parts.append(f"## {family.capitalize()}\n")
        parts.append("| | head | formula | parameters | class maps | source |")
        parts.append("|---|---|---|---|---|---|")
        for name, entry in entries.items():
            facts = head_facts(name, MAPS, 1)
            cells = (
                f"![{name}]({PICTURES}/{name}.png)",
                f"**`{name}`** {_cell(entry.summary)}",
                f"`{_cell(entry.formula)}`" if entry.formula else "",
                f"{facts.parameters:,}" if facts.refusal is None else "–",
                facts.class_maps,
                _cell(entry.source),
            )
            parts.append(f"| {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def draw(docs: Path) -> None:
    """Write the page and its pictures below `docs`."""
    folder = docs / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    mean = features()[0].mean(0).double().numpy()
    (folder / "input.png").write_bytes(picture(mean / mean.max()))
    for name in HEADS:
        (folder / f"{name}.png").write_bytes(picture(weights_of(name)))
    (docs / "heads.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
