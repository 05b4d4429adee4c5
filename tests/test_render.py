"""`render` makes everything that people read, from whatever a ledger holds."""

import csv
import io
import json
import lzma
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from headtohead.cli import main
from headtohead.core.errors import UsageError
from headtohead.report.page.thumbnails import OF_EACH_KIND
from headtohead.report.render import render
from headtohead.store.ledger import Ledger
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import add_run, full_ledger, study_ledger
from stated import stated


def _rows(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / "results.csv").read_text(encoding="utf-8"))))


def test_everything_is_written_and_again_without_change(tmp_path: Path) -> None:
    """`headtohead report` on a ledger without weights, twice: the same files, no leftovers."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    summary = render(StudyData(ledger))
    first = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert [row["status"] for row in _rows(tmp_path)] == ["finished"] * 4 + ["baseline"]
    assert json.loads((tmp_path / "summary.json").read_bytes())["winner"]["head"] == (
        summary.winner.head if summary.winner else None
    )
    assert b"</html>" in (tmp_path / "report.html").read_bytes()
    assert (tmp_path / "report.md").is_file()
    assert (tmp_path / "tables" / "heads.tex").is_file()
    assert len(list((tmp_path / "tensorboard").rglob("events.out.tfevents.*"))) == 12
    assert render(StudyData(ledger)) == summary
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == first


@pytest.mark.usefixtures("no_drawing")
def test_one_run_a_failed_run_and_missing_evidence(tmp_path: Path) -> None:
    """A study in any state has its report."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    add_run(ledger, "fc", 0, failure=Failure(reason="diverged", epoch=1, step=3))
    add_run(ledger, "gap", 0, predictions=False)
    summary = render(StudyData(ledger))
    rows = _rows(tmp_path)
    assert [(row["head"], row["status"], row["test_accuracy"]) for row in rows] == [
        ("fc", "failed", ""),
        ("gap", "finished", ""),
        ("largest class", "baseline", "0.5"),
    ]
    assert summary.winner is not None
    assert summary.winner.head == "gap"
    assert "fc failed with seed 0" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_no_finished_run_leaves_empty_tables_and_words(tmp_path: Path) -> None:
    """Stopped before the first run ended: no crash, and a sentence that says why it is empty."""
    summary = render(StudyData(study_ledger(tmp_path)))
    assert _rows(tmp_path) == []
    assert not (tmp_path / "tables").exists()
    (note, *_) = json.loads((tmp_path / "summary.json").read_bytes())["notes"]
    assert stated(note, "No run", "finished", "compare") == ["No run", "finished", "compare"]
    assert summary.heads == ()


def test_every_figure_is_written_on_request(tmp_path: Path) -> None:
    """For a paper or slides: the article's figures and each of the page's charts, both kinds."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    result = CliRunner().invoke(main, ["report", str(ledger.out), "--figures", "--pictures", "0"])
    assert result.exit_code == 0, result.output
    assert f"Page: {tmp_path / 'report.html'}" in result.stdout
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    for stem in ("gap_vs_fc_accuracy", "forest", "parameters", "curve-val_loss-log", "reliability"):
        assert {f"{stem}.png", f"{stem}.svg"} <= names
    picture = (tmp_path / "figures" / "forest.png").read_bytes()
    assert Image.open(io.BytesIO(picture)).size[0] > 800


def test_more_pictures_than_are_kept_are_refused() -> None:
    """Asked for 25, a page of 24 images and a grey box would be a silent half-measure."""
    result = CliRunner().invoke(main, ["report", "anywhere", "--pictures", str(OF_EACH_KIND + 1)])
    assert result.exit_code == 2
    assert f"0<=x<={OF_EACH_KIND}" in result.output


def test_a_run_of_another_study_is_refused(tmp_path: Path) -> None:
    """A run copied in from elsewhere must not be averaged with these."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1)
    path = tmp_path / "runs" / "gap" / "seed-0" / "run.json"
    path.write_text(path.read_text().replace(ledger.run_key("gap", 0), "0" * 32))
    with pytest.raises(UsageError, match="belongs to another study"):
        render(StudyData(ledger))


# Moving averages (version 0.1) lagged so far behind these heads that what concerns them is not
# judged; the studies without any recomputed the statistics before each evaluation.
LAGGING = {
    "article": set(),
    "controls": set(),
    "differences": set(),
    "drawn": set(),
    "keras": {"fc_dropout", "avgpool2x2"},
    "null": set(),
    "pets": set(),
    "published": {"fc", "avgpool2x2"},
    "tuned": set(),
}
CERTAINTY = {
    "article": "decided",
    "controls": "decided",
    "differences": "open",
    "drawn": "decided",
    "null": "open",
    "pets": "few",  # test images
    "tuned": "decided",
}
VERDICTS = {  # what docs/article.md, claims.md, reports.md and statistics.md say: reference beats …
    "article": {"fc": "inconclusive", "fc_dropout": "inconclusive", "avgpool2x2": "refuted"},
    "controls": dict.fromkeys(("fc", "fc_small", "gap_fc"), "supported"),
    "drawn": {"fc": "supported", "fc_dropout": "supported"},
    "null": {"gap_again": "inconclusive"},
    "tuned": {"fc": "inconclusive", "fc_dropout": "supported", "avgpool2x2": "refuted"},
}
# Kept without this evidence, to keep the repository small: documents have its figures, made before.
THIN = {
    "controls": {"class_maps", "translation"},
    "drawn": {"class_maps"},
    **{name: {"class_maps", "translation"} for name in ("differences", "keras", "published")},
}


def renamed(summary: Any) -> Any:
    """What `summary.json` of an earlier version says, with today's word for the data."""
    return json.loads(json.dumps(summary).replace("picture", "image"))


QUOTED = Path(__file__).with_name("quoted.json.xz")
"""Of the `summary.json` that the version wrote which made each study: differences and verdicts.

But for the speed of `tuned`, whose target no run reached: that is told so since.
"""


def rounded(path: Path) -> Any:
    """With numbers of twelve digits: another processor differs in the sixteenth."""
    content = path.read_bytes()
    text = lzma.decompress(content) if path.suffix == ".xz" else content
    return json.loads(text, parse_float=lambda number: float(f"{float(number):.12g}"))


LEDGERS = sorted((Path(__file__).parents[1] / "docs" / "ledgers").iterdir())


@pytest.mark.usefixtures("no_drawing")
@pytest.mark.parametrize("kept", LEDGERS, ids=lambda path: path.name)
def test_the_ledgers_in_the_documents_say_what_the_documents_quote(
    kept: Path, tmp_path: Path
) -> None:
    """Without weights a ledger still reports its numbers, and judges no head that it cannot."""
    ledger = Ledger.open(Path(shutil.copytree(kept, tmp_path / kept.name)))
    render(StudyData(ledger))
    now, then = rounded(ledger.out / "summary.json"), rounded(QUOTED)[kept.name]
    lagging = LAGGING[kept.name]
    assert set(now["lags"]) == lagging
    assert now["certainty"] == CERTAINTY.get(kept.name, "unjudged")
    said = {item["other"]: item["comparison"]["better"]["outcome"] for item in now["comparisons"]}
    assert VERDICTS.get(kept.name, said) == said
    study = ledger.file.study
    unsure = bool({study.reference, study.claims_against} & lagging)
    for claim, before in zip(now["claims"], then["claims"], strict=True):
        if claim["name"] in THIN.get(kept.name, ()):
            assert claim["difference"]["differences"] == []
            continue
        assert claim["difference"] == before["difference"]
        assert claim["measures"] == renamed(before["measures"])
        if unsure and claim["name"] != "parameters":
            assert claim["outcome"] == "not judged"
        else:
            assert (claim["outcome"], claim["rule"]) == (
                before["outcome"],
                renamed(before["rule"]),
            )
    for item, before in zip(now["comparisons"], then["comparisons"], strict=True):
        found, old = item["comparison"], before["comparison"]
        assert (item["other"], found["difference"]) == (before["other"], old["difference"])
        assert (found["p_holm"], item["pictures"]) == (old["p_holm"], before["pictures"])
        for verdict in ("better", "not_worse"):
            if {study.reference, item["other"]} & lagging:
                assert found[verdict]["outcome"] == "not judged"
            else:
                assert found[verdict] == old[verdict]
