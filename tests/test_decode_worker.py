"""What one decoding process needs."""

import io
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headtohead.data import decode_worker

SCRIPT = """
import sys
from headtohead.data import decode_worker

picture = decode_worker.open_upright(sys.stdin.buffer.read())
assert decode_worker.resize_image(picture, (2, 2), "antialias").size == (2, 2)
print([name for name in ("numpy", "PIL.ImageCms", "PIL.TiffImagePlugin") if name in sys.modules])
"""


def test_a_photograph_needs_neither_numpy_nor_every_plugin() -> None:
    """Lost: a sixth of a second in each process, as long as it takes to decode 300 photographs."""
    file = io.BytesIO()
    Image.new("RGB", (6, 5), "red").save(file, "JPEG")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=file.getvalue(), capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "[]"


@pytest.mark.parametrize(("silence", "lines"), [(3600.0, [3]), (-1.0, [1, 1, 1, 0])])
def test_what_has_become_of_pictures_is_told_at_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silence: float, lines: list[int]
) -> None:
    """Lost: any sign of progress for a minute where images are large; or speed where small."""
    answers: list[dict[str, Any]] = []
    monkeypatch.setattr(decode_worker, "say", answers.append)
    monkeypatch.setattr(decode_worker, "_SILENCE", silence)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.new("RGB", (6, 5), "red").save(path)
    paths[1].write_bytes(b"no picture")
    job = {"offset": 7, "image_size": 2, "resize": "antialias"}
    chunk = {"chunk": 1, "first_row": 3, "paths": [str(path) for path in paths]}
    with (tmp_path / "array").open("w+b") as array, (tmp_path / "at").open("wb", 0) as position:
        decode_worker._do_chunk(job, chunk, array, position)
    told = [answer["outcomes"] for answer in answers[:-1]]
    assert [len(outcomes) for outcomes in told] == lines
    assert list(chain(*told)) == [(5, 6), "not an image", (5, 6)]
    assert answers[-1] == {"written": 1}
    red, black = b"\xff\0\0" * 4, bytes(12)
    assert (tmp_path / "array").read_bytes() == bytes(7 + 3 * 12) + red + black + red
    assert int.from_bytes((tmp_path / "at").read_bytes()) == 5
