"""Identical and near-identical images: the same photograph saved or resized anew.

They must not lie in two splits: a network would be tested on what it was trained on.
Four steps, each on the few pairs that the one before leaves:

1. Images of equal pixels are one, however flat they are: SHA-256 tells them among those of
   equal CRC-32.
2. Grey means on 8 × 8 cells, mean removed and scaled to length one: pairs of correlation above
   0.98, by exact products of all rows that are not too far apart for it on three axes.
3. Grey means on 16 × 16 cells: correlation above 0.99.
4. Colour on 48 × 48 cells: grey correlation, correlation of the brightness *steps* between
   neighbouring cells (coarse and fine), which ignores the smooth ground that drawings share, and
   mean absolute difference of colour.

Measured on 24,994 photographs of cats and dogs with 30 known pairs, at 50, 100 and 200 pixels,
antialiased and not: in step 2 every known pair is above 0.99 and (at 100 pixels) no other pair
above 0.96. All 30 are found, 29 at 50 pixels without antialias, and nothing else.

Pairs become groups strongest first, and two groups join only where their first images are
alike too: a chain of small changes does not become one group.

Cost for N images: time N × pixels and, for step 2, a share of N² / 2 × 64 multiply-adds: 7 % of
them for 25,000 photographs, all of them where every image has much the same 8 × 8 cells. Memory
about 0.7 kB per image and a constant. docs/large_data.md has both measured.
"""

import hashlib
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from headtohead.data.long_tasks import Progress

ALGORITHM = 1
"""Raised when a change here can change a group: prepared sets are keyed by it."""

Pairs = NDArray[np.int64]  # (P, 2) row numbers, first < second

_COARSE, _MIDDLE, _FINE = 8, 16, 48
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601 luma
_COARSE_ALIKE = 0.98
_MIDDLE_ALIKE = 0.99
_FINE_ALIKE = 0.98
_STEPS_ALIKE = 0.93  # on 24 × 24 cells
_FINE_STEPS_ALIKE = 0.85  # on 48 × 48 cells: saving a JPEG anew changes these
_COLOUR_APART = 14.0  # mean absolute difference, of 255
_LEAST_CONTRAST = 3.0  # standard deviation of the 8 × 8 means below which only equality counts
_NEIGHBOURS = 10  # strongest pairs kept per image: bounds memory where all look alike
_ROWS, _COLUMNS = 512, 4096
_HELD = 1_000_000  # pairs in memory before the strongest of each row are chosen
_ROUNDING = 1e-3  # of a distance: far more than float32 can be wrong by
_BATCH_BYTES = 8 * 2**20


def near_duplicates(images: NDArray[np.uint8], progress: Progress) -> NDArray[np.int64]:
    """(N,) group numbers of `images` (N, H, W, 3): equal for (near-)identical images.

    Numbered 0, 1, … in the order of each group's first image.
    """
    first, middle, coarse = _describe(images, progress)
    pairs = _confirm_middle(middle, middle, _screen(coarse, progress))
    strength = _confirm_fine(images, images, pairs)
    pairs, strength = pairs[strength > 0], strength[strength > 0]
    strongest_first = np.lexsort((pairs[:, 1], pairs[:, 0], -strength))
    leader = _join(pairs[strongest_first], coarse)
    return np.unique(leader[first], return_inverse=True)[1].astype(np.int64)


def matches(
    images: NDArray[np.uint8], known: NDArray[np.uint8], progress: Progress
) -> NDArray[np.int64]:
    """(N,) the row of `known` (M, H, W, 3) that each of `images` (N, H, W, 3) shows, or -1.

    Identical or near-identical as above; the most alike of several, the first of equal ones.
    """
    first, middle, coarse = _describe(images, progress)
    first_known, middle_known, coarse_known = _describe(known, progress)
    pairs = _confirm_middle(middle, middle_known, _across(coarse, coarse_known))
    strength = _confirm_fine(images, known, pairs)
    weakest_first = np.lexsort((-pairs[:, 1], strength))
    found = np.full(len(images), -1, np.int64)
    for one, other in pairs[weakest_first[strength[weakest_first] > 0]]:
        found[one] = other
    flat = {_pixels(known, row): row for row in _flat(coarse_known, first_known)[::-1]}
    for row in _flat(coarse, first):
        found[row] = flat.get(_pixels(images, row), -1)
    return found[first]


def _flat(coarse: NDArray[np.float32], first: NDArray[np.int64]) -> list[int]:
    """Rows without contrast, of which only equality says anything."""
    alone = first == np.arange(len(first))
    rows: list[int] = np.flatnonzero(alone & ~coarse.any(axis=1)).tolist()
    return rows


def _pixels(images: NDArray[np.uint8], row: int) -> bytes:
    return hashlib.sha256(images[row].tobytes()).digest()


def _across(vectors: NDArray[np.float32], known: NDArray[np.float32]) -> Pairs:
    """Pairs (row of `vectors`, row of `known`) that correlate, the strongest of each first row."""
    found = [np.empty((0, 2), np.int64)]
    for top in range(0, len(vectors), _ROWS):
        product = vectors[top : top + _ROWS] @ known.T
        row, column = np.nonzero(product > _COARSE_ALIKE)
        pairs = np.stack([row + top, column], axis=1)
        found.append(_strongest(pairs, product[row, column])[0])
    return np.concatenate(found)


def regrouped(images: NDArray[np.uint8], groups: NDArray[np.int64], mode: str) -> NDArray[np.int64]:
    """(N,) `groups` of near-duplicates of `images`, made finer as `mode` says.

    `near` leaves them, `exact` keeps together only images of equal pixels, `off` nothing. Only
    the images of groups are read.
    """
    if mode == "near":
        return groups
    leader = np.arange(len(groups), dtype=np.int64)
    if mode == "exact":
        leader = _first_equal(images, groups)
    return np.unique(leader, return_inverse=True)[1].astype(np.int64)


def _describe(
    images: NDArray[np.uint8], progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.float32]]:
    """Per image: the first row of equal pixels, 16 × 16 grey means, unit 8 × 8 vector."""
    count = len(images)
    checks = np.empty(count, np.uint32)
    middle = np.empty((count, _MIDDLE**2), np.uint8)
    coarse = np.empty((count, _COARSE**2), np.float32)
    batch = _batch(images, 1)
    for start in range(0, count, batch):
        block = np.ascontiguousarray(images[start : start + batch])
        stop = start + len(block)
        checks[start:stop] = [zlib.crc32(picture) for picture in block]
        means = _grey_means(block, _MIDDLE)
        middle[start:stop] = np.rint(means).reshape(len(block), -1)
        cells = means.reshape(-1, _COARSE, 2, _COARSE, 2).mean((2, 4)).reshape(len(block), -1)
        coarse[start:stop] = _unit(cells, _LEAST_CONTRAST)
        progress("looking for duplicates", stop // 2, count)
    first = _first_equal(images, checks)
    coarse[first != np.arange(count)] = 0  # found already: its first image stands for it
    return first, middle, coarse


def _first_equal(
    images: NDArray[np.uint8], alike: NDArray[np.uint32] | NDArray[np.int64]
) -> NDArray[np.int64]:
    """(N,) the first row of the same pixels; only rows of equal `alike` (N,) are compared."""
    first = np.arange(len(alike), dtype=np.int64)
    _, member, size = np.unique(alike, return_inverse=True, return_counts=True)
    seen: dict[bytes, int] = {}
    for row in np.flatnonzero(size[member] > 1).tolist():
        first[row] = seen.setdefault(_pixels(images, row), row)
    return first


def _screen(vectors: NDArray[np.float32], progress: Progress) -> Pairs:
    """Pairs of rows of unit `vectors` (N, D) that correlate, the strongest of each first row."""
    count, done, held, most = len(vectors), 0, 0, _HELD
    found = [(np.empty((0, 2), np.int64), np.empty(0, np.float32))]
    for rows, others in _blocks(vectors):
        block = vectors[rows]
        for left in range(0, len(others), _COLUMNS):
            columns = others[left : left + _COLUMNS]
            product = block @ vectors[columns].T
            if product.max() <= _COARSE_ALIKE:  # nearly always, and sooner known than where
                continue
            row, column = np.nonzero(product > _COARSE_ALIKE)
            later = left + column > row  # `others` begin with `rows` themselves
            row, column = row[later], column[later]
            new = np.sort(np.stack([rows[row], columns[column]], axis=1), axis=1)
            found.append((new, product[row, column]))
            held += len(new)
        if held > most:
            found = [_strongest(*map(np.concatenate, zip(*found, strict=True)))]
            held = len(found[0][0])
            most = _HELD + 2 * held
        done += len(rows)
        progress("looking for duplicates", (count + done) // 2, count)
    progress("looking for duplicates", count, count)
    return _strongest(*map(np.concatenate, zip(*found, strict=True)))[0]


def _blocks(vectors: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows of unit `vectors` and those that they may correlate with: each pair of rows once.

    A block's `others` begin with its `rows`, in their order. Two unit vectors of correlation c lie
    √(2 − 2c) apart, and no farther along any axis: in cells of that width along the three axes of
    the largest spread, they are in one cell or in two that touch. Rows of zeros are left out.
    """
    rows = np.flatnonzero(vectors.any(1))
    if not len(rows):
        return
    _, axes = np.linalg.eigh(vectors.T @ vectors)
    reach = np.sqrt(2 - 2 * _COARSE_ALIKE) * (1 + _ROUNDING)
    cells = np.floor(vectors[rows] @ axes[:, -3:] / reach).astype(np.int64)
    cells -= cells.min(0) - 1  # an empty cell at each edge, so that no neighbour lies beyond
    _, lines, length = (cells.max(0) + 2).tolist()
    keys = cells @ np.array([lines * length, length, 1])
    order = np.argsort(keys, kind="stable")
    rows, keys = rows[order], keys[order]
    inside = np.unique(keys)
    ahead = inside + length * np.array([[1], [lines - 1], [lines], [lines + 1]])
    bounds = np.concatenate(
        [
            [np.searchsorted(keys, inside), np.searchsorted(keys, inside + 1, "right")],
            np.searchsorted(keys, ahead - 1),
            np.searchsorted(keys, ahead + 1, "right"),
        ]
    )
    stops = np.searchsorted(keys, inside, "right")
    for stop, (start, end, *edges) in zip(stops.tolist(), bounds.T.tolist(), strict=True):
        others = [rows[low:high] for low, high in zip(edges[:4], edges[4:], strict=True)]
        for first in range(start, stop, _ROWS):
            yield rows[first : min(first + _ROWS, stop)], np.concatenate([rows[first:end], *others])


def _strongest(pairs: Pairs, strength: NDArray[np.float32]) -> tuple[Pairs, NDArray[np.float32]]:
    """At most `_NEIGHBOURS` pairs of each first row: the strongest."""
    order = np.lexsort((pairs[:, 1], -strength, pairs[:, 0]))
    pairs, strength = pairs[order], strength[order]
    _, start, size = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    rank = np.arange(len(pairs)) - np.repeat(start, size)
    return pairs[rank < _NEIGHBOURS], strength[rank < _NEIGHBOURS]


def _confirm_middle(middle: NDArray[np.uint8], others: NDArray[np.uint8], pairs: Pairs) -> Pairs:
    """Those of `pairs`, of a row of each, that correlate on 16 × 16 cells."""
    kept = [np.empty((0, 2), np.int64)]
    for start in range(0, len(pairs), _COLUMNS):
        some = pairs[start : start + _COLUMNS]
        rows = middle[some[:, 0]], others[some[:, 1]]
        one, other = (_unit(means.astype(np.float32)) for means in rows)
        kept.append(some[(one * other).sum(1) > _MIDDLE_ALIKE])
    return np.concatenate(kept)


def _confirm_fine(
    images: NDArray[np.uint8], others: NDArray[np.uint8], pairs: Pairs
) -> NDArray[np.float32]:
    """(P,) correlation of each pair on fine cells, 0 where anything speaks against it."""
    strength = np.zeros(len(pairs), np.float32)
    batch = _batch(images, 2)
    side = min(_FINE, images.shape[1])
    for start in range(0, len(pairs), batch):
        some = pairs[start : start + batch]
        one, other = (
            _colour_means(pictures[rows], side)
            for pictures, rows in ((images, some[:, 0]), (others, some[:, 1]))
        )
        grey = _correlation(one @ _GREY, other @ _GREY)
        half_one, half_other = (_shrink_grey(x @ _GREY, max(2, side // 2)) for x in (one, other))
        alike = (
            (grey > _FINE_ALIKE)
            & (_correlation(_steps(half_one), _steps(half_other)) > _STEPS_ALIKE)
            & (_correlation(_steps(one @ _GREY), _steps(other @ _GREY)) > _FINE_STEPS_ALIKE)
            & (np.abs(one - other).mean((1, 2, 3)) < _COLOUR_APART)
        )
        strength[start : start + batch] = np.where(alike, grey, 0)
    return strength


def _join(pairs: Pairs, coarse: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) the leader of each row's group, from `pairs` in the order of their strength."""
    leader = np.arange(len(coarse), dtype=np.int64)
    members: dict[int, list[int]] = {}
    for one, other in pairs:
        a, b = sorted((int(leader[one]), int(leader[other])))
        if a == b or float(coarse[a] @ coarse[b]) <= _COARSE_ALIKE:
            continue
        joined = members.pop(b, [b])
        members.setdefault(a, [a]).extend(joined)
        leader[joined] = a
    return leader


def _grey_means(pictures: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """(B, H, W, 3) → (B, side, side) mean grey of equal cells."""
    count, height, width, _ = pictures.shape
    lines = pictures.reshape(count, height, width * 3)
    down = np.empty((count, side, width * 3), np.float32)
    # Not as one product: most weights are zero, and BLAS's threads wait for the next one busily.
    for cell, weights in enumerate(_cells(height, side)):
        within = np.flatnonzero(weights)
        rows = slice(within[0], within[-1] + 1)
        np.einsum("r,nrc->nc", weights[rows], lines[:, rows], out=down[:, cell])
    across = np.kron(_cells(width, side).T, _GREY[:, None])  # colour and columns in one
    return np.asarray(down @ across, np.float32)


def _colour_means(pictures: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """(B, H, W, 3) → (B, side, side, 3) mean colour of equal cells."""
    planes = pictures.transpose(0, 3, 1, 2).astype(np.float32)
    means = _cells(planes.shape[2], side) @ planes @ _cells(planes.shape[3], side).T
    return np.asarray(means.transpose(0, 2, 3, 1), np.float32)


def _shrink_grey(grey: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    cells = _cells(grey.shape[1], side)
    return np.asarray(cells @ grey @ cells.T, np.float32)


def _cells(length: int, count: int) -> NDArray[np.float32]:
    """(count, length) weights that average `length` pixels into `count` equal cells."""
    edges = np.linspace(0, length, count + 1)
    pixel = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.asarray(np.clip(overlap, 0, None) * count / length, np.float32)


def _steps(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, S, S) → (B, 2·S·(S−1)) differences of neighbouring cells, down and across."""
    down, across = np.diff(grey, axis=1), np.diff(grey, axis=2)
    return np.concatenate([x.reshape(len(grey), -1) for x in (down, across)], axis=1)


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, …), (B, …) → (B,) Pearson's correlation, 0 where one side is constant."""
    count = len(one)
    product = _unit(one.reshape(count, -1)) * _unit(other.reshape(count, -1))
    return np.asarray(product.sum(1), np.float32)


def _unit(rows: NDArray[np.float32], least: float = 1e-3) -> NDArray[np.float32]:
    """Rows without their mean, of length one; zeros where the standard deviation is < `least`."""
    centred = rows - rows.mean(1, keepdims=True)
    deviation = centred.std(1, keepdims=True)
    scale = np.where(deviation < least, 0, 1 / np.maximum(deviation, least))
    return np.asarray(centred * scale / np.sqrt(rows.shape[1]), np.float32)


def _batch(images: NDArray[np.uint8], copies: int) -> int:
    """How many images fit into the working memory, as float32 in so many copies."""
    picture = int(np.prod(images.shape[1:])) * np.dtype(np.float32).itemsize
    return max(1, _BATCH_BYTES // (picture * copies))
