"""A table in LaTeX that fits a page: columns side by side as far as they have room, then below.

Widths are counted in characters, as LaTeX sets its fonts after this is written. `LINE` of them fit
into a line in LaTeX's size `footnotesize` in the standard class `article`.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence

from headtohead.core.tex import escape

LINE, GAP = 87, 1.5
"""Characters in a line, and between two columns."""

LABEL, LABEL_SHARE = 36, 0.42
"""Longer labels of rows are broken into lines that are this share of the line."""

TALLEST = 50
"""Rows of one float, headings included: more would not fit a page."""

LONG = 20
"""Letters of a word that may be broken."""

LATIN = 0xFF
"""The last letter that every LaTeX knows."""

KNOWN = "–—‘’“”…−≤≥"

Rows = Sequence[Sequence[str]]


def table(caption: str, label: str, titles: Sequence[str], rows: Rows) -> str:
    """`caption` is LaTeX; titles and cells are text, the first of a row is its label."""
    lines = ["% Needs \\usepackage{booktabs}.", *_letters([*titles, *(c for r in rows for c in r)])]
    floats = list(_floats(titles, rows))
    for number, tabulars in enumerate(floats):
        first = number == 0
        lines += [
            "\\begin{table}",
            *([] if first else ["\\addtocounter{table}{-1}"]),
            "\\centering\\footnotesize\\setlength{\\tabcolsep}{3pt}",
            f"\\caption{{{caption if first else '(continued)'}}}",
            *([f"\\label{{tab:{label}}}"] if first else []),
            "\\smallskip",
            "",
            "\n\n\\medskip\n".join(tabulars),
            "\\end{table}",
        ]
    return "\n".join([*lines, ""])


def _letters(texts: Sequence[str]) -> Iterator[str]:
    """A warning where pdfLaTeX would stop at a letter."""
    found = sorted({c for text in texts for c in text if ord(c) > LATIN and c not in KNOWN})
    if found:
        yield f"% Needs XeLaTeX or LuaLaTeX, and a font that has these letters: {' '.join(found)}"


def _floats(titles: Sequence[str], rows: Rows) -> Iterator[list[str]]:
    """The tabulars of each float."""
    held: list[str] = []
    height = 0
    for start in range(0, len(rows), TALLEST):
        part = rows[start : start + TALLEST]
        for columns in _blocks(titles, rows):
            if held and height + len(part) + 1 > TALLEST:
                yield held
                held, height = [], 0
            held.append(_tabular(titles, part, columns))
            height += len(part) + 1
    yield held


def _blocks(titles: Sequence[str], rows: Rows) -> list[list[int]]:
    """The columns of each block, the labels always among them; as few blocks as fit, alike wide."""
    found = list(_filled(titles, rows, LINE))
    for line in range(LINE - 1, 0, -1):
        narrower = list(_filled(titles, rows, line))
        if len(narrower) > len(found):
            break
        found = narrower
    return found


def _filled(titles: Sequence[str], rows: Rows, line: int) -> Iterator[list[int]]:
    """Blocks that are each filled up to `line` characters, with one column at the least."""
    label = min(LABEL, _widest(titles, rows, 0)) + GAP
    block, room = [0], line - label
    for column in range(1, len(titles)):
        wide = _widest(titles, rows, column) + GAP
        if len(block) > 1 and wide > room:
            yield block
            block, room = [0], line - label
        block.append(column)
        room -= wide
    yield block


def _widest(titles: Sequence[str], rows: Rows, column: int) -> int:
    """Characters of a column's longest cell, or of a word of its title."""
    words = titles[column].split()
    return max(len(text) for text in [*words, *(row[column] for row in rows)])


def _tabular(titles: Sequence[str], rows: Rows, columns: Sequence[int]) -> str:
    broken = _widest(titles, rows, 0) > LABEL
    first = f"p{{{LABEL_SHARE}\\linewidth}}" if broken else "l"
    kinds = "".join(_side(rows, column) for column in columns[1:])
    heads = [_title(titles[c], _widest(titles, rows, c), _side(rows, c)) for c in columns]
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{first}{kinds}}}",
            "\\toprule",
            " & ".join(heads) + r" \\",
            "\\midrule",
            *(_row([row[column] for column in columns], broken=broken) for row in rows),
            "\\bottomrule",
            "\\end{tabular}",
        ]
    )


def _side(rows: Rows, column: int) -> str:
    """`l` for words, `r` for numbers."""
    cells = "".join(row[column] for row in rows)
    words = column == 0 or (cells.isascii() and not any(c.isdigit() for c in cells))
    return "l" if words else "r"


def _title(title: str, width: int, side: str) -> str:
    lines = textwrap.wrap(title, width, break_long_words=False, break_on_hyphens=False)
    if len(lines) < 2:
        return escape(title)
    stacked = r" \\ ".join(map(escape, lines))
    return f"\\shortstack[{side}]{{{stacked}}}"


def _row(cells: Sequence[str], *, broken: bool) -> str:
    # A row that begins with "[" would be read as the optional argument of the \\ before it.
    shown = [f"{{{cell}}}" if "[" in cell else cell for cell in map(escape, cells)]
    if broken:
        shown[0] = f"\\raggedright {' '.join(map(_breakable, shown[0].split()))}"
    return " & ".join(shown) + r" \\"


def _breakable(word: str) -> str:
    """A long name may be broken where its parts meet."""
    return word if len(word) < LONG else re.sub(r"(\\_|[.:/])", r"\1\\allowbreak{}", word)
