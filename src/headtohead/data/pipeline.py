"""A study's pictures, from what the user named to the prepared set."""

from pathlib import Path

from headtohead.data.prepare import prepare
from headtohead.data.prepared import PreparedSet
from headtohead.data.sources import Progress, Source, open_source
from headtohead.data.split import Split, split
from headtohead.machine import usable_cores
from headtohead.spec import StudySpec


def prepare_study(
    spec: StudySpec, *, cache: Path, progress: Progress
) -> tuple[Source, PreparedSet]:
    """The study's pictures, decoded and resized once. Raises DataError and StorageError."""
    source = open_source(spec.data, cache=cache, progress=progress)
    prepared = prepare(
        source,
        image_size=spec.pictures.image_size,
        resize=spec.pictures.resize,
        limit=spec.pictures.limit,
        max_unreadable=spec.pictures.max_unreadable,
        cache=cache,
        workers=len(usable_cores()),
        progress=progress,
    )
    return source, prepared


def split_study(spec: StudySpec, prepared: PreparedSet, seed: int) -> Split:
    """The split that replicate `seed` is trained on. Raises DataError."""
    shares = (spec.split.train, spec.split.validation, spec.split.test)
    return split(prepared, fractions=shares, seed=spec.split.seed_for(seed))
