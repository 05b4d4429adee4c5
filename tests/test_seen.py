"""What probes show to every run is seen once by a frozen backbone, and by all others each time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from headtohead.backbones.frozen import Frozen
from headtohead.deploy.explain import explanations
from headtohead.deploy.predictor import logits_of_each
from headtohead.deploy.runs import Member
from headtohead.heads.base import Pool, PooledHead
from headtohead.heads.classifier import Classifier
from headtohead.probes import seen
from headtohead.probes.probe_images import ProbeImages
from headtohead.probes.seen import features_of, logits_of
from headtohead.probes.translation import collect_translation
from headtohead.training.feature_extraction import CachedFeatures, Network
from headtohead.training.inference import infer
from headtohead.training.inputs import Pictures
from test_feature_cache import CPU, SIZE, frozen_spec, images, key
from test_frozen import plan


def counted(model: Classifier) -> list[int]:
    """The sizes of the batches that its backbone computes from now on."""
    sizes: list[int] = []
    model.backbone.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    return sizes


def directly(model: Classifier, shown: NDArray[np.uint8]) -> Tensor:
    with torch.no_grad():
        pixels = torch.from_numpy(shown.copy()).permute(0, 3, 1, 2).float() / 255
        logits: Tensor = model.eval()(pixels)
    return logits


def test_another_head_on_the_same_frozen_backbone_costs_no_backbone(tmp_path: Path) -> None:
    """Else every run of a frozen study computes hundreds of images, and takes minutes for it."""
    spec, shown = frozen_spec(tmp_path), images()[:9]
    first, second = (plan(spec, head).build_plain() for head in ("gap", "fc"))
    for model, batches in ((first, [9]), (second, [])):
        sizes = counted(model)
        torch.testing.assert_close(logits_of(model, shown, CPU), directly(model, shown))
        assert sizes[: len(batches)] == batches
        assert len(sizes) == len(batches) + 1  # and that of the direct way
    sizes = counted(second)
    logits_of(second, images()[1:10], CPU)
    logits_of(second, shown, CPU, shared=False)
    assert sizes == [9, 9]  # other images, and images of no other run


@pytest.mark.parametrize("head", ["gap", "softpool", "fc"])
def test_what_a_pool_made_of_shown_images_is_kept_for_all_heads(tmp_path: Path, head: str) -> None:
    """Else each run pools 600 windows anew; or a head is measured on another pool's values."""
    spec, shown = frozen_spec(tmp_path), images()[:9]
    model = plan(spec, head).build_plain()
    before = logits_of(model, shown, CPU)
    sizes = counted(model)
    for other in ("gmp", head, "gap", head):  # the second time by what the first one kept
        logits_of(plan(spec, other).build_plain(), shown, CPU, name="nine")
        assert torch.equal(logits_of(model, shown, CPU, name="nine"), before)
    assert sizes == []
    pools: list[int] = []
    if isinstance(model.head, PooledHead):
        pool = model.head.pool
        model.head.__dict__["pool"] = Counting(pool, pools)
        logits_of(model, shown, CPU, name="nine")
        logits_of(model, shown, CPU, name="nine")
        assert pools == [9]


@dataclass(frozen=True)
class Counting:
    """A pool that tells how many images it was given."""

    pool: Pool
    told: list[int] = field(compare=False)

    def __call__(self, features: Tensor) -> Tensor:
        self.told.append(len(features))
        return self.pool(features)


def test_pooled_values_never_push_out_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a backbone of large maps computes its 600 windows again in every run."""
    model = plan(frozen_spec(tmp_path), "gap").build_plain()
    assert isinstance(model.backbone, Frozen)
    one = features_of(model, images()[:4], CPU, name="four").nbytes
    monkeypatch.setattr(seen, "MOST_BYTES", one)
    logits_of(model, images()[:4], CPU, name="four")
    assert [kept.nbytes for kept in model.backbone.seen.values()] == [one]


@pytest.mark.parametrize("way", ["probe", "evaluate", "predict", "explain", "features"])
def test_whatever_looks_at_images_computes_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Else a GPU evaluates in TF32, PyTorch's default: predictions are not those of the report, and
    features that `evaluate` leaves in the cache are not those that a study trains on."""
    convolution = torch.backends.cudnn
    monkeypatch.setattr(convolution, "allow_tf32", True)
    model = plan(frozen_spec(tmp_path), "gap").build_plain()
    rounded: list[bool] = []
    for part in (model.backbone, model.head):
        part.register_forward_hook(lambda *_: rounded.append(convolution.allow_tf32))
    shown = images()[:4]
    ways: dict[str, Callable[[], object]] = {
        "probe": lambda: logits_of(model, shown, CPU),
        "evaluate": lambda: infer(model, Pictures(shown, np.zeros(4, np.int64), CPU), np.arange(4)),
        "predict": lambda: logits_of_each([model], shown),
        "explain": lambda: explanations(Member("gap", 0, model, 1.0, 0), ("a", "b"), shown),
        "features": lambda: Network(cast(Frozen, model.backbone), CPU, shown)(shown, "contiguous"),
    }
    ways[way]()
    assert rounded
    assert not any(rounded)
    assert convolution.allow_tf32


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_what_all_workers_show_is_computed_once_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    """Else each worker of a frozen study moves 600 windows; or it is given others than it asks."""
    spec, rng = frozen_spec(tmp_path), np.random.default_rng(2)
    sides = SIZE, SIZE + 2 * 8
    pixels, wide = (rng.integers(0, 256, (30, side, side, 3), np.uint8) for side in sides)
    shown = ProbeImages(np.arange(30), np.arange(30) % 2, pixels, wide)

    def worker(cached: CachedFeatures | None) -> Classifier:
        model = plan(spec, "fc").build_plain()
        assert isinstance(model.backbone, Frozen)
        model.backbone.seen.clear()
        model.backbone.shared = None if cached is None else cached.of_further
        return model

    alone = worker(None)
    expected = collect_translation(alone, shown, CPU).predicted
    maps = features_of(alone, pixels, CPU)
    assert expected.std(axis=0).any()
    cached = CachedFeatures(key(spec), spec, tmp_path, 0, CPU, layout)
    first = worker(cached)
    assert (collect_translation(first, shown, CPU).predicted == expected).all()
    torch.testing.assert_close(features_of(first, pixels, CPU, name="p"), maps)

    computing = AssertionError("computed again")
    monkeypatch.setattr(CachedFeatures, "compute", Raising(computing))
    second = worker(cached)
    sizes = [counted(model) for model in (first, second)]
    assert (collect_translation(second, shown, CPU).predicted == expected).all()
    torch.testing.assert_close(features_of(second, pixels, CPU, name="p"), maps)
    assert sizes == [[], []]
    with pytest.raises(AssertionError, match="computed again"):
        features_of(second, pixels[:4], CPU, name="q")


@dataclass(frozen=True)
class Raising:
    """Raises `error` when it is called."""

    error: Exception

    def __call__(self, *_: object, **__: object) -> None:
        raise self.error


def test_a_trained_backbone_sees_them_in_every_run(tmp_path: Path) -> None:
    """Else a run is measured by the maps of another run's backbone."""
    spec = frozen_spec(tmp_path).model_copy(update={"train": "all"})
    model, shown = plan(spec, "gap").build_plain(), images()[:3]
    before = features_of(model, shown, CPU)
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.mul_(2)
    assert not torch.equal(features_of(model, shown, CPU), before)


def test_maps_are_dropped_before_they_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a study with a split for each seed grows until the worker is killed."""
    model = plan(frozen_spec(tmp_path), "gap").build_plain()
    assert isinstance(model.backbone, Frozen)
    one = features_of(model, images()[:4], CPU).nbytes
    monkeypatch.setattr(seen, "MOST_BYTES", 2 * one)
    for start in range(5):
        features_of(model, images()[start : start + 4], CPU)
        assert sum(maps.nbytes for maps in model.backbone.seen.values()) <= 2 * one
