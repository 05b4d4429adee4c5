"""Which run of a study is meant, and its model: what a command gives, to what computes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headtohead.config.backbone import LIBRARIES
from headtohead.config.study import StudySpec
from headtohead.core.errors import RunError, UsageError, likeliest
from headtohead.core.files import expanded
from headtohead.core.system import current_folder
from headtohead.core.text import printable
from headtohead.probes.predictions import PREDICTIONS
from headtohead.report.page.validity import failed, failed_remedy, without_runs
from headtohead.report.summary import Summary, shipped
from headtohead.stats.metrics import predictions
from headtohead.stats.temperature import fit_temperature
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData

if TYPE_CHECKING:
    from headtohead.heads.classifier import Classifier
    from headtohead.training.plans import Epoch


@dataclass(frozen=True)
class Member:
    """A run with its model (None until it is loaded elsewhere) and how its confidence is scaled.

    `temperature` divides the logits: fitted on `fitted_on` validation images; 1 where that is not
    possible (`fitted_on` is 0 then), see `temperature_of`.
    """

    head: str
    seed: int
    model: "Classifier"
    temperature: float
    fitted_on: int

    @property
    def told(self) -> str:
        """The run and its temperature, in words."""
        if not self.fitted_on:
            return (
                f"{self.head} seed {self.seed}, probabilities not calibrated: that takes "
                f"predictions on validation, and an error among them"
            )
        return (
            f"{self.head} seed {self.seed}, probabilities calibrated by the temperature "
            f"{self.temperature:.3g}, fitted on {self.fitted_on:,} validation images"
        )


def chosen(
    summary: Summary, head: str | None, seed: int | None, *, ensemble: bool = False
) -> list[tuple[str, int]]:
    """The runs that are meant: head and seed of each.

    Without a head the winner on validation; without a seed its best one on validation, with
    `ensemble` every finished one. Raises UsageError for a run that there is not.
    """
    if ensemble and seed is not None:
        raise UsageError(f"an ensemble takes every seed of a head; received seed {seed}, too.")
    if head is None:
        if summary.winner is None:
            raise UsageError(f"the study has no winner yet. {without_runs(summary)}")
        head = summary.winner.head
        seed = summary.winner.seed if seed is None and not ensemble else seed
    known = {found.head: found for found in summary.heads}
    if head not in known:
        raise UsageError(
            f"no finished run of a head {head!r} in this study; there are "
            f"{', '.join(known) or 'none'}.{likeliest(head, known)}"
        )
    if head in summary.failed:
        raise UsageError(f"{failed(summary, head)} {failed_remedy(summary)}")
    seeds = [run.seed for run in known[head].runs if run.finished]
    if ensemble:
        return [(head, seed) for seed in seeds]
    if seed is None:
        best = shipped(known[head])
        seed = None if best is None else best.seed
    if seed is None or seed not in seeds:
        raise UsageError(
            f"no finished run of {head} with seed {seed}; there are "
            f"{', '.join(map(str, seeds)) or 'none'}."
        )
    return [(head, seed)]


def load_members(
    data: StudyData,
    runs: Sequence[tuple[str, int]],
    *,
    device: str = "auto",
    trust: Collection[str] = (),
) -> tuple[Member, ...]:
    """The runs' models with the weights of their best epochs, on the device.

    Raises as `load_model` does.
    """
    found = []
    for head, seed in runs:
        model = load_model(data.ledger, head, seed, device=device, trust=trust)
        found.append(Member(head, seed, model, *temperature_of(data, head, seed)))
    return tuple(found)


def load_model(
    ledger: Ledger,
    head: str,
    seed: int,
    *,
    epoch: "Epoch" = "best",
    device: str = "auto",
    trust: Collection[str] = (),
    plain: bool = False,
) -> "Classifier":
    """A finished run's model, in evaluation mode; `trust` names code of the user's own.

    Raises UsageError where the study's model is code that is not in `trust` or the file of its
    frozen backbone's weights is not there, RunError where its weights are gone, damaged or another
    run's, and StorageError where they may not be read.
    """
    from headtohead.training.checkpoint import DamagedCheckpointError
    from headtohead.training.device import choose_device
    from headtohead.training.plans import finished_model, run_plan

    refuse_unknown_code(ledger.file.study, head, trust)
    _see_weights(ledger.file.study)
    place = choose_device(device)
    folder = ledger.run_folder(head, seed)
    try:
        plan = run_plan(ledger, head, seed)
        return finished_model(plan, folder, epoch, place, plain=plain).model
    except FileNotFoundError as error:
        raise RunError(
            f"the weights of {head} seed {seed} are gone ({error}): copy them back, or run "
            f"`headtohead compare` after deleting {folder}."
        ) from None
    except OSError as error:
        raise RunError(
            f"the weights of {head} seed {seed} cannot be read ({error}): see to {folder}."
        ) from None
    except DamagedCheckpointError as error:
        raise RunError(
            f"the weights of {head} seed {seed} are refused: {printable(str(error))}. Copy them "
            f"back, or run `headtohead compare` after deleting {folder}."
        ) from None


def refuse_unknown_code(study: StudySpec, head: str, trust: Collection[str]) -> None:
    """A ledger may come from anybody: what it names as code is imported where the user says so.

    Raises UsageError, naming the code.
    """
    spec = study.heads[head]
    names = (spec.head or head, study.backbone.name)
    own = [name for name in names if ":" in name and name.split(":")[0] not in LIBRARIES]
    for name in own:
        if name not in trust:
            raise UsageError(
                f"this study's model is code of its own, {printable(name)!r}, which would be run: "
                f"if it is yours, add --trust {printable(name)} (in Python trust=[...])."
            )


def _see_weights(study: StudySpec) -> None:
    """Raises UsageError where the file of a frozen backbone's weights is not there.

    A study holds no copy of it, and may name it from the folder where it was run.
    """
    name = study.backbone.weights
    if study.backbone.frozen and name not in (None, "pretrained") and not expanded(name).exists():
        raise UsageError(
            f"the weights of this study's frozen backbone lie in {printable(name)!r}, which is not "
            f"there, seen from {current_folder()}: copy that file to this place, or run the "
            f"command where it is."
        )


def temperature_of(data: StudyData, head: str, seed: int) -> tuple[float, int]:
    """The temperature of a run's best epoch, and on how many validation images it was fitted.

    (1, 0) where the ledger has no such predictions, and where all of them are right: the colder,
    the better they would score then, and any answer would be certain.
    """
    found = data.run_evidence(PREDICTIONS, head, seed)
    if found is None or not len(found.validation.labels):
        return 1.0, 0
    logits, labels = found.validation.best, found.validation.labels
    if (predictions(logits) == labels).all():
        return 1.0, 0
    return fit_temperature(logits, labels), len(labels)
