"""Text for LaTeX."""

import re

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "–": "--",
    "±": r"$\pm$",
    "−": "$-$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "×": r"$\times$",
}


# Of two hyphens LaTeX makes a dash.
_PIECE = re.compile(rf"-(?=-)|[{re.escape(''.join(SPECIAL))}]")


def escape(text: str) -> str:
    """`text` so that LaTeX prints it and obeys none of it; line ends become spaces."""
    return _PIECE.sub(lambda found: SPECIAL.get(found[0], "-{}"), " ".join(text.split()))
