"""Where a study's runs are trained, as data: this machine, or a Ray cluster. Part of no digest."""

from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from headtohead.config.recipe import Spec

LOCAL, RAY = "local", "ray"


class PerRunSpec(Spec):
    """What a run takes of a cluster's machine: cores, GPUs (where it trains on one), GiB of memory.

    GPUs are a part of one, or whole ones. Memory that is not named is not reserved.
    """

    cores: Annotated[float, Field(gt=0, le=1024)] = 1.0
    gpus: Annotated[float, Field(gt=0, le=64)] = 1.0
    memory: Annotated[float, Field(gt=0)] | None = None

    @field_validator("gpus")
    @classmethod
    def _whole_gpus(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(
                f"a part of one GPU, or whole ones, such as 0.5 or 2; received {gpus:g}"
            )
        return gpus


class ExecutionSpec(Spec):
    """`executor` is `local`, `ray` or `ray:ADDRESS`.

    `shared` allows machines of a cluster to read this machine's cache, and to write to --out,
    where they see the same folders; else files are always sent.
    """

    executor: Annotated[str, StringConstraints(pattern=r"^(local|ray(:\S+)?)$")] = LOCAL
    per_run: PerRunSpec = PerRunSpec()
    shared: bool = True

    @property
    def on_ray(self) -> bool:
        """Whether a Ray cluster trains."""
        return self.executor != LOCAL

    @property
    def address(self) -> str | None:
        """The cluster's, where one was named."""
        return self.executor.partition(":")[2] or None
