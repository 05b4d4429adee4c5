"""A first model with each library, from the same photographs: CPU time, lines of code, the answer.

`python run.py PHOTOGRAPHS LITE0 OUT fastai=VENV/bin timm=VENV/bin …`: each in its own environment,
one after the other, its results merged into OUT (JSON). LITE0 is the file that weights.py writes.
docs/peers.md shows the numbers.
"""

import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from split import split

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

# isort: split
from processes import run
from provenance import machine, versions

PACKAGES = {
    "fastai": ("fastai", "timm", "torch"),
    "timm": ("timm", "torch"),
    "ultralytics": ("ultralytics", "torch"),
    "kerastuner": ("keras-tuner", "keras", "torch"),
    "autogluon": ("autogluon.multimodal", "timm", "torch"),
    "headtohead": ("headtohead", "timm", "torch"),
}
ACCURACY = re.compile(r"^accuracy ([\d.]+)", re.MULTILINE)
KEPT = 3000
"""Characters of a failed side's words that are kept."""


def lines_of(script: Path) -> int:
    """Lines that are not empty."""
    return sum(bool(line.strip()) for line in script.read_text("utf-8").splitlines())


def asked(side: str, programs: Path, photographs: Path, lite0: Path) -> dict[str, Any]:
    """Run one side in an empty folder that holds `data` and the weights, and read its answer."""
    script = next(HERE.glob(f"with_{side}.*"))
    with tempfile.TemporaryDirectory(prefix="first-model-") as name:
        folder = Path(name)
        split(photographs, folder / "data")
        shutil.copyfile(lite0, folder / "lite0.safetensors")
        shutil.copytree(lite0.with_suffix(""), folder / "lite0")
        shutil.copyfile(script, folder / script.name)
        interpreter = "sh" if script.suffix == ".sh" else str(programs / "python")
        command = f"cd {shlex.quote(name)} && exec {shlex.quote(interpreter)} {script.name}"
        environment = {
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "HEADTOHEAD_CACHE": str(folder / "cache"),
            "KERAS_BACKEND": "torch",
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }
        ended = run(["sh", "-c", command], environment, folder)
    found = {
        "versions": versions(programs / "python", PACKAGES[side]),
        "lines": lines_of(script),
        "cpu_seconds": round(ended.cpu_seconds, 1),
        "peak_bytes": ended.peak_bytes,
    }
    if ended.code:
        return {**found, "failed": (ended.errors or ended.output)[-KEPT:]}
    accuracy = ACCURACY.findall(ended.output)
    answer = {"accuracy": float(accuracy[-1])} if accuracy else {}
    printed = {"printed": ended.output.splitlines()} if side == "headtohead" else {}
    return {**found, **answer, **printed}


def main() -> None:
    """Every side that is named, its result on disk before the next begins."""
    photographs, lite0, out = map(Path, sys.argv[1:4])
    for word in sys.argv[4:]:
        side, _, programs = word.partition("=")
        kept = json.loads(out.read_text("utf-8")) if out.is_file() else {}
        found = asked(side, Path(programs).absolute(), photographs, lite0)
        kept = {"machine": machine(), "sides": {**kept.get("sides", {}), side: found}}
        out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        print(side, {name: value for name, value in found.items() if name != "printed"})


if __name__ == "__main__":
    main()
