"""Every photograph once through a DataLoader that decodes and resizes with Pillow."""

import json
import time
from itertools import chain
from pathlib import Path

from timing import check, cpu_seconds, folder
from torch_loop import loader


def main(data: Path) -> dict[str, float]:
    loaders = [loader(data / name, shuffle=False) for name in ("train", "validation", "test")]
    began, cpu = time.perf_counter(), cpu_seconds()
    count = sum(len(images) for images, _ in chain.from_iterable(loaders))
    seconds = time.perf_counter() - began
    for each in loaders:
        each._iterator = None  # ends the workers, so that their CPU time is counted
    check(count, data)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds() - cpu}


if __name__ == "__main__":
    print(json.dumps(main(folder())))
