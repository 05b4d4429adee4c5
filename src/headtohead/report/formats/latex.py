"""LaTeX tables for papers: `booktabs`, one file each, to be input."""

from collections.abc import Iterator, Mapping, Sequence

from headtohead.claims.base import JudgedClaim
from headtohead.core.tex import escape
from headtohead.core.text import MISSING, above, confidence, counted, minus, with_sign
from headtohead.report.charts.style import LARGEST_CLASS
from headtohead.report.comparisons import HeadComparison
from headtohead.report.formats.latex_layout import table
from headtohead.report.intervals import OVER_LOOKS, over_seeds
from headtohead.report.page.answer import opening
from headtohead.report.page.content import Content
from headtohead.report.page.forest import against
from headtohead.report.page.tables import Row
from headtohead.report.summary import Summary
from headtohead.stats import bounds

TITLES = {"of the head": "parameters of the head"}
"""Of columns that may stand without the one beside which the page has them."""


def latex_tables(content: Content) -> Mapping[str, bytes]:
    """File name → table in UTF-8: heads, verdicts and claims, each where there are some.

    A caption begins with what cannot be judged or was not learned. A label has the study's name,
    whose letters (`Name` of `config/study.py`) LaTeX takes as they are.
    """
    first = "".join(f"\\textbf{{{escape(line)}}} " for line in opening(content.summary))
    tables = {
        "heads.tex": _heads(content, first),
        "verdicts.tex": _verdicts(content.summary, first),
        "claims.tex": _claims(content, first),
    }
    return {name: text.encode() for name, text in tables.items() if text}


def _heads(content: Content, first: str) -> str:
    """Every head's results, under a caption that begins with `first`; empty without any."""
    if not content.rows:
        return ""
    return table(
        f"{first}{escape(_what_heads_are(content))}",
        _label(content.summary, "heads"),
        ("Head", *(TITLES.get(title, title) for title in content.columns), "runs"),
        [*_head_rows(content.rows), _largest_class(content)],
    )


def _verdicts(summary: Summary, first: str) -> str:
    """Every pair's verdicts, likewise."""
    comparisons = [item for item in summary.comparisons if _measured(summary, item)]
    if not comparisons:
        return ""
    one = _one(summary)
    return table(
        f"{first}{escape(_what_verdicts_are(summary, comparisons))}",
        _label(summary, "verdicts"),
        (
            *("Against" if one else "Pair", "mean", "over seeds", "over images"),
            *(f"p{_holm(summary)}", "seeds", "better", "at least as good"),
        ),
        [_verdict(summary, item, one=one) for item in comparisons],
    )


def _claims(content: Content, first: str) -> str:
    """What the claims came to, likewise."""
    claims = content.claims
    if not content.rows or not claims.judged:
        return ""
    sure = escape(confidence(content.summary.file.study.verdict.level))
    return table(
        f"{first}{escape(claims.title)}. Means and {sure} intervals over seeds "
        f"are in points, in the claim's favour. {escape(claims.how_judged)}",
        _label(content.summary, "claims"),
        ("Claim", "verdict", "mean", "over seeds", "seeds"),
        list(map(_claim, claims.judged)),
    )


def _label(summary: Summary, table: str) -> str:
    """Of one table in a paper that may have the tables of several studies."""
    return f"{summary.file.study.name}-{table}"


def _measured(summary: Summary, item: HeadComparison) -> bool:
    """Whether they share a seed, and one of them has a finished run."""
    return bool(item.comparison.difference.n) and not summary.unmeasured(item)


def _what_heads_are(content: Content) -> str:
    several = any(row.finished > 1 for row in content.rows)
    over = "finished runs" if any(row.failed for row in content.rows) else "seeds"
    one = "One seed" if any(row.finished for row in content.rows) else "No run is finished"
    numbers = f"Mean ± standard deviation over {over}" if several else one
    name = content.summary.baseline.name
    return (
        f"{numbers}; test metrics at the best epoch. Largest class: always predicting {name}; "
        f"{content.baseline.about}."
    )


def _head_rows(rows: Sequence[Row]) -> Iterator[Sequence[str]]:
    """Each head; what failed is beside the runs that its means are over."""
    for row in rows:
        runs = f"{row.finished} ({row.failed} failed)" if row.failed else f"{row.finished}"
        yield row.head, *(minus(cell.full) for cell in row.cells), runs


def _largest_class(content: Content) -> Sequence[str]:
    """Its interval is in the caption."""
    return LARGEST_CLASS, *(cell.text for cell in content.baseline.cells), MISSING


def _holm(summary: Summary) -> str:
    """Whether p-values are adjusted: a family of one has nothing to adjust."""
    return " (Holm)" if len(summary.file.study.family) > 1 and summary.looks is None else ""


def _what_verdicts_are(summary: Summary, rows: Sequence[HeadComparison]) -> str:
    rule = summary.file.study.verdict
    failed = ""
    if any(not run.finished for run in summary.runs):
        failed = " A failed run counts as always predicting the largest class."
    return (
        f"{_pairs(summary)}: points of {summary.metric}, paired by seed, with "
        f"{confidence(rule.level)} intervals; the one over images is about these networks. At "
        f"least as good: within a margin of {counted(float(f'{100 * rule.margin:g}'), 'point')}."
        f"{_of_looks(summary, rows)}{failed}"
    )


def _of_looks(summary: Summary, rows: Sequence[HeadComparison]) -> str:
    """What a sequential design decides, and by which interval; empty where none is followed."""
    looks = summary.looks
    if looks is None:
        return ""
    interval = ""
    for found in (over_seeds(summary, item) for item in rows):
        if found.about == OVER_LOOKS:
            interval = (
                f", and its interval is the repeated one, which holds over all looks at "
                f"{found.confidence}"
            )
        elif found.about:
            interval = ", whose looks its interval takes no account of"
    others = "; the other rows are estimates" if len(rows) > 1 else ""
    return (
        f" {looks.reference} against {looks.other} gets its verdict by a sequential "
        f"design{interval}{others}."
    )


def _one(summary: Summary) -> bool:
    """Whether the reference is in every comparison."""
    return all(item.first == summary.reference for item in summary.comparisons)


def _pairs(summary: Summary) -> str:
    if not _one(summary):
        return "The declared comparisons, first minus second"
    return against(summary)


def _verdict(summary: Summary, item: HeadComparison, *, one: bool) -> Sequence[str]:
    found = item.comparison
    # A sequential design has p-values of its own, and one pair of runs has none.
    tested = item.judged and summary.looks is None and found.difference.n > 1
    return (
        item.other if one else item.pair,
        _points(found.difference.mean),
        _interval(over_seeds(summary, item).bounds),
        _interval(bounds(item.pictures)),
        _p(found.p_holm, found.difference.level) if tested else MISSING,
        str(found.difference.n),
        found.better.outcome,
        found.not_worse.outcome,
    )


def _p(p: float, level: float) -> str:
    return f"{p:.3g}" if p <= level else above(p, level, 3)


def _claim(claim: JudgedClaim) -> Sequence[str]:
    found = claim.difference
    numbers: Sequence[str] = (MISSING, MISSING, MISSING)
    if found is not None:
        numbers = (_points(found.mean), _interval(bounds(found)), str(found.n))
    return (claim.statement, claim.outcome, *numbers)


def _points(share: float | None) -> str:
    return MISSING if share is None else minus(with_sign(100 * share))


def _interval(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return MISSING
    return minus(f"[{', '.join(with_sign(100 * end) for end in ends)}]")
