"""Weights and optimiser state on disk: safetensors, atomic, checked when read."""

import hashlib
import json
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from headtohead.core.files import see_readable, write_atomic

FORMAT = "1"


class DamagedCheckpointError(Exception):
    """The file is cut short, altered or of another format."""


def save(
    path: Path, tensors: dict[str, Tensor], *, sync: bool = True, **metadata: int | str | None
) -> None:
    """Write tensors with JSON metadata and a checksum over both; whole or not at all.

    `sync` is that of `write_atomic`. A tensor that has several names, as tied weights have, is
    written once.
    """
    tied = _tied(tensors)
    text = json.dumps(metadata)
    extra = {"tied": json.dumps(tied)} if tied else {}
    tensors = _apart({name: value for name, value in tensors.items() if name not in tied})
    checksum = _checksum(tensors, text + extra.get("tied", ""))
    header = {"format": FORMAT, "sha256": checksum, "metadata": text, **extra}
    write_atomic(path, safetensors.torch.save(tensors, header), sync=sync)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, int | str | None]]:
    """Tensors, on the CPU, and metadata.

    Raises DamagedCheckpointError, FileNotFoundError, and StorageError where it may not be read.
    """
    see_readable(path)
    try:
        with safetensors.safe_open(path, framework="pt") as handle:
            header = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise DamagedCheckpointError(f"{path}: {error}") from error
    text = header.get("metadata", "")
    tied = header.get("tied", "")
    if header.get("format") != FORMAT or header.get("sha256") != _checksum(tensors, text + tied):
        raise DamagedCheckpointError(f"{path}: its checksum or format does not match")
    if tied:
        tensors |= {name: tensors[first] for name, first in json.loads(tied).items()}
    return tensors, json.loads(text)


def within(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix`, by what follows it."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _tied(tensors: dict[str, Tensor]) -> dict[str, str]:
    """Name → the earlier name of the very same tensor, for those that have one."""
    first: dict[tuple[object, ...], str] = {}
    tied = {}
    for name, value in tensors.items():
        if value.numel():
            place = (value.device, value.data_ptr(), value.dtype, value.shape, value.stride())
            if (known := first.setdefault(place, name)) != name:
                tied[name] = known
    return tied


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, each in memory of its own: the file format takes no two that share some."""
    seen: set[int] = set()
    own = {}
    for name, value in tensors.items():
        alone = value.detach().cpu().contiguous()
        storage = alone.untyped_storage()
        if storage.nbytes() != alone.nbytes or storage.data_ptr() in seen:
            alone = alone.clone()
        seen.add(storage.data_ptr())
        own[name] = alone
    return own


def _checksum(tensors: dict[str, Tensor], metadata: str) -> str:
    digest = hashlib.sha256(metadata.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        digest.update(value.reshape(-1).numpy().tobytes())
    return digest.hexdigest()
