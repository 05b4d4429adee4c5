"""What a run takes of a cluster, as text. Imports little: `headtohead --help` reads this file."""

import re
from collections.abc import Mapping
from typing import Any

from headtohead.core.errors import UsageError


def read_per_run(value: str | Mapping[str, Any]) -> dict[str, Any]:
    """`cores=2,gpus=0.5,memory=8` → fields of `execution.PerRunSpec`. Raises UsageError."""
    if not isinstance(value, str):
        return dict(value)
    found: dict[str, Any] = {}
    for part in value.split(","):
        match = re.fullmatch(r"\s*(cores|gpus|memory)=([0-9.]+)\s*", part)
        try:
            if match is None:
                raise ValueError(part)
            found[match[1]] = float(match[2])
        except ValueError:
            raise UsageError(
                f"--per-run takes cores=NUMBER, gpus=NUMBER and memory=GIB with commas between "
                f"them; received {value!r}."
            ) from None
    return found


def per_run_text(per_run: Any) -> str:
    """What `read_per_run` reads, of a `PerRunSpec`."""
    given = per_run.model_dump(exclude_none=True)
    return ",".join(f"{name}={amount:g}" for name, amount in given.items())
