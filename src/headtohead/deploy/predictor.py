"""Images → classes and calibrated probabilities, by one run of a study or all seeds of a head."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headtohead.core.errors import UsageError
from headtohead.deploy.answers import Answer, answer_of
from headtohead.deploy.image_files import Pixels, Read, pixels_of, read_all
from headtohead.deploy.runs import Member
from headtohead.stats.metrics import probabilities
from headtohead.store.ledger import Ledger

if TYPE_CHECKING:
    import torch

    from headtohead.deploy.explain import Explanation
    from headtohead.heads.classifier import Classifier

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictor:
    """Models of one study, ready to predict. `members` of more than one are averaged.

    `classes_` are the names in the order of the columns of `predict_proba`, as scikit-learn has it.
    """

    classes_: tuple[str, ...]
    image_size: int
    resize: str
    members: tuple[Member, ...]

    @classmethod
    def of(cls, ledger: Ledger, members: tuple[Member, ...]) -> "Predictor":
        """For the images of the ledger's study."""
        pictures = ledger.file.study.pictures
        return cls(ledger.file.classes, pictures.image_size, pictures.resize, members)

    @property
    def told(self) -> str:
        """Which models answer and how their confidence is scaled, in words."""
        told = "; ".join(member.told for member in self.members)
        few = len(self.members) == 1
        return told if few else f"mean of {len(self.members)} probabilities: {told}"

    def pixels(self, images: Iterable[Any]) -> Pixels:
        """(n, side, side, 3) uint8 of paths, PIL images or arrays, as the models were trained on.

        Raises DataError and UsageError as `headtohead.deploy.image_files.pixels_of` does.
        """
        if isinstance(images, str | Path):
            raise UsageError(f"give a list of images; received one path, {str(images)!r}.")
        rows = [pixels_of(image, side=self.image_size, method=self.resize) for image in images]
        return np.stack(rows) if rows else np.empty((0, self.image_size, self.image_size, 3), "u1")

    def predict(self, images: Iterable[Any]) -> NDArray[np.str_]:
        """The class of each image; raises as `pixels` does."""
        found = self.predict_proba(images)
        return np.asarray(np.array(self.classes_)[found.argmax(axis=1)], np.str_)

    def predict_proba(self, images: Iterable[Any]) -> Floats:
        """(n, K) calibrated probabilities, columns as `classes_`; raises as `pixels` does."""
        return self.of_pixels(self.pixels(images))

    def explain(self, images: Iterable[Any]) -> "list[Explanation]":
        """Where the first of the models looks on each image; raises as `pixels` does."""
        from headtohead.deploy.explain import explanations

        return explanations(self.members[0], self.classes_, self.pixels(images))

    def of_pixels(self, pixels: Pixels) -> Floats:
        """(n, K) calibrated probabilities of prepared images (n, side, side, 3) uint8."""
        if not len(pixels):
            return np.empty((0, len(self.classes_)))
        found = logits_of_each([member.model for member in self.members], pixels)
        each = [
            probabilities(logits / member.temperature)
            for member, logits in zip(self.members, found, strict=True)
        ]
        return np.asarray(np.mean(each, axis=0), np.float64)

    def answers(
        self,
        paths: Sequence[Path],
        *,
        top: int = 1,
        on_unreadable: Callable[[Read], None],
        progress: Callable[[str, int, int], None] = lambda *_: None,
        workers: int | None = None,
    ) -> Iterator[Answer]:
        """An answer for each file that can be read, in order, some at a time in memory.

        The others go to `on_unreadable`. Raises as `headtohead.deploy.image_files.read_all` does.
        """
        done = 0
        for reads in read_all(paths, side=self.image_size, method=self.resize, workers=workers):
            usable = [(read.path, read.pixels) for read in reads if read.pixels is not None]
            for read in reads:
                if read.pixels is None:
                    on_unreadable(read)
            if usable:
                found = self.of_pixels(np.stack([pixels for _, pixels in usable]))
                for (path, _), row in zip(usable, found, strict=True):
                    yield answer_of(path, row, self.classes_, top)
            done += len(reads)
            progress("predicting", done, len(paths))


def logits_of_each(models: Sequence["Classifier"], pixels: Pixels) -> list[NDArray[np.float32]]:
    """(n, side, side, 3) uint8 → (n, outputs) logits of each model, in evaluation mode.

    A frozen backbone of all sees each image once. Few images at a time are in memory as maps.
    """
    import torch

    from headtohead.backbones.frozen import are_one
    from headtohead.probes.seen import features_of, logits_of
    from headtohead.training.device import tf32
    from headtohead.training.inference import BATCH

    found: list[list[NDArray[np.float32]]] = [[] for _ in models]
    shared, device = are_one([model.backbone for model in models]), device_of(models[0])
    for first in range(0, len(pixels), BATCH):
        part = pixels[first : first + BATCH]
        with torch.inference_mode(), tf32(allowed=False):
            maps = features_of(models[0], part, device, shared=False) if shared else None
            for model, parts in zip(models, found, strict=True):
                if maps is not None:
                    logits = model.eval().head(maps)
                else:
                    logits = logits_of(model, part, device, shared=False)
                parts.append(logits.cpu().numpy())
    return [np.concatenate(parts) for parts in found]


def device_of(model: "Classifier") -> "torch.device":
    """Where the model lies; the CPU for one without any number."""
    import torch

    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device
