"""A study's pictures, from what the user named to the prepared set."""

from pathlib import Path

from headtohead.config.study import PicturesSpec, StudySpec
from headtohead.core.system import usable_cores
from headtohead.data.prepare import prepare
from headtohead.data.prepared import PreparedSet
from headtohead.data.sources import NAMED_SOURCES, Progress, Source, list_unlabelled, open_source
from headtohead.data.split import Files, Split, split


def prepare_study(
    spec: StudySpec, *, cache: Path, progress: Progress
) -> tuple[Source, PreparedSet]:
    """The study's pictures, decoded and resized once. Raises DataError and StorageError."""
    source = open_source(spec.data, cache=cache, progress=progress)
    return source, _prepare(source, spec.pictures, cache, progress)


def look_at(
    data: str, pictures: PicturesSpec, *, cache: Path, progress: Progress
) -> tuple[Source, PreparedSet]:
    """Pictures to be looked at, not trained on: a folder needs no classes, and all may be bad.

    Raises DataError where there is no picture at all, and StorageError.
    """
    folder = Path(data)
    flat = (
        data not in NAMED_SOURCES
        and folder.is_dir()
        and not any(map(Path.is_dir, folder.iterdir()))
    )
    if flat:
        source = list_unlabelled(folder, progress=progress)
    else:
        source = open_source(data, cache=cache, progress=progress)
    lenient = pictures.model_copy(update={"max_unreadable": 1.0})
    return source, _prepare(source, lenient, cache, progress)


def split_study(spec: StudySpec, prepared: Files, seed: int) -> Split:
    """The split that replicate `seed` is trained on. Raises DataError."""
    shares = (spec.split.train, spec.split.validation, spec.split.test)
    return split(prepared, fractions=shares, seed=spec.split.seed_for(seed))


def _prepare(source: Source, spec: PicturesSpec, cache: Path, progress: Progress) -> PreparedSet:
    return prepare(
        source,
        image_size=spec.image_size,
        resize=spec.resize,
        limit=spec.limit,
        max_unreadable=spec.max_unreadable,
        cache=cache,
        workers=len(usable_cores()),
        progress=progress,
    )
