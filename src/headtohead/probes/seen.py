"""What a model says of images that probes show to every run: a frozen backbone sees them once.

Its feature maps of them stay in the process, or in the cache where all processes compute them
together, for all heads and seeds, and so does what a head's fixed pool makes of them: on a frozen
backbone a probe then costs what its head costs. A backbone that is trained is another one in every
run.
"""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from headtohead.backbones.base import Backbone
    from headtohead.backbones.frozen import SeenKey
    from headtohead.heads.base import PooledHead
    from headtohead.heads.classifier import Classifier
    from headtohead.training.feature_extraction import Images


MOST_BYTES = 2**29
"""Maps that a process keeps; where they are more, all are dropped and computed again."""


def features_of(
    model: "Classifier",
    images: "Images",
    device: "torch.device",
    *,
    shared: bool = True,
    name: str | None = None,
) -> "Tensor":
    """The backbone's maps (n, C, h, w) of `images` (n, H, W, 3), without gradients.

    `shared`: other runs will ask for the same images. `name` says which they are, no others having
    it; without one they are known by a digest of all their bytes.
    """
    import torch

    from headtohead.backbones.frozen import Frozen

    backbone = model.eval().backbone
    if not (shared and isinstance(backbone, Frozen)):
        return torch.cat(list(_maps(backbone, images, device)))
    key = (str(device), name or _digest(images[:]))
    if key not in backbone.seen:
        if name and backbone.shared:
            found = backbone.shared(images, name)
            if found.device.type == "cpu":
                return found  # a file that is mapped: it fills no memory
        else:
            found = torch.cat(list(_maps(backbone, images, device)))
        if _bytes(backbone.seen) + found.nbytes > MOST_BYTES:
            backbone.seen.clear()
        backbone.seen[key] = found
    return backbone.seen[key]


def logits_of(
    model: "Classifier",
    images: "Images",
    device: "torch.device",
    *,
    shared: bool = True,
    name: str | None = None,
) -> "Tensor":
    """(n, outputs) logits of `images` (n, H, W, 3) in evaluation mode; see `features_of`."""
    import torch

    from headtohead.backbones.frozen import Frozen
    from headtohead.heads.base import PooledHead
    from headtohead.training.device import tf32
    from headtohead.training.inference import BATCH

    head, backbone = model.eval().head, model.backbone
    with torch.no_grad(), tf32(allowed=False):
        if not (shared and isinstance(backbone, Frozen)):
            return torch.cat([head(maps) for maps in _maps(backbone, images, device)])
        if name and isinstance(head, PooledHead):
            pooled = _pooled(model, head, backbone.seen, images, device, name)
            return torch.cat([head.classify(part) for part in torch.split(pooled, BATCH)])
        maps = features_of(model, images, device, name=name)
        return torch.cat([head(part) for part in torch.split(maps, BATCH)])


def _maps(backbone: "Backbone", images: "Images", device: "torch.device") -> "Iterator[Tensor]":
    """The backbone's maps of a batch of `images` after the other."""
    import torch

    from headtohead.training.device import tf32
    from headtohead.training.inference import BATCH
    from headtohead.training.inputs import Pictures

    for start in range(0, len(images), BATCH):
        part = np.ascontiguousarray(images[start : start + BATCH])
        pictures = Pictures(part, np.zeros(len(part), np.int64), device)
        with torch.no_grad(), tf32(allowed=False):
            maps = backbone(pictures.batch(pictures.rows(np.arange(len(part))))[0])
        yield maps


def _pooled(
    model: "Classifier",
    head: "PooledHead",
    seen: "dict[SeenKey, Tensor]",
    images: "Images",
    device: "torch.device",
    name: str,
) -> "Tensor":
    """What the head's pool makes of shared images, kept for heads with an equal pool if it fits.

    Called where gradients are off.
    """
    import torch

    from headtohead.heads.pools import of_stored
    from headtohead.training.inference import BATCH

    key = (str(device), name, head.pool)
    if key in seen:
        return seen[key]
    maps = features_of(model, images, device, name=name)
    found = torch.cat([of_stored(head.pool, part) for part in torch.split(maps, BATCH)])
    if _bytes(seen) + found.nbytes <= MOST_BYTES:
        seen[key] = found
    return found


def _bytes(seen: "dict[SeenKey, Tensor]") -> int:
    return sum(kept.nbytes for kept in seen.values())


def _digest(images: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()
