"""Class by class: precision, recall, F1, what is confused most, which files are misclassified."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from headtohead.analysis.run_results import RunResult
from headtohead.core.files import csv_bytes
from headtohead.core.text import MISSING, counted, no_formula
from headtohead.probes.predictions import SplitPredictions
from headtohead.report.summary import Summary
from headtohead.stats.metrics import class_scores, predictions, probabilities
from headtohead.store.picture_table import PictureTable

FOLDED_FROM = 21
"""Classes from which on tables of them are folded."""

WORST_PAIRS = 5

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class ClassRow:
    """One class of one head: its test images a seed, and texts of `84.1 ± 0.6` in %."""

    name: str
    images: str
    precision: str
    recall: str
    f1: str

    @property
    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        return self.name, self.images, self.precision, self.recall, self.f1


@dataclass(frozen=True)
class HeadClasses:
    """One head, class by class, mean ± standard deviation over seeds, at the best epoch.

    `averages` are its balanced accuracy, macro-F1 and, for many classes, top-5 accuracy, each
    (name, text); `confused` are its most confused pairs in sentences.
    """

    head: str
    won: bool
    averages: tuple[tuple[str, str], ...]
    rows: tuple[ClassRow, ...]
    confused: tuple[str, ...]


CLASS_TITLES = ("class", "test images", "precision, %", "recall, %", "F1, %")
"""Of `ClassRow.cells`."""


def head_classes(summary: Summary) -> tuple[HeadClasses, ...]:
    """Every head with predictions on the test split, the winner first."""
    found = []
    for head in summary.heads:
        runs = [run for run in head.runs if run.finished and run.test_best is not None]
        if runs:
            found.append(_head(head.head, summary.won(head.head), runs, summary.file.classes))
    return tuple(sorted(found, key=lambda item: not item.won))


def _head(head: str, won: bool, runs: Sequence[RunResult], classes: Sequence[str]) -> HeadClasses:
    evaluations = [run.test_best for run in runs if run.test_best is not None]
    counts = np.array([found.confusion for found in evaluations], dtype=np.int64)
    scores = [class_scores(one) for one in counts]
    columns = [
        np.array([getattr(one, name) for one in scores]) for name in ("precision", "recall", "f1")
    ]
    support = [one.support for one in scores]
    rows = tuple(
        ClassRow(
            name,
            _range([int(one[k]) for one in support]),
            *(over_seeds(column[:, k]) for column in columns),
        )
        for k, name in enumerate(classes)
    )
    averages = [
        ("balanced accuracy", [found.balanced_accuracy for found in evaluations]),
        ("macro-F1", [found.macro_f1 for found in evaluations]),
        ("top-5 accuracy", [found.top_5 for found in evaluations if found.top_5 is not None]),
    ]
    told = tuple((name, f"{over_seeds(np.array(v))} %") for name, v in averages if v)
    return HeadClasses(head, won, told, rows, tuple(confused(head, counts.sum(axis=0), classes)))


def over_seeds(shares: Floats) -> str:
    """`84.1 ± 0.6`, in %, of the seeds that have the value; a dash where none has."""
    known = 100 * shares[np.isfinite(shares)]
    if not len(known):
        return MISSING
    mean = f"{known.mean():.1f}"
    return mean if len(known) < 2 else f"{mean} ± {known.std(ddof=1):.1f}"


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def confused(head: str, counts: NDArray[np.int64], classes: Sequence[str]) -> Iterator[str]:
    """The most confused pairs of (K, K) confusions of all seeds together, the worst share first.

    A share is of the true class's images; between equal shares the larger number comes first.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    pairs = [(i, j) for i, j in zip(*np.nonzero(counts), strict=True) if i != j]
    pairs.sort(key=lambda pair: (-shares[pair], -counts[pair]))
    for i, j in pairs[:WORST_PAIRS]:
        yield (
            f"{head} takes {classes[i]} for {classes[j]} in {100 * shares[i, j]:.1f} % of the test "
            f"images of {classes[i]} ({counts[i, j]:,} of "
            f"{counted(int(counts[i].sum()), 'answer')})."
        )


@dataclass(frozen=True)
class Misclassified:
    """A test image that some seeds of a head misclassify.

    `predicted` is the wrong class that most of these seeds predict (between equals the likelier),
    `probability` its mean over the seeds that predict it; `wrong` of `seeds` seeds that tested the
    image misclassify it, whatever they predict.
    """

    row: int
    label: int
    predicted: int
    probability: float
    wrong: int
    seeds: int


def misclassified(splits: Sequence[SplitPredictions]) -> list[Misclassified]:
    """Of one head's runs, most wrong seeds first, then the surest, then by row."""
    wrong: dict[int, dict[int, list[float]]] = {}
    tested: dict[int, int] = {}
    labels: dict[int, int] = {}
    for split in splits:
        named, sure = predictions(split.best), probabilities(split.best)
        for at, row in enumerate(split.rows.tolist()):
            tested[row] = tested.get(row, 0) + 1
            labels[row] = int(split.labels[at])
            if named[at] != split.labels[at]:
                mine = wrong.setdefault(row, {}).setdefault(int(named[at]), [])
                mine.append(float(sure[at, named[at]]))
    found = []
    for row, answers in wrong.items():
        most = max(answers, key=lambda k: (len(answers[k]), float(np.mean(answers[k])), -k))
        number = sum(map(len, answers.values()))
        p = float(np.mean(answers[most]))
        found.append(Misclassified(row, labels[row], most, p, number, tested[row]))
    return sorted(found, key=lambda item: (-item.wrong / item.seeds, -item.probability, item.row))


def misclassified_csv(
    found: Sequence[Misclassified], classes: Sequence[str], images: PictureTable | None
) -> bytes:
    """`misclassified.csv`: one line for each image, UTF-8 with a header.

    Files and classes that a spreadsheet would run begin with an apostrophe. Without `pictures.csv`
    files are not known, and each is named by its row.
    """
    lines: list[Sequence[object]] = [("file", "label", "prediction", "probability", "wrong", "of")]
    for item in found:
        name = f"row {item.row}" if images is None else images.names[item.row]
        label, named = (no_formula(classes[k]) for k in (item.label, item.predicted))
        share = f"{item.probability:.6f}"
        lines.append((no_formula(name), label, named, share, item.wrong, item.seeds))
    return csv_bytes(lines)


def per_class_csv(found: Sequence[HeadClasses], summary: Summary) -> bytes:
    """`per_class.csv`: every head × class, means over seeds as shares in [0, 1]."""
    lines: list[Sequence[object]] = [
        ("head", "class", "test_images", "precision", "recall", "f1", "seeds")
    ]
    by_head: Mapping[str, Sequence[RunResult]] = {item.head: item.runs for item in summary.heads}
    for item in found:
        runs = [run.test_best for run in by_head[item.head] if run.finished and run.test_best]
        scores = [class_scores(np.array(run.confusion)) for run in runs]
        for k, name in enumerate(summary.file.classes):
            values = [[float(getattr(s, part)[k]) for s in scores] for part in _PARTS]
            lines.append((item.head, no_formula(name), *map(_mean, values), len(runs)))
    return csv_bytes(lines)


_PARTS = ("support", "precision", "recall", "f1")


def _mean(values: Sequence[float]) -> str:
    known = [value for value in values if np.isfinite(value)]
    return f"{float(np.mean(known)):.6g}" if known else ""
