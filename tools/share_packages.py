"""Let another environment see this one's packages: `python tools/share_packages.py .venv-docs`.

What is installed there itself comes first. Packages as large as PyTorch are then installed once.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path


def share(other: Path) -> Path:
    """Write the `.pth` file in `other` that names this environment's packages; returns its path."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run(
        [other / "bin" / "python", "-c", ask], check=True, capture_output=True, text=True
    )
    file = Path(found.stdout.strip()) / "shared.pth"
    file.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return file


if __name__ == "__main__":
    print(share(Path(sys.argv[1])))
