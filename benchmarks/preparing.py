"""How many photographs a second become pictures of 100 × 100 in memory, from JPEG files?

headtohead's preparation hashes the files, looks for duplicates and writes an array to disk, too.
The bare decoder decodes in full, one thread per core, and does nothing else: the bound.
"""

import sys
from pathlib import Path

from measuring import OURS, Task
from setting import PEERS, Setting


def tasks(setting: Setting) -> list[Task]:
    """One case, four sides; each process times itself from its first file to its last picture."""
    count = sum(setting.counts.values())
    sides = {
        OURS: (Path(sys.executable), "prepare_headtohead.py"),
        "bare decoder": (setting.torch_python, "prepare_simplejpeg.py"),
        "tf.data": (setting.tensorflow_python, "prepare_tfdata.py"),
        "DataLoader with Pillow": (setting.torch_python, "prepare_dataloader.py"),
    }
    data = str(setting.photographs)

    def task(side: str, python: Path, script: str) -> Task:
        def command(scratch: Path) -> list[str]:
            return [str(python), str(PEERS / script), "--data", data]

        return Task("preparing", f"{count} photographs", side, command, count)

    return [task(side, python, script) for side, (python, script) in sides.items()]
