"""Images as batches: the numbers the article's code would feed, without copying the set."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from headtohead.config.recipe import AugmentSpec
from headtohead.heads.table import build_head
from headtohead.training.augment import Augmentation
from headtohead.training.inputs import Features, Pictures


def test_a_batch_is_the_pictures_divided_by_255_channels_last() -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 6, 8, 3), dtype=np.uint8)
    source = Pictures(images, np.arange(10), torch.device("cpu"))
    batch, labels = source.batch(source.rows(np.array([7, 0, 7])))
    assert batch.dtype == torch.float32
    assert batch.shape == (3, 3, 6, 8)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert labels.tolist() == [7, 0, 7]
    expected = images[[7, 0, 7]].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(batch.numpy(), expected)


def test_the_array_is_shared_not_copied() -> None:
    """Copies of a large set in every worker would not fit in memory."""
    images = np.zeros((2, 2, 2, 3), dtype=np.uint8)
    source = Pictures(images, np.arange(2), torch.device("cpu"))
    images[1] = 255
    assert source.batch(source.rows(np.array([1])))[0].min() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_a_mapped_set_is_read_without_taking_memory_of_its_own(tmp_path: Path) -> None:
    """Lost: training on a set larger than the memory. What is read must stay the file's pages."""
    images = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (1024, 128, 128, 3))
    images[:, 64] = 9
    images.flush()
    del images
    source = Pictures(np.load(tmp_path / "a.npy", mmap_mode="r"), np.zeros(1024, np.int64), CPU)
    order = np.random.default_rng(0).permutation(1024)
    source.batch(source.rows(order[:32]))  # PyTorch's own memory is taken
    before = memory()
    least = min(
        int(255 * source.batch(source.rows(rows))[0][:, 0, 64].min() + 0.5)
        for rows in np.split(order, 32)
    )
    assert least == 9  # every image was read
    assert memory() - before < 20e6  # of 48 MiB in the file


def test_a_part_is_its_rows_alone() -> None:
    """Lost: the speed of a head that pools, measured on some batch other than the study's."""
    images = np.random.default_rng(0).integers(0, 256, (10, 6, 8, 3), dtype=np.uint8)
    part = Pictures(images, np.arange(10), CPU).part(np.array([7, 2]))
    batch, labels = part.batch(part.rows(np.array([1])))
    assert len(part) == 2
    assert part.labels.tolist() == [7, 2]
    assert labels.tolist() == [2]
    np.testing.assert_array_equal(batch[0].permute(1, 2, 0).numpy() * 255, images[2])


def test_a_part_of_features_has_its_views_and_pools_no_other_rows() -> None:
    """Lost: memory and time, where a few rows are wanted and all are pooled."""
    maps = np.random.default_rng(0).random((2, 6, 3, 3, 4), np.float32)
    features = Features(maps, np.arange(6), CPU)
    head = build_head("gmp", 4, (3, 3), 2)
    features.for_head(head)
    part = features.part(np.array([4, 1]))
    whole, _ = part.batch(part.rows(np.arange(2)))
    np.testing.assert_array_equal(whole.permute(0, 2, 3, 1).numpy(), maps[0, [4, 1]])
    mirrored = Augmentation(AugmentSpec(flip=True), CPU)
    draws = torch.zeros((2, 7), dtype=torch.float64)
    other, _ = part.augmented(part.rows(np.arange(2)), draws, mirrored)
    np.testing.assert_array_equal(other.permute(0, 2, 3, 1).numpy(), maps[1, [4, 1]])
    pooled = part.for_head(head)
    assert len(pooled) == 2
    values, _ = pooled.batch(pooled.rows(np.arange(2)))
    np.testing.assert_array_equal(values.numpy(), maps[0, [4, 1]].max((1, 2)))


CPU = torch.device("cpu")


def memory() -> int:
    """Bytes of this process that are no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {name: text for name, _, text in (line.partition(":") for line in lines)}
    return 1024 * int(found["RssAnon"].split()[0])
