"""The page's charts as files."""

from pathlib import Path

from headtohead.core.files import write_atomic
from headtohead.report.page.calibration import confusion_charts
from headtohead.report.page.content import Content

SUFFIXES = ("png", "svg")


def write_charts(content: Content, folder: Path) -> list[Path]:
    """Every chart and confusion matrix of the page as PNG and SVG in `folder`; the paths written.

    Raises StorageError where they cannot be written.
    """
    paths = []
    for chart in (*content.charts, *confusion_charts(content.confusions)):
        for suffix in SUFFIXES:
            path = folder / f"{chart.name}.{suffix}"
            write_atomic(path, chart.file(suffix))
            paths.append(path)
    return paths
