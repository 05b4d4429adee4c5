"""What one decoding process needs."""

import io
import subprocess
import sys

from PIL import Image

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
