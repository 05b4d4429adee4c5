"""A study's folder and what a command says of a run → a predictor."""

from collections.abc import Collection
from pathlib import Path

from headtohead.core.files import expanded
from headtohead.deploy.predictor import Predictor
from headtohead.deploy.runs import chosen, load_members
from headtohead.report.summary import Summary, summarize
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData


def open_predictor(
    out: str | Path,
    head: str | None = None,
    seed: int | None = None,
    *,
    ensemble: bool = False,
    device: str = "auto",
    trust: Collection[str] = (),
) -> Predictor:
    """The predictor of the study in the folder `out`; see `predictor_of`."""
    data = StudyData(Ledger.open(expanded(out)))
    return predictor_of(
        data, summarize(data), head, seed, ensemble=ensemble, device=device, trust=trust
    )


def predictor_of(
    data: StudyData,
    summary: Summary,
    head: str | None = None,
    seed: int | None = None,
    *,
    ensemble: bool = False,
    device: str = "auto",
    trust: Collection[str] = (),
) -> Predictor:
    """One run's predictor, or that of every seed of a head; by default the winner's.

    Raises UsageError and RunError as `headtohead.deploy.runs` says.
    """
    runs = chosen(summary, head, seed, ensemble=ensemble)
    return Predictor.of(data.ledger, load_members(data, runs, device=device, trust=trust))
