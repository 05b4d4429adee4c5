"""Pictures as batches: the numbers the article's code would feed, without copying the set."""

import numpy as np
import torch

from headtohead.training.inputs import Pictures


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
