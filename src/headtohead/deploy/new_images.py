"""The images that a finished study is evaluated on, by the study's own classes and metric."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headtohead.analysis.pairs import answers_scored
from headtohead.core.errors import DataError
from headtohead.core.text import FEW, composed, counted, names, printable
from headtohead.data.feature_cache import key_of
from headtohead.data.long_tasks import Progress
from headtohead.data.prepared import PreparedSet
from headtohead.deploy.overlap import Overlap
from headtohead.deploy.predictor import device_of
from headtohead.stats.metrics import Evaluation, evaluate
from headtohead.stats.over_images import Answers
from headtohead.store.ledger import StudyFile

if TYPE_CHECKING:
    from headtohead.heads.classifier import Classifier


@dataclass(frozen=True)
class NewImages:
    """Images that every run is evaluated on: rows of the prepared set, with the study's labels."""

    file: StudyFile
    prepared: PreparedSet
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def largest_class(self) -> int:
        """Its number; the first of several."""
        return int(np.argmax(np.bincount(self.labels)))

    def without(self, known: Overlap) -> "NewImages":
        """Those that the study does not have."""
        new = ~np.isin(self.rows, known.rows)
        return dataclasses.replace(self, rows=self.rows[new], labels=self.labels[new])

    def scores(self, logits: NDArray[np.float32]) -> Evaluation:
        """What these logits of all of them score."""
        return evaluate(logits, self.labels, len(self.file.classes))

    def answers(self, predicted: NDArray[np.int64]) -> Answers:
        """As the study's metric counts them."""
        metric = self.file.study.verdict.metric
        return answers_scored(self.rows, self.labels, predicted, len(self.file.classes), metric)

    def logits(
        self, model: "Classifier", seed: int, cache: Path, progress: Progress
    ) -> NDArray[np.float32]:
        """The model's, on what the study evaluates its own: images, or features.

        A frozen backbone sees each image once, for all runs that share its weights.
        """
        from headtohead.training.feature_extraction import CachedFeatures
        from headtohead.training.inference import infer
        from headtohead.training.inputs import Inputs, Pictures

        device, study, prepared = device_of(model), self.file.study, self.prepared
        inputs: Inputs
        if study.backbone.frozen:
            key = key_of(study, prepared.digest, seed=seed, device=device.type)
            plain = dataclasses.replace(key, views=1)
            cached = CachedFeatures(plain, study.backbone, cache, seed, device)
            inputs = cached.of_prepared(
                prepared, lambda done, total, _: progress("computing features", done, total)
            )
        else:
            inputs = Pictures(prepared.images, prepared.labels, device)
        logits, _ = infer(model, inputs, self.rows)
        return np.asarray(logits.cpu().numpy(), np.float32)


def _folded(name: str) -> str:
    return composed(name).casefold()


def matched(
    prepared: PreparedSet, classes: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Rows whose class is one of the study's, their labels there, and the differences, told.

    Names are compared as they are, then without regard to case and to how accents are written
    (macOS decomposes them). Raises DataError for none.
    """
    if prepared.classes == ("",):
        raise DataError(
            f"the new images lie in no class folders: put them into folders named like the study's "
            f"classes ({', '.join(map(printable, classes))}); `headtohead predict` needs no labels."
        )
    folded = {_folded(name): index for index, name in enumerate(classes)}
    place = {
        number: classes.index(name) if name in classes else folded.get(_folded(name))
        for number, name in enumerate(prepared.classes)
    }
    known = [number for number, index in place.items() if index is not None]
    theirs, ours = (", ".join(map(printable, them)) for them in (prepared.classes, classes))
    if not known:
        raise DataError(
            f"none of the new images' classes ({theirs or 'none'}) is one of the study's ({ours}): "
            f"name their folders like the study's classes."
        )
    rows = np.flatnonzero(np.isin(prepared.labels, known)).astype(np.int64)
    labels = np.array([place[int(label)] for label in prepared.labels[rows]], np.int64)
    if not len(rows):
        raise DataError(f"no image of the study's classes ({ours}) could be read.")
    return rows, labels, list(_differences(prepared, classes, place))


def _differences(
    prepared: PreparedSet, classes: tuple[str, ...], place: Mapping[int, int | None]
) -> Iterator[str]:
    """Where their classes are not the study's; `place` has theirs → the study's, or None."""
    for number, index in place.items():
        name = prepared.classes[number]
        if index is not None and composed(name) != composed(classes[index]):
            yield f"Class {printable(name)} is taken as {printable(classes[index])}."
    if others := [number for number, index in place.items() if index is None]:
        count = int(np.isin(prepared.labels, others).sum())
        told = _classes([prepared.classes[number] for number in others])
        yield f"Left out: {counted(count, 'image')} of {told}, which the study has not."
    if missing := set(range(len(classes))) - set(place.values()):
        yield f"No image of {_classes([classes[index] for index in sorted(missing)])}."


def _classes(found: Sequence[str]) -> str:
    """`class a`, `2 classes (a and b)`; of many how many."""
    shown = list(map(printable, found))
    if len(shown) == 1:
        return f"class {shown[0]}"
    return f"{len(shown)} classes" + (f" ({names(shown)})" if len(shown) <= FEW else "")
