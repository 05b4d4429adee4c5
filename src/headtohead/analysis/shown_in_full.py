"""Which heads of a large study are drawn in full: the others are faint, or folded away."""

from collections.abc import Mapping, Sequence

import numpy as np

from headtohead.analysis.pairs import MANY
from headtohead.analysis.run_results import RunResult
from headtohead.config.study import StudySpec
from headtohead.core.text import counted


def shown_in_full(study: StudySpec, by_head: Mapping[str, Sequence[RunResult]]) -> frozenset[str]:
    """At most MANY heads with runs: the reference, the head of its claims, those of the declared
    family, then the best by mean validation accuracy. All heads where they are no more than that.
    """
    if len(by_head) <= MANY:
        return frozenset(by_head)
    declared = [head for pair in study.family for head in pair] if study.verdict.pairs else []
    first = [study.reference, study.claims_against, *declared]
    best = sorted(by_head, key=lambda head: -_validation(by_head[head]))
    named = dict.fromkeys(head for head in (*first, *best) if head is not None and head in by_head)
    return frozenset(list(named)[:MANY])


def not_drawn(count: int) -> str:
    """What a caption says of heads that a chart leaves out; empty where there are none."""
    return f" {counted(count, 'more head')} in the table alone." if count else ""


def _validation(runs: Sequence[RunResult]) -> float:
    found = [run.scored_validation for run in runs if run.scored_validation is not None]
    return float(np.mean(found)) if found else -1.0
