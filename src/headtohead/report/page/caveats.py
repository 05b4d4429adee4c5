"""What the numbers of a study do not say, whatever they are."""

from collections.abc import Iterator

from headtohead.config.steps import few_steps
from headtohead.core.text import names, significant
from headtohead.data.holdout import small_test_split
from headtohead.report.summary import Summary


def caveats(summary: Summary) -> Iterator[str]:
    """What the numbers do not say, whatever they are."""
    if summary.file.study.backbone.frozen:
        yield (
            "The backbone is frozen and its features are computed once: over-fitting and the time "
            "of training are the head's alone."
        )
    mode = summary.file.study.split.mode
    if mode == "fixed":
        yield (
            "The seeds share one split of the images: intervals over seeds hold for this split, "
            "not for other images."
        )
    test = summary.file.sizes["test"]
    few = [name for name, n in summary.file.counts["test"].items() if n < 20]
    if few:
        yield (
            f"{names(few) if len(few) < 6 else f'{len(few)} classes'} "
            f"{'has' if len(few) == 1 else 'have'} fewer than 20 test images: "
            f"what is said of {'it' if len(few) == 1 else 'them'} is uncertain."
        )
    each = significant(100 / max(test, 1), 2)
    yield f"One test image is {each} points of accuracy ({test:,} test images)."
    yield from (f"{line[0].upper()}{line[1:]}" for line in small_test_split(test))
    yield from few_steps(summary.file.study, summary.file.sizes["train"])
