"""`report.md`: the report where no HTML goes, and no name that becomes markup there."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from headtohead.report.formats.markdown import escape, report_markdown
from headtohead.report.page.content import gather
from headtohead.report.summary import summarize
from headtohead.study_data import StudyData
from ledgers import change_epochs, full_ledger

HOSTILE = "<script>alert(1)</script>"


def rendered(text: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(text)


def test_it_says_what_the_page_says(tmp_path: Path) -> None:
    """Pasted into an issue: the answer, the table, the verdicts, the command."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2, classes=(HOSTILE, "b|c"))
    text = report_markdown(gather(StudyData(ledger), summarize(StudyData(ledger)))).decode()
    html = rendered(text)
    assert "<strong>Not decided: 2 seeds cannot tell a difference from chance" in html
    assert "<td>705,453</td>" in html
    assert html.count("<table>") == 4
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "<td>b|c</td>" in html
    assert "headtohead compare" in html
    assert re.search(r"points on average over 2 seeds.*; over test pictures, not seeds: ", text)


def test_notes_of_claims_are_there(tmp_path: Path) -> None:
    """Pasted into an issue without them, a verdict hides that its measures disagree."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    change_epochs(ledger, "gap", accuracy=0.9, train_accuracy=0.7)
    text = report_markdown(gather(StudyData(ledger), summarize(StudyData(ledger)))).decode()
    assert "- gap over-fits less than fc: Evaluation of gap is not settled" in text
    assert "> Evaluation is not settled." in text


@given(st.text(max_size=60))
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    """A class named `**bold**` or `[x](y)` is a name."""
    plain = " ".join(text.split())
    found = rendered(f"x {escape(text)} x")
    tokens = MarkdownIt("commonmark").enable("table").parse(f"x {escape(text)} x")
    shown = "".join(child.content for token in tokens for child in token.children or [])
    assert "<" not in found.replace("<p>", "").replace("</p>", "")
    assert " ".join(shown.replace("\ufffd", "").split()) == " ".join(
        f"x {plain} x".replace("\ufffd", "").replace("\x00", "").split()
    )
