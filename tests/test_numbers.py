"""Numbers that people read: as many digits as they need, and no exponent."""

import json
from pathlib import Path

import numpy as np
import pytest

from headtohead.claims.speed import speed_charts
from headtohead.core.text import significant
from headtohead.probes.base import write_session
from headtohead.probes.speed import SPEED, Speed
from headtohead.report.page.answer import answer
from headtohead.report.page.brief import brief
from headtohead.report.page.findings import estimate_rows
from headtohead.report.summary import summarize
from headtohead.study_data import StudyData
from ledgers import full_ledger


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1234.5, 3, "1,234"),
        (999.6, 3, "1,000"),
        (-1234.0, 3, "-1,234"),
        (123.4, 3, "123"),
        (1.234, 3, "1.23"),
        (0.01234, 3, "0.0123"),
        (-0.0, 3, "0"),
        (99.6, 2, "100"),
        (9.96, 2, "10"),
    ],
)
def test_digits_are_significant_and_whole_numbers_whole(
    value: float, digits: int, text: str
) -> None:
    """Else 1,234 MB reads 1.23e+03."""
    assert significant(value, digits) == text


def test_long_runs_and_large_models_have_no_exponent(tmp_path: Path) -> None:
    """Else a difference of 20 minutes is −1.2e+03 on the page, and a model of 100 MB has 1e+02."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    for path in ledger.out.glob("runs/fc/*/run.json"):
        record = json.loads(path.read_text())
        record["seconds"] += 1200
        record["parameters"]["total"] = 24_900_000
        path.write_text(json.dumps(record))
    summary = summarize(StudyData(ledger))
    rows = {(row.metric, row.pair): row.mean for row in estimate_rows(summary)}
    assert rows["wall-clock seconds of a run", "gap − fc"] == "−1,200"
    assert brief(summary, answer(summary)).costs[0].megabytes == "100"


@pytest.mark.usefixtures("no_drawing")
def test_a_step_of_more_than_a_second_has_no_exponent(tmp_path: Path) -> None:
    """Else a step of 1.2 s on a large backbone is told as 1.2e+03 ms."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    times = np.full((2, 7), 1.2)
    write_session(ledger, SPEED, SPEED.pack(Speed(("fc", "gap"), (64, 64), "cpu", times, times)))
    step = next(speed_charts(StudyData(ledger)))
    said = [text for series in step.series for text in series.said]
    assert all("1,200 ms a step" in text for text in said)
