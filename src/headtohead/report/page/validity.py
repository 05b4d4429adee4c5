"""What must be said before any result: heads that cannot be judged, and heads that learned nothing.

Neither is mended by more seeds.
"""

import math
from collections.abc import Sequence

from headtohead.analysis.baseline import Standing
from headtohead.config.recipe import AugmentSpec
from headtohead.core.text import FEW, few_names, names, signed
from headtohead.data.holdout import ENOUGH
from headtohead.report.comparisons import HeadComparison
from headtohead.report.summary import HeadResult, Summary
from headtohead.stats import LAG, bounds

MORE_IMAGES = (
    f"Give more test images, {ENOUGH} or more: a larger folder, or a larger share of it as test "
    "split (split in a study file)."
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


def not_trusted(summary: Summary) -> str:
    """Lagging heads where all tested pairs are judged, why and what to do; empty for none."""
    lagging = list(summary.lags)
    if not lagging:
        return ""
    their, are = ("their", "they are") if len(lagging) > 1 else ("its", "it is")
    return (
        f"Evaluation does not show what {names(lagging)} learned: do not rely on {their} "
        f"numbers. In these verdicts {are} not compared. {why_and_remedy(summary)}"
    )


def why_and_remedy(summary: Summary) -> str:
    """Why evaluation shows it not, and what to do: by each head's recipe and batch norm."""
    behind: list[HeadResult] = []
    others: list[HeadResult] = []
    for found in summary.heads:
        if found.head in summary.lags:
            study = summary.file.study
            moving = study.recipe_for(found.head).batch_norm == "moving"
            fixed = study.backbone.frozen and not study.backbone.norm
            known = moving and not fixed and found.parameters.has_statistics
            (behind if known else others).append(found)
    told = [
        f"Training accuracy of {names(list(summary.lags))} is lower when evaluated than while "
        f"training, by more than {100 * LAG:g} points."
    ]
    if behind:
        their = "their" if len(behind) > 1 else "its"
        told.append(
            f"The batch-norm statistics of {names([found.head for found in behind])} are behind "
            f"{their} weights. Use batch_norm: recomputed in the recipe, which computes the "
            f"statistics again before each evaluation, or train for more steps (more epochs, "
            f"smaller batches)."
        )
    if others:
        told.append(_worse_at_the_end(summary, others))
    return " ".join([*told, "More seeds do not help."])


def _worse_at_the_end(summary: Summary, found: Sequence[HeadResult]) -> str:
    """Of heads whose evaluation batch norm does not hold back."""
    recipes = [summary.file.study.recipe_for(one.head) for one in found]
    heads = names([one.head for one in found])
    their = "their" if len(found) > 1 else "its"
    why = f"The batch-norm statistics of {heads} are not behind {their} weights."
    if not any(one.parameters.has_statistics for one in found):
        why = f"There is no batch norm in the models of {heads}."
    cosine = " or use schedule: cosine" if any(r.schedule != "cosine" for r in recipes) else ""
    return (
        f"{why} The weights at the end of an epoch are worse than those during the epoch. Lower "
        f"the learning rate{cosine}."
    )


def nothing_learned(summary: Summary) -> str:
    """That no head beats the largest class, in a sentence."""
    found = summary.baseline
    known = [item.head for item in summary.standings if item.head not in summary.lags]
    heads = "no head beats" if len(known) > 1 else f"{known[0]} does not beat"
    if summary.lags and len(known) > 1:
        heads = f"{names(known)} do not beat"
    return (
        f"Nothing was learned that the test images show: {heads} always predicting {found.name}, "
        f"the largest class ({summary.chance})."
    )


def learn_more(summary: Summary) -> str:
    """What may help where nothing was learned, by what heads made of their training images."""
    longer, fit = to_train_longer(summary), summary.fitted
    labels = "check the labels (headtohead data check)"
    told = []
    if longer:
        who = f" {few_names(longer)}" if fit else ""
        told.append(
            f"Train{who} for more epochs, with smaller batches (so that there are more steps) or "
            f"at a larger learning rate, and {labels}."
        )
    if fit:
        verb, its = ("classifies", "its") if len(fit) == 1 else ("classify", "their")
        told.append(
            f"{few_names(list(fit))} {verb} {_range(list(fit.values()))} of {its} training images "
            f"correctly: more epochs do not help {'it' if len(fit) == 1 else 'them'}."
        )
    if fit or not longer:
        checked = "" if longer else f", and {labels}"
        told.append(f"Try {_other_ways(summary)}{checked}.")
    return " ".join([*told, "More seeds do not help."])


def to_train_longer(summary: Summary) -> list[str]:
    """Heads that are trained, came to their end, and do not fit their training images yet."""
    aside = {*summary.fitted, *summary.in_closed_form}
    return [found.head for found in summary.heads if found.finished and found.head not in aside]


def _other_ways(summary: Summary) -> str:
    """What may help but training, of what the study does not have already."""
    study = summary.file.study
    trained = [head for head in study.heads if head not in summary.in_closed_form]
    ways = ["more training images"]
    if trained and all(study.recipe_for(head).augment == AugmentSpec() for head in trained):
        ways.append("augmentation (augment in the recipe)")
    if study.backbone.weights is None:
        ways.append("a pretrained backbone (--backbone timm:NAME --weights pretrained)")
    return " or ".join(filter(None, [", ".join(ways[:-1]), ways[-1]]))


def _range(shares: Sequence[float]) -> str:
    """`99.2 %`, `99.2 to 100.0 %`."""
    low, high = f"{100 * min(shares):.1f}", f"{100 * max(shares):.1f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def too_few_images(summary: Summary) -> bool:
    """Whether a head's lead over the largest class would be shown if ENOUGH images had given it."""
    images = summary.baseline.images
    width = math.sqrt(images / ENOUGH)  # of the interval there, as a share of its width here

    def would(standing: Standing) -> bool:
        found = standing.over_images
        if found is None or found.mean <= 0:
            return False
        return found.low is None or found.mean > width * (found.mean - found.low)

    return images < ENOUGH and any(would(standing) for standing in summary.standings)


def not_shown(summary: Summary) -> str:
    """That the test images are too few to show that a head learned, in a sentence."""
    found = summary.baseline
    lead, head = max(
        (item.over_images.mean, item.head) for item in summary.standings if item.over_images
    )
    return (
        f"{found.images:,} test images are too few to show whether anything was learned: {head} is "
        f"{100 * lead:.1f} points above always predicting {found.name}, the largest class "
        f"({summary.chance}), which may be chance."
    )


def all_failed(summary: Summary) -> str:
    """That no run came to its end, and why the first did not, in a sentence."""
    first, *others = summary.runs
    so_far = " so far" if summary.unfinished else ""
    told = f"All {len(others) + 1:,} runs{so_far} failed" if others else f"The run{so_far} failed"
    return f"{told}. First failure, of {first.head} at seed {first.seed}: {first.failure}."


def without_runs(summary: Summary) -> str:
    """Why a study has no finished run, and what to do."""
    if not summary.runs:
        return "No run is finished. Run `headtohead compare`."
    return f"{all_failed(summary)} {failed_remedy(summary)}"


def failed(summary: Summary, *heads: str) -> str:
    """Of these heads, else of all, those of which all runs failed, each with its first reason.

    Empty for none.
    """
    lines = []
    for name in [head for head in summary.failed if not heads or head in heads]:
        first = next(run for run in summary.runs if run.head == name)
        so_far = " so far" if any(head == name for head, _ in summary.unfinished) else ""
        lines.append(
            f"Every run of {name}{so_far} failed. "
            f"First failure, at seed {first.seed}: {first.failure}."
        )
    return " ".join(lines)


def failed_remedy(summary: Summary) -> str:
    """What to do about heads all of whose runs failed; empty for none."""
    heads, study = summary.failed, summary.file.study
    if not heads:
        return ""
    rates = sorted({study.recipe_for(head).learning_rate for head in heads})
    now = names([f"{rate:g}" for rate in rates])
    of = "" if len(heads) == len(summary.heads) else f" of {names(heads)}"
    return (
        f"Lower the learning rate{of} (learning_rate in the recipe, now {now}) and compare again. "
        f"More seeds do not help."
    )


def lost(summary: Summary) -> str:
    """Which heads stay at the largest class, or are not shown to beat it, while others learn.

    Empty for none.
    """
    if not summary.at_majority or summary.nothing_learned:
        return ""
    stuck = summary.stuck
    rest = [found for found in summary.standings if found.head in summary.at_majority]
    rest = [found for found in rest if found.head not in stuck]
    told = []
    if stuck:
        stay = "stays" if len(stuck) == 1 else "stay"
        told.append(f"{few_names(stuck)} {stay} at the largest class ({summary.chance}).")
    if rest:
        heads = [found.head for found in rest]
        told.append(
            f"{names([_led(one) for one in rest]) if len(rest) <= FEW else few_names(heads)} "
            f"{'is' if len(rest) == 1 else 'are'} not shown to beat the largest class "
            f"({summary.chance})."
        )
    return " ".join(told)


def _led(found: Standing) -> str:
    """`fc (lead +3.2 points, −1.4 to +7.8)`: a head and its lead over the largest class."""
    lead = found.over_images
    if lead is None:
        return found.head
    interval = ""
    if ends := bounds(lead):
        interval = f", {signed(100 * ends[0])} to {signed(100 * ends[1])}"
    return f"{found.head} (lead {signed(100 * lead.mean)} points{interval})"


def lost_fairly(summary: Summary) -> str:
    """What that means: it counts where another head learned, and a head was trained at all.

    Empty for none.
    """
    if not lost(summary):
        return ""
    stuck, named = summary.stuck, summary.baseline.name
    learned = [item.head for item in summary.standings if item.beats]
    others = few_names(learned, "other heads")
    told = []
    if stuck:
        verb, lose = ("is", "it has lost") if len(stuck) == 1 else ("are", "they have lost")
        fair = f": {others} learned from the same images, so {lose} fairly" if learned else ""
        told.append(
            f"{few_names(stuck)} {verb} no better on the test images than always predicting "
            f"{named}{fair}."
        )
    elif learned:
        are = "is" if len(learned) == 1 else "are"
        told.append(f"{others} {are} shown to beat the largest class.")
    if still := [head for head in summary.at_majority if head in summary.untrained]:
        its, has = ("it is", "it has") if len(still) == 1 else ("they are", "they have")
        told.append(
            f"Nothing of {few_names(still)} was trained: {its} computed on the backbone as it "
            f"began, which the other heads train, so {has} not lost fairly."
        )
    return " ".join(told)
