"""What does one training step cost, per head, beside its peers' and beside its convolutions alone?

Batches of 64 of random images in memory, on one core with one thread. Each process takes some
steps to warm up, which are not timed, then times the rest itself. The floor is nothing but the
backbone's three convolutions, forward and backward, as PyTorch's own kernels do them, set up as
headtohead's workers are: no step that computes them so can be faster.
"""

import sys
from pathlib import Path

from measuring import OURS, Task
from setting import PEERS, Setting
from targets import FLOOR, HEADS, KERAS_TORCH, LIGHTNING, LOOP

BATCH = 64
STEPS, QUICK_STEPS = 20, 2


def tasks(setting: Setting) -> list[Task]:
    """A case for each head, six sides in each."""
    tensorflow, torch = str(setting.tensorflow_python), str(setting.torch_python)
    sides = {
        OURS: (sys.executable, "step_headtohead.py"),
        FLOOR: (sys.executable, "step_floor.py"),
        "Keras on TensorFlow": (tensorflow, "step_keras_tensorflow.py"),
        KERAS_TORCH: (torch, "step_keras_torch.py"),
        LOOP: (torch, "step_torch.py"),
        LIGHTNING: (torch, "step_lightning.py"),
    }
    steps = QUICK_STEPS if setting.quick else STEPS

    def task(head: str, side: str, python: str, script: str) -> Task:
        def command(_: Path) -> list[str]:
            given = ["--head", head, "--batch", str(BATCH), "--steps", str(steps)]
            return [python, str(PEERS / script), *given]

        case = f"{head}: {steps} training steps of {BATCH} pictures, one core"
        return Task("step", case, side, command, steps * BATCH)

    return [task(head, side, *words) for head in HEADS for side, words in sides.items()]
