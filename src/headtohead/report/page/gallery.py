"""Images of the page: thumbnails, and class maps on each head's own scale and on a common one."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headtohead.core.text import counted
from headtohead.probes.class_maps import CLASS_MAPS, ClassMaps
from headtohead.probes.probe_images import ProbeImages
from headtohead.report.charts.overlay import edge_of, field_of, outlined, overlay
from headtohead.report.page.hard_images import HardImage
from headtohead.report.page.thumbnails import Thumbnails
from headtohead.study_data import StudyData

QUALITY = 82
COMMON_COLUMNS = 8
"""With more maps beside each other, they are not shown a second time on a common scale."""

MAP_SIDE = 160
"""Pixels that an image of the grid of maps has at most: it is shown at 120, beside many others."""

PERCENTILE = 99.0
"""The scale ends at this percentile of all absolute values shown, so that no single cell rules."""


@dataclass(frozen=True)
class Shown:
    """An image of the page as a data address, and its alternative text."""

    address: str = field(repr=False)
    alt: str


@dataclass(frozen=True)
class MapRow:
    """One test image: its class, itself, and a map for each of `MapGrid.columns`.

    `common` has the same maps on one scale for all columns; empty where that would be too much.
    """

    label: str
    picture: Shown
    maps: tuple[Shown, ...]
    common: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class MapGrid:
    """Class maps of the true class: `limits` ends each column's own scale, `limit` the common one.

    All in logits. `masked` says whether the object's outline is drawn.
    """

    seed: int
    columns: tuple[str, ...]
    rows: tuple[MapRow, ...]
    limits: tuple[float, ...]
    limit: float
    masked: bool

    def _repr_html_(self) -> str:
        """The table, as a notebook shows it."""
        titles = "".join(f"<th>{escape(title)}</th>" for title in ("image", *self.columns))
        rows = "".join(
            f"<tr>{''.join(map(_cell, (row.picture, *row.maps)))}</tr>" for row in self.rows
        )
        return f"<table><tr>{titles}</tr>{rows}</table>"


@dataclass(frozen=True)
class Card:
    """An image with what every head says of it: (head, class, per cent, whether right)."""

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
    """`data_address` of the image brought down to at most MAP_SIDE pixels a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((MAP_SIDE, MAP_SIDE), Image.Resampling.BOX)
    return _address(image)


def _address(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def cards(
    classes: Sequence[str], hard_images: Sequence[HardImage], kept: Thumbnails | None
) -> tuple[Card, ...]:
    """Cards of the chosen images; an image whose thumbnail was not kept has none."""
    found = []
    for chosen in hard_images:
        thumbnail = kept.by_row.get(chosen.row) if kept else None
        label = classes[chosen.label]
        name = thumbnail.name if thumbnail else f"row {chosen.row} of the prepared set"
        image = None
        if thumbnail:
            image = Shown(data_address(thumbnail.pixels), f"Test image of class {label}")
        answers = tuple(
            (o.head, classes[o.predicted], f"{100 * o.confidence:.1f}", o.predicted == chosen.label)
            for o in chosen.predictions
        )
        found.append(Card(image, name, label, answers))
    return tuple(found)


def map_grid(data: StudyData, seed: int, count: int) -> MapGrid | None:
    """Maps of one seed of every head that has them, of the first `count` probe images.

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
    limits = {name: _limit([values[:count]]) for name, (_, values) in columns.items()}
    common = _limit([values[:count] for _, values in columns.values()])
    outlines = _outlines(data, seed, pictures)
    again = dict.fromkeys(columns, common) if len(columns) <= COMMON_COLUMNS else {}
    classes = data.file.classes
    rows = []
    for at in range(count):
        label, pixels = classes[int(pictures.labels[at])], pictures.pixels[at]
        edge = outlines.get(int(pictures.rows[at]))
        one = {name: (maps, values[at]) for name, (maps, values) in columns.items()}
        picture = Shown(small_address(outlined(pixels, edge)), f"Test image of class {label}")
        own, shared = (_drawn(one, ends, label, pixels, edge) for ends in (limits, again))
        rows.append(MapRow(label, picture, own, shared))
    ends = tuple(limits.values())
    return MapGrid(seed, tuple(columns), tuple(rows), ends, common, bool(outlines))


def _drawn(
    maps: Mapping[str, tuple[ClassMaps, NDArray[np.float32]]],
    ends: Mapping[str, float],
    label: str,
    pixels: NDArray[np.uint8],
    edge: NDArray[np.bool_] | None,
) -> tuple[Shown, ...]:
    """One image's maps by column, each on a scale that ends at `ends`; none without an end."""
    found = []
    for name, end in ends.items():
        geometry, values = maps[name]
        laid = overlay(pixels, field_of(values, pixels, geometry), end)
        address = small_address(outlined(laid, edge))
        found.append(Shown(address, f"{name}: where it sees {label}"))
    return tuple(found)


def _limit(values: Sequence[NDArray[np.float32]]) -> float:
    """Where a scale ends, in logits."""
    every = np.concatenate([np.abs(one).ravel() for one in values])
    return max(float(np.percentile(every, PERCENTILE)), 1e-9)


def _outlines(data: StudyData, seed: int, pictures: ProbeImages) -> dict[int, NDArray[np.bool_]]:
    """Row → (side, side), True on the object's edge; images without a mask are left out."""
    masks = data.masks([seed]).get(seed)
    found: dict[int, NDArray[np.bool_]] = {}
    if masks is None:
        return found
    side = pictures.pixels.shape[1]
    width = max(1, round(side / 80))
    for row, mask in zip(masks.rows.tolist(), masks.masks, strict=True):
        inside = mask == 1
        if mask.shape == (side, side) and inside.any():
            found[row] = edge_of(inside, width)
    return found


def unfit_maps(data: StudyData) -> Iterator[str]:
    """Heads whose own maps are left out, for their mean is not the logit, in a sentence each."""
    found: dict[str, list[str]] = {}
    for (head, _), maps in data.evidence(CLASS_MAPS).items():
        if maps.unfit is not None:
            found.setdefault(head, []).append(maps.unfit)
    for head, reasons in found.items():
        yield (
            f"{head}: its own class maps are not exact in {counted(len(reasons), 'run')} and left "
            f"out ({reasons[0]})."
        )


def _maps(data: StudyData, seed: int, pictures: ProbeImages) -> list[tuple[str, ClassMaps]]:
    """Maps of these very images: those of an older choice would lie over the wrong ones."""
    found = []
    for head in data.study.heads:
        maps = data.run_evidence(CLASS_MAPS, head, seed)
        if maps is None or not len(maps.rows):
            continue
        if np.array_equal(maps.rows, pictures.rows[: len(maps.rows)]):
            found.append((head, maps))
    return found
