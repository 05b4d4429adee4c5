"""Pictures as batches: the numbers the article's code would feed, without copying the set."""

import sys
from pathlib import Path

import numpy as np
import pytest
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
    anonymous, mapped = (after - taken for after, taken in zip(memory(), before, strict=True))
    assert least == 9
    assert mapped > 40e6  # of 48 MiB in the file
    assert anonymous < 20e6


CPU = torch.device("cpu")


def memory() -> tuple[int, int]:
    """Bytes of this process: anonymous ones, and those of mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {name: text for name, _, text in (line.partition(":") for line in lines)}
    anonymous, mapped = (int(found[name].split()[0]) for name in ("RssAnon", "RssFile"))
    return 1024 * anonymous, 1024 * mapped
