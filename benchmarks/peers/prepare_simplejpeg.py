"""Every photograph decoded in full by libjpeg-turbo, one thread per core, and nothing else."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import simplejpeg
from timing import check, cpu_seconds, files, folder


def pixels(path: Path) -> int:
    return int(simplejpeg.decode_jpeg(path.read_bytes()).size)


def main(data: Path) -> dict[str, float]:
    paths = files(data)
    began, cpu = time.perf_counter(), cpu_seconds()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        count = sum(size > 0 for size in pool.map(pixels, paths, chunksize=64))
    seconds = time.perf_counter() - began
    check(count, data)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds() - cpu}


if __name__ == "__main__":
    print(json.dumps(main(folder())))
