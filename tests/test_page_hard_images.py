"""Images worth a look: the right ones are found, kept while they are at hand, and told apart."""

import base64
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headtohead.probes.base import read_run, write_run
from headtohead.probes.class_maps import CLASS_MAPS
from headtohead.probes.predictions import SplitPredictions
from headtohead.probes.probe_images import ProbeImages, images_path, write_images
from headtohead.report.page.gallery import cards, data_address, map_grid
from headtohead.report.page.hard_images import (
    HeadPredictions,
    disagreements,
    head_predictions,
    mistakes,
    predictions_on_test,
)
from headtohead.report.page.thumbnails import keep_thumbnails, read_thumbnails
from headtohead.store.evidence import read_evidence
from headtohead.study_data import StudyData
from ledgers import full_ledger
from pages import report_page
from reports import PROBED, SIDE, prepared_set, rich_ledger


def split(logits: list[float], rows: list[int], labels: list[int]) -> SplitPredictions:
    values = np.array(logits, np.float32)[:, None]
    return SplitPredictions(np.array(rows), np.array(labels), values, values)


@pytest.fixture
def predictions() -> HeadPredictions:
    """Four images of class 1, 1, 0, 0 under two heads, one of them with two seeds."""
    labels = [1, 1, 0, 0]
    found = head_predictions(
        {
            "a": [
                split([3.0, -4.0, -1.0, 0.5], [7, 3, 5, 9], labels),
                split([3.0, -4.0, -1.0, -0.4], [7, 3, 5, 9], labels),
            ],
            "b": [split([2.0, 1.0, 6.0, -5.0], [7, 3, 5, 9], labels)],
        }
    )
    assert found is not None
    return found


def test_mistakes_come_by_confidence_and_only_mistakes(predictions: HeadPredictions) -> None:
    """The surest errors first: mislabelled images are found there."""
    found = mistakes(predictions, 10)
    assert [image.row for image in found] == [5, 3, 9]
    assert found[0].label == 0
    assert [(o.head, o.predicted) for o in found[0].predictions] == [("a", 0), ("b", 1)]
    assert found[0].predictions[1].confidence == pytest.approx(1 / (1 + np.exp(-6.0)))
    assert [image.row for image in mistakes(predictions, 1)] == [5]


def test_disagreements_are_between_classes_not_certainties(predictions: HeadPredictions) -> None:
    """Row 7: both heads say 1, more or less surely. That is agreement."""
    assert [image.row for image in disagreements(predictions, 10)] == [5, 3, 9]


def test_seeds_are_averaged_before_heads_are_asked(predictions: HeadPredictions) -> None:
    """One seed's slip is not the head's opinion."""
    nine = next(p for p in disagreements(predictions, 10) if p.row == 9)
    p = (1 / (1 + np.exp(-0.5)) + 1 / (1 + np.exp(0.4))) / 2
    assert nine.predictions[0].predicted == 1
    assert nine.predictions[0].confidence == pytest.approx(p)


def test_heads_are_compared_on_pictures_that_all_have_seen() -> None:
    """With a split for each seed, unequal seeds must not be taken for disagreement."""
    mine, theirs = split([1.0, 1.0], [1, 2], [1, 1]), split([-1.0, -1.0], [2, 3], [1, 1])
    found = head_predictions({"a": [mine], "b": [theirs]})
    assert found is not None
    assert found.rows.tolist() == [2]
    assert head_predictions({"a": [mine], "b": [split([1.0], [9], [1])]}) is None
    assert head_predictions({}) is None


def test_thumbnails_are_kept_for_reports_without_the_pictures(tmp_path: Path) -> None:
    """The report is drawn anew on a machine that has no photographs."""
    ledger = full_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=1, epochs=1)
    assert read_thumbnails(StudyData(ledger)) is None
    prepared = prepared_set(tmp_path / "prepared", ledger)
    keep_thumbnails(StudyData(ledger), prepared)
    predictions = head_predictions(predictions_on_test(StudyData(ledger)))
    found = read_thumbnails(StudyData(ledger))
    assert found is not None
    assert predictions is not None
    wrong = mistakes(predictions, 24)
    assert {image.row for image in wrong} <= set(found.by_row)
    for row, thumbnail in found.by_row.items():
        np.testing.assert_array_equal(thumbnail.pixels, prepared.images[row])
        assert thumbnail.name == prepared.names[row]
    facts = found.facts
    assert (facts.smallest, facts.largest) == ((100, 200), (299, 399))
    assert (facts.duplicate_groups, facts.duplicates) == (1, 2)
    assert facts.quarantined == (("class/broken <b>.jpg", "class", "truncated"),)


def test_large_pictures_are_kept_small(tmp_path: Path) -> None:
    """Images of 1024 pixels would make a page of a hundred megabytes."""
    ledger = full_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=1, epochs=1)
    prepared = prepared_set(tmp_path / "prepared", ledger)
    large = np.repeat(np.repeat(prepared.images[:], 8, axis=1), 8, axis=2)
    np.save(prepared.folder / "pictures.npy", large)
    object.__setattr__(prepared, "image_size", 8 * SIDE)
    keep_thumbnails(StudyData(ledger), prepared)
    found = read_thumbnails(StudyData(ledger))
    assert found is not None
    assert {t.pixels.shape for t in found.by_row.values()} == {(128, 128, 3)}


def test_damaged_or_foreign_thumbnails_are_as_good_as_none(tmp_path: Path) -> None:
    """A half-copied ledger: the page says that images are missing, it does not fall over."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=1, epochs=1)
    path = tmp_path / "out" / "evidence" / "thumbnails" / "test.npz"
    whole = path.read_bytes()
    assert read_thumbnails(StudyData(ledger)) is not None
    path.write_bytes(whole[:-9])
    assert read_thumbnails(StudyData(ledger)) is None
    predictions = head_predictions(predictions_on_test(StudyData(ledger)))
    assert predictions is not None
    (card,) = cards(
        ledger.file.classes, mistakes(predictions, 1), read_thumbnails(StudyData(ledger))
    )
    assert card.image is None
    assert card.name == f"row {mistakes(predictions, 1)[0].row} of the prepared set"
    path.write_bytes(whole)
    manifest = path.with_suffix(".json")
    manifest.write_text(manifest.read_text().replace("ppp", "qqq"))
    assert read_thumbnails(StudyData(ledger)) is None


def test_thumbnails_are_evidence_and_those_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """Else old ledgers lose the images of their page."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=1, epochs=1)
    path, prepared = tmp_path / "out/evidence/thumbnails/test.npz", ledger.file.prepared
    found = read_thumbnails(StudyData(ledger))
    arrays = read_evidence(path, "thumbnails", prepared)
    assert found is not None
    assert arrays is not None
    assert list(found.by_row) == arrays["rows"].tolist()
    manifest = json.loads(path.with_suffix(".json").read_bytes())
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    path.write_bytes(buffer.getvalue())
    old = {
        "format": 1,
        "prepared": prepared,
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "facts": manifest["facts"],
        "names": manifest["names"],
    }
    path.with_suffix(".json").write_text(json.dumps(old))
    again = read_thumbnails(StudyData(ledger))
    assert again is not None
    assert again.facts == found.facts
    assert list(again.by_row) == list(found.by_row)
    path.with_suffix(".json").write_text(json.dumps(old | {"prepared": "q" * 64}))
    assert read_thumbnails(StudyData(ledger)) is None


def test_class_maps_of_all_heads_have_one_scale(tmp_path: Path) -> None:
    """A head with strong evidence must not look like one with weak evidence."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=1, epochs=1)
    grid = map_grid(StudyData(ledger), 0, 4)
    assert grid is not None
    assert grid.columns == ("fc, Grad-CAM", "gap, Grad-CAM", "gap, exact")
    assert len(grid.rows) == 4
    assert [row.label for row in grid.rows] == ["cat", "dog", "cat", "dog"]
    assert 1 < grid.limit < 4  # normal values: their 99th percentile is about 2.6
    all_of_them = map_grid(StudyData(ledger), 0, 99)
    assert all_of_them is not None
    assert len(all_of_them.rows) == PROBED
    assert map_grid(StudyData(ledger), 3, 4) is None


def test_maps_of_other_pictures_are_not_laid_over_these(tmp_path: Path) -> None:
    """Probe images were chosen anew and one head not probed again: its maps are left out."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=1, epochs=1)
    maps = read_run(ledger, CLASS_MAPS, "fc", 0)
    assert maps is not None
    turned = replace(maps, rows=maps.rows[::-1])
    write_run(ledger, CLASS_MAPS, "fc", 0, CLASS_MAPS.pack(turned))
    grid = map_grid(StudyData(ledger), 0, 4)
    assert grid is not None
    assert grid.columns == ("gap, Grad-CAM", "gap, exact")


def test_maps_of_large_pictures_make_no_large_page(tmp_path: Path) -> None:
    """Eight heads at 224 pixels, twelve images each: a page of more than 3 MB is not mailed."""
    heads = [f"gap{i}" for i in range(8)]
    ledger = rich_ledger(tmp_path / "out", heads=heads, seeds=1, epochs=1, per_class=60)
    rows = np.arange(12)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 28, 28, 3)).astype(np.uint8)
    pixels = np.stack([np.asarray(Image.fromarray(c).resize((224, 224))) for c in coarse])
    pictures = ProbeImages(rows, rows % 2, pixels, pixels)
    write_images(images_path(ledger.out, 0), ledger.file.digest, pictures)
    for head in heads:
        maps = read_run(ledger, CLASS_MAPS, head, 0)
        assert maps is not None
        values = rng.normal(0, 1, (12, 14, 14)).astype(np.float32)
        large = replace(
            maps,
            rows=rows,
            labels=rows % 2,
            stride=16.0,
            gradcam=values,
            exact=values,
            exact_curves=maps.gradcam_curves,
        )
        write_run(ledger, CLASS_MAPS, head, 0, CLASS_MAPS.pack(large))
    grid = map_grid(StudyData(ledger), 0, 12)
    assert grid is not None
    assert len(grid.columns) == 16
    content = base64.b64decode(grid.rows[0].maps[0].address.partition(",")[2])
    assert Image.open(io.BytesIO(content)).size == (160, 160)
    assert len(report_page(ledger)) < 3_000_000


def test_an_address_holds_the_picture() -> None:
    """A thumbnail that does not decode is a broken frame."""
    pixels = np.full((9, 7, 3), (200, 30, 30), np.uint8)
    kind, _, content = data_address(pixels).partition(",")
    assert kind == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert image.size == (7, 9)
    assert np.abs(np.asarray(image).astype(int) - pixels).max() < 12
