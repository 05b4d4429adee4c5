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

# Files whose few tests take longest: started first, so that no process waits for them at the end.
FIRST = ("test_comparison.py", "test_notebook.py", "test_deploy_guide.py", "test_tuning.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in FIRST)


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
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are planned and none is drawn: for tests of tables and words alone."""
    drawing = importlib.import_module("headtohead.report.charts.chart")
    monkeypatch.setattr(drawing, "inline_svg", lambda *_: "<svg></svg>")
