"""What a study's ledger holds on two heads: the ground that every claim starts from."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from headtohead.probes.base import Probe, read_run
from headtohead.report.pairs import pairing
from headtohead.report.results import RunResult, run_result
from headtohead.stats.claims import BySeed
from headtohead.store.ledger import Ledger, Run

Found = TypeVar("Found")


@dataclass(frozen=True)
class Desk:
    """The runs, and the two heads that claims are about: `reference` and `against`."""

    ledger: Ledger
    reference: str
    against: str
    runs: tuple[Run, ...]
    results: tuple[RunResult, ...]

    @classmethod
    def open(cls, ledger: Ledger, reference: str, against: str) -> "Desk":
        """Read every run. Raises UsageError for records that do not belong to the study."""
        runs = tuple(ledger.runs())
        results = tuple(run_result(ledger, run) for run in runs)
        return cls(ledger, reference, against, runs, results)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds at which the two heads are paired."""
        return self.paired_with(self.against)

    def paired_with(self, head: str) -> tuple[int, ...]:
        """Seeds at which the reference and `head` both finished, in like environments."""
        mine, theirs = ([r for r in self.results if r.head == h] for h in (self.reference, head))
        if not mine or not theirs:
            return ()
        paired = pairing(mine, theirs).runs.items()
        return tuple(seed for seed, two in paired if all(run.finished for run in two))

    @property
    def heads(self) -> list[str]:
        """Heads with a run that is over, in the study's order."""
        known = {result.head for result in self.results}
        return [head for head in self.ledger.file.study.heads if head in known]

    @property
    def finished(self) -> list[RunResult]:
        """Runs that came to their end."""
        return [result for result in self.results if result.finished]

    def by_seed(self, values: Iterable[tuple[str, int, float | None]]) -> BySeed:
        """Head → seed → value, without values that are not known."""
        table: dict[str, dict[int, float]] = {head: {} for head in self.heads}
        for head, seed, value in values:
            if value is not None and math.isfinite(value):
                table[head][seed] = value
        return table

    def evidence(self, probe: Probe[Found]) -> dict[tuple[str, int], Found]:
        """(head, seed) → what a probe found on every finished run."""
        found = {}
        for run in self.finished:
            value = read_run(self.ledger, probe, run.head, run.seed)
            if value is not None:
                found[run.head, run.seed] = value
        return found

    def missing(self, found: Iterable[tuple[str, int]], what: str) -> tuple[str, ...]:
        """A note on finished runs without evidence."""
        known = set(found)
        silent = [f"{r.head} seed {r.seed}" for r in self.finished if (r.head, r.seed) not in known]
        if not silent:
            return ()
        return (
            f"No {what} of {', '.join(silent)}: the same command again collects it while the "
            f"run's weights are there",
        )
