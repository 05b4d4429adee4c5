"""Several studies on one page: where each head wins, and what must not be set side by side."""

import io
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from headtohead.cli import main
from headtohead.core.errors import UsageError
from headtohead.report.formats.several import SeveralTable
from headtohead.report.page.several import several_page
from headtohead.report.several import labels, read_several
from headtohead.store.records import Failure
from ledgers import add_run, change_epochs, full_ledger, study_ledger
from stated import stated

HOSTILE = "<script>alert('x')</script>"


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two heads of which gap clearly wins; the other way round, a third; other classes."""
    place = tmp_path_factory.mktemp("several")
    first = study_ledger(place / "first", heads=("fc", "gap"), epochs=1)
    second = study_ledger(place / "second", heads=("fc", "gap", "lonely"), epochs=1, per_class=90)
    for seed in range(7):
        for ledger, fc, gap in ((first, 0.70, 0.80), (second, 0.85, 0.75)):
            add_run(ledger, "fc", seed, skill=fc + seed / 200)
            add_run(ledger, "gap", seed, skill=gap + seed / 100)
        add_run(second, "lonely", seed, skill=0.6)
    other = (HOSTILE, "pear", "plum")
    full_ledger(place / "third", heads=("fc", "gap"), seeds=1, epochs=1, classes=other)
    return first.out, second.out, place / "third"


def test_each_head_wins_where_its_own_report_says_so(folders: tuple[Path, Path, Path]) -> None:
    """Else the page answers the question by figures that no report has."""
    told = report(*folders[:2], "--json", "--out", folders[0].parent / "page.html")
    assert told.exit_code == 0, told.output
    content = json.loads(told.stdout)
    first, second = content["studies"]
    assert (first["label"], first["winner"], second["winner"]) == ("first", "gap", "fc")
    outcomes = [{h["head"]: h["outcome"] for h in study["heads"]} for study in (first, second)]
    assert outcomes[0] == {"fc": "behind", "gap": "reference"}
    assert outcomes[1]["fc"] == "beats"
    (gap,) = (head for head in first["heads"] if head["head"] == "gap")
    values = [value for _, value in gap["values"]]
    assert gap["estimate"]["n"] == len(values) == 7
    assert gap["estimate"]["mean"] == pytest.approx(np.mean(values))
    assert gap["estimate"]["low"] < np.mean(values) < gap["estimate"]["high"]
    several = read_several(folders[:2])
    assert (several.chosen("gap"), several.chosen("fc")) == (["first"], ["second"])
    assert several.ahead("fc") == ["second (than gap)"]
    # gap is the reference, and wins all the same
    assert several.ahead("gap") == ["first (than fc)", "second (than lonely)"]
    assert several.behind("fc") == ["first (than gap)"]
    assert several.heads[-1] == "lonely"
    assert several.having("lonely") == ["second"]


def test_the_studies_stay_as_they_are(folders: tuple[Path, Path, Path]) -> None:
    """Else a page of other people's studies rewrites their folders."""
    before = {path: sha256(path.read_bytes()).digest() for path in _files(folders)}
    assert report(*folders, "--out", folders[0].parent / "page.html").exit_code == 0
    assert {path: sha256(path.read_bytes()).digest() for path in _files(folders)} == before


def _files(folders: tuple[Path, Path, Path]) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_other_classes_and_metrics_are_told(tmp_path: Path, folders: tuple[Path, ...]) -> None:
    """Else 80 % of ten classes stands beside 80 % of two as if they were one figure."""
    same = full_ledger(tmp_path / "same", heads=("gap",), seeds=1, epochs=1).out
    twin = full_ledger(tmp_path / "twin", heads=("gap",), seeds=1, epochs=1).out
    rare = full_ledger(
        tmp_path / "rare", heads=("gap",), seeds=1, epochs=1, metric="balanced_accuracy"
    ).out
    assert read_several([same, twin]).notes == ()
    assert len(read_several([same, rare]).notes) == 1
    (classes,) = read_several([same, folders[2]]).notes
    assert "pear" in classes
    page = several_page(read_several([same, folders[2]])).decode()
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page


def test_a_study_without_runs_and_unlike_heads_are_told(tmp_path: Path) -> None:
    """Else an empty column, or two networks under one name, are read as a result."""
    empty = study_ledger(tmp_path / "empty", heads=("fc", "gap"))
    gap = full_ledger(tmp_path / "gap", heads=("gap",), seeds=1, epochs=1)
    after = full_ledger(
        tmp_path / "after", heads=("fc", "gap"), seeds=1, epochs=1, heads_after={"gap": "fc"}
    )
    failed = study_ledger(tmp_path / "failed", heads=("fc", "gap"), seeds=1)
    for head in ("fc", "gap"):
        add_run(failed, head, 0, failure=Failure(reason="not finite", epoch=1, step=1))
    notes = read_several([empty.out, failed.out]).notes
    assert [stated(note, "empty", "failed") for note in notes[:2]] == [
        ["empty"],
        ["failed", "failed"],
    ]
    several = read_several([empty.out, gap.out])
    assert several.entries[0].places == {}
    assert any("empty" in note for note in several.notes)
    assert "no winner" in several.headline
    assert b'data-chart="study-1"' in several_page(several)
    assert any(note.startswith("gap ") for note in read_several([gap.out, after.out]).notes)


def test_studies_without_a_judged_winner_are_told_and_not_counted(tmp_path: Path) -> None:
    """Else a head "wins" where nothing was learned, or where evaluation hides what was."""
    clear = study_ledger(tmp_path / "clear", heads=("fc", "gap"), seeds=2, epochs=1)
    lagging = study_ledger(tmp_path / "lagging", heads=("fc", "gap"), seeds=2, epochs=1)
    idle = study_ledger(
        *(tmp_path / "idle",), heads=("fc", "gap"), seeds=2, epochs=1, metric="balanced_accuracy"
    )
    for seed in (0, 1):
        for ledger, fc, gap in ((clear, 0.7, 0.85), (lagging, 0.7, 0.85), (idle, 0.5, 0.5)):
            add_run(ledger, "fc", seed, skill=fc)
            add_run(ledger, "gap", seed, skill=gap)
    change_epochs(lagging, "fc", accuracy=0.99, train_accuracy=0.7)
    several = read_several([clear.out, lagging.out, idle.out])
    assert [entry.counted for entry in several.entries] == [True, False, False]
    assert several.chosen("gap") == ["clear"]
    assert several.chosen("fc") == []
    assert stated(several.headline, "gap", "fc") == ["1", "gap", "1"]
    told = [note for note in several.notes if note.startswith(("lagging", "idle"))]
    assert "fc" in stated(told[0], "fc")
    assert "50.0" in stated(told[1])
    assert "no winner" in read_several([lagging.out, idle.out]).headline


@pytest.mark.parametrize(("metric", "score"), [("test_accuracy", 0.9), ("balanced_accuracy", 0.5)])
def test_each_study_shows_its_largest_class(metric: str, score: float, tmp_path: Path) -> None:
    """Else 91 % stands on the page as skill where nine of ten images are cats."""
    settings = {"heads": ("fc", "gap"), "seeds": 1, "epochs": 1, "metric": metric}
    full_ledger(tmp_path / "rare", rare=9, per_class=90, **settings)
    full_ledger(tmp_path / "even", **settings)
    folders = (tmp_path / "rare", tmp_path / "even")
    told = report(*folders, "--json", "--out", tmp_path / "page.html")
    rare, even = json.loads(told.stdout)["studies"]
    assert rare["largest_class"] == {"name": "cat", "score": pytest.approx(score)}
    assert even["largest_class"]["score"] == 0.5
    page = (tmp_path / "page.html").read_text()
    shown = f"{100 * score:.1f}"
    assert f"<td>{shown}</td>" in page.partition('class="baseline"')[2]
    table = report(*folders, "--out", tmp_path / "page.html").stdout
    (line,) = (line for line in table.splitlines() if line.startswith("rare "))
    assert shown in line.split()


def test_labels_are_the_shortest_that_differ() -> None:
    assert labels([Path("/a/runs/x"), Path("/b/runs/y")]) == ["x", "y"]
    assert labels([Path("/a/runs/x"), Path("/b/runs/x")]) == ["a/runs/x", "b/runs/x"]


def test_what_cannot_be_meant_is_refused(folders: tuple[Path, Path, Path]) -> None:
    with pytest.raises(UsageError, match="twice"):
        read_several([folders[0], folders[0].parent / "first"])
    for arguments in (
        (folders[0], "--out", "x.html"),
        (*folders, "--figures"),
        (*folders, "--out", "page.txt"),
    ):
        told = report(*arguments)
        assert told.exit_code == 2
        assert len(told.stderr.strip().splitlines()) == 1


def test_as_good_is_told_of_the_head_that_was_tested(
    tmp_path: Path, folders: tuple[Path, Path, Path]
) -> None:
    """Else "fc as good" stands where only gap is shown to be as good as fc, not fc as gap."""
    ledger = study_ledger(tmp_path / "equal", heads=("fc", "gap"), epochs=1)
    for seed in range(7):
        for head in ("fc", "gap"):
            add_run(ledger, head, seed, skill=0.80)
    told = shown([ledger.out, folders[0]])
    (line,) = (line for line in told.splitlines() if line.startswith("equal "))
    assert line.rstrip().endswith("  gap as good as fc")


def test_the_table_says_what_verdicts_are_against(folders: tuple[Path, Path, Path]) -> None:
    """Else "against it" is read as against the column before, the largest class."""
    assert shown(folders[:2]).splitlines()[0].count("reference") == 2


def test_no_interval_of_a_share_goes_beyond_all(tmp_path: Path) -> None:
    """Else a head is said to be right in up to 107 % of the images."""
    ledger = study_ledger(tmp_path / "sure", heads=("fc", "gap"), seeds=2, epochs=1)
    for seed in (0, 1):
        add_run(ledger, "fc", seed, skill=0.8)
        add_run(ledger, "gap", seed, skill=0.95 + 0.04 * seed)
    several = read_several([ledger.out])
    place = several.entries[0].places["gap"]
    assert place.estimate.high is not None
    assert place.estimate.high > 1
    assert place.interval is not None
    low, high = place.interval
    assert (low, high) == pytest.approx((100 * max(place.estimate.low or 0, 0), 100))
    page = several_page(several).decode()
    assert "100.0, 2 seeds" in page
    assert f"{100 * place.estimate.high:.1f}" not in page


def test_heads_that_do_as_well_as_the_one_counted_are_told(tmp_path: Path) -> None:
    """Else a tie is a win."""
    ledger = full_ledger(tmp_path / "tie", heads=("fc", "gap"), seeds=1, epochs=1)
    change_epochs(ledger, "fc", val_accuracy=0.75)
    change_epochs(ledger, "gap", val_accuracy=0.75)
    apart = full_ledger(tmp_path / "apart", heads=("fc", "gap"), seeds=1, epochs=1)
    notes = read_several([ledger.out, apart.out]).notes
    (told,) = (note for note in notes if "as well on validation" in note)
    assert stated(told, "tie", "apart", "fc", "gap") == ["tie", "fc", "gap"]


def test_a_studys_name_stays_in_one_line(tmp_path: Path, folders: tuple[Path, ...]) -> None:
    """Else it cannot be copied, and two of them look alike."""
    ledger = full_ledger(tmp_path / "quick-recomputed-again", heads=("fc", "gap"), seeds=1)
    assert "quick-recomputed-again " in shown([ledger.out, *folders[:2]], 80)


def shown(folders: Sequence[Path], width: int = 200) -> str:
    """What a terminal shows."""
    buffer = io.StringIO()
    Console(file=buffer, width=width, color_system=None).print(SeveralTable(read_several(folders)))
    return buffer.getvalue()
