"""A small study that was really trained, for tests of what is done with a finished one."""

from dataclasses import dataclass
from pathlib import Path

import headtohead
from headtohead.data.prepared import PreparedSet, load_prepared
from headtohead.store.ledger import Ledger
from photographs import write_pictures

SIDE = 32


@dataclass(frozen=True)
class Trained:
    """The study's folder, the images that it was trained on, and the prepared set."""

    out: Path
    source: Path
    prepared: PreparedSet

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(self.out)


def trained_study(
    folder: Path,
    *,
    classes: dict[str, int] | None = None,
    heads: str = "fc,gap",
    seeds: int = 1,
    epochs: int = 2,
    resize: str = "antialias",
) -> Trained:
    """A study of `heads` on pictures with a square whose place tells the class."""
    source = write_pictures(folder / "source", classes or {"cat": 40, "dog": 40}, size=48)
    out, cache = folder / "out", folder / "cache"
    comparison = headtohead.compare(
        data=source, heads=heads, seeds=seeds, epochs=epochs, batch_size=16,
        image_size=SIDE, resize=resize,
        out=out, cache=cache, device="cpu", workers=1,
    )  # fmt: skip
    comparison.raise_for_failures()
    (manifest,) = (cache / "prepared").glob("*/manifest.json")
    return Trained(out, source, load_prepared(manifest.parent))
