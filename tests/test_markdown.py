"""`report.md`: the report where no HTML goes, and no name that becomes markup there."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from headtohead.config.study import BackboneSpec
from headtohead.report.formats.markdown import escape, report_markdown
from headtohead.report.page.content import gather
from headtohead.report.page.html import arrange
from headtohead.report.summary import summarize
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData
from ledgers import change_epochs, full_ledger
from stated import stated

pytestmark = pytest.mark.usefixtures("no_drawing")

HOSTILE = "<script>alert(1)</script>"


def rendered(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(text))


def test_it_says_what_the_page_says(tmp_path: Path) -> None:
    """Pasted into an issue: the answer, the table, the verdicts, the command."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2, classes=(HOSTILE, "b|c"))
    text = report_markdown(gather(StudyData(ledger), summarize(StudyData(ledger)))).decode()
    html = rendered(text)
    (said,) = re.findall("<strong>(Not decided.*?)</strong>", html)
    assert stated(said, "Not decided") == ["Not decided", "2", "6"]
    assert "<td>705,453</td>" in html
    assert html.count("<table>") == 5
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "<td>b|c</td>" in html
    assert "headtohead compare" in html
    assert re.search(r"points .* 2 seeds.*; .* images, not seeds: ", text)


def test_notes_of_claims_are_there(tmp_path: Path) -> None:
    """Pasted into an issue without them, a verdict hides that its measures disagree."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    change_epochs(ledger, "gap", val_loss=0.5)
    for path in ledger.out.glob("runs/gap/*/history.jsonl"):
        *before, last = path.read_text().splitlines()
        path.write_text(
            "\n".join([*before, json.dumps(json.loads(last) | {"val_loss": 9.0})]) + "\n"
        )
    text = report_markdown(gather(StudyData(ledger), summarize(StudyData(ledger)))).decode()
    lines = [line for line in text.splitlines() if line]
    (at,) = (at for at, line in enumerate(lines) if "opposite" in line)
    assert "gap over-fits less than fc" in lines[at - 1]


def test_a_note_does_not_begin_with_the_words_of_a_claim_about_other_heads(tmp_path: Path) -> None:
    """Else "gap over-fits less than fc\\_dropout: fc minus gap: +15" claims what nobody tested."""
    ledger = full_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=2, epochs=2)
    text = report_markdown(gather(StudyData(ledger), summarize(StudyData(ledger)))).decode()
    (note,) = (line for line in text.splitlines() if "an estimate" in line)
    assert stated(note, "fc", "fc\\_dropout", "gap", "over-fits")[:2] == ["fc", "gap"]


def test_what_cannot_be_judged_comes_first(tmp_path: Path) -> None:
    """Pasted into an issue, the first words must be those that the rest depends on."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2, batch_norm="moving")
    change_epochs(ledger, "gap", accuracy=0.9, train_accuracy=0.7)
    lines = (
        report_markdown(gather(StudyData(ledger), summarize(StudyData(ledger))))
        .decode()
        .splitlines()
    )
    assert lines[2].startswith("**Not judged: ")
    assert "batch\\_norm: recomputed" in lines[4]
    (verdict,) = (line.split(" | ") for line in lines if line.startswith("| gap beats fc |"))
    assert verdict[1] == "not judged"
    (row,) = [line for line in lines if line.startswith("| largest class: always cat |")]
    assert row.split(" | ")[1] == "50.0 (42.9 to 57.1)"


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


def test_the_backbones_weights_and_preprocessing_are_in_the_report(tmp_path: Path) -> None:
    """Readers of a report must see whose weights were used, and with which licence."""
    ledger = full_ledger(tmp_path, heads=("gap", "fc"), seeds=1)
    about = {"its mean": "0.485, 0.456, 0.406", "licence": "apache-2.0", "SHA-256": "ab" * 32}
    study = ledger.file.study.model_copy(update={"backbone": BackboneSpec(train="none")})
    file = ledger.file.model_copy(update={"backbone": about, "study": study})
    data = StudyData(Ledger(tmp_path, file))
    content = gather(data, summarize(data))
    for text in (report_markdown(content).decode(), arrange(content)):
        for value in about.values():
            assert value in text
        assert "the head" in next(line for line in text.splitlines() if "frozen" in line)
