"""The classifier: fair starts, counted parameters, and no trace left in the caller's session."""

from typing import Any

import numpy as np
import pytest
import torch

from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.core.errors import RunError, UsageError
from headtohead.heads.classifier import Classifier, build_classifier, check_outputs, outputs_for
from headtohead.heads.pooling import GlobalAverage
from headtohead.heads.table import HEADS


def build(name: str, seed: int = 0, **settings: Any) -> Classifier:
    options = {"image_size": 32, "classes": 2, "head": HeadSpec(), "backbone": BackboneSpec()}
    return build_classifier(name=name, seed=seed, **{**options, **settings})


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    mine, theirs = first.state_dict(), second.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


def test_every_head_of_a_seed_starts_on_the_same_backbone() -> None:
    """Else a head wins by its backbone's luck, and pairing by seed pairs nothing."""
    trunks = [build(name, seed=4).backbone for name in HEADS]
    assert all(same(trunks[0], trunk) for trunk in trunks[1:])
    assert same(trunks[0], build("gap", seed=4, classes=7).backbone)
    assert same(trunks[0], build("gap", seed=4, image_size=50).backbone)


def test_seeds_differ_in_backbone_and_head() -> None:
    """Else replicates are copies, and the spread over seeds is a fiction."""
    for name in HEADS:
        models = [build(name, seed) for seed in range(3)]
        for first, second in [(0, 1), (0, 2), (1, 2)]:
            assert not same(models[first].backbone, models[second].backbone)
            drawn = not HEADS[name].cls.closed_form  # those begin empty
            assert same(models[first].head, models[second].head) != drawn


def test_building_twice_gives_the_same_model() -> None:
    """Else a study cannot be repeated."""
    for name in HEADS:
        assert same(build(name, seed=9), build(name, seed=9))


def test_a_heads_start_does_not_hang_on_the_backbone() -> None:
    """Else changing the trunk silently redraws the head: streams must not follow each other."""
    other = BackboneSpec(options={"widths": [8, 64]})
    small, large = build("gap"), build("gap", backbone=other)
    assert not same(small.backbone, large.backbone)
    assert same(small.head, large.head)


def test_candidates_draw_from_streams_of_their_own() -> None:
    """Else two candidates with one kind of head start alike, and count as independent."""
    twin = build("again", head=HeadSpec(head="gap"))
    assert same(build("gap").backbone, twin.backbone)
    assert not same(build("gap").head, twin.head)


def test_building_leaves_the_callers_random_numbers_alone() -> None:
    """Else a notebook's own results change with how many models were built before."""
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state(legacy=False)  # noqa: NPY002
    build("fc_dropout", seed=3)
    assert torch.equal(before[0], torch.get_rng_state())
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    np.testing.assert_equal(after, before[1])


def test_a_failed_build_leaves_them_alone_too() -> None:
    """Else a mistyped option changes what is drawn after it."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with pytest.raises(UsageError):
        build("gap", head=HeadSpec(options={"nothing": 1}))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "trainable", "total"),
    [
        ("fc", 692_197, 705_453),
        ("fc_dropout", 692_197, 705_453),
        ("gap", 28_961, 29_217),
        ("avgpool2x2", 30_497, 30_753),
    ],
)
def test_parameters_are_counted_as_the_article_counts(
    name: str, trainable: int, total: int
) -> None:
    """Else the table's first column contradicts the article's."""
    counted = build(name, image_size=100).parameters_count()
    assert (counted.trainable, counted.total) == (trainable, total)
    assert counted.backbone + counted.head == counted.trainable
    assert counted.backbone == 28_896


def test_with_a_head_that_is_computed_nothing_is_trained() -> None:
    """Else results.csv gives class means 28,896 trainable parameters that no step ever moves."""
    counted = build("class_mean").parameters_count()
    assert (counted.backbone, counted.head, counted.trainable) == (28_896, 0, 0)


@pytest.mark.parametrize(("classes", "outputs"), [(2, 1), (3, 3), (10, 10)])
def test_two_classes_give_one_logit_and_more_give_one_each(classes: int, outputs: int) -> None:
    """Else the loss meets logits of another shape than it was written for."""
    assert outputs_for(classes) == outputs
    logits = build("gap", classes=classes).eval()(torch.rand(3, 3, 32, 32))
    assert logits.shape == (3, outputs)


@pytest.mark.parametrize(
    ("name", "image_size", "words"),
    [
        ("gap", 21, "image size 21 is too small .* needs at least 22"),
        ("avgpool2x2", 22, "maps of at least 2 × 2; received 1 × 1"),
        ("unheard", 32, "no head 'unheard'"),
    ],
)
def test_models_that_cannot_be_are_refused(name: str, image_size: int, words: str) -> None:
    """Else an image size that is too small ends in a traceback from within a layer."""
    with pytest.raises(UsageError, match=words):
        build(name, image_size=image_size)


def test_a_candidates_options_reach_its_head() -> None:
    """Else a tuned candidate is the untuned one under another name."""
    tuned = HeadSpec(head="fc", options={"hidden": [10, 5], "dropout": 0.25})
    head = build("fc-small", head=tuned).head
    assert [m.out_features for m in head.modules() if isinstance(m, torch.nn.Linear)] == [10, 5, 1]
    assert [m.p for m in head.modules() if isinstance(m, torch.nn.Dropout)] == [0.25]


class Five(GlobalAverage):
    """Five logits, whatever is asked for."""

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, 5)


class Vector(GlobalAverage):
    """(N,) in place of (N, 1)."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(features)[:, 0]


@pytest.mark.parametrize(
    ("head", "classes", "shape"),
    [(Five, 2, r"\(2, 5\)"), (Five, 3, r"\(2, 5\)"), (Vector, 2, r"\(2,\)")],
)
def test_logits_of_another_shape_are_told(
    head: type[GlobalAverage], classes: int, shape: str
) -> None:
    """Else the head trains to its end, and then no page can be made for any head."""
    backbone = build("gap").backbone
    model = Classifier(backbone, head(64, backbone.map_size(32), outputs_for(classes)))
    with pytest.raises(RunError, match=f"mine gives {shape}"):
        check_outputs(model, "mine", image_size=32, classes=classes)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("name", HEADS)
def test_shipped_heads_pass_and_nothing_of_them_moves(name: str, classes: int) -> None:
    """Else the check changes what is trained."""
    model, untouched = build(name, classes=classes).train(), build(name, classes=classes)
    state = torch.random.get_rng_state()
    check_outputs(model, name, image_size=32, classes=classes)
    assert same(model, untouched)
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), state)
