"""What to try next: Optuna proposes, from the trials that it is told of."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headtohead.config.search_space import Choices, Range
from headtohead.core.errors import UsageError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STARTUP = 5
"""Trials that are told before a proposal is more than a random draw."""

DIGITS = 3
"""Significant digits of a proposed number: more than a trial can tell apart, and readable."""


def optuna() -> ModuleType:
    """The library, which is an extra. Raises UsageError where it is not installed."""
    try:
        import optuna as library
    except ModuleNotFoundError as error:
        raise UsageError(
            f"tuning needs Optuna ({error}): install it by `pip install 'headtohead[tune]'`."
        ) from None
    return library


def propose(
    space: Mapping[str, Range | Choices],
    told: Sequence[tuple[Mapping[str, Any], float]],
    *,
    count: int,
    seed: int,
) -> list[dict[str, Any]]:
    """The next `count` trials' values, of each name in `space`, the higher the score the better.

    `told` are earlier trials, each with its values and its score. By the tree-structured Parzen
    estimator (Bergstra et al. 2011; Optuna's, with a constant liar for those asked for together).
    The same arguments give the same proposals: nothing is kept between calls.
    """
    library = optuna()
    library.logging.set_verbosity(library.logging.WARNING)
    sampler = library.samplers.TPESampler(n_startup_trials=STARTUP, constant_liar=True, seed=seed)
    study = library.create_study(direction="maximize", sampler=sampler)
    distributions = {name: _distribution(library, domain) for name, domain in space.items()}
    for values, score in told:
        params = {name: _encoded(space[name], values[name]) for name in space}
        trial = library.trial.create_trial(params=params, distributions=distributions, value=score)
        study.add_trial(trial)
    asked = [study.ask(distributions).params for _ in range(count)]
    return [{name: _decoded(space[name], params[name]) for name in space} for params in asked]


def _distribution(library: ModuleType, domain: Range | Choices) -> "BaseDistribution":
    kinds = library.distributions
    found: BaseDistribution
    if isinstance(domain, Choices):
        found = kinds.CategoricalDistribution(range(len(domain.root)))
    elif isinstance(domain.low, int) and isinstance(domain.high, int):
        found = kinds.IntDistribution(domain.low, domain.high, log=domain.log)
    else:
        found = kinds.FloatDistribution(domain.low, domain.high, log=domain.log)
    return found


def _encoded(domain: Range | Choices, value: Any) -> Any:
    """A choice by its place: Optuna takes no lists, and the places have no order to it."""
    return domain.root.index(value) if isinstance(domain, Choices) else value


def _decoded(domain: Range | Choices, param: Any) -> Any:
    if isinstance(domain, Choices):
        return domain.root[param]
    if isinstance(param, int):
        return param
    rounded = float(f"{param:.{DIGITS}g}")
    return min(max(rounded, float(domain.low)), float(domain.high))
