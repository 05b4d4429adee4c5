"""What `headtohead doctor` asks a Ray cluster: `python -m headtohead.runtime.cluster.checkup`.

A process of its own, as `driver` is. The first line of its standard input is {"address", "out",
"cache"}; it answers by one event, "nodes" or "failed".
"""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import ray

from headtohead.core.errors import HeadToHeadError, brief
from headtohead.runtime.cluster import node
from headtohead.runtime.cluster.driver import connect
from headtohead.runtime.cluster.file_sets import on
from headtohead.runtime.examination import examine
from headtohead.runtime.pipes import Say, log_to, own_input, own_output, say

ANSWER = 150.0
"""Seconds that the machines have in all: to load torch from a cold disk takes some 30."""


def main() -> None:
    """Answer once."""
    tell: Say = partial(say, own_output())
    asked = json.loads(own_input().readline())
    log_to(Path(os.devnull))
    try:
        connect(asked["address"])
        tell("nodes", nodes=nodes(asked))
    except HeadToHeadError as error:
        tell("failed", message=str(error), exit_code=error.exit_code)
    ray.shutdown()


def nodes(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Every machine that is there, as `headtohead.runtime.doctor.Node` has it."""
    asking = {}
    for found in ray.nodes():
        if found["Alive"]:
            here = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": on(found["NodeID"])}
            task = ray.remote(examined).options(**here)
            asking[task.remote(asked, found["Resources"])] = found
    answered, _ = ray.wait(list(asking), num_returns=len(asking), timeout=ANSWER)
    return [_told(found, ref if ref in answered else None) for ref, found in asking.items()]


def examined(asked: dict[str, Any], offered: dict[str, float]) -> dict[str, Any]:
    """A task: this machine, of which Ray offers so much."""
    cores, gpus = (int(offered.get(name, 0)) for name in ("CPU", "GPU"))
    found = examine(out=asked["out"], cache=node.cache_here(asked["cache"]), offered=(cores, gpus))
    environment = node.environment("cuda" if gpus else "cpu")
    return {"environment": environment, "machine": found.to_dict()}


def _told(found: dict[str, Any], ref: Any) -> dict[str, Any]:
    name = f"{found['NodeManagerHostname']} ({found['NodeID'][:8]})"
    told = {"name": name, "offered": found["Resources"], "environment": {}, "machine": None}
    if ref is None:
        return {**told, "error": f"not within {ANSWER:g} seconds"}
    try:
        return {**told, "error": None, **ray.get(ref)}
    except ray.exceptions.RayError as error:
        return {**told, "error": brief(str(getattr(error, "cause", error)), 300)}


if __name__ == "__main__":
    main()
