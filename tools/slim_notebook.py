"""Make the committed outputs of a notebook small.

    python tools/slim_notebook.py notebooks/article.ipynb

An image that Jupyter keeps as PNG and as JPEG stays as JPEG; charts become PNGs of few colours, as
`headtohead report --figures` writes them. None is wider than the page. Photographs in tables, which
are shown small, are coded anew where that makes them a fifth smaller.
"""

import base64
import io
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

from headtohead.report.charts.chart import few_colors

WIDEST = 620
"""Pixels of an image; a tenth more than the notebook shows."""

EMBEDDED = re.compile("(?<=data:image/jpeg;base64,)[A-Za-z0-9+/=]+")


def slim(notebook: Any) -> None:
    """Change the outputs of `notebook`."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/jpeg" in data:
                data.pop("image/png", None)
                data["image/jpeg"] = base64.b64encode(_smaller(data["image/jpeg"])).decode()
            if "text/html" in data:
                data["text/html"] = re.sub(EMBEDDED, _recoded, data["text/html"])
            if "image/png" in data:
                data["image/png"] = base64.b64encode(_packed(data["image/png"])).decode()


def _smaller(encoded: str) -> bytes:
    content = base64.b64decode(encoded)
    with Image.open(io.BytesIO(content)) as image:
        if image.width <= WIDEST:
            return content
        image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
        made = io.BytesIO()
        image.save(made, "JPEG", quality=75, optimize=True)
    return made.getvalue()


def _recoded(found: re.Match[str]) -> str:
    made = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(found[0]))) as image:
        image.save(made, "JPEG", quality=60, optimize=True)
    encoded = base64.b64encode(made.getvalue()).decode()
    return encoded if len(encoded) <= 0.8 * len(found[0]) else found[0]


def _packed(encoded: str) -> bytes:
    content = base64.b64decode(encoded)
    with Image.open(io.BytesIO(content)) as image:
        if image.width <= WIDEST:
            return content
        drawn = image.convert("RGB")
    drawn.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    return few_colors(drawn)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    read = nbformat.read(path, as_version=4)
    slim(read)
    nbformat.write(read, path)
    print(f"{path}: {path.stat().st_size:,} bytes")
