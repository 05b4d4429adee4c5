"""Small folders of real image files for tests."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_pictures(folder: Path, classes: dict[str, int], size: int = 40, seed: int = 0) -> Path:
    """`classes[label]` JPEG files per class: noise, with a square whose place tells the class."""
    random = np.random.default_rng(seed)
    for index, (label, count) in enumerate(sorted(classes.items())):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture = random.integers(0, 160, (size, size, 3), dtype=np.uint8)
            first = 4 + 12 * index
            picture[first : first + 12, first : first + 12] += 60
            path = folder / label / f"{label}-{number:03}.jpg"
            Image.fromarray(picture).save(path, quality=90)
    return folder
