"""Every head and seed of a study on new labelled images, by the study's own statistics."""

import dataclasses
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headtohead.analysis.run_results import IN_WORDS, RunResult, primary_of
from headtohead.config.study import StudySpec
from headtohead.core.errors import DataError, UsageError
from headtohead.core.text import confidence, counted, names, printable
from headtohead.data.long_tasks import Progress
from headtohead.data.pipeline import look_at
from headtohead.data.prepared import PreparedSet
from headtohead.deploy.new_images import NewImages, matched
from headtohead.deploy.overlap import Overlap, overlap
from headtohead.deploy.runs import load_model
from headtohead.report.comparisons import HeadComparison, comparisons_of
from headtohead.report.notes import runs_by_head
from headtohead.report.page.validity import without_runs
from headtohead.report.summary import Summary
from headtohead.stats import Spread, bounds, spread
from headtohead.stats.family import points
from headtohead.stats.metrics import Evaluation, constant_scores, predictions
from headtohead.stats.over_images import Answers, share_interval
from headtohead.store.ledger import Ledger, StudyFile

if TYPE_CHECKING:
    from headtohead.heads.classifier import Classifier

SHIFT = 0.05
"""Class shares that differ by more than so much in all (half the sum of the differences) are told.
"""

MOST_SHARES = 10
"""Classes that a note names, those whose shares differ most."""


@dataclass(frozen=True)
class RunEvaluation:
    """One run on the new images."""

    head: str
    seed: int
    scores: Evaluation


@dataclass(frozen=True)
class Evaluated:
    """A study on new images: `notes` say what a reader must know of them.

    `runs` are the finished ones; in comparisons a failed run counts as always predicting the
    largest class of the new images. `shares` maps each class to its share in training and in the
    new images. `comparisons` are the reference against each other head, as in the study's report,
    on the new images' accuracy. `overlap` has the new images that the study has, too; None where
    that cannot be told. `winner` says how the run does that `predict` uses, with an interval over
    images; empty where there is none.
    """

    out: Path
    data: str
    images: int
    runs: tuple[RunEvaluation, ...]
    reference: str
    comparisons: tuple[HeadComparison, ...]
    shares: dict[str, tuple[float, float]]
    overlap: Overlap | None
    notes: tuple[str, ...]
    winner: str

    def accuracy(self, head: str) -> Spread | None:
        """The accuracy of a head over its seeds."""
        return spread([run.scores.accuracy for run in self.runs if run.head == head])

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as JSON has them."""
        return {
            "data": self.data,
            "images": self.images,
            "reference": self.reference,
            "notes": list(self.notes),
            "in_the_study": self._in_the_study(),
            "shares": {name: list(pair) for name, pair in self.shares.items()},
            "runs": [
                {"head": run.head, "seed": run.seed, **dataclasses.asdict(run.scores)}
                for run in self.runs
            ],
            "comparisons": [
                {
                    "first": found.first,
                    "other": found.other,
                    "mean": found.comparison.difference.mean,
                    "low": found.comparison.difference.low,
                    "high": found.comparison.difference.high,
                    "p_holm": found.comparison.p_holm,
                    "better": dataclasses.asdict(found.comparison.better),
                    "not_worse": dataclasses.asdict(found.comparison.not_worse),
                    "pictures": None if found.pictures is None else vars(found.pictures),
                }
                for found in self.comparisons
            ],
        }

    def _in_the_study(self) -> dict[str, int] | None:
        found = self.overlap
        if found is None:
            return None
        splits = {str(name): count for name, count in found.splits.items()}
        return {"images": len(found.rows), "exactly": found.exact, **splits}

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def evaluate(
    ledger: Ledger,
    summary: Summary,
    data: str,
    *,
    cache: Path,
    progress: Progress,
    device: str = "auto",
    trust: Collection[str] = (),
    new_only: bool = False,
) -> Evaluated:
    """Run every finished run's best epoch on the labelled images of `data`.

    With `new_only` images that the study has, exactly or nearly, are left out. Raises DataError
    where there are none or no class is the study's, UsageError where no run is finished, and as
    `headtohead.deploy.runs.load_model` does.
    """
    file = ledger.file
    pictures = file.study.pictures.model_copy(update={"limit": None})
    source, prepared = look_at(data, pictures, cache=cache, progress=progress, fewest=1)
    rows, labels, notes = matched(prepared, file.classes)
    if folders := list(source.split_folders.values()):
        told = names(list(map(printable, folders)))
        notes.append(f"Images of {told} are scored together: to score one, name its folder.")
    finished = [run for run in summary.runs if run.finished]
    if not finished:
        raise UsageError(f"{ledger.out}: {without_runs(summary)}")
    known = overlap(file, prepared, rows, cache=cache, progress=progress)
    notes += _told(known, len(rows), cache, new_only=new_only)
    images = NewImages(file, prepared, rows, labels)
    if new_only and known is not None:
        images = images.without(known)
    shares, shift = _shares(file, images.labels)
    load = partial(load_model, ledger, device=device, trust=trust)
    found, answers = _evaluated(finished, load, images, cache, progress)
    failed, failures = _failed(file, summary, images.labels)
    always = images.answers(np.full_like(images.labels, images.largest_class))
    answers |= {(run.head, run.seed): always for run in failed}
    return Evaluated(
        out=ledger.out,
        data=data,
        images=len(images.rows),
        runs=tuple(found),
        reference=summary.reference,
        comparisons=_compared(images, summary, found, failed, answers),
        shares=shares,
        overlap=known,
        notes=(*notes, *shift, *failures, *_lost(prepared)),
        winner=_winner(summary, found),
    )


def _evaluated(
    runs: list[RunResult],
    load: Callable[[str, int], "Classifier"],
    images: NewImages,
    cache: Path,
    progress: Progress,
) -> tuple[list[RunEvaluation], dict[tuple[str, int], Answers]]:
    """Each run's scores and answers; its logits are not kept, nor is its model."""
    found: list[RunEvaluation] = []
    answers: dict[tuple[str, int], Answers] = {}
    for number, run in enumerate(runs):
        progress("evaluating runs", number, len(runs))
        logits = images.logits(load(run.head, run.seed), run.seed, cache, progress)
        found.append(RunEvaluation(run.head, run.seed, images.scores(logits)))
        answers[run.head, run.seed] = images.answers(predictions(logits))
    progress("evaluating runs", len(runs), len(runs))
    return found, answers


def _told(known: Overlap | None, images: int, cache: Path, *, new_only: bool) -> list[str]:
    """What a reader must know of images that the study has, too.

    Raises DataError where `new_only` leaves nothing, or cannot be told.
    """
    if known is None:
        reason = (
            f"whether the study has these images, too, cannot be told: its prepared images are no "
            f"longer in the cache {printable(str(cache))}"
        )
        if new_only:
            raise DataError(f"{reason}. Name their folder by --cache, or leave out --new-only.")
        return [f"{reason[0].upper()}{reason[1:]}."]
    if not len(known.rows):
        return ["None of these images is in the study."]
    if new_only and len(known.rows) == images:
        raise DataError(f"--new-only leaves no image of {images:,}: all are in the study, too.")
    if new_only:
        return [f"{known.told}; they are left out."]
    return [f"{known.told}. The figures are too good for new images: --new-only leaves these out."]


def _shares(
    file: StudyFile, labels: NDArray[np.int64]
) -> tuple[dict[str, tuple[float, float]], list[str]]:
    counts = np.array([file.counts["train"][name] for name in file.classes], np.float64)
    before = counts / counts.sum()
    now = np.bincount(labels, minlength=len(file.classes)) / len(labels)
    shares = {
        name: (float(a), float(b)) for name, a, b in zip(file.classes, before, now, strict=True)
    }
    apart = float(np.abs(before - now).sum() / 2)
    if apart <= SHIFT:
        return shares, []
    most = sorted(shares, key=lambda name: -abs(shares[name][0] - shares[name][1]))[:MOST_SHARES]
    told = ", ".join(
        f"{printable(name)} {a:.0%} → {b:.0%}" for name, (a, b) in shares.items() if name in most
    )
    told += ", and others" if len(shares) > len(most) else ""
    return shares, [
        f"Class shares have shifted by {100 * apart:.0f} points since training ({told}): accuracy "
        f"and confidence are not comparable with the study's test split."
    ]


def _lost(prepared: PreparedSet) -> list[str]:
    if not prepared.quarantined:
        return []
    return [
        f"Could not read {counted(len(prepared.quarantined), 'file')}: `headtohead data check` "
        f"says why."
    ]


def _failed(
    file: StudyFile, summary: Summary, labels: NDArray[np.int64]
) -> tuple[list[RunResult], list[str]]:
    """The study's failed runs, scored as always predicting the largest class here, and a note.

    As in the study's own report: a head that diverges now and then is no better for it.
    """
    counts = np.bincount(labels, minlength=len(file.classes)).tolist()
    metric = file.study.verdict.metric
    score = constant_scores(counts)[metric]
    found = [dataclasses.replace(run, scored=score) for run in summary.runs if not run.finished]
    if not found:
        return [], []
    told = runs_by_head([(run.head, run.seed) for run in found])
    name = printable(file.classes[int(np.argmax(counts))])
    return found, [
        f"Failed runs: {told}. Left out of means; in comparisons each counts as always predicting "
        f"{name}, the largest class here: {100 * score:.1f} % {IN_WORDS[metric]}."
    ]


def _compared(
    images: NewImages,
    summary: Summary,
    found: list[RunEvaluation],
    failed: list[RunResult],
    answers: dict[tuple[str, int], Answers],
) -> tuple[HeadComparison, ...]:
    """By the report's own code: pairs by seed, Holm over the family, intervals over images."""
    file, scored = images.file, {(one.head, one.seed): one.scores for one in found}
    metric = file.study.verdict.metric
    runs: dict[str, list[RunResult]] = {}
    for run in summary.runs:
        if run.finished:
            value = primary_of(scored[run.head, run.seed], metric)
            runs.setdefault(run.head, []).append(dataclasses.replace(run, scored=value))
    for run in failed:
        runs.setdefault(run.head, []).append(run)
    groups = dict(enumerate(images.prepared.groups.tolist()))
    return comparisons_of(_without_looks(file), runs, answers, groups, None, summary.lags, ())


def _without_looks(file: StudyFile) -> StudyFile:
    """A sequential design spends its level on the study's own test split, once."""
    study: StudySpec = file.study
    rule = study.verdict.model_copy(update={"until_decided": None})
    return file.model_copy(update={"study": study.model_copy(update={"verdict": rule})})


def _winner(summary: Summary, found: list[RunEvaluation]) -> str:
    level, best = summary.file.study.verdict.level, summary.winner
    if best is None:
        return ""
    (scores,) = (one.scores for one in found if (one.head, one.seed) == (best.head, best.seed))
    right = round(scores.accuracy * scores.n)
    low, high = share_interval(right, scores.n, level)
    return (
        f"{best.head} seed {best.seed}, the winner on the study's validation: accuracy "
        f"{scores.accuracy:.2%} ({right:,} of {scores.n:,}; {confidence(level)} interval over "
        f"images {low:.2%} to {high:.2%})"
    )


def _lines(found: Evaluated) -> Iterator[str]:
    yield f"{counted(found.images, 'image')} of {printable(found.data)}"
    yield from found.notes
    yield f"{'head':<24}{'seeds':>6}{'accuracy':>10}{'± sd':>8}{'loss':>8}{'ECE':>8}"
    for head in dict.fromkeys(run.head for run in found.runs):
        mine = [run.scores for run in found.runs if run.head == head]
        over = found.accuracy(head)
        sd = "" if over is None or over.sd is None else f"{100 * over.sd:.2f}"
        loss = float(np.mean([one.cross_entropy for one in mine]))
        ece = float(np.mean([one.expected_calibration_error for one in mine]))
        accuracy = float(np.mean([one.accuracy for one in mine]))
        yield f"{head:<24}{len(mine):>6}{accuracy:>10.2%}{sd:>8}{loss:>8.3f}{ece:>8.2%}"
    if found.winner:
        yield found.winner
    yield "Loss and ECE (calibration error) are of logits before the temperature of `predict`."
    for one in found.comparisons:
        for verdict in (one.comparison.better, one.comparison.not_worse):
            yield f"{verdict.claim}: {verdict.outcome} ({verdict.rule})"
        if one.pictures and (ends := bounds(one.pictures)):
            yield (
                f"  over images: mean {points(one.pictures.mean)}, {points(ends[0])} to "
                f"{points(ends[1])} points"
            )
