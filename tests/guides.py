"""The commands of README and guides, and a folder where they can be typed on a small study."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACEHOLDERS = {"runs/<study>-<digest>": "runs/study", "…": "*"}
SMALLER = {
    "compare": "--epochs 1 --seeds 2 --batch-size 16 --workers 1 --device cpu",
    "plan": "--workers 1 --device cpu",
    "tune": "--trials 1 --epochs 1 --batch-size 16 --workers 1 --device cpu",
}
"""What is put behind a page's own options, and wins over them: else each command takes hours."""
HEADTOHEAD = """#!{python}
import sys
from headtohead.cli import main
smaller = {smaller!r}
words = sys.argv[1:]
more = smaller.get(words[0], "").split()
if words[0] == "compare" and "--data" not in words and not any(w.endswith("yaml") for w in words):
    more += ["--data", "path/to/photographs"]
if any(word.endswith("tuned.yaml") for word in words):
    more = more[2:]  # its epochs are the tuning's
sys.exit(main([words[0], *words[1:], *more]))
"""


def shell_blocks(page: str) -> list[str]:
    """Each block of shell commands of a page, its placeholders filled in."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    return [_filled(block) for block in blocks]


def python_blocks(page: str) -> list[str]:
    """Each block of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S)


def commands_of(page: str) -> list[str]:
    """Every line of a page that calls headtohead, as a shell is to run it."""
    lines = re.sub(r"\\\n\s*", " ", "\n".join(shell_blocks(page))).splitlines()
    return [line.partition("   #")[0].strip() for line in lines if line.startswith("headtohead ")]


def _filled(text: str) -> str:
    for placeholder, word in PLACEHOLDERS.items():
        text = text.replace(placeholder, word)
    return text


def with_headtohead(folder: Path, image_size: int = 32) -> dict[str, str]:
    """An environment for commands typed in `folder`: its `bin` has a headtohead of small sizes."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    smaller = {name: f"{text} --image-size {image_size}" for name, text in SMALLER.items()}
    script = HEADTOHEAD.format(python=sys.executable, smaller=smaller)
    (programs / "headtohead").write_text(script, encoding="utf-8")
    (programs / "headtohead").chmod(0o755)
    (programs / "python").unlink(missing_ok=True)
    (programs / "python").symlink_to(shutil.which(sys.executable) or sys.executable)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HEADTOHEAD_CACHE": str(folder / "cache")}


def typed(
    line: str, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """`line` as a shell in `folder` runs it."""
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
