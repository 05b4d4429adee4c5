"""From a ledger to a run's plan, and to its model with the weights of an epoch: the only way.

Workers train by these plans; probes, predictions, explanations and exports load models here.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from headtohead.backbones.frozen import with_checkpointing, with_frozen_norms
from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.core.errors import reason_of
from headtohead.heads.classifier import Classifier, build_classifier
from headtohead.store.ledger import Ledger
from headtohead.store.records import BEST, LAST
from headtohead.training import checkpoint
from headtohead.training.acceleration import fastest
from headtohead.training.device import lay_out

Epoch: TypeAlias = Literal["best", "last"]

_HEAD = "head."

FILES: dict[Epoch, str] = {"best": BEST, "last": LAST}


@dataclass(frozen=True)
class RunPlan:
    """All that determines a run, apart from the images.

    `after` is the folder of the run whose backbone this one starts from; None where it has its own.
    `source` is the SHA-256 of the code of a head of the user's own.
    """

    key: str
    head: str
    seed: int
    head_spec: HeadSpec
    backbone: BackboneSpec
    recipe: RecipeSpec
    image_size: int
    classes: int
    after: Path | None = None
    source: str | None = None

    def build(self, *, lent: bool = False) -> Classifier:
        """The model before its first step, by the fastest kernels that are there.

        Where `lent`, a frozen backbone is the process's one, for all runs: nothing may change it.
        """
        model = self._built(lent=lent)
        if self.recipe.checkpointing and not model.is_frozen:
            model.backbone = with_checkpointing(model.backbone)
        model.backbone = fastest(model.backbone)
        return model

    def to_train(self, device: torch.device) -> Classifier:
        """The model before its first step, on the device and laid out as steps are fastest.

        A frozen backbone is the process's one, as it is.
        """
        model = self.build(lent=True).to(device)
        trained = model.head if model.is_frozen else model
        lay_out(trained, torch.channels_last)
        return model

    def build_plain(self) -> Classifier:
        """The same model by PyTorch's own kernels alone."""
        return self._built(lent=False)

    def _built(self, *, lent: bool) -> Classifier:
        model = build_classifier(
            self.backbone,
            self.head,
            self.head_spec,
            image_size=self.image_size,
            classes=self.classes,
            seed=self.seed,
            lent=lent,
        )
        if self.recipe.batch_norm == "frozen" and not model.is_frozen:
            model.backbone = with_frozen_norms(model.backbone)
        return model

    def epochs(self, model: Classifier) -> int:
        """How many epochs the run has: one where the head is computed, not trained."""
        return 1 if model.head.closed_form else self.recipe.epochs


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
    plan: RunPlan,
    folder: Path,
    epoch: Epoch,
    device: torch.device,
    *,
    plain: bool = False,
    lent: bool = False,
) -> Finished:
    """The model of the finished run of `plan` in `folder`, by the weights of an epoch.

    Computed by the fastest kernels that are there; where `plain`, by PyTorch's own alone, which
    other programs can read. `lent` is that of `RunPlan.build`. Raises FileNotFoundError where the
    weights are gone, and DamagedCheckpointError where they are damaged, of another run, or do not
    fit the model.
    """
    path = folder / FILES[epoch]
    weights, saved = checkpoint.read(path)
    if saved.get("key") != plan.key:
        raise checkpoint.DamagedCheckpointError(
            f"{path}: its weights are those of another run (key {str(saved.get('key'))[:8]!r}, "
            f"expected {plan.key[:8]!r})"
        )
    lent = lent and plan.backbone.frozen and all(name.startswith(_HEAD) for name in weights)
    model = plan.build(lent=True) if lent else untrained(plan, weights)
    try:
        if lent:
            model.head.load_state_dict(checkpoint.within(weights, _HEAD))
        else:
            model.load_state_dict(weights)
    except RuntimeError as error:
        raise checkpoint.DamagedCheckpointError(
            f"{path}: its tensors do not fit the model ({reason_of(error, 160)})"
        ) from error
    if not plain:
        model.backbone = fastest(model.backbone)
    return Finished(model.to(device).eval(), int(saved["epoch"] or 0))


def untrained(plan: RunPlan, weights: dict[str, Tensor]) -> Classifier:
    """The model that `weights` are loaded into.

    Where they have the backbone's, its first weights are not read: their file may lie elsewhere.
    """
    if any(name.startswith("backbone.") for name in weights):
        spec = plan.backbone.model_copy(update={"weights": None, "weights_sha256": None})
        plan = replace(plan, backbone=spec)
    return plan.build_plain()
