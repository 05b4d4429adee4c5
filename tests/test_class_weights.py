"""Class weights: by hand, in the loss of one logit and of several, recorded and on features."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.heads.classifier import build_classifier
from headtohead.training.class_weights import balanced, class_weights, training_loss
from headtohead.training.inference import cross_entropy
from headtohead.training.inputs import Features, Pictures
from headtohead.training.step import EagerGradients, RecordedGradients

CPU = torch.device("cpu")
BALANCED = RecipeSpec(class_weights="balanced")
LABELS = np.array([0, 0, 0, 1])
WEIGHTS = torch.tensor([2 / 3, 2.0])


def test_weights_are_n_over_k_times_the_classes_number() -> None:
    """Otherwise "balanced" is not what scikit-learn's users know by that name."""
    labels = np.array([0] * 6 + [1] * 3 + [2])
    np.testing.assert_allclose(balanced(labels, 3), [10 / 18, 10 / 9, 10 / 3])
    assert balanced(labels, 3)[labels].mean() == pytest.approx(1)
    found = class_weights(BALANCED, LABELS, 2, CPU)
    assert found is not None
    assert found.tolist() == pytest.approx([2 / 3, 2])
    assert class_weights(RecipeSpec(), LABELS, 2, CPU) is None


def test_a_class_without_images_weighs_nothing_instead_of_infinitely_much() -> None:
    """An infinite weight makes every loss of the run not finite."""
    assert balanced(np.array([0, 0, 2, 2]), 3).tolist() == [4 / 6, 0, 4 / 6]


def test_one_logit_is_weighed_by_the_class_of_each_image() -> None:
    """BCE's own `pos_weight` weighs the other term; the smaller class would not count for more."""
    logits = torch.tensor([[0.0], [math.log(3)]])
    losses = [math.log(2), -math.log(3 / 4)]
    found = training_loss(logits, torch.tensor([0, 1]), WEIGHTS)
    assert float(found) == pytest.approx((2 / 3 * losses[0] + 2 * losses[1]) / 2)


def test_several_logits_give_the_mean_over_images_not_over_weights() -> None:
    """PyTorch's `weight` divides by the batch's weights, and leaves a batch of one class alone."""
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    losses = [-math.log(3 / 4), -math.log(1 / 4)]
    found = training_loss(logits, torch.tensor([0, 1]), WEIGHTS)
    assert float(found) == pytest.approx((2 / 3 * losses[0] + 2 * losses[1]) / 2)
    alone = training_loss(logits[:1], torch.tensor([1]), WEIGHTS)
    assert float(alone) == pytest.approx(2 * losses[1])


def test_without_weights_the_loss_is_the_one_it_was() -> None:
    """Otherwise runs of earlier versions cannot be repeated to the bit."""
    torch.manual_seed(0)
    logits, labels = torch.randn(32, 4), torch.randint(4, (32,))
    assert torch.equal(training_loss(logits, labels, None), cross_entropy(logits, labels))


def gradients_of(source: Pictures | Features, weights: Tensor | None, *, recorded: bool) -> Tensor:
    """The gradient of the head's weights after one step on all images."""
    model = build_classifier(BackboneSpec(), "gap", HeadSpec(), image_size=30, classes=2, seed=0)
    eager = EagerGradients(model, source, None, "float32", weights)
    rows = torch.arange(len(source))
    if recorded:
        RecordedGradients(eager, rows, None, record=lambda body: (body(), lambda: None))(rows, None)
    else:
        eager(rows, None)
    found = [p.grad for p in model.head.parameters() if p.grad is not None]
    return torch.cat([value.flatten() for value in found])


def pictures() -> Pictures:
    images = np.random.default_rng(0).integers(0, 255, (4, 30, 30, 3), dtype=np.uint8)
    return Pictures(images, LABELS, CPU)


def features() -> Features:
    maps = np.random.default_rng(0).normal(size=(1, 4, 3, 3, 64)).astype(np.float32)
    return Features(maps, LABELS, CPU)


def doubled(source: Pictures | Features) -> Tensor:
    """What class 1's image, counted three times among six, gives by the unweighted loss."""
    alone = [gradients_of_rows(source, [row]) for row in (0, 1, 2, 3)]
    return (sum(alone[:3]) + 3 * alone[3]) / 6


def gradients_of_rows(source: Pictures | Features, rows: list[int]) -> Tensor:
    model = build_classifier(BackboneSpec(), "gap", HeadSpec(), image_size=30, classes=2, seed=0)
    model.head.train()
    inputs, labels = source.batch(torch.arange(len(source)))
    maps = source.maps(model.backbone, inputs)
    cross_entropy(model.head(maps)[rows], labels[rows]).backward()
    found = [p.grad for p in model.head.parameters() if p.grad is not None]
    return torch.cat([value.flatten() for value in found])


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("source", [pictures, features])
def test_a_step_weighs_images_as_if_the_small_class_were_as_large(
    source: Callable[[], Pictures | Features], recorded: bool
) -> None:
    """With three images against one, the one counts three times: eagerly, recorded, on features."""
    made = source()
    found = gradients_of(made, class_weights(BALANCED, LABELS, 2, CPU), recorded=recorded)
    torch.testing.assert_close(found, doubled(made), rtol=1e-4, atol=1e-6)
    plain = gradients_of(made, None, recorded=recorded)
    assert not torch.allclose(found, plain, rtol=1e-2)
