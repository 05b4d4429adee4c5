"""A study that was run, as Python has it. Imports no torch."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headtohead.core.errors import RunError, UsageError, brief
from headtohead.core.files import expanded
from headtohead.core.text import counted
from headtohead.deploy.opening import predictor_of
from headtohead.deploy.predictor import Predictor
from headtohead.deploy.runs import chosen, load_model
from headtohead.report.formats.terminal import render_text
from headtohead.report.summary import Summary, summarize
from headtohead.store.ledger import Ledger, failures_of
from headtohead.study_data import StudyData

if TYPE_CHECKING:
    from headtohead.deploy.explain import Explanation
    from headtohead.heads.classifier import Classifier
    from headtohead.report.page.gallery import MapGrid

TOLD = 5
"""Failures that an error names; the others are counted."""


@dataclass(frozen=True)
class Comparison:
    """A study that was run: its ledger and what it says. `failures` names runs that failed.

    `summary` has what the report says as values, such as `summary.winner`. As text it is the table
    that the command prints.
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
        """Where every head of one seed finds its evidence, on the first test images probed.

        A notebook shows the table; its columns and rows can be read as well. Raises UsageError
        where the study's folder holds no such maps.
        """
        # Imported here because drawing needs matplotlib, which a table of results does not.
        from headtohead.report.page.gallery import map_grid

        grid = map_grid(StudyData(self.ledger), seed, pictures)
        if grid is None:
            raise UsageError(
                f"no class maps of seed {seed} for {pictures} images in {self.out}. Ask for a "
                f"seed below {self.ledger.file.study.seeds} that is finished, and for at least one "
                f"image; a ledger without evidence has none until `headtohead compare` runs."
            )
        return grid

    def model(
        self,
        head: str | None = None,
        seed: int | None = None,
        *,
        device: str = "auto",
        trust: Collection[str] = (),
    ) -> "Classifier":
        """A finished run's model with the weights of its best epoch, in evaluation mode.

        Images (N, 3, H, W) in [0, 1] → logits. By default the winner's on validation, and of a
        head the seed that is best there. `trust` names heads and backbones `module:Class` of your
        own that may be imported. Raises UsageError for a run that there is not and for code that is
        not in `trust`, and RunError where weights are gone, damaged or another run's.
        """
        (run,) = chosen(self.summary, head, seed)
        return load_model(self.ledger, *run, device=device, trust=trust)

    def predictor(
        self,
        head: str | None = None,
        seed: int | None = None,
        *,
        ensemble: bool = False,
        device: str = "auto",
        trust: Collection[str] = (),
    ) -> Predictor:
        """What predicts by one run (as `model` chooses it) or, `ensemble`, by all of a head's.

        The answers of an ensemble are the means of its runs' probabilities. Raises as `model` does.
        """
        data = StudyData(self.ledger)
        return predictor_of(
            data, self.summary, head, seed, ensemble=ensemble, device=device, trust=trust
        )

    @property
    def classes_(self) -> tuple[str, ...]:
        """The classes' names, in the order of `predict_proba`'s columns."""
        return self.ledger.file.classes

    def predict(self, images: Iterable[Any]) -> NDArray[np.str_]:
        """(n,) the winner's class for each of `images`.

        They are paths, PIL images or (H, W, 3) or (H, W) arrays of uint8. Raises as `model` does,
        DataError for a file that cannot be read, and UsageError for anything else.
        """
        return self._winner.predict(images)

    def predict_proba(self, images: Iterable[Any]) -> NDArray[np.float64]:
        """(n, K) of the winner's calibrated probabilities; raises as `predict` does."""
        return self._winner.predict_proba(images)

    def explain(self, images: Iterable[Any]) -> "list[Explanation]":
        """Where the winner looks on each of `images`; raises as `predict` does."""
        return self._winner.explain(images)

    @cached_property
    def _winner(self) -> Predictor:
        return self.predictor()

    def raise_for_failures(self) -> None:
        """Raises RunError where runs failed; the others are complete."""
        if self.failures:
            told = [brief(failure, 250).rstrip(".") for failure in self.failures[:TOLD]]
            more = [f"and {len(self.failures) - TOLD} more"] if len(self.failures) > TOLD else []
            raise RunError(
                f"{counted(len(self.failures), 'run')} failed: {'; '.join((*told, *more))}. The "
                f"others are complete in {self.out}; --retry-failed trains failed ones again."
            )

    def __str__(self) -> str:
        return render_text(self.summary, self.out)


def load(out: str | Path) -> Comparison:
    """The study in the folder `out`, as it stands. Needs no torch.

    Raises UsageError where there is none, and StorageError where one may not look.
    """
    ledger = Ledger.open(expanded(out))
    data = StudyData(ledger)
    return Comparison(ledger, summarize(data), tuple(failures_of(data.runs)))
