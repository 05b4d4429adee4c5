"""Worker processes that start at once: forked from one that has imported what they need.

A worker is a new Python, which imports torch for two seconds. Where a test's point is what a study
gives and not how its workers start, the fixture `quick_workers` of `conftest.py` takes these: real
processes with the same pipes, messages and ends.
"""

import importlib
import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd
from types import MappingProxyType
from typing import IO, Any

import pytest

from headtohead.core.processes import Process


@contextmanager
def quick() -> Iterator[None]:
    """Workers of the command are `ForkedProcess`es."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headtohead.runtime.process.Process", ForkedProcess)
        yield


class ForkedProcess(Process):
    """As `Process`, of a `command` that runs a module with a function `main`."""

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str] = MappingProxyType({}),
        errors: IO[Any] | None = None,
    ) -> None:
        assert command[-2] == "-m"
        context = _server()
        theirs, mine = os.pipe()
        heard, said = os.pipe()
        fds = (theirs, said, 2 if errors is None else errors.fileno())
        known = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        process = context.Process(
            target=_serve, args=(command[-1], known, *map(_Passed, fds)), daemon=True
        )
        process.start()
        for fd in (theirs, said):
            os.close(fd)
        self._process = _Ends(process)  # type: ignore[assignment]
        self._stdin, self._stdout = os.fdopen(mine, "wb"), os.fdopen(heard, "rb")


def _server() -> Any:
    """Where processes are forked; started by the first call, with this process's `sys.path`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["forked_ready"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(entry for entry in sys.path if entry))
        forkserver.ensure_running()
    return context


class _Passed:
    """A file descriptor that is given to the process as it is started."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (DupFd(self.fd),)


def _received(passed: Any) -> int:
    fd: int = passed.detach()
    return fd


class _Ends:
    """What `Process` asks of a subprocess."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self.pid: int = process.pid

    def poll(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def wait(self) -> int:
        self._process.join()
        return int(self._process.exitcode)

    def kill(self) -> None:
        self._process.kill()


def _serve(module: str, variables: dict[str, str], *fds: int) -> None:
    for place, fd in enumerate(fds):
        os.dup2(fd, place)
        os.close(fd)
    assert module in sys.modules, "forked_ready could not be imported"
    os.environ.clear()
    os.environ.update(variables)
    os.setsid()
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    importlib.import_module(module).main()
