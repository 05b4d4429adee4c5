"""What PyTorch and Numba say of this machine, as one line of JSON: asked in a process of its own.

`headtohead doctor` starts it as a worker is started, so that the command itself loads no torch and
a torch that cannot be loaded is an answer.
"""

import json
import sys
from typing import Any

import torch

from headtohead.core.system import usable_cores
from headtohead.training.acceleration import numba_error
from headtohead.training.device import choose_device, worker_devices


def checked() -> dict[str, Any]:
    """Versions, GPUs with their memory in bytes, the devices of the workers, Numba's error."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    properties = [torch.cuda.get_device_properties(index) for index in range(gpus)]
    devices = worker_devices(choose_device("auto"), None, len(usable_cores()), gpus)
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "gpus": [{"name": gpu.name, "memory": gpu.total_memory} for gpu in properties],
        "devices": devices,
        "numba_error": numba_error(),
    }


if __name__ == "__main__":
    json.dump(checked(), sys.stdout)
