"""What a run's model says as the window moves over larger pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headtohead.probes.evidence.files import evidence_path, read_evidence, write_evidence

PROBE = "translation"
FIELDS = ("rows", "labels", "shifts", "fine", "predicted")


@dataclass(frozen=True)
class Translation:
    """One run's predictions at the best epoch of the n probe pictures, in s windows.

    `rows` and `labels` are (n,) int64. `shifts` is (s, 2) int64, the window's place in pixels
    (down, right) from the centre crop, which is the first: (0, 0). `fine` is (s,) bool: the
    steps of single pixels across a stride of the backbone; the others are the large ones.
    `predicted` is (s, n) int64 classes.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    shifts: NDArray[np.int64]
    fine: NDArray[np.bool_]
    predicted: NDArray[np.int64]

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(s,) shares of pictures that are named rightly in each window."""
        return np.asarray((self.predicted == self.labels).mean(axis=1), np.float64)

    @property
    def agreement(self) -> NDArray[np.float64]:
        """(s,) shares of pictures that are named as in the centre crop."""
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


def translation_path(out: Path, head: str, seed: int) -> Path:
    """Where a run's predictions in moved windows are kept."""
    return evidence_path(out, PROBE, head, seed)


def write_translation(path: Path, key: str, translation: Translation) -> None:
    """Write what the run `key` says of moved windows. Raises StorageError."""
    write_evidence(path, PROBE, key, {name: getattr(translation, name) for name in FIELDS})


def read_translation(path: Path, key: str) -> Translation | None:
    """What the run `key` says, or None where there is nothing that is whole and its own."""
    arrays = read_evidence(path, PROBE, key)
    return None if arrays is None else Translation(*(arrays[name] for name in FIELDS))
