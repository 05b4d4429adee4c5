"""Every head as ONNX, run by ONNX Runtime: needs `onnx`, `onnxscript` and `onnxruntime`."""

from typing import Any

import pytest

from headtohead.heads.table import HEADS
from headtohead.testing import check_head

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SMALL: dict[str, dict[str, Any]] = {
    "ml_decoder": {"width": 16, "hidden": 24, "heads": 4},
    "netvlad": {"clusters": 4},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", HEADS)
def test_the_export_of_every_head_agrees(name: str) -> None:
    """Else a winner cannot be shipped, or answers otherwise where it is."""
    found = check_head(name, sizes=[(3, 5)], outputs=[3], **SMALL.get(name, {}))
    assert found.not_exported is None
