"""The model card of an exported run: data, metrics with intervals, verdicts, limits."""

from collections.abc import Iterator, Mapping

from headtohead.analysis.run_results import RunResult
from headtohead.core.text import counted
from headtohead.data.prepared import printable
from headtohead.report.summary import Summary
from headtohead.stats.over_images import share_interval


def metadata_of(summary: Summary, run: RunResult, temperature: float) -> dict[str, str]:
    """What an exported file says of itself: classes, sizes, and where it comes from."""
    import json

    file = summary.file
    return {
        "classes": json.dumps(list(file.classes)),
        "image_size": str(file.study.pictures.image_size),
        "resize": file.study.pictures.resize,
        "temperature": repr(temperature),
        "head": run.head,
        "seed": str(run.seed),
        "backbone": file.study.backbone.name,
        "best_epoch": str(run.best_epoch),
        "study": file.study.name,
        "digest": file.digest,
        "prepared_digest": file.prepared,
        "headtohead": file.headtohead,
        "environment": json.dumps(dict(run.environment), sort_keys=True),
    }


def card(summary: Summary, run: RunResult, metadata: Mapping[str, str], proof: str) -> str:
    """The card as Markdown."""
    return "\n".join(
        (*_head(summary, run, metadata), *_figures(summary, run), *_verdicts(summary, run.head))
    ) + _limits(summary, metadata, proof)


def _head(summary: Summary, run: RunResult, metadata: Mapping[str, str]) -> Iterator[str]:
    file = summary.file
    yield f"# {run.head} on {file.study.backbone.name}, seed {run.seed}"
    yield ""
    yield (
        f"One run of the study {file.study.name} (digest {file.digest[:12]}), made by headtohead "
        f"{file.headtohead}: the weights of epoch {run.best_epoch}, the best on validation."
    )
    yield ""
    yield "## Data"
    yield ""
    counts = {part: sum(found.values()) for part, found in file.counts.items()}
    told = ", ".join(f"{count:,} {part}" for part, count in counts.items())
    yield f"- Images (of the first seed's split): {told}."
    yield f"- Classes, in the order of the outputs: {', '.join(map(_quoted, file.classes))}."
    yield (
        f"- Prepared at {metadata['image_size']} × {metadata['image_size']} pixels, resize "
        f"`{metadata['resize']}`; the set's digest is {file.prepared[:12]}."
    )
    yield ""


def _figures(summary: Summary, run: RunResult) -> Iterator[str]:
    level = summary.file.study.verdict.level
    yield "## Figures"
    yield ""
    if run.test_best is None:
        yield "- The study's folder holds no predictions on the test split."
    else:
        found = run.test_best
        right = round(found.accuracy * found.n)
        low, high = share_interval(right, found.n, level)
        yield (
            f"- Test accuracy {found.accuracy:.2%} ({right:,} of {found.n:,} images; "
            f"{1 - level:.0%} interval over images {low:.2%} to {high:.2%}, Clopper-Pearson)."
        )
        yield (
            f"- Test loss {found.cross_entropy:.4f} nats, expected calibration error "
            f"{found.expected_calibration_error:.2%}, both before the temperature."
        )
    if run.best is not None:
        yield f"- Validation accuracy {run.best.val_accuracy:.2%}: it chose epoch and seed."
    majority = summary.file.majority_share("test")
    if run.test_best is not None:  # of this run's own split, where each seed has one
        majority = max(map(sum, run.test_best.confusion)) / run.test_best.n
    yield f"- Always predicting the largest class: {majority:.2%} on test."
    yield ""


def _verdicts(summary: Summary, head: str) -> Iterator[str]:
    yield "## Verdicts of the study"
    yield ""
    mine = [c for c in summary.comparisons if head in (c.first, c.other)]
    for found in mine:
        better = found.comparison.better
        yield f"- {better.claim}: {better.outcome} ({better.rule})."
    if not mine:
        yield "- None on this head."
    yield ""


def _limits(summary: Summary, metadata: Mapping[str, str], proof: str) -> str:
    seeds = counted(len({run.seed for run in summary.runs}), "seed")
    return f"""
## Confidence

Logits are divided by the temperature {float(metadata["temperature"]):.4g}, fitted on the validation
images of this run; 1 means that none was fitted.

## Limits

- The figures hold for images like the test split's. What lies elsewhere (other cameras, other
  subjects, neither class) is named all the same, and may be named with confidence.
- The study has {seeds}. Which head wins, and by how much, is in its report, not in one run.
- Licences: those of the photographs and of pretrained weights are not known to headtohead. Look
  them up before you hand this model on.

## Proof

{proof}
"""


def _quoted(name: str) -> str:
    """A class as text of Markdown that no name can leave."""
    return "`" + printable(name).replace("`", "'") + "`"
