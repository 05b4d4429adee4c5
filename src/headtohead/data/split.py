"""Rows of a prepared set → train, validation and test.

Near-duplicate groups stay whole, across classes too. Each group's place follows from a hash of
the seed and the smallest name in it, so that adding an image moves few others and the order of
the rows does not matter.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from headtohead.core.errors import DataError, UsageError
from headtohead.core.streams import stream_seed
from headtohead.core.text import counted, names, printable
from headtohead.data.duplicates import regrouped
from headtohead.data.prepared import GIVEN_SPLITS, PreparedSet

Rows = NDArray[np.int64]


class Files(Protocol):
    """What a split is made of: a prepared set, or a list of files that nobody has read."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the N files."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) index into the classes."""

    @property
    def groups(self) -> NDArray[np.int64]:
        """(N,) equal for files that must stay together."""

    @property
    def given(self) -> tuple[str | None, ...]:
        """The split that the user gave each file, or None."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the prepared set, ascending unless said otherwise; together every row once."""

    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True, slots=True)
class _Unit:
    """Rows that stay together, and how many of them each class has.

    `tied`: the user gave an image of the same group to another split.
    """

    tied: bool
    key: int
    rows: tuple[int, ...]
    per_class: tuple[tuple[int, int], ...]  # (class, count), ascending


def split(prepared: Files, *, fractions: tuple[float, float, float], seed: int) -> Split:
    """Split `prepared` by `fractions` (train, validation, test; each above 0, together 1).

    Stratified: each class is divided by the fractions, exact to an image or two where its
    groups allow, with at least one image in every split.

    Splits that the user gave are taken as they are. Where validation or test was not given, it
    is carved out of the given train split, at its fraction of that train split. Images without
    a given split beside others that have one count as train. What looks like an image of the
    given validation or test split stays in train where enough other images are there to carve:
    it would tie the carved split to the given one.

    Raises `DataError` where a class is too small to be in every split, naming it, its count and
    the least it needs, or has no image in a split that was given; `UsageError` for fractions that
    are none.
    """
    _check(fractions)
    given = np.array([GIVEN_SPLITS.index(name or "train") for name in prepared.given], np.int64)
    present = {int(part) for part in given}
    # Test is carved first: it judges, and must not depend on how validation is chosen.
    wanted = {part: fractions[part] for part in (2, 1) if part not in present}
    pool = np.flatnonzero(given == 0)
    places = given.copy()
    tied = np.isin(prepared.groups, prepared.groups[given > 0])
    for part, rows in _carve(prepared, pool, wanted, seed, tied).items():
        places[rows] = part
    _check_classes(prepared, places, present if any(prepared.given) else set())
    train, validation, test = (np.flatnonzero(places == part).astype(np.int64) for part in range(3))
    return Split(train, validation, test)


def in_stored_order(split: Split, prepared: PreparedSet) -> Split:
    """`split` with its rows as a data set of shuffled files would store them: by hash of name."""
    return Split(*map(prepared.by_hash, (split.train, split.validation, split.test)))


def leaks(prepared: PreparedSet, split: Split) -> list[tuple[int, ...]]:
    """Near-duplicate groups that lie in more than one split, as ascending rows of each.

    Possible only where the user gave the splits: `split` itself keeps groups whole.
    """
    places = np.full(len(prepared.names), -1, np.int64)
    for part, rows in enumerate((split.train, split.validation, split.test)):
        places[rows] = part
    return [
        tuple(int(row) for row in rows)
        for rows in groups_of(prepared.groups)
        if len(set(places[rows].tolist()) - {-1}) > 1
    ]


def mislabelled(prepared: PreparedSet, duplicates: str) -> list[tuple[int, ...]]:
    """Groups of (near-)identical images with more than one label, as ascending rows of each.

    `duplicates` is what the study keeps together, which `prepared` is grouped by; where that is
    nothing (`off`), the groups are those of equal pixels.
    """
    groups = prepared.groups
    if duplicates == "off":
        groups = regrouped(prepared.images, np.zeros_like(groups), "exact")
    return [
        tuple(int(row) for row in rows)
        for rows in groups_of(groups)
        if len(set(prepared.labels[rows].tolist())) > 1
    ]


def groups_of(groups: NDArray[np.int64]) -> Iterator[Rows]:
    """The rows of each group of two or more images, in the order of their first rows."""
    _, member, size = np.unique(groups, return_inverse=True, return_counts=True)
    shared = np.flatnonzero(size[member] > 1)
    order = shared[np.argsort(member[shared], kind="stable")]
    found = np.split(order, np.flatnonzero(np.diff(member[order])) + 1) if len(order) else []
    yield from sorted(found, key=lambda rows: int(rows[0]))


def _check(fractions: tuple[float, float, float]) -> None:
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UsageError(
            f"split fractions {fractions}: give train, validation and test, "
            "each above 0 and together 1, such as 0.8, 0.1, 0.1."
        )


def _carve(
    prepared: Files, pool: Rows, wanted: dict[int, float], seed: int, tied: NDArray[np.bool_]
) -> dict[int, list[int]]:
    """Take each of the `wanted` splits, part → fraction, out of the rows of `pool`."""
    left = _units(prepared, pool, seed, tied)
    sizes = Counter(prepared.labels[pool].tolist())
    taken: dict[int, list[int]] = {}
    for later, (part, _) in zip(range(len(wanted), 0, -1), wanted.items(), strict=True):
        targets = {label: _target(size, wanted, part) for label, size in sizes.items()}
        chosen, left = _take(left, targets, later)
        taken[part] = [row for unit in chosen for row in unit.rows]
    return taken


def _units(prepared: Files, pool: Rows, seed: int, tied: NDArray[np.bool_]) -> list[_Unit]:
    """The groups among the rows of `pool`, in the order of their hashes, the tied ones last."""
    order = pool[np.argsort(prepared.groups[pool], kind="stable")]
    ends = (np.flatnonzero(np.diff(prepared.groups[order])) + 1).tolist()
    rows, labels = order.tolist(), prepared.labels[order].tolist()
    alone = {label: ((label, 1),) for label in set(labels)}  # shared: nearly all units are alone
    units = []
    for start, stop in pairwise([0, *ends, len(rows)] if rows else []):
        name = min(prepared.names[row] for row in rows[start:stop])
        counts = (
            alone[labels[start]]
            if stop - start == 1
            else tuple(sorted(Counter(labels[start:stop]).items()))
        )
        key = stream_seed(seed, "split", name)
        units.append(_Unit(bool(tied[rows[start]]), key, tuple(rows[start:stop]), counts))
    return sorted(units, key=lambda unit: (unit.tied, unit.key, unit.rows))


def _target(size: int, wanted: dict[int, float], part: int) -> int:
    """How many of a class's `size` images `part` should get.

    At least one; and where rounding up would leave nothing to train on, less than its share.
    """
    targets = {one: max(1, round(size * fraction)) for one, fraction in wanted.items()}
    while sum(targets.values()) >= size and max(targets.values()) > 1:
        targets[max(targets, key=lambda one: targets[one])] -= 1
    return targets[part]


def _take(
    units: Sequence[_Unit], targets: dict[int, int], later: int
) -> tuple[list[_Unit], list[_Unit]]:
    """`units` → (those that fill the `targets` per class, the rest); order is kept.

    First whatever fits and is not tied, in order; then, for a class that is not filled yet, the
    smallest of the other groups where that comes closer. `later`: how many splits must still find
    a group with each class among the rest.
    """
    missing = Counter(targets)
    holding: dict[int, list[int]] = defaultdict(list)  # class → indices of units with it
    for index, unit in enumerate(units):
        for label, _ in unit.per_class:
            holding[label].append(index)
    left = Counter({label: len(indices) for label, indices in holding.items()})
    chosen: set[int] = set()

    def take(index: int) -> None:
        counts = dict(units[index].per_class)
        if all(left[label] > later for label in counts):
            chosen.add(index)
            missing.subtract(counts)
            left.subtract(counts.keys())

    for index, unit in enumerate(units):
        if not unit.tied and all(count <= missing[label] for label, count in unit.per_class):
            take(index)
    for label in sorted(targets):
        for index in _by_size(units, holding[label], chosen) if missing[label] > 0 else ():
            closer = dict(units[index].per_class)[label] < 2 * missing[label]
            empty = missing[label] == targets[label]
            if closer or empty:
                take(index)
    taken = [unit for index, unit in enumerate(units) if index in chosen]
    rest = [unit for index, unit in enumerate(units) if index not in chosen]
    return taken, rest


def _by_size(units: Sequence[_Unit], holding: Sequence[int], chosen: set[int]) -> list[int]:
    """Those of `holding` that are not chosen: untied first, then pure ones, then the smallest."""

    def order(index: int) -> tuple[bool, int, int]:
        unit = units[index]
        return unit.tied, len(unit.per_class), len(unit.rows)

    return sorted((index for index in holding if index not in chosen), key=order)


def _check_classes(prepared: Files, places: NDArray[np.int64], given: set[int]) -> None:
    """Raise `DataError` for the first class that a split has no image of.

    `given`: the numbers of the splits that the user gave; none where he gave none.
    """
    classes, parts = len(prepared.classes), len(GIVEN_SPLITS)
    found = np.bincount(prepared.labels * parts + places, minlength=classes * parts)
    for number, counts in enumerate(found.reshape(classes, parts)):
        empty = [part for part in range(parts) if not counts[part]]
        unfilled = [GIVEN_SPLITS[part] for part in empty if part in given]
        if unfilled and "train" not in unfilled:
            raise DataError(
                f"class {printable(prepared.classes[number])!r} has no usable image in the "
                f"{names(unfilled)} split that you gave: add some, or remove the class from all "
                "splits."
            )
        if empty:
            raise _too_small(prepared, number, empty, given)


def _too_small(prepared: Files, number: int, empty: list[int], given: set[int]) -> DataError:
    """Class `number` has too few images for all splits that are to be made of them."""
    inside = prepared.labels == number
    if given:
        inside &= np.array([name in (None, "train") for name in prepared.given])
    count, separate = int(inside.sum()), len(np.unique(prepared.groups[inside]))
    parts = [name for part, name in enumerate(GIVEN_SPLITS) if part == 0 or part not in given]
    where = " in the train split that you gave" if given else ""
    alike, loosen = "", ""
    if separate < count:
        apart = f"{separate} that are not near-duplicates of one another"
        alike = f" ({'all near-duplicates of one another' if separate == 1 else apart})"
        loosen = (
            " Or, where they are not duplicates (scenes of one fixed camera look alike), "
            "loosen the grouping in the study file: `split: {duplicates: exact}`, or `off`."
        )
    return DataError(
        f"class {printable(prepared.classes[number])!r} is too small: it has "
        f"{counted(count, 'image')}{where}{alike}, and none is left for "
        f"{names([GIVEN_SPLITS[part] for part in empty])}. Every class needs at least "
        f"{len(parts)} distinct images{where}, one for each of {names(parts)}: add some, or "
        f"remove it.{loosen}"
    )
