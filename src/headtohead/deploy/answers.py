"""Predictions written down: a table, CSV or JSON lines, whatever files and classes are called."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headtohead.core.errors import UsageError
from headtohead.core.text import no_formula, printable


@dataclass(frozen=True)
class Answer:
    """A file and its likeliest classes with their probabilities, the likeliest first."""

    path: Path
    top: tuple[tuple[str, float], ...]


def answer_of(
    path: Path, probabilities: NDArray[np.float64], classes: tuple[str, ...], top: int
) -> Answer:
    """The `top` likeliest of `classes` by (K,) probabilities; ties go to the earlier class.

    Raises UsageError for fewer than one.
    """
    if top < 1:
        raise UsageError(f"--top takes a number of classes of at least 1; received {top}.")
    order = np.argsort(-probabilities, kind="stable")[:top]
    return Answer(path, tuple((classes[k], float(probabilities[k])) for k in order))


def as_lines(answers: Iterable[Answer]) -> Iterator[str]:
    """JSON lines: file, class, probability and, where more were asked for, `top`."""
    for answer in answers:
        label, share = answer.top[0]
        line: dict[str, object] = {
            "file": os.fspath(answer.path),
            "class": label,
            "probability": share,
        }
        if len(answer.top) > 1:
            line["top"] = [{"class": name, "probability": p} for name, p in answer.top]
        yield json.dumps(line)


def as_csv(answers: Iterable[Answer]) -> Iterator[str]:
    """A heading and a line for each file; names that a spreadsheet would run begin with '."""
    for number, answer in enumerate(answers):
        if not number:
            columns = range(1, len(answer.top) + 1)
            names = [f"{name}_{k}" if k > 1 else name for k in columns for name in _PAIR]
            yield _joined(["file", *names])
        cells = [cell for label, p in answer.top for cell in (harmless(label), f"{p:.6f}")]
        yield _joined([harmless(os.fspath(answer.path)), *cells])


def as_table(answers: Iterable[Answer]) -> Iterator[str]:
    """A line for each file: its classes, then its name, which may be of any length."""
    for answer in answers:
        told = "  ".join(f"{printable(label):<12} {p:7.2%}" for label, p in answer.top)
        yield f"{told}  {printable(os.fspath(answer.path))}"


def harmless(cell: str) -> str:
    """`cell` printable, and nothing that a spreadsheet takes for a formula."""
    return no_formula(printable(cell), cell)


_PAIR = ("class", "probability")


def _joined(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(cells)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[Iterable[Answer]], Iterator[str]]] = {
    "table": as_table,
    "csv": as_csv,
    "jsonl": as_lines,
}
