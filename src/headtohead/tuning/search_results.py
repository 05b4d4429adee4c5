"""What a search found: a table, its files, and the study to compare the winners by."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from headtohead.analysis.learning import fits
from headtohead.config.search_space import OPTION
from headtohead.config.strict_yaml import write_yaml
from headtohead.config.study import StudySpec
from headtohead.core.errors import RunError
from headtohead.core.files import write_atomic
from headtohead.core.text import MISSING, counted
from headtohead.report.formats.markdown import escape, table
from headtohead.report.notes import unsettled_averages
from headtohead.store.ledger import Ledger
from headtohead.store.records import Record
from headtohead.tuning.trials import FIRST_SEED, Trial, runs_of, trials_of, tuning_of

RECORD, PAGE, STUDY = "tuning.json", "tuning.md", "tuned.yaml"


class HeadTuning(Record):
    """All trials of a head, and the number of the one that was chosen. The first is the untuned."""

    trials: tuple[Trial, ...]
    chosen: int

    @property
    def untuned(self) -> Trial:
        """The head as it is."""
        return self.trials[0]

    @property
    def best(self) -> Trial:
        """The trial that was chosen."""
        return self.trials[self.chosen]


class TuningRecord(Record):
    """`tuning.json`: every trial of every head, on so many `pictures` of the validation split.

    `majority` is the share of its largest class.
    """

    format: Literal[1] = 1
    headtohead: str
    study: str
    digest: str
    epochs: int
    seeds: tuple[int, ...]
    pictures: int
    majority: float
    heads: dict[str, HeadTuning]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Tuning:
    """A search that is over, in the folder `out`. As text it is the command's table."""

    out: Path
    record: TuningRecord

    @property
    def path(self) -> Path:
        """The file of the record."""
        return self.out / RECORD

    @property
    def study(self) -> Path:
        """The study that compares the winners, for `headtohead.compare`."""
        return self.out / STUDY

    def __str__(self) -> str:
        buffer = io.StringIO()
        Console(file=buffer, width=80, color_system=None, force_jupyter=False).print(self)
        return buffer.getvalue().rstrip()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, what its numbers are, and what to do next."""
        yield _grid(self.record)
        yield Text()
        for line in self.explanation():
            yield Text(line)
        yield Text(f"Every trial: {self.out / PAGE}")
        yield Text(f"Compare the winners: headtohead compare {self.study}")

    def explanation(self) -> Iterator[str]:
        """What the table's numbers are, and what they are worth."""
        record = self.record
        seeds = ", ".join(map(str, record.seeds))
        several = len(record.seeds) > 1
        step = 100 / record.pictures / len(record.seeds)
        yield (
            f"Validation accuracies in %, best of {counted(record.epochs, 'epoch')}, "
            f"{'means over seeds' if several else 'seed'} {seeds}; one more of the "
            f"{record.pictures:,} images right{' with one of them' if several else ''} adds "
            f"{step:.2g}. The best of many trials looks better than it is, "
            f"having been chosen, and says nothing of other heads: that is for the comparison, "
            f"with seeds and a test split that no trial has seen."
        )
        for note in record.notes:
            yield f"Note: {note}"


def _grid(record: TuningRecord) -> Table:
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    grid.add_column("head", no_wrap=True)
    for heading in ("trials", "untuned", "best", "trial"):
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("what differs from the untuned")
    for head, found in record.heads.items():
        grid.add_row(
            head,
            str(len(found.trials)),
            f"{100 * found.untuned.accuracy:.1f}",
            f"{100 * found.best.accuracy:.1f}",
            str(found.chosen),
            Text(_changes(found) or MISSING),
        )
    return grid


def _changes(found: HeadTuning) -> str:
    """As `learning_rate 0.0021, augment.flip true, dropout 0.4`."""
    return ", ".join(
        f"{name.removeprefix(OPTION)} {_in_words(value)}"
        for name, value in found.best.values.items()
        if value != found.untuned.values[name]
    )


def _in_words(value: JsonValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _page(found: Tuning) -> Iterator[str]:
    """`tuning.md`: every trial, the best first."""
    yield f"# Study {escape(found.record.study)}: every trial\n"
    yield from (f"{escape(line)}\n" for line in found.explanation())
    for name, head in found.record.heads.items():
        yield f"## {escape(name)}\n"
        settings = list(head.untuned.values)
        yield from table(
            ("trial", "accuracy", "loss", *(s.removeprefix(OPTION) for s in settings)),
            [
                (
                    f"{trial.number}{' (untuned)' if trial is head.untuned else ''}",
                    f"{100 * trial.accuracy:.1f}",
                    "diverged" if trial.loss is None else f"{trial.loss:.3f}",
                    *(_in_words(trial.values[setting]) for setting in settings),
                )
                for trial in sorted(head.trials, key=Trial.rank, reverse=True)
            ],
        )


def write_results(out: Path, ledger: Ledger, study: StudySpec) -> Tuning:
    """Choose, and write `tuning.json`, `tuning.md` and `tuned.yaml` into `out`.

    Raises RunError where all trials of a head failed, and StorageError.
    """
    tuning = tuning_of(study)
    heads = {}
    for head in study.heads:
        trials = tuple(trials_of(ledger, study, head, range(tuning.trials)))
        best = max(trials, key=Trial.rank)
        heads[head] = HeadTuning(trials=trials, chosen=best.number)
    record = TuningRecord(
        headtohead=ledger.file.headtohead,
        study=study.name,
        digest=ledger.file.digest,
        epochs=tuning.epochs,
        seeds=tuple(range(FIRST_SEED, FIRST_SEED + tuning.seeds)),
        pictures=sum(ledger.file.counts["validation"].values()),
        majority=ledger.file.majority_share("validation"),
        heads=heads,
        notes=tuple(_notes(ledger, study, heads)),
    )
    write_atomic(out / RECORD, record.model_dump_json(indent=1).encode())
    write_atomic(out / PAGE, ("\n".join(_page(Tuning(out, record))).strip() + "\n").encode())
    for head, found in heads.items():
        if all(trial.failures for trial in found.trials):
            raise RunError(
                f"no trial of {head} was finished ({found.best.failures[0]}): "
                f"there is nothing to choose; see {out / RECORD}. Search other values."
            )
    write_atomic(out / STUDY, _as_yaml(_tuned(study, record)).encode())
    return Tuning(out, record)


def _notes(ledger: Ledger, study: StudySpec, heads: dict[str, HeadTuning]) -> Iterator[str]:
    """What makes the choice worth less than it seems."""
    file = ledger.file
    epochs = {"epochs": tuning_of(study).epochs}
    short = {name: head.with_settings(epochs) for name, head in study.heads.items()}
    trained = study.model_copy(update={"heads": short})
    yield from unsettled_averages(file.model_copy(update={"study": trained}))
    if (metric := study.verdict.metric) != "test_accuracy":
        yield (
            f"Trials are chosen by accuracy; the study's verdicts are about "
            f"{metric.replace('_', ' ')}, by which other settings may be better."
        )
    majority = file.majority_share("validation")
    for head, found in heads.items():
        failed = [str(trial.number) for trial in found.trials if trial.failures]
        if failed:
            trials = "trial" if len(failed) == 1 else "trials"
            yield (
                f"{head} diverged in {trials} {', '.join(failed)}; a run that does scores the "
                f"largest class's share, and a trial without such runs is chosen before it."
            )
        some = any(trial.loss is not None for trial in found.trials)
        if some and found.best.accuracy <= majority:
            yield (
                f"No trial of {head} is above the largest class's share, {100 * majority:.1f} %: "
                f"the choice among them says little. {_remedy(ledger, study, head, found)}"
            )
        yield from _repeated(head, found.trials)


def _remedy(ledger: Ledger, study: StudySpec, head: str, found: HeadTuning) -> str:
    """What may help a head whose trials predict no better than the largest class.

    It depends on what they made of their training images, evaluated at their last epoch.
    """
    epochs = tuning_of(study).epochs
    learned: dict[int, float] = {}
    for trial in found.trials:
        runs = runs_of(ledger, study, head, trial.number)
        if trial.loss is not None:
            last = [run.history[-1].train_accuracy for run in runs]
            learned[trial.number] = sum(last) / len(last)
            if any(run.record.epochs < epochs for run in runs):
                return (
                    "It is computed in closed form: more epochs do not help. Search other values."
                )
    number = max(learned, key=lambda number: learned[number])
    share = f"{100 * learned[number]:.1f} % of its training images"
    if fits(learned[number], ledger.file.majority_share("train")):
        return (
            f"Trial {number} classifies {share} correctly: more epochs do not help it. Give "
            f"more training images, search other values, or check the labels (headtohead data "
            f"check)."
        )
    return f"None classifies more than {share} correctly: give trials more epochs."


def _repeated(head: str, trials: Sequence[Trial]) -> Iterator[str]:
    """How far apart trials of the same settings are: chance, and the largest number of them."""
    alike: dict[str, list[Trial]] = {}
    for trial in trials:
        alike.setdefault(json.dumps(trial.values, sort_keys=True), []).append(trial)
    same = max(alike.values(), key=len)
    if len(same) > 1:
        accuracies = [100 * trial.accuracy for trial in same]
        yield (
            f"{head} had the same settings in trials {', '.join(str(t.number) for t in same)}, "
            f"with accuracies from {min(accuracies):.1f} to {max(accuracies):.1f} %: they differ "
            f"by the first weights of the head alone. Smaller differences between trials say "
            f"nothing."
        )


def _tuned(study: StudySpec, record: TuningRecord) -> StudySpec:
    """The study with every head as its best trial had it; its epochs and seeds are its own."""
    heads = {
        head: spec.with_settings(record.heads[head].best.values)
        for head, spec in study.heads.items()
    }
    description = (
        f"The heads of the study {study.name}, each with the settings that were chosen among "
        f"{counted(tuning_of(study).trials, 'trial')} by `headtohead tune`, on validation alone."
    )
    name = f"{study.name[:57]}-chosen"
    changed = {"name": name, "description": description, "heads": heads, "tuning": None}
    return study.model_copy(update=changed)


def _as_yaml(study: StudySpec) -> str:
    """Without what is not set, but for settings of heads: None may be the value that was chosen."""
    content: dict[str, Any] = study.model_dump(mode="json", exclude_none=True)
    for name, head in study.heads.items():
        own = head.model_dump(mode="json", include={"options", "recipe"})
        content["heads"][name] |= own
    return write_yaml(content)
