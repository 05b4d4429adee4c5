"""What a report needs of the images themselves, kept in the ledger while they are at hand.

<out>/evidence/thumbnails/test.npz    the test images that are worth a look
<out>/evidence/thumbnails/test.json   its manifest, with sizes, duplicates and quarantine
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headtohead.core.text import printable
from headtohead.data.prepared import PreparedSet
from headtohead.report.page.hard_images import (
    disagreements,
    head_predictions,
    mistakes,
    predictions_on_test,
)
from headtohead.store.evidence import THUMBNAILS, Arrays, read_with_manifest, write_evidence
from headtohead.study_data import StudyData

OF_EACH_KIND = 24
"""So many mistakes and so many disagreements are kept at most: the limit of `--pictures`."""

SIDE = 128
"""Thumbnails are no larger than this, in pixels."""

LISTED = 200
"""So many quarantined files are listed by name; all are counted."""


@dataclass(frozen=True)
class Facts:
    """What is known of the images. Sizes are [height, width] in pixels before resizing.

    `duplicate_groups` counts groups of (near-)identical images, `duplicates` their images.
    `quarantined` lists [name, class, reason] of files that gave no image, `quarantined_count`
    of them in all.
    """

    pictures: int
    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    duplicate_groups: int
    duplicates: int
    quarantined_count: int
    quarantined: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """One test image: its name relative to the source, and (H, W, 3) uint8 pixels."""

    name: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Thumbnails:
    """Everything that is kept of the images: thumbnails by row of the prepared set, and facts."""

    facts: Facts
    by_row: Mapping[int, Thumbnail]


def keep_thumbnails(data: StudyData, prepared: PreparedSet) -> None:
    """Keep the facts, and thumbnails of what the finished runs get wrong or disagree on.

    Raises StorageError where they cannot be written.
    """
    predictions = head_predictions(predictions_on_test(data))
    rows: list[int] = []
    if predictions is not None:
        chosen = [*mistakes(predictions, OF_EACH_KIND), *disagreements(predictions, OF_EACH_KIND)]
        rows = sorted({image.row for image in chosen})
    images = prepared.images
    pixels = [_small(images[row]) for row in rows]
    arrays: Arrays = {"rows": np.array(rows, np.int64), "pixels": np.array(pixels, np.uint8)}
    also = {
        "facts": asdict(_facts(prepared)),
        "names": [printable(prepared.names[row]) for row in rows],
    }
    write_evidence(_path(data), THUMBNAILS, data.file.prepared, arrays, also)


def read_thumbnails(data: StudyData) -> Thumbnails | None:
    """What was kept, or None where there is nothing that is whole and of this study."""
    kept = read_with_manifest(_path(data), THUMBNAILS, data.file.prepared)
    if kept is None:
        return None
    arrays, manifest = kept
    try:
        content = manifest["facts"]
        sizes = {name: tuple(content[name]) for name in ("smallest", "median", "largest")}
        quarantined = tuple(tuple(entry) for entry in content["quarantined"])
        facts = Facts(**{**content, **sizes, "quarantined": quarantined})
        found = zip(arrays["rows"].tolist(), manifest["names"], arrays["pixels"], strict=True)
        return Thumbnails(facts, {row: Thumbnail(name, pixels) for row, name, pixels in found})
    except (ValueError, KeyError, TypeError):
        return None


def _path(data: StudyData) -> Path:
    return data.out / "evidence" / THUMBNAILS / "test.npz"


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if max(picture.shape[:2]) <= SIDE:
        return np.asarray(picture)
    image = Image.fromarray(np.asarray(picture))
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _facts(prepared: PreparedSet) -> Facts:
    sizes = prepared.original_sizes
    order = np.argsort(sizes.prod(axis=1), kind="stable")

    def size(at: int) -> tuple[int, int]:
        height, width = sizes[order[at]].tolist()
        return height, width

    _, counts = np.unique(prepared.groups, return_counts=True)
    entries = [(printable(q.name), printable(q.label), q.reason) for q in prepared.quarantined]
    return Facts(
        pictures=len(sizes),
        smallest=size(0),
        median=size(len(sizes) // 2),
        largest=size(-1),
        duplicate_groups=int((counts > 1).sum()),
        duplicates=int(counts[counts > 1].sum()),
        quarantined_count=len(entries),
        quarantined=tuple(entries[:LISTED]),
    )
