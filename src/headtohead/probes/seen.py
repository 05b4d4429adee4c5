"""What a model says of images that probes show to every run: a frozen backbone sees them once.

Its feature maps of them stay in the process, for all heads and seeds: on a frozen backbone a probe
then costs what its head costs. A backbone that is trained is another one in every run.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from headtohead.heads.classifier import Classifier


MOST_BYTES = 2**29
"""Maps that a process keeps; where they are more, all are dropped and computed again."""


def features_of(
    model: "Classifier", images: NDArray[np.uint8], device: "torch.device", *, shared: bool = True
) -> "Tensor":
    """The backbone's maps (n, C, h, w) of `images` (n, H, W, 3), without gradients.

    `shared`: other runs will ask for the same images.
    """
    import torch

    from headtohead.backbones.frozen import Frozen
    from headtohead.training.evaluate import BATCH
    from headtohead.training.inputs import Pictures

    backbone = model.eval().backbone

    def compute() -> "Tensor":
        pictures = Pictures(np.ascontiguousarray(images), np.zeros(len(images), np.int64), device)
        with torch.no_grad():
            parts = torch.split(pictures.rows(np.arange(len(images))), BATCH)
            return torch.cat([backbone(pictures.batch(part)[0]) for part in parts])

    if not (shared and isinstance(backbone, Frozen)):
        return compute()
    digest = hashlib.sha256(repr((images.shape, str(device))).encode())
    digest.update(np.ascontiguousarray(images).data)
    key = digest.hexdigest()
    if key not in backbone.seen:
        found = compute()
        if sum(kept.nbytes for kept in backbone.seen.values()) + found.nbytes > MOST_BYTES:
            backbone.seen.clear()
        backbone.seen[key] = found
    return backbone.seen[key]


def logits_of(
    model: "Classifier", images: NDArray[np.uint8], device: "torch.device", *, shared: bool = True
) -> "Tensor":
    """(n, outputs) logits of `images` (n, H, W, 3) in evaluation mode; see `features_of`."""
    import torch

    from headtohead.training.evaluate import BATCH

    with torch.no_grad():
        maps = features_of(model, images, device, shared=shared)
        return torch.cat([model.head(part) for part in torch.split(maps, BATCH)])
