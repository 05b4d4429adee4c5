"""The probe stage of a real study: collected once, completed later, told where it cannot be."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headtohead.claims.judge import judge
from headtohead.compare import compare
from headtohead.probes import stage
from headtohead.probes.base import read_run, read_session
from headtohead.probes.probe_images import ProbeImages, images_path, read_images, write_images
from headtohead.probes.speed import SPEED
from headtohead.probes.stage import lost, to_collect
from headtohead.probes.translation import TRANSLATION
from headtohead.result import Comparison
from headtohead.runtime.jobs import Job, is_done
from headtohead.store.evidence import evidence_path
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData
from photographs import write_pictures
from stated import stated

pytestmark = pytest.mark.usefixtures("quick_workers", "no_report")

Run = Callable[..., Comparison]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One small study, again and again, in the folder that is named."""
    folder = tmp_path_factory.mktemp("stage")
    write_pictures(folder / "source", {"cat": 60, "dog": 60})
    for path in (folder / "source").rglob("*.jpg"):
        mask = np.zeros((40, 40), np.uint8)
        place = 4 if path.parent.name == "cat" else 16
        mask[place : place + 12, place : place + 12] = 255
        target = folder / "masks" / path.relative_to(folder / "source").with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(target)
    study = folder / "study.yaml"
    study.write_text(
        "name: small\nheads: [fc, gap]\nseeds: 1\npictures: {image_size: 36}\n"
        "recipe: {epochs: 1, batch_size: 16}\nverdict: {reference: gap}\n"
    )

    def go(out: Path, *, masks: bool = False) -> Comparison:
        return compare(
            study,
            data=folder / "source",
            out=out,
            masks=folder / "masks" if masks else None,
            cache=folder / "cache",
            workers=1,
        )

    return go


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Ledger:
    comparison = run(tmp_path_factory.mktemp("studies") / "done", masks=True)
    assert comparison.failures == ()
    return Ledger.open(comparison.out)


def copy_of(ledger: Ledger, out: Path) -> Ledger:
    shutil.copytree(ledger.out, out)
    return Ledger.open(out)


def test_every_run_leaves_all_its_evidence(done: Ledger) -> None:
    """Else a study has runs, and nothing to judge the claims by."""
    chosen = read_images(images_path(done.out, 0), done.file.digest)
    assert chosen is not None
    assert len(chosen.rows) == sum(done.file.counts["test"].values())
    assert chosen.wide.shape[1:] == (52, 52, 3)
    for head in ("fc", "gap"):
        assert is_done(done, Job(head, 0))
        moved = read_run(done, TRANSLATION, head, 0)
        assert moved is not None
        assert np.array_equal(moved.rows, chosen.rows)
    speed = read_session(done, SPEED)
    assert speed is not None
    assert speed.heads == ("fc", "gap")
    claims = judge(StudyData(done))
    assert "on the object" in claims[2].rule  # the masks were found
    assert not any(note for claim in claims for note in claim.notes if "No " in note)


def test_what_is_missing_is_collected_without_training(
    done: Ledger, run: Run, tmp_path: Path
) -> None:
    """Else evidence that was damaged or deleted costs the whole study."""
    ledger = copy_of(done, tmp_path / "out")
    kept = {path: path.stat().st_mtime_ns for path in ledger.out.glob("runs/*/*/*")}
    wanted = [
        evidence_path(ledger.out, "class_maps", "gap", 0),
        evidence_path(ledger.out, "translation", "fc", 0),
        images_path(ledger.out, 0),
        evidence_path(ledger.out, "predictions", "fc", 0),
    ]
    before = [path.read_bytes() for path in wanted]
    wanted[0].unlink()
    wanted[1].write_bytes(before[1][:-9])
    wanted[2].with_suffix(".json").unlink()
    wanted[3].write_bytes(before[3][:-10])
    assert to_collect(ledger, "gap", 0) == ("class_maps",)
    assert to_collect(ledger, "fc", 0) == ("predictions", "translation")
    run(ledger.out)
    assert [path.read_bytes() for path in wanted] == before
    assert {path: path.stat().st_mtime_ns for path in ledger.out.glob("runs/*/*/*")} == kept
    # Masks that were given once stay.
    assert "on the object" in judge(StudyData(Ledger.open(ledger.out)))[2].rule


def test_what_cannot_be_collected_any_more_is_told(
    done: Ledger, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else a ledger without weights is probed for ever, or silently lacks its evidence."""
    ledger = copy_of(done, tmp_path / "out")
    for path in (ledger.out / "runs/gap/seed-0").glob("*.safetensors"):
        path.unlink()
    for probe in ("class_maps", "costs"):
        (ledger.out / "evidence" / probe / "gap/seed-0.npz").unlink()
    assert to_collect(ledger, "gap", 0) == ("costs",)  # counted without weights
    assert lost(ledger, "gap", 0) == ("class_maps",)
    run(ledger.out)
    errors = capsys.readouterr().err.splitlines()
    (line,) = (line for line in errors if "class_maps" in line)
    assert stated(line, "gap", "class_maps", "costs") == ["gap", "0", "class_maps"]
    assert is_done(ledger, Job("gap", 0))
    assert any("gap seed 0" in note for note in judge(StudyData(ledger))[2].notes)


def test_probe_images_are_read_once_and_again_where_they_changed(tmp_path: Path) -> None:
    """Else every run unpacks them, or runs are probed on images that are no longer there."""
    place, rows = tmp_path / "split-0.npz", np.arange(2)

    def keep(value: int) -> None:
        shown = np.full((2, 4, 4, 3), value, np.uint8)
        write_images(place, "study", ProbeImages(rows, rows, shown, shown))

    assert stage._images(place, "study") is None
    keep(1)
    os.utime(place, ns=(1, 1))
    first = stage._images(place, "study")
    assert first is not None
    assert stage._images(place, "study") is first
    assert stage._images(place, "other") is None
    keep(2)
    second = stage._images(place, "study")
    assert second is not None
    assert int(second.pixels.max()) == 2
