"""How many inputs a fuzzer makes: some, always the same; HEADTOHEAD_THOROUGH=1: ten times, new."""

import os

from hypothesis import HealthCheck, settings

THOROUGH = bool(os.environ.get("HEADTOHEAD_THOROUGH"))


def inputs(count: int) -> settings:
    """The settings of a test that tries `count` inputs, without a database of its own."""
    return settings(
        max_examples=count * (10 if THOROUGH else 1),
        derandomize=not THOROUGH,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
