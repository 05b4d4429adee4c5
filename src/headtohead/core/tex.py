"""Text for LaTeX."""

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
    "–": "--",
    "±": r"$\pm$",
    "−": "$-$",
    "≤": r"$\le$",
}


def escape(text: str) -> str:
    """`text` so that LaTeX prints it and obeys none of it; line ends become spaces."""
    return "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.split()))
