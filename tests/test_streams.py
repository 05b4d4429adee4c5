"""Seed streams: the same everywhere and for ever, and unrelated to each other."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headtohead.core.streams import stream, stream_seed

SEEDS = st.integers(0, 10_000)
NAMES = st.sampled_from(["init/backbone", "init/head", "order", "augment", "dropout", "split"])
KEYS = st.lists(st.integers(0, 50) | st.sampled_from(["fc", "gap"]), max_size=3)


def test_streams_are_what_they_always_were() -> None:
    """Else every recorded study trains on other weights and batches than it says."""
    assert stream_seed(0, "init/backbone") == 3519669520816113007
    assert stream_seed(3, "init/head", "gap") == 3964130599160908190
    assert stream(1, "order", 2).permutation(8).tolist() == [2, 1, 4, 5, 0, 3, 6, 7]


def test_another_process_draws_the_same() -> None:
    """Else a resumed run, or one in another worker, sees another order of images."""
    code = (
        "from headtohead.core.streams import stream; "
        "print(stream(5, 'order', 7).integers(0, 2**62))"
    )
    environment = {"PYTHONHASHSEED": "123", "PYTHONPATH": ":".join(sys.path)}
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert int(printed) == stream(5, "order", 7).integers(0, 2**62)


@given(seed=SEEDS, name=NAMES, keys=KEYS, read=st.integers(0, 1000))
def test_a_stream_starts_anew_wherever_others_stand(
    seed: int, name: str, keys: list[int | str], read: int
) -> None:
    """Else a head's own dropout shifts the batches of the epochs after it."""
    stream(seed, name, *keys).random(read)
    first, second = stream(seed, name, *keys), stream(seed, name, *keys)
    assert np.array_equal(first.random(4), second.random(4))


@given(first=st.tuples(SEEDS, NAMES, KEYS), second=st.tuples(SEEDS, NAMES, KEYS))
def test_different_keys_give_different_streams(
    first: tuple[int, str, list[int | str]], second: tuple[int, str, list[int | str]]
) -> None:
    """Else two streams are one, such as the order of seed 1's epoch 11 and seed 11's epoch 1."""
    same = (first[:2], [*map(str, first[2])]) == (second[:2], [*map(str, second[2])])
    mine, theirs = (stream_seed(seed, name, *keys) for seed, name, keys in (first, second))
    assert (mine == theirs) == same
    assert 0 <= mine < 2**63, "both PyTorch and NumPy must take it"


def test_neighbouring_streams_are_unrelated() -> None:
    """Else replicates are correlated, and intervals over seeds too narrow."""
    draws = np.array([stream(seed, "order", 0).standard_normal(4000) for seed in range(12)])
    correlations = np.corrcoef(draws)[np.triu_indices(12, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)
