"""A study that was run, as Python has it. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headtohead.core.errors import RunError, UsageError, brief
from headtohead.core.files import expanded
from headtohead.report.formats.terminal import render_text
from headtohead.report.summary import Summary, summarize
from headtohead.stats.family import plural
from headtohead.store.ledger import Ledger, failures_of
from headtohead.study_data import StudyData

if TYPE_CHECKING:
    from headtohead.report.page.gallery import MapGrid

TOLD = 5
"""Failures that an error names; the others are counted."""


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

    def class_maps(self, seed: int = 0, pictures: int = 4) -> "MapGrid":
        """Where every head of one seed finds its evidence, on the first test pictures probed.

        A notebook shows the table; its columns and rows can be read as well. Raises UsageError
        where the study's folder holds no such maps.
        """
        # Imported here because drawing needs matplotlib, which a table of results does not.
        from headtohead.report.page.gallery import map_grid

        grid = map_grid(StudyData(self.ledger), seed, pictures)
        if grid is None:
            raise UsageError(
                f"no class maps of seed {seed} for {pictures} pictures in {self.out}. Ask for a "
                f"seed below {self.ledger.file.study.seeds} that is finished, and for at least one "
                f"picture; a ledger without evidence has none until `headtohead compare` runs."
            )
        return grid

    def raise_for_failures(self) -> None:
        """Raises RunError where runs failed; the others are complete."""
        if self.failures:
            told = [brief(failure, 250).rstrip(".") for failure in self.failures[:TOLD]]
            more = [f"and {len(self.failures) - TOLD} more"] if len(self.failures) > TOLD else []
            raise RunError(
                f"{plural(len(self.failures), 'run')} failed: {'; '.join((*told, *more))}. The "
                f"others are complete in {self.out}; --retry-failed trains failed ones again."
            )

    def __str__(self) -> str:
        return render_text(self.summary, self.out)


def load(out: str | Path) -> Comparison:
    """The study in the folder `out`, as it stands. Raises UsageError where there is none."""
    ledger = Ledger.open(expanded(out))
    data = StudyData(ledger)
    return Comparison(ledger, summarize(data), tuple(failures_of(data.runs)))
