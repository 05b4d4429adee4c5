"""What a text tells, whatever its wording."""

import re


def stated(text: str, *words: str) -> list[str]:
    """The numbers in a text and these words (names, verdicts, options), as they stand in it."""
    known = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    number = r"(?<![\w.])[+−-]?\d+(?:,\d{3})*(?:\.\d+)?"
    return re.findall(rf"(?<!\w)(?:{known})(?!\w)|{number}" if known else number, text)
