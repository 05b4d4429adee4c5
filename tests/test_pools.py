"""The fixed pools: the quick way to what is pooled once is the pool itself, to the bit."""

import pytest
import torch

from headtohead.heads.pools import Largest, maxima, of_stored


@pytest.mark.parametrize("k", [1, 2, 4, 25, 49])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_the_largest_of_stored_maps_are_those_that_a_step_takes(
    k: int, form: torch.memory_format
) -> None:
    """Else runs on what was pooled once and runs on maps are no pairs, or a NaN goes unseen."""
    maps = torch.randn(9, 33, 7, 7, generator=torch.Generator().manual_seed(k)).relu()
    maps[1, 2, 3, 4], maps[2, 5, 0, 0] = torch.nan, torch.inf
    maps = maps.contiguous(memory_format=form)
    pool = Largest(k)
    found = of_stored(pool, maps)
    torch.testing.assert_close(found, pool(maps), rtol=0, atol=0, equal_nan=True)
    assert found[1, 2].isnan()
    assert found.isnan().sum() == 1
    assert found[2, 5].isinf()
    assert torch.equal(of_stored(maxima, maps[3:]), maps[3:].amax((2, 3)))
