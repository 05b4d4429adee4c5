"""Class maps against masks and chance."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headtohead.stats.maps import MapScores, area_gain, at_pixels, layout, objects_of, score_maps

SIDE, FIRST, STRIDE = 40, 10.5, 8.0


def disc(place: tuple[int, int], radius: int = 6) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.asarray((y - place[0]) ** 2 + (x - place[1]) ** 2 <= radius**2, np.uint8)


def score(maps: np.ndarray, masks: np.ndarray) -> MapScores:
    _, height, width = maps.shape
    return score_maps(maps, objects_of(masks, (height, width), FIRST, STRIDE))


def test_a_cell_is_laid_where_it_looks() -> None:
    """Else maps drift towards the edges, and every head is scored on the wrong pixels."""
    maps = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    laid = at_pixels(maps, SIDE, 10.0, STRIDE)[0]
    for row in range(3):
        for column in range(3):
            assert laid[10 + 8 * row, 10 + 8 * column] == maps[0, row, column]
    assert laid[14, 10] == pytest.approx(1.5)  # half-way between 0 and 3
    assert laid[0, 0] == 0
    assert laid[-1, -1] == 8


@given(st.integers(1, 12), st.integers(4, 60), st.floats(0, 20), st.floats(1, 9))
def test_laying_out_only_averages(cells: int, side: int, first: float, stride: float) -> None:
    """Else a map gains or loses strength where it is laid over its image."""
    weights = layout(cells, side, first, stride)
    assert weights.shape == (side, cells)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_a_map_on_the_object_scores_one_and_beside_it_nought() -> None:
    """Else good class maps and bad ones look alike."""
    masks = np.stack([disc((10, 10)), disc((27, 27))])
    on = np.zeros((2, 3, 3), np.float32)
    on[0, 0, 0] = on[1, 2, 2] = 1
    found = score(on, masks)
    assert found.pointing.tolist() == [1, 1]
    assert found.pointing_others.tolist() == [0, 0]
    assert (found.energy > 2 * found.energy_others).all()
    crossed = score(on[::-1], masks)
    np.testing.assert_allclose(crossed.energy, found.energy_others)
    assert crossed.pointing.tolist() == [0, 0]


def test_the_middle_is_chance() -> None:
    """Else a head that looks at the middle, where animals sit, seems to have found them."""
    masks = np.stack([disc((20, 20)), disc((4, 36))])
    found = score(np.ones((2, 3, 3), np.float32), masks)
    assert found.pointing_centre.tolist() == [1, 0]
    assert found.energy_centre[0] > 2 * masks[0].mean()
    assert found.energy_centre[1] < masks[1].mean()


@given(st.integers(0, 2**32 - 1))
def test_energy_is_what_it_says_on_the_pixels(seed: int) -> None:
    """Else the shortcut through cells gives other numbers than the definition."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(4, 3, 5)).astype(np.float32)
    assume((maps > 0).any(axis=(1, 2)).all())  # the next test has the others
    masks = rng.choice(np.array([0, 1, 255], np.uint8), size=(4, SIDE, SIDE))
    found = score(maps, masks)
    laid = at_pixels(np.clip(maps, 0, None), SIDE, FIRST, STRIDE).astype(np.float64)
    each = np.array(
        [
            [
                (laid[j] * (masks[i] == 1)).sum() / (laid[j] * (masks[i] != 255)).sum()
                for j in range(4)
            ]
            for i in range(4)
        ]
    )
    np.testing.assert_allclose(found.energy, np.diag(each), rtol=1e-5)
    rest = [(each[i].sum() - each[i, i]) / 3 for i in range(4)]
    np.testing.assert_allclose(found.energy_others, rest, rtol=1e-5)


def test_a_map_without_a_positive_part_counts_as_uniform() -> None:
    """Else a map that says nothing is dropped, and a head that says nothing looks good."""
    mask = disc((10, 10))[None]
    nothing = score(np.full((1, 3, 3), -2, np.float32), mask)
    uniform = score(np.ones((1, 3, 3), np.float32), mask)
    assert nothing.energy == pytest.approx(uniform.energy)
    assert nothing.energy == pytest.approx([mask.mean()])
    assert nothing.pointing == pytest.approx([1 / 9])


def test_pictures_without_a_mask_are_left_out() -> None:
    """Else images whose object is not known count as misses."""
    masks = np.stack([disc((10, 10)), np.full((SIDE, SIDE), 255, np.uint8)])
    maps = np.ones((2, 3, 3), np.float32)
    found = score(maps, masks)
    assert np.isnan(found.energy[1])
    assert found.mean()["energy"] == found.energy[0]
    assert np.isnan(score(maps[1:], masks[1:]).mean()["energy"])


def test_a_map_that_lies_wholly_on_a_border_costs_no_other_picture_its_score() -> None:
    """Else one map on a trimap's border leaves the whole run without a score, and a study without
    a verdict."""
    masks = np.stack([disc((10, 10)), disc((27, 27)), disc((20, 20))])
    corner = np.zeros((3, 3, 3), np.float32)
    corner[:2, 1, 1] = 1
    corner[2, 2, 2] = 1  # reaches from pixel 18.5 on
    masks[2, 18:, :] = masks[2, :, 18:] = 2
    found = score(corner, masks)
    assert np.isnan(found.energy[2])
    assert np.isfinite(found.energy[:2]).all()
    assert np.isfinite(found.energy_others).all()
    assert all(np.isfinite(value) for value in found.mean().values())


def test_a_single_picture_has_no_others() -> None:
    """Else its own map is called chance."""
    found = score(np.ones((1, 3, 3), np.float32), disc((9, 9))[None])
    assert np.isnan(found.energy_others).all()


def test_maps_and_masks_must_match() -> None:
    """Else maps are scored against other images' masks."""
    with pytest.raises(ValueError, match="one mask for each map"):
        score(np.ones((2, 3, 3)), np.zeros((1, 8, 8), np.uint8))


def test_a_perfect_order_gains_one_and_an_empty_one_nothing() -> None:
    """Else the curves of studies without masks mean nothing."""
    gone, back = np.zeros((2, 11)), np.ones((2, 11))
    assert area_gain(gone, back) == pytest.approx(1)
    assert area_gain(back, back) == pytest.approx(0)
    line = np.linspace(1, 0, 11)[None]
    assert area_gain(line, 1 - line) == pytest.approx(0)
