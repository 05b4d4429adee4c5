"""How many photographs a second become images of 100 × 100 in memory, from JPEG files?

headtohead's preparation hashes the files, looks for duplicates and writes an array to disk, too.
The bare decoder decodes in full, one thread per core, and does nothing else: the bound.
"""

import sys
from pathlib import Path

from measuring import OURS, Task
from setting import PEERS, Setting
from targets import DECODER, TF_DATA, TF_DATA_TUNED


def tasks(setting: Setting) -> list[Task]:
    """One case, five sides; each process times itself from its first file to its last image."""
    count = sum(setting.counts.values())
    tensorflow, torch = str(setting.tensorflow_python), str(setting.torch_python)
    sides = {
        OURS: (sys.executable, "prepare_headtohead.py"),
        DECODER: (torch, "prepare_simplejpeg.py"),
        TF_DATA: (tensorflow, "prepare_tfdata.py", "--pipeline", "article"),
        TF_DATA_TUNED: (tensorflow, "prepare_tfdata.py", "--pipeline", "tuned"),
        "DataLoader with Pillow": (torch, "prepare_dataloader.py"),
    }

    def task(side: str, python: str, script: str, *words: str) -> Task:
        def command(_: Path) -> list[str]:
            return [python, str(PEERS / script), "--data", str(setting.photographs), *words]

        return Task("preparing", f"{count} photographs", side, command, count)

    return [task(side, *words) for side, words in sides.items()]
