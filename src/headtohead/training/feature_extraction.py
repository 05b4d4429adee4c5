"""A frozen backbone's features of a prepared set, computed once into the feature cache."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headtohead.backbones.folding import EXAMPLES
from headtohead.backbones.frozen import Frozen, frozen_backbone
from headtohead.config.study import BackboneSpec
from headtohead.core.errors import UsageError
from headtohead.core.streams import stream_seed
from headtohead.data.feature_cache import (
    LAYOUT,
    Extraction,
    FeatureKey,
    MapShape,
    layout_of,
    open_features,
)
from headtohead.data.prepared import PreparedSet
from headtohead.training.acceleration import fastest
from headtohead.training.device import lay_out, tf32
from headtohead.training.inputs import Features, without_copy

BATCH, BATCH_ON_GPU = 32, 256
"""Images at once."""

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
"""How the backbone computes: convolutions mostly gain by channels last, ViTs lose by it."""

TIMED, ROUNDS = 8, 2
"""Images that both layouts are timed on, and how often, after once that is not counted."""

OnFeatures: TypeAlias = Callable[[int, int, float], None]
"""Told the images done, of how many, and the seconds left."""


class Images(Protocol):
    """Images that are cut when they are looked at, or an array of them."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, part: slice, /) -> NDArray[np.uint8]:
        """(n, H, W, 3) of them."""


@dataclass(frozen=True)
class CachedFeatures:
    """A frozen backbone's features, kept in `cache`: processes that want the same share the work.

    `spec` builds the backbone. `seed` is that of the runs to come: it matters where the weights are
    random. `key` says of which images the features are. They are computed on `device`, in the
    memory `layout` given, or in the one that is found to be the fastest.

    What looks features up raises UsageError where the backbone cannot be built, its weights have
    changed or its features are not finite, StorageError and DataError as the cache does.
    """

    key: FeatureKey
    spec: BackboneSpec
    cache: Path
    seed: int
    device: torch.device
    layout: str | None = None

    @property
    def folder(self) -> Path:
        """Where the features are, or will be."""
        return self.key.folder(self.cache)

    def of_prepared(self, prepared: PreparedSet, tell: OnFeatures) -> Features:
        """The features of the images of `key`.

        The process's own backbone, which probes show further images to, computes in the same way
        from now on, and keeps those that have a name in the cache.
        """
        found = self._of(prepared.images, tell)
        layout = layout_of(self.folder)
        lent = self._backbone(lent=True)
        _settle(lent.to(self.device), prepared.images, layout, self.device)
        lent.shared = replace(self, layout=layout).of_further
        return Features(found, prepared.labels, self.device)

    def of_further(self, images: Images, name: str) -> Tensor:
        """(n, C, h, w) float32 of `images`, no others having this `name`.

        Every process of a study asks for them; on a CPU they are a file that is mapped.
        """
        key = replace(self.key, prepared=name, dtype="float32", views=1)
        found = replace(self, key=key)._of(images, lambda *_: None)
        return without_copy(found[0]).permute(0, 3, 1, 2).to(self.device)

    def _of(self, images: Images, tell: OnFeatures) -> NDArray[np.generic]:
        """(views, N, h, w, C) of `images`, which are those of `key`; computed if need be."""
        found = open_features(self.folder)
        if found is None:
            self.compute(images, tell)
            found = open_features(self.folder)
        if found is None:
            raise FileNotFoundError(self.folder)
        return found

    def compute(self, images: Images, tell: OnFeatures) -> None:
        """Compute the features of `images` (N, H, W, 3), or what of them is missing."""
        backbone, on_gpu = self._backbone(), self.device.type == "cuda"
        maps: MapShape = (backbone.channels, *backbone.map_size(self.key.image_size))
        network = Network(backbone, self.device, images[:EXAMPLES])
        size = BATCH_ON_GPU if on_gpu else BATCH
        began = time.monotonic()
        with Extraction.begin(self.folder, self.key, len(images), maps, size) as work:
            timed = images[: BATCH_ON_GPU if on_gpu else TIMED]
            layout = work.agreed(LAYOUT, lambda: self.layout or network.fastest(timed))
            before = _computed(work)
            for number in work.to_compute():
                view, part = work.batches[number]
                features = network(images[part], layout, mirror=view == 1)
                kept = features.to(getattr(torch, self.key.dtype))
                _check_finite(features, kept, self.spec)
                work.write(number, kept.cpu().numpy())
                done, total = _computed(work), self.key.views * len(images)
                each = (time.monotonic() - began) / (done - before)
                tell(done, total, each * (total - done))
            work.finish()

    def _backbone(self, *, lent: bool = False) -> Frozen:
        return frozen_backbone(self.spec, stream_seed(self.seed, "init/backbone"), lent=lent)


def _check_finite(features: Tensor, kept: Tensor, spec: BackboneSpec) -> None:
    """Raises UsageError where what is about to be kept is not finite."""
    if kept.isfinite().all():
        return
    if not features.isfinite().all():
        raise UsageError(
            f"the features of backbone {spec.name} are not finite: with these weights it gives NaN "
            f"or infinity. Check weights and normalisation, or use others."
        )
    raise UsageError(
        f"features of backbone {spec.name} reach {features.abs().max().item():,.0f}, too much for "
        f"float16, in which they are kept: set backbone: {{features: float32}} in the study."
    )


def _computed(work: Extraction) -> int:
    """Images that are done, each view counted."""
    return int(work.images[work.done()].sum())


class Network:
    """A frozen backbone on a device, in either memory layout, its batch norms folded.

    What is folded is seen of `examples` (n, H, W, 3): where workers share the images, it has to be
    the same ones for each, whatever images it computes first.
    """

    def __init__(self, backbone: Frozen, device: torch.device, examples: NDArray[np.uint8]) -> None:
        self._device = device
        self._examples = examples
        self._layout = ""
        self._backbone = fastest(backbone).to(device).eval()

    @torch.inference_mode()
    @tf32(allowed=False)
    def __call__(self, images: NDArray[np.uint8], layout: str, *, mirror: bool = False) -> Tensor:
        """(n, H, W, 3) uint8 → (n, h, w, C) float32."""
        if layout != self._layout:
            _settle(self._backbone, self._examples, layout, self._device)
            self._layout = layout
        pictures = _pictures_of(images, layout, self._device)
        features: Tensor = self._backbone(pictures.flip(3) if mirror else pictures)
        return features.permute(0, 2, 3, 1).contiguous()

    def fastest(self, images: NDArray[np.uint8]) -> str:
        """The layout in which a batch like `images` takes less time.

        On a CPU its own time counts, which other programs' work does not lengthen.
        """
        on_gpu = self._device.type == "cuda"
        clock = time.perf_counter if on_gpu else time.process_time
        seconds: dict[str, list[float]] = {layout: [] for layout in LAYOUTS}
        for _ in range(1 + ROUNDS):
            for layout, taken in seconds.items():
                began = clock()
                self(images, layout)
                if on_gpu:
                    torch.cuda.synchronize(self._device)
                taken.append(clock() - began)
        return min(LAYOUTS, key=lambda layout: min(seconds[layout][1:]))


def _settle(backbone: Frozen, images: NDArray[np.uint8], layout: str, device: torch.device) -> None:
    """Have the backbone, which is on the device, compute images like these in a layout."""
    lay_out(backbone, LAYOUTS[layout])
    backbone.fold(_pictures_of(images[:EXAMPLES], layout, device))


def _pictures_of(images: NDArray[np.uint8], layout: str, device: torch.device) -> Tensor:
    """(n, H, W, 3) uint8 → (n, 3, H, W) in [0, 1]."""
    pixels = without_copy(np.ascontiguousarray(images)).to(device)
    pictures = pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255)
    return pictures.contiguous(memory_format=LAYOUTS[layout])
