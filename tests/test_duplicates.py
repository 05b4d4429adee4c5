"""Finding identical and near-identical images."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

from headtohead.data import duplicates
from headtohead.data.decode import decode_file
from headtohead.data.duplicates import matches, near_duplicates
from headtohead.data.resize import resize

DATA = Path(__file__).parents[2] / "shared/data"
Pictures = NDArray[np.uint8]


def groups_of(pictures: Pictures) -> NDArray[np.int64]:
    return near_duplicates(pictures, lambda *_: None)


def sizes_of(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each image, how many are in its group."""
    _, member, size = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(size[member])


def textures(count: int, side: int = 64, seed: int = 0) -> Pictures:
    """Different images with structure of every size, as photographs have."""
    random = np.random.default_rng(seed)
    shape = (count, side, side, 3)
    sum_ = sum(
        gaussian_filter(random.normal(0, sigma, shape), (0, sigma, sigma, 0)) * 60
        for sigma in (2, 4, 8)
    )
    made: Pictures = np.clip(128 + np.asarray(sum_), 0, 255).astype(np.uint8)
    return made


def saved_anew(picture: Pictures, quality: int, side: int) -> Pictures:
    file = io.BytesIO()
    Image.fromarray(resize(picture, (side, side), "antialias")).save(file, "JPEG", quality=quality)
    return resize(np.asarray(Image.open(file).convert("RGB")), picture.shape[:2], "antialias")


def drawn_shapes(count: int) -> Pictures:
    random = np.random.default_rng(1)
    sheets = []
    for _ in range(count):
        image = Image.new("RGB", (64, 64), "white")
        for _ in range(random.integers(1, 4)):
            x, y, size = (int(value) for value in random.integers(8, 36, 3))
            colour = tuple(int(value) for value in random.integers(0, 200, 3))
            shape = ImageDraw.Draw(image)
            draw = shape.ellipse if random.random() < 0.5 else shape.rectangle
            draw((x, y, x + size, y + size), fill=colour)
        sheets.append(np.asarray(image))
    return np.stack(sheets)


def drawn_numbers(count: int) -> Pictures:
    sheets = []
    for number in range(count):
        image = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(image).text((8, 20), f"{number:04}", fill="black", font_size=22)
        sheets.append(np.asarray(image))
    return np.stack(sheets)


def smooth_slopes(count: int) -> Pictures:
    random = np.random.default_rng(2)
    ends = random.uniform(0, 255, (count, 2))
    slopes = np.linspace(ends[:, 0], ends[:, 1], 64, axis=1)[:, :, None, None]
    noise = random.normal(0, 3, (count, 64, 64, 3))
    return np.clip(slopes + noise, 0, 255).astype(np.uint8)


def written_digits(count: int) -> Pictures:
    digits = (load_digits().images[:count] * 15.9).astype(np.uint8)
    large = [resize(np.repeat(x[..., None], 3, 2), (50, 50), "antialias") for x in digits]
    return np.stack(large)


@pytest.fixture(scope="module")
def photographs() -> tuple[list[str], list[Pictures], list[tuple[int, int]]]:
    """Names and pixels of 860 photographs, with the row numbers of the 30 known pairs."""
    table = DATA / "cats_vs_dogs.near_duplicates.csv"
    if not table.is_file():
        pytest.skip(f"needs the photographs in {DATA}")
    with table.open() as rows:
        known = [(row["a"], row["b"]) for row in csv.DictReader(rows)]
    folder = DATA / "cats_vs_dogs"
    others = [f"{label}/{label}.{number}.jpg" for label in ("cat", "dog") for number in range(400)]
    names = sorted({*others, *(name for pair in known for name in pair)})
    names = [name for name in names if (folder / name).is_file()]
    pixels = [decode_file(folder / name) for name in names]
    return names, pixels, [(names.index(a), names.index(b)) for a, b in known]


@pytest.mark.parametrize(
    ("side", "method"), [(50, "bilinear"), (100, "antialias"), (200, "antialias")]
)
def test_known_pairs_of_photographs_are_found_and_little_else(
    photographs: tuple[list[str], list[Pictures], list[tuple[int, int]]], side: int, method: str
) -> None:
    """Lost: test accuracy on photographs seen in training, or photographs tied for no reason."""
    names, pixels, known = photographs
    groups = groups_of(np.stack([resize(picture, (side, side), method) for picture in pixels]))
    assert sum(groups[a] == groups[b] for a, b in known) >= 27
    sizes = sizes_of(groups)
    others = sorted(set(range(len(names))) - {row for pair in known for row in pair})
    assert sizes.max() <= 10
    assert (sizes[others] > 1).mean() < 0.005


def test_a_picture_saved_anew_is_found_and_different_ones_are_not() -> None:
    """Lost: the copies that a web search brings: other size, other quality."""
    originals = textures(60)
    copies = np.stack([saved_anew(picture, 60, 52) for picture in originals])
    groups = groups_of(np.concatenate([originals, copies]))
    assert groups.tolist() == [*range(60), *range(60)]


@pytest.mark.parametrize(
    ("draw", "count", "allowed"),
    [
        (drawn_shapes, 600, 0.01),
        (drawn_numbers, 600, 0.01),
        (smooth_slopes, 300, 0.01),
        (written_digits, 1797, 0.02),
    ],
)
def test_drawn_pictures_on_one_ground_are_not_merged(
    draw: Callable[[int], Pictures], count: int, allowed: float
) -> None:
    """Lost: every data set of icons, scans or digits, tied into a few groups and unsplittable."""
    sizes = sizes_of(groups_of(draw(count)))
    assert (sizes > 1).mean() <= allowed
    assert sizes.max() <= 10


def test_flat_pictures_count_as_one_only_where_every_pixel_is_equal() -> None:
    """Lost: blank pages of different colours merged, or identical ones on both sides of a test."""
    colours = np.random.default_rng(3).integers(0, 255, (80, 1, 1, 3))
    flat = np.broadcast_to(colours, (80, 40, 40, 3)).astype(np.uint8)
    noisy = flat + np.random.default_rng(4).integers(0, 3, flat.shape).astype(np.uint8)
    assert sizes_of(groups_of(noisy)).max() == 1
    twice = np.concatenate([flat, flat])
    assert (sizes_of(groups_of(twice)) == 2).all()


def test_equal_checksums_do_not_make_pictures_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: one of two different blank pages, tied to the other by chance."""
    colours = np.random.default_rng(9).integers(0, 255, (20, 1, 1, 3))
    flat = np.broadcast_to(colours, (20, 40, 40, 3)).astype(np.uint8)
    monkeypatch.setattr("headtohead.data.duplicates.zlib.crc32", lambda _: 0)
    assert groups_of(np.concatenate([flat, flat])).tolist() == [*range(20), *range(20)]


def test_a_chain_of_small_changes_does_not_become_one_group() -> None:
    """Lost: unlike images tied together by a time-lapse between them."""
    start, end = textures(2, seed=5).astype(np.float32)
    film = np.stack([start + (end - start) * share for share in np.linspace(0, 1, 80)])
    groups = groups_of(film.astype(np.uint8))
    assert sizes_of(groups).max() > 2
    assert len(np.unique(groups)) > 2
    assert groups[0] != groups[-1]


def test_many_copies_of_one_picture_are_one_group() -> None:
    """Lost: a burst of one scene spread over training and test."""
    picture, other = textures(2, seed=6)
    copies = [saved_anew(picture, quality, 64) for quality in range(30, 95)]
    groups = groups_of(np.stack([*copies, other]))
    assert len(set(groups[:-1].tolist())) == 1
    assert groups[-1] != groups[0]


def test_working_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: duplicates that lie far apart in a large data set."""
    originals = textures(40, seed=7)
    pictures = np.concatenate([originals, [saved_anew(x, 70, 56) for x in originals[::3]]])
    whole = groups_of(pictures)
    for name, value in {"_ROWS": 7, "_COLUMNS": 5, "_BATCH_BYTES": 1, "_HELD": 3}.items():
        monkeypatch.setattr(duplicates, name, value)
    assert groups_of(pictures).tolist() == whole.tolist()
    assert len(np.unique(whole)) == 40


def test_few_of_all_pairs_are_compared_and_none_that_is_alike_is_left_out() -> None:
    """Lost: preparing a million images in a day, or a duplicate that lay in the wrong cell."""
    random = np.random.default_rng(10)
    axes = 0.7 ** np.arange(64) * np.linalg.qr(random.normal(size=(64, 64)))[0].T
    vectors = (random.normal(size=(2000, 64)) @ axes.T).astype(np.float32)
    vectors[1000:1500] = vectors[:500] + random.normal(0, 0.02, (500, 64))
    vectors[::2] = vectors[1::2] * random.choice([1, -1], (1000, 1)) + 0.15 * vectors[::2]
    vectors = duplicates._unit(vectors)
    vectors[7] = 0
    seen = np.zeros((2000, 2000), np.uint8)
    for rows, others in duplicates._blocks(vectors):
        assert others[: len(rows)].tolist() == rows.tolist()
        row, column = (index.ravel() for index in np.indices((len(rows), len(others))))
        later = column > row
        np.add.at(seen, (rows[row[later]], others[column[later]]), 1)
    seen += seen.T
    alike = vectors @ vectors.T > 0.98
    np.fill_diagonal(alike, val=False)
    assert alike.sum() > 500
    assert seen[alike].min() == seen.max() == 1
    assert seen.mean() < 0.3


@pytest.mark.parametrize("side", [1, 2, 7, 16, 33])
def test_tiny_pictures_are_compared_too(side: int) -> None:
    """Lost: preparing at a small size ends in a traceback."""
    pictures = textures(5, side=max(side, 8), seed=8)[:, :side, :side]
    groups = groups_of(np.concatenate([pictures, pictures[:2]]))
    assert groups[:2].tolist() == groups[-2:].tolist()


def test_no_picture_gives_no_group() -> None:
    """Lost: a source with nothing usable ends in a traceback instead of a reason."""
    assert groups_of(np.empty((0, 8, 8, 3), np.uint8)).tolist() == []


def test_new_images_are_found_among_known_ones() -> None:
    """Else a figure on images that were trained on is taken for one on new images."""
    known = textures(30)
    known[7] = known[3]  # the first of equal ones is named
    flat = np.full((2, 64, 64, 3), 90, np.uint8)
    known = np.concatenate([known, flat[:1]])
    new = np.stack(
        [known[5], saved_anew(known[9], 80, 48), *textures(2, seed=8), known[7], *flat, flat[0] + 1]
    )
    found = matches(new, known, lambda *_: None)
    assert found.tolist() == [5, 9, -1, -1, 3, 30, 30, -1]
    assert matches(new[:0], known, lambda *_: None).shape == (0,)
    assert matches(new, known[:0], lambda *_: None).tolist() == [-1] * len(new)
