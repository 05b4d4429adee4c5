"""What must be said before any result: heads that cannot be judged, and heads that learned nothing.

Neither is mended by more seeds.
"""

from collections.abc import Sequence

from headtohead.analysis.lags import REMEDY
from headtohead.core.text import names
from headtohead.report.summary import HeadComparison, Summary
from headtohead.stats import LAG

LEARN_MORE = (
    "Train for more epochs, with smaller batches (so that there are more steps) or at a larger "
    "learning rate, and check the labels (headtohead data check). More seeds do not help."
)


def not_judged(summary: Summary, tested: Sequence[HeadComparison]) -> str:
    """Which pairs are not judged, in a sentence; of a study without pairs, which heads."""
    unjudged = [item.other for item in tested if not item.judged]
    lagging = list(summary.lags)
    if any(item.first != summary.reference for item in tested):
        unjudged = [f"{i.first} against {i.other}" for i in tested if not i.judged]
        return f"Not judged: {names(unjudged)}, for evaluation does not show what was learned."
    if unjudged and len(unjudged) < len(tested):
        return (
            f"Not judged: {summary.reference} against {names(unjudged)}, for evaluation does not "
            f"show what {names(lagging)} learned."
        )
    return f"Not judged: evaluation does not show what {names(lagging)} learned."


def why_and_remedy(summary: Summary) -> str:
    """Why evaluation shows it not, and what to do."""
    their = "their" if len(summary.lags) > 1 else "its"
    return (
        f"The batch-norm statistics of {names(list(summary.lags))} are behind {their} weights: "
        f"training images are named rightly less often when evaluated than while training, by more "
        f"than {100 * LAG:g} points. {REMEDY}. More seeds do not help."
    )


def nothing_learned(summary: Summary) -> str:
    """That no head beats the largest class, in a sentence."""
    found = summary.baseline
    known = [item.head for item in summary.standings]
    heads = "no head beats" if len(known) > 1 else f"{known[0]} does not beat"
    return (
        f"Nothing was learned that the test images show: {heads} always naming {found.name}, the "
        f"largest class ({summary.chance})."
    )


def lost(summary: Summary) -> str:
    """Which heads stay at the largest class while others learn; empty for none."""
    heads = summary.at_majority
    if not heads or summary.nothing_learned:
        return ""
    stay = "stays" if len(heads) == 1 else "stay"
    return f"{names(heads)} {stay} at the largest class ({summary.chance})."


def lost_fairly(summary: Summary) -> str:
    """What that means, and that it counts where another head learned; empty for none."""
    if not lost(summary):
        return ""
    heads, named = summary.at_majority, summary.baseline.name
    verb, lose = ("is", "it has lost") if len(heads) == 1 else ("are", "they have lost")
    learned = [item.head for item in summary.standings if item.beats]
    fair = f": {names(learned)} learned from the same images, so {lose} fairly" if learned else ""
    return f"{names(heads)} {verb} no better on the test images than always naming {named}{fair}."
