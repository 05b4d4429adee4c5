"""What probes leave in the ledger: written whole, read back, and told from what is not theirs."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headtohead.probes.class_maps import CLASS_MAPS, ClassMaps
from headtohead.probes.costs import COSTS, Costs
from headtohead.probes.curves import Curves
from headtohead.probes.predictions import PREDICTIONS, Predictions, SplitPredictions
from headtohead.probes.probe_images import (
    Masks,
    ProbeImages,
    images_path,
    masks_path,
    read_images,
    read_masks,
    write_images,
    write_masks,
)
from headtohead.probes.speed import SPEED, Speed
from headtohead.probes.table import PROBES
from headtohead.probes.translation import TRANSLATION, Translation
from headtohead.store.evidence import evidence_path, read_evidence, session_path, write_evidence

ROWS = np.arange(3, dtype=np.int64)
RNG = np.random.default_rng(0)


def curves() -> Curves:
    values = RNG.random((2, 2, 11), dtype=np.float32)
    return Curves(values[0], values[1])


def class_maps(exact: bool) -> ClassMaps:
    maps = RNG.normal(size=(3, 4, 4)).astype(np.float32) * 50
    return ClassMaps(
        *(ROWS, ROWS % 2, 10.5, 8.0, maps, maps + 1 if exact else None),
        *(curves(), curves(), curves() if exact else None, np.array([2, 0])),
    )


def split() -> SplitPredictions:
    return SplitPredictions(ROWS, ROWS % 2, *RNG.normal(size=(2, 3, 1)).astype(np.float32))


def write_by(probe: Any) -> Callable[..., None]:
    return lambda path, key, value: write_evidence(path, probe.name, key, probe.pack(value))


def read_by(probe: Any) -> Callable[..., Any]:
    def read(path: Path, key: str) -> Any:
        arrays = read_evidence(path, probe.name, key)
        return None if arrays is None else probe.describe(arrays)

    return read


CASES: dict[str, tuple[Any, Callable[..., None], Callable[..., Any]]] = {
    "predictions": (
        Predictions(split(), split()),
        write_by(PREDICTIONS),
        read_by(PREDICTIONS),
    ),
    "costs": (Costs(1, 2, 3, 4, 5, 2**40), write_by(COSTS), read_by(COSTS)),
    "class_maps": (class_maps(True), write_by(CLASS_MAPS), read_by(CLASS_MAPS)),
    "no_exact_maps": (class_maps(False), write_by(CLASS_MAPS), read_by(CLASS_MAPS)),
    "translation": (
        Translation(
            *(ROWS, ROWS % 2, np.array([[0, 0], [0, 1], [9, 9]])),
            *(np.array([True, True, False]), np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0]])),
        ),
        write_by(TRANSLATION),
        read_by(TRANSLATION),
    ),
    "pictures": (
        ProbeImages(
            *(ROWS, ROWS % 2, np.full((3, 4, 4, 3), 7, np.uint8)),
            np.ones((3, 6, 6, 3), np.uint8),
        ),
        write_images,
        read_images,
    ),
    "masks": (
        Masks(ROWS, np.full((3, 4, 4), 255, np.uint8)),
        write_masks,
        read_masks,
    ),
    "speed": (
        Speed(("gap", "mine.Head"), (64, 32), "cpu", np.ones((2, 7)), np.full((2, 7), 0.5)),
        write_by(SPEED),
        read_by(SPEED),
    ),
}


def assert_same(found: Any, wanted: Any) -> None:
    if isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype
        # Maps are kept in half precision of their largest value.
        np.testing.assert_allclose(found, wanted, atol=1e-3 * max(1.0, float(np.abs(wanted).max())))
    elif hasattr(wanted, "__dataclass_fields__"):
        for field in fields(wanted):
            assert_same(getattr(found, field.name), getattr(wanted, field.name))
    else:
        assert found == wanted


@pytest.mark.parametrize("name", CASES)
def test_evidence_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    """Else a report shows other numbers than the probe measured."""
    value, write, read = CASES[name]
    write(tmp_path / "deep" / "seed-0.npz", "key", value)
    assert_same(read(tmp_path / "deep" / "seed-0.npz", "key"), value)


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_whole_or_not_its_own_is_as_good_as_absent(tmp_path: Path, name: str) -> None:
    """Else a report mixes runs, or a crash leaves evidence that is never collected again."""
    value, write, read = CASES[name]
    path = tmp_path / "seed-0.npz"
    assert read(path, "key") is None
    write(path, "key", value)
    assert read(path, "another key") is None
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    assert read(path, "key") is None
    path.write_bytes(whole)
    assert read(path, "key") is not None
    manifest = path.with_suffix(".json")
    text = manifest.read_text()
    for damaged in (text.replace('"format": 1', '"format": 2'), text[:20], "[]", "null"):
        manifest.write_text(damaged)
        assert read(path, "key") is None


def test_one_probe_does_not_read_anothers_evidence(tmp_path: Path) -> None:
    """Else a file in the wrong folder ends in a traceback."""
    path = tmp_path / "seed-0.npz"
    write_by(COSTS)(path, "key", CASES["costs"][0])
    assert read_by(TRANSLATION)(path, "key") is None


def test_accuracy_and_agreement_are_over_pictures() -> None:
    """Else the translation curves average over the wrong axis."""
    moved: Translation = CASES["translation"][0]
    np.testing.assert_allclose(moved.accuracy, [1, 2 / 3, 2 / 3])
    np.testing.assert_allclose(moved.agreement, [1, 2 / 3, 2 / 3])


def test_every_run_has_its_own_place(tmp_path: Path) -> None:
    """Else one run's evidence overwrites another's."""
    found = {
        evidence_path(tmp_path, probe.name, head, seed)
        for probe in PROBES
        for head in "ab"
        for seed in (0, 1)
    }
    found |= {images_path(tmp_path, 0), masks_path(tmp_path, 0)}
    assert len(found | {session_path(tmp_path, probe.name) for probe in PROBES}) == 5 * 5 + 2
