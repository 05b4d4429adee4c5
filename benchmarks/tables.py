"""Measurements → medians with their ranges, as Markdown."""

import statistics
from collections.abc import Callable, Sequence

from measuring import Measurement

Value = Callable[[Measurement], float]


def spread(values: Sequence[float]) -> str:
    """Median (least to greatest), in three significant digits."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{number(middle)} ({number(low)} to {number(high)})"


def number(value: float) -> str:
    """Three significant digits, no exponent."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def sides_of(measurements: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """By side, in repetitions' order."""
    found: dict[str, list[Measurement]] = {}
    for measurement in sorted(measurements, key=lambda m: m.repetition):
        found.setdefault(measurement.side, []).append(measurement)
    return found


def ratios(ones: Sequence[Measurement], others: Sequence[Measurement], value: Value) -> list[float]:
    """`value` of `ones` over that of `others`, within each repetition."""
    return [value(one) / value(other) for one, other in zip(ones, others, strict=True)]


def case_table(measurements: Sequence[Measurement], first: str) -> str:
    """One case: a row for each side, `first` leading, each compared with it."""
    sides = sides_of(measurements)
    order = [first, *(side for side in sides if side != first)] if first in sides else list(sides)
    rated = any(m.pictures for m in measurements)
    several = len(order) > 1
    columns = ["", "wall s", "CPU s"]
    columns += ["pictures/s"] if rated else []
    columns += [f"wall, times {order[0]}", f"CPU, times {order[0]}"] if several else []
    rows = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for side in order:
        found = sides[side]
        cells = [side, spread([m.seconds for m in found]), spread([m.cpu_seconds for m in found])]
        cells += [spread([m.pictures / m.seconds for m in found])] if rated else []
        if several:
            for value in (_wall, _cpu):
                cells.append(spread(ratios(found, sides[order[0]], value)))
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join([*rows, *said(sides)])


def said(sides: dict[str, list[Measurement]]) -> list[str]:
    """What processes told beside their times, a line for each number."""
    lines = []
    for side, found in sides.items():
        for name in found[0].said:
            values = spread([m.said[name] for m in found])
            lines.append(f"\n{side}, {name.replace('_', ' ')}: {values}")
    return lines


def report(measurements: Sequence[Measurement], first: str) -> str:
    """All questions and cases, each under its heading."""
    parts: list[str] = []
    questions = dict.fromkeys(m.question for m in measurements)
    for question in questions:
        asked = [m for m in measurements if m.question == question]
        parts.append(f"## {question}")
        for case in dict.fromkeys(m.case for m in asked):
            parts.append(f"### {case}")
            parts.append(case_table([m for m in asked if m.case == case], first))
    return "\n\n".join(parts)


def _wall(measurement: Measurement) -> float:
    return measurement.seconds


def _cpu(measurement: Measurement) -> float:
    return measurement.cpu_seconds
