"""The photographs that all sides get: the same files, in the same splits, in a folder of their own.

A folder that lists `train/`, `validation/` and `test/` leaves nobody a choice of images. Only
whole RGB JPEG files are taken, because not every side can read anything else.
"""

import random
import shutil
from pathlib import Path

from PIL import Image

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def copy_photographs(source: Path, target: Path, count: int) -> dict[str, int]:
    """Copy `count` photographs of `source` (a folder per class) into `target`; how many in each.

    The same ones at every call. Raises SystemExit where there are too few.
    """
    classes = sorted(entry for entry in source.iterdir() if entry.is_dir())
    if len(classes) != 2:
        raise SystemExit(f"{source} has {len(classes)} folders; two are needed, one per class.")
    each = count // len(classes)
    cuts = {name: int(share * each) for name, share in SHARES.items()}
    cuts["train"] += each - sum(cuts.values())
    for folder in classes:
        paths = iter(_photographs(folder, each))
        for name, number in cuts.items():
            (target / name / folder.name).mkdir(parents=True)
            for _ in range(number):
                path = next(paths)
                shutil.copyfile(path, target / name / folder.name / path.name)
    return {name: number * len(classes) for name, number in cuts.items()}


def _photographs(folder: Path, count: int) -> list[Path]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    random.Random(0).shuffle(paths)
    found: list[Path] = []
    for path in paths:
        if len(found) == count:
            break
        if _is_plain(path):
            found.append(path)
    if len(found) < count:
        raise SystemExit(
            f"{folder} has {len(found)} plain JPEG photographs; {count} are needed. "
            "Give a smaller --limit."
        )
    return found


def _is_plain(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
            return image.format == "JPEG" and image.mode == "RGB"
    except OSError:
        return False
