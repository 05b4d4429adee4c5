"""A small study that was really trained, for tests of what is done with a finished one."""

import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors.torch import save_file

import headtohead
from forked import quick
from headtohead.backbones.table import backbone_of
from headtohead.config.backbone import BackboneSpec
from headtohead.data.prepared import PreparedSet, load_prepared
from headtohead.store.ledger import Ledger
from photographs import write_pictures
from undrawn import undrawn

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


def trained_study(folder: Path, **settings: Any) -> Trained:
    """A study of `fc` and `gap` on images with a square whose place tells the class.

    `folder` is of pytest's; in it lies a copy that a test may change. Trained once for all tests
    that ask for the same `settings`, whichever process they run in.
    """
    base = folder.parent.parent if folder.parent.name.startswith("popen-") else folder.parent
    shared = base / f"trained-{sha256(repr(sorted(settings.items())).encode()).hexdigest()[:8]}"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            _train(shared.with_suffix(".new"), **settings)
            shared.with_suffix(".new").rename(shared)
    out = shutil.copytree(shared / "out", folder / "out")
    (manifest,) = (shared / "cache" / "prepared").glob("*/manifest.json")
    return Trained(out, shared / "source", load_prepared(manifest.parent))


def _train(
    folder: Path,
    classes: dict[str, int] | None = None,
    heads: str = "fc,gap",
    seeds: int = 2,
    epochs: int = 1,
    resize: str = "antialias",
    *,
    frozen: bool = False,
) -> None:
    source = write_pictures(folder / "source", classes or {"cat": 40, "dog": 40}, size=48)
    weights = None
    if frozen:
        weights = folder.with_suffix(".safetensors")  # stays where it is: a study names its file
        save_file(backbone_of(BackboneSpec()).state_dict(), weights)
    with quick(), undrawn():
        comparison = headtohead.compare(
            data=source, heads=heads, seeds=seeds, epochs=epochs, batch_size=16,
            image_size=SIDE, resize=resize, weights=weights,
            out=folder / "out", cache=folder / "cache", device="cpu", workers=1,
        )  # fmt: skip
    comparison.raise_for_failures()
