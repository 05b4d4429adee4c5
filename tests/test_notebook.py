"""The notebook runs from its first cell to its last, on drawn pictures."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "article.ipynb"
SMALL = """
DATA = "synthetic"
HEADS = ["fc", "fc_dropout", "avgpool2x2", "gap"]
SEEDS, EPOCHS, LIMIT, OUT, SHOW_TENSORBOARD = 1, 1, 200, {out!r}, False
"""


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else who opens it on a hosted service meets an error."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = (
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])
    )
    parameters.source = SMALL.format(out=str(tmp_path / "out"))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    ]
    assert shown.count("image/png") == 6  # the pictures and five charts
    assert shown.count("text/html") == 1
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_notebook_is_kept_with_its_outputs() -> None:
    """Else a reader who cannot run it sees nothing."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in ran] == list(range(1, len(ran) + 1))
    kinds = [output.output_type for cell in ran for output in cell.outputs]
    assert "error" not in kinds
    assert kinds.count("display_data") >= 7
    assert NOTEBOOK.stat().st_size < 2_000_000
