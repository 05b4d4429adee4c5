"""A prepared set of many images made of fewer: duplicates, split and training at any size.

    python benchmarks/large_array.py --prepared CACHE/prepared/DIGEST --images 200000 --work FOLDER

`large_data.py` measures all from files on. This leaves out files and decoding, whose time grows
with their number and with nothing else: the array is written from the images of a set that is
prepared already, shifted and mirrored; one of 200 is its predecessor with noise, a pair that must
be found. Three processes, one after the other (`draw`, `group`, `train`); none may take more than
`--data-limit` MiB that no file backs (RLIMIT_DATA), and the peak of what it took is told. Linux
only.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from headtohead.config.study import StudySpec
from headtohead.data import duplicates
from headtohead.data.prepared import PICTURES, PreparedSet, load_prepared, write_manifest
from headtohead.data.rowfile import layout, open_rows, reserve
from headtohead.data.split import split
from headtohead.store.records import EpochRecord
from headtohead.training.inputs import Pictures
from headtohead.training.plans import RunPlan
from headtohead.training.run import train
from memory import anonymous_kb
from processes import Sampler

COPY_EVERY, CHUNK, BATCH = 200, 1000, 64
SHARES = (0.8, 0.1, 0.1)
Block: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]


class Anonymous(Sampler):
    """The peak of what no file backs, of one process, in bytes."""

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.peak = max(self.peak, 1024 * anonymous_kb(self.pid))


def draw(base: PreparedSet, count: int, folder: Path) -> dict[str, Any]:
    """Write the array and the names; groups are unknown yet."""
    images = base.images
    reserve(folder / PICTURES, (count, *images.shape[1:]))
    generator = np.random.default_rng(0)
    order = np.random.default_rng(1).permutation(len(images))
    with (folder / PICTURES).open("r+b") as file:
        file.seek(layout(folder / PICTURES)[1])
        for start in range(0, count, CHUNK):
            chosen = order[np.arange(start, start + CHUNK) % len(order)]
            rows = [changed(images[row], generator) for row in chosen.tolist()]
            for at in range(COPY_EVERY - 1, CHUNK, COPY_EVERY):
                noise = generator.integers(-3, 4, rows[at].shape)
                rows[at] = np.clip(rows[at - 1] + noise, 0, 255).astype(np.uint8)
            file.write(np.stack(rows).tobytes())
    return {}


def changed(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """`image` shifted by up to half its side (round the edge), mirrored or not."""
    side = len(image)
    down, right = generator.integers(-side // 2, side // 2, 2)
    shifted = np.roll(image, (down, right), (0, 1))
    return shifted[:, ::-1] if generator.random() < 0.5 else shifted


def group(base: PreparedSet, count: int, folder: Path) -> dict[str, Any]:
    """Find the duplicates, split, write the manifest and read it again."""
    images, compared = open_rows(folder / PICTURES), 0
    blocks = duplicates._blocks

    def counted(vectors: NDArray[np.float32]) -> Iterator[Block]:
        nonlocal compared
        for rows, others in blocks(vectors):
            compared += len(rows) * len(others)
            yield rows, others

    duplicates._blocks = counted
    began = time.process_time()
    described = began

    def progress(_: str, done: int, of: int) -> None:
        nonlocal described
        if done <= of // 2:
            described = time.process_time()

    groups = duplicates.near_duplicates(images, progress)
    found = time.process_time()
    order = np.random.default_rng(1).permutation(len(base.labels))
    number = np.arange(count)
    prepared = PreparedSet(
        folder=folder,
        digest="0" * 64,
        image_size=base.image_size,
        resize=base.resize,
        classes=base.classes,
        names=tuple(f"class/image-{n:08}.jpg" for n in range(count)),
        labels=base.labels[order][
            (number - (number % COPY_EVERY == COPY_EVERY - 1)) % len(base.labels)
        ],
        groups=groups,
        given=(None,) * count,
        original_sizes=np.full((count, 2), base.image_size),
        quarantined=(),
    )
    write_manifest(prepared, decoder="none", sha256=["0" * 64] * count)
    written = time.process_time()
    read = load_prepared(folder)
    loaded = time.process_time()
    parts = split(read, fractions=SHARES, seed=0)
    copies = number[COPY_EVERY - 1 :: COPY_EVERY]
    return {
        "describing": described - began,
        "comparing": found - described,
        "share of all pairs compared": compared / (count**2 / 2),
        "copies": [int((groups[copies] == groups[copies - 1]).sum()), len(copies)],
        "groups": len(np.unique(groups)),
        "writing the manifest": written - found,
        "reading the manifest": loaded - written,
        "splitting": time.process_time() - loaded,
        "parts": [len(parts.train), len(parts.validation), len(parts.test)],
    }


def training(folder: Path, steps: int, seen: int) -> dict[str, Any]:
    """One epoch of `steps` steps, on batches from everywhere in the set."""
    read = load_prepared(folder)
    recipe = {"epochs": 1, "batch_size": BATCH, "steps_per_epoch": steps}
    recipe["validation_pictures"] = seen
    study = StudySpec.model_validate(
        {"name": "large", "data": "synthetic", "heads": {"gap": {}}, "recipe": recipe}
    )
    plan = RunPlan(
        key="large",
        head="gap",
        seed=0,
        head_spec=study.heads["gap"],
        backbone=study.backbone,
        recipe=study.recipe,
        image_size=read.image_size,
        classes=len(read.classes),
    )
    pictures = Pictures(read.images, read.labels, torch.device("cpu"))
    out = folder / "run"
    out.mkdir(exist_ok=True)
    record = train(plan, pictures, split(read, fractions=SHARES, seed=0), out, Quiet())
    return {"status": record.status, "epoch": record.cpu_seconds, "steps": steps}


class Quiet:
    """Watches a run and says nothing."""

    def start(self, epochs: int) -> None:
        """Nothing."""

    def step(self, epoch: int, done: int, pictures: int) -> None:
        """Nothing."""

    def epoch(self, record: EpochRecord) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""


def main() -> None:
    """All three, or the one that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seen", type=int, default=2000, help="validation images")
    parser.add_argument("--data-limit", type=int, default=2048, help="MiB for each process")
    parser.add_argument("--only", choices=("draw", "group", "train"))
    options = parser.parse_args()
    folder = options.work / str(options.images)
    folder.mkdir(parents=True, exist_ok=True)
    if options.only is None:
        for part in ("draw", "group", "train"):
            subprocess.run([sys.executable, *sys.argv, "--only", part], check=True)
        return
    limited(options.data_limit)
    began = time.process_time()
    with Anonymous(os.getpid()) as sampler:
        if options.only == "train":
            found = training(folder, options.steps, options.seen)
        else:
            work = {"draw": draw, "group": group}[options.only]
            found = work(load_prepared(options.prepared), options.images, folder)
    cpu, mib = time.process_time() - began, sampler.peak / 2**20
    print(json.dumps({"part": options.only, "cpu": cpu, "mib": mib, **found}), flush=True)


def limited(mebibytes: int) -> None:
    """Let this process have no more than so much data."""
    import resource  # not on every system

    resource.setrlimit(resource.RLIMIT_DATA, (mebibytes * 2**20, mebibytes * 2**20))


if __name__ == "__main__":
    main()
