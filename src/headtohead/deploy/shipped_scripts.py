"""The scripts that run exported models, each one file that needs nothing of headtohead."""

import re
from pathlib import Path

EXAMPLES = Path(__file__).parent / "examples"

SHARED = re.compile(r"^from headtohead\.deploy\.examples\.photographs import .*\n", re.MULTILINE)
"""The line of each in whose place the code is shipped that they share."""


def script_alone(name: str) -> str:
    """The script `name` of `examples/` as it is shipped."""
    own, shared = (
        (EXAMPLES / file).read_text(encoding="utf-8") for file in (name, "photographs.py")
    )
    _, _, code = shared.split('"""', 2)  # its docstring is about the package
    there = {line for line in own.splitlines() if line.startswith("import ")}
    lines = [line for line in code.strip().splitlines() if line not in there]
    return SHARED.sub(lambda _: "\n".join(lines) + "\n", own)
