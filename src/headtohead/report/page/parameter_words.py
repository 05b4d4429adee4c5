"""How many parameters a head needs beside another, in the words of a sentence."""

from collections.abc import Mapping, Sequence

from headtohead.report.summary import Summary

ALIKE = 1.05
"""Counts that differ by less than this factor are about the same."""


def fewer_parameters(summary: Summary, head: str, rivals: Sequence[str]) -> str:
    """`24 times fewer parameters than fc`, against the largest rival; empty where not fewer."""
    counts = _counts(summary)
    largest = max((name for name in rivals if name in counts), key=counts.__getitem__, default="")
    return f"{found} than {largest}" if (found := _ratio(summary, head, largest, "fewer")) else ""


def more_or_fewer(summary: Summary, head: str, other: str) -> str:
    """`24 times more parameters`; empty where they are about as many."""
    fewer = _ratio(summary, head, other, "fewer")
    return fewer or _ratio(summary, other, head, "more")


def clearly_lightest(summary: Summary, heads: Sequence[str]) -> str:
    """Which of `heads` has fewer parameters than every other; empty where two are about alike."""
    counts = _counts(summary)
    ordered = sorted((name for name in heads if name in counts), key=counts.__getitem__)
    if len(ordered) < 2 or counts[ordered[1]] < ALIKE * counts[ordered[0]]:
        return ""
    return ordered[0]


def _counts(summary: Summary) -> Mapping[str, int]:
    """Each head's parameters: with its backbone's, unless that is frozen and so one for all."""
    frozen = summary.file.study.backbone.frozen
    return {
        item.head: item.parameters.head if frozen else item.parameters.total
        for item in summary.heads
    }


def _ratio(summary: Summary, small: str, large: str, word: str) -> str:
    """`24 times fewer head parameters`; empty where `large` has not clearly more than `small`.

    Empty, too, where one of them has no run, or `small` no parameters at all.
    """
    counts = _counts(summary)
    least, most = counts.get(small, 0), counts.get(large, 0)
    if not least or most < ALIKE * least:
        return ""
    ratio = most / least
    shown = f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"
    what = "head parameters" if summary.file.study.backbone.frozen else "parameters"
    return f"{shown} times {word} {what}"
