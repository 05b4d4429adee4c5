"""Several studies side by side: where each head wins.

Each study is told as its own report tells it. Nothing is tested across studies: their images,
backbones and seeds have nothing in common that differences could be paired by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headtohead.analysis.run_results import PRIMARY
from headtohead.core.errors import UsageError
from headtohead.core.text import few_names, names, printable
from headtohead.report.comparisons import HeadComparison
from headtohead.report.summary import HeadResult, Summary, summarize
from headtohead.stats import bounds, estimate
from headtohead.stats.paired import Estimate
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData

NAMED = 5
"""Winners that the headline names; more are counted, and have won the least."""

AgainstReference = Literal[
    "reference", "beats", "behind", "equal", "open", "not judged", "no verdict"
]


@dataclass(frozen=True)
class Place:
    """A head in a study. `estimate` is its primary metric at the best epoch, over finished runs.

    `values` are the runs' (seed, value), `failed` counts the others, `chosen` says that it is the
    best on validation of two or more heads, and `outcome` how it stands to the study's reference.
    """

    head: str
    estimate: Estimate
    values: tuple[tuple[int, float], ...]
    failed: int
    chosen: bool
    outcome: AgainstReference
    verdict: str

    @property
    def interval(self) -> tuple[float, float] | None:
        """That of the estimate in %, within 0 and 100: no share lies beyond; None for none."""
        ends = bounds(self.estimate)
        return None if ends is None else (max(100 * ends[0], 0.0), min(100 * ends[1], 100.0))


@dataclass(frozen=True)
class Entry:
    """A study under the `label` that tells it from the others; `places` by head."""

    label: str
    out: Path
    summary: Summary
    places: Mapping[str, Place]

    @property
    def counted(self) -> bool:
        """Whether it has a best head that counts as a win.

        Not where a pair is not judged, or no head is shown to have learned anything.
        """
        judged = all(item.judged for item in self.summary.comparisons)
        return self.summary.winner is not None and judged and not self.summary.nothing_learned

    @property
    def chance(self) -> float:
        """What always predicting the largest class scores on the primary metric."""
        metric = PRIMARY[self.summary.file.study.verdict.metric]
        return self.summary.baseline.metrics[metric]


@dataclass(frozen=True)
class Several:
    """The studies in the order they were named; heads that most of them have come first.

    `notes` say what must not be set side by side.
    """

    entries: tuple[Entry, ...]
    heads: tuple[str, ...]
    notes: tuple[str, ...]

    def chosen(self, head: str) -> list[str]:
        """The studies that count in which `head` is best on validation."""
        able = [entry for entry in self.entries if entry.counted and head in entry.places]
        return [entry.label for entry in able if entry.places[head].chosen]

    def having(self, head: str) -> list[str]:
        """The studies that have finished runs of `head`."""
        return [entry.label for entry in self.entries if head in entry.places]

    def ahead(self, head: str) -> list[str]:
        """The studies in which verdicts find `head` better than others, which are named."""
        return self._decided(head, ahead=True)

    def behind(self, head: str) -> list[str]:
        """The studies in which verdicts find others better than `head`; they are named."""
        return self._decided(head, ahead=False)

    def _decided(self, head: str, *, ahead: bool) -> list[str]:
        found = []
        for entry in self.entries:
            pairs = [pair for item in entry.summary.comparisons if (pair := _won(item))]
            others = [b if ahead else a for a, b in pairs if head == (a if ahead else b)]
            if others:
                found.append(f"{entry.label} (than {names(others)})")
        return found

    @property
    def headline(self) -> str:
        """Which heads are best on validation, and in how many studies."""
        found = [e for e in self.entries if any(place.chosen for place in e.places.values())]
        able = [entry for entry in found if entry.counted]
        if not able and found:
            return "There is no winner that counts in these studies: the notes say why."
        if not able:
            return "No study here has finished runs of two heads: there is no winner to tell."
        ranked = sorted(
            ((head, len(self.chosen(head))) for head in self.heads), key=lambda found: -found[1]
        )
        parts = [f"{head} in {count}" for head, count in ranked if count]
        more = len(parts) - NAMED
        shown = parts if more < 2 else [*parts[:NAMED], f"{more} other heads in fewer"]
        studies = "1 study" if len(able) == 1 else f"{len(able)} studies"
        return f"Best on validation in {studies}: {names(shown)}."


def read_several(folders: Sequence[Path]) -> Several:
    """The studies in `folders`. Raises UsageError where one is named twice or holds no study."""
    places = [folder.resolve() for folder in folders]
    twice = [folder for at, folder in enumerate(folders) if places[at] in places[:at]]
    if twice:
        raise UsageError(f"{twice[0]} is named twice: name each study's folder once.")
    summaries = [summarize(StudyData(Ledger.open(folder))) for folder in folders]
    entries = tuple(
        Entry(label, out, summary, _places(summary))
        for label, out, summary in zip(labels(places), folders, summaries, strict=True)
    )
    every = [head for entry in entries for head in entry.places]
    heads = sorted(dict.fromkeys(every), key=lambda head: -every.count(head))
    return Several(entries, tuple(heads), tuple(_notes(entries)))


def labels(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the folders' paths that differ from one another."""
    for length in range(1, max(len(folder.parts) for folder in folders) + 1):
        ends = [printable("/".join(folder.parts[-length:])) for folder in folders]
        if len(set(ends)) == len(ends):
            return ends
    return [printable(str(folder)) for folder in folders]


def _places(summary: Summary) -> dict[str, Place]:
    return {found.head: _place(summary, found) for found in summary.heads if found.finished}


def _place(summary: Summary, found: HeadResult) -> Place:
    verdict = summary.file.study.verdict
    metric = PRIMARY[verdict.metric]
    known = [(run.seed, run.metrics[metric]) for run in found.runs if run.finished]
    values = tuple((seed, value) for seed, value in known if value is not None)
    outcome, told = outcome_of(summary, found.head)
    return Place(
        head=found.head,
        estimate=estimate([value for _, value in values], verdict.level),
        values=values,
        failed=len(found.runs) - found.finished,
        chosen=summary.won(found.head) and len(summary.heads) > 1,
        outcome=outcome,
        verdict=told,
    )


def outcome_of(summary: Summary, head: str) -> tuple[AgainstReference, str]:
    """How `head` stands to the study's reference by the study's verdicts, and that in words."""
    reference = summary.reference
    if head == reference:
        return "reference", "reference"
    pair = {head, reference}
    item = next((item for item in summary.comparisons if set(item.heads) == pair), None)
    if item is None:
        return "no verdict", "no verdict"
    if not item.judged:
        return "not judged", "not judged"
    return _judged(item, head, reference)


def _judged(item: HeadComparison, head: str, reference: str) -> tuple[AgainstReference, str]:
    won = _won(item)
    if won is not None:
        if won[0] == head:
            return "beats", f"beats {reference}"
        return "behind", f"behind {reference}"
    if item.comparison.not_worse.outcome == "supported":
        return "equal", f"as good as {reference}" if item.first == head else as_good(reference)
    return "open", "not decided"


def as_good(reference: str) -> str:
    """What stands at a head that the reference is shown to be at least as good as."""
    return f"{reference} as good"


def _won(item: HeadComparison) -> tuple[str, str] | None:
    """The better head and the worse one by the verdict; None where it names none."""
    outcome = item.comparison.better.outcome
    if outcome not in ("supported", "refuted"):
        return None
    return item.heads if outcome == "supported" else item.heads[::-1]


def _notes(entries: Sequence[Entry]) -> list[str]:
    return [
        *_empty(entries),
        *_left_out(entries),
        *_ties(entries),
        *_not_comparable(entries),
        *_unlike_heads(entries),
    ]


def _empty(entries: Sequence[Entry]) -> list[str]:
    failed = [entry.label for entry in entries if entry.summary.runs and not entry.places]
    empty = [entry.label for entry in entries if not entry.summary.runs]
    return [
        *([f"No run is finished in {names(empty)}."] if empty else []),
        *([f"Every run failed in {names(failed)}."] if failed else []),
    ]


def _left_out(entries: Sequence[Entry]) -> list[str]:
    """Studies whose best head is no win, and why."""
    lines = []
    for entry in entries:
        if entry.summary.lags:
            lagging = names(list(entry.summary.lags))
            lines.append(
                f"{entry.label} is not counted: evaluation does not show what {lagging} learned, "
                f"so the head with the highest validation accuracy need not be the best."
            )
        elif entry.summary.nothing_learned:
            lines.append(
                f"{entry.label} is not counted: no head is shown to beat always predicting the "
                f"largest class ({entry.summary.chance}), so nothing is shown to be learned."
            )
    return lines


def _ties(entries: Sequence[Entry]) -> list[str]:
    """Studies in which other heads do as well on validation as the one that counts."""
    lines = []
    for entry in entries:
        winner, level = entry.summary.winner, entry.summary.level_with_winner
        if winner is not None and level and entry.counted:
            do = "does" if len(level) == 1 else "do"
            lines.append(
                f"In {entry.label} {few_names(level, 'other heads')} {do} as well on validation as "
                f"{winner.head}, which has no more parameters and is counted."
            )
    return lines


def _not_comparable(entries: Sequence[Entry]) -> list[str]:
    """Studies with other classes, another metric or other test images."""
    groups: dict[tuple[str, frozenset[str]], list[Entry]] = {}
    for entry in entries:
        classes = frozenset(name.casefold() for name in entry.summary.file.classes)
        groups.setdefault((entry.summary.metric, classes), []).append(entry)
    lines = []
    if len(groups) > 1:
        told = "; ".join(_kind(group) for group in groups.values())
        lines.append(
            f"Numbers of studies with other classes or another metric cannot be compared, only "
            f"which head is ahead: {told}."
        )
    for group in groups.values():
        if len(group) > 1 and not _same_images(group):
            every = len(group) == len(entries)
            who = "The studies" if every else names([entry.label for entry in group])
            lines.append(
                f"{who} have the same classes and metric, but not the same test images: part of a "
                f"difference between two of them may be that."
            )
    return lines


def _kind(group: Sequence[Entry]) -> str:
    file = group[0].summary.file
    classes = [printable(name) for name in file.classes]
    told = few_names(classes, "classes")
    return f"{names([entry.label for entry in group])} ({told}; {group[0].summary.metric})"


def _same_images(group: Sequence[Entry]) -> bool:
    """Whether all have the same prepared images and the same split of them."""
    found = {
        (entry.summary.file.prepared, entry.summary.file.study.split.model_dump_json())
        for entry in group
    }
    return len(found) == 1


def _unlike_heads(entries: Sequence[Entry]) -> list[str]:
    """Heads of one name that are not the same network: other options, another backbone's turn."""
    found: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        for head in entry.places:
            spec = entry.summary.file.study.heads[head]
            kind = spec.model_copy(update={"recipe": {}, "head": spec.head or head})
            found.setdefault(head, {}).setdefault(kind.model_dump_json(), []).append(entry.label)
    return [
        f"{head} is not the same head everywhere, its options differ: one in "
        f"{', another in '.join(names(labels) for labels in kinds.values())}."
        for head, kinds in found.items()
        if len(kinds) > 1
    ]
