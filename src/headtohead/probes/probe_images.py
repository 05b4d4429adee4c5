"""The images that probes look at, made once per split: chosen, cut wide, and their masks.

<out>/evidence/pictures/split-<n>.npz   the test images: the same for every head and seed
<out>/evidence/masks/split-<n>.npz      where the object is on them, where that is known

Imports no torch: it is done before any worker starts.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from itertools import chain, zip_longest
from math import log
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headtohead.core.errors import DataError, UsageError
from headtohead.core.text import printable
from headtohead.data.decode import Undecodable, decode_file
from headtohead.data.long_tasks import Progress
from headtohead.data.prepared import PreparedSet
from headtohead.data.resize import resize
from headtohead.data.sources import Source
from headtohead.data.split import split
from headtohead.store.evidence import read_evidence, split_path, write_evidence
from headtohead.store.ledger import Ledger

PICTURES, MASKS = "pictures", "masks"
UNKNOWN = 255
"""In a mask: a pixel that is neither object nor background (a border, or no mask at all)."""

MOST = 96
"""Test images that probes look at, at most: some seconds of a run's time on one core."""

FEWEST, MOST_BYTES = 16, 64_000_000
"""Of large images there are fewer, so that their wide ones fill at most so many bytes."""

MARGIN = 0.12
"""What wide images have beyond the window on each side, as a share of the window's."""

DRAWN_MASKS = "masks"
"""The folder of masks beside that of the drawn images."""

_TRIMAP = frozenset({1, 2, 3})
_SQUARE = 0.05  # logarithm of height / width: what is less may be rounding


@dataclass(frozen=True)
class ProbeImages:
    """n images of a split's test part, in an order of their own: classes in turn, by hash.

    The first dozen is thus a fair and fixed choice for a figure. `rows` of the prepared set and
    `labels` are (n,) int64; `pixels` (n, side, side, 3) uint8 as the models saw them; `wide`
    (n, W, W, 3) uint8 made from the same files, W = side + 2 · margin, for windows that move.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    wide: NDArray[np.uint8]

    @cached_property
    def digest(self) -> str:
        """Of all that is in them: what was computed of others has another."""
        digest = sha256(repr((self.pixels.shape, self.wide.shape)).encode())
        for array in (self.rows, self.labels, self.pixels, self.wide):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def first(self, count: int) -> "ProbeImages":
        """The first so many."""
        return ProbeImages(
            self.rows[:count], self.labels[:count], self.pixels[:count], self.wide[:count]
        )


@dataclass(frozen=True)
class Masks:
    """Where the object is on probe images: `rows` (n,) int64, `masks` (n, side, side) uint8.

    1 object, 0 background, 255 unknown; an image without a mask is unknown all over.
    """

    rows: NDArray[np.int64]
    masks: NDArray[np.uint8]


def keep_images(
    ledger: Ledger,
    seeds: Set[int],
    *,
    source: Source,
    prepared: PreparedSet,
    margin: int,
    masks: Path | None,
    progress: Progress,
) -> None:
    """Put the probe images of the splits of `seeds` into the ledger, and their masks.

    What is there stays; masks are taken anew where `masks` names a folder. Drawn images bring
    theirs. Raises DataError, UsageError and StorageError.
    """
    study, digest = ledger.file.study, ledger.file.digest
    drawn = study.data == "synthetic"
    for seed in sorted({study.split.seed_for(seed) for seed in seeds}):
        place = images_path(ledger.out, seed)
        found = read_images(place, digest)
        if found is None:
            test = split(prepared, fractions=study.split.shares, seed=seed).test
            rows = probe_rows(prepared, test, most_of(prepared.image_size + 2 * margin))
            found = collect_images(source, prepared, rows, margin=margin, progress=progress)
            write_images(place, digest, found)
        folder = masks or (source.root.parent / DRAWN_MASKS if drawn else None)
        place = masks_path(ledger.out, seed)
        if folder is not None and (masks or read_masks(place, digest) is None):
            write_masks(place, digest, collect_masks(folder, prepared, found.rows))


def images_path(out: Path, split: int) -> Path:
    """Where the probe images of the split of seed `split` are kept."""
    return split_path(out, PICTURES, split)


def masks_path(out: Path, split: int) -> Path:
    """Where the masks of those images are kept."""
    return split_path(out, MASKS, split)


def write_images(path: Path, key: str, pictures: ProbeImages) -> None:
    """Write the probe images of the study with the digest `key`. Raises StorageError."""
    arrays = {field.name: getattr(pictures, field.name) for field in fields(pictures)}
    write_evidence(path, PICTURES, key, arrays)


def read_images(path: Path, key: str) -> ProbeImages | None:
    """The probe images, or None where there are none that are whole and this study's."""
    arrays = read_evidence(path, PICTURES, key)
    return None if arrays is None else ProbeImages(**arrays)


def write_masks(path: Path, key: str, masks: Masks) -> None:
    """Write masks for the study with the digest `key`. Raises StorageError."""
    write_evidence(path, MASKS, key, vars(masks))


def read_masks(path: Path, key: str) -> Masks | None:
    """The masks, or None where there are none that are whole and this study's."""
    arrays = read_evidence(path, MASKS, key)
    return None if arrays is None else Masks(**arrays)


def margin_of(image_size: int, stride: int) -> int:
    """Pixels beyond the window on each side of a wide image: at least the backbone's stride."""
    return max(stride, round(MARGIN * image_size))


def most_of(wide_side: int) -> int:
    """How many images probes look at, at most, where wide ones have `wide_side` pixels a side."""
    return min(MOST, max(FEWEST, MOST_BYTES // (3 * wide_side**2)))


def probe_rows(prepared: PreparedSet, test: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` rows of the test split, classes in turn, each class by hash of its names.

    So every head and seed is looked at on the same images, and any first few are a fair choice.
    """
    classes = (test[prepared.labels[test] == label] for label in range(len(prepared.classes)))
    queues = [prepared.by_hash(rows).tolist() for rows in classes]
    turns = chain.from_iterable(zip_longest(*queues))
    return np.array([row for row in turns if row is not None][:most], np.int64)


def collect_images(
    source: Source,
    prepared: PreparedSet,
    rows: NDArray[np.int64],
    *,
    margin: int,
    progress: Progress,
) -> ProbeImages:
    """The images of `rows` as the models saw them, and wide ones made from the original files.

    A wide image is the whole original at image_size + 2 · margin pixels a side: a window of
    image_size pixels moves over it without ever meeting an edge. Raises DataError where an
    original cannot be read any more.
    """
    paths = {file.name: file.path for file in source.files}
    side = prepared.image_size + 2 * margin
    wide = np.empty((len(rows), side, side, 3), np.uint8)
    for index, row in enumerate(rows.tolist()):
        name = prepared.names[row]
        try:
            picture = decode_file(paths[name])
        except (Undecodable, KeyError) as error:
            raise DataError(
                f"{printable(name)} cannot be read any more ({error}), and the probes need the "
                f"originals. Put it back, or run the study on what is there."
            ) from error
        wide[index] = resize(picture, (side, side), prepared.resize)
        progress("cutting probe images", index + 1, len(rows))
    pixels = np.asarray(prepared.images[rows], np.uint8)
    return ProbeImages(rows, prepared.labels[rows], pixels, wide)


def check_masks_folder(folder: Path, names: Iterable[str] | None = None) -> None:
    """Raises UsageError where there is no such folder, or no mask of any image of `names` in it."""
    if not folder.is_dir():
        raise UsageError(f"--masks {folder} is not a folder: name the one that holds the masks.")
    if names is not None and not any(mask_file(folder, name) for name in names):
        raise UsageError(
            f"--masks {folder} has no mask of any image: name them like the images, e.g. "
            f"cat/1.png for cat/1.jpg."
        )


def collect_masks(folder: Path, prepared: PreparedSet, rows: NDArray[np.int64]) -> Masks:
    """The masks in `folder` of the images of `rows`, at the size of the prepared images.

    The mask of `dog/rex.jpg` is `dog/rex.png`, else `rex.png`. A trimap (values 1, 2 and 3 alone)
    means object, background and border, as in Oxford-IIIT Pet (Parkhi et al. 2012); a cut-out is
    object where it is not transparent, anything else where it is not 0. A pixel is object or
    background where more than half of the original pixels in it are, and unknown else. Raises
    UsageError where `folder` is none or has no mask of any of the images, DataError for a mask that
    cannot be read, that lies on its side, or that may be of either of two images.
    """
    check_masks_folder(folder)
    side = prepared.image_size
    masks = np.full((len(rows), side, side), UNKNOWN, np.uint8)
    stems: dict[str, list[str]] = {}
    for name in prepared.names:
        stems.setdefault(PurePosixPath(name).stem, []).append(name)
    found = 0
    for index, row in enumerate(rows.tolist()):
        name = prepared.names[row]
        path = mask_file(folder, name)
        if path is not None:
            _refuse_shared(folder, path, stems[PurePosixPath(name).stem])
            height, width = prepared.original_sizes[row].tolist()
            masks[index] = read_mask(path, side, (height, width))
            found += 1
    if not found:
        example = Path(prepared.names[int(rows[0])]).with_suffix(".png") if len(rows) else ""
        raise UsageError(
            f"--masks {folder} has no mask of the {len(rows)} images that probes look at: "
            f"name them like the images, e.g. {printable(str(example))}."
        )
    return Masks(rows, masks)


def mask_file(folder: Path, name: str) -> Path | None:
    """The mask in `folder` of the image called `name`, a path relative to its source."""
    parts: Sequence[str] = Path(name).with_suffix(".png").parts
    candidates = (folder.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((path for path in candidates if path.is_file()), None)


def _refuse_shared(folder: Path, path: Path, names: Sequence[str]) -> None:
    """Raise DataError where the mask `path` would be taken for more than one of the `names`."""
    shared = [name for name in names if mask_file(folder, name) == path]
    if len(shared) > 1:
        wanted = folder / PurePosixPath(shared[0]).with_suffix(".png")
        other = "" if path == wanted else f", as {printable(str(wanted))}"
        raise DataError(
            f"the mask {printable(str(path))} may be of {printable(shared[0])} or of "
            f"{printable(shared[1])}. Put masks into folders like the images'{other}, or rename "
            f"one image."
        )


def read_mask(path: Path, side: int, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """(side, side) of 1 object, 0 background, UNKNOWN; read as `collect_masks` says.

    `size` is its image's height and width, upright. Raises DataError where it cannot be read, or
    lies on its side.
    """
    try:
        with Image.open(path) as image:
            values = _mask_values(image)
    except Exception as error:  # Pillow's plugins raise nearly every built-in exception
        raise DataError(
            f"the mask {printable(str(path))} cannot be read ({error}): repair or remove it."
        ) from error
    if size is not None and _on_its_side(values.shape, size):
        (tall, wide), (height, width) = values.shape, size
        raise DataError(
            f"the mask {printable(str(path))} has {wide} × {tall} pixels, and its image, upright, "
            f"{width} × {height}: turn the mask as Exif turns the image."
        )
    if set(np.unique(values).tolist()) <= _TRIMAP:
        inside, outside = values == 1, values == 2
    else:
        inside, outside = values != 0, values == 0
    mask = np.full((side, side), UNKNOWN, np.uint8)
    mask[_share(outside, side) > 0.5] = 0
    mask[_share(inside, side) > 0.5] = 1
    return mask


def _mask_values(image: Image.Image) -> NDArray[np.generic]:
    """(height, width) numbers of a mask: of a cut-out, with transparent parts, its opacity."""
    if image.mode in ("RGBA", "LA"):
        opacity = np.asarray(image.getchannel("A"))
        if opacity.min() < 255:
            return opacity
    # A palette's numbers are the mask, not its colours.
    return np.asarray(image if image.mode in ("L", "P", "1") else image.convert("L"))


def _on_its_side(mask: tuple[int, ...], image: tuple[int, int]) -> bool:
    """Whether the shape of `mask` is that of `image` with height and width exchanged."""
    one, other = (log(shape[0] / shape[1]) for shape in (mask, image))
    return abs(other) > _SQUARE and abs(one + other) < _SQUARE / 2


def _share(pixels: NDArray[np.bool_], side: int) -> NDArray[np.float32]:
    """The share of each of side × side pixels that is set: the mean over what falls into it."""
    image = Image.fromarray(pixels.astype(np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float32)
