"""Compiled kernels lie in a folder of headtohead's, or nowhere; never beside the package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASK = "from headtohead.accel.kernel_cache import keeps_kernels as k; import numba.core.config as c;"
ASK += "print(k(), c.CACHE_DIR)"


def asked(**variables: str) -> list[str]:
    environment = {**os.environ, **variables}
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HEADTOHEAD_CACHE"):
        environment.pop(name, None)
    environment |= variables
    command = [sys.executable, "-c", ASK]
    return subprocess.check_output(command, env=environment, text=True).split()


@pytest.mark.skipif(sys.platform != "linux", reason="the user's cache lies elsewhere")
def test_the_users_cache_else_the_named_one_else_nowhere(tmp_path: Path) -> None:
    """Else no run can train in a container whose user has no home."""
    (tmp_path / "file").write_text("")
    home, nowhere, own = tmp_path / "home", tmp_path / "file", tmp_path / "own"
    kept = str(home / ".cache" / "headtohead" / "kernels")
    assert asked(HOME=str(home)) == ["True", kept]
    assert asked(HOME=str(nowhere), HEADTOHEAD_CACHE=str(own)) == ["True", str(own / "kernels")]
    assert asked(HOME=str(nowhere)) == ["False"]
    assert asked(HOME=str(home), NUMBA_CACHE_DIR=str(own)) == ["True", str(own)]
    assert asked(HOME=str(home), NUMBA_CACHE_DIR=str(nowhere)) == ["False", str(nowhere)]
