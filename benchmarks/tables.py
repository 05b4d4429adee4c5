"""Outcomes → medians with their ranges, as Markdown."""

import statistics
from collections.abc import Callable, Sequence

from measuring import Failure, Measurement, Outcome

Value = Callable[[Measurement], float]
COLUMNS: dict[str, Value] = {
    "wall s": lambda m: m.seconds,
    "CPU s": lambda m: m.cpu_seconds,
    "peak MB": lambda m: m.peak_bytes / 1e6,
}
RATED: dict[str, Value] = {
    "pictures/s": lambda m: m.pictures / m.seconds,
    "CPU ms/picture": lambda m: 1000 * m.cpu_seconds / m.pictures,
}
NONE = "–"


def spread(values: Sequence[float]) -> str:
    """Median (least to greatest), in three significant digits; a dash where there are none."""
    if not values:
        return NONE
    middle, low, high = statistics.median(values), min(values), max(values)
    if low == high:
        return number(middle)
    return f"{number(middle)} ({number(low)} to {number(high)})"


def number(value: float) -> str:
    """Three significant digits, no exponent."""
    size = abs(value)
    digits = 0 if size >= 100 or size == 0 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def paired(
    ones: Sequence[Measurement], others: Sequence[Measurement]
) -> list[tuple[Measurement, Measurement]]:
    """Those of the same repetition; what was not measured of either side is left out."""
    at = {other.repetition: other for other in others}
    return [(one, at[one.repetition]) for one in ones if one.repetition in at]


def ratios(ones: Sequence[Measurement], others: Sequence[Measurement], value: Value) -> list[float]:
    """`value` of `ones` over that of `others`, within each repetition."""
    return [value(one) / value(other) for one, other in paired(ones, others)]


def case_table(outcomes: Sequence[Outcome], bases: Sequence[str]) -> str:
    """One case: a row for each side, compared with the `bases` that it has or else its first."""
    sides = {
        side: [o for o in outcomes if o.side == side and isinstance(o, Measurement)]
        for side in dict.fromkeys(o.side for o in sorted(outcomes, key=lambda o: o.repetition))
    }
    compared = [base for base in bases if base in sides] or [next(iter(sides))]
    if len(sides) == 1:
        compared = []
    columns = dict(COLUMNS)
    if any(m.pictures for found in sides.values() for m in found):
        columns |= RATED
    names = [f"{what}, times {base}" for base in compared for what in ("wall", "CPU")]
    rows = []
    for side, found in sides.items():
        cells = [spread([value(m) for m in found]) for value in columns.values()]
        for base in compared:
            for what in ("wall s", "CPU s"):
                cells.append(spread(ratios(found, sides[base], COLUMNS[what])))
        rows.append([side, *cells])
    parts = [table(["", *columns, *names], rows), said(sides), *failures(outcomes)]
    return "\n\n".join(part for part in parts if part)


def said(sides: dict[str, list[Measurement]]) -> str:
    """What processes told beside their times, a row for each side; "" where none told anything."""
    names = list(dict.fromkeys(name for found in sides.values() for m in found for name in m.said))
    if not names:
        return ""
    rows = [
        [side, *(spread([m.said[name] for m in found if name in m.said]) for name in names)]
        for side, found in sides.items()
        if any(m.said for m in found)
    ]
    return table(["", *(name.replace("_", " ") for name in names)], rows)


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """A paragraph for each process that did not end well."""
    return [
        f"**{o.side} failed** in repetition {o.repetition + 1}: `{' '.join(o.words.split())}`"
        for o in outcomes
        if isinstance(o, Failure)
    ]


def report(outcomes: Sequence[Outcome], bases: Sequence[str]) -> str:
    """All questions and cases, each under its heading."""
    parts: list[str] = []
    for question in dict.fromkeys(o.question for o in outcomes):
        asked = [o for o in outcomes if o.question == question]
        parts.append(f"## {question}")
        for case in dict.fromkeys(o.case for o in asked):
            parts.append(f"### {case}")
            parts.append(case_table([o for o in asked if o.case == case], bases))
    return "\n\n".join(parts)
