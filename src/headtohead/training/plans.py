"""From a ledger to a run's plan, and to its model with the weights of an epoch: the one way.

Workers train by these plans; probes, predictions, explanations and exports load models here.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from headtohead.heads.classifier import Classifier
from headtohead.store.ledger import Ledger
from headtohead.store.records import BEST, LAST
from headtohead.training import checkpoint
from headtohead.training.acceleration import fastest
from headtohead.training.run import RunPlan

Epoch: TypeAlias = Literal["best", "last"]

FILES: dict[Epoch, str] = {"best": BEST, "last": LAST}


class Finished(NamedTuple):
    """A finished run's model with the weights of one epoch, in evaluation mode, on the device."""

    model: Classifier
    epoch: int


def run_plan(ledger: Ledger, head: str, seed: int) -> RunPlan:
    """The plan of a run of the ledger's study, finished or not."""
    study = ledger.file.study
    before = study.heads[head].after
    return RunPlan(
        key=ledger.run_key(head, seed),
        head=head,
        seed=seed,
        head_spec=study.heads[head],
        backbone=study.backbone,
        recipe=study.recipe_for(head),
        image_size=study.pictures.image_size,
        classes=len(ledger.file.classes),
        after=None if before is None else ledger.run_folder(before, seed),
    )


def finished_model(
    plan: RunPlan, folder: Path, epoch: Epoch, device: torch.device, *, plain: bool = False
) -> Finished:
    """The model of the finished run of `plan` in `folder`, by the weights of an epoch.

    Computed by the fastest kernels that are there; where `plain`, by PyTorch's own alone, which
    other programs can read. Raises FileNotFoundError where the weights are gone, and
    DamagedCheckpointError where they are damaged, of another run, or do not fit the model.
    """
    path = folder / FILES[epoch]
    weights, saved = checkpoint.load(path)
    if saved.get("key") != plan.key:
        raise checkpoint.DamagedCheckpointError(
            f"{path}: its weights are those of another run (key {str(saved.get('key'))[:8]!r}, "
            f"expected {plan.key[:8]!r})"
        )
    model = _untrained(plan, weights)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise checkpoint.DamagedCheckpointError(
            f"{path}: its tensors do not fit the model ({' '.join(str(error).split())[:160]})"
        ) from error
    if not plain:
        model.backbone = fastest(model.backbone)
    return Finished(model.to(device).eval(), int(saved["epoch"] or 0))


def _untrained(plan: RunPlan, weights: dict[str, Tensor]) -> Classifier:
    """The model that `weights` are loaded into.

    Where they have the backbone's, its first weights are not read: their file may lie elsewhere.
    """
    if any(name.startswith("backbone.") for name in weights):
        spec = plan.backbone.model_copy(update={"weights": None, "weights_sha256": None})
        plan = replace(plan, backbone=spec)
    return plan.build_plain()
