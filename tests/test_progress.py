"""Progress: everything a user waits for is told, on a terminal and in a log file."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from headtohead.runtime.jobs import Job
from headtohead.runtime.progress import Display
from ledgers import study_ledger

RECORD = {"epoch": 1, "loss": 0.5, "accuracy": 0.75, "val_accuracy": 0.625}


def told(tmp_path: Path, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, height=30)
    jobs = [Job("fc", 0), Job("gap", 0)]
    with Display(console) as display:
        display.progress("decoding pictures", 5, 10)
        display.begin(study_ledger(tmp_path), jobs, jobs[1:])
        display.event(jobs[1], {"event": "start", "epochs": 0})
        display.event(jobs[1], {"event": "step", "epoch": 1, "done": 64, "pictures": 128})
        record = {**RECORD, "pictures_per_second": 123.0}
        display.event(jobs[1], {"event": "epoch", "record": record})
        display.event(jobs[1], {"event": "note", "message": "a [bold]note[/bold]"})
        display.event(jobs[1], {"event": "error", "message": "its worker ended"})
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_notes_and_failures_are_told_word_for_word(tmp_path: Path, terminal: bool) -> None:
    text = told(tmp_path, terminal)
    assert "a [bold]note[/bold]" in text
    assert "gap seed 0 failed" in text
    assert "its worker ended" in text


def test_a_log_file_gets_plain_lines_with_every_number(tmp_path: Path) -> None:
    text = told(tmp_path, terminal=False)
    assert "\x1b" not in text
    assert "decoding pictures: 5 of 10" in text
    (line,) = [line for line in text.splitlines() if "epoch 1/" in line]
    for number in ("0.5000", "0.7500", "0.6250", "123 images/s"):
        assert number in line


def test_a_terminal_shows_every_run(tmp_path: Path) -> None:
    text = told(tmp_path, terminal=True)
    assert "fc seed 0" in text
    assert "62.5%" in text


def test_a_log_file_has_no_line_twice_and_no_count_of_nothing() -> None:
    """Lost: trust in a count that comes twice, or in a wait for "0"."""
    console = Console(file=io.StringIO(), width=100)
    with Display(console) as display:
        display.progress("waiting for another process", 0, 0)
        display.progress("waiting for another process", 0, 0)
        for done in (0, 3, 9, 9):
            display.progress("looking", done, 9)
        display.progress("listing", 1200, 0)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "waiting for another process",
        "looking: 0 of 9",
        "looking: 9 of 9",
        "listing: 1,200",
    ]


class Watched:
    """A display of a log file, with a clock that is set by hand."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, jobs: list[Job]) -> None:
        self.now = 1000.0
        patch.setattr(time, "monotonic", lambda: self.now)
        ledger = study_ledger(folder)
        self.epochs = ledger.file.study.recipe_for("fc").epochs
        self._text = io.StringIO()
        self.display = Display(Console(file=self._text, width=100))
        self.display.begin(ledger, jobs, jobs)

    def train(self, job: Job, each: float, *, epochs: int, after: float | None = None) -> None:
        """Epochs of so many seconds; `after` more the run is done."""
        self.display.event(job, {"event": "start", "epochs": 0})
        for epoch in range(1, epochs + 1):
            self.now += each
            record = {**RECORD, "epoch": epoch, "pictures_per_second": 123.0}
            self.display.event(job, {"event": "epoch", "record": record})
        if after is not None:
            self.now += after
            self.display.event(job, {"event": "done", "status": "finished"})

    def lines(self) -> list[str]:
        """One for each epoch."""
        return [line for line in self._text.getvalue().splitlines() if "images/s" in line]


def test_time_left_is_that_of_training_and_told_once_it_can_be_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost: "787 min left" of three, where features took a minute and one epoch in 875 was done."""
    jobs = [Job(head, seed) for head in ("fc", "gap") for seed in range(60)]
    watched = Watched(tmp_path, monkeypatch, jobs)
    for done in (5000, 10_000):
        watched.now += 300
        features = {"event": "features", "done": done, "pictures": 10_000, "left": 300.0}
        watched.display.event(jobs[0], features)
    for job in jobs[:2]:
        watched.train(job, 2, epochs=watched.epochs, after=0)
    first, *_, last = watched.lines()
    assert "left" not in first
    assert first == first.rstrip()
    assert last.endswith(f"{118 * 2 * watched.epochs / 60:.0f} min left")


def test_time_left_waits_for_what_follows_the_epochs_of_a_short_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost: "35 s left" of two minutes, where a run's probes take longer than its epochs."""
    jobs = [Job("fc", seed) for seed in range(10)]
    watched = Watched(tmp_path, monkeypatch, jobs)
    for job in jobs[:2]:
        watched.train(job, 0.5, epochs=watched.epochs, after=9)
    lines = watched.lines()
    assert not any("left" in line for line in lines[: watched.epochs])
    spent = 2 * watched.epochs * 0.5 + 9
    assert lines[-1].endswith(f"{spent * 8 / 2:.0f} s left")


def test_time_left_of_long_runs_is_told_within_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost: an hour without any word of the time, where a run takes an hour."""
    watched = Watched(tmp_path, monkeypatch, [Job("fc", 0)])
    watched.train(Job("fc", 0), 600, epochs=1)
    assert watched.lines()[-1].endswith(f"{10 * (watched.epochs - 1)} min left")
