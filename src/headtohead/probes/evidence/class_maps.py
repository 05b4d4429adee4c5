"""Where a run's model looks: class maps, and what taking away or adding those places does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headtohead.probes.evidence.files import Arrays, evidence_path, read_evidence, write_evidence

PROBE = "class_maps"
CURVES = ("random", "gradcam", "exact")


@dataclass(frozen=True)
class Curves:
    """The true class's probability as pixels go or come in one order of importance.

    `deletion`, `insertion`: (m, steps + 1) float32 in [0, 1], of the first m probe pictures; in
    column k a share k / steps of the pixels, the most important first, is taken away from the
    picture (deletion) or has come back to its blurred copy (insertion).
    """

    deletion: NDArray[np.float32]
    insertion: NDArray[np.float32]


@dataclass(frozen=True)
class ClassMaps:
    """One run's maps at the best epoch of the n probe pictures, each of its true class.

    `rows` and `labels` are (n,) int64, in the order of `ProbePictures`. `gradcam` is
    (n, h, w) float32: Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) of the true class's
    logit (with one logit, of its negative for class 0) at the feature maps, times h · w and
    before its ReLU, so that it has the unit of `exact`: logits. `exact` is the head's own map,
    whose mean is that logit; None for heads that have none, and where the mean was found to be
    another: `unfit` says why. Cell i's centre lies at pixel
    `first` + i · `stride`, in both directions, counted from the centre of pixel 0.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    first: float
    stride: float
    gradcam: NDArray[np.float32]
    exact: NDArray[np.float32] | None
    random_curves: Curves
    gradcam_curves: Curves
    exact_curves: Curves | None
    unfit: str | None = None


def class_maps_path(out: Path, head: str, seed: int) -> Path:
    """Where a run's class maps are kept."""
    return evidence_path(out, PROBE, head, seed)


def write_class_maps(path: Path, key: str, maps: ClassMaps) -> None:
    """Write maps of the run `key`, in float16 of their largest value. Raises StorageError."""
    arrays: Arrays = {
        "rows": maps.rows,
        "labels": maps.labels,
        "geometry": np.array([maps.first, maps.stride]),
    }
    for name in ("gradcam", "exact"):
        values: NDArray[np.float32] | None = getattr(maps, name)
        if values is not None:
            scale = np.float32(max(float(np.abs(values).max(initial=0)), 1e-30))
            arrays[name] = (values / scale).astype(np.float16)
            arrays[f"{name}_scale"] = np.array(scale)
    for name in CURVES:
        curves: Curves | None = getattr(maps, f"{name}_curves")
        if curves is not None:
            arrays[f"{name}_deletion"] = curves.deletion
            arrays[f"{name}_insertion"] = curves.insertion
    if maps.unfit is not None:
        arrays["unfit"] = np.array(maps.unfit, np.str_)
    write_evidence(path, PROBE, key, arrays)


def read_class_maps(path: Path, key: str) -> ClassMaps | None:
    """Maps of the run `key`, or None where there are none that are whole and its own."""
    arrays = read_evidence(path, PROBE, key)
    if arrays is None:
        return None
    first, stride = (float(value) for value in arrays["geometry"])
    has_exact = "exact" in arrays
    return ClassMaps(
        rows=arrays["rows"],
        labels=arrays["labels"],
        first=first,
        stride=stride,
        gradcam=_map(arrays, "gradcam"),
        exact=_map(arrays, "exact") if has_exact else None,
        random_curves=_curves(arrays, "random"),
        gradcam_curves=_curves(arrays, "gradcam"),
        exact_curves=_curves(arrays, "exact") if has_exact else None,
        unfit=str(arrays["unfit"]) if "unfit" in arrays else None,
    )


def _map(arrays: Arrays, name: str) -> NDArray[np.float32]:
    return np.asarray(arrays[name].astype(np.float32) * arrays[f"{name}_scale"], np.float32)


def _curves(arrays: Arrays, name: str) -> Curves:
    return Curves(arrays[f"{name}_deletion"], arrays[f"{name}_insertion"])
