"""Batch-norm statistics by the weights as they stand: what evaluation measures is the head."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from headtohead.backbones.constants import BATCH_NORM_IMAGES
from headtohead.backbones.layers import BatchNorm
from headtohead.backbones.tutorial_cnn import ConvolutionBlock
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.heads.classifier import Classifier, build_classifier
from headtohead.store.records import BEST, LAST
from headtohead.training import checkpoint
from headtohead.training.batch_norm import recompute_statistics, statistics_rows
from headtohead.training.inference import infer
from headtohead.training.inputs import Pictures
from headtohead.training.run import train
from test_run import Silent, parts, pictures, plan

SIZE, COUNT, BATCH = 24, 48, 16


def images() -> Pictures:
    random = np.random.default_rng(3)
    pixels = random.integers(0, 255, (COUNT, SIZE, SIZE, 3), dtype=np.uint8)
    return Pictures(pixels, np.arange(COUNT) % 2, torch.device("cpu"))


def model(head: str = "fc_dropout") -> Classifier:
    return build_classifier(BackboneSpec(), head, HeadSpec(), image_size=SIZE, classes=2, seed=0)


def first_block(made: Classifier) -> ConvolutionBlock:
    block = made.backbone.get_submodule("blocks.0")
    assert isinstance(block, ConvolutionBlock)
    return block


class TorchNorms(nn.Module):
    """A network of `torch.nn`'s own layers, as a user's head may have."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm1d(3, momentum=None)
        self.frozen = nn.BatchNorm2d(3)

    def forward(self, pictures: Tensor) -> Tensor:
        self.frozen.eval()
        found: Tensor = self.second(self.frozen(self.first(pictures)).square().mean((2, 3)))
        return found


def test_statistics_are_those_of_the_whole_population() -> None:
    """Else evaluation normalises by something that no image has."""
    source, made = images(), model()
    recompute_statistics(made, source, np.arange(COUNT), COUNT)
    block = first_block(made)
    inputs, _ = source.batch(torch.arange(COUNT))
    with torch.no_grad():
        maps = block.convolution(inputs).double()
    variance, mean = torch.var_mean(maps, (0, 2, 3), correction=0)
    torch.testing.assert_close(block.norm.moving_mean.double(), mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(block.norm.moving_variance.double(), variance, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch", [8, 16, 48])
def test_the_first_layer_does_not_depend_on_the_batch(batch: int) -> None:
    """The variance of the batches' means counts, too: else small batches give small variances."""
    made = model()
    recompute_statistics(made, images(), np.arange(COUNT), batch)
    whole = model()
    recompute_statistics(whole, images(), np.arange(COUNT), COUNT)
    for mine, theirs in zip(
        first_block(made).norm.buffers(), first_block(whole).norm.buffers(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_the_fused_block_and_plain_operations_give_the_same() -> None:
    """Else the kernels of a processor decide what evaluation sees."""
    fused, plain = model("gap"), model("gap")
    recompute_statistics(fused, images(), np.arange(COUNT), BATCH)
    with torch.autocast("cpu", torch.float32, enabled=False):
        for block in plain.backbone.get_submodule("blocks").children():
            block.forward = lambda x, block=block: torch.relu(
                torch.max_pool2d(block.norm(block.convolution(x)), 2)
            )
        recompute_statistics(plain, images(), np.arange(COUNT), BATCH)
    for mine, theirs in zip(fused.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def test_layers_of_torch_are_recomputed_and_frozen_ones_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a user's own head is measured by averages that lag."""
    source, made = images(), TorchNorms()
    made.frozen.eval()
    frozen = made.frozen
    monkeypatch.setattr(frozen, "train", lambda mode=True: frozen)
    for norm in (made.first, made.second):
        norm.get_buffer("running_mean").fill_(7)
    recompute_statistics(made, source, np.arange(COUNT), BATCH)
    inputs, _ = source.batch(torch.arange(COUNT))
    variance, mean = torch.var_mean(inputs, (0, 2, 3), correction=0)
    torch.testing.assert_close(made.first.running_mean, mean)
    torch.testing.assert_close(made.first.running_var, variance)
    assert made.second.running_mean is not None
    assert (made.second.running_mean != 7).all()
    assert torch.equal(made.frozen.get_buffer("running_mean"), torch.zeros(3))
    assert [int(norm.num_batches_tracked or 0) for norm in (made.first, made.second)] == [0, 0]
    assert not made.training
    assert not any(module._forward_pre_hooks for module in made.modules())


class Twice(nn.Module):
    """One layer, called by keyword, on maps of two sizes."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, pictures: Tensor) -> Tensor:
        whole, part = self.norm(input=pictures), self.norm(input=pictures[:, :, :4, :4] * 2 + 5)
        found: Tensor = (whole.mean((2, 3)) + part.mean((2, 3))).sum(1, keepdim=True)
        return found


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(3),
        nn.BatchNorm2d(3, momentum=None),
        nn.SyncBatchNorm(3),
        nn.LazyBatchNorm2d(),
    ],
    ids=lambda norm: f"{type(norm).__name__}-{norm.momentum}",
)
def test_a_layer_used_twice_has_the_mean_over_both_uses(norm: nn.Module) -> None:
    """Else the last use, or the first, decides for both; nor may a call by keyword end a run."""
    source, made = images(), Twice(norm)
    inputs, _ = source.batch(torch.arange(COUNT))
    made.eval()(inputs)  # a lazy layer has no statistics before its first input
    recompute_statistics(made, source, np.arange(COUNT), BATCH)
    expected = (inputs.mean((0, 2, 3)) + (inputs[:, :, :4, :4] * 2 + 5).mean((0, 2, 3))) / 2
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, expected)
    assert int(norm.num_batches_tracked or 0) == 0


def test_a_layer_without_statistics_is_left_alone() -> None:
    """Else a head that always normalises by the batch ends with an error at its first epoch."""
    made = Twice(nn.BatchNorm2d(3, track_running_stats=False))
    recompute_statistics(made, images(), np.arange(COUNT), BATCH)
    assert list(made.buffers()) == []
    assert not made.training


def test_dropout_is_off_while_statistics_are_taken() -> None:
    """Else statistics are of a network that evaluation never runs, and differ from time to time."""
    source, one, two = images(), model("fc_dropout"), model("fc_dropout")
    torch.manual_seed(1)
    recompute_statistics(one, source, np.arange(COUNT), BATCH)
    torch.manual_seed(2)
    recompute_statistics(two, source, np.arange(COUNT), BATCH)
    assert all(torch.equal(a, b) for a, b in zip(one.buffers(), two.buffers(), strict=True))


def test_neither_weights_nor_random_numbers_move() -> None:
    """Else looking at a run changes the rest of it."""
    source, made = images(), model()
    before = {name: value.clone() for name, value in made.named_parameters()}
    torch.manual_seed(4)
    recompute_statistics(made, source, np.arange(COUNT), BATCH)
    drawn = torch.rand(3)
    torch.manual_seed(4)
    assert torch.equal(drawn, torch.rand(3))
    assert all(torch.equal(value, before[name]) for name, value in made.named_parameters())
    assert all(p.grad is None for p in made.parameters())
    norms = [module for module in made.modules() if isinstance(module, BatchNorm)]
    assert norms
    assert all(norm.collect is None and not norm.training for norm in norms)


def test_rows_are_the_same_for_every_head_and_mixed() -> None:
    """Else heads of one seed are measured by other images, or by batches of one class."""
    train = np.arange(5000)
    rows = statistics_rows(train, 3)
    assert len(set(rows.tolist())) == BATCH_NORM_IMAGES
    assert rows.tolist() == statistics_rows(train[::-1], 3).tolist()
    assert rows.tolist() != statistics_rows(train, 4).tolist()
    assert abs(float(np.mean(rows[:64])) - 2500) < 700
    assert sorted(statistics_rows(np.arange(10), 0).tolist()) == list(range(10))


def test_saved_weights_carry_the_statistics_they_were_evaluated_with(tmp_path: Path) -> None:
    """Else what is handed over is not what was measured."""
    own = plan("fc_dropout", epochs=3)
    record = train(own, pictures(), parts(), tmp_path, Silent())
    weights, _ = checkpoint.read(tmp_path / LAST)
    made = own.build()
    made.load_state_dict(weights)
    rows = statistics_rows(parts().train, own.seed)
    saved, _ = infer(made, pictures(), parts().validation)
    recompute_statistics(made, pictures(), rows, 16)
    again, _ = infer(made, pictures(), parts().validation)
    assert torch.equal(saved, again)
    assert (tmp_path / BEST).exists()
    assert record.status == "finished"


def test_recomputed_training_accuracy_does_not_lag_behind(tmp_path: Path) -> None:
    """The fault this mends: after few steps moving averages have hardly left their start."""
    histories = {}
    for kind in ("moving", "recomputed"):
        watcher = Silent()
        own = plan("gap", epochs=6, batch_norm=kind)
        train(own, pictures(), parts(), tmp_path / kind, watcher)
        histories[kind] = watcher.records
    assert [e.loss for e in histories["moving"]] == [e.loss for e in histories["recomputed"]]
    last = {kind: records[-1] for kind, records in histories.items()}
    assert last["recomputed"].train_loss < last["moving"].train_loss
    assert last["recomputed"].train_accuracy >= last["recomputed"].accuracy - 0.03
