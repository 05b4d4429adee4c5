"""How long a training step takes: one session for all heads, taken in turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headtohead.core.files import digest_of
from headtohead.probes.evidence.files import read_evidence, write_evidence

PROBE = "speed"


@dataclass(frozen=True)
class Speed:
    """Seconds of a training step of h heads in r rounds, by one worker with one thread.

    In each round every head takes some steps in turn, so that a busy machine slows all alike.
    `wall` and `cpu` are (h, r) float64: the round's median wall-clock and processor seconds per
    step of `batch_size[i]` pictures, on `device`.
    """

    heads: tuple[str, ...]
    batch_size: tuple[int, ...]
    device: str
    wall: NDArray[np.float64]
    cpu: NDArray[np.float64]


def speed_path(out: Path) -> Path:
    """Where the study's session is kept."""
    return out / "evidence" / PROBE / "session.npz"


def speed_key(run_keys: Sequence[str]) -> str:
    """The key of a session over the heads whose first seeds have `run_keys`."""
    return digest_of(list(run_keys))


def write_speed(path: Path, key: str, speed: Speed) -> None:
    """Write the session `key`. Raises StorageError."""
    arrays = {
        "heads": np.array(speed.heads, np.str_),
        "batch_size": np.array(speed.batch_size, np.int64),
        "device": np.array(speed.device, np.str_),
        "wall": speed.wall,
        "cpu": speed.cpu,
    }
    write_evidence(path, PROBE, key, arrays)


def read_speed(path: Path, key: str) -> Speed | None:
    """The session `key`, or None where there is none that is whole and of these heads."""
    arrays = read_evidence(path, PROBE, key)
    if arrays is None:
        return None
    return Speed(
        heads=tuple(str(head) for head in arrays["heads"]),
        batch_size=tuple(int(size) for size in arrays["batch_size"]),
        device=str(arrays["device"]),
        wall=arrays["wall"],
        cpu=arrays["cpu"],
    )
