"""A study's images, from what the user named to the prepared set."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from headtohead.config.images import PicturesSpec
from headtohead.config.study import StudySpec
from headtohead.core.system import usable_cores
from headtohead.core.text import printable
from headtohead.data.duplicates import regrouped
from headtohead.data.long_tasks import Progress
from headtohead.data.prepare import lost_line, prepare, unreadable_per_class
from headtohead.data.prepared import PreparedSet
from headtohead.data.selection import check_limit
from headtohead.data.sources import Source, flat_folder, list_unlabelled, open_source
from headtohead.data.split import Files, Split, split
from headtohead.data.walking import passed_over_line


def prepare_study(
    spec: StudySpec,
    *,
    cache: Path,
    progress: Progress,
    agree: Callable[[str], None] = lambda digest: None,
) -> tuple[Source, PreparedSet]:
    """The study's images, decoded and resized once, grouped as its split says.

    `agree` is called with their digest before they are decoded, and may raise. Raises DataError
    and StorageError.
    """
    limit = spec.pictures.limit
    source = open_source(spec.data, cache=cache, progress=progress, limit=limit)
    check_limit(source.files, limit)
    prepared = _prepare(source, spec.pictures, cache, progress, agree)
    return source, _grouped(spec, prepared)


def look_at(
    data: str, pictures: PicturesSpec, *, cache: Path, progress: Progress, fewest: int = 2
) -> tuple[Source, PreparedSet]:
    """Images to be looked at, not trained on: a folder needs no classes, and all may be bad.

    A folder of class folders has at least `fewest`.

    Raises DataError where there is no image at all, and StorageError.
    """
    folder = flat_folder(data)
    if folder is not None:
        source = list_unlabelled(folder, progress=progress)
    else:
        source = open_source(
            data, cache=cache, progress=progress, limit=pictures.limit, fewest=fewest
        )
    lenient = pictures.model_copy(update={"max_unreadable": 1.0})
    return source, _prepare(source, lenient, cache, progress, lambda digest: None)


def split_study(spec: StudySpec, prepared: Files, seed: int) -> Split:
    """The split that replicate `seed` is trained on. Raises DataError."""
    # A bare listing knows no near-duplicates.
    grouped = _grouped(spec, prepared) if isinstance(prepared, PreparedSet) else prepared
    return split(grouped, fractions=spec.split.shares, seed=spec.split.seed_for(seed))


def told(source: Source, prepared: PreparedSet) -> Iterator[str]:
    """What a user must know of the files before training on them, a line each."""
    folders = source.split_folders
    if any(split != folder.casefold() for split, folder in folders.items()):
        named = ", ".join(f"{printable(folder)} as {split}" for split, folder in folders.items())
        yield f"Splits as the folders give them: {named}."
    line = passed_over_line(source.passed_over)
    if line is not None:
        yield line
    lost = unreadable_per_class(prepared)
    if lost:
        one = sum(lost.values()) == 1
        why = "says why" if one else "lists them with the reasons"
        yield f"{lost_line(lost, prepared)}. `headtohead data check` {why}."


def _grouped(spec: StudySpec, prepared: PreparedSet) -> PreparedSet:
    """`prepared` with the groups that the study's split keeps together."""
    kept = spec.split.duplicates
    if kept == "near":
        return prepared
    return replace(prepared, groups=regrouped(prepared.images, prepared.groups, kept))


def _prepare(
    source: Source,
    spec: PicturesSpec,
    cache: Path,
    progress: Progress,
    agree: Callable[[str], None],
) -> PreparedSet:
    return prepare(
        source,
        image_size=spec.image_size,
        resize=spec.resize,
        limit=spec.limit,
        max_unreadable=spec.max_unreadable,
        cache=cache,
        workers=len(usable_cores()),
        progress=progress,
        agree=agree,
    )
