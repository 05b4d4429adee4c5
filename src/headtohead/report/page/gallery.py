"""Pictures of the page: thumbnails, and class maps of every head on one scale."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headtohead.probes.class_maps import CLASS_MAPS, ClassMaps
from headtohead.probes.images import ProbeImages
from headtohead.report.charts.overlay import field_of, overlay
from headtohead.report.page.picks import Pick
from headtohead.report.page.thumbnails import Thumbnails
from headtohead.study_data import StudyData

QUALITY = 82
MAP_SIDE = 160
"""Pixels that a picture of the grid of maps has at most: it is shown at 120, beside many others."""

PERCENTILE = 99.0
"""The scale ends at this percentile of all absolute values shown, so that no single cell rules."""


@dataclass(frozen=True)
class Shown:
    """An image of the page as a data address, its alternative text and the line below it."""

    address: str = field(repr=False)
    alt: str
    line: str


@dataclass(frozen=True)
class MapRow:
    """One test picture: its class, itself, and a map for each of `MapGrid.columns`."""

    label: str
    picture: Shown
    maps: tuple[Shown, ...]


@dataclass(frozen=True)
class MapGrid:
    """Class maps of the true class; `limit` is the end of the one scale, in logits."""

    seed: int
    columns: tuple[str, ...]
    rows: tuple[MapRow, ...]
    limit: float

    def _repr_html_(self) -> str:
        """The table, as a notebook shows it."""
        titles = "".join(f"<th>{escape(title)}</th>" for title in ("picture", *self.columns))
        rows = "".join(
            f"<tr>{''.join(map(_cell, (row.picture, *row.maps)))}</tr>" for row in self.rows
        )
        return f"<table><tr>{titles}</tr>{rows}</table>"


@dataclass(frozen=True)
class Card:
    """A picture with what every head says of it: (head, class, per cent, whether right)."""

    image: Shown | None
    name: str
    label: str
    answers: tuple[tuple[str, str, str, bool], ...]


def _cell(shown: Shown) -> str:
    return f'<td><img src="{shown.address}" alt="{escape(shown.alt)}" width="110"></td>'


def data_address(pixels: NDArray[np.uint8]) -> str:
    """(H, W, 3) uint8 as a JPEG in a `data:` address."""
    return _address(Image.fromarray(pixels))


def small_address(pixels: NDArray[np.uint8]) -> str:
    """`data_address` of the picture brought down to at most MAP_SIDE pixels a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((MAP_SIDE, MAP_SIDE), Image.Resampling.BOX)
    return _address(image)


def _address(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def cards(
    classes: Sequence[str], picks: Sequence[Pick], kept: Thumbnails | None
) -> tuple[Card, ...]:
    """Cards of the chosen pictures; a picture whose thumbnail was not kept has none."""
    found = []
    for pick in picks:
        thumbnail = kept.by_row.get(pick.row) if kept else None
        label = classes[pick.label]
        name = thumbnail.name if thumbnail else f"row {pick.row} of the prepared set"
        image = None
        if thumbnail:
            image = Shown(data_address(thumbnail.pixels), f"Test picture of class {label}", name)
        answers = tuple(
            (o.head, classes[o.named], f"{100 * o.confidence:.1f}", o.named == pick.label)
            for o in pick.opinions
        )
        found.append(Card(image, name, label, answers))
    return tuple(found)


def map_grid(data: StudyData, seed: int, count: int) -> MapGrid | None:
    """Maps of one seed of every head that has them, of the first `count` probe pictures.

    Grad-CAM for every head, and beside it the exact maps of heads that have them.
    """
    pictures = data.images(seed)
    if pictures is None or count < 1:
        return None
    found = _maps(data, seed, pictures)
    if not found:
        return None
    columns: dict[str, tuple[ClassMaps, NDArray[np.float32]]] = {}
    for head, maps in found:
        columns[f"{head}, Grad-CAM"] = (maps, maps.gradcam)
        if maps.exact is not None:
            columns[f"{head}, exact"] = (maps, maps.exact)
    count = min(count, len(pictures.rows), *(len(values) for _, values in columns.values()))
    every = np.concatenate([np.abs(values[:count]).ravel() for _, values in columns.values()])
    limit = max(float(np.percentile(every, PERCENTILE)), 1e-9)
    classes = data.file.classes
    rows = []
    for at in range(count):
        label = classes[int(pictures.labels[at])]
        pixels = pictures.pixels[at]
        shown = tuple(
            Shown(
                small_address(overlay(pixels, field_of(values[at], pixels, maps), limit)),
                f"{column}: where it sees {label}",
                "",
            )
            for column, (maps, values) in columns.items()
        )
        picture = Shown(small_address(pixels), f"Test picture of class {label}", "")
        rows.append(MapRow(label, picture, shown))
    return MapGrid(seed, tuple(columns), tuple(rows), limit)


def _maps(data: StudyData, seed: int, pictures: ProbeImages) -> list[tuple[str, ClassMaps]]:
    """Maps of these very pictures: those of an older choice would lie over the wrong ones."""
    found = []
    for head in data.study.heads:
        maps = data.run_evidence(CLASS_MAPS, head, seed)
        if maps is None or not len(maps.rows):
            continue
        if np.array_equal(maps.rows, pictures.rows[: len(maps.rows)]):
            found.append((head, maps))
    return found
