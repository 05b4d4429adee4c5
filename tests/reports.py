"""Ledgers with everything that a report can show, written by the project's own writers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headtohead.core.streams import stream
from headtohead.data.prepared import PICTURES, PreparedSet, Quarantined
from headtohead.probes.base import write_run, write_session
from headtohead.probes.class_maps import CLASS_MAPS, ClassMaps
from headtohead.probes.costs import COSTS, Costs
from headtohead.probes.curves import Curves
from headtohead.probes.probe_images import ProbeImages, images_path, write_images
from headtohead.probes.speed import SPEED, Speed
from headtohead.probes.translation import TRANSLATION, Translation
from headtohead.report.page.thumbnails import keep_thumbnails
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData
from ledgers import full_ledger

SIDE, PROBED, CELLS = 24, 6, 4


def rich_ledger(out: Path, names: Sequence[str] = (), **settings: Any) -> Ledger:
    """Every run finished, every probe's evidence, thumbnails; `names` are of the first files."""
    ledger = full_ledger(out, **settings)
    add_evidence(ledger)
    prepared = prepared_set(out.parent / f"{out.name}-prepared", ledger, names)
    keep_thumbnails(StudyData(ledger), prepared)
    return ledger


def prepared_set(folder: Path, ledger: Ledger, names: Sequence[str] = ()) -> PreparedSet:
    """Images for every row of the ledger's test split; two are duplicates, one is broken."""
    folder.mkdir(parents=True)
    counts = list(ledger.file.counts["test"].values())
    n = sum(counts)
    pixels = stream(0, "pixels").integers(0, 256, (n, SIDE, SIDE, 3)).astype(np.uint8)
    np.save(folder / PICTURES, pixels)
    known = [*names, *(f"class/{row}.jpg" for row in range(len(names), n))]
    return PreparedSet(
        folder=folder,
        digest=ledger.file.prepared,
        image_size=SIDE,
        resize="antialias",
        classes=ledger.file.classes,
        names=tuple(known),
        labels=np.repeat(np.arange(len(counts)), counts),
        groups=np.maximum(np.arange(n), 1),
        given=(None,) * n,
        original_sizes=np.stack([np.arange(n) + 100, np.arange(n) + 200], axis=1),
        quarantined=(Quarantined("class/broken <b>.jpg", "class", "truncated"),),
    )


def add_evidence(ledger: Ledger) -> None:
    """What every probe leaves: costs, class maps, translation, speed."""
    rng = stream(0, "evidence")
    rows = np.arange(PROBED)
    labels = rows % len(ledger.file.classes)
    side = rng.integers(0, 256, (PROBED, SIDE, SIDE, 3)).astype(np.uint8)
    wide = rng.integers(0, 256, (PROBED, SIDE + 8, SIDE + 8, 3)).astype(np.uint8)
    digest = ledger.file.digest
    write_images(images_path(ledger.out, 0), digest, ProbeImages(rows, labels, side, wide))
    shifts = np.array([(0, 0), (0, 1), (1, 0), (0, 2), (4, 4), (-4, 4)])
    fine = np.array([True, True, True, True, False, False])
    heads = tuple(ledger.file.study.heads)
    for run in ledger.runs():
        head, seed = run.record.head, run.record.seed
        curve = np.linspace(0.9, 0.1, 3, dtype=np.float32)[None].repeat(2, axis=0)
        curves = Curves(curve, curve[:, ::-1])
        maps = rng.normal(0, 1, (PROBED, CELLS, CELLS)).astype(np.float32)
        exact = maps * 0.9 if head == "gap" else None
        found = ClassMaps(
            *(rows, labels, 3.0, 6.0, maps, exact, curves, curves),
            *(curves if head == "gap" else None, np.arange(len(curve))),
        )
        write_run(ledger, CLASS_MAPS, head, seed, CLASS_MAPS.pack(found))
        named = np.where(rng.random((len(shifts), PROBED)) < 0.8, labels, 1 - labels % 2)
        moved = Translation(rows, labels, shifts, fine, named.astype(np.int64))
        write_run(ledger, TRANSLATION, head, seed, TRANSLATION.pack(moved))
        costs = Costs(5_000_000, 100 + len(head), 116_000, 260, 900_000, 256)
        write_run(ledger, COSTS, head, seed, COSTS.pack(costs))
    times = rng.uniform(0.03, 0.04, (2, len(heads), 5))
    speed = Speed(heads, (64,) * len(heads), "cpu", times[0], times[1])
    write_session(ledger, SPEED, SPEED.pack(speed))
