"""How every command that trains begins: a first worker answers, images are prepared meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headtohead.claims.table import own_claim
from headtohead.config.execution import ExecutionSpec
from headtohead.config.study import StudySpec
from headtohead.core.files import expanded
from headtohead.core.system import cache_folder
from headtohead.data.pipeline import prepare_study, told
from headtohead.data.prepared import PreparedSet
from headtohead.data.sources import Source
from headtohead.probes.probe_images import check_masks_folder
from headtohead.probes.table import probes_of
from headtohead.runtime.local import LocalExecutor, local_executor
from headtohead.runtime.preflight import (
    WORKER,
    PreflightAnswer,
    PreflightQuestion,
    answer_of,
    first_worker,
    refuse_too_large,
)
from headtohead.runtime.process import StandbyProcesses
from headtohead.runtime.progress import Display
from headtohead.runtime.ray import RayExecutor, check_ray, ray_setup


@dataclass(frozen=True)
class Startup:
    """A study whose models can be built, on the machine that said so.

    `study` names the backbone's weights by their SHA-256 and is silent on where it is trained.
    """

    study: StudySpec
    preflight: PreflightAnswer
    display: Display
    execution: ExecutionSpec
    question: PreflightQuestion
    standby: StandbyProcesses
    cache: str | Path | None

    def prepare(
        self, runs: int, agree: Callable[[str], None] = lambda digest: None
    ) -> tuple[Source, PreparedSet]:
        """The study's images; meanwhile workers for so many `runs` get ready.

        `agree` is as in `prepare_study`, whose errors are raised.
        """
        if not self.execution.on_ray:
            self.standby.start(min(len(self.preflight.setups), runs))
        found = prepare_study(
            self.study,
            cache=cache_folder(self.cache),
            progress=self.display.progress,
            agree=agree,
        )
        for line in told(*found):
            self.display.note(line)
        return found

    def refuse_too_large(self, *, classes: int) -> None:
        """Raises UsageError for heads too large for this machine; a cluster has its own memory."""
        if not self.execution.on_ray:
            refuse_too_large(self.preflight.sizes, self.preflight.memory, classes=classes)

    def executor(self, out: Path, prepared: PreparedSet) -> LocalExecutor | RayExecutor:
        """What does the jobs of a ledger in the folder `out`; to be used in a `with` statement."""
        local = local_executor(self.standby, self.preflight.setups, out, prepared)
        if not self.execution.on_ray:
            return local
        question = self.question.model_copy(update={"backbone": self.preflight.backbone})
        place = None if self.cache is None else Path(self.cache)
        setup = ray_setup(self.execution, question, out, prepared, cache=place)
        return RayExecutor(setup, local, self.display.note)


def check_what_is_named(spec: StudySpec, cache: str | Path | None) -> None:
    """What cannot be imported or found is told before the work.

    Imports the study's own probes and claims. Raises UsageError and DataError.
    """
    probes_of(spec)
    for claim in spec.claims:
        own_claim(claim)
    cache_folder(cache)
    if spec.masks is not None:
        check_masks_folder(expanded(spec.masks))


@contextmanager
def start_up(
    spec: StudySpec,
    question: PreflightQuestion,
    cache: str | Path | None,
    module: str = WORKER,
) -> Iterator[Startup]:
    """Wait for the first worker's answer to `question`, which is about `spec`; it runs `module`.

    Raises UsageError for models, a device or a precision that there cannot be, and RunError where
    the worker dies.
    """
    execution, study = spec.execution, spec.where_it_runs_aside()
    asked = asked_here(execution, question)
    with first_worker(asked, cache, module) as standby, Display() as display:
        preflight = answer_of(standby)
        study = study.model_copy(update={"backbone": preflight.backbone})
        yield Startup(study, preflight, display, execution, question, standby, cache)


def asked_here(execution: ExecutionSpec, question: PreflightQuestion) -> PreflightQuestion:
    """What this machine's first worker is asked: of a cluster's devices it knows nothing.

    Raises UsageError where Ray is asked for and is not installed.
    """
    if not execution.on_ray:
        return question
    check_ray()
    return question.model_copy(update={"device": "cpu", "precisions": (), "workers": None})
