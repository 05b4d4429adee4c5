"""Frozen means frozen: nothing of a held backbone moves, whoever trains the model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from headtohead.accel import is_accelerated
from headtohead.backbones.frozen import (
    Frozen,
    with_checkpointing,
    with_frozen_norms,
    with_last_stages,
)
from headtohead.backbones.layers import BatchNorm
from headtohead.backbones.stages import stages_of, used_parameters
from headtohead.backbones.table import build_backbone
from headtohead.backbones.tutorial_cnn import TutorialCNN
from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.core.errors import UsageError
from headtohead.store.records import BEST, LAST
from headtohead.training import checkpoint
from headtohead.training.inference import infer
from headtohead.training.inputs import Features, Inputs, Pictures
from headtohead.training.plans import RunPlan, finished_model
from headtohead.training.run import train
from test_feature_cache import COUNT, CPU, SIZE, cached_features, frozen_spec, images
from test_run import Silent, parts

LABELS = np.arange(COUNT) % 2


def plan(spec: BackboneSpec, head: str = "fc", **recipe: object) -> RunPlan:
    values = {"epochs": 2, "batch_size": 16, **recipe}
    made = RecipeSpec.model_validate(values)
    return RunPlan("k", head, 0, HeadSpec(), spec, made, SIZE, 2)


def inputs(cache: Path, spec: BackboneSpec) -> Features:
    source = cached_features(cache, spec)
    source.compute(images(), lambda *_: None)
    return Features(np.load(source.folder / "features.npy", mmap_mode="c"), LABELS, CPU)


def state_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("cached", [True, False])
def test_nothing_of_a_frozen_backbone_moves_in_a_run(tmp_path: Path, cached: bool) -> None:
    """Else heads are compared on different backbones; on features and on pixels alike."""
    spec = frozen_spec(tmp_path)
    own = plan(spec)
    source: Inputs = inputs(tmp_path, spec) if cached else Pictures(images(), LABELS, CPU)
    trunk = own.build().backbone
    assert isinstance(trunk, Frozen)
    before = state_of(trunk.trunk)
    record = train(own, source, parts(40, 15), tmp_path, Silent())
    assert record.status == "finished"
    weights, _ = checkpoint.read(tmp_path / LAST)
    assert weights
    assert all(name.startswith("head.") for name in weights)
    model = own.build()
    model.load_state_dict(weights)
    model.train()
    inner = model.backbone.get_submodule("trunk")
    assert not any(part.training for part in inner.modules())
    model(torch.rand(4, 3, SIZE, SIZE)).sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert same(before, state_of(inner))
    assert record.parameters.backbone == sum(p.numel() for p in TutorialCNN((4, 6)).parameters())
    assert record.parameters.trainable == record.parameters.head


def test_a_lent_backbone_is_one_and_a_plain_one_is_its_own(tmp_path: Path) -> None:
    """Else each run copies the backbone four times, or an export changes that of later runs."""
    own = plan(frozen_spec(tmp_path))
    first, second = (own.build(lent=True) for _ in range(2))
    alone = own.build_plain()
    assert first.backbone is second.backbone
    assert first.head is not second.head
    assert alone.backbone is not first.backbone
    ours = {id(tensor) for tensor in first.backbone.parameters()}
    assert ours.isdisjoint({id(tensor) for tensor in alone.backbone.parameters()})
    assert not is_accelerated(alone)
    trunks = [state_of(made.backbone.get_submodule("trunk")) for made in (alone, first)]
    assert same(*trunks)
    shown = torch.rand(2, 3, SIZE, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(alone.eval()(shown), first.eval()(shown))


def test_a_lent_backbone_wears_the_heads_of_finished_runs(tmp_path: Path) -> None:
    """Else probes measure another head than was trained, or the first one's everywhere."""
    spec = frozen_spec(tmp_path)
    source = inputs(tmp_path, spec)
    for head in ("fc", "gap"):
        train(plan(spec, head), source, parts(40, 15), tmp_path / head, Silent())
    models = {
        (head, lent): finished_model(plan(spec, head), tmp_path / head, "last", CPU, lent=lent)
        for lent in (True, False)
        for head in ("fc", "gap")
    }
    for head in ("fc", "gap"):
        kept, lent = (models[head, way].model for way in (False, True))
        assert same(state_of(kept.head), state_of(lent.head))
        weights = checkpoint.read(tmp_path / head / LAST)[0]
        assert {f"head.{name}" for name in lent.head.state_dict()} == set(weights)
    own = replace(plan(spec, "fc"), head_spec=HeadSpec(head="gap"))
    with pytest.raises(checkpoint.DamagedCheckpointError, match="do not fit"):
        finished_model(own, tmp_path / "fc", "last", CPU, lent=True)


def test_a_head_on_features_is_the_joined_model_on_pictures(tmp_path: Path) -> None:
    """Else what is handed over is not what was measured."""
    spec = frozen_spec(tmp_path)
    own, source = plan(spec), inputs(tmp_path, spec)
    train(own, source, parts(40, 15), tmp_path, Silent())
    model = own.build()
    model.load_state_dict(checkpoint.read(tmp_path / BEST)[0])
    rows = np.arange(COUNT)
    on_features, _ = infer(model, source, rows)
    on_pictures, _ = infer(model, Pictures(images(), LABELS, CPU), rows)
    torch.testing.assert_close(on_features, on_pictures, rtol=1e-2, atol=1e-2)


def test_a_closed_form_head_takes_one_epoch_and_is_fitted_to_all(tmp_path: Path) -> None:
    """Else the floor of every frozen study is missing or wrong."""
    spec = frozen_spec(tmp_path)
    own, source = plan(spec, "class_mean"), inputs(tmp_path, spec)
    split = parts(39, 15)  # 39 is no multiple of the batch
    record = train(own, source, split, tmp_path, Silent())
    assert (record.epochs, record.parameters.trainable) == (1, 0)
    weights, _ = checkpoint.read(tmp_path / LAST)
    maps, labels = source.batch(source.rows(split.train))
    pooled = maps.double().mean((2, 3))
    for label in (0, 1):
        chosen = pooled[labels == label]
        assert float(weights["head.counts"][label]) == len(chosen)
        torch.testing.assert_close(weights["head.sums"][label], chosen.sum(0))


def test_the_studys_norm_stands_before_every_head(tmp_path: Path) -> None:
    """Else heads differ by the scale of their inputs; its statistics are the training split's."""
    spec = frozen_spec(tmp_path).model_copy(update={"norm": True})
    source, split = inputs(tmp_path, spec), parts(48, 11)
    maps, _ = source.batch(source.rows(split.train))
    found = []
    for head in ("gap", "class_mean"):
        folder = tmp_path / head
        folder.mkdir()
        train(plan(spec, head), source, split, folder, Silent())
        found.append(checkpoint.read(folder / LAST)[0])
    for weights in found:
        torch.testing.assert_close(
            weights["head.norm.moving_mean"], maps.mean((0, 2, 3)), rtol=1e-3, atol=1e-4
        )
        assert not any("gamma" in name or "beta" in name for name in weights)


def test_last_stages_alone_are_trained(tmp_path: Path) -> None:
    """Else `last:1` trains more, or less, than it says."""
    spec = frozen_spec(tmp_path).model_copy(update={"train": "last:1"})
    own = plan(spec)
    before = own.build().state_dict()
    record = train(own, Pictures(images(), LABELS, CPU), parts(40, 15), tmp_path, Silent())
    after, _ = checkpoint.read(tmp_path / LAST)
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert record.status == "finished"
    assert {name for name in moved if ".blocks.0." in name} == set()
    assert {"backbone.trunk.blocks.1.convolution.weight"} < moved
    assert "backbone.trunk.blocks.1.norm.moving_mean" in moved
    with pytest.raises(UsageError, match="has 2 stages; received last:3"):
        with_last_stages(TutorialCNN((4, 6)), 3, SIZE)


@pytest.mark.parametrize("stages", ["all", "last:1"])
def test_a_finished_run_with_frozen_norms_is_opened_again(tmp_path: Path, stages: str) -> None:
    """Else its probes, predictions and exports fail after all the training."""
    spec = frozen_spec(tmp_path).model_copy(update={"train": stages})
    own = plan(spec, "gap", batch_norm="frozen", epochs=1)
    shown = Pictures(images(), LABELS, CPU)
    train(own, shown, parts(40, 15), tmp_path, Silent())
    for plain in (False, True):
        model = finished_model(own, tmp_path, "best", CPU, plain=plain).model
        logits, _ = infer(model, shown, np.arange(COUNT))
        state = checkpoint.read(tmp_path / BEST)[0]
        assert same(state_of(model), state)
        assert torch.isfinite(logits).all()


def test_frozen_norms_keep_their_statistics_and_train_their_scale(tmp_path: Path) -> None:
    """Else small batches wash out what the backbone came with."""
    spec = frozen_spec(tmp_path).model_copy(update={"train": "all"})
    own = plan(spec, "gap", batch_norm="frozen")
    before = own.build().state_dict()
    train(own, Pictures(images(), LABELS, CPU), parts(40, 15), tmp_path, Silent())
    after, _ = checkpoint.read(tmp_path / LAST)
    for name, value in after.items():
        assert torch.equal(value, before[name]) == ("moving" in name), name
    assert [m.training for m in with_frozen_norms(TutorialCNN()).train().modules()
            if isinstance(m, BatchNorm)] == [False] * 3  # fmt: skip


def test_stages_hold_every_parameter_once() -> None:
    """Else a frozen stage leaves something trained, or the other way round."""
    network = TutorialCNN()
    stages = stages_of(network, used_parameters(network, SIZE))
    assert [stage.name for stage in stages] == ["blocks.0", "blocks.1", "blocks.2"]
    held = [p for stage in stages for m in stage.modules for p in m.parameters()]
    assert len(held) == len(set(held)) == len(list(network.parameters()))


class WithTail(nn.Module):
    """Two blocks, and a larger one that its maps never see, as libraries build poolers."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = 6
        self.blocks = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 6, 8, stride=8), nn.BatchNorm2d(6)),
            nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)),
        )
        self.pooler = nn.Sequential(nn.Linear(6, 500), nn.Linear(500, 6))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.blocks(images)
        return found


class Flat(nn.Sequential):
    """Single layers alone, as VGG is."""

    channels = 6

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 6, 8, stride=8), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 1)
        )


class WithoutGradients(Flat):
    """Its author computes it as fixed."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = super().forward(images)  # type: ignore[no-untyped-call]
        return found


def trained(name: str, count: int) -> set[str]:
    held = with_last_stages(build_backbone(name), count, SIZE)
    return {n.removeprefix("trunk.network.") for n, p in held.named_parameters() if p.requires_grad}


def test_last_stages_are_those_that_maps_depend_on() -> None:
    """Else `last:1` trains a layer that is never used, or the whole network, in silence."""
    last = {f"blocks.1.{n}" for n in ("0.weight", "0.bias", "1.weight", "1.bias")}
    assert trained("test_frozen:WithTail", 1) == last
    assert {n.partition(".")[0] for n in trained("test_frozen:WithTail", 2)} == {"blocks"}
    assert trained("test_frozen:Flat", 1) == {"3.weight", "3.bias"}
    assert {n[0] for n in trained("test_frozen:Flat", 2)} == {"0", "1", "3"}
    with pytest.raises(UsageError, match="has 2 stages; received last:3"):
        trained("test_frozen:WithTail", 3)
    with pytest.raises(UsageError, match="would train nothing"):
        trained("test_frozen:WithoutGradients", 1)


def test_looking_for_what_is_used_leaves_the_backbone_as_it_was() -> None:
    """Else statistics move before the first step, or a mode stays changed."""
    network = TutorialCNN((4, 6)).train()
    before = state_of(network)
    next(iter(network.parameters())).requires_grad_(False)
    assert used_parameters(network, SIZE) == set(network.parameters())
    assert same(before, state_of(network))
    assert all(part.training for part in network.modules())
    learning = [p.requires_grad for p in network.parameters()]
    assert (learning[0], all(learning[1:])) == (False, True)
    assert all(p.grad is None for p in network.parameters())


def test_a_backbone_that_cannot_checkpoint_says_so() -> None:
    """Else memory runs out although it was asked to be saved."""
    with pytest.raises(UsageError, match="checkpointing"):
        with_checkpointing(TutorialCNN())


class Remembers(nn.Module):
    """Keeps in evaluation mode what it makes of its weights, as LeViT's attention does."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = 4
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.Conv2d(4, 4, 1))
        self.bias = nn.Parameter(torch.randn(4, 1, 1))
        self.made: torch.Tensor | None = None

    def train(self, mode: bool = True) -> "Remembers":
        super().train(mode)
        if mode:
            self.made = None
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            made = self.bias.exp()
        else:
            made = self.made = self.bias.exp() if self.made is None else self.made
        found: torch.Tensor = self.layers(images) + made
        return found


@pytest.mark.parametrize("stages", ["all", "last:1"])
def test_a_finished_run_is_opened_without_what_was_made_of_first_weights(
    tmp_path: Path, stages: str
) -> None:
    """Else probes and predictions of a fine-tuned LeViT see a part of its random weights."""
    spec = BackboneSpec(name="test_frozen:Remembers", train=stages)
    own = plan(spec, "gap", epochs=1)
    weights = own.build().state_dict()
    moved = {name: value + 1 for name, value in weights.items()}
    checkpoint.save(tmp_path / BEST, moved, key=own.key, epoch=1)
    backbone = finished_model(own, tmp_path, "best", CPU).model.backbone
    shown = torch.rand(1, 3, SIZE, SIZE)
    expected = own.build().backbone.train()
    own_weights = {n: v for n, v in moved.items() if n.startswith("backbone.")}
    expected.load_state_dict({n.removeprefix("backbone."): v for n, v in own_weights.items()})
    with torch.no_grad():
        torch.testing.assert_close(backbone(shown), expected(shown))


class Recomputes(Flat):
    """Told as networks of transformers are, by the only way that they had before version 5.24."""

    def __init__(self, supports: bool = True) -> None:
        super().__init__()
        self.supports = supports
        self.told: list[dict[str, bool]] = []

    def gradient_checkpointing_enable(self, arguments: dict[str, bool] | None = None) -> None:
        if not self.supports:
            raise ValueError("it does not support\ncheckpointing")
        self.told.append(arguments or {"use_reentrant": True})


def test_checkpointing_leaves_gradients_after_held_stages() -> None:
    """Else `last:1` with checkpointing trains the head alone, and says that it trains more."""
    backbone = build_backbone("test_frozen:Recomputes")
    with_checkpointing(backbone)
    assert backbone.network.told[-1] == {"use_reentrant": False}  # type: ignore[union-attr,index]
    assert not backbone.capturable
    with pytest.raises(UsageError, match=r"Recomputes\S* .*it does not support checkpointing"):
        with_checkpointing(build_backbone("test_frozen:Recomputes", {"supports": False}))


class Scattered(nn.Module):
    """Dropout, and a norm without scale, between stages; a dropout of the last stage's own."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = 4
        self.norm_in = nn.BatchNorm2d(3, affine=False)
        self.blocks = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.ReLU()),
            nn.Dropout(0.5),
            nn.Sequential(nn.Conv2d(4, 4, 1), nn.Dropout(0.5)),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.blocks(self.norm_in(images))
        return found


def test_parts_without_weights_before_the_last_stages_are_held_with_them() -> None:
    """Else statistics of what is frozen move, and its dropout acts, in training of the rest."""
    trunk = build_backbone("test_frozen:Scattered")
    held = with_last_stages(trunk, 1, SIZE).train()
    net: nn.Module = trunk.network  # type: ignore[assignment]
    modes = {name: module.training for name, module in net.named_modules()}
    assert {name for name, training in modes.items() if training} == {
        "", "blocks", "blocks.2", "blocks.2.0", "blocks.2.1",
    }  # fmt: skip
    before = state_of(net.get_submodule("norm_in"))
    held(torch.rand(4, 3, SIZE, SIZE) + 1)
    assert same(before, state_of(net.get_submodule("norm_in")))


class FiveAxes(Flat):
    """A table of weights of five axes, as for windows, heads and two offsets."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.ones(1, 2, 3, 3, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = super().forward(images)  # type: ignore[no-untyped-call]
        found: torch.Tensor = maps * self.table.mean()
        return found


@pytest.mark.parametrize("train", ["all", "none"])
def test_weights_of_five_axes_are_trained_and_used(tmp_path: Path, train: str) -> None:
    """Else every run of such a network ends with a sentence of PyTorch's on channels last."""
    spec = BackboneSpec(name="test_frozen:FiveAxes", train=train)
    if train == "all":
        model = plan(spec, "gap").to_train(CPU)
        weight = model.backbone.get_parameter("network.3.weight")
        assert weight.is_contiguous(memory_format=torch.channels_last)
    else:
        assert len(inputs(tmp_path, spec)) == COUNT
