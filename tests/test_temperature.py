"""The temperature that makes confidence true."""

import numpy as np
import pytest

from headtohead.core.streams import stream
from headtohead.stats.metrics import predictions
from headtohead.stats.temperature import fit_temperature


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_logits_that_are_too_large_are_cooled_by_as_much(outputs: int, scale: float) -> None:
    """Else probabilities stay too sure, or too timid: labels drawn by the true probabilities."""
    random = stream(0, "temperature")
    logits = random.normal(0, 2, (40_000, outputs))
    full = np.hstack([np.zeros_like(logits), logits]) if outputs == 1 else logits
    labels = (full + random.gumbel(size=full.shape)).argmax(axis=1)
    found = fit_temperature(scale * logits, labels)
    assert found == pytest.approx(scale, rel=0.05)
    assert np.array_equal(predictions(logits / found), predictions(logits))


def test_what_gives_no_temperature_is_refused() -> None:
    for logits in (np.empty((0, 1)), np.array([[np.inf]])):
        with pytest.raises(ValueError, match="finite"):
            fit_temperature(logits, np.zeros(len(logits), np.int64))
