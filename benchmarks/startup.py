"""What does headtohead take around the training: its start, a report, its book-keeping?"""

import subprocess
import sys
from pathlib import Path

from measuring import Task, environment
from setting import HERE, Setting
from targets import BOOKKEEPING, HELP, REPORT


def tasks(setting: Setting) -> list[Task]:
    """The bare interpreter beside `--help` and `report`, and the share of book-keeping in a run."""

    def task(case: str, side: str, *words: str) -> Task:
        return Task("startup", case, side, lambda _: [sys.executable, *words])

    def report(_: Path) -> list[str]:
        return [sys.executable, str(HERE / "reporting.py"), str(finished(setting))]

    epochs = str(min(2, setting.epochs))
    script = [str(HERE / "bookkeeping.py"), "--data", str(setting.photographs), "--epochs", epochs]
    return [
        task("commands", "python -c pass", "-c", "pass"),
        task("commands", HELP, "-m", "headtohead", "--help"),
        Task("startup", "commands", REPORT, report),
        task("book-keeping in a run", BOOKKEEPING, *script),
    ]


def finished(setting: Setting) -> Path:
    """A finished study with three heads and two seeds, made when it is first asked for.

    Raises ChildProcessError, with the command's words, where it cannot be made.
    """
    out = setting.work / "finished"
    command = [
        sys.executable, "-m", "headtohead", "compare", "--heads", "fc,fc_dropout,gap",
        "--seeds", "2", "--epochs", "1", "--limit", "200", "--data", str(setting.data),
        "--device", "cpu", "--out", str(out),
    ]  # fmt: skip
    if not (out / "report.html").exists():
        made = subprocess.run(
            command, env=environment(setting.work), capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise ChildProcessError(f"compare ended with {made.returncode}: {made.stderr}")
    return out
