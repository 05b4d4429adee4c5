"""Arrays and the manifest beside them: whole and of the right run, or as good as absent."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from headtohead.core.files import sha256_of, write_atomic

FORMAT = 1
Arrays: TypeAlias = dict[str, NDArray[Any]]


def evidence_path(out: Path, probe: str, head: str, seed: int) -> Path:
    """Where what `probe` found on a run is kept; the manifest lies beside it as `.json`."""
    return out / "evidence" / probe / head / f"seed-{seed}.npz"


def write_evidence(path: Path, probe: str, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays that belong to `key`, the manifest last. Raises StorageError."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(path, buffer.getvalue())
    manifest = {"format": FORMAT, "probe": probe, "run": key, "sha256": sha256_of(path)}
    write_atomic(path.with_suffix(".json"), json.dumps(manifest, indent=1).encode())


def read_evidence(path: Path, probe: str, key: str) -> Arrays | None:
    """The arrays that belong to `key`, or None where there are none that are whole and its own."""
    try:
        manifest = json.loads(path.with_suffix(".json").read_bytes())
        found = (manifest["format"], manifest["probe"], manifest["run"])
        if found != (FORMAT, probe, key) or manifest["sha256"] != sha256_of(path):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
