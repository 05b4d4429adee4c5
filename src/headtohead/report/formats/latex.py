"""LaTeX tables for papers: `booktabs`, one file each, to be input."""

from collections.abc import Mapping, Sequence

from headtohead.claims.base import JudgedClaim
from headtohead.core.tex import escape
from headtohead.core.text import MISSING, minus, with_sign
from headtohead.report.page.answer import opening
from headtohead.report.page.content import Content
from headtohead.report.summary import HeadComparison, Summary


def latex_tables(content: Content) -> Mapping[str, bytes]:
    """File name → table in UTF-8: heads, verdicts and claims, each where there are some.

    A caption begins with what cannot be judged or was not learned.
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
    return _table(
        f"{first}Mean $\\pm$ standard deviation over seeds; test metrics at the best epoch. "
        f"Largest class: {escape(content.baseline.about)}.",
        "heads",
        ("Head", *content.columns, "runs"),
        content.results,
    )


def _verdicts(summary: Summary, first: str) -> str:
    """Every pair's verdicts, likewise."""
    comparisons = [item for item in summary.comparisons if item.comparison.difference.n]
    if not comparisons:
        return ""
    one = _one(summary)
    return _table(
        f"{first}{escape(_pairs(summary))}: points of {summary.metric}, "
        f"paired by seed; the interval over images is one for these networks.",
        "verdicts",
        (
            *("Against" if one else "Pair", "mean", "over seeds", "over images", "p (Holm)"),
            *("seeds", "better", "at least as good"),
        ),
        [_verdict(item, one=one) for item in comparisons],
    )


def _claims(content: Content, first: str) -> str:
    """What the claims came to, likewise."""
    if not content.rows or not content.claims.judged:
        return ""
    return _table(
        f"{first}{content.claims.title}. Means and intervals over seeds are in points, in the "
        f"claim's favour. {escape(content.claims.how_judged)}",
        "claims",
        ("Claim", "verdict", "mean", "over seeds", "seeds"),
        list(map(_claim, content.claims.judged)),
    )


def _one(summary: Summary) -> bool:
    """Whether the reference is in every comparison."""
    return all(item.first == summary.reference for item in summary.comparisons)


def _pairs(summary: Summary) -> str:
    if not _one(summary):
        return "The declared comparisons, first minus second"
    return f"{summary.reference} minus each other head"


def _verdict(item: HeadComparison, *, one: bool) -> Sequence[str]:
    found = item.comparison
    return (
        item.other if one else item.pair,
        _points(found.difference.mean),
        _interval(found.difference.low, found.difference.high),
        _interval(item.pictures.low, item.pictures.high) if item.pictures else MISSING,
        f"{found.p_holm:.3g}",
        str(found.difference.n),
        found.better.outcome,
        found.not_worse.outcome,
    )


def _claim(claim: JudgedClaim) -> Sequence[str]:
    found = claim.difference
    numbers: Sequence[str] = (MISSING, MISSING, MISSING)
    if found is not None:
        numbers = (_points(found.mean), _interval(found.low, found.high), str(found.n))
    return (claim.statement, claim.outcome, *numbers)


def _points(share: float | None) -> str:
    return MISSING if share is None else with_sign(100 * share)


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return MISSING
    return f"[{with_sign(100 * low)}, {with_sign(100 * high)}]"


def _table(caption: str, label: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """`caption` is LaTeX, cells are text."""
    # A row that begins with "[" would be read as the optional argument of the \\ before it.
    shown = [[escape(minus(cell)) for cell in row] for row in rows]
    lines = [
        " & ".join(f"{{{cell}}}" if "[" in cell else cell for cell in row) + r" \\" for row in shown
    ]
    return "\n".join(
        [
            "% Needs \\usepackage{booktabs}.",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{caption}}}",
            f"\\label{{tab:{label}}}",
            f"\\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}",
            "\\toprule",
            " & ".join(map(escape, titles)) + r" \\",
            "\\midrule",
            *lines,
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    )
