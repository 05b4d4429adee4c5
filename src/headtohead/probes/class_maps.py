"""The class-map probe: where a finished model looks, by one method for all heads."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from headtohead.core.errors import brief
from headtohead.core.streams import stream
from headtohead.probes.base import Context, Need
from headtohead.probes.curves import (
    CURVE_PICTURES,
    FEWER_CURVES,
    Curves,
    Floats32,
    TakenApart,
    of_class,
)
from headtohead.probes.probe_images import ProbeImages
from headtohead.probes.seen import features_of
from headtohead.stats.maps import at_pixels
from headtohead.store.evidence import Arrays

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from headtohead.heads.base import Head
    from headtohead.heads.classifier import Classifier

CURVES = ("random", "gradcam", "exact")
UNFIT = "unfit"
"""Name of the array that says why a head's own maps are left out."""

ROUNDING = 1e-5
"""Of the largest value: what maps in float32 may differ by and be the same."""

CONTRACT = 2e-3
"""Of the largest value: how far the mean of exact maps may lie from the logit; TF32 rounds so."""

TINY = 1e-6
"""In logits: where maps and logits are all but zero."""


@dataclass(frozen=True)
class ClassMaps:
    """One run's maps at the best epoch of the n probe images, each of its true class.

    `rows` and `labels` are (n,) int64, in the order of `ProbeImages`. `gradcam` is
    (n, h, w) float32: Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) of the true class's
    logit (with one logit, of its negative for class 0) at the feature maps, times h · w and
    before its ReLU, so that it has the unit of `exact`: logits. `exact` is the head's own map,
    whose mean is that logit; None for heads that have none, and where the mean was found to be
    another: `unfit` says why. Cell i's centre lies at pixel
    `first` + i · `stride`, in both directions, counted from the centre of pixel 0.
    `apart` is (m,) int64: which of the n images the curves are of, the same for all heads of a
    seed.
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
    apart: NDArray[np.int64]
    unfit: str | None = None

    def curves_of(self, apart: NDArray[np.int64]) -> "ClassMaps":
        """The same with the curves of these images alone, which are some of its `apart`."""
        kept = np.isin(self.apart, apart)
        curves = {f"{name}_curves": getattr(self, f"{name}_curves") for name in CURVES}
        some = {name: found and found.of(kept) for name, found in curves.items()}
        return replace(self, apart=self.apart[kept], **some)


@final
class ClassMapsProbe:
    """Maps at the best epoch of the images that probes look at, and what they are worth to it."""

    name = "class_maps"
    needs: frozenset[Need] = frozenset({"best", "images"})

    def collect(self, context: Context) -> Arrays:
        """Maps by the best epoch's weights."""
        model, seed = context.best.model, context.plan.seed
        return self.pack(collect_class_maps(model, context.shown, context.device, seed))

    @staticmethod
    def pack(maps: ClassMaps) -> Arrays:
        """As they are kept: maps in float16 of their largest value."""
        arrays: Arrays = {
            "rows": maps.rows,
            "labels": maps.labels,
            "geometry": np.array([maps.first, maps.stride]),
            "apart": maps.apart,
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
            arrays[UNFIT] = np.array(maps.unfit, np.str_)
        return arrays

    def note(self, arrays: Arrays) -> str | None:
        """That a head's own maps are not those of its logits, and why."""
        why = arrays.get(UNFIT)
        return None if why is None else f"its class maps are not exact, and are left out: {why}"

    def describe(self, arrays: Arrays) -> ClassMaps:
        """The inverse of `pack`, up to the rounding of float16.

        Evidence of before `apart` was kept has the curves of the first images.
        """
        first, stride = (float(value) for value in arrays["geometry"])
        has_exact = "exact" in arrays
        random_curves = _curves(arrays, "random")
        return ClassMaps(
            rows=arrays["rows"],
            labels=arrays["labels"],
            first=first,
            stride=stride,
            gradcam=_map(arrays, "gradcam"),
            exact=_map(arrays, "exact") if has_exact else None,
            random_curves=random_curves,
            gradcam_curves=_curves(arrays, "gradcam"),
            exact_curves=_curves(arrays, "exact") if has_exact else None,
            apart=arrays.get("apart", np.arange(len(random_curves.deletion))),
            unfit=str(arrays[UNFIT]) if UNFIT in arrays else None,
        )


CLASS_MAPS = ClassMapsProbe()


def collect_class_maps(
    model: "Classifier", pictures: ProbeImages, device: "torch.device", seed: int = 0
) -> ClassMaps:
    """Maps of the probe images by `model` on `device`, and what they are worth to it.

    `seed` is the run's: on a frozen backbone each takes others of the images apart.
    """
    first, stride = model.backbone.first, model.backbone.stride
    features = features_of(model, pictures.pixels, device, name=f"{pictures.digest} pixels")
    found = maps_of(model.head, features, pictures.labels)
    chance = stream(0, "random maps").random(found.gradcam.shape, dtype=np.float32)

    apart = taken_apart(len(pictures.rows), seed, frozen=model.is_frozen)
    few = TakenApart(model, pictures, apart, features)

    def curves(maps: Floats32, *, shared: bool = False) -> Curves:
        return few.curves(at_pixels(maps[apart], few.side, first, stride), shared=shared)

    gradcam_curves = curves(found.gradcam)
    exact_curves = None
    if found.exact is not None:
        same = _differ_by_constants(found.exact, found.gradcam)
        exact_curves = gradcam_curves if same else curves(found.exact)
    return ClassMaps(
        rows=pictures.rows,
        labels=pictures.labels,
        first=first,
        stride=stride,
        gradcam=found.gradcam,
        exact=found.exact,
        random_curves=curves(chance, shared=True),
        gradcam_curves=gradcam_curves,
        exact_curves=exact_curves,
        apart=apart,
        unfit=found.unfit,
    )


def taken_apart(count: int, seed: int, *, frozen: bool) -> NDArray[np.int64]:
    """Which of `count` probe images the runs of `seed` take apart: all heads the same.

    Without a frozen backbone the first ones. With it few, of each seed the next, and round again:
    probe images have their classes in turn.
    """
    if not frozen:
        return np.arange(min(count, CURVE_PICTURES))
    few = min(count, FEWER_CURVES)
    return (few * seed + np.arange(few)) % max(count, 1)


def gradcam_of(head: "Head", features: "Tensor", labels: "Tensor") -> "Tensor":
    """(n, channels, h, w) feature maps → (n, h, w) Grad-CAM in logits (see `ClassMaps`).

    Nothing before the feature maps takes part, so that the backbone needs no gradients.
    """
    import torch

    features = features.detach().requires_grad_()
    with torch.enable_grad():
        logit = of_class(head(features), labels).sum()
    (gradient,) = torch.autograd.grad(logit, features)
    return (features.detach() * gradient.sum((2, 3), keepdim=True)).sum(1)


@dataclass(frozen=True)
class HeadMaps:
    """A head's maps of n images, each of one class, (n, h, w) in logits (see `ClassMaps`).

    `exact` is None where the head has no maps of its own, and where they are not those of its
    logits: `unfit` says why.
    """

    gradcam: Floats32
    exact: Floats32 | None
    unfit: str | None


def maps_of(head: "Head", features: "Tensor", labels: NDArray[np.int64]) -> HeadMaps:
    """Of (n, channels, h, w) feature maps, each image's of its label."""
    import torch

    from headtohead.training.inference import BATCH

    gradcam, exact, unfit = [], [], None
    every = torch.from_numpy(np.ascontiguousarray(labels)).to(features.device)
    parts = zip(torch.split(features, BATCH), torch.split(every, BATCH), strict=True)
    with torch.no_grad():
        for maps, targets in parts:
            own = own_maps(head, maps)
            gradcam.append(gradcam_of(head, maps, targets).cpu().numpy())
            if isinstance(own, torch.Tensor):
                exact.append(of_class(own, targets).cpu().numpy())
            else:
                unfit = unfit or own
    whole = np.concatenate(exact) if exact and unfit is None else None
    return HeadMaps(np.concatenate(gradcam), whole, unfit)


def own_maps(head: "Head", features: "Tensor") -> "Tensor | str | None":
    """(n, outputs, h, w) maps of `head`, None, or in words why they are not those of its logits."""
    from torch import Tensor

    try:
        maps = head.class_maps(features)
    except Exception as error:  # the user's code runs here, and may fail in any way
        return brief(f"class_maps raised {type(error).__name__}: {error}", 200)
    if maps is None:
        return None
    logits = head(features)
    if not isinstance(maps, Tensor) or maps.ndim != 4 or maps.shape[:2] != logits.shape:
        shape = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        return f"class_maps gives {shape}; it must give {(*logits.shape, 'h', 'w')}"
    off = float((maps.mean((2, 3)) - logits).abs().max())
    size = float(maps.abs().max()) + float(logits.abs().max())
    if not off <= CONTRACT * size + TINY:  # what is no number is no map, either
        return f"their mean is not the logit, but up to {off:.3g} away from it"
    return maps


def _differ_by_constants(one: Floats32, other: Floats32) -> bool:
    """Whether the (n, h, w) maps differ by a constant in each image, up to rounding.

    As those of global average pooling do. They put pixels in one order then.
    """
    difference = one - other
    scale = np.abs(one).max(initial=0) + np.abs(other).max(initial=0)
    return bool(np.ptp(difference, axis=(1, 2)).max(initial=0) <= ROUNDING * scale)


def _map(arrays: Arrays, name: str) -> NDArray[np.float32]:
    return np.asarray(arrays[name].astype(np.float32) * arrays[f"{name}_scale"], np.float32)


def _curves(arrays: Arrays, name: str) -> Curves:
    return Curves(arrays[f"{name}_deletion"], arrays[f"{name}_insertion"])
