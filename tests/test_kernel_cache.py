"""Compiled kernels lie in a folder of headtohead's, or nowhere; never beside the package."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import json, os, sys
import numba.core.config as config
from headtohead.accel.kernel_cache import keeps_kernels
for variables in json.loads(sys.argv[1]):
    for name in ("HOME", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HEADTOHEAD_CACHE"):
        os.environ.pop(name, None)
    os.environ.update(variables)
    config.CACHE_DIR = os.environ.get("NUMBA_CACHE_DIR", "")  # as at its import
    keeps_kernels.cache_clear()
    print(json.dumps([keeps_kernels(), config.CACHE_DIR]))
"""


def asked(*machines: dict[str, str]) -> list[list[object]]:
    """What each machine's variables make of it: whether kernels are kept, and where."""
    command = [sys.executable, "-c", ASK, json.dumps(machines)]
    return [json.loads(line) for line in subprocess.check_output(command, text=True).splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="the user's cache lies elsewhere")
def test_the_users_cache_else_the_named_one_else_nowhere(tmp_path: Path) -> None:
    """Else no run can train in a container whose user has no home."""
    (tmp_path / "file").write_text("")
    home, nowhere, own = tmp_path / "home", tmp_path / "file", tmp_path / "own"
    kept = str(home / ".cache" / "headtohead" / "kernels")
    assert asked(
        {"HOME": str(home)},
        {"HOME": str(nowhere), "HEADTOHEAD_CACHE": str(own)},
        {"HOME": str(nowhere)},
        {"HOME": str(home), "NUMBA_CACHE_DIR": str(own)},
        {"HOME": str(home), "NUMBA_CACHE_DIR": str(nowhere)},
    ) == [
        [True, kept],
        [True, str(own / "kernels")],
        [False, ""],
        [True, str(own)],
        [False, str(nowhere)],
    ]
