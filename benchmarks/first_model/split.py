"""The same split for all: `python split.py PHOTOGRAPHS FOLDER` copies into train, val and test.

Of every ten photographs of a class, by name, six are to train, one to validate and three to test.
"""

import shutil
import sys
from pathlib import Path

PLACES = ("train", "test", "train", "train", "test", "train", "train", "test", "train", "val")


def split(photographs: Path, folder: Path) -> None:
    """Copies: some libraries write into the folder that they are given."""
    for path in sorted(path for path in photographs.iterdir() if path.is_dir()):
        for number, file in enumerate(sorted(path.iterdir())):
            target = folder / PLACES[number % len(PLACES)] / path.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


if __name__ == "__main__":
    split(Path(sys.argv[1]), Path(sys.argv[2]))
