"""Many small images from a few drawn ones, for measurements of large sets.

    python benchmarks/large_images.py --out FOLDER --sizes 10000 50000 200000

headtohead draws 3,000 cats and dogs, which takes minutes; to draw 200,000 would take hours. Here
each becomes many by a window, a mirror, colours and noise of its own, saved as JPEG of 100 × 100:
1 ms an image. They are different images to the search for duplicates, but less so than photographs:
see docs/large_data.md. One image of 200 is a copy of the one before it, saved anew at 90 pixels and
another quality: these pairs must be found, and `copies-<size>.csv` lists them.

FOLDER/<size>/cat and dog hold the first images each, so that a smaller set is part of a larger one
(hard links: the files are there once).
"""

import argparse
import csv
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headtohead.core.system import cache_folder
from headtohead.data.synthetic import synthetic_source

SIDE, QUALITY = 100, 85
COPY_SIDE, COPY_QUALITY = 90, 70
COPY_EVERY = 200
SMALLEST = 0.5  # of the drawn image's side: the least that a window shows
NOISE = 6.0  # standard deviation, of 255
NOISES = 64  # noise is drawn once and used again: to draw it takes longer than all else


def main() -> None:
    """Write the largest set, and link the smaller ones."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 50_000, 200_000])
    options = parser.parse_args()
    folder = synthetic_source(cache=cache_folder(None), progress=lambda *_: None)
    drawn = [(path.parent.name, path) for path in sorted(folder.rglob("*.*"))]
    images = [(label, Image.open(path).convert("RGB")) for label, path in drawn]
    sizes = sorted(options.sizes)
    for label in {label for label, _ in images}:
        for size in sizes:
            (options.out / str(size) / label).mkdir(parents=True)
    generator = np.random.default_rng(0)
    noise = generator.normal(0, NOISE, (NOISES, SIDE, SIDE, 3)).astype(np.float32)
    copies: list[tuple[str, str]] = []
    before = ""
    for number in range(sizes[-1]):
        is_copy = number % COPY_EVERY == COPY_EVERY - 1
        if is_copy:
            label, name = Path(before).parts[0], f"{Path(before).parts[0]}/copy-{number:07}.jpg"
            copies.append((before, name))
            source = Image.open(options.out / str(sizes[-1]) / before)
            image, quality = source.resize((COPY_SIDE, COPY_SIDE)), COPY_QUALITY
        else:
            label, original = images[generator.integers(len(images))]
            name = f"{label}/image-{number:07}.jpg"
            image, quality = variation(original, generator, noise), QUALITY
        image.save(options.out / str(sizes[-1]) / name, quality=quality)
        for size in sizes[:-1]:
            if number < size:
                os.link(options.out / str(sizes[-1]) / name, options.out / str(size) / name)
        before = name
    for size in sizes:
        with (options.out / f"copies-{size}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(copies[: size // COPY_EVERY])


def variation(
    original: Image.Image, generator: np.random.Generator, noise: NDArray[np.float32]
) -> Image.Image:
    """Another image of the same class: a window of `original`, mirrored or not, recoloured."""
    width, height = original.size
    share = generator.uniform(SMALLEST, 1)
    left, top = generator.uniform(0, 1 - share, 2) * (width, height)
    box = (left, top, left + share * width, top + share * height)
    small = original.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box, reducing_gap=2)
    pixels = np.asarray(small, np.float32)
    if generator.random() < 0.5:
        pixels = pixels[:, ::-1]
    gains, shifts = generator.uniform(0.8, 1.2, 3), generator.uniform(-20, 20, 3)
    changed = pixels * gains.astype(np.float32) + shifts.astype(np.float32)
    changed += noise[generator.integers(NOISES)]
    return Image.fromarray(np.clip(changed, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
