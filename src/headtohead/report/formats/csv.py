"""`results.csv`: one row for each run."""

from collections.abc import Sequence

from headtohead.analysis.run_results import METRICS, PRIMARY, RunResult
from headtohead.core.files import csv_bytes
from headtohead.report.charts.style import LARGEST_CLASS
from headtohead.report.summary import Summary
from headtohead.stats.over_images import share_interval


def results_csv(summary: Summary) -> bytes:
    """One row for each run that is over, UTF-8 with a header; empty cells for unknown values.

    Units are those of METRICS: shares, nats, seconds. The last row, of status "baseline", is always
    predicting the largest class. `test_accuracy_low` and `_high` bound the exact binomial interval
    over test images, at the study's level.
    """
    names = [
        *("head", "seed", "status", "failure", "epochs", "best_epoch"),
        *("parameters", "head_parameters", "trainable_parameters"),
        *METRICS,
        f"scored_{PRIMARY[summary.file.study.verdict.metric]}",
        *("test_accuracy_low", "test_accuracy_high"),
    ]
    lines: list[Sequence[object]] = [names]
    for run in summary.runs:
        status = "finished" if run.finished else "failed"
        counts = run.parameters
        lines.append(
            [
                *(run.head, run.seed, status, run.failure, run.epochs, run.best_epoch),
                *(counts.total, counts.head, counts.trainable),
                *(run.metrics[name] for name in METRICS),
                run.scored,
                *_over_images(run, summary.baseline.level),
            ]
        )
    found = summary.baseline
    if summary.runs:
        lines.append(
            [
                *(LARGEST_CLASS, None, "baseline", None, None, None, 0, 0, 0),
                *(found.metrics.get(name) for name in METRICS),
                found.metrics[PRIMARY[summary.file.study.verdict.metric]],
                *(found.low, found.high),
            ]
        )
    return csv_bytes(lines)


def _over_images(run: RunResult, level: float) -> tuple[float | None, float | None]:
    """The exact binomial interval of one run's test accuracy."""
    found = run.test_best
    if found is None:
        return None, None
    return share_interval(round(found.accuracy * found.n), found.n, level)
