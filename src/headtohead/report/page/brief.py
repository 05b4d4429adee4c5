"""The first screen beside the answer: can it be believed, what it costs, what to do next."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from headtohead.core.text import (
    MEGA,
    MISSING,
    confidence,
    counted,
    digits_of_seconds,
    few_names,
    names,
    significant,
)
from headtohead.report.comparisons import most_seeds
from headtohead.report.page.answer import ShortAnswer
from headtohead.report.page.validity import to_train_longer
from headtohead.report.remedy import remedy
from headtohead.report.summary import HeadResult, Summary

SHOWN = 4
"""Heads whose costs stand on the first screen, at most."""

MEGABYTES = 4 / MEGA
"""Of one parameter in float32."""


@dataclass(frozen=True)
class Cost:
    """What one head costs, in words; of a head without finished runs no seconds are known."""

    head: str
    parameters: str
    megabytes: str
    seconds: str


@dataclass(frozen=True)
class Brief:
    """`believe` in a sentence or two, `costs` of the heads that matter, `next_step` in words.

    `command`, where there is one, is to be typed for it.
    """

    believe: str
    costs: tuple[Cost, ...]
    more_costs: int
    next_step: str
    command: str


def brief(summary: Summary, found: ShortAnswer) -> Brief:
    """The first screen of a study, from its summary and its answer."""
    shown = list(_that_matter(summary))
    return Brief(
        believe=_believe(summary, found),
        costs=tuple(map(_cost, shown)),
        more_costs=len(summary.heads) - len(shown),
        next_step=_next_step(summary, found),
        command=_command(summary, found),
    )


def _believe(summary: Summary, found: ShortAnswer) -> str:
    if found.chosen:
        seeds, sure = most_seeds(summary.comparisons), confidence(summary.file.study.verdict.level)
        firm = f"Yes: decided over {counted(seeds, 'seed')} at {sure} confidence."
        return f"{firm} {found.more}".strip()
    return found.more


def _that_matter(summary: Summary) -> Iterator[HeadResult]:
    """All heads where they are few; else the winner, the reference, the smallest, the largest."""
    if len(summary.heads) <= SHOWN:
        yield from summary.heads
        return
    sizes = sorted(summary.heads, key=lambda head: head.parameters.total)
    winner = summary.winner.head if summary.winner else ""
    named = dict.fromkeys([winner, summary.reference, sizes[0].head, sizes[-1].head])
    yield from (head for head in summary.heads if head.head in named)


def _cost(head: HeadResult) -> Cost:
    spent = head.spreads["cpu_seconds"]
    total = head.parameters.total
    return Cost(
        head=head.head,
        parameters=f"{total:,}",
        megabytes=significant(total * MEGABYTES, 2),
        seconds=MISSING if spent is None else f"{spent.mean:,.{digits_of_seconds(spent.mean)}f}",
    )


def _next_step(summary: Summary, found: ShortAnswer) -> str:
    """What to do, in words."""
    if found.certainty == "failed":
        return "Lower the learning rate, then compare again."
    if summary.unfinished:
        return "Run the same command again: it resumes the runs that are not finished."
    if found.chosen:
        return f"Use {found.chosen} on images of your own, in this study's folder:"
    if found.certainty == "few":
        return "Give more test images, then compare again."
    if found.certainty == "unlearned":
        train = "Train longer" if to_train_longer(summary) else "Give more training images"
        return f"{train} or check the labels, then compare again."
    if found.certainty == "unjudged":
        return (
            "Do not choose by accuracy yet: make evaluation reliable as said above, in a new "
            "study. The costs are known already."
        )
    if advice := remedy(summary):
        return advice
    if summary.failed:
        return f"Lower the learning rate of {names(summary.failed)}, then compare again."
    unshown = [head for head in summary.at_majority if head not in summary.untrained]
    if unshown and not summary.stuck:
        beat = "beats" if len(unshown) == 1 else "beat"
        show = f"Give more test images, to see whether {few_names(unshown)} {beat}"
        return f"{show} the largest class, then compare again."
    if summary.stuck and len(summary.file.study.heads) > 1:
        longer = [head for head in summary.stuck if head in to_train_longer(summary)]
        train = f"Train {few_names(longer)} longer" if longer else "Give more training images"
        return f"{train} or check the labels, then compare again."
    for item in summary.comparisons:
        if summary.file.same_function(*item.heads):
            alike = f"{item.first} and {item.other} are the same function"
            return f"{alike}: compare one of them with another head."
    return "Compare it with another head: name several in --heads."


def _command(summary: Summary, found: ShortAnswer) -> str:
    """What is to be typed for it; empty where the step is not to use the chosen head."""
    if summary.unfinished or not found.chosen:
        return ""
    return shlex.join(["headtohead", "predict", ".", "IMAGES", "--head", found.chosen])
