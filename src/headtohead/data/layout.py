"""Which folders of a source are splits and which are classes; what cannot be told is refused."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from headtohead.core.errors import DataError
from headtohead.core.text import composed, counted
from headtohead.data.walking import LOOSE, PassedOver, Walk, passed_over_line

LAYOUT = (
    "Give a folder (or a zip or tar of one) with one subfolder of images per class, "
    "or with train/, validation/ and test/ above such subfolders."
)

Mention = Callable[[Path], str]
"""How a path is called in messages: as the user knows it, in quotes."""

_BASES = {
    **dict.fromkeys(("train", "training", "trainval", "trainvalidation"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "validation"),
    **dict.fromkeys(("eval", "evaluation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_THINGS = r"(?:sets?|splits?|data|datasets?|images?|imgs?|pictures?|photos?|folder|dir)"
_SPLIT_NAME = re.compile(rf"(?:{_THINGS}_)?([a-z]+?){_THINGS}?\d*")
_PART_NAME = re.compile(r"(?:(?:cv|k)?fold|split|part|chunk|shard|batch|subset)\d+")
_IMAGES_NAMES = frozenset(("image", "images", "img", "imgs", "jpegimages", "photos", "pictures"))
_NOTES_NAMES = frozenset(
    (
        *("mask", "masks", "trimap", "trimaps", "segmentation", "segmentations"),
        *("segmentationclass", "segmentationobject", "label", "labels", "annotation"),
        *("annotations", "bbox", "bboxes", "groundtruth", "gt"),
    )
)
_ALIKE = "Give every split the same class folders."
_RENAME = "If these folders are the classes, rename or rearrange them so that this can be seen."


def split_of(name: str) -> str | None:
    """Which of train, validation and test a folder's usual `name` means, or None.

    `Training_Set`, `val2017`, `test1`, `images_train` and `trainval` are; case does not count.
    """
    plain = re.sub(r"[\s_.-]+", "_", name.casefold()).strip("_")
    # The first "_" may end a thing before the split's name; the others only divide its parts.
    for form in (plain.replace("_", ""), plain):
        found = _SPLIT_NAME.fullmatch(form)
        if found and found[1] in _BASES:
            return _BASES[found[1]]
    return None


def arrange(root: Path, walk: Walk, tell: Mention, fewest: int = 2) -> dict[str | None, list[Path]]:
    """Split → its class folders, sorted by name; the only split is None where none are given.

    At least `fewest` of them, 1 or 2: a classifier is trained on two, and may be scored on one.

    Raises `DataError` where the folders are neither classes nor splits with the same classes, and
    where it cannot be told which of both they are: nothing is left out, nothing is guessed.
    """
    tops = walk.subfolders(root)
    named = [folder for folder in tops if split_of(folder.name)]
    if len(named) > 1:
        parts = _split_folders(root, tops, named, tell)
    else:
        _refuse_unclear(root, tops, named, walk, tell)
        parts = {None: root}
    classes = {
        split: _class_folders(split, folder, walk, tell, fewest) for split, folder in parts.items()
    }
    walk.pass_over(walk.loose(root), LOOSE)
    for folder in parts.values():
        walk.pass_over(walk.loose(folder), LOOSE)
    _check_alike(classes, parts)
    return classes


def _split_folders(
    root: Path, tops: Sequence[Path], named: Sequence[Path], tell: Mention
) -> dict[str | None, Path]:
    """Which folder is which split; refuses what would silently leave images out."""
    parts: dict[str | None, Path] = {}
    for folder in named:
        split = split_of(folder.name)
        if split in parts:
            raise DataError(
                f"two folders for the {split} split in {tell(root)}: {parts[split].name!r} and "
                f"{folder.name!r}. Keep one, or merge them."
            )
        parts[split] = folder
    if "train" not in parts:
        raise DataError(
            f"no train folder beside {_listed(named)} in {tell(root)}. "
            "Add one, or put the class folders directly below to have them split."
        )
    others = [folder for folder in tops if folder not in named]
    if others:
        its, it = ("its", "it") if len(others) == 1 else ("their", "them")
        raise DataError(
            f"{_listed(others)} beside {_listed(named)} in {tell(root)}: whether {its} images "
            f"count cannot be told. Move {it} elsewhere."
        )
    return parts


def _refuse_unclear(
    root: Path, tops: Sequence[Path], named: Sequence[Path], walk: Walk, tell: Mention
) -> None:
    """Raise `DataError` where two or more folders side by side are most likely not classes."""
    if len(tops) < 2:
        return
    below = {top: {folder.name for folder in walk.subfolders(top)} for top in tops}
    for one in named:
        others = [top for top in tops if top != one]
        alone = split_of(one.name) == "train" and len(tops) == 2
        if below[one] or alone:
            raise DataError(
                f"{one.name!r} in {tell(root)} is named like a split, but {_listed(others)} beside "
                f"it {'is' if len(others) == 1 else 'are'} not. Name the splits train, validation "
                f"and test and move other folders elsewhere; if {one.name!r} is a class, rename it."
            )
    shared = set.intersection(*below.values())
    if len(shared) > 1:
        if all(split_of(name) for name in shared):
            raise DataError(
                f"{_listed(tops)} in {tell(root)} each hold {_quoted(shared)}: splits within "
                "classes. Put train/, validation/ and test/ above the class folders."
            )
        raise DataError(
            f"{_listed(tops)} in {tell(root)} all hold the same folders ({_quoted(shared)}), so "
            "which are the classes cannot be told. Name one of them as the data, or name splits "
            f"train, validation and test. {_RENAME}"
        )
    plain = {top: re.sub(r"[\s_.-]+", "", top.name.casefold()) for top in tops}
    notes = [top for top in tops if plain[top] in _NOTES_NAMES]
    if notes and any(name in _IMAGES_NAMES for name in plain.values()):
        raise DataError(
            f"{_listed(tops)} in {tell(root)} look like images and what belongs to them, not like "
            f"classes. Name the folder of images as the data. {_RENAME}"
        )
    if all(_PART_NAME.fullmatch(name) for name in plain.values()):
        raise DataError(
            f"{_listed(tops)} in {tell(root)} look like parts of one set, not like classes. "
            f"{LAYOUT} {_RENAME}"
        )


def _class_folders(
    split: str | None, folder: Path, walk: Walk, tell: Mention, fewest: int
) -> list[Path]:
    """At least `fewest` class folders, sorted by name."""
    classes = walk.subfolders(folder)
    if len(classes) >= fewest:
        _refuse_twins(folder, classes, tell)
        return classes
    if classes:
        raise DataError(
            f"only one class in {tell(folder)}: {classes[0].name!r}. "
            f"A classifier needs at least two. {LAYOUT if split is None else _ALIKE}"
            f"{_passed(walk, folder)}"
        )
    loose = walk.loose(folder)
    if loose:
        unsorted = f"A {split} split without classes cannot be used: sort it, or move it elsewhere."
        raise DataError(
            f"{counted(len(loose), 'file')} but no class folder in {tell(folder)} "
            f"(the first is {loose[0].name!r}). {LAYOUT if split is None else unsorted}"
        )
    todo = LAYOUT if split is None else "Put its class folders into it, or remove it."
    raise DataError(f"an empty folder: {tell(folder)}. {todo}{_passed(walk, folder)}")


def _passed(walk: Walk, folder: Path) -> str:
    """What was passed over in `folder`, for an error that it may explain."""
    found = [
        PassedOver(path.name, why) for path, why in walk.passed.items() if path.parent == folder
    ]
    line = passed_over_line(found)
    return "" if line is None else f" {line}"


def _refuse_twins(folder: Path, classes: Sequence[Path], tell: Mention) -> None:
    seen: dict[str, str] = {}
    for path in classes:
        other = seen.setdefault(composed(path.name), path.name)
        if other != path.name:
            raise DataError(
                f"two classes in {tell(folder)} look alike, {other!a} and "
                f"{path.name!a}: accents are written composed in one and decomposed in the "
                "other. Merge them, or rename one."
            )


def _check_alike(
    classes: Mapping[str | None, Sequence[Path]], parts: Mapping[str | None, Path]
) -> None:
    """Every split has the classes of the first one."""
    names = {split: {folder.name for folder in folders} for split, folders in classes.items()}
    everywhere = set.intersection(*names.values())
    for split, found in names.items():
        if found == everywhere:
            continue
        missing = [other for other in names if not found <= names[other]]
        where = " and ".join(repr(parts[other].name) for other in missing)
        raise DataError(
            f"the splits have different classes: {parts[split].name!r} has "
            f"{_quoted(found - everywhere)}, which {where} has not"
            f"{_why_unlike(found - everywhere, [names[other] for other in missing])}. "
            f"{_ALIKE}"
        )


def _why_unlike(mine: set[str], theirs: Iterable[set[str]]) -> str:
    """Names that are the same to the eye, told by their code points."""
    for other in (name for names in theirs for name in sorted(names - mine)):
        for name in sorted(mine):
            if composed(name) == composed(other):
                return (
                    f" (it has {other!a} where this one has {name!a}: the same letters, "
                    "with accents composed in one and decomposed in the other; rename one)"
                )
            if composed(name).casefold() == composed(other).casefold():
                return f" (it has {other!r}: upper and lower case differ; rename one)"
    return ""


def _listed(folders: Iterable[Path]) -> str:
    """Names in quotes: all of a few, the first of many."""
    return _quoted({folder.name for folder in folders})


def _quoted(names: set[str]) -> str:
    shown = [repr(name) for name in sorted(names)]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:5], f"… ({len(shown)})"])
