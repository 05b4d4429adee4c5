"""The executor that a study asks for."""

from collections.abc import Callable
from pathlib import Path

from headtohead.config.execution import ExecutionSpec
from headtohead.data.prepared import PreparedSet
from headtohead.runtime.local import LocalExecutor, local_executor
from headtohead.runtime.preflight import PreflightAnswer, PreflightQuestion
from headtohead.runtime.process import StandbyProcesses
from headtohead.runtime.ray import RayExecutor, check_ray, ray_setup


def asked_here(execution: ExecutionSpec, question: PreflightQuestion) -> PreflightQuestion:
    """What this machine's first worker is asked: of a cluster's devices it knows nothing.

    Raises UsageError where Ray is asked for and is not installed.
    """
    if not execution.on_ray:
        return question
    check_ray()
    return question.model_copy(update={"device": "cpu", "precisions": (), "workers": None})


def executor_of(
    execution: ExecutionSpec,
    question: PreflightQuestion,
    answer: PreflightAnswer,
    standby: StandbyProcesses,
    out: Path,
    prepared: PreparedSet,
    *,
    cache: str | Path | None,
    note: Callable[[str], None],
) -> LocalExecutor | RayExecutor:
    """For a ledger in the folder `out` and a study on `prepared`, to be used in a `with` statement.

    `question` is `question_about` the study; `answer` is that of the first worker here.
    """
    local = local_executor(standby, answer.setups, out, prepared)
    if not execution.on_ray:
        return local
    question = question.model_copy(update={"backbone": answer.backbone})
    place = None if cache is None else Path(cache)
    return RayExecutor(ray_setup(execution, question, out, prepared, cache=place), local, note)
