"""The table is readable where it is printed, and the files are readable by machines."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from headtohead.analysis.run_results import METRICS
from headtohead.config.verdict import Metric
from headtohead.report.formats.csv import results_csv
from headtohead.report.formats.summary import summary_json
from headtohead.report.formats.terminal import render_table, verdict_lines
from headtohead.report.page.answer import opening
from headtohead.report.summary import Summary, summarize
from headtohead.stats.over_images import share_interval
from headtohead.store.ledger import Ledger
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import add_run, change_epochs, full_ledger, study_ledger
from stated import stated


def _printed(summary: Summary, width: int = 80) -> str:
    """As a file or a pipe gets it: no colours, no terminal."""
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(render_table(summary, Path("runs/quick-1234")))
    return buffer.getvalue()


@pytest.mark.parametrize("metric", ["test_accuracy", "balanced_accuracy"])
@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_table_keeps_its_numbers_whole_at_any_width(
    tmp_path: Path, width: int, metric: Metric
) -> None:
    """A number cut by an ellipsis, or at the edge, is a wrong number."""
    ledger = full_ledger(tmp_path, heads=("fc", "fc_dropout", "gap", "avgpool2x2"), seeds=2)
    study = ledger.file.study
    verdict = study.verdict.model_copy(update={"metric": metric})
    asked = ledger.file.model_copy(update={"study": study.model_copy(update={"verdict": verdict})})
    summary = summarize(StudyData(Ledger(ledger.out, asked)))
    lines = _printed(summary, width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    gap = next(head for head in summary.heads if head.head == "gap")
    row = next(line for line in lines if line.split()[:1] == ["gap"] or " gap " in line)
    test = gap.spreads["test_accuracy"]
    assert test is not None
    assert test.sd is not None
    assert f"{100 * test.mean:.1f} ± {100 * test.sd:.1f}" in row
    assert "29,217" in row
    (titles,) = (line for line in lines if line.split()[:2] == ["head", "params"])
    assert titles.split()[-2:] == ["CPU", "s"]


@pytest.mark.parametrize("width", [60, 80])
def test_a_column_is_left_out_before_a_name_is_folded(tmp_path: Path, width: int) -> None:
    """Else `attention_laten` is looked for in the study, and its `t` stands below."""
    ledger = full_ledger(tmp_path, heads=("gap", "attention_latent"), seeds=3)
    table = _printed(summarize(StudyData(ledger)), width).partition("Accuracies")[0]
    assert "attention_latent" in table.split()
    assert max(map(len, table.splitlines())) <= width


def test_a_name_that_fits_nowhere_costs_no_column(tmp_path: Path) -> None:
    """Else one name of 60 letters leaves a table without validation and over-fitting."""
    heads = ("gap", "x" * 60)
    table = _printed(summarize(StudyData(full_ledger(tmp_path, heads=heads, seeds=3))), 80)
    assert "best val." in table.partition("Accuracies")[0]


def test_times_are_the_processors(tmp_path: Path) -> None:
    """Seconds on the clock of runs that shared a machine measure its load, not the head."""
    text = _printed(
        summarize(StudyData(full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=10)))
    )
    rows = [line.split() for line in text.splitlines()[:4]]
    assert rows[0][-2:] == ["CPU", "s"]
    assert [row[-1] for row in rows if row[:1] == ["fc"]] == ["124"]  # on the clock 125
    assert "CPU s: processor" in " ".join(text.split())


def test_winner_is_marked_and_named(tmp_path: Path) -> None:
    """Which head won is what the user came for: found without colour, too."""
    summary = summarize(StudyData(full_ledger(tmp_path, seeds=2)))
    assert summary.winner is not None
    lines = _printed(summary).splitlines()
    (marked,) = [line for line in lines[:5] if line.startswith("*")]
    assert marked.split()[1] == summary.winner.head
    assert f"Chosen on validation: {summary.winner.head}" in " ".join(lines)


def test_too_few_seeds_give_no_verdict_but_estimates(tmp_path: Path) -> None:
    """Two seeds must never read like a result."""
    text = " ".join(_printed(summarize(StudyData(full_ledger(tmp_path, seeds=2)))).split())
    (line,) = re.findall("No verdict: (.*?) needed", text)
    assert stated(line) == ["2", "7"]
    (ends,) = {text[at.end()] for at in re.finditer(r"an estimate\)", text)}
    assert ends == ".", "each is a sentence of its own"
    assert "supported" not in text
    assert "over 2 finished runs" in text


def test_enough_seeds_print_each_verdict_with_its_rule(tmp_path: Path) -> None:
    """The rule is printed beside the number, for every pair."""
    summary = summarize(StudyData(full_ledger(tmp_path, seeds=7)))
    text = " ".join(_printed(summary).split())
    for item in summary.comparisons:
        for verdict in (item.comparison.better, item.comparison.not_worse):
            assert f"{verdict.claim}: {verdict.outcome} ({verdict.rule})." in text


def test_both_intervals_stand_side_by_side(tmp_path: Path) -> None:
    """Seeds are not images: whoever sees one interval must see what it leaves out."""
    summary = summarize(StudyData(full_ledger(tmp_path, heads=("fc", "gap"), seeds=7)))
    text = " ".join(_printed(summary).split())
    (item,) = summary.comparisons
    assert item.pictures is not None
    assert item.pictures.low is not None
    assert "95 % t interval" in text
    assert f"over images, not seeds: {100 * item.pictures.mean:+.2f}, 95 % interval" in text
    assert f"{100 * item.pictures.low:+.2f} to" in text
    assert "McNemar per seed, descriptive" in text
    assert "estimates in summary.json, no verdict" in text
    assert "taken from the reference" in text


def test_one_run_has_no_spread_and_no_comparison(tmp_path: Path) -> None:
    """`± 0.0` from one seed would be certainty that nobody has."""
    text = _printed(summarize(StudyData(full_ledger(tmp_path, heads=("gap",), seeds=1))))
    assert "±" not in text.split("Accuracies")[0]
    words = " ".join(text.split())
    assert "of 1 finished run of" in words
    assert "deviation" not in words
    assert "verdict" not in text.lower()


def test_where_every_run_failed_no_number_is_explained(tmp_path: Path) -> None:
    """Else "Accuracies in %, of 0 finished run" stands below a table of dashes."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=1)
    for head in ("fc", "gap"):
        add_run(ledger, head, 0, failure=Failure(reason="diverged", epoch=1, step=1))
    text = _printed(summarize(StudyData(ledger)))
    assert "Accuracies in" not in text
    assert "Largest class: " in text


def test_verdicts_say_what_they_are_about(tmp_path: Path) -> None:
    """Else points of macro-F1 are read as points of the accuracy beside it."""
    ledger = full_ledger(tmp_path / "one", heads=("fc", "gap"), epochs=1, metric="macro_f1")
    lines = list(verdict_lines(summarize(StudyData(ledger))))
    assert stated(lines[0], "macro-F1") == ["macro-F1"]
    assert "beats" in lines[1]
    usual = full_ledger(tmp_path / "two", heads=("fc", "gap"), epochs=1)
    assert "beats" in next(verdict_lines(summarize(StudyData(usual))))


def test_equal_p_values_are_said_once(tmp_path: Path) -> None:
    """Else "p = 1 to 1" is read as a range."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=1)
    for seed in (0, 1):
        add_run(ledger, "fc", seed, skill=0.80)
        add_run(ledger, "gap", seed, skill=0.81)
    (item,) = (summary := summarize(StudyData(ledger))).comparisons
    assert len({f"{test.p:.2g}" for test in item.mcnemar}) == 1
    assert " to " not in " ".join(_printed(summary).split()).partition("descriptive:")[2][:20]


def test_auroc_is_what_page_and_files_have(tmp_path: Path) -> None:
    """Else 91.1 stands on the terminal and 0.911 on the page."""
    summary = summarize(StudyData(full_ledger(tmp_path, heads=("gap",), seeds=1)))
    (head,) = summary.heads
    area, error = head.spreads["test_auroc"], head.spreads["test_ece"]
    assert area is not None
    assert error is not None
    lines = _printed(summary, 140).splitlines()
    (row,) = (line for line in lines if " gap " in line)
    assert {f"{area.mean:.3f}", f"{100 * error.mean:.1f}"} <= set(row.split())
    assert "ECE, %" in lines[0]


def test_numbers_below_zero_have_a_sign_on_any_terminal(tmp_path: Path) -> None:
    """Else one without Unicode shows "?0.4" for what lies below zero."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=1)
    for seed in (0, 1):
        add_run(ledger, "fc", seed, skill=0.51)
        add_run(ledger, "gap", seed, skill=0.8)
    summary = summarize(StudyData(ledger))
    assert "−" in " ".join(opening(summary))
    assert "−" not in _printed(summary)


def test_a_number_that_rounds_to_zero_has_no_sign(tmp_path: Path) -> None:
    """Else a head that over-fits by nothing reads "-0.0", which the page does not say."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    change_epochs(ledger, "gap", train_accuracy=0.8, val_accuracy=0.8001)
    text = _printed(summarize(StudyData(ledger)), 200)
    row = next(line.split() for line in text.splitlines() if "gap" in line.split()[:2])
    assert ("0.0" in row, "-0.0" in row) == (True, False)


def test_failures_and_gaps_are_said_with_brackets_as_they_are(tmp_path: Path) -> None:
    """Rich would eat `[...]` in a reason as markup, and the table would hide the failure."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=1)
    add_run(ledger, "fc", 0, failure=Failure(reason="[red]loss[/red]", epoch=1, step=1))
    text = _printed(summarize(StudyData(ledger)))
    assert "[red]loss[/red]" in text
    assert "–" in next(line for line in text.splitlines() if line.startswith("  fc "))


def test_nothing_finished_is_clear_words_without_an_empty_table(tmp_path: Path) -> None:
    """An empty grid explains nothing."""
    text = _printed(summarize(StudyData(study_ledger(tmp_path))))
    assert text.startswith("Note: No run")
    assert "Written" not in text


def test_csv_has_one_row_per_run_with_all_metrics(tmp_path: Path) -> None:
    """Whoever goes on with pandas or R needs every run, the failed ones too."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    for head, seed in (("fc", 0), ("gap", 0), ("gap", 1)):
        add_run(ledger, head, seed)
    add_run(ledger, "fc", 1, failure=Failure(reason='comma, "quote"', epoch=1, step=7))
    summary = summarize(StudyData(ledger))
    rows = list(csv.DictReader(io.StringIO(results_csv(summary).decode())))
    assert [(row["head"], row["seed"]) for row in rows] == [
        ("fc", "0"),
        ("fc", "1"),
        ("gap", "0"),
        ("gap", "1"),
        ("largest class", ""),
    ]
    assert set(METRICS) <= set(rows[0])
    for row, run in zip(rows[:-1], summary.runs, strict=True):
        for name in METRICS:
            expected = run.metrics[name]
            assert row[name] == ("" if expected is None else repr(expected))
    assert rows[1]["status"] == "failed"
    assert rows[1]["failure"] == summary.runs[1].failure
    assert stated(rows[1]["failure"], 'comma, "quote"') == ['comma, "quote"', "1", "7"]
    assert rows[1]["scored_test_accuracy"] == "0.5"
    low, high = share_interval(100, 200, 0.05)
    last = rows[-1]
    assert (last["test_accuracy_low"], last["test_accuracy_high"]) == (repr(low), repr(high))
    assert (last["test_accuracy"], last["test_loss"]) == ("0.5", "")
    assert float(rows[0]["test_accuracy_low"]) < float(rows[0]["test_accuracy"])


def test_json_is_strict_and_whole(tmp_path: Path) -> None:
    """`NaN` in JSON breaks every reader but Python's: a loss that overflowed must be null."""
    ledger = full_ledger(tmp_path, seeds=2)
    path = tmp_path / "runs" / "gap" / "seed-0" / "history.jsonl"
    lines = path.read_text().splitlines()
    broken = [json.loads(line) | {"val_loss": "Infinity"} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in broken))
    summary = summarize(StudyData(ledger))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads(summary_json(summary), parse_constant=refuse)
    assert found["format"] == 1
    gap = next(head for head in found["heads"] if head["head"] == "gap")
    assert gap["runs"][0]["metrics"]["last_val_loss"] is None
    assert gap["runs"][1]["metrics"]["last_val_loss"] is not None
    assert found["winner"]["head"] == summary.winner.head if summary.winner else False
    assert len(found["comparisons"]) == 2
    assert found["comparisons"][0]["comparison"]["better"]["outcome"] == "inconclusive"
