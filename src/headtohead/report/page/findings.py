"""The claims, the estimates without a verdict, times to a target and the sequential looks."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from headtohead.claims.base import ClaimFigure, JudgedClaim, Unit
from headtohead.core.text import MEGA, MISSING, NOTHING, counted, minus, significant, with_sign
from headtohead.report.comparisons import HeadComparison
from headtohead.report.summary import Summary
from headtohead.stats import bounds

NAMES = {
    "best_val_accuracy": "best validation accuracy",
    "last_val_accuracy": "last validation accuracy",
    "best_val_loss": "validation loss, best epoch",
    "last_val_loss": "validation loss, last epoch",
    "best_overfit": "over-fitting, best epoch",
    "last_overfit": "over-fitting, last epoch",
    "test_accuracy": "test accuracy",
    "test_loss": "test log loss",
    "test_auroc": "test AUROC",
    "test_brier": "test Brier score",
    "test_ece": "test calibration error",
    "test_balanced_accuracy": "balanced test accuracy",
    "test_macro_f1": "test macro-F1",
    "seconds": "wall-clock seconds of a run",
    "cpu_seconds": "processor seconds of a run",
    "epochs_to_target": "epochs to the target",
    "seconds_to_target": "wall-clock seconds to the target",
}
NOT_TRAINED = "none: computed in closed form"
SHARES = ("accuracy", "overfit", "ece", "f1")


@dataclass(frozen=True)
class MeasureRow:
    """A claim's numbers: one text for each head."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class ClaimView:
    """A claim as the page shows it; `heads` are the columns of its measures.

    `figure` is what stands with it, where the page has no section of its own for it (`anchor`).
    """

    statement: str
    outcome: str
    rule: str
    anchor: str
    heads: tuple[str, ...]
    measures: tuple[MeasureRow, ...]
    notes: tuple[str, ...]
    figure: ClaimFigure | None


@dataclass(frozen=True)
class EstimateRow:
    """One pair on one metric: an estimate with its interval over seeds; `order` sorts by it."""

    metric: str
    pair: str
    mean: str
    order: float
    interval: str
    n: int


@dataclass(frozen=True)
class PicturesRow:
    """One comparison's interval over images, and McNemar's p-value of each seed."""

    pair: str
    mean: str
    interval: str
    pictures: str
    mcnemar: str


@dataclass(frozen=True)
class TargetRow:
    """How many epochs one head took to the target."""

    head: str
    reached: str
    epochs: str


def claim_views(
    claims: Sequence[JudgedClaim], figures: Mapping[str, ClaimFigure]
) -> tuple[ClaimView, ...]:
    """The claims with their numbers in readable units."""
    found = []
    for claim in claims:
        heads = tuple(dict.fromkeys(head for m in claim.measures for head in m.heads))
        rows = tuple(
            MeasureRow(
                f"{m.name}{_unit_name(m.unit)}",
                tuple(_value(m.heads.get(h), m.unit) for h in heads),
            )
            for m in claim.measures
        )
        found.append(
            ClaimView(
                claim.statement,
                claim.outcome,
                minus(claim.rule),
                figures[claim.name].anchor,
                heads,
                rows,
                tuple(map(minus, claim.notes)),
                figures[claim.name] if not figures[claim.name].anchor else None,
            )
        )
    return tuple(found)


def _unit_name(unit: Unit) -> str:
    return {"share": " (%)", "bytes": " (MB)", "count": ""}.get(unit, f" ({unit})")


def _value(value: float | None, unit: Unit) -> str:
    if value is None or not math.isfinite(value):
        return MISSING
    if unit == "count":
        return f"{value:,.0f}"
    if unit in ("share", "points"):
        return minus(f"{100 * value:z.1f}")
    if unit == "bytes":
        return significant(value / MEGA)
    return minus(significant(value))


def estimate_rows(summary: Summary) -> tuple[EstimateRow, ...]:
    """Every pair and metric that has no verdict; what has no value is left out."""
    rows = []
    for item in summary.estimates:
        over = item.over_seeds
        if over.mean is None or not math.isfinite(over.mean):
            continue
        scale = 100 if any(share in item.metric for share in SHARES) else 1
        last = item.metric.endswith("_last")
        name = NAMES.get(item.metric.removesuffix("_last"), item.metric)
        unit = ", points" if scale == 100 else ""
        rows.append(
            EstimateRow(
                metric=f"{name}{', last epoch' if last else ''}{unit}",
                pair=f"{item.first} − {item.second}",
                mean=minus(_three(scale * over.mean)),
                order=scale * over.mean,
                interval=_interval(bounds(over), scale, _three),
                n=over.n,
            )
        )
    return tuple(rows)


def picture_rows(summary: Summary) -> tuple[PicturesRow, ...]:
    """The comparisons of the family over test images."""
    rows = []
    for item in summary.comparisons:
        found = item.pictures
        if found is None:
            continue
        p = [test.p for test in item.mcnemar]
        rows.append(
            PicturesRow(
                pair=f"{item.first} − {item.other}",
                mean=minus(with_sign(100 * found.mean)),
                interval=bounds_text(picture_bounds(item)),
                pictures=f"{found.pictures:,} in {counted(found.clusters, 'group')}",
                mcnemar=", ".join(f"{value:.2g}" for value in p) or MISSING,
            )
        )
    return tuple(rows)


def picture_bounds(item: HeadComparison) -> tuple[float, float] | None:
    """The interval over images in points, where there is one."""
    ends = bounds(item.pictures)
    return None if ends is None else (100 * ends[0], 100 * ends[1])


def bounds_text(ends: tuple[float, float] | None) -> str:
    """`−3.58 to +1.18`, in points."""
    return _interval(ends)


def target_rows(summary: Summary) -> tuple[TargetRow, ...]:
    """Restricted means; runs that never reached the target count in full.

    A head in closed form is among them, with its reason in place of epochs.
    """
    if summary.targets is None:
        return ()
    found = tuple(
        TargetRow(
            item.head,
            f"{item.epochs.reached} of {item.epochs.n}",
            f"{item.epochs.mean:.1f}",
        )
        for item in summary.targets.heads
    )
    return (*found, *(TargetRow(head, MISSING, NOT_TRAINED) for head in summary.in_closed_form))


def looks_text(summary: Summary) -> str:
    """The sequential design in a sentence; empty where the study follows none."""
    looks = summary.looks
    if looks is None:
        return ""
    at = ", ".join(map(str, looks.looks))
    taken = ", ".join(
        f"{look.n} seeds: {with_sign(100 * look.mean)} points, p = {look.p:.3g} "
        f"against {look.spent:.3g}"
        for look in looks.taken
    )
    end = {1: f"{looks.reference} is better", -1: f"{looks.other} is better", 0: "not decided"}
    return minus(
        f"Seeds are added until {looks.reference} against {looks.other} is decided. Declared "
        f"beforehand: looks at {at} seeds, level {looks.level:g} spent as {looks.spending}. "
        f"Taken: {taken or 'none yet'}. By now: {end[looks.decision]}."
    )


def _three(value: float) -> str:
    """Three significant digits with the sign; what an addition's rounding leaves is zero."""
    rounded = round(value, NOTHING) + 0.0
    return f"{'+' if rounded >= 0 else ''}{significant(rounded)}"


def _interval(
    ends: tuple[float, float] | None, scale: float = 1, shown: Callable[[float], str] = with_sign
) -> str:
    if ends is None or not all(map(math.isfinite, ends)):
        return MISSING
    return minus(" to ".join(shown(scale * end) for end in ends))
