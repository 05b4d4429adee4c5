"""Evidence files: arrays and the manifest beside them, whole and of the right run, or absent.

<out>/evidence/<probe>/<head>/seed-<n>.npz   what a probe found on one run
<out>/evidence/<probe>/session.npz           what a probe found on all heads in one session
<out>/evidence/<name>/split-<n>.npz          what belongs to a split: images and masks
<out>/evidence/thumbnails/test.npz           what a report needs of the test images

Each has a manifest beside it, `.json`: format version, probe, key and sha256. What is not whole,
or not of the run that is asked for, counts as missing and is collected again.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from headtohead.core.files import sha256_of_bytes, write_atomic

FORMAT = 1
THUMBNAILS = "thumbnails"
Arrays: TypeAlias = dict[str, NDArray[Any]]


def evidence_path(out: Path, probe: str, head: str, seed: int) -> Path:
    """Where what `probe` found on a run is kept."""
    return out / "evidence" / probe / head / f"seed-{seed}.npz"


def session_path(out: Path, probe: str) -> Path:
    """Where what `probe` found on all heads in one session is kept."""
    return out / "evidence" / probe / "session.npz"


def split_path(out: Path, name: str, split: int) -> Path:
    """Where what is called `name` of the split of seed `split` is kept."""
    return out / "evidence" / name / f"split-{split}.npz"


def write_evidence(
    path: Path,
    probe: str,
    key: str,
    arrays: Mapping[str, NDArray[Any]],
    also: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write arrays that belong to `key`, the manifest last, with what it has to say `also`.

    Arrays that are there already are not written again. What a power failure takes is measured
    again. Raises StorageError.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    content = buffer.getvalue()
    if _content(path) != content:
        write_atomic(path, content, sync=False)
    digest = sha256_of_bytes(content)
    manifest = {"format": FORMAT, "probe": probe, "run": key, "sha256": digest, **also}
    text = json.dumps(manifest, indent=1)
    write_atomic(path.with_suffix(".json"), text.encode(), sync=False)


def _content(path: Path) -> bytes | None:
    """What lies there; None where nothing can be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def read_evidence(path: Path, probe: str, *keys: str) -> Arrays | None:
    """The arrays that belong to one of `keys`; None where there are none that are whole and its."""
    found = read_with_manifest(path, probe, *keys)
    return None if found is None else found[0]


def read_with_manifest(path: Path, probe: str, *keys: str) -> tuple[Arrays, dict[str, Any]] | None:
    """The same, and the manifest, which may say more."""
    try:
        manifest = json.loads(path.with_suffix(".json").read_bytes())
        # Earlier versions named no probe in the manifest of thumbnails, and the key otherwise.
        key = manifest["prepared"] if "prepared" in manifest else manifest["run"]
        found = (manifest["format"], manifest.get("probe", THUMBNAILS), key in keys)
        content = path.read_bytes()
        if found != (FORMAT, probe, True) or manifest["sha256"] != sha256_of_bytes(content):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays), manifest
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):  # objects, or no arrays at all
        return None
