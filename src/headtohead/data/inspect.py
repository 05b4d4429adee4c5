"""Look at images before training on them: what is there, what is odd, what it looks like."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headtohead.config.images import SplitSpec
from headtohead.core.errors import DataError, UsageError
from headtohead.core.pictures import caption_font, drawable
from headtohead.core.text import counted, names, printable, significant
from headtohead.data.holdout import holdout_lines
from headtohead.data.prepared import GIVEN_SPLITS, PreparedSet, Quarantined
from headtohead.data.selection import check_limit
from headtohead.data.sources import Source
from headtohead.data.split import groups_of, split
from headtohead.data.walking import PassedOver, passed_over_line

_LISTED = 20  # entries of a list in the text; the dictionary has all
_WIDTH = 100  # characters

_TILE, _LARGEST_TILE = 120, 256  # least and most pixels of an image on the contact sheet
_GAP, _CAPTION, _HEADING = 8, 16, 30  # pixels
_CLASSES_SHOWN = 40  # a sheet of a thousand classes could not be looked at, nor saved


@dataclass(frozen=True)
class ClassCount:
    """One class: its files in the source, those prepared, and those that gave no image."""

    label: str
    found: int
    usable: int
    quarantined: int
    given: dict[str, int]  # usable images in each split that the user gave


@dataclass(frozen=True)
class Lengths:
    """Least, median and greatest of a length in pixels, before resizing."""

    least: int
    median: float
    greatest: int


@dataclass(frozen=True)
class DuplicateGroup:
    """Images that are (nearly) the same: their names, classes and given splits, in order."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    given: tuple[str | None, ...]

    @property
    def across_classes(self) -> bool:
        """Whether the same image has more than one label: one of them is wrong."""
        return len(set(self.labels)) > 1

    @property
    def across_splits(self) -> bool:
        """Whether it lies in more than one of the user's splits: a leak."""
        return len(set(self.given) - {None}) > 1

    @property
    def dependent(self) -> frozenset[str]:
        """Of the user's splits that it lies in, those that judge what others trained or chose."""
        inside = [name for name in GIVEN_SPLITS if name in self.given]
        return frozenset(inside[1:])


@dataclass(frozen=True)
class DataCheck:
    """What there is to know of a source's images before training on them.

    As text it is what the command prints.
    """

    source: str
    digest: str
    found: int  # files in the source
    usable: int  # images in the prepared set; fewer than found under a limit
    classes: tuple[ClassCount, ...]
    widths: Lengths
    heights: Lengths
    distinct_sizes: int
    largest_share: float  # of the usable images: the accuracy of always predicting that class
    imbalance: float  # images of the largest class per image of the smallest
    duplicates: tuple[DuplicateGroup, ...]
    quarantined: tuple[Quarantined, ...]
    split: Mapping[str, int]  # images in each split that `compare` would make; empty where none can
    no_split: str  # why none can be made; empty where `split` is not
    splits: dict[str, str]  # split → the folder that the user gave it as
    passed_over: tuple[PassedOver, ...]  # files and folders that were not read

    @property
    def left_out(self) -> int:
        """Files that a limit left out."""
        return self.found - self.usable - len(self.quarantined)

    @property
    def across_classes(self) -> tuple[DuplicateGroup, ...]:
        """Duplicate groups with more than one label."""
        return tuple(group for group in self.duplicates if group.across_classes)

    @property
    def leaks(self) -> tuple[DuplicateGroup, ...]:
        """Duplicate groups in more than one of the splits that the user gave."""
        return tuple(group for group in self.duplicates if group.across_splits)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values for JSON."""
        return {
            **asdict(self),
            "across_classes": [asdict(group) for group in self.across_classes],
            "leaks": [asdict(group) for group in self.leaks],
        }

    def __str__(self) -> str:
        return render_check(self)


def check(source: Source, prepared: PreparedSet) -> DataCheck:
    """Count and measure the images of `source` as they are in `prepared`.

    `prepared` has at least one image, as `prepare` sees to.
    """
    usable = Counter(prepared.labels.tolist())
    sizes, no_split = _split_sizes(source, prepared)
    heights, widths = prepared.original_sizes.T
    return DataCheck(
        source=source.shown,
        digest=prepared.digest,
        found=len(source.files),
        usable=len(prepared.names),
        classes=tuple(_class_counts(source, prepared)),
        widths=_range(widths),
        heights=_range(heights),
        distinct_sizes=len(np.unique(prepared.original_sizes, axis=0)),
        largest_share=max(usable.values()) / len(prepared.names),
        imbalance=max(usable.values()) / min(usable.values()),
        duplicates=tuple(_duplicates(prepared)),
        quarantined=prepared.quarantined,
        split=sizes,
        no_split=no_split,
        splits=source.split_folders,
        passed_over=source.passed_over,
    )


def _split_sizes(source: Source, prepared: PreparedSet) -> tuple[dict[str, int], str]:
    """By a study's default shares; none and the reason where there cannot be any."""
    if prepared.classes == ("",):
        return {}, "there are no class folders, and a study needs at least two."
    usual, taken = SplitSpec(), len(prepared.names) + len(prepared.quarantined)
    try:
        check_limit(source.files, taken if taken < len(source.files) else None)
        found = split(prepared, fractions=usual.shares, seed=usual.seed)
    except (DataError, UsageError) as error:
        return {}, str(error)
    return {name: len(getattr(found, name)) for name in GIVEN_SPLITS}, ""


def render_check(check: DataCheck) -> str:
    """`check` as plain text, at most 100 characters wide, safe to print on a terminal."""
    text = io.StringIO()
    console = Console(
        file=text, width=_WIDTH, color_system=None, force_jupyter=False, highlight=False
    )
    console.print(
        f"{counted(check.usable, 'usable image')} of {counted(check.found, 'file')} in "
        f"{printable(check.source)}",
        markup=False,
    )
    console.print(_class_table(check))
    if check.left_out:
        console.print(f"Limit:   {counted(check.left_out, 'file')} left out")
    given = [name for name in GIVEN_SPLITS if name in check.splits]
    if given:
        named = ", ".join(f"{check.splits[name]} as {name}" for name in given)
        console.print(Text(f"Splits:  {printable(named)}"), soft_wrap=True)
    passed = passed_over_line(check.passed_over)
    if passed is not None:
        console.print(Text(passed), soft_wrap=True)
    _print_sizes(console, check)
    if check.split:
        sizes = ", ".join(f"{count:,} {name}" for name, count in check.split.items())
        console.print(f"Split:   {sizes} in `compare`, unless a study has other shares")
        for line in holdout_lines(check.split["test"], given):
            console.print(line, markup=False, soft_wrap=True)
    else:
        console.print(Text(f"Split:   none for `compare`: {check.no_split}"), soft_wrap=True)
    _print_duplicates(console, check)
    reasons = [f"{printable(bad.name)}: {bad.reason}" for bad in check.quarantined]
    _print_list(
        console, f"{counted(len(reasons), 'file')} quarantined (cannot be decoded)", reasons
    )
    return text.getvalue().rstrip()


def contact_sheet(prepared: PreparedSet, *, columns: int = 8, rows: int = 3) -> Image.Image:
    """A picture of images, RGB: for each class a heading and `rows` × `columns` of its own.

    The choice is by a hash of the names: the same for the same images, and no run of one
    camera. Each is shown as the network sees it, at 120 to 256 pixels, over its name and original
    size. At most 40 classes are shown; the last line tells of the others.
    """
    images = prepared.images
    classes = range(min(len(prepared.classes), _CLASSES_SHOWN))
    chosen = [_choose(prepared, number, columns * rows) for number in classes]
    tile = min(max(_TILE, prepared.image_size), _LARGEST_TILE)
    step = tile + 2 * _CAPTION + _GAP
    lines = [-(-len(some) // columns) for some in chosen]
    hidden = len(prepared.classes) - len(classes)
    width = columns * (tile + _GAP) + _GAP
    height = sum(_HEADING + count * step for count in lines) + (_HEADING if hidden else 0) + _GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for number, some, count in zip(classes, chosen, lines, strict=True):
        _write(draw, (_GAP, top), _heading(prepared, number), 16, width)
        for place, row in enumerate(some):
            left = _GAP + place % columns * (tile + _GAP)
            upper = top + _HEADING + place // columns * step
            picture = Image.fromarray(np.asarray(images[row]))
            sheet.paste(picture.resize((tile, tile), Image.Resampling.BICUBIC), (left, upper))
            name = prepared.names[row].rpartition("/")[2]
            tall, wide = prepared.original_sizes[row]
            _write(draw, (left, upper + tile), name, 10, tile)
            _write(draw, (left, upper + tile + _CAPTION - 2), f"{wide} x {tall}", 10, tile)
        top += _HEADING + count * step
    if hidden:
        _write(draw, (_GAP, top), f"and {hidden} more classes", 16, width)
    return sheet


def _class_counts(source: Source, prepared: PreparedSet) -> Iterator[ClassCount]:
    found = Counter(file.label for file in source.files)
    bad = Counter(entry.label for entry in prepared.quarantined)
    for number, label in enumerate(prepared.classes):
        rows = np.flatnonzero(prepared.labels == number)
        given = Counter(prepared.given[row] for row in rows)
        splits = {name: given[name] for name in GIVEN_SPLITS if given[name]}
        yield ClassCount(label, found[label], len(rows), bad[label], splits)


def _duplicates(prepared: PreparedSet) -> Iterator[DuplicateGroup]:
    for rows in groups_of(prepared.groups):
        yield DuplicateGroup(
            tuple(prepared.names[row] for row in rows),
            tuple(prepared.classes[prepared.labels[row]] for row in rows),
            tuple(prepared.given[row] for row in rows),
        )


def _range(lengths: "np.ndarray[Any, np.dtype[np.int64]]") -> Lengths:
    return Lengths(int(lengths.min()), float(np.median(lengths)), int(lengths.max()))


def _range_text(lengths: Lengths) -> str:
    return f"{lengths.least:,} to {lengths.greatest:,} pixels, median {lengths.median:,.0f}"


def _class_table(check: DataCheck) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    splits = [name for name in GIVEN_SPLITS if any(name in count.given for count in check.classes)]
    table.add_column("class", overflow="fold")
    for title in ("files", "usable", "quarantined", *splits):
        table.add_column(title, justify="right")
    for count in check.classes:
        numbers = [count.found, count.usable, count.quarantined]
        numbers += [count.given.get(name, 0) for name in splits]
        table.add_row(
            Text(printable(count.label) or "(no class folder)"),
            *(f"{number:,}" for number in numbers),
        )
    return table


def _print_sizes(console: Console, check: DataCheck) -> None:
    """How large the images are, and how even the classes."""
    console.print(f"Width:   {_range_text(check.widths)}")
    console.print(f"Height:  {_range_text(check.heights)}")
    sizes = counted(check.distinct_sizes, "different size")
    console.print(f"         {sizes}")
    if not any(count.label for count in check.classes):
        return
    share, ratio = check.largest_share, significant(check.imbalance)
    smallest = "as many as" if ratio == "1" else f"{ratio} times as many as"
    console.print(
        f"Balance: {share:.1%} of the images are of the largest class, {smallest} of the smallest"
    )


def _print_duplicates(console: Console, check: DataCheck) -> None:
    """Groups of near-duplicates, and again those of them that spoil labels or the test split."""
    groups = counted(len(check.duplicates), "near-duplicate group")
    unless = ", except across the splits you gave" if check.leaks else ""
    _print_groups(console, f"{groups} (each stays in one split{unless})", check.duplicates)
    if check.across_classes:
        across = f"{len(check.across_classes):,} of them across classes"
        title = f"{across}: the same image under more than one label"
        _print_groups(console, title, check.across_classes)
    if check.leaks:
        across = f"{len(check.leaks):,} of them across the splits you gave"
        found = {name for group in check.leaks for name in group.dependent}
        spoilt = names([name for name in GIVEN_SPLITS if name in found])
        verb = "split is" if len(found) == 1 else "splits are"
        title = f"{across}: the {spoilt} {verb} not independent"
        _print_groups(console, title, check.leaks)


def _print_groups(console: Console, title: str, groups: Iterable[DuplicateGroup]) -> None:
    _print_list(console, title, [" = ".join(map(printable, group.names)) for group in groups])


def _print_list(console: Console, title: str, lines: list[str]) -> None:
    console.print(title + (":" if lines else ""), markup=False)
    for line in lines[:_LISTED]:
        console.print(Text("  " + line), soft_wrap=True)
    if len(lines) > _LISTED:
        console.print(f"  and {len(lines) - _LISTED:,} more (all of them with --json)")


def _choose(prepared: PreparedSet, number: int, count: int) -> list[int]:
    """At most `count` rows of class `number`, the smallest hashes of their names."""
    rows: list[int] = prepared.by_hash(np.flatnonzero(prepared.labels == number))[:count].tolist()
    return rows


def _heading(prepared: PreparedSet, number: int) -> str:
    sizes = prepared.original_sizes[prepared.labels == number]
    label = prepared.classes[number]
    count = f"{f'{label}: ' if label else ''}{counted(len(sizes), 'image')}"
    if not len(sizes):
        return count
    least, greatest = sizes[sizes.prod(1).argmin()], sizes[sizes.prod(1).argmax()]
    return f"{count}, from {least[1]} x {least[0]} to {greatest[1]} x {greatest[0]} pixels"


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, width: int
) -> None:
    """Write `text` from `place`, cut in the middle to fit `width` pixels."""
    font = caption_font(size)
    whole = shown = drawable(printable(text), font)
    length = len(whole)
    while length > 1 and draw.textlength(shown, font=font) > width:
        length -= 1
        shown = whole[: length // 2] + "…" + whole[len(whole) - (length - length // 2) :]
    draw.text(place, shown, fill="black", font=font)
