"""The interval beside a comparison is the one that its verdict rests on."""

import re
from pathlib import Path

import numpy as np
import pytest

from headtohead.core.text import confidence, minus, with_sign
from headtohead.report.comparisons import HeadComparison, look_differences
from headtohead.report.formats.latex import latex_tables
from headtohead.report.formats.markdown import report_markdown
from headtohead.report.formats.terminal import render_text, verdict_lines
from headtohead.report.intervals import OVER_LOOKS, WITHOUT_LOOKS, over_seeds
from headtohead.report.page.content import gather
from headtohead.report.page.forest import difference_text, forest
from headtohead.report.page.reasons import reason
from headtohead.report.summary import Summary, summarize
from headtohead.stats.sequential import take_looks
from headtohead.store.ledger import Ledger
from headtohead.store.looks import LookRecord, LooksRecord, write_looks
from headtohead.study_data import StudyData
from ledgers import add_run, change_epochs, full_ledger, study_ledger
from pages import report_page
from stated import stated

HEADS = ("fc", "gap", "gmp")


def looked_at(out: Path, *, seeds: int = 7, looks: int = 7) -> Ledger:
    """Pairs of `seeds` seeds, of which the design has looked at the first `looks`."""
    ledger = study_ledger(out, heads=HEADS, seeds=seeds, epochs=1, reference="gap")
    for seed in range(seeds):
        for head in HEADS:
            add_run(ledger, head, seed, skill=0.8 + (head == "gap") * (0.01 + 0.01 * (seed % 3)))
    record = LooksRecord(
        reference="gap", other="fc", looks=(7, 9, 12), level=0.05, spending="pocock", seeds=2
    )
    found = look_differences(StudyData(ledger), record)
    seen = tuple(found[seed] for seed in range(looks))
    taken = [
        LookRecord(differences=seen[: look.n], **vars(look))
        for look in take_looks(seen, record.design)
    ]
    write_looks(out, record.model_copy(update={"taken": tuple(taken)}))
    return ledger


def against(summary: Summary, other: str) -> HeadComparison:
    return next(item for item in summary.comparisons if item.other == other)


def test_a_pair_that_is_looked_at_has_the_interval_over_all_looks(tmp_path: Path) -> None:
    """Else its narrower interval of a single test stands beside a verdict that took several."""
    summary = summarize(StudyData(looked_at(tmp_path)))
    assert summary.looks is not None
    look = summary.looks.taken[-1]
    found, ordinary = over_seeds(summary, against(summary, "fc")), against(summary, "fc")
    assert (found.bounds, found.about) == ((look.low, look.high), OVER_LOOKS)
    low, high = ordinary.comparison.difference.low, ordinary.comparison.difference.high
    assert look.low is not None
    assert look.high is not None
    assert low is not None
    assert high is not None
    assert look.low < low < high < look.high
    other = over_seeds(summary, against(summary, "gmp"))
    assert other.about == "", "the others are no part of the design"


def test_every_report_shows_the_interval_over_all_looks(tmp_path: Path, no_drawing: object) -> None:
    """Else chart, `report.md` and the paper's table disagree with the page's first sentence."""
    ledger = looked_at(tmp_path)
    summary = summarize(StudyData(ledger))
    assert summary.looks is not None
    look = summary.looks.taken[-1]
    ends = [minus(with_sign(100 * end)) for end in (look.low or 0.0, look.high or 0.0)]
    told = minus(difference_text(summary, against(summary, "fc")))
    assert stated(told, OVER_LOOKS)[-3:] == [OVER_LOOKS, *ends]
    assert OVER_LOOKS not in difference_text(summary, against(summary, "gmp"))
    content = gather(StudyData(ledger), summary)
    assert f"{OVER_LOOKS}) {' to '.join(ends)}" in report_markdown(content).decode()
    table = latex_tables(content)["verdicts.tex"].decode()
    (row,) = (line for line in table.splitlines() if line.startswith(("fc &", "\\raggedright fc")))
    assert f"[{ends[0]}, {ends[1]}]" in row
    assert OVER_LOOKS in table


def test_the_forest_draws_the_interval_over_all_looks(tmp_path: Path) -> None:
    """Else the line ends where no verdict ends."""
    summary = summarize(StudyData(looked_at(tmp_path)))
    assert summary.looks is not None
    high = summary.looks.taken[-1].high
    chart = forest(summary, HEADS)
    assert chart is not None
    assert high is not None
    ends = [float(np.max(line.get_xdata())) for line in chart.figure.axes[0].lines]
    assert any(end == pytest.approx(100 * high) for end in ends)
    assert stated(chart.caption, "repeated", "gap minus fc", "gap minus gmp")[1:3] == [
        *("gap minus fc", "repeated"),
    ]


def test_pairs_that_were_added_without_a_look_say_so(tmp_path: Path) -> None:
    """Else an interval of eight pairs is taken for that of the look at seven."""
    summary = summarize(StudyData(looked_at(tmp_path, seeds=8)))
    found = over_seeds(summary, against(summary, "fc"))
    assert found.about == WITHOUT_LOOKS
    assert WITHOUT_LOOKS in reason(summary, against(summary, "fc"))
    assert WITHOUT_LOOKS in difference_text(summary, against(summary, "fc"))


def test_an_interval_over_all_looks_is_at_the_level_of_its_design(tmp_path: Path) -> None:
    """Else a later command's level is printed beside an interval of another."""
    ledger = looked_at(tmp_path)
    study = ledger.file.study
    rule = study.verdict.model_copy(update={"level": 0.1})
    file = ledger.file.model_copy(update={"study": study.model_copy(update={"verdict": rule})})
    summary = summarize(StudyData(Ledger.create(tmp_path, file)))
    assert over_seeds(summary, against(summary, "fc")).confidence == "95 %"
    assert over_seeds(summary, against(summary, "gmp")).confidence == "90 %"
    assert "95 %" in reason(summary, against(summary, "fc"))


def test_the_terminal_estimates_a_lagging_pair_by_its_looks(tmp_path: Path) -> None:
    """Else the terminal alone shows the narrower interval."""
    ledger = looked_at(tmp_path)
    change_epochs(ledger, "fc", accuracy=0.9, train_accuracy=0.8)
    summary = summarize(StudyData(ledger))
    line = next(line for line in verdict_lines(summary) if "not judged" in line)
    assert OVER_LOOKS in line


def test_a_verdict_by_looks_names_no_test_of_all_pairs_at_once(tmp_path: Path) -> None:
    """Else `summary.json` says that a test of another rule stood against it."""
    summary = summarize(StudyData(looked_at(tmp_path)))
    assert all(item.comparison.deciding is None for item in summary.comparisons)


@pytest.mark.parametrize(
    ("level", "text"), [(0.0247, "97.53 %"), (2e-5, "99.998 %"), (0.05, "95 %")]
)
def test_no_interval_is_called_certain(level: float, text: str) -> None:
    """Else a look that spends little has a "100 % interval"."""
    assert confidence(level) == text


@pytest.mark.usefixtures("no_drawing")
def test_no_interval_of_a_report_is_called_certain(tmp_path: Path) -> None:
    """Else a study with a very small level reads that its intervals hold with 100 %."""
    ledger = full_ledger(tmp_path, seeds=2, level=1e-8)
    summary = summarize(StudyData(ledger))
    content = gather(StudyData(ledger), summary)
    tables = (table.decode() for table in latex_tables(content).values())
    for text in (
        render_text(summary),
        report_page(ledger),
        report_markdown(content).decode(),
        *tables,
    ):
        assert not re.search(r"\b100 ?\\?% (t )?(interval|confidence)", " ".join(text.split()))


def test_looks_by_another_metric_are_told_as_such(tmp_path: Path) -> None:
    """Else the page says that looks decide a comparison which they never looked at."""
    ledger = full_ledger(tmp_path, heads=HEADS, reference="gap", metric="balanced_accuracy")
    record = LooksRecord(
        reference="gap", other="fc", looks=(7, 9), level=0.05, spending="pocock", seeds=7
    )
    write_looks(tmp_path, record)
    summary = summarize(StudyData(ledger))
    told = reason(summary, against(summary, "fc"))
    assert "by test accuracy" in told
    assert "before any look" not in told
