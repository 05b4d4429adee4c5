"""What Optuna is asked: proposals within the space, the same for the same trials, and informed."""

import sys
from typing import Any

import numpy as np
import pytest

from headtohead.config.search_space import Choices, Range
from headtohead.core.errors import UsageError
from headtohead.tuning.proposals import optuna, propose

SPACE: dict[str, Range | Choices] = {
    "rate": Range(low=1e-4, high=1e-2, log=True),
    "maps": Range(low=1, high=8),
    "hidden": Choices(([50, 50], [100, 100], [200, 200])),
    "flip": Choices((False, True)),
}


def drawn(count: int, seed: int) -> list[dict[str, Any]]:
    return propose(SPACE, [], count=count, seed=seed)


def test_proposals_lie_within_the_space_and_can_be_written() -> None:
    """Else a trial fails that the study allowed, or its values cannot be read back."""
    for values in drawn(20, seed=1):
        assert list(values) == list(SPACE)
        assert all(values[name] in SPACE[name] for name in SPACE)
        assert isinstance(values["maps"], int)
        assert float(f"{values['rate']:.3g}") == values["rate"]


def test_the_same_trials_give_the_same_proposals() -> None:
    """Else a search that was interrupted ends otherwise than one that was not."""
    told = [(values, float(score)) for score, values in enumerate(drawn(8, seed=2))]
    first, again, other = (propose(SPACE, told, count=2, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    assert first[0] != first[1]


def test_trials_teach() -> None:
    """Else tuning is a random search that calls itself otherwise."""
    best = np.log(3e-3)
    told = [
        (values, -abs(float(np.log(values["rate"])) - best) + float(values["flip"]))
        for values in drawn(40, seed=5)
    ]
    asked = [v for seed in range(10) for v in propose(SPACE, told, count=2, seed=seed)]
    far = np.mean([abs(np.log(values["rate"]) - best) for values in asked])
    far_by_chance = np.mean([abs(np.log(values["rate"]) - best) for values, _ in told])
    assert far < far_by_chance / 2
    assert np.mean([values["flip"] for values in asked]) > 0.8


def test_without_optuna_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a user of the plain package meets a traceback."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'headtohead\[tune\]'"):
        optuna()
