"""Images for tests: drawn ones, small folders of files, and the shared photographs."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

SHARED = Path(__file__).parents[2] / "shared/data"
needs_photographs = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the shared photographs are not beside the repository"
)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    """An image without symmetry and with many colours, small when written."""
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


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
