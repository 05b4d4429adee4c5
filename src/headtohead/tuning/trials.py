"""Trials as runs of a ledger: a head with some settings is a candidate, each seed a run."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from headtohead.config.candidates import LONGEST
from headtohead.config.search_space import OPTION, Choices, Range, TuningSpec
from headtohead.config.study import HeadSpec, StudySpec
from headtohead.core.errors import UsageError
from headtohead.heads.describe import head_options
from headtohead.runtime.jobs import Job
from headtohead.store.ledger import Ledger, Run
from headtohead.store.records import Record

FIRST_SEED = 10_000
"""Of the trials; no comparison has so many seeds that it shares one (see `StudySpec.seeds`)."""


class Trial(Record):
    """One try of a head's settings: `values` by the names of `TuningSpec.space`.

    `accuracy` is the validation accuracy in [0, 1] at the best epoch, the mean over the seeds; a
    run that failed has the majority class's share. `loss` is the mean validation loss there, in
    nats; None where a run failed. `seconds` are those of training, of all seeds.
    """

    number: int
    values: dict[str, JsonValue]
    accuracy: float
    loss: float | None
    seconds: float
    failures: tuple[str, ...] = ()

    def rank(self) -> tuple[bool, float, float, int]:
        """The higher the better: none that failed, then accuracy, then loss, then the earlier."""
        loss = float("inf") if self.loss is None else self.loss
        return not self.failures, self.accuracy, -loss, -self.number


def tuning_of(study: StudySpec) -> TuningSpec:
    """What is searched in a study that is tuned."""
    if study.tuning is None:
        raise RuntimeError(f"the study {study.name} is tuned without a tuning part")
    return study.tuning


def with_enough_steps(study: StudySpec, images: int) -> StudySpec:
    """The study whose trials have as many epochs as its `min_steps` asks for on so many images."""
    tuning = tuning_of(study)
    epochs = study.recipe.model_copy(update={"epochs": tuning.epochs}).for_images(images).epochs
    return study.model_copy(update={"tuning": tuning.model_copy(update={"epochs": epochs})})


def as_trained(study: StudySpec) -> StudySpec:
    """The study with the epochs that a trial has."""
    recipe = {"epochs": tuning_of(study).epochs, "min_steps": None}
    return study.model_copy(update={"recipe": study.recipe.model_copy(update=recipe)})


def candidate(head: str, number: int) -> str:
    """What the trial is called in the ledger."""
    return f"{head}-{number:03}"


def trial_head(study: StudySpec, head: str, values: Mapping[str, Any]) -> HeadSpec:
    """The candidate that tries `values` of `head`."""
    settings = {**values, "epochs": tuning_of(study).epochs}
    spec = study.heads[head].with_settings(settings)
    return spec.model_copy(update={"head": spec.head or head})


def trial_jobs(study: StudySpec, number: int) -> list[Job]:
    """The runs of every head's trial `number`."""
    seeds = range(FIRST_SEED, FIRST_SEED + tuning_of(study).seeds)
    return [Job(candidate(head, number), seed) for seed in seeds for head in study.heads]


def untuned_values(study: StudySpec, head: str) -> dict[str, JsonValue]:
    """The values that `head` has without tuning: its first trial.

    Raises UsageError where it has no such option, the search would not find its value, or its name
    leaves no room for a trial's number.
    """
    spec = study.heads[head]
    if len(last := candidate(head, tuning_of(study).trials - 1)) > LONGEST:
        raise UsageError(
            f"the trials of {head} would be called {last} and the like, more than {LONGEST} "
            f"characters: give the head a shorter name, as in heads: {{mine: {{head: …}}}}."
        )
    options = {**head_options(spec.head or head), **spec.options}
    recipe = study.recipe_for(head).model_dump(mode="json")
    found: dict[str, JsonValue] = {}
    for setting, domain in tuning_of(study).space(head).items():
        option = setting.removeprefix(OPTION)
        if setting.startswith(OPTION) and option not in options:
            raise UsageError(
                f"tuning.options.{head}.{option}: the head {spec.head or head} has no such option; "
                f"it takes {', '.join(options) or 'none'}."
            )
        value = options[option] if setting.startswith(OPTION) else _at(recipe, setting)
        if value not in domain:
            place = f"options.{head}.{option}" if setting.startswith(OPTION) else f"recipe.{option}"
            raise UsageError(
                f"tuning: {option} of {head} is {value!r} without tuning, which is not in "
                f"{domain_text(domain)}. The untuned head is each search's first trial: give the "
                f"study file a tuning.{place} that has it."
            )
        found[setting] = value
    return found


def domain_text(domain: Range | Choices | None) -> str:
    """The values of a setting that are searched, in words."""
    if domain is None:
        return "not searched"
    if isinstance(domain, Choices):
        return ", ".join(map(repr, domain.root))
    return f"{domain.low} to {domain.high}{', logarithmic' if domain.log else ''}"


def _at(recipe: Any, setting: str) -> JsonValue:
    value: JsonValue = recipe
    for part in setting.split("."):
        value = value[part]  # type: ignore[index, call-overload]
    return value


def known_values(ledger: Ledger, study: StudySpec, head: str, number: int) -> dict[str, JsonValue]:
    """The values of a trial that the ledger has as a candidate."""
    spec = ledger.file.study.heads[candidate(head, number)]
    return {
        setting: spec.options[setting.removeprefix(OPTION)]
        if setting.startswith(OPTION)
        else _at(spec.recipe, setting)
        for setting in tuning_of(study).space(head)
    }


def runs_of(ledger: Ledger, study: StudySpec, head: str, number: int) -> list[Run]:
    """The runs of a trial that are over, one a seed."""
    seeds = range(FIRST_SEED, FIRST_SEED + tuning_of(study).seeds)
    runs = (ledger.run(candidate(head, number), seed) for seed in seeds)
    return [run for run in runs if run is not None]


def trials_of(ledger: Ledger, study: StudySpec, head: str, numbers: range) -> Iterator[Trial]:
    """What came of the trials `numbers`, all of whose runs are over."""
    majority = ledger.file.majority_share("validation")
    for number in numbers:
        over = runs_of(ledger, study, head, number)
        failures = [run.record.failure.reason for run in over if run.record.failure is not None]
        best = [run.best for run in over if run.record.failure is None]
        chosen = [epoch for epoch in best if epoch is not None]
        accuracies = [majority] * len(failures) + [epoch.val_accuracy for epoch in chosen]
        losses = [epoch.val_loss for epoch in chosen]
        yield Trial(
            number=number,
            values=known_values(ledger, study, head, number),
            accuracy=sum(accuracies) / len(over),
            loss=None if failures else sum(losses) / len(over),
            seconds=sum(run.record.seconds for run in over),
            failures=tuple(failures),
        )
