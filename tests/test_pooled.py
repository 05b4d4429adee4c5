"""Images that are pooled once: the same numbers as from maps, for every head with a fixed pool."""

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from headtohead.config.recipe import AugmentSpec, RecipeSpec
from headtohead.core.limits import Memory
from headtohead.heads.base import Head, PooledHead
from headtohead.heads.classifier import Classifier
from headtohead.heads.pooling import GlobalAverage
from headtohead.heads.table import HEADS, build_head
from headtohead.store.records import BEST, LAST, read_history
from headtohead.testing import check_head
from headtohead.training import checkpoint, inputs
from headtohead.training.augment import Augmentation
from headtohead.training.batch_norm import recompute_statistics
from headtohead.training.inference import infer
from headtohead.training.inputs import Features, Pooled
from headtohead.training.optimizer import optimizer_of
from headtohead.training.run import train
from headtohead.training.step import EagerGradients, Step
from test_feature_cache import CPU, frozen_spec
from test_frozen import inputs as features_of
from test_frozen import plan, same
from test_run import Silent, parts

POOLED = [name for name, entry in HEADS.items() if issubclass(entry.cls, PooledHead)]
COUNT = 70


def features(channels: int, size: tuple[int, int], views: int = 1) -> Features:
    random = np.random.default_rng(0)
    maps = random.standard_normal((views, COUNT, *size, channels)).astype(np.float16)
    return Features(maps, np.arange(COUNT) % 3, CPU)


class Nothing(nn.Module):
    """In the backbone's place: it is never called."""


def trained(head: str, source: Any, channels: int, size: tuple[int, int]) -> list[Tensor]:
    """All numbers of three steps, their statistics and an evaluation."""
    torch.manual_seed(0)
    model = Classifier(Nothing(), build_head(head, channels, size, 3))  # type: ignore[arg-type]
    recipe = RecipeSpec(learning_rate=0.01)
    step = Step(EagerGradients(model, source, None, "float32"), optimizer_of(model, recipe))
    model.train()
    found = [step(torch.arange(start, start + 32), None)[0] for start in (0, 32, 11)]
    recompute_statistics(model, source, np.arange(COUNT)[::-1], 17)
    logits, _ = infer(model, source, np.arange(COUNT))
    return [*found, logits, *model.state_dict().values()]


@pytest.mark.parametrize(("channels", "size"), [(6, (7, 7)), (40, (6, 9)), (133, (14, 14))])
@pytest.mark.parametrize("head", POOLED)
def test_steps_and_logits_are_those_of_maps_to_the_bit(
    head: str, channels: int, size: tuple[int, int]
) -> None:
    """Else runs before and after, or of a large and a small set, are no pairs."""
    source = features(channels, size)
    torch.manual_seed(0)
    pooled = source.for_head(build_head(head, channels, size, 3))
    assert isinstance(pooled, Pooled)
    from_maps, from_pooled = (trained(head, given, channels, size) for given in (source, pooled))
    for one, other in zip(from_maps, from_pooled, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_runs_files_are_those_of_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a run's numbers depend on what memory there was, or a resumed run is of two kinds."""
    spec = frozen_spec(tmp_path)
    split = parts(40, 15)
    for folder in ("pooled", "maps"):
        (tmp_path / folder).mkdir()
        source = features_of(tmp_path / "f", spec)
        if folder == "maps":
            monkeypatch.setattr(inputs, "most_pooled", lambda: 0)
        own = plan(spec, "mlp")
        assert isinstance(source.for_head(own.build().head), Pooled) == (folder == "pooled")
        train(own, source, split, tmp_path / folder, Silent())
    for name in (BEST, LAST):
        assert same(
            *(checkpoint.read(tmp_path / folder / name)[0] for folder in ("pooled", "maps"))
        )
    told = [read_history(tmp_path / folder) for folder in ("pooled", "maps")]
    assert [r.val_loss for r in told[0]] == [r.val_loss for r in told[1]]


def test_equal_pools_are_made_once_and_others_apart() -> None:
    """Else every run pools all images again, or a head sees another's pool."""
    source, size = features(6, (7, 7)), (7, 7)

    def of(head: str, **options: Any) -> Any:
        return source.for_head(build_head(head, 6, size, 3, **options))

    assert of("gap") is of("gap_bn") is of("mlp") is of("cosine")
    assert of("kmax", k=3) is of("kmax", k=3)
    assert of("kmax", k=3) is not of("kmax", k=4)
    assert of("gmp") is not of("gap")


@pytest.mark.parametrize("head", ["fc", "gem", "stochastic", "linear"])
def test_other_heads_see_the_maps(head: str) -> None:
    """Else what they learn or draw before the pool is lost."""
    source = features(6, (7, 7))
    assert source.for_head(build_head(head, 6, (7, 7), 3)) is source


def test_the_studys_norm_sees_the_maps(tmp_path: Path) -> None:
    """Else its statistics are of what was pooled."""
    spec = frozen_spec(tmp_path).model_copy(update={"norm": True})
    source = features_of(tmp_path / "f", spec)
    assert source.for_head(plan(spec, "gap").build().head) is source


def test_pooled_views_are_those_of_mirrored_images() -> None:
    """Else augmentation pairs one image's values with another's label."""
    source = features(6, (7, 7), views=2)
    pooled = source.for_head(build_head("gap", 6, (7, 7), 3))
    draws = torch.full((3, 7), 0.9)
    draws[1, 3] = 0.1
    flip, rows = Augmentation(AugmentSpec(flip=True), CPU), torch.tensor([4, 2, 0])
    maps, labels = source.augmented(rows, draws, flip)
    values, same = pooled.augmented(rows, draws, flip)
    assert torch.equal(values, maps.mean((2, 3)))
    assert torch.equal(labels, same)


def test_pooled_maps_are_dropped_before_they_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a study of many heads grows until its worker is killed."""
    one = COUNT * 6 * 4
    monkeypatch.setattr(inputs, "most_pooled", lambda: 2 * one)
    source = features(6, (7, 7))
    for head in ("gap", "gmp", "concat_avg_max", "kmax", "rmac", "softpool"):
        source.for_head(build_head(head, 6, (7, 7), 3))
        kept = [pooled.nbytes for pooled in source._pooled.values()]
        assert 0 < sum(kept) <= 2 * one
    assert source.for_head(build_head("spp", 6, (7, 7), 3)) is source


class Drawing(GlobalAverage):
    """Says that its pool is fixed, and draws."""

    pool = staticmethod(lambda features: features.mean((2, 3)) * torch.rand(()))


class Mixing(GlobalAverage):
    """Says that its pool is fixed, and looks at other images."""

    pool = staticmethod(lambda features: features.mean((2, 3)) - features.mean((0, 2, 3)))


class Rounding(GlobalAverage):
    """Says that its pool is fixed, and rounds otherwise in a batch of another size."""

    pool = staticmethod(lambda features: features.mean((2, 3)) * (1 + 1e-6 * len(features)))


class Elsewhere(GlobalAverage):
    """Has a forward that does more than its pool and what follows."""

    def forward(self, features: Tensor) -> Tensor:
        return 2 * super().forward(features)

    class_maps = Head.class_maps  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (Drawing, "deterministic"),
        (Mixing, "depend on others"),
        (Rounding, "see each image by itself, to the bit"),
        (Elsewhere, "must be classify"),
    ],
)
def test_a_pool_that_is_not_fixed_fails_the_check(head: type[Head], words: str) -> None:
    """Else a head of the user's own is trained on something else than it says."""
    with pytest.raises(AssertionError, match=words):
        check_head(head)


def test_a_copied_head_has_an_equal_pool() -> None:
    """Else equal pools are made again and again."""
    for name in POOLED:
        head = build_head(name, 6, (7, 7), 3)
        assert isinstance(head, PooledHead)
        assert copy.deepcopy(head).pool == head.pool == build_head(name, 6, (7, 7), 1).pool


def test_more_is_kept_where_there_is_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else `spp` pools the same maps at every step; or eight workers fill a small machine."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # bound to one of them, as workers are
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    for total, most in ((4, 2**29), (16, 2**30), (64, 2**32)):
        monkeypatch.setattr(inputs, "memory_of", lambda t=total: Memory(t << 30, None, None))
        assert inputs.most_pooled() == most
