"""What the processes that time training steps share: one core, random images, a clock.

Import it before any library that starts threads: they inherit the core.
"""

import argparse
import json
import os
import time

import numpy as np
from numpy.typing import NDArray

WARM_UP = 5
"""Steps before the clock starts: libraries trace, compile and take their memory in the first."""
SIZE = 100

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"
CORES = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, {CORES[-1]})


class Clock:
    """Told of the end of every step, times those after the warm-up."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._done = 0
        self._began = self._ended = (0.0, 0.0)

    def step(self) -> None:
        self._done += 1
        now = time.perf_counter(), time.process_time()
        if self._done == WARM_UP:
            self._began = now
        if self._done == WARM_UP + self.steps:
            self._ended = now

    def say(self, **more: float) -> None:
        """The time of the steps, and `more` beside it.

        Raises SystemExit where another number of steps was taken.
        """
        if self._done != WARM_UP + self.steps:
            raise SystemExit(f"{self._done} steps were taken, not {WARM_UP + self.steps}")
        wall, cpu = (end - begin for begin, end in zip(self._began, self._ended, strict=True))
        print(json.dumps({"seconds": wall, "cpu_seconds": cpu, **more}))


def drawn(options: argparse.Namespace) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noise (N, 100, 100, 3) and labels for all steps: what images show changes no time."""
    count = (WARM_UP + options.steps) * options.batch
    images = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    return images, np.arange(count) % 2


def as_floats(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """In [0, 1]: peers get their images converted, headtohead converts in its steps."""
    return images.astype(np.float32) / np.float32(255)


def arguments(*numbers: str) -> argparse.Namespace:
    """The options of every such process, and whole `numbers` of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--head", required=True)
    for number in ("--batch", "--steps", *numbers):
        parser.add_argument(number, type=int, required=True)
    return parser.parse_args()
