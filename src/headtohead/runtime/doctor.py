"""`headtohead doctor`: what this machine has, or each machine of a Ray cluster."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from headtohead.config.from_options import study_from
from headtohead.config.options import documented
from headtohead.core.errors import RunError
from headtohead.core.files import expanded
from headtohead.core.processes import Process, module_command
from headtohead.core.system import current_folder
from headtohead.runtime.examination import Machine, Problem, examine, lines_of, problem_lines
from headtohead.runtime.ray import ERRORS, VARIABLES, check_ray

CHECKUP = "headtohead.runtime.cluster.checkup"
"""The module that asks a cluster's machines."""


@dataclass(frozen=True)
class Node:
    """A machine of a cluster: its name, what Ray offers of it, what its numbers depend on.

    `machine` is what was found on it; None where it did not answer, with the `error`.
    """

    name: str
    offered: dict[str, float]
    environment: dict[str, str]
    machine: Machine | None
    error: str | None

    def lines(self) -> Iterator[str]:
        """One line a fact."""
        cores, gpus = (f"{self.offered.get(name, 0):g}" for name in ("CPU", "GPU"))
        memory = self.offered.get("memory", 0) / 2**30
        yield f"{self.name}: Ray offers {cores} cores, {gpus} GPUs, {memory:.1f} GiB of memory"
        told = lines_of(self.machine) if self.machine else [f"It does not answer: {self.error}"]
        yield from (f"  {line}" for line in told)


@dataclass(frozen=True)
class Machines:
    """What `doctor` found of a cluster; printing it gives the lines of the command."""

    nodes: tuple[Node, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Those of the cluster as a whole: each machine has its own."""
        kinds = [node.environment for node in self.nodes if node.environment]
        unlike = [name for name in (kinds or [{}])[0] if len({kind[name] for kind in kinds}) > 1]
        silent = [node.name for node in self.nodes if node.machine is None]
        found = []
        if silent:
            found.append(
                Problem(
                    f"no answer from {', '.join(silent)}",
                    "Install the same headtohead there, or end Ray there: it would be left out.",
                )
            )
        if unlike:
            told = "; ".join(
                f"{node.name}: {', '.join(node.environment[name] for name in unlike)}"
                for node in self.nodes
                if node.environment
            )
            found.append(
                Problem(
                    f"numbers differ between machines, by {', '.join(unlike)} ({told})",
                    "Make them alike, or leave some out: all heads of a seed are trained on like "
                    "ones, which may keep others waiting.",
                )
            )
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        nodes = [
            {**asdict(node), "machine": node.machine.to_dict() if node.machine else None}
            for node in self.nodes
        ]
        return {"nodes": nodes, "problems": [asdict(problem) for problem in self.problems]}

    def __str__(self) -> str:
        lines = [line for node in self.nodes for line in (*node.lines(), "")]
        return "\n".join([*lines, "The cluster:", *problem_lines(self.problems)])


@documented("doctor")
def doctor(
    *,
    executor: str | None = None,
    out: str | Path | None = None,
    cache: str | Path | None = None,
) -> Machine | Machines:
    """What this machine has, what a study would use of it, and problems with their remedies.

    Of a Ray cluster the same of each machine. Starts one process on each machine that loads torch;
    writes nothing that stays. Raises UsageError for a cluster that cannot be reached, and RunError
    for one that is lost meanwhile, and StorageError where the current folder was deleted.
    """
    execution = study_from(None, executor=executor).execution
    if not execution.on_ray:
        return examine(out=out or current_folder(), cache=cache)
    check_ray()
    asked = {
        "address": execution.address,
        "out": None if out is None else str(expanded(out).absolute()),
        "cache": None if cache is None else str(expanded(cache).absolute()),
    }
    process = Process(module_command(CHECKUP), VARIABLES)
    try:
        process.send(asked)
        for event in process.events():
            if event["event"] == "failed":
                raise ERRORS.get(event["exit_code"], RunError)(event["message"])
            return Machines(TypeAdapter(tuple[Node, ...]).validate_python(event["nodes"]))
    finally:
        process.kill()
        process.close()
    where = execution.address or "this machine"
    raise RunError(f"the Ray cluster at {where} was lost. Start its head node again.")
