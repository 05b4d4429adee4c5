"""What does headtohead take around the training: its start, a report, its book-keeping?"""

import subprocess
import sys
from pathlib import Path

from measuring import OURS, Task, environment
from setting import HERE, Setting


def tasks(setting: Setting) -> list[Task]:
    """The bare interpreter beside `--help` and `report`, and the share of book-keeping in a run."""
    study = _finished(setting)
    commands = {
        "python -c pass": ["-c", "pass"],
        "headtohead --help": ["-m", "headtohead", "--help"],
        "headtohead report": ["-m", "headtohead", "report", str(study)],
    }
    started = [_task("commands", name, words) for name, words in commands.items()]
    script = [str(HERE / "bookkeeping.py"), "--data", str(setting.photographs)]
    return [*started, _task("book-keeping in a run", OURS, script)]


def _task(case: str, side: str, words: list[str]) -> Task:
    return Task("startup", case, side, lambda scratch: [sys.executable, *words])


def _finished(setting: Setting) -> Path:
    """A finished study with three heads and two seeds, made once."""
    out: Path = setting.work / "finished"
    command = [
        sys.executable, "-m", "headtohead", "compare", "--heads", "fc,fc_dropout,gap",
        "--seeds", "2", "--epochs", "1", "--limit", "200", "--data", str(setting.data),
        "--device", "cpu", "--out", str(out),
    ]  # fmt: skip
    subprocess.run(command, env=environment(setting.work), capture_output=True, check=True)
    return out
