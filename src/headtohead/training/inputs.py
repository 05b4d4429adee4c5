"""What a model is trained on, in batches: a prepared set's images, or features computed of them."""

import os
import warnings
from abc import ABC, abstractmethod
from copy import copy
from typing import Any, Protocol, Self, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headtohead.backbones.base import Backbone
from headtohead.config.recipe import AugmentSpec
from headtohead.core.limits import memory_of
from headtohead.heads.base import Head, Pool, PooledHead
from headtohead.heads.pools import of_stored
from headtohead.training.augment import Augmentation, mirrored
from headtohead.training.device import free_cached_memory

MOST_OF_A_GPU = 0.5
"""Of a GPU's free memory: images or features that take more stay on the host."""

LEAST_POOLED, SHARE_POOLED = 2**29, 8
"""Bytes that a process keeps of pooled maps: so many, or one core's part of the memory divided by
this, where that is more."""

POOLED_AT_ONCE = 64
"""Rows that are pooled at once."""


class Inputs(Protocol):
    """All images of a study, or their features, ready to be drawn from.

    `labels` (N,) are at hand as they are; all else is on `device`. `capturable` says whether a
    batch can be drawn within a CUDA graph.
    """

    device: torch.device
    labels: NDArray[np.int64]
    capturable: bool

    def __len__(self) -> int:
        """Images."""

    def rows(self, rows: NDArray[np.int64]) -> Tensor:
        """Row numbers as a tensor on the device."""

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (n, …) float32 and labels (n,) of the rows (n,)."""

    def augmented(self, rows: Tensor, draws: Tensor, by: Augmentation) -> tuple[Tensor, Tensor]:
        """A batch changed as its (n, 7) `draws` say."""

    def for_head(self, head: Head) -> "Inputs":
        """The same images in the form that takes this head the least work, to the same bits."""

    def part(self, rows: NDArray[np.int64]) -> "Inputs":
        """The images of `rows` (n,) alone, copied, numbered from 0."""

    def maps(self, backbone: Backbone, inputs: Tensor) -> Tensor:
        """The feature maps (n, C, h, w) of a batch's inputs, or what is kept in their place."""

    def classify(self, head: Head, maps: Tensor) -> Tensor:
        """What the head says of what `maps` gave: (n, outputs)."""

    def logits(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """What a `Classifier` says of a batch's inputs, (n, outputs)."""


class _Kept(ABC):
    """What is kept of every view of every image, row by row, ready to be drawn from.

    Rows lie view after view. On the CPU the array stays memory-mapped and is shared with every
    other worker. On a GPU it is copied there once, so that no step waits for the host, where it
    takes no more than MOST_OF_A_GPU of its free memory, and is drawn from on the host otherwise.
    """

    def __init__(
        self, kept: Tensor, labels: NDArray[np.int64], device: torch.device, views: int = 1
    ) -> None:
        """`kept` is (views · N, …), view 1 of mirrored images; `labels` (N,) stay at hand, too."""
        self.device = device
        self.labels = labels
        self.capturable = _fits(kept, device)
        self._kept = kept.to(device) if self.capturable else kept
        self._labels = torch.from_numpy(labels).to(device)
        self._views = views

    def __len__(self) -> int:
        return len(self._labels)

    def rows(self, rows: NDArray[np.int64]) -> Tensor:
        """Row numbers as a tensor on the device."""
        return torch.from_numpy(np.ascontiguousarray(rows)).to(self.device)

    def part(self, rows: NDArray[np.int64]) -> Self:
        """What is kept of `rows` alone, in every view, copied."""
        part = copy(self)
        part.labels = self.labels[rows]
        part._labels = self._labels[rows]
        views = self._kept.view(self._views, len(self), *self._kept.shape[1:])
        part._kept = views[:, rows].flatten(0, 1)
        return part

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs of the rows (n,), float32, and labels (n,)."""
        return self._of(rows), torch.index_select(self._labels, 0, rows)

    def classify(self, head: Head, maps: Tensor) -> Tensor:
        """The head's logits of maps."""
        logits: Tensor = head(maps)
        return logits

    @abstractmethod
    def _of(self, rows: Tensor) -> Tensor:
        """The inputs of rows of all views."""


@final
class Pictures(_Kept):
    """All images of a study, kept as uint8."""

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], device: torch.device
    ) -> None:
        """`images` is (N, H, W, 3), `labels` (N,)."""
        super().__init__(without_copy(images), labels, device)

    def _of(self, rows: Tensor) -> Tensor:
        """(n, 3, H, W) in [0, 1], channels last in memory."""
        return _drawn(self._kept, rows).permute(0, 3, 1, 2).to(torch.float32).div_(255)

    def augmented(self, rows: Tensor, draws: Tensor, by: Augmentation) -> tuple[Tensor, Tensor]:
        """A batch, changed as (n, 7) `draws` say."""
        pictures, labels = self.batch(rows)
        return by(pictures, draws), labels

    def for_head(self, head: Head) -> Inputs:
        """The images themselves."""
        return self

    def maps(self, backbone: Backbone, inputs: Tensor) -> Tensor:
        """What the backbone makes of images."""
        features: Tensor = backbone(inputs)
        return features

    def logits(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """What the whole model says."""
        logits: Tensor = model(inputs)
        return logits


class _OfViews(_Kept):
    """What is kept of a frozen backbone's maps of every image: the backbone never runs."""

    def augmented(self, rows: Tensor, draws: Tensor, by: Augmentation) -> tuple[Tensor, Tensor]:
        """A batch, of mirrored images where (n, 7) `draws` say so. Raises ValueError."""
        if by.spec != AugmentSpec(flip=True) or self._views < 2:
            raise ValueError(f"{self._views} views of each image for {by.spec}")
        seen = rows + len(self) * mirrored(draws)
        return self._of(seen), torch.index_select(self._labels, 0, rows)

    def maps(self, backbone: Backbone, inputs: Tensor) -> Tensor:
        """The inputs themselves."""
        return inputs

    def logits(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """What the model's head says."""
        return self.classify(cast(Head, model.get_submodule("head")), inputs)


@final
class Features(_OfViews):
    """The feature maps that a frozen backbone has of all images."""

    def __init__(
        self, features: NDArray[np.generic], labels: NDArray[np.int64], device: torch.device
    ) -> None:
        """`features` is (views, N, h, w, C) float16 or float32; view 1 is of mirrored images."""
        kept = without_copy(features.reshape(-1, *features.shape[2:]))
        super().__init__(kept, labels, device, len(features))
        self._pooled: dict[Pool, Pooled] = {}

    def part(self, rows: NDArray[np.int64]) -> Self:
        """The maps of `rows` alone, in every view, copied."""
        part = super().part(rows)
        part._pooled = {}
        return part

    def for_head(self, head: Head) -> Inputs:
        """What the head's pool makes of the maps, kept for other heads with an equal pool.

        The maps themselves for any other head, on a GPU, whose steps are no shorter for it, and
        where what is pooled would take more than `most_pooled` bytes.
        """
        if not isinstance(head, PooledHead) or self.device.type != "cpu":
            return self
        if head.pool not in self._pooled:
            found = self._pool(head.pool)
            if found is None:
                return self
            if sum(p.nbytes for p in self._pooled.values()) + found.nbytes > most_pooled():
                self._pooled.clear()
            self._pooled[head.pool] = Pooled(found, self.labels, self.device, self._views)
        return self._pooled[head.pool]

    @torch.no_grad()
    def _pool(self, pool: Pool) -> Tensor | None:
        """(views · N, values), in batches of which none depends on another; None if too large."""
        rows = torch.arange(len(self._kept))
        row = of_stored(pool, self._of(rows[:1]))
        if row.nbytes * len(rows) > most_pooled():
            return None
        found = row.new_empty((len(rows), *row.shape[1:]))
        for part in torch.split(rows, POOLED_AT_ONCE):
            found[part] = of_stored(pool, self._of(part))
        return found

    def _of(self, rows: Tensor) -> Tensor:
        """(n, C, h, w), channels last in memory."""
        return _drawn(self._kept, rows).to(torch.float32).permute(0, 3, 1, 2)


@final
class Pooled(_OfViews):
    """What one fixed pool makes of all feature maps, (n, values) a batch."""

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        return self._kept.nbytes

    def for_head(self, head: Head) -> Inputs:
        """Itself: it is of the head's pool already."""
        return self

    def classify(self, head: Head, maps: Tensor) -> Tensor:
        """The logits of a `PooledHead` of what its pool made of maps."""
        return cast(PooledHead, head).classify(maps)

    def _of(self, rows: Tensor) -> Tensor:
        return _drawn(self._kept, rows)


def most_pooled() -> int:
    """Bytes that this process may keep of pooled maps, beside a worker on each other core.

    Of all cores of the machine: a worker may be bound to one of them.
    """
    return max(LEAST_POOLED, (memory_of().usable or 0) // (os.cpu_count() or 1) // SHARE_POOLED)


def without_copy(array: NDArray[Any]) -> Tensor:
    """`array` as a tensor of the same memory, which must not be written to.

    A large array is a file that is mapped for reading alone: to write to the tensor would end the
    process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def _drawn(kept: Tensor, rows: Tensor) -> Tensor:
    """The `rows` of `kept`, on the device of `rows`, wherever `kept` is."""
    return torch.index_select(kept, 0, rows.to(kept.device)).to(rows.device)


def _fits(kept: Tensor, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free_cached_memory(device)  # else it seems taken
    free, _ = torch.cuda.mem_get_info(device)
    return kept.nbytes <= MOST_OF_A_GPU * free
