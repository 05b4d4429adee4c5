"""Study data: each file of a ledger is read at most once, whatever asks for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deployed import trained_study
from headtohead.core.errors import UsageError
from headtohead.probes.base import Probe
from headtohead.probes.costs import COSTS
from headtohead.probes.translation import TRANSLATION
from headtohead.study_data import StudyData
from ledgers import add_run, full_ledger, study_ledger
from reports import rich_ledger

COUNT_OPENED = """
import collections, json, os, sys

folder, found = os.path.realpath(sys.argv[1]), sys.argv[2]
opened = collections.Counter()
found_each_time = []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        path = os.path.abspath(arguments[0])
        # The lock holds nothing: its library opens it twice.
        if path.startswith(folder + os.sep) and not path.endswith(".lock"):
            opened[os.path.relpath(path, folder)] += 1

sys.addaudithook(watch)
from undrawn import undrawn
from headtohead.cli import main
for command in json.loads(sys.argv[3]):
    with undrawn():
        main(command, standalone_mode=False)
    found_each_time.append(dict(opened))
    opened.clear()
with open(found, "w") as handle:
    json.dump(found_each_time, handle)
"""


def opened_by(commands: list[list[str]], out: Path, found: Path) -> list[dict[str, int]]:
    """How often each command opens each file in `out`, by path below it."""
    subprocess.run(
        [sys.executable, "-c", COUNT_OPENED, str(out), str(found), json.dumps(commands)],
        cwd=Path(__file__).parent,
        check=True,
        capture_output=True,
    )
    opened: list[dict[str, int]] = json.loads(found.read_bytes())
    return opened


def test_a_report_opens_each_file_of_a_ledger_at_most_once(tmp_path: Path) -> None:
    """Else thirty heads on a network disk take minutes, and a file may change between two reads."""
    out = tmp_path / "out"
    ledger = rich_ledger(out, heads=("fc", "fc_dropout", "gap"), seeds=2, epochs=2)
    report = ["report", str(out)]
    first, again = opened_by([report, report], out, tmp_path / "opened.json")
    for opened in (first, again):
        assert {path: count for path, count in opened.items() if count > 1} == {}
        for head in ledger.file.study.heads:
            for name in ("run.json", "history.jsonl"):
                assert opened[f"runs/{head}/seed-1/{name}"] == 1
            for probe in ("predictions", "costs", "class_maps", "translation"):
                assert opened[f"evidence/{probe}/{head}/seed-1.npz"] == 1
        for path in ("study.yaml", "evidence/speed/session.npz", "evidence/pictures/split-0.npz"):
            assert opened[path] == 1


def test_a_shipped_model_is_opened_by_reading_each_file_at_most_once(tmp_path: Path) -> None:
    """Else `predict` reads a study on a network disk twice before its first answer."""
    trained = trained_study(tmp_path)
    image = str(trained.source / trained.prepared.names[0])
    commands = [
        ["predict", str(trained.out), image],
        [
            "export",
            str(trained.out),
            "--format",
            "safetensors",
            "--out",
            str(tmp_path / "m.safetensors"),
        ],
    ]
    for opened in opened_by(commands, trained.out, tmp_path / "opened.json"):
        assert {path: count for path, count in opened.items() if count > 1} == {}
        assert opened["study.yaml"] == 1
        assert opened["evidence/predictions/gap/seed-1.npz"] == 1


def test_what_was_read_stays_as_it_was(tmp_path: Path) -> None:
    """Else one page shows a ledger before and after a run that ended meanwhile."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=1)
    data = StudyData(ledger)
    assert data.runs == ()
    add_run(ledger, "gap", 0)
    assert data.runs == ()
    assert [result.head for result in StudyData(ledger).results] == ["gap"]


def test_evidence_is_of_finished_runs_and_its_absence_is_told(tmp_path: Path) -> None:
    """Else a claim counts runs that diverged, or silently leaves finished ones out."""
    data = StudyData(rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=2, epochs=1))
    every = {(head, seed) for head in ("fc", "gap") for seed in (0, 1)}
    probes: tuple[Probe[object], ...] = (COSTS, TRANSLATION)
    assert [set(data.evidence(probe)) for probe in probes] == [every, every]
    assert data.missing(every, "costs") == ()
    (note,) = data.missing(every - {("fc", 1)}, "costs")
    assert "fc seed 1" in note
    assert data.paired_with("fc") == data.seeds == (0, 1)


def test_one_head_is_against_nobody(tmp_path: Path) -> None:
    """Else a claim about one head compares it with itself."""
    data = StudyData(full_ledger(tmp_path, heads=("gap",), seeds=1))
    with pytest.raises(UsageError, match="gap"):
        _ = data.against
