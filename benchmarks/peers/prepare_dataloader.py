"""Every photograph once through a DataLoader that decodes and resizes with Pillow."""

import json
import time
from pathlib import Path

from timing import check, cpu_seconds, folder
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader
from torch_loop import BATCH_SIZE, CORES, Photographs


def main(data: Path) -> dict[str, float]:
    parts = [Photographs(data / name) for name in ("train", "validation", "test")]
    pictures: ConcatDataset[tuple[Tensor, Tensor]] = ConcatDataset(parts)
    loader = DataLoader(pictures, batch_size=BATCH_SIZE, num_workers=CORES)
    began, cpu = time.perf_counter(), cpu_seconds()
    # Without persistent workers the loop's end ends them, so that their CPU time is counted.
    count = sum(len(images) for images, _ in loader)
    seconds = time.perf_counter() - began
    check(count, data)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds() - cpu}


if __name__ == "__main__":
    print(json.dumps(main(folder())))
