"""What all tests share.

Hypothesis judges results, never how long a shared machine took; HEADTOHEAD_THOROUGH=1 lets it try
ten times as many examples. PyTorch gets one thread, as a worker has it: two on a busy machine wait
for each other.
"""

import importlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from forked import quick
from undrawn import undrawn

os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what it leaves in the background deaf to Ctrl-C, and so are all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "headtohead",
    max_examples=500 if os.environ.get("HEADTOHEAD_THOROUGH") else 50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
)
settings.load_profile("headtohead")

# Files that take longest, in the order in which they are started: no process waits for them at the
# end. The second needs no compiled kernels, which the first has to make on a machine without them.
FIRST = (
    "test_comparison.py",
    "test_fuzz_data.py",
    "test_notebook.py",
    "test_warming.py",
    "test_deploy_guide.py",
    "test_export.py",
    "test_tuning.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(FIRST)))


@pytest.fixture(scope="module")
def quick_workers() -> Iterator[None]:
    """Workers start without the seconds of their imports: where that start is not the point."""
    with quick():
        yield


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies are trained and measured, and nothing is drawn: for tests of the runs alone."""

    def summary_alone(ledger: Any, *_: Any) -> Any:
        from headtohead.report.summary import summarize
        from headtohead.study_data import StudyData

        return summarize(StudyData(ledger)), []

    monkeypatch.setattr(importlib.import_module("headtohead.compare"), "_report", summary_alone)


@pytest.fixture
def no_drawing() -> Iterator[None]:
    """Charts are planned and none is drawn: for tests of tables and words alone."""
    with undrawn():
        yield
