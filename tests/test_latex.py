"""LaTeX tables: complete, and obeying no name."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.core.tex import escape
from headtohead.report.formats.latex import latex_tables
from headtohead.report.page.content import gather
from headtohead.report.summary import summarize
from headtohead.study_data import StudyData
from ledgers import add_run, change_epochs, full_ledger, study_ledger

pytestmark = pytest.mark.usefixtures("no_drawing")


def test_tables_of_a_study(tmp_path: Path) -> None:
    """For a paper: every head, every comparison, columns that fit their header."""
    ledger = full_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=7, epochs=2)
    tables = latex_tables(gather(StudyData(ledger), summarize(StudyData(ledger))))
    assert set(tables) == {"heads.tex", "verdicts.tex", "claims.tex"}
    for content in tables.values():
        text = content.decode()
        (columns,) = [
            line.removeprefix("\\begin{tabular}{").removesuffix("}")
            for line in text.splitlines()
            if line.startswith("\\begin{tabular}")
        ]
        rows = [line for line in text.splitlines() if line.endswith("\\\\")]
        assert {row.count(" & ") for row in rows} == {len(columns) - 1}
        assert text.count("\\begin") == text.count("\\end") == 2
    heads = tables["heads.tex"].decode()
    (row,) = (line for line in heads.splitlines() if line.startswith("fc\\_dropout"))
    assert re.fullmatch(r"[\d.]+ \$\\pm\$ [\d.]+", row.split(" & ")[1])
    assert row.split(" & ")[2:4] == ["705,453", "676,401"]
    assert "$\\pm$" in heads
    (row,) = (line for line in heads.splitlines() if line.startswith("largest class"))
    assert row.split(" & ")[0].endswith("cat")
    assert row.split(" & ")[1:4] == ["50.0 (42.9 to 57.1)", "0", "0"]
    verdicts = tables["verdicts.tex"].decode()
    for row in (line for line in verdicts.splitlines() if line.startswith("fc")):
        assert row.count("{[") == 2, "over seeds and over pictures"
    claims = tables["claims.tex"].decode()
    rows = [line.split(" & ") for line in claims.splitlines() if line.startswith("gap ")]
    (counted,) = (row for row in rows if "fewer parameters" in row[0])
    assert counted[1:4] == ["supported", "--", "--"]
    (tested,) = (row for row in rows if "over-fits" in row[0])
    assert (tested[1], tested[2][0]) == ("supported", "+")


def test_numbers_below_zero_have_a_minus(tmp_path: Path) -> None:
    """A hyphen before a number is a misprint in a paper."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=1)
    for seed in (0, 1):
        add_run(ledger, "gap", seed, skill=0.80 + 0.01 * seed)
        add_run(ledger, "fc", seed, skill=0.90)
    verdicts = latex_tables(gather(StudyData(ledger), summarize(StudyData(ledger))))[
        "verdicts.tex"
    ].decode()
    assert "fc & $-$9.50 & {[$-$" in verdicts
    assert not re.search(r"(?<![\w$-])-\d", verdicts)


def test_a_caption_says_first_what_is_not_judged(tmp_path: Path) -> None:
    """A table is cut out and pasted: what it cannot say must go with it."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=1)
    change_epochs(ledger, "gap", accuracy=0.9, train_accuracy=0.7)
    for content in latex_tables(gather(StudyData(ledger), summarize(StudyData(ledger)))).values():
        assert "\\caption{\\textbf{Not judged: " in content.decode()


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    """A dash, not a made-up interval."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=1)
    tables = latex_tables(gather(StudyData(ledger), summarize(StudyData(ledger))))
    assert " & -- & " in tables["verdicts.tex"].decode()


@given(st.text(max_size=60))
def test_no_character_is_obeyed(text: str) -> None:
    r"""A class named `\input{secrets}` is printed."""
    found = escape(text)
    for command in (
        "textbackslash{}",
        "textasciitilde{}",
        "textasciicircum{}",
        "textless{}",
        "textgreater{}",
    ):
        found = found.replace(f"\\{command}", "")
    for mathematics in ("$\\pm$", "$-$", "$\\le$"):
        found = found.replace(mathematics, "")
    for letter in "&%$#_{}":
        found = found.replace(f"\\{letter}", "")
    assert not set(found) & set("\\&%$#_{}~^<>\n\r")
