"""The command as a user without root's right to read and write everything."""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

DROP_FROM_BOUNDING_SET = 24  # prctl's PR_CAPBSET_DROP
OVERRIDE, READ_SEARCH = 1, 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH

RUN = """
import json, sys
from commands import run
told = [run(*words) for words in json.load(sys.stdin)]
json.dump([[done.returncode, done.stdout, done.stderr] for done in told], sys.stdout)
"""


def python(code: str, *arguments: object, given: str = "") -> str:
    """What `code` prints, in a process that drops root's capability to pass over permissions."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        input=given,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
        preexec_fn=_drop if sys.platform == "linux" and os.geteuid() == 0 else None,
    )
    return done.stdout


def run(*commands: list[object]) -> list["subprocess.CompletedProcess[str]"]:
    """What each command comes to, one after the other in such a process."""
    words = [[str(word) for word in command] for command in commands]
    ends = json.loads(python(RUN, given=json.dumps(words)))
    return [
        subprocess.CompletedProcess(listed, *end) for listed, end in zip(words, ends, strict=True)
    ]


def _drop() -> None:
    system = ctypes.CDLL(None)
    for capability in (OVERRIDE, READ_SEARCH):
        if system.prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0):
            raise OSError("root cannot drop its capabilities here")
