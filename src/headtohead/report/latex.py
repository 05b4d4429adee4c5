"""LaTeX tables for papers: `booktabs`, one file each, to be input."""

from collections.abc import Mapping, Sequence

from headtohead.report.page.content import Content
from headtohead.report.page.tex import escape


def latex_tables(content: Content) -> Mapping[str, bytes]:
    """File name → table in UTF-8: `heads.tex`, and `verdicts.tex` where there are comparisons."""
    tables = {}
    if content.rows:
        tables["heads.tex"] = _table(
            "Mean $\\pm$ standard deviation over seeds; test metrics at the best epoch.",
            "heads",
            ("Head", *content.columns, "runs"),
            [(r.head, *(cell.full for cell in r.cells), str(r.finished)) for r in content.rows],
        )
    comparisons = [i for i in content.summary.comparisons if i.comparison.difference.n]
    if comparisons:
        tables["verdicts.tex"] = _table(
            f"{escape(content.summary.reference)} minus each other head: points of test accuracy, "
            f"paired by seed.",
            "verdicts",
            ("Against", "mean", "interval", "p (Holm)", "seeds", "better", "at least as good"),
            [
                (
                    item.other,
                    f"{100 * (item.comparison.difference.mean or 0.0):+.2f}",
                    _interval(item.comparison.difference.low, item.comparison.difference.high),
                    f"{item.comparison.p_holm:.3g}",
                    str(item.comparison.difference.n),
                    item.comparison.better.outcome,
                    item.comparison.not_worse.outcome,
                )
                for item in comparisons
            ],
        )
    return {name: text.encode() for name, text in tables.items()}


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "–"
    return f"[{100 * low:+.2f}, {100 * high:+.2f}]"


def _table(caption: str, label: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """`caption` is LaTeX, cells are text."""
    # A row that begins with "[" would be read as the optional argument of the \\ before it.
    lines = [
        " & ".join(f"{{{escape(cell)}}}" if "[" in cell else escape(cell) for cell in row) + r" \\"
        for row in rows
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
