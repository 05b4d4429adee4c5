"""What a model costs, counted: the same for every seed of a head."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from headtohead.probes.evidence.files import evidence_path, read_evidence, write_evidence

PROBE = "costs"


@dataclass(frozen=True)
class Costs:
    """Multiply-adds and bytes of one model, for one picture.

    `multiply_adds_*`: of convolutions and matrix products in one forward pass, as PyTorch's
    FlopCounterMode counts them, halved; pooling, normalisation and activations are not in them.
    `weight_bytes_*`: of all parameters and batch-norm statistics, in float32.
    `activation_bytes_*`: what one training step keeps of each picture for its backward pass,
    weights left out: every distinct block of memory that autograd saves.
    """

    multiply_adds_backbone: int
    multiply_adds_head: int
    weight_bytes_backbone: int
    weight_bytes_head: int
    activation_bytes_backbone: int
    activation_bytes_head: int

    @property
    def multiply_adds(self) -> int:
        """Of the whole model, for one picture."""
        return self.multiply_adds_backbone + self.multiply_adds_head

    @property
    def weight_bytes(self) -> int:
        """Of the whole model."""
        return self.weight_bytes_backbone + self.weight_bytes_head

    @property
    def activation_bytes(self) -> int:
        """Of the whole model, for one picture in training."""
        return self.activation_bytes_backbone + self.activation_bytes_head


def costs_path(out: Path, head: str, seed: int) -> Path:
    """Where a run's costs are kept."""
    return evidence_path(out, PROBE, head, seed)


def write_costs(path: Path, key: str, costs: Costs) -> None:
    """Write the costs of the run `key`. Raises StorageError."""
    arrays = {field.name: np.array(getattr(costs, field.name), np.int64) for field in fields(costs)}
    write_evidence(path, PROBE, key, arrays)


def read_costs(path: Path, key: str) -> Costs | None:
    """The costs of the run `key`, or None where there are none that are whole and its own."""
    arrays = read_evidence(path, PROBE, key)
    if arrays is None:
        return None
    return Costs(**{field.name: int(arrays[field.name]) for field in fields(Costs)})
