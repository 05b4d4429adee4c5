"""The ledger → the five claims, from records and evidence alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from headtohead.claims.base import JudgedClaim
from headtohead.claims.judge import judge
from headtohead.claims.speed import speed_charts, speeds_of
from headtohead.core.streams import stream
from headtohead.probes.base import write_run, write_session
from headtohead.probes.class_maps import CLASS_MAPS, ClassMaps
from headtohead.probes.costs import COSTS, Costs
from headtohead.probes.curves import Curves
from headtohead.probes.probe_images import Masks, masks_path, write_masks
from headtohead.probes.speed import SPEED, Speed
from headtohead.probes.translation import TRANSLATION, Translation
from headtohead.report.formats.terminal import render_text
from headtohead.report.page.findings import target_rows
from headtohead.report.summary import summarize
from headtohead.store.changes import LateChange, add_change
from headtohead.store.ledger import Ledger, StudyFile
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import ENVIRONMENT, add_run, change_epochs, full_ledger, study_ledger
from stated import stated

PICTURES, SIDE = 12, 16
ROWS = np.arange(PICTURES)
AIM = {"gap": 0.9, "fc_dropout": 0.5, "fc": 0.5}  # how often a map or an answer is right


def named(claims: tuple[JudgedClaim, ...]) -> dict[str, JudgedClaim]:
    return {claim.name: claim for claim in claims}


def half_masks() -> Masks:
    """The object fills the left half of even images, the right half of odd ones."""
    masks = np.zeros((PICTURES, SIDE, SIDE), np.uint8)
    masks[::2, :, : SIDE // 2] = 1
    masks[1::2, :, SIDE // 2 :] = 1
    return Masks(ROWS, masks)


def maps_of(head: str, seed: int) -> ClassMaps:
    maps = np.zeros((PICTURES, 2, 2), np.float32)
    share = AIM[head] + stream(seed, "maps", head).uniform(-0.02, 0.02)
    maps[::2, :, 0], maps[::2, :, 1] = share, 1 - share
    maps[1::2, :, 1], maps[1::2, :, 0] = share, 1 - share
    flat, steep = np.full((4, 11), 0.5, np.float32), np.full((4, 11), share, np.float32)
    random, found = Curves(flat, flat), Curves(1 - steep, steep)
    return ClassMaps(ROWS, ROWS % 2, 3.5, 8.0, maps, None, random, found, None, np.arange(4))


def moved(head: str, seed: int, step: int = 1) -> Translation:
    shifts = np.array([[0, 0], [0, step], [step, 0], [8, 8]])
    keeps = stream(seed, "moved", head).random((4, 400)) < AIM[head]
    keeps[0] = True
    labels = np.arange(400) % 2
    predicted = np.where(keeps, labels, 1 - labels)
    fine = np.array([True, True, True, False])
    return Translation(np.arange(400), labels, shifts, fine, predicted)


def probe(ledger: Ledger, *, masks: bool = True, skip: tuple[str, int] | None = None) -> Ledger:
    """Evidence of every run: `gap` looks at the object and keeps its answers, others do not."""
    study, digest = ledger.file.study, ledger.file.digest
    for seed in range(study.seeds):
        for head in study.heads:
            if (head, seed) == skip:
                continue
            write_run(ledger, CLASS_MAPS, head, seed, CLASS_MAPS.pack(maps_of(head, seed)))
            write_run(ledger, TRANSLATION, head, seed, TRANSLATION.pack(moved(head, seed)))
            cost = Costs(1000, len(head), 10, 20, 30, 40)
            write_run(ledger, COSTS, head, seed, COSTS.pack(cost))
    if masks:
        write_masks(masks_path(ledger.out, 0), digest, half_masks())
    write_session(ledger, SPEED, SPEED.pack(speed_of(tuple(study.heads), 1.0)))
    return ledger


def speed_of(heads: tuple[str, ...], seconds: float) -> Speed:
    """A session in which a step of `gap` takes half as long as one of all others."""
    times = seconds * np.array([[0.5 if head == "gap" else 1.0] * 7 for head in heads])
    return Speed(heads, (64,) * len(heads), "cpu", 2 * times, times)


def test_a_whole_study_answers_every_claim(tmp_path: Path) -> None:
    """Else evidence lies in the ledger and no claim uses it."""
    claims = judge(StudyData(probe(full_ledger(tmp_path, seeds=7))))
    assert [claim.name for claim in claims] == [
        *("parameters", "overfitting", "class_maps", "translation", "speed"),
    ]
    found = named(claims)
    for name in ("parameters", "overfitting", "class_maps", "translation"):
        assert found[name].outcome == "supported", found[name]
    said = stated(found["overfitting"].statement, "gap", "less", "more", "fc", "fc_dropout")
    assert said == ["gap", "less", "fc_dropout"]
    assert stated(found["class_maps"].rule, "object", "insertion")[0] == "object"
    maps = {row.name: row.heads for row in found["class_maps"].measures}
    pointing = maps["Grad-CAM: points at the object"]
    assert pointing["gap"] == 1
    assert pointing["fc"] is not None
    assert pointing["fc"] < 1
    assert maps["chance: pointing, other images' Grad-CAM"]["gap"] == pytest.approx(5 / 11)
    (exact,) = (heads for name, heads in maps.items() if name.startswith("exact map: points"))
    assert exact["gap"] is None
    (cost,) = (
        r for r in found["parameters"].measures if r.name.startswith("multiply-adds of the model")
    )
    assert (cost.unit, cost.heads["gap"]) == ("count", 1003)
    step = found["speed"].rule.partition("Per step")[2]
    assert stated(step, "faster", "slower")[:2] == ["faster", "0.500"]
    (control,) = (note for note in found["overfitting"].notes if "estimate" in note)
    subject, other, *numbers = stated(control, "fc", "fc_dropout", "gap", "points", "seeds")
    assert (subject, other, numbers[-2:]) == ("fc", "gap", ["7", "seeds"])


def test_without_masks_deletion_and_insertion_decide(tmp_path: Path) -> None:
    """Else a study of one's own photographs has no third claim."""
    ledger = full_ledger(tmp_path, seeds=7, data="photographs")
    found = named(judge(StudyData(probe(ledger, masks=False))))
    assert found["class_maps"].outcome == "supported"
    said = stated(found["class_maps"].rule, "object", "insertion", "deletion", "no", "masks")
    assert said[:4] == ["insertion", "deletion", "no", "masks"]
    (row,) = (r for r in found["class_maps"].measures if r.name.startswith("Grad-CAM"))
    assert row.heads["gap"] == pytest.approx(0.8, abs=0.02)  # 0.9 less 0.1 under the curves


@pytest.mark.parametrize(("step", "name"), [(1, "single-pixel"), (4, "small")])
def test_small_steps_are_called_single_pixels_only_where_they_are(
    tmp_path: Path, step: int, name: str
) -> None:
    """Else a table has a column of single-pixel steps that were four pixels wide."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1)
    for head in ("fc", "gap"):
        write_run(ledger, TRANSLATION, head, 0, TRANSLATION.pack(moved(head, 0, step)))
    rows = named(judge(StudyData(ledger)))["translation"].measures
    small = [row.name for row in rows if "steps" in row.name and "large" not in row.name]
    assert len(small) == 2
    assert all(name in row for row in small)


@pytest.mark.parametrize(("data", "given"), [("synthetic", None), ("photographs", "masks")])
def test_lost_masks_change_no_rule(tmp_path: Path, data: str, given: str | None) -> None:
    """Else a folder that was tidied up is judged by another rule, and says it had no masks."""
    ledger = probe(full_ledger(tmp_path, seeds=7, data=data, masks=given), masks=False)
    found = named(judge(StudyData(ledger)))
    assert found["class_maps"].outcome == "inconclusive"
    said = stated(found["class_maps"].rule, "object", "insertion", "masks", "lost")
    assert said == ["object", "masks", "lost"]
    assert found["translation"].outcome == "supported"
    write_masks(masks_path(tmp_path, 0), ledger.file.digest, half_masks())
    assert named(judge(StudyData(ledger)))["class_maps"].outcome == "supported"


def test_masks_of_an_older_ledger_are_known_by_their_evidence(tmp_path: Path) -> None:
    """Else the command that a page of it prints leaves its masks out."""
    ledger = full_ledger(tmp_path, seeds=1, data="photographs")
    assert StudyData(ledger).masks_folder is None
    assert StudyData(probe(ledger)).masks_folder == "MASKS"


def test_an_epochs_pictures_are_those_of_its_steps(tmp_path: Path) -> None:
    """Else a study with `steps_per_epoch` is told times of epochs that it never ran."""
    ledger = probe(full_ledger(tmp_path / "one", heads=("fc", "gap"), seeds=1))
    assert speeds_of(StudyData(ledger))["gap"].pictures == 1600
    content = ledger.file.model_dump()
    content["study"]["heads"]["gap"]["recipe"] = {"steps_per_epoch": 3, "batch_size": 10}
    other = Ledger.create(tmp_path / "other", StudyFile.model_validate(content))
    for head in ("fc", "gap"):
        add_run(other, head, 0)
    times = np.ones((2, 7))
    speed = Speed(("fc", "gap"), (64, 10), "cpu", times, times)
    write_session(other, SPEED, SPEED.pack(speed))
    paces = speeds_of(StudyData(other))
    assert (paces["fc"].pictures, paces["gap"].pictures) == (1600, 30)


def test_a_head_that_fits_nothing_does_not_over_fit_less(tmp_path: Path) -> None:
    """Else a head that learned nothing is said to over-fit less than one that learned."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=7)
    assert named(judge(StudyData(ledger)))["overfitting"].outcome == "supported"
    change_epochs(ledger, "gap", accuracy=0.5, train_accuracy=0.51, val_accuracy=0.5)
    found = named(judge(StudyData(ledger)))["overfitting"]
    assert found.outcome == "inconclusive"
    assert found.difference is not None
    assert found.difference.n == 0
    note = next(note for note in found.notes if "largest class" in note)
    assert stated(note, "gap", "fc") == ["gap", *map(str, range(7))]
    change_epochs(ledger, "gap", train_accuracy=0.9)  # it fits, if only its training images
    found = named(judge(StudyData(ledger)))["overfitting"]
    assert found.outcome == "refuted"


def test_a_target_that_is_named_late_proves_no_speed(tmp_path: Path) -> None:
    """Else whoever reads the report, names its target and runs again has a verdict."""
    ledger = probe(full_ledger(tmp_path, heads=("fc", "gap"), seeds=7))
    study = ledger.file.study
    rule = study.verdict.model_copy(update={"target": 0.6})
    file = ledger.file.model_copy(update={"study": study.model_copy(update={"verdict": rule})})
    ledger = Ledger.create(tmp_path, file)
    assert named(judge(StudyData(ledger)))["speed"].outcome == "supported"
    add_change(tmp_path, LateChange(rules={"target": ("none", "0.6")}))
    found = named(judge(StudyData(ledger)))["speed"]
    assert found.outcome == "inconclusive"
    assert stated(found.rule, "estimate", "verdict.target")[-1] == "verdict.target"


def in_closed_form(ledger: Ledger, head: str) -> None:
    """Make every run of `head` one of a single pass, as `class_mean` leaves them."""
    for path in ledger.out.glob(f"runs/{head}/*/run.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"epochs": 1, "best_epoch": 1}))
        history = path.with_name("history.jsonl")
        history.write_text(history.read_text().splitlines()[0] + "\n")


def test_a_head_without_epochs_is_missing_from_no_list_unexplained(tmp_path: Path) -> None:
    """Else `class_mean` disappears from the times to a target, and nobody knows why."""
    ledger = full_ledger(tmp_path, heads=("fc_dropout", "class_mean", "gap"), seeds=2)
    in_closed_form(ledger, "class_mean")
    write_session(ledger, SPEED, SPEED.pack(speed_of(tuple(ledger.file.study.heads), 1e-5)))
    data = StudyData(ledger)
    summary = summarize(data)
    rows = target_rows(summary)
    assert [row.head for row in rows] == ["fc_dropout", "gap", "class_mean"]
    assert "closed form" in rows[-1].epochs
    printed = render_text(summary).partition("Epochs to ")[2].partition("Every other")[0]
    heads = [word for word in stated(printed, *data.heads, "closed form") if not word[0].isdigit()]
    assert heads == ["fc_dropout", "gap", "class_mean", "closed form"]
    (note,) = (note for note in named(judge(data))["speed"].notes if "closed form" in note)
    assert stated(note, *data.heads) == ["class_mean"]
    charts = {chart.name: chart for chart in speed_charts(data)}
    assert stated(charts["speed-epochs"].caption, *data.heads) == ["class_mean"]
    seconds = [said for series in charts["speed-seconds"].series for said in series.said]
    assert seconds
    assert not any(" 0 s" in said for said in seconds)


def test_a_claim_about_a_head_without_epochs_says_what_is_missing(tmp_path: Path) -> None:
    """Else a reader waits for a speed session that was held long ago."""
    ledger = full_ledger(tmp_path, heads=("class_mean", "gap"), seeds=2)
    in_closed_form(ledger, "class_mean")
    write_session(ledger, SPEED, SPEED.pack(speed_of(("class_mean", "gap"), 1e-5)))
    found = named(judge(StudyData(ledger)))["speed"]
    assert found.outcome == "inconclusive"
    assert stated(found.rule, "class_mean", "closed form", "no speed session") == [
        *("class_mean", "closed form"),
    ]


def test_two_seeds_are_too_few(tmp_path: Path) -> None:
    """Else the quick study hands out verdicts."""
    found = named(judge(StudyData(probe(full_ledger(tmp_path, seeds=2)))))
    for name in ("overfitting", "class_maps", "translation"):
        assert stated(found[name].rule, "needed") == ["2", "7", "needed"]
    assert found["parameters"].outcome == "supported"
    assert found["speed"].outcome == "inconclusive"


def test_missing_evidence_is_told(tmp_path: Path) -> None:
    """Else a verdict over six seeds passes for one over seven."""
    found = named(judge(StudyData(probe(full_ledger(tmp_path, seeds=7), skip=("gap", 3)))))
    assert stated(found["translation"].rule, "needed") == ["6", "7", "needed"]
    for name in ("class_maps", "translation"):
        assert any("gap seed 3" in note for note in found[name].notes)


def test_a_study_before_its_probes_says_so(tmp_path: Path) -> None:
    """Else a report of an older ledger ends in a traceback."""
    found = named(judge(StudyData(full_ledger(tmp_path, seeds=7))))
    assert found["overfitting"].outcome == "supported"
    assert "0 seeds" in found["class_maps"].rule
    assert "0 seeds" in found["translation"].rule
    assert "no speed session" in found["speed"].rule


def test_pairs_of_unlike_machines_and_failed_runs_are_left_out(tmp_path: Path) -> None:
    """Else claims mix machines, or a diverged run counts as one that does not over-fit."""
    ledger = study_ledger(tmp_path, seeds=7)
    for seed in range(7):
        add_run(ledger, "gap", seed)
        other = {"torch": "1.0"} if seed == 0 else ENVIRONMENT
        failure = Failure(reason="not finite", epoch=2, step=1) if seed == 1 else None
        add_run(ledger, "fc_dropout", seed, failure=failure, environment=other)
    found = named(judge(StudyData(probe(ledger))))
    for name in ("overfitting", "class_maps"):
        assert stated(found[name].rule, "needed") == ["5", "7", "needed"]


@pytest.mark.parametrize("heads", [("gap",), ("fc",)])
def test_one_head_alone_has_no_claims(tmp_path: Path, heads: tuple[str, ...]) -> None:
    """Else a report of one head ends in a traceback."""
    assert judge(StudyData(full_ledger(tmp_path, heads=heads, seeds=1))) == ()


def test_a_study_without_runs_has_open_claims(tmp_path: Path) -> None:
    """Else a report of a study that was stopped at once ends in a traceback."""
    found = judge(StudyData(study_ledger(tmp_path, seeds=7)))
    assert {claim.outcome for claim in found} == {"inconclusive"}


def test_measures_that_point_in_opposite_directions_are_said(tmp_path: Path) -> None:
    """Else "over-fits less" is read as settled while the loss says the contrary."""
    ledger = full_ledger(tmp_path, seeds=7)
    assert not any("opposite" in n for n in named(judge(StudyData(ledger)))["overfitting"].notes)
    for seed in range(7):
        path = ledger.run_folder("gap", seed) / "history.jsonl"
        *before, last = path.read_text().splitlines()
        lost = json.dumps(json.loads(last) | {"val_loss": 9.0})
        path.write_text("\n".join([*before, lost]) + "\n")
    notes = named(judge(StudyData(ledger)))["overfitting"].notes
    (note,) = (note for note in notes if "opposite" in note)
    seeds, closer, points, rises, nats = stated(note, "gap", "fc_dropout")
    assert (seeds, closer, rises) == ("7", "gap", "fc_dropout")
    assert float(points) > 0
    assert float(nats) > 0


def test_a_difference_that_is_told_as_nothing_is_no_opposite_direction(tmp_path: Path) -> None:
    """Lost: trust in a page that says the loss "rises more (by 0.000 nats)"."""
    ledger = full_ledger(tmp_path, seeds=7)
    for head, rise in (("gap", 0.0004), ("fc_dropout", 0.0)):
        for seed in range(7):
            path = ledger.run_folder(head, seed) / "history.jsonl"
            lines = [json.loads(line) | {"val_loss": 1.0} for line in path.read_text().splitlines()]
            lines[-1]["val_loss"] = 1.0 + rise
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    notes = named(judge(StudyData(ledger)))["overfitting"].notes
    assert not any("opposite" in note for note in notes)


def test_a_head_that_lags_wins_and_loses_no_claim(tmp_path: Path) -> None:
    """Else batch norm's lag, which lowers training accuracy, passes for less over-fitting."""
    ledger = full_ledger(tmp_path, seeds=7)
    assert named(judge(StudyData(ledger)))["overfitting"].outcome == "supported"
    change_epochs(ledger, "gap", accuracy=0.9, train_accuracy=0.7)
    found = named(judge(StudyData(ledger)))
    outcomes = {name: claim.outcome for name, claim in found.items()}
    assert outcomes.pop("parameters") == "supported", "they are counted, not evaluated"
    assert set(outcomes.values()) == {"not judged"}
    assert stated(found["overfitting"].rule, "gap")[:3] == ["gap", "90.0", "70.0"]
    assert found["overfitting"].difference is not None


def test_what_is_not_judged_keeps_its_numbers(tmp_path: Path) -> None:
    """Else a control's over-fitting is told and that of the claim's own two heads is not."""
    ledger = probe(full_ledger(tmp_path, seeds=7))
    judged = named(judge(StudyData(ledger)))
    change_epochs(ledger, "gap", accuracy=0.99)
    found = named(judge(StudyData(ledger)))
    for name in ("overfitting", "class_maps", "translation"):
        assert found[name].outcome == "not judged"
        difference = judged[name].difference
        assert difference is not None
        assert difference.low is not None
        pair = "fc_dropout minus gap" if name == "overfitting" else "gap minus fc_dropout"
        told = stated(found[name].notes[0], pair)
        assert told[0] == pair
        assert told[1] == f"{100 * (difference.mean or 0):+.2f}"
        assert f"{100 * difference.low:+.2f}" in told
        assert told[-1] == "7"
    assert "0.500" in found["speed"].notes[0]


def test_a_third_head_that_lags_takes_no_claim_away(tmp_path: Path) -> None:
    """The claims are about two heads: what a third one does is not their fault."""
    ledger = full_ledger(tmp_path, seeds=7)
    before = judge(StudyData(ledger))
    change_epochs(ledger, "fc", accuracy=0.99)
    assert [c.outcome for c in judge(StudyData(ledger))] == [c.outcome for c in before]
