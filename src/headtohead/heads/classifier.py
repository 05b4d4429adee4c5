"""A backbone wearing a head."""

import torch
from torch import Tensor, nn

from headtohead.backbones.base import Backbone
from headtohead.backbones.frozen import Frozen, frozen_backbone, with_last_stages
from headtohead.backbones.table import backbone_of
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.core.errors import RunError
from headtohead.core.streams import stream_seed
from headtohead.heads.base import Head
from headtohead.heads.normed import NormedHead
from headtohead.heads.table import build_head
from headtohead.store.records import Parameters


class Classifier(nn.Module):
    """Images (N, 3, H, W) in [0, 1] → logits (N, outputs): one for two classes, else one each."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, outputs)."""
        logits: Tensor = self.head(self.backbone(pictures))
        return logits

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of the backbone is trained."""
        return isinstance(self.backbone, Frozen)

    def parameters_count(self) -> Parameters:
        """How many numbers the model holds; `total` counts batch-norm statistics, as Keras does.

        With a head in closed form nothing is trained, the backbone neither.
        """
        counts = {
            name: sum(p.numel() for p in part.parameters())
            for name, part in (("backbone", self.backbone), ("head", self.head))
        }
        own = () if self.head.closed_form else self.parameters()
        trainable = sum(p.numel() for p in own if p.requires_grad)
        return Parameters(**counts, trainable=trainable, total=self._total())

    def _total(self) -> int:
        """Numbers of the whole state, that of a frozen backbone too."""
        frozen = self.backbone.trunk.state_dict() if isinstance(self.backbone, Frozen) else {}
        return sum(v.numel() for state in (self.state_dict(), frozen) for v in state.values())


@torch.no_grad()
def check_outputs(model: Classifier, name: str, *, image_size: int, classes: int) -> None:
    """Raises RunError where the head of candidate `name` gives logits of another shape than asked.

    Two feature maps without content are enough to see it; nothing of the model moves.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    features = torch.zeros(
        2, model.backbone.channels, *model.backbone.map_size(image_size), device=device
    )
    was_training = model.training
    with torch.random.fork_rng(devices=[]):
        found = model.eval().head(features)
    model.train(was_training)
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape != (2, outputs_for(classes)):
        raise RunError(
            f"the head {name} gives {shape} for 2 images of {classes} classes; it must give "
            f"(2, {outputs_for(classes)}): one logit for two classes, else one for each. Fix "
            f"or remove this head."
        )


def outputs_for(classes: int) -> int:
    """Number of logits: one for two classes (the sigmoid is in the loss), else one each."""
    return 1 if classes == 2 else classes


def build_classifier(
    backbone: BackboneSpec,
    name: str,
    head: HeadSpec,
    *,
    image_size: int,
    classes: int,
    seed: int,
    lent: bool = False,
) -> Classifier:
    """The model of candidate `name` as it stands before its first step.

    `backbone` and `head` are those of a study, such as `study.backbone` and `study.heads["gap"]`;
    `image_size` is the side of the images in pixels. For one seed every candidate gets the same
    backbone weights: backbone and head are drawn from streams of their own. Of a frozen backbone
    `lent` takes the process's one, which is not to be changed (see
    `headtohead.backbones.frozen.frozen_backbone`). Raises UsageError for names, options or sizes
    that do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        trunk = _trunk(backbone, stream_seed(seed, "init/backbone"), image_size, lent=lent)
        size = trunk.map_size(image_size)
        torch.manual_seed(stream_seed(seed, "init/head", name))
        top = build_head(
            head.head or name, trunk.channels, size, outputs_for(classes), **head.options
        )
    return Classifier(trunk, NormedHead(top, trunk.channels) if backbone.norm else top)


def _trunk(spec: BackboneSpec, seed: int, image_size: int, *, lent: bool) -> Backbone:
    """The backbone, as much of it to be trained on such images as `spec` says."""
    if spec.frozen:
        return frozen_backbone(spec, seed, lent=lent)
    torch.manual_seed(seed)
    trunk = backbone_of(spec)
    return trunk if spec.stages is None else with_last_stages(trunk, spec.stages, image_size)
