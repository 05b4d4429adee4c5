"""A source's files by name alone: what `plan` knows of a study's images before any is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headtohead.config.study import StudySpec
from headtohead.data.archives import extracted_folder
from headtohead.data.download import CATS_VS_DOGS
from headtohead.data.hubs import is_hub
from headtohead.data.long_tasks import Progress
from headtohead.data.selection import check_limit, select
from headtohead.data.sources import PictureFile, open_source
from headtohead.data.synthetic.source import DEFAULT_COUNT

NAMED_COUNTS = {"synthetic": DEFAULT_COUNT // 2, "cats_vs_dogs": 12_500}
"""Images of each of two classes that a named source has, before it is drawn or downloaded."""


@dataclass(frozen=True, eq=False)
class Listing:
    """Files as `headtohead.data.split.Files`: none is known to be unreadable or a duplicate."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: NDArray[np.int64]  # (N,) index into classes
    groups: NDArray[np.int64]  # (N,) each its own
    given: tuple[str | None, ...]


def list_study(spec: StudySpec, *, cache: Path, progress: Progress) -> Listing | None:
    """The files of the study's images; an archive is extracted. None for a hub's set.

    Nothing is downloaded or drawn: of a named source that is not in the cache yet only the number
    is known. Raises DataError and StorageError as `open_source` does, and UsageError for a limit
    that leaves a class too few.
    """
    if is_hub(spec.data):
        return None
    count = NAMED_COUNTS.get(spec.data)
    downloaded = extracted_folder(cache, CATS_VS_DOGS.sha256).is_dir()
    if count is not None and not (spec.data == "cats_vs_dogs" and downloaded):
        named = [
            PictureFile(Path(), f"{label}/{number}", label, None)
            for label in ("cat", "dog")
            for number in range(count)
        ]
        return _listing(("cat", "dog"), named, spec.pictures.limit)
    source = open_source(spec.data, cache=cache, progress=progress)
    return _listing(source.classes, source.files, spec.pictures.limit)


def _listing(classes: Sequence[str], files: Sequence[PictureFile], limit: int | None) -> Listing:
    check_limit(files, limit)
    chosen = select(files, limit)
    numbers = {label: number for number, label in enumerate(classes)}
    return Listing(
        tuple(classes),
        tuple(file.name for file in chosen),
        np.array([numbers[file.label] for file in chosen], np.int64),
        np.arange(len(chosen), dtype=np.int64),
        tuple(file.split for file in chosen),
    )
