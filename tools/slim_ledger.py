"""Copy a study's folder without what reports, documents and tests do not read: `docs/ledgers`.

    python tools/slim_ledger.py runs/pets docs/ledgers/pets
    python tools/slim_ledger.py runs/tuned docs/ledgers/tuned --without class_maps

Left out: weights, logs, images, features, and what `headtohead report` writes anew, but report.md;
answers on validation images, which only temperatures of models are fitted to; costs of other seeds
than a head's first, which are the same; class maps where there are no masks to score them by (their
insertion and deletion curves stay); and all evidence of the probes that are named. The numbers
of the copy's report are compared with the study's: a claim may differ only where its probe was
named. Formats stay those of the ledger, and reports say what is not there.
"""

import argparse
import io
import json
import lzma
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from headtohead.core.files import sha256_of_bytes
from headtohead.report.render import render
from headtohead.store.evidence import Arrays, read_evidence, write_evidence
from headtohead.store.ledger import Ledger
from headtohead.store.picture_table import PACKED_FILE, PICTURES_FILE
from headtohead.study_data import StudyData

KEPT = ("study.yaml", "tuning.json", "tuning.md", "looks.json", "changes.json")
OF_RUNS = ("run.json", "history.jsonl")
OF_IMAGES = ("pictures", "thumbnails")
MAPS = ("rows", "labels", "gradcam", "exact")


def slim(source: Path, target: Path, without: tuple[str, ...] = ()) -> None:
    """Copy `source` to `target`, which must not exist. Raises SystemExit where numbers differ."""
    target.mkdir(parents=True)
    for name in KEPT:
        if (source / name).is_file():
            shutil.copy(source / name, target / name)
    for path in sorted((source / "runs").glob("*/*/*")):
        if path.name in OF_RUNS:
            _copy(path, source, target)
    _pack_pictures(source, target)
    for path in sorted((source / "evidence").rglob("*.npz")):
        probe = path.relative_to(source / "evidence").parts[0]
        if probe not in (*without, *OF_IMAGES):
            _copy_evidence(path, probe, source, target)
    _compare(_summary(source), _summary(target, report=True), without)


def _copy(path: Path, source: Path, target: Path) -> Path:
    copy = target / path.relative_to(source)
    copy.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(path, copy))


def _pack_pictures(source: Path, target: Path) -> None:
    if (source / PICTURES_FILE).is_file():
        content = (source / PICTURES_FILE).read_bytes()
        (target / PACKED_FILE).write_bytes(lzma.compress(content))
    elif (source / PACKED_FILE).is_file():
        shutil.copy(source / PACKED_FILE, target / PACKED_FILE)


def _copy_evidence(path: Path, probe: str, source: Path, target: Path) -> None:
    key = json.loads(path.with_suffix(".json").read_bytes())["run"]
    arrays = read_evidence(path, probe, key)
    if arrays is None:
        sys.exit(f"{path} is not whole.")
    if probe == "costs" and path != _first(path.parent):
        return
    less = dict(arrays)
    if probe == "predictions":
        less.update(_emptied(arrays, [name for name in arrays if name.startswith("validation_")]))
    if probe == "class_maps" and not list((source / "evidence" / "masks").glob("*.npz")):
        less.update(_emptied(arrays, [name for name in MAPS if name in arrays]))
    copy = target / path.relative_to(source)
    copy.parent.mkdir(parents=True, exist_ok=True)
    write_evidence(copy, probe, key, less)
    pack(copy)


def pack(path: Path) -> None:
    """Compress the arrays of evidence by LZMA, which takes a twelfth less: NumPy reads it, too."""
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as loose, zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as tight:
        for member in loose.infolist():
            tight.writestr(zipfile.ZipInfo(member.filename), loose.read(member), zipfile.ZIP_LZMA)
    content, beside = packed.getvalue(), path.with_suffix(".json")
    if len(content) < path.stat().st_size:
        path.write_bytes(content)
        manifest = json.loads(beside.read_bytes())
        manifest["sha256"] = sha256_of_bytes(content)
        beside.write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _first(folder: Path) -> Path:
    return min(folder.glob("seed-*.npz"), key=lambda path: int(path.stem.removeprefix("seed-")))


def _emptied(arrays: Arrays, names: list[str]) -> Arrays:
    return {name: np.zeros((0, *arrays[name].shape[1:]), arrays[name].dtype) for name in names}


def _summary(folder: Path, *, report: bool = False) -> dict[str, Any]:
    """What `summary.json` of a study says; with `report` its `report.md` is written, too."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(shutil.copytree(folder, Path(name) / folder.name))
        render(StudyData(Ledger.open(copy)))
        if report:
            shutil.copy(copy / "report.md", folder / "report.md")
        found: dict[str, Any] = json.loads((copy / "summary.json").read_bytes())
        return found


def _compare(before: dict[str, Any], after: dict[str, Any], without: tuple[str, ...]) -> None:
    for summary in (before, after):
        named = [claim for claim in summary["claims"] if claim["name"] in without]
        summary["claims"] = [claim for claim in summary["claims"] if claim not in named]
    wrong = [key for key in before if before[key] != after.get(key)]
    if wrong and not (without and wrong == ["notes"]):
        sys.exit(f"the copy reports something else: {', '.join(wrong)} of summary.json.")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--without", action="append", default=[], metavar="PROBE")
    options = parser.parse_args()
    if options.target.exists():
        sys.exit(f"{options.target} exists: name a new folder.")
    slim(options.source, options.target, tuple(options.without))
    size = sum(path.stat().st_size for path in options.target.rglob("*") if path.is_file())
    print(f"{options.target}: {size:,} bytes")


if __name__ == "__main__":
    main()
