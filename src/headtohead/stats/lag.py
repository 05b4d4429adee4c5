"""Whether evaluation measures what the weights can do: batch-norm statistics may be behind them.

Running training accuracy is a mean over an epoch in which the weights still improve, with dropout
and augmentation in the way: all three make it the lower one. Where it is well above the accuracy
that is evaluated on training images after the same epoch, evaluation does not show the network
that was trained, and differently for each head, so that no verdict can be given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headtohead.stats.paired import DECIMALS

LAG = 0.03
"""More than this much, as a share, and a head is not judged. Sampling noise of the images that
are evaluated is smaller: 1.6 points of standard error for 1,000 of them at 50 %, of one seed."""


@dataclass(frozen=True)
class Lag:
    """Mean training accuracies over `seeds` seeds, shares in [0, 1], running above evaluated."""

    running: float
    evaluated: float
    seeds: int

    @property
    def excess(self) -> float:
        """Running minus evaluated accuracy."""
        return round(self.running - self.evaluated, DECIMALS)


def lag(accuracies: Sequence[tuple[float, float]]) -> Lag | None:
    """From each seed's (running, evaluated) training accuracy of one epoch; None where at most LAG.

    None without seeds, and where a value is not finite: what was not recorded shows no lag.
    """
    if not accuracies:
        return None
    running, evaluated = np.mean(accuracies, axis=0).tolist()
    found = Lag(running, evaluated, len(accuracies))
    return found if found.excess > LAG else None
