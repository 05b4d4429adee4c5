"""What a probe is, and how its evidence is read.

A probe measures the weights of a finished run and leaves arrays as evidence; claims, tables and
figures read them later, without torch. It is one file in this folder and one entry of
`headtohead.probes.table.PROBES`, or a class of the user's own, named `module:Class` in a study's
`probes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from headtohead.core.files import digest_of
from headtohead.probes.probe_images import ProbeImages
from headtohead.store.evidence import (
    Arrays,
    evidence_path,
    read_evidence,
    session_path,
    write_evidence,
)
from headtohead.store.ledger import Ledger

if TYPE_CHECKING:
    import torch

    from headtohead.data.split import Split
    from headtohead.training.inputs import Inputs
    from headtohead.training.plans import Finished, RunPlan

Need: TypeAlias = Literal["best", "last", "images", "heads"]
Found_co = TypeVar("Found_co", covariant=True)


@dataclass(frozen=True)
class Context:
    """What a probe measures. It may read all of it and must change none of it.

    `plans` are the plan of the run; of a probe that needs "heads", the plan of every head at seed
    0. `pictures` are all images of the study on the device, `split` their split for the run's
    seed, `folder` the run's folder. `images` are those that probes look at, None where the probe
    did not ask for them.
    """

    plans: "tuple[RunPlan, ...]"
    pictures: "Inputs"
    split: "Split"
    folder: Path
    images: ProbeImages | None = None

    @property
    def plan(self) -> "RunPlan":
        """The run's plan; `plan.build()` is its model before the first step."""
        return self.plans[0]

    @property
    def device(self) -> "torch.device":
        """Where to compute."""
        return self.pictures.device

    @property
    def shown(self) -> ProbeImages:
        """`images`, of a probe that needs them."""
        if self.images is None:
            raise ValueError('a probe that looks at images says so: needs = {"images", ...}')
        return self.images

    @cached_property
    def best(self) -> "Finished":
        """The model with the weights of the best epoch.

        Raises as `headtohead.training.plans.finished_model` does.
        """
        from headtohead.training.plans import finished_model

        return finished_model(self.plan, self.folder, "best", self.device, lent=True)

    @cached_property
    def last(self) -> "Finished":
        """That with the weights of the last epoch; raises as `best` does."""
        from headtohead.training.plans import finished_model

        return finished_model(self.plan, self.folder, "last", self.device, lent=True)


class Probe(Protocol[Found_co]):
    """Measures finished runs. `Found` is what its evidence says, as a frozen value.

    `name` is that of its folder in the ledger's `evidence/`. `needs` says what must be there:
    "best" and "last" are the weights of that epoch, "images" the test images that probes look at;
    with none of them the model as it is built is enough, and evidence can be collected when the
    weights are deleted. A probe that needs "heads" runs once for the study, on all heads and while
    nothing else computes; any other runs once for each finished run.
    """

    @property
    def name(self) -> str:
        """Its name, unique among probes."""

    @property
    def needs(self) -> frozenset[Need]:
        """What it measures."""

    def collect(self, context: Context) -> Arrays:
        """Measure; torch is imported in here. The arrays hold no objects."""

    def describe(self, arrays: Arrays) -> Found_co:
        """What the arrays of `collect`, as they were read from the disk, say. Imports no torch."""


@runtime_checkable
class Noting(Protocol):
    """A probe that may have something to tell the user of what it has just collected."""

    def note(self, arrays: Arrays) -> str | None:
        """What a user should know of these arrays of `collect`; None for nothing."""


def of_heads(probe: Probe[object]) -> bool:
    """Whether the probe measures all heads in one session rather than each run."""
    return "heads" in probe.needs


def read_run(ledger: Ledger, probe: Probe[Found_co], head: str, seed: int) -> Found_co | None:
    """What `probe` found on a run; None where there is nothing that is whole and the run's."""
    path = evidence_path(ledger.out, probe.name, head, seed)
    arrays = read_evidence(path, probe.name, ledger.run_key(head, seed))
    return None if arrays is None else probe.describe(arrays)


def write_run(ledger: Ledger, probe: Probe[object], head: str, seed: int, arrays: Arrays) -> None:
    """Keep what `probe` found on a run. Raises StorageError."""
    path = evidence_path(ledger.out, probe.name, head, seed)
    write_evidence(path, probe.name, ledger.run_key(head, seed), arrays)


def read_session(
    ledger: Ledger, probe: Probe[Found_co], have: Sequence[str] | None = None
) -> Found_co | None:
    """What `probe` found on all heads, or on all that have runs (`have`, where that is known).

    None where there is nothing whole, or one of them is missing.
    """
    path = session_path(ledger.out, probe.name)
    have = ledger.heads_with_runs() if have is None else have
    keys = [session_key(ledger, heads) for heads in (tuple(ledger.file.study.heads), have)]
    arrays = read_evidence(path, probe.name, *keys)
    return None if arrays is None else probe.describe(arrays)


def write_session(
    ledger: Ledger, probe: Probe[object], arrays: Arrays, heads: Sequence[str] | None = None
) -> None:
    """Keep what `probe` found on `heads`, by default all of the study. Raises StorageError."""
    path = session_path(ledger.out, probe.name)
    measured = tuple(ledger.file.study.heads) if heads is None else heads
    write_evidence(path, probe.name, session_key(ledger, measured), arrays)


def session_key(ledger: Ledger, heads: Sequence[str]) -> str:
    """The key of a session over some heads of the ledger: another head makes it another."""
    return digest_of([ledger.run_key(head, 0) for head in heads])
