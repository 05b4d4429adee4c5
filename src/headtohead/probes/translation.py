"""The translation probe: what a finished model predicts as its window moves over real content."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from headtohead.probes.base import Context, Need
from headtohead.probes.probe_images import ProbeImages
from headtohead.probes.seen import logits_of
from headtohead.store.evidence import Arrays

if TYPE_CHECKING:
    import torch

    from headtohead.backbones.base import Backbone
    from headtohead.heads.classifier import Classifier

PHASES = 8
"""Steps through a stride, at most: of a large one every so many pixels are looked at."""

FEWER = 24
"""Images that are moved on a frozen backbone, whose maps of all windows are kept for all heads."""

FIELDS = ("rows", "labels", "shifts", "fine", "predicted")


@dataclass(frozen=True)
class Translation:
    """One run's predictions at the best epoch of the n probe images, in s windows.

    `rows` and `labels` are (n,) int64. `shifts` is (s, 2) int64, the window's place in pixels
    (down, right) from the centre crop, which is the first: (0, 0). `fine` is (s,) bool: the
    small steps across a stride of the backbone, of single pixels where it is at most PHASES; the
    others are the large ones. `predicted` is (s, n) int64 classes.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    shifts: NDArray[np.int64]
    fine: NDArray[np.bool_]
    predicted: NDArray[np.int64]

    @property
    def steps(self) -> list[int]:
        """How many pixels from the centre the small steps lie, ascending."""
        return steps_of(self.shifts, self.fine)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(s,) shares of images that are classified correctly in each window."""
        return np.asarray((self.predicted == self.labels).mean(axis=1), np.float64)

    @property
    def agreement(self) -> NDArray[np.float64]:
        """(s,) shares of images that are named as in the centre crop."""
        return np.asarray((self.predicted == self.predicted[0]).mean(axis=1), np.float64)

    @property
    def steadiness(self) -> NDArray[np.float64]:
        """(s,) agreements with the centre crop beyond chance: Cohen's kappa, at most 1.

        0 for a model that names one class whatever it sees: it has nothing to hold on to (Cohen
        1960, Educ. Psychol. Meas. 20). Chance is both windows' shares of each class, multiplied.
        """
        classes = np.arange(int(self.predicted.max(initial=0)) + 1)
        shares = (self.predicted[:, :, None] == classes).mean(axis=1)
        chance = shares @ shares[0]
        beyond = np.divide(
            self.agreement - chance, 1 - chance, out=np.zeros_like(chance), where=chance < 1
        )
        return np.asarray(beyond, np.float64)


@final
class TranslationProbe:
    """Predictions at the best epoch in every window of the wide images."""

    name = "translation"
    needs: frozenset[Need] = frozenset({"best", "images"})

    def collect(self, context: Context) -> Arrays:
        """Predictions of the best epoch's weights."""
        model = context.best.model
        return self.pack(collect_translation(model, context.shown, context.device))

    @staticmethod
    def pack(found: Translation) -> Arrays:
        """As they are kept, by the names of the fields."""
        return {name: getattr(found, name) for name in FIELDS}

    def describe(self, arrays: Arrays) -> Translation:
        """The inverse of `pack`."""
        return Translation(*(arrays[name] for name in FIELDS))


TRANSLATION = TranslationProbe()


def windows(stride: int, margin: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Shifts (s, 2) in pixels (down, right), the centre first, and which are fine ones (s,).

    Fine: 1, 2, … `stride` pixels right, then down: through PHASES phases of the backbone's grid at
    most.
    Large: `margin` pixels, as far as the wide images reach, in eight directions.
    """
    steps = sorted({math.ceil(k * stride / PHASES) for k in range(1, PHASES + 1)})
    fine = [(0, k) for k in steps] + [(k, 0) for k in steps]
    ways = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]
    large = [(down * margin, right * margin) for down, right in ways]
    shifts = np.array([(0, 0), *fine, *large], np.int64)
    return shifts, np.arange(len(shifts)) <= len(fine)


def steps_of(shifts: NDArray[np.int64], fine: NDArray[np.bool_]) -> list[int]:
    """How many pixels from the centre the `fine` ones of the `shifts` lie, ascending."""
    found = np.unique(np.abs(shifts[fine]).max(axis=1, initial=0))
    return [int(step) for step in found if step]


def whole_stride(backbone: "Backbone") -> int:
    """The backbone's stride in whole pixels, at least one: windows move by whole pixels."""
    return max(1, math.ceil(backbone.stride))


@dataclass(frozen=True)
class Windows:
    """All images in one window, then in the next: cut when they are looked at.

    `wide` (n, W, W, 3), `side` pixels a window, `corners` (s, 2) its first row and column.
    """

    wide: NDArray[np.uint8]
    side: int
    corners: NDArray[np.int64]

    def __len__(self) -> int:
        """Windows of all images."""
        return len(self.corners) * len(self.wide)

    def __getitem__(self, part: slice) -> NDArray[np.uint8]:
        """(n, side, side, 3) of them."""
        numbers = np.arange(len(self))[part]
        corners, images = np.divmod(numbers, len(self.wide))
        cut = np.empty((len(numbers), self.side, self.side, 3), np.uint8)
        for into, (top, left), image in zip(cut, self.corners[corners], images, strict=True):
            into[:] = self.wide[image, top : top + self.side, left : left + self.side]
        return cut


def collect_translation(
    model: "Classifier", pictures: ProbeImages, device: "torch.device"
) -> Translation:
    """Predictions of `model` on `device` in every window of the wide images."""
    from headtohead.training.inference import predicted

    every = pictures
    if model.is_frozen:
        pictures = pictures.first(FEWER)
    side = pictures.pixels.shape[1]
    margin = (pictures.wide.shape[1] - side) // 2
    shifts, fine = windows(whole_stride(model.backbone), margin)
    cut = Windows(pictures.wide, side, shifts + margin)
    name = f"{every.digest} windows of {len(pictures.rows)}"
    said = predicted(logits_of(model, cut, device, name=name)).cpu().numpy()
    of_each = said.reshape(len(shifts), len(pictures.rows))
    return Translation(pictures.rows, pictures.labels, shifts, fine, of_each)
