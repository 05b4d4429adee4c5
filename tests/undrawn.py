"""Studies and reports without their drawings, which take longer than all the rest of a report."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def undrawn() -> Iterator[None]:
    """The page's charts are planned and none is drawn, nor a study's figures by its workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headtohead.report.charts.chart.inline_svg", lambda *_: "<svg></svg>")
        patch.setattr("headtohead.report.charts.chart.Chart.file", lambda *_: b"")
        patch.setattr("headtohead.runtime.runner.StudyRunner.draw_figures", lambda _: [])
        yield
