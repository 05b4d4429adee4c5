"""What the page says of its own method: the numbers that this study was judged and probed by."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headtohead.config.study_files import load_study
from headtohead.probes.curves import CURVE_PICTURES, FEWER_CURVES, FEWER_STEPS, STEPS
from headtohead.probes.probe_images import MOST
from headtohead.probes.translation import FEWER, PHASES
from headtohead.stats.metrics import BINS
from headtohead.store.changes import LateChange, add_change
from headtohead.store.ledger import Ledger
from headtohead.store.looks import LooksRecord, write_looks
from ledgers import add_run, full_ledger, study_ledger
from pages import part, report_page
from stated import stated

pytestmark = pytest.mark.usefixtures("no_drawing")


def paragraph(page: str, title: str) -> str:
    """A paragraph of the method by the bold words that it begins with."""
    return part(page, f"<p><strong>{title}</strong>", "</p>")


def with_backbone(ledger: Ledger, **backbone: Any) -> Ledger:
    content = ledger.file.model_dump(mode="json")
    content["study"]["backbone"] |= backbone
    return replace(ledger, file=ledger.file.model_validate(content))


def test_the_family_has_as_many_comparisons_as_were_declared(tmp_path: Path) -> None:
    """Else a reader corrects p-values for 37 comparisons where 3 were made."""
    zoo = load_study("pooling-zoo")
    found = {"pairs": (zoo.verdict.pairs, 3), "all": (None, len(zoo.heads) - 1)}
    for name, (pairs, count) in found.items():
        ledger = study_ledger(
            tmp_path / name, heads=list(zoo.heads), reference=zoo.reference, pairs=pairs
        )
        told = paragraph(report_page(ledger), "Verdicts.").partition("Holm-adjusted")[2]
        assert stated(told)[0] == str(count)


def test_a_single_comparison_is_not_said_to_be_adjusted(tmp_path: Path) -> None:
    """Else a reader thinks that p-values were made larger."""
    page = report_page(study_ledger(tmp_path, heads=("fc", "gap"), reference="gap"))
    assert "Holm" not in paragraph(page, "Verdicts.")
    assert "Holm" not in section_html(page, "verdicts")


def test_at_least_as_good_is_said_to_need_all_three_tests(tmp_path: Path) -> None:
    """Else a reader expects that the printed lower bound alone decides it."""
    told = paragraph(report_page(study_ledger(tmp_path)), "Verdicts.").partition("At least as")[2]
    assert stated(told, "three", "Holm")[:3] == ["three", "0.025", "Holm"]


def section_html(page: str, name: str) -> str:
    return page.partition(f'<section aria-labelledby="{name}">')[2].partition("</section>")[0]


def sequential(out: Path) -> Ledger:
    ledger = study_ledger(out, heads=("fc", "fc_dropout", "gap"), seeds=7)
    for head in ("fc", "gap"):
        for seed in range(7):
            add_run(ledger, head, seed)
    record = LooksRecord(
        reference="gap", other="fc", looks=(7, 8, 10), level=0.05, spending="pocock", seeds=2
    )
    write_looks(out, record)
    return ledger


def test_a_sequential_design_is_not_said_to_be_adjusted_for_a_family(tmp_path: Path) -> None:
    """Else its p-values, spent over looks, are taken for Holm's."""
    page = report_page(sequential(tmp_path / "looks"))
    told = paragraph(page, "Verdicts.")
    assert "Holm" not in told
    found = stated(told, "fc", "gap", "pocock", "fc_dropout")
    assert found[-6:] == ["gap", "fc", "7", "8", "10", "pocock"]
    captions = re.findall('<p class="caption">(.*?)</p>', section_html(page, "verdicts"), re.S)
    assert "Holm" not in captions[0]
    assert stated(captions[0], "fc", "fc_dropout")[-1] == "fc"


def test_the_page_does_not_call_a_late_rule_named_before(tmp_path: Path) -> None:
    """Else "named before the study runs" stands beside a note that it was not."""
    ledger = study_ledger(tmp_path, seeds=7)
    assert "later" not in paragraph(report_page(ledger), "Verdicts.")
    add_change(tmp_path, LateChange(rules={"metric": ("macro_f1", "test_accuracy")}))
    assert "later" in paragraph(report_page(ledger), "Verdicts.").partition(":")[0]


def test_random_signs_are_not_called_exact(tmp_path: Path) -> None:
    """Else a test over random choices of signs, as beyond 20 seeds, passes for one over all."""
    for seeds, exact in ((2, True), (21, False)):
        out = tmp_path / str(seeds)
        page = report_page(full_ledger(out, heads=("fc", "gap"), seeds=seeds, epochs=1))
        assert ("exact" in paragraph(page, "Verdicts.")) == exact


def test_probes_are_told_as_they_were_made(tmp_path: Path) -> None:
    """Else a reader of a frozen study believes that 24 images were taken apart, by tenths."""
    trained = study_ledger(tmp_path / "trained")
    frozen = with_backbone(trained, train="none")
    for ledger, images, steps in (
        (trained, CURVE_PICTURES, STEPS),
        (frozen, FEWER_CURVES, FEWER_STEPS),
    ):
        page = report_page(ledger)
        told = paragraph(page, "Class maps.").partition("random maps")[2]
        assert stated(told)[:2] == [str(images), str(100 // steps)]
        assert stated(paragraph(page, "Which images."))[0] == str(MOST)
        moved = stated(paragraph(page, "Translation."))
        assert moved == [str(PHASES), *([str(FEWER)] if ledger is frozen else [])]
        assert stated(paragraph(page, "Calibration."))[0] == str(BINS)


def recipe_of(page: str) -> dict[str, str]:
    """The rows of the recipe on the page."""
    listed = page.partition("<h3>Recipe</h3>")[2].partition("</dl>")[0]
    return dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", listed, re.S))


def with_recipe(ledger: Ledger, heads: Any = None, **recipe: Any) -> Ledger:
    content = ledger.file.model_dump(mode="json")
    content["study"]["recipe"] |= recipe
    for head, own in (heads or {}).items():
        content["study"]["heads"][head]["recipe"] = own
    return replace(ledger, file=ledger.file.model_validate(content))


@pytest.mark.parametrize(
    ("title", "setting", "told"),
    [
        ("batch norm", {"batch_norm": "moving"}, ["moving"]),
        ("batch norm", {"batch_norm": "frozen"}, ["keeps"]),
        ("schedule", {"schedule": "cosine", "warmup": 0.05}, ["cosine", "0", "5"]),
        ("schedule", {"warmup": 0.1}, ["constant", "10"]),
        ("gradient clipping", {"clip_norm": 1.5}, ["1.5"]),
        ("class weights", {"class_weights": "balanced"}, ["balanced"]),
        ("learning rate", {"backbone_learning_rate": 1e-05}, ["0.001", "1e-05"]),
        ("weight decay", {"weight_decay": 0.1, "weight_decay_on": "weights"}, ["0.1", "biases"]),
        ("optimiser", {"optimizer": "sgd"}, ["0.9"]),
        ("batches", {"steps_per_epoch": 15}, ["64", "15"]),
        ("precision", {"precision": "bf16"}, ["bf16"]),
        ("validation", {"validation_pictures": 77}, ["77"]),
        ("checkpointing", {"checkpointing": True}, ["backbone"]),
        ("augmentation", {"augment": {"flip": True}}, ["mirrored"]),
    ],
)
def test_all_that_defines_a_recipe_is_told(
    title: str, setting: dict[str, Any], told: list[str], tmp_path: Path
) -> None:
    """Else two studies that differ in batch norm or in the schedule alone look the same."""
    ledger = study_ledger(tmp_path)
    plain = recipe_of(report_page(ledger))
    changed = recipe_of(report_page(with_recipe(ledger, **setting)))
    assert {key for key in changed if changed[key] != plain.get(key)} == {title}
    for word in told:
        assert re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.])", changed[title]), changed[title]
    assert not changed[title].endswith(", ")


@pytest.mark.parametrize(
    ("backbone", "told"),
    [
        ({"train": "none"}, ["frozen", "random"]),
        ({"train": "last:2"}, ["2", "random"]),
        ({"weights": "pretrained"}, ["frozen"]),
        ({"options": {"widths": [8, 16]}}, ["random", "8", "16"]),
        ({"norm": True, "train": "none"}, ["frozen", "random", "normalised"]),
    ],
)
def test_how_much_of_the_backbone_is_trained_is_told(
    backbone: dict[str, Any], told: list[str], tmp_path: Path
) -> None:
    """Else a frozen backbone, of which only heads were trained, looks like one that was."""
    text = recipe_of(report_page(with_backbone(study_ledger(tmp_path), **backbone)))["backbone"]
    assert stated(text, "frozen", "random", "normalised") == told


def test_a_head_with_a_recipe_of_its_own_is_told(tmp_path: Path) -> None:
    """Else the winner's own learning rate, or that it is not clipped, is nowhere on the page."""
    own = {"fc": {"learning_rate": 0.01, "clip_norm": None, "schedule": "cosine"}}
    own["fc_dropout"] = {"learning_rate": 0.001}
    found = recipe_of(report_page(with_recipe(study_ledger(tmp_path), own, clip_norm=2.0)))
    words = ("learning rate", "cosine", "clipping", "none")
    assert stated(found["fc"], *words) == [
        "learning rate",
        "0.01",
        "cosine",
        "0",
        "clipping",
        "none",
    ]
    assert {"fc_dropout", "gap"} & set(found) == set(), "as the others"
