"""What does each measure bring that makes a training step on a CPU fast?

A ladder: the first rung is the network as most people write it, and each further one takes one
measure more, so that a rung beside the one before it is that measure's before and after. All on one
core but the last. `convolutions.py` says how near the convolutions themselves are to the machine.
"""

import sys
from pathlib import Path

from measuring import Task
from setting import PEERS, Setting
from step import BATCH, QUICK_STEPS, STEPS

RUNGS = (
    "as most people write it",
    "+ channels last in memory",
    "+ pool before ReLU",
    "+ new memory not filled",
    "+ freed memory kept",
    "+ batch norm, ReLU and pool fused",
    "+ in shards of 4 pictures",
    "+ fewer multiplications (Winograd)",
    "+ a second core",
)
"""What makes a training step fast on a CPU, each with all before it."""


def tasks(setting: Setting) -> list[Task]:
    """A side for each rung, in their order."""
    steps = QUICK_STEPS if setting.quick else STEPS

    def task(number: int, rung: str) -> Task:
        def command(_: Path) -> list[str]:
            given = ["--head", "fc_dropout", "--batch", str(BATCH), "--steps", str(steps)]
            return [sys.executable, str(PEERS / "step_rung.py"), *given, "--rung", str(number)]

        case = f"fc_dropout: {steps} training steps of {BATCH} pictures"
        return Task("measures", case, rung, command, steps * BATCH)

    return [task(number, rung) for number, rung in enumerate(RUNGS)]
