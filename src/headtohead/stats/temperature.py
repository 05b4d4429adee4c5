"""One number that makes a model's confidence true: logits in, temperature out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headtohead.stats.metrics import cross_entropy

HOTTEST = 100.0
"""Temperatures lie within 1 / HOTTEST and HOTTEST: where all is right (wrong), there is no best."""


def fit_temperature(logits: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
    """The T > 0 for which (n, outputs) logits / T have the least cross-entropy on (n,) labels.

    It changes no predicted class (Guo et al. 2017, arXiv 1706.04599, section 4.2). To be fitted on
    validation. Raises ValueError for no images and for logits that are not finite.
    """
    from scipy.optimize import minimize_scalar  # slow to import; a report has no need of it

    if not len(labels) or not np.isfinite(logits).all():
        raise ValueError(f"a temperature needs finite logits of images; received {logits.shape}")
    values = np.asarray(logits, np.float64)
    limit = np.log(HOTTEST)
    found = minimize_scalar(
        lambda log_t: cross_entropy(values / np.exp(log_t), labels),
        bounds=(-limit, limit),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))
