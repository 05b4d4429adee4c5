"""The summary as a table on the terminal."""

import io
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from headtohead.analysis.baseline import Baseline
from headtohead.analysis.learning import no_epochs
from headtohead.analysis.run_results import PRIMARY
from headtohead.core.text import MISSING, confidence, counted, digits_of_seconds, names, with_sign
from headtohead.report.charts.style import LARGEST_CLASS
from headtohead.report.comparisons import HeadComparison, most_seeds
from headtohead.report.intervals import over_seeds
from headtohead.report.page.answer import opening
from headtohead.report.page.on_validation import level_text
from headtohead.report.remedy import remedy, seeds_may_help
from headtohead.report.summary import HeadResult, Summary
from headtohead.stats import bounds

WRITTEN = "report.html, report.md, tables, results.csv, summary.json, tensorboard"
HEAD_WIDTH = len(LARGEST_CLASS)
"""Of the column of heads' names; longer ones are folded where there is no room for them."""
WINNER = "*"
# Paths are to be copied whole, and a head's name is no place to break at.
WORDS: Any = {"break_long_words": False, "break_on_hyphens": False}


@dataclass(frozen=True)
class Column:
    """A column of the terminal's table: a metric, and how its numbers are written.

    `scale` 100 writes shares in per cent. Where the terminal is too narrow, columns are left out,
    those with the largest `aside` first; those with 0 never are.
    """

    title: str
    metric: str
    scale: float = 100.0
    digits: int = 1
    aside: int = 0


COLUMNS = (
    Column("best val.", "best_val_accuracy", aside=1),
    Column("last val.", "last_val_accuracy", aside=3),
    Column("test", "test_accuracy"),
    Column("over-fit", "last_overfit", aside=2),
    Column("AUROC", "test_auroc", scale=1.0, digits=3, aside=4),
    Column("ECE, %", "test_ece", aside=5),
    Column("Brier", "test_brier", scale=1.0, digits=3, aside=6),
)


@dataclass(frozen=True)
class ResultTable:
    """A summary for a rich console, as wide as the console allows. `out` is the study's folder."""

    summary: Summary
    out: Path | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What cannot be judged, the table, then verdicts, notes and paths, each wrapped."""
        summary, width = self.summary, options.max_width
        for line in opening(summary):
            # A terminal without Unicode shows "?" for a true minus: a number loses its sign.
            yield Text(textwrap.fill(line.replace("−", "-"), width, **WORDS))
            yield Text()
        if summary.heads:
            yield _grid(summary, width)
            yield Text()
        lines = [*explanation(summary), *verdict_lines(summary)]
        lines += [f"Note: {note}" for note in summary.notes]
        if self.out is not None and summary.heads:
            lines.append(f"Written to {self.out}: {WRITTEN}")
        for line in lines:
            # Text, not markup: names and reasons may hold square brackets.
            yield Text(textwrap.fill(line, width, subsequent_indent="  ", **WORDS))


def render_table(summary: Summary, out: Path | None = None) -> ResultTable:
    """What the terminal shows of a study; plain text where it is no terminal (rich sees to it)."""
    return ResultTable(summary, out)


def render_text(summary: Summary, out: Path | None = None) -> str:
    """The same as plain text, 80 characters wide."""
    buffer = io.StringIO()
    Console(file=buffer, width=80, color_system=None, force_jupyter=False).print(
        render_table(summary, out)
    )
    return buffer.getvalue().rstrip()


def explanation(summary: Summary) -> Iterator[str]:
    """What the table's numbers are, in two lines, and who won."""
    if not summary.heads:
        return
    if len(summary.failed) < len(summary.heads):
        yield _accuracies(summary)
    found = summary.baseline
    yield (
        f"Largest class: always predicting {found.name}, {100 * found.test:.1f} % of "
        f"{found.images:,} test images, {confidence(found.level)} interval over images "
        f"{100 * found.low:.1f} to {100 * found.high:.1f}."
    )
    winner = summary.winner
    if winner is not None and len(summary.heads) > 1:
        over = counted(len(winner.seeds), "seed")
        yield (
            f"{WINNER} Chosen on validation: {winner.head} ({100 * winner.validation:.1f} % over "
            f"{over}{level_text(summary)}); its seed {winner.seed} is the best."
        )


def _accuracies(summary: Summary) -> str:
    """What the columns are, where a run is finished."""
    counts = sorted({head.finished for head in summary.heads})
    seeds = " to ".join(map(str, dict.fromkeys([counts[0], counts[-1]])))
    over = f"mean ± standard deviation over {seeds} finished runs of each head"
    if counts[-1] < 2:
        over = f"of {seeds} finished run of each head"
    return (
        f"Accuracies in %, {over}; test at the best epoch. Over-fit: "
        f"training minus validation accuracy at the last epoch, in points, both in evaluation "
        f"mode. CPU s: processor seconds of one run, all threads together."
    )


def verdict_lines(summary: Summary) -> Iterator[str]:
    """Each comparison with its verdict, or its estimate where seeds are too few; then the rest."""
    for item in summary.comparisons:
        if not item.judged:
            lagging = names([head for head in item.heads if head in summary.lags])
            yield (
                f"{item.first} against {item.other}: not judged, for evaluation of "
                f"{lagging} lags. {_estimate(summary, item)}."
            )
    if not summary.comparisons:
        return
    yield from _judged_lines(summary, [item for item in summary.comparisons if item.judged])
    if advice := remedy(summary):
        yield advice
    yield from _target_lines(summary)
    if summary.estimates:
        yield "Every other pair and metric: estimates in summary.json, no verdict."


def _judged_lines(summary: Summary, judged: Sequence[HeadComparison]) -> Iterator[str]:
    """What holds for all of them, then each."""
    few = summary.few_seeds(judged)
    mendable = any(seeds_may_help(summary, item) for item in judged)
    if few and mendable and not summary.nothing_learned:
        most = counted(most_seeds(judged), "seed")
        yield f"No verdict: {most}, at least {summary.seeds_needed} needed."
    if judged and not few and summary.file.study.verdict.metric != "test_accuracy":
        yield f"Verdicts are about {summary.metric}."
    for item in judged:
        found = item.comparison
        if summary.unmeasured(item):
            yield f"{item.pair}: not compared, {found.better.rule}."
            continue
        if few and found.difference.n:
            yield f"{_estimate(summary, item)}."
        elif not few:
            yield f"{found.better.claim}: {found.better.outcome} ({found.better.rule})."
            yield f"{found.not_worse.claim}: {found.not_worse.outcome} ({found.not_worse.rule})."
        yield from _over_pictures(item)


def _over_pictures(item: HeadComparison) -> Iterator[str]:
    """The interval over images beside the one over seeds, and McNemar's tests."""
    found = item.pictures
    if found is None:
        return
    pair = f"{item.pair} over images, not seeds"
    networks = f"these {found.seeds} pairs of networks" if found.seeds > 1 else "this one pair"
    ends = bounds(found)
    if ends is None:
        yield f"{pair}: too few of {found.pictures:,} test images tell the heads apart."
        return
    p = sorted(test.p for test in item.mcnemar)
    by_seed = " to ".join(dict.fromkeys(f"{end:.2g}" for end in (p[0], p[-1])))
    yield (
        f"{pair}: {with_sign(100 * found.mean)}, {confidence(found.level)} interval "
        f"{with_sign(100 * ends[0])} to {with_sign(100 * ends[1])} points ({networks} on "
        f"other test images; {found.pictures:,} images in {counted(found.clusters, 'group')}, "
        f"cluster-robust). McNemar per seed, descriptive: p = {by_seed}."
    )


def _target_lines(summary: Summary) -> Iterator[str]:
    """Epochs to the target accuracy, restricted means; runs that never reached it count in full."""
    targets = summary.targets
    if targets is None:
        return
    parts = [
        f"{item.head} {item.epochs.mean:.1f} ({item.epochs.reached} of {item.epochs.n} reached it)"
        for item in targets.heads
    ]
    without = f" {no_epochs(summary.in_closed_form)}." if summary.in_closed_form else ""
    origin = "the study's target" if targets.declared else "a target taken from the reference"
    yield (
        f"Epochs to {100 * targets.target:g} % validation accuracy ({origin}), at most "
        f"{targets.heads[0].epochs.horizon:g} counted: {', '.join(parts)}.{without}"
    )


def _estimate(summary: Summary, item: HeadComparison) -> str:
    difference = item.comparison.difference
    mean = 100 * (difference.mean or 0.0)
    metric = f"{summary.metric[0].upper()}{summary.metric[1:]}"
    line = f"{metric}, {item.pair}: {with_sign(mean, 1)} points"
    found = over_seeds(summary, item)
    if found.bounds is None:
        if difference.n < 2:
            return f"{line} (estimate from one seed)"
        return f"{line} (an estimate over {difference.n} seeds; {found.why_not})"
    low, high = (with_sign(100 * end, 1) for end in found.bounds)
    about = f", {found.about}" if found.about else ""
    return f"{line} ({found.confidence} interval {low} to {high}{about}, an estimate)"


def _grid(summary: Summary, width: int) -> Table:
    """The table with as many columns as the width has room for, none of them cut.

    Columns are left out before a name is folded. Names that would not fit beside the fewest
    columns are folded anyway, and cost no column.
    """
    longest = max(len(name) for name in (LARGEST_CLASS, *(head.head for head in summary.heads)))
    console = Console(width=10_000)
    columns = list(_columns(summary))
    fewest = _table(summary, [column for column in columns if not column.aside])
    folded = longest - HEAD_WIDTH if console.measure(fewest).maximum > width else 0
    while True:
        table = _table(summary, columns)
        least = max(columns, key=lambda column: column.aside)
        if not least.aside or console.measure(table).maximum - folded <= width:
            return table
        columns.remove(least)


def _table(summary: Summary, columns: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, 1), collapse_padding=True, pad_edge=False)
    table.add_column("", width=1)
    table.add_column("head", overflow="fold", min_width=HEAD_WIDTH)
    table.add_column("params", justify="right", no_wrap=True)
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=True)
    table.add_column("CPU s", justify="right", no_wrap=True)
    for head in summary.heads:
        won = summary.won(head.head)
        cells = [_cell(head, column) for column in columns]
        spent = head.spreads["cpu_seconds"]
        seconds = MISSING if spent is None else f"{spent.mean:,.{digits_of_seconds(spent.mean)}f}"
        table.add_row(
            WINNER if won else "",
            Text(head.head),
            f"{head.parameters.total:,}",
            *cells,
            seconds,
            style="bold" if won else "",
        )
    found = summary.baseline
    table.add_row(
        "",
        LARGEST_CLASS,
        "",
        *(_baseline_cell(found, column) for column in columns),
        "",
        style="dim",
    )
    return table


def _columns(summary: Summary) -> Iterator[Column]:
    """The table's columns; beside accuracy the primary metric where that is another."""
    primary = PRIMARY[summary.file.study.verdict.metric]
    for column in COLUMNS:
        yield column
        if column.metric == "test_accuracy" != primary:
            yield Column({"test_macro_f1": "macro-F1"}.get(primary, "balanced"), primary)


def _baseline_cell(found: Baseline, column: Column) -> str:
    """What always predicting the largest class scores, under its test accuracy the interval."""
    value = found.metrics.get(column.metric)
    if value is None:
        return MISSING
    text = f"{column.scale * value:z.{column.digits}f}"
    if column.metric == "test_accuracy":
        text += f"\n{100 * found.low:.1f}–{100 * found.high:.1f}"
    return text


def _cell(head: HeadResult, column: Column) -> str:
    """`84.1 ± 0.6`; a dash for none."""
    found = head.spreads[column.metric]
    if found is None:
        return MISSING
    mean = f"{column.scale * found.mean:z,.{column.digits}f}"
    return mean if found.sd is None else f"{mean} ± {column.scale * found.sd:.{column.digits}f}"
