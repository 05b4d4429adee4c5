"""Several studies as JSON, and as a table on the terminal."""

import textwrap
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from headtohead.core.text import MISSING
from headtohead.report.formats.summary import as_json_text
from headtohead.report.formats.terminal import WORDS
from headtohead.report.page.several import study_row
from headtohead.report.several import AgainstReference, Entry, Place, Several, as_good

WORD: dict[AgainstReference, str] = {"beats": "better", "behind": "worse"}
"""How a head stands to its study's reference; what is open is left out."""

LABEL = 24
"""Characters of a study's name that are kept in one line."""


def several_json(several: Several) -> str:
    """Everything that the page says, in one object with its format version."""
    content = {
        "headline": several.headline,
        "notes": several.notes,
        "studies": [{**vars(study_row(entry)), **_study(entry)} for entry in several.entries],
    }
    return as_json_text(content)


def _study(entry: Entry) -> dict[str, Any]:
    return {
        "out": entry.out,
        "metric": entry.summary.file.study.verdict.metric,
        "reference": entry.summary.reference,
        "largest_class": {"name": entry.summary.baseline.name, "score": entry.chance},
        "counted": entry.counted,
        "winner": entry.summary.winner.head if entry.summary.winner else None,
        "heads": list(entry.places.values()),
    }


class SeveralTable:
    """A line for each study, for a rich console: its winner, its reference, its verdicts."""

    def __init__(self, several: Several) -> None:
        self.several = several

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, then what was found and what must not be set side by side."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        # A study's name is what is typed next: it is folded where it is very long, not before.
        label = min(LABEL, max(len(entry.label) for entry in self.several.entries))
        table.add_column("study", overflow="fold", min_width=label)
        titles = ("best on validation", "reference", "largest class")
        for title in (*titles, "verdicts against the reference"):
            table.add_column(title, overflow="fold")
        for entry in self.several.entries:
            table.add_row(*map(Text, _row(entry)))
        yield table
        yield Text()
        for line in _lines(self.several):
            yield Text(textwrap.fill(line, options.max_width, subsequent_indent="  ", **WORDS))


def _row(entry: Entry) -> tuple[str, ...]:
    best = next((place for place in entry.places.values() if place.chosen), None)
    told = [_told(place, entry.summary.reference) for place in entry.places.values()]
    reference = entry.places.get(entry.summary.reference)
    return (
        *(entry.label, _level(best), _level(reference), f"{100 * entry.chance:.1f}"),
        ", ".join(filter(None, told)) or MISSING,
    )


def _told(place: Place, reference: str) -> str:
    """`fc worse`, `gap as good as fc`: "at least as good" is shown of the pair's first head."""
    if place.outcome == "equal":
        if place.verdict == as_good(reference):
            return f"{place.verdict} as {place.head}"
        return f"{place.head} {place.verdict}"
    return f"{place.head} {WORD[place.outcome]}" if place.outcome in WORD else ""


def _level(place: Place | None) -> str:
    if place is None:
        return MISSING
    mean = place.estimate.mean
    return place.head if mean is None else f"{place.head} {100 * mean:.1f}"


def _lines(several: Several) -> Iterator[str]:
    yield (
        "Numbers: mean of the study's primary metric on test over its seeds, in %. What is not "
        "decided is left out here; intervals and every head are on the page."
    )
    yield several.headline
    yield from (f"Note: {note}" for note in several.notes)
