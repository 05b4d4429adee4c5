"""A study that was run, as Python has it. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from headtohead.errors import RunError
from headtohead.report.summary import Summary, summarize
from headtohead.report.table import render_text
from headtohead.study.ledger import Ledger


@dataclass(frozen=True)
class Comparison:
    """A study that was run: its ledger and what it says. `failures` names runs that failed.

    As text it is the table that the command prints.
    """

    ledger: Ledger
    summary: Summary
    failures: tuple[str, ...]

    @property
    def out(self) -> Path:
        """The study's folder."""
        return self.ledger.out

    def figure(self, name: str) -> Path:
        """The PNG of a figure, such as `all_heads_accuracy`. Raises KeyError, naming all."""
        found = {path.stem: path for path in sorted((self.out / "figures").glob("*.png"))}
        if name not in found:
            raise KeyError(f"no figure {name!r} in {self.out}; there are {', '.join(found)}")
        return found[name]

    def raise_for_failures(self) -> None:
        """Raises RunError where runs failed; the others are complete."""
        if self.failures:
            raise RunError(
                f"{len(self.failures)} of the runs failed: {'; '.join(self.failures)}. "
                f"The others are complete in {self.out}."
            )

    def __str__(self) -> str:
        return render_text(self.summary, self.out)


def load(out: str | Path) -> Comparison:
    """The study in the folder `out`, as it stands. Raises UsageError where there is none."""
    ledger = Ledger.open(Path(out))
    return Comparison(ledger, summarize(ledger), tuple(ledger.failures()))
