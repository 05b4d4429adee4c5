"""A finished study in Python."""

import re
from pathlib import Path

import pytest

import headtohead
from headtohead.core.errors import RunError, UsageError
from headtohead.report.formats.figures import write_figures
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import add_run, full_ledger
from reports import rich_ledger
from stated import stated


def test_a_finished_study_is_loaded_as_it_was_reported(tmp_path: Path) -> None:
    """Else a notebook must train again to see what is on disk."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    write_figures(StudyData(ledger))
    study = headtohead.load(tmp_path)
    assert study.out == tmp_path
    assert [head.head for head in study.summary.heads] == ["fc", "gap"]
    (line,) = re.findall("No verdict: .*?needed", str(study), re.S)
    assert stated(line) == ["2", "6"]
    assert study.figure("all_heads_accuracy").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(KeyError, match="all_heads_loss"):
        study.figure("curves")
    study.raise_for_failures()


def test_class_maps_are_shown_in_a_notebook(tmp_path: Path) -> None:
    """Else a notebook must reach into the report's insides to see where heads look."""
    rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=1, epochs=1)
    maps = headtohead.load(tmp_path / "out").class_maps(seed=0, pictures=3)
    assert maps.columns == ("fc, Grad-CAM", "gap, Grad-CAM", "gap, exact")
    shown = maps._repr_html_()
    assert shown.count("<tr>") == 1 + 3
    assert shown.count('src="data:image/jpeg;base64,') == 3 * (1 + 3)
    assert "base64" not in repr(maps)  # a text-only reader is spared the images
    for asked in ({"seed": 5}, {"pictures": 0}):
        with pytest.raises(UsageError, match="no class maps of seed"):
            headtohead.load(tmp_path / "out").class_maps(**asked)


def test_a_study_without_evidence_has_no_class_maps(tmp_path: Path) -> None:
    """Else a ledger that came without its evidence falls over instead of saying so."""
    full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=1)
    with pytest.raises(UsageError, match="until `headtohead compare` runs"):
        headtohead.load(tmp_path).class_maps()


def test_failed_runs_are_told(tmp_path: Path) -> None:
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    why = Failure(reason="the training loss is not finite", epoch=2, step=3)
    add_run(ledger, "fc", 1, failure=why)
    study = headtohead.load(ledger.out)
    with pytest.raises(RunError, match=r"^1 .*fc seed 1"):
        study.raise_for_failures()


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no study"):
        headtohead.load(tmp_path)
