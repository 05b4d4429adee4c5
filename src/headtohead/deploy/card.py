"""The model card of an exported run: use, data, metrics with intervals, verdicts, limits."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headtohead.analysis.run_results import IN_WORDS, RunResult, primary_of
from headtohead.core.text import confidence, counted, printable
from headtohead.report.summary import Summary, shipped
from headtohead.stats.over_images import share_interval


@dataclass(frozen=True)
class Use:
    """How an exported file is used: what it takes and gives, and the script that runs it, if any.

    `calibrated`: the temperature is within the file. It was fitted on `fitted_on` images; 0 where
    none was.
    """

    file: str
    takes: str
    gives: str
    script: str | None
    calibrated: bool
    fitted_on: int


def metadata_of(summary: Summary, run: RunResult, temperature: float) -> dict[str, str]:
    """What an exported file says of itself: classes, sizes, and where it comes from."""
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


def card(
    summary: Summary, run: RunResult, metadata: Mapping[str, str], use: Use, proof: str
) -> str:
    """The card as Markdown."""
    sections = {
        "Use": _use(use),
        "Data": _data(summary, metadata),
        "Figures": _figures(summary, run),
        "Verdicts of the study": _verdicts(summary, run.head),
        "Confidence": _confidence(float(metadata["temperature"]), use),
        "Limits": _limits(summary),
        "Proof": (proof,),
    }
    lines = [*_head(summary, run)]
    for title, told in sections.items():
        lines += [f"## {title}", "", *told, ""]
    return "\n".join(lines)


def _head(summary: Summary, run: RunResult) -> Iterator[str]:
    file = summary.file
    yield f"# {run.head} on {file.study.backbone.name}, seed {run.seed}"
    yield ""
    yield (
        f"One run of the study {file.study.name} (digest {file.digest[:12]}), made by headtohead "
        f"{file.headtohead}: the weights of epoch {run.best_epoch}, the best on validation."
    )
    winner = summary.winner
    if winner is not None and winner.head != run.head:
        yield f"The study's winner on validation is another head, {winner.head}."
    yield ""


def _use(use: Use) -> Iterator[str]:
    yield f"- Takes {use.takes}."
    yield f"- Gives {use.gives}."
    if use.script is not None:
        yield (
            f"- `python {use.script} {use.file} PHOTOGRAPH…` classifies photographs; its first "
            f"lines say what it needs. headtohead is not needed."
        )


def _data(summary: Summary, metadata: Mapping[str, str]) -> Iterator[str]:
    file = summary.file
    counts = {part: sum(found.values()) for part, found in file.counts.items()}
    told = ", ".join(f"{count:,} {part}" for part, count in counts.items())
    yield f"- Images (of the first seed's split): {told}."
    yield f"- Classes, in the order of the outputs: {', '.join(map(_quoted, file.classes))}."
    yield (
        f"- Prepared at {metadata['image_size']} × {metadata['image_size']} pixels, resize "
        f"`{metadata['resize']}`; the set's digest is {file.prepared[:12]}."
    )
    known = file.backbone or {}
    if "SHA-256" in known:
        yield (
            f"- The backbone began with pretrained weights: {printable(known['weights'])}, SHA-256 "
            f"{printable(known['SHA-256'])}, licence {printable(known['licence'])}."
        )


def _figures(summary: Summary, run: RunResult) -> Iterator[str]:
    level, metric = summary.file.study.verdict.level, summary.file.study.verdict.metric
    if run.test_best is None:
        yield "- The study's folder holds no predictions on the test split."
    else:
        found = run.test_best
        right = round(found.accuracy * found.n)
        low, high = share_interval(right, found.n, level)
        yield (
            f"- Test accuracy {found.accuracy:.2%} ({right:,} of {found.n:,} images; "
            f"{confidence(level).replace(' ', '')} interval over images {low:.2%} to {high:.2%}, "
            f"Clopper-Pearson)."
        )
        if metric != "test_accuracy":
            words = IN_WORDS[metric]
            yield f"- The study's metric, {words}: {primary_of(found, metric):.2%}."
        yield (
            f"- Test loss {found.cross_entropy:.4f} nats, expected calibration error "
            f"{found.expected_calibration_error:.2%}, both before the temperature."
        )
    if run.best is not None:
        first = next((shipped(h) for h in summary.heads if h.head == run.head), None)
        chose = "epoch and seed" if first == run else "the epoch; another seed is better there"
        yield f"- Validation accuracy {run.best.val_accuracy:.2%}: it chose {chose}."
    majority = summary.file.majority_share("test")
    if run.test_best is not None:  # of this run's own split, where each seed has one
        majority = max(map(sum, run.test_best.confusion)) / run.test_best.n
    yield f"- Always predicting the largest class: {majority:.2%} on test."


def _verdicts(summary: Summary, head: str) -> Iterator[str]:
    mine = [c for c in summary.comparisons if head in (c.first, c.other)]
    for found in mine:
        for verdict in (found.comparison.better, found.comparison.not_worse):
            yield f"- {verdict.claim}: {verdict.outcome} ({verdict.rule})."
    if not mine:
        yield "- None on this head."


def _confidence(temperature: float, use: Use) -> Iterator[str]:
    fitted = f"the temperature {temperature:.4g}, fitted on {use.fitted_on:,} validation images"
    if not use.fitted_on:
        yield (
            "Not calibrated: that takes predictions on validation, and an error among them. The "
            "temperature is 1."
        )
    elif use.calibrated:
        yield f"Probabilities are calibrated: this file divides its logits by {fitted} of this run."
    else:
        yield (
            f"Not calibrated: headtohead divides the logits by {fitted} of this run; this file "
            f"does not. Answers are the same, confidence is not."
        )


def _limits(summary: Summary) -> Iterator[str]:
    seeds = counted(len({run.seed for run in summary.runs}), "seed")
    yield (
        "- The figures hold for images like the test split's. What lies elsewhere (other cameras, "
        "other subjects, no class of these) is named all the same, and may be named with "
        "confidence."
    )
    yield f"- The study has {seeds}. Which head wins, and by how much, is in its report."
    yield (
        "- Licences: that of the photographs is not known to headtohead, that of pretrained "
        "weights only where it stands above. Look them up before you hand this model on."
    )


def _quoted(name: str) -> str:
    """A class as text of Markdown that no name can leave."""
    return "`" + printable(name).replace("`", "'") + "`"
