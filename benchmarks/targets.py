"""What must hold, as data, and whether it does by what was measured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from measuring import OURS, Measurement
from tables import paired, spread, table

ARTICLE, ARTICLE_ONCE = "article's script, TensorFlow", "article's script, decoded once"
KERAS_TORCH, LOOP, LIGHTNING = "Keras on PyTorch", "PyTorch loop", "PyTorch Lightning"
FLOOR, DECODER = "convolutions alone", "bare decoder"
TF_DATA, TF_DATA_TUNED = "tf.data as in the article", "tf.data, tuned"
HELP, REPORT, BOOKKEEPING = "headtohead --help", "headtohead report", "book-keeping"
ONE_WORKER, TWO_WORKERS = "1 worker", "2 workers"
HEADS = ("fc", "fc_dropout", "avgpool2x2")


@dataclass(frozen=True)
class Target:
    """A bound of a number, or of its ratio between two sides of a case."""

    words: str
    question: str
    value: str
    """A measurement's field, or what its process said."""
    side: str
    over: str | None
    """The side whose value is divided by; None where the number itself is bound."""
    sense: Literal["at least", "at most"]
    bound: float
    case: str = ""
    """How the case's name begins."""


@dataclass(frozen=True)
class Judged:
    """A target with the number of each repetition; none where it was not measured."""

    target: Target
    values: tuple[float, ...]

    @property
    def holds(self) -> bool | None:
        """By the median, None without any number."""
        if not self.values:
            return None
        middle, bound = median(self.values), self.target.bound
        return middle >= bound if self.target.sense == "at least" else middle <= bound


def _targets() -> Iterator[Target]:
    faster = {ARTICLE: 4.5, ARTICLE_ONCE: 2.0, KERAS_TORCH: 2.0, LOOP: 2.0, LIGHTNING: 2.0}
    for peer, bound in faster.items():
        yield Target(f"whole study against {peer}, wall", "study", "seconds", peer, OURS,
                     "at least", bound)  # fmt: skip
    for head in HEADS:
        yield Target(f"training step of {head} over its convolutions, CPU", "step", "cpu_seconds",
                     OURS, FLOOR, "at most", 1.3, f"{head}:")  # fmt: skip
    yield Target("preparing against the bare decoder, wall", "preparing", "seconds", OURS, DECODER,
                 "at most", 1.3)  # fmt: skip
    for peer in (TF_DATA, TF_DATA_TUNED):
        yield Target(f"preparing against {peer}, wall", "preparing", "seconds", peer, OURS,
                     "at least", 2.0)  # fmt: skip
    yield Target("two workers against one, span of training", "growth", "training_span_seconds",
                 ONE_WORKER, TWO_WORKERS, "at least", 1.85)  # fmt: skip
    yield Target(f"{HELP}, wall seconds", "startup", "seconds", HELP, None, "at most", 0.3)
    yield Target(f"{REPORT}, modules of torch", "startup", "modules_of_torch", REPORT, None,
                 "at most", 0)  # fmt: skip
    yield Target("book-keeping, % of a run's CPU", "startup", "percent_in_all", BOOKKEEPING, None,
                 "at most", 2.0)  # fmt: skip


TARGETS = tuple(_targets())


def judged(target: Target, measurements: Sequence[Measurement]) -> Judged:
    """The target's numbers, in each repetition in which its sides were measured."""
    found = [
        m for m in measurements
        if m.question == target.question and m.case.startswith(target.case)
    ]  # fmt: skip
    sides = {
        side: [m for m in found if m.side == side] for side in (target.side, target.over or "")
    }
    if target.over is None:
        return Judged(target, tuple(value_of(m, target.value) for m in sides[target.side]))
    pairs = paired(sides[target.side], sides[target.over])
    values = (value_of(m, target.value) / value_of(n, target.value) for m, n in pairs)
    return Judged(target, tuple(values))


def value_of(measurement: Measurement, name: str) -> float:
    """What the process said, or else a field of the measurement."""
    if name in measurement.said:
        return measurement.said[name]
    return float(getattr(measurement, name))


def targets_table(measurements: Sequence[Measurement]) -> str:
    """Every target that concerns a question that was asked, with its number and yes or no."""
    asked = {m.question for m in measurements}
    rows = []
    for target in TARGETS:
        if target.question not in asked:
            continue
        found = judged(target, measurements)
        answer = {True: "yes", False: "**no**", None: "not measured"}[found.holds]
        bound = f"{target.sense} {target.bound:g}"
        rows.append([target.words, bound, spread(found.values), answer])
    return table(["target", "bound", "measured", "holds"], rows)
