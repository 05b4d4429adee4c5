"""A batch in shards, shared out among cores at will.

A shard's size depends on nothing, and whatever is summed over shards is summed in their order.
So a batch's numbers are the same to the bit on one core and on many, and a worker may be lent
cores, or lose them, in the middle of a run.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import torch

SIZE = 4
"""Images in a shard: of 2, 4, 8 and 16 the fastest on the article's network."""

Result = TypeVar("Result")


def shards(pictures: int) -> list[slice]:
    """Where the shards of so many images lie; the last may be smaller."""
    return [slice(start, min(start + SIZE, pictures)) for start in range(0, pictures, SIZE)]


def each(work: Callable[..., Result], *columns: Iterable[Any]) -> list[Result]:
    """`map(work, *columns)`, shared out among this thread and the cores that are lent.

    `work` runs without gradients and must let go of the interpreter's lock to gain by it. Results
    are in the order of the columns. Raises what `work` raises, once no thread works any more.
    """
    calls = list(zip(*columns, strict=True))
    results: list[Any] = [None] * len(calls)
    left = iter(enumerate(calls))  # shared by the threads: the next one is handed out once

    @torch.no_grad()
    def work_off() -> None:
        for index, arguments in left:
            results[index] = work(*arguments)

    helping = [helper.submit(work_off) for helper in _helpers.at_hand()[: len(calls) - 1]]
    try:
        work_off()
    finally:
        wait(helping)
    for helper in helping:
        helper.result()
    return results


def lend(cores: Sequence[int | None]) -> None:
    """From its next batch on, this process may use these cores beside its own, and no others.

    None is a core that is not named: a thread that is pinned nowhere. May be called by any thread.
    """
    _helpers.lent = tuple(cores)


class _Helpers:
    """A thread for each core that is lent."""

    def __init__(self) -> None:
        self.lent: tuple[int | None, ...] = ()
        self._started: tuple[int | None, ...] = ()
        self._threads: list[ThreadPoolExecutor] = []

    def at_hand(self) -> list[ThreadPoolExecutor]:
        lent = self.lent
        if lent != self._started:
            for thread in self._threads:
                thread.shutdown()
            self._threads = [ThreadPoolExecutor(1, "shards", _settle, (core,)) for core in lent]
            self._started = lent
        return self._threads


def _settle(core: int | None) -> None:
    """Pin a helper. It has its maker's way to round and to flush denormals (POSIX threads do)."""
    torch.set_num_threads(1)
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


_helpers = _Helpers()
