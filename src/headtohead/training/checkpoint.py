"""Weights and optimiser state on disk: safetensors, atomic, checked when read."""

import hashlib
import json
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from headtohead.core.files import write_atomic

FORMAT = "1"


class DamagedCheckpointError(Exception):
    """The file is cut short, altered or of another format."""


def save(path: Path, tensors: dict[str, Tensor], **metadata: int | str | None) -> None:
    """Write tensors with JSON metadata and a checksum over both; whole or not at all."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps(metadata)
    header = {"format": FORMAT, "sha256": _checksum(tensors, text), "metadata": text}
    write_atomic(path, safetensors.torch.save(tensors, header))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, int | str | None]]:
    """Tensors, on the CPU, and metadata. Raises DamagedCheckpointError or FileNotFoundError."""
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        with safetensors.safe_open(path, framework="pt") as handle:
            header = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise DamagedCheckpointError(f"{path}: {error}") from error
    text = header.get("metadata", "")
    if header.get("format") != FORMAT or header.get("sha256") != _checksum(tensors, text):
        raise DamagedCheckpointError(f"{path}: its checksum or format does not match")
    return tensors, json.loads(text)


def _checksum(tensors: dict[str, Tensor], metadata: str) -> str:
    digest = hashlib.sha256(metadata.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        digest.update(value.reshape(-1).numpy().tobytes())
    return digest.hexdigest()
