"""Augmentation: what it does to an image, and that every head sees the same."""

import numpy as np
import torch

from headtohead.config.recipe import AugmentSpec
from headtohead.training.augment import Augmentation, augmentation

CPU = torch.device("cpu")


def pictures(count: int = 64, size: int = 20) -> torch.Tensor:
    values = np.random.default_rng(0).random((count, 3, size, size), dtype=np.float32)
    return torch.from_numpy(values).contiguous(memory_format=torch.channels_last)


def changed(spec: AugmentSpec, before: torch.Tensor, seed: int = 0, epoch: int = 1) -> torch.Tensor:
    augment = Augmentation(spec, CPU)
    return augment(before, augment.draw(len(before), seed, epoch))


def test_off_by_default_leaves_training_pictures_untouched() -> None:
    assert augmentation(AugmentSpec(), CPU) is None


def test_flip_mirrors_about_half_of_the_pictures_exactly() -> None:
    before = pictures()
    after = changed(AugmentSpec(flip=True), before)
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(after, before, strict=True)]
    mirrored = [torch.allclose(a, b.flip(2), atol=1e-5) for a, b in zip(after, before, strict=True)]
    assert all(one != other for one, other in zip(same, mirrored, strict=True))
    assert 16 < sum(mirrored) < 48


def test_a_picture_gets_the_same_change_however_the_epoch_is_batched() -> None:
    augment = augmentation(AugmentSpec(flip=True, crop=0.3, color=0.3), CPU)
    assert augment is not None
    before = pictures()
    draws = augment.draw(64, seed=3, epoch=2)
    together = augment(before, draws)
    apart = torch.cat([augment(before[i : i + 16], draws[i : i + 16]) for i in range(0, 64, 16)])
    torch.testing.assert_close(together, apart)


def test_epochs_and_seeds_differ() -> None:
    spec = AugmentSpec(crop=0.3)
    results = [changed(spec, pictures(), *keys) for keys in ((0, 1), (0, 2), (1, 1))]
    assert not torch.allclose(results[0], results[1])
    assert not torch.allclose(results[0], results[2])


def test_a_crop_shows_a_part_of_the_picture_and_no_border() -> None:
    """A window must lie inside the image: padding would be a cue that no test image has."""
    ramp = torch.linspace(0, 1, 40).expand(64, 3, 40, 40).contiguous()
    rows = changed(AugmentSpec(crop=0.5), ramp)[:, 0, 20, :]
    slopes = rows[:, 30] - rows[:, 10]
    plain = 20 / 39
    assert (slopes <= plain + 1e-4).all()
    assert (slopes >= 0.5 * plain - 1e-2).all()
    assert slopes.std() > 0.02


def test_colours_stay_in_range_and_change() -> None:
    before = pictures()
    after = changed(AugmentSpec(color=0.8), before.clone())
    assert after.min() >= 0
    assert after.max() <= 1
    assert (after - before).abs().mean() > 0.02
    assert after.is_contiguous(memory_format=torch.channels_last)
