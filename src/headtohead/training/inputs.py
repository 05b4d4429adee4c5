"""Pictures as batches: a prepared set's array on the device that trains on it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Pictures:
    """All pictures of a study, as uint8, ready to be drawn from.

    On the CPU the array stays memory-mapped and is shared with every other worker; on a GPU it is
    copied there once, so that no step waits for the host.
    """

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], device: torch.device
    ) -> None:
        """`images` is (N, H, W, 3), `labels` (N,), which is kept at hand as it is, too."""
        self.device = device
        self.labels = labels
        self._images = torch.from_numpy(images).to(device)
        self._labels = torch.from_numpy(labels).to(device)

    def __len__(self) -> int:
        return len(self._labels)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (n, 3, H, W) float32 in [0, 1], channels last in memory, and labels (n,)."""
        pixels = torch.index_select(self._images, 0, rows)
        pictures = pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255)
        return pictures, torch.index_select(self._labels, 0, rows)

    def rows(self, rows: NDArray[np.int64]) -> Tensor:
        """Row numbers as a tensor on the device."""
        return torch.from_numpy(np.ascontiguousarray(rows)).to(self.device)
