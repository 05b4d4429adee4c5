"""Progress on standard error: one live display on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headtohead.core.text import counted
from headtohead.runtime.jobs import Job
from headtohead.store.ledger import Ledger

PLAIN_INTERVAL = 10.0  # seconds between two plain lines on the same subject
MOST_ROWS = 24

LEAST_DONE = 0.01
"""Of the epochs to do, before their pace says how long the others take."""

FIRST_RUN = 60.0
"""Seconds of training after which time left is told before any run is done. What follows the last
epoch, such as probes, takes longer than a short run's epochs, and is known once one is done."""


@dataclass
class _RunProgress:
    """What is known of one run."""

    epochs: int
    state: str = "waiting"
    epoch: int = 0
    share: float = 0.0  # of the epoch in progress
    loss: float | None = None
    accuracy: float | None = None
    val_accuracy: float | None = None
    speed: float | None = None  # images per second
    since: float = 0.0  # when the epoch in progress began

    @property
    def done(self) -> float:
        """Epochs done, in parts of one."""
        return self.epochs if self.state in ("done", "failed") else self.epoch + self.share


class Display:
    """Shows preparing, then all runs of a study. Use it as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _console()
        self._rows: dict[Job, _RunProgress] = {}
        self._stage: tuple[str, int, int, str] | None = None
        self._said: dict[str, tuple[float, str]] = {}
        self._began, self._at_begin = 0.0, 0.0
        self._some_done = False  # of the runs that this command trains
        self._live = Live(
            console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def progress(self, what: str, done: int, total: int, left: float | None = None) -> None:
        """Of `what`, `done` are done of `total` (0: unknown), with `left` seconds to go."""
        after = "" if left is None else f", {_time_left(left)}"
        self._stage = (what, done, total, after)
        count = f"{_count(done, total)}{after}"
        if not self._console.is_terminal and self._due(what, count, done == total):
            self._print(f"{what}: {count}" if count else what)

    def note(self, message: str) -> None:
        """A line that stays."""
        self._stage = None
        self._print(message)

    def begin(self, ledger: Ledger, jobs: Sequence[Job], waiting: Sequence[Job]) -> None:
        """Training begins: of all `jobs`, those `waiting` are still to do."""
        study = ledger.file.study
        self._stage = None
        self._rows = {job: _RunProgress(study.recipe_for(job.head).epochs) for job in jobs}
        for job in set(jobs) - set(waiting):
            self._rows[job].state = "done"
        counts = ledger.file.counts
        pictures = " + ".join(f"{sum(counts[part].values()):,}" for part in counts)
        self._print(
            f"{study.name}: {pictures} images (train + validation + test), "
            f"{counted(len(jobs), 'run')}, {len(jobs) - len(waiting)} of them done before, into "
            f"{ledger.out}"
        )
        self._began, self._at_begin = time.monotonic(), self._epochs()[0]

    def event(self, job: Job, event: dict[str, Any]) -> None:
        """What the worker that has `job` said."""
        row = self._rows[job]
        kind = event["event"]
        if kind == "features":
            if self._epochs()[0] == self._at_begin:  # what all runs share is no part of one
                self._began = time.monotonic()
            self.progress("computing features", event["done"], event["pictures"], event["left"])
        elif kind == "start":
            self._stage = None
            row.state, row.epoch, row.since = "running", event["epochs"], time.monotonic()
        elif kind == "step":
            row.share = event["done"] / event["pictures"]
            row.speed = event["done"] / (time.monotonic() - row.since)
        elif kind == "epoch":
            record = event["record"]
            row.epoch, row.share, row.since = record["epoch"], 0.0, time.monotonic()
            row.loss, row.accuracy = record["loss"], record["accuracy"]
            row.val_accuracy, row.speed = record["val_accuracy"], record["pictures_per_second"]
            if not self._console.is_terminal:
                self._print(_epoch_line(job, row, self._left()))
        elif kind == "note":
            self._print(f"{job}: {event['message']}")
        elif kind == "error":
            row.state = "failed"
            self._print(f"{job} failed: {event['message']}")
        elif kind == "done":
            row.state = "failed" if event["status"] == "failed" else "done"
            self._some_done = True
            if row.state == "failed":
                self._print(f"{job} diverged: its loss is not finite; see its run.json")

    def _print(self, message: str) -> None:
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def _due(self, subject: str, count: str, last: bool) -> bool:
        """Whether a line is due: the first, the last, and one now and then; none twice."""
        now = time.monotonic()
        then, said = self._said.get(subject, (-PLAIN_INTERVAL, None))
        if count == said or not (last or now - then >= PLAIN_INTERVAL):
            return False
        self._said[subject] = (now, count)
        return True

    def _epochs(self) -> tuple[float, int]:
        rows = self._rows.values()
        return sum(row.done for row in rows), sum(row.epochs for row in rows)

    def _left(self) -> str:
        """Time left, from what was done since training began; empty while that says too little."""
        done, total = self._epochs()
        since, elapsed = done - self._at_begin, time.monotonic() - self._began
        if since <= 0 or since < LEAST_DONE * (total - self._at_begin):
            return ""
        if not self._some_done and elapsed < FIRST_RUN:
            return ""
        return _time_left(elapsed * (total - done) / since)

    def _render(self) -> RenderableType:
        if self._stage is not None:
            what, done, total, after = self._stage
            bar = ProgressBar(total=total or None, completed=done, width=40, pulse=not total)
            line = Table.grid(padding=(0, 1))
            line.add_row(Text(what), bar, f"{_count(done, total)}{after}")
            return line
        return self._runs() if self._rows else Text("")

    def _runs(self) -> RenderableType:
        table = Table(box=None, padding=(0, 1), header_style="bold")
        table.add_column("run")
        for heading in ("", "epoch", "loss", "accuracy", "val. acc.", "images/s"):
            table.add_column(heading, justify="right")
        shown = self._shown()
        for job in shown:
            row = self._rows[job]
            table.add_row(
                str(job),
                ProgressBar(total=row.epochs, completed=row.done, width=16),
                f"{int(row.done)}/{row.epochs}" if row.state != "failed" else "failed",
                _number(row.loss, "{:.3f}"),
                _number(row.accuracy, "{:.1%}"),
                _number(row.val_accuracy, "{:.1%}"),
                _number(row.speed, "{:,.0f}"),
            )
        done, total = self._epochs()
        rest = len(self._rows) - len(shown)
        more = f"{counted(rest, 'more run')} · " if rest else ""
        left = self._left()
        after = f" · {left}" if left else ""
        return Group(table, Text(f"{more}{done:.0f} of {total} epochs{after}"))

    def _shown(self) -> list[Job]:
        """The runs that fit on the screen: those that are running first of all."""
        most = max(3, min(MOST_ROWS, self._console.height - 4))
        order = {"running": 0, "failed": 1, "done": 2, "waiting": 3}
        first = sorted(self._rows, key=lambda job: order[self._rows[job].state])[:most]
        return [job for job in self._rows if job in set(first)]


def _console() -> Console:
    """Standard error; in a notebook plain lines, for it would keep every refresh of a display."""
    console = Console(stderr=True)
    if console.is_jupyter:
        return Console(stderr=True, force_jupyter=False, force_terminal=False)
    return console


def _epoch_line(job: Job, row: _RunProgress, left: str) -> str:
    return (
        f"{job}  epoch {row.epoch}/{row.epochs}  loss {_number(row.loss, '{:.4f}')}  "
        f"accuracy {_number(row.accuracy, '{:.4f}')}  "
        f"val_accuracy {_number(row.val_accuracy, '{:.4f}')}  "
        f"{_number(row.speed, '{:,.0f}')} images/s  {left}"
    ).rstrip()


def _count(done: int, total: int) -> str:
    """`5 of 10`; `5` where the total is unknown; nothing where nothing is counted."""
    if total:
        return f"{done:,} of {total:,}"
    return f"{done:,}" if done else ""


def _time_left(seconds: float) -> str:
    return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
