"""Every option of `compare`, `plan`, `tune` and `data`, written once.

The command line, the documentation of the Python functions, the study that is run and the page's
command all come from `OPTIONS`. Imports little: `headtohead --help` reads this file.
"""

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from headtohead.config.candidates import candidate_text
from headtohead.config.per_run import per_run_text, read_per_run
from headtohead.core.errors import UsageError, brief

if TYPE_CHECKING:
    from headtohead.config.study import StudySpec

SOURCES = "A folder, an archive, cats_vs_dogs, tfds:NAME, hf:OWNER/NAME or synthetic."

RUNNING = ("compare", "plan")
TRAINING = (*RUNNING, "tune")
IMAGES = (*TRAINING, "data")

_Function = TypeVar("_Function", bound=Callable[..., Any])


def read_augment(value: str | Mapping[str, Any]) -> dict[str, Any]:
    """`flip,crop=0.1,color=0.2` or `none` → all fields of `AugmentSpec`. Raises UsageError."""
    found: dict[str, Any] = {"flip": False, "crop": 0.0, "color": 0.0}
    if not isinstance(value, str):
        return {**found, **value}
    parts = [part.strip() for part in value.split(",")]
    for part in parts if parts != ["none"] else []:
        name, mark, amount = part.partition("=")
        try:
            if part == "flip":
                found["flip"] = True
            elif name in ("crop", "color") and mark:
                found[name] = float(amount)
            else:
                raise ValueError(part)
        except ValueError:
            raise UsageError(
                f"--augment takes flip, crop=SHARE and color=SHARE with commas between them, or "
                f"none; received {value!r}."
            ) from None
    return found


def augment_text(augment: Any) -> str:
    """What `read_augment` reads, of an `AugmentSpec`."""
    amounts = (("crop", augment.crop), ("color", augment.color))
    parts = ["flip"] * augment.flip + [f"{name}={amount:g}" for name, amount in amounts if amount]
    return ",".join(parts) or "none"


def _heads_text(heads: Mapping[str, Any]) -> str:
    return ",".join(
        candidate_text(name, head.head or name, head.options) for name, head in heads.items()
    )


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Option:
    """One option: `name` in Python, `flag` on the command line.

    `place` is where it goes in a study (`recipe.epochs`), None where it changes no study. `value`
    is what it is where it is not given, `default` what the help says of that. `unset` is what
    None means at its place. `read` makes the study's value of what was given, and `write` the
    command line's text of the study's value.
    """

    name: str
    type: type
    help: str
    commands: tuple[str, ...]
    place: str | None = None
    choices: tuple[str, ...] = ()
    default: str | None = None
    value: Any = None
    unset: Any = None
    metavar: str | None = None
    switch: str | None = None
    read: Callable[[Any], Any] = _same
    write: Callable[[Any], Any] = _same

    @property
    def flag(self) -> str:
        """`--batch-size`, of `batch_size`."""
        return self.switch or f"--{self.name.replace('_', '-')}"

    @property
    def told(self) -> str:
        """The help with the default."""
        return self.help if self.default is None else f"{self.help}  [default: {self.default}]"

    def of(self, study: "StudySpec") -> Any:
        """The study's value at this option's place."""
        found: Any = study
        for part in (self.place or "").split("."):
            found = getattr(found, part)
        return self.unset if found is None else found


OPTIONS: tuple[Option, ...] = (
    Option("data", str, SOURCES, TRAINING, "data"),
    Option(
        "heads",
        str,
        "Heads to compare, e.g. fc,gap,gem(p=4) or my.module:MyHead.",
        TRAINING,
        "heads",
        write=_heads_text,
    ),
    Option(
        "backbone",
        str,
        "Backbone: tutorial_cnn, timm:NAME, transformers:NAME or module:callable.",
        TRAINING,
        "backbone.name",
        default="tutorial_cnn",
        metavar="NAME",
    ),
    Option(
        "weights",
        str,
        "First weights of the backbone.",
        TRAINING,
        "backbone.weights",
        default="random",
        unset="random",
        metavar="FILE|pretrained|random",
        read=str,
    ),
    Option(
        "weights_match",
        str,
        "How a file's tensors are told apart.",
        TRAINING,
        "backbone.weights_match",
        choices=("name", "order"),
        default="name",
    ),
    Option(
        "train_backbone",
        str,
        "How much of the backbone is trained: all, none or the last N stages.",
        TRAINING,
        "backbone.train",
        default="none with weights, all with random ones",
        metavar="all|none|last:N",
    ),
    Option("seeds", int, "Number of seeds: 0, 1, …", RUNNING, "seeds"),
    Option(
        "until_decided",
        str,
        "Add seeds until the reference against HEAD is decided, at the study's looks.",
        RUNNING,
        "verdict.until_decided",
        metavar="HEAD",
    ),
    Option(
        "trials",
        int,
        "Trials of each head; the first is untuned.",
        ("tune",),
        "tuning.trials",
        default="12",
    ),
    Option("epochs", int, "Passes over the training images.", RUNNING, "recipe.epochs"),
    Option(
        "min_steps",
        int,
        "Least number of training steps in a run: as many epochs more as they take.",
        RUNNING,
        "recipe.min_steps",
        unset=1,
    ),
    Option("epochs", int, "Epochs of each trial.", ("tune",), "tuning.epochs", default="5"),
    Option("batch_size", int, "Images in a training step.", TRAINING, "recipe.batch_size"),
    Option("learning_rate", float, "Learning rate of Adam.", RUNNING, "recipe.learning_rate"),
    Option("weight_decay", float, "Weight decay of Adam.", RUNNING, "recipe.weight_decay"),
    Option(
        "schedule",
        str,
        "Learning-rate schedule.",
        TRAINING,
        "recipe.schedule",
        choices=("constant", "cosine"),
        default="constant",
        unset="constant",
    ),
    Option(
        "warmup",
        float,
        "Share of all steps in which the learning rate rises from 0.",
        TRAINING,
        "recipe.warmup",
        default="0",
        unset=0.0,
    ),
    Option(
        "batch_norm",
        str,
        "Batch-norm statistics at evaluation.",
        TRAINING,
        "recipe.batch_norm",
        choices=("recomputed", "moving"),
        default="recomputed",
    ),
    Option(
        "augment",
        str,
        "Augmentation, e.g. flip or flip,crop=0.1,color=0.2, or none.",
        TRAINING,
        "recipe.augment",
        read=read_augment,
        write=augment_text,
    ),
    Option(
        "class_weights",
        str,
        "How much each class counts in the training loss.",
        TRAINING,
        "recipe.class_weights",
        choices=("none", "balanced"),
        default="none",
        unset="none",
    ),
    Option(
        "metric",
        str,
        "Metric that verdicts are about.",
        RUNNING,
        "verdict.metric",
        choices=("test_accuracy", "balanced_accuracy", "macro_f1"),
        default="test_accuracy",
    ),
    Option(
        "precision",
        str,
        "Training precision.",
        TRAINING,
        "recipe.precision",
        choices=("float32", "tf32", "bf16"),
        default="float32",
        unset="float32",
    ),
    Option(
        "image_size",
        int,
        "Side of the resized images in pixels.",
        IMAGES,
        "pictures.image_size",
        default="100",
    ),
    Option(
        "resize",
        str,
        "Resize filter.",
        IMAGES,
        "pictures.resize",
        choices=("antialias", "bilinear"),
        default="antialias",
    ),
    Option("limit", int, "Use at most this many images.", IMAGES, "pictures.limit"),
    Option(
        "max_unreadable",
        float,
        "Largest share of files that may be unreadable.",
        TRAINING,
        "pictures.max_unreadable",
        default="0.05",
    ),
    Option(
        "cache",
        Path,
        "Folder for prepared images.",
        IMAGES,
        default="HEADTOHEAD_CACHE, or the user's cache",
    ),
    Option("out", Path, "Folder for results.", RUNNING, default="runs/<study>-<digest>"),
    Option("out", Path, "Folder for results.", ("tune",), default="runs/<study>-tuning-<digest>"),
    Option("masks", Path, "Folder of masks, named like the images, to score class maps.", RUNNING),
    Option("retry_failed", bool, "Train failed runs again.", ("compare",), value=False),
    Option(
        "retrain_changed",
        bool,
        "Train the runs of your own heads again whose source changed.",
        ("compare",),
        value=False,
    ),
    Option("device", str, "auto, cpu, cuda or cuda:N.", TRAINING, default="auto", value="auto"),
    Option(
        "deterministic",
        bool,
        "Repeatable to the bit on a GPU; a CPU always is.",
        TRAINING,
        value=False,
    ),
    Option("workers", int, "Worker processes.", TRAINING, default="one per core or GPU"),
    Option(
        "executor",
        str,
        "Where runs are trained: local or a Ray cluster.",
        TRAINING,
        "execution.executor",
        default="local",
        metavar="local|ray[:ADDRESS]",
    ),
    Option(
        "per_run",
        str,
        "What a run takes of a Ray cluster: cores, GPUs and GiB of memory.",
        TRAINING,
        "execution.per_run",
        default="cores=1,gpus=1",
        metavar="cores=N,gpus=N,memory=N",
        read=read_per_run,
        write=per_run_text,
    ),
    Option(
        "timing",
        bool,
        "Measure a few training steps to estimate the time.  [default: timing]",
        ("plan",),
        value=True,
        switch="--timing/--no-timing",
    ),
)


def options_of(command: str) -> tuple[Option, ...]:
    """The options that a command takes, in the order of its help."""
    return tuple(option for option in OPTIONS if command in option.commands)


def documented(command: str) -> Callable[[_Function], _Function]:
    """Adds the options of a command to the docstring of the function that does it."""

    def with_options(function: _Function) -> _Function:
        lines = [f"    {option.name}: {option.told}" for option in options_of(command)]
        function.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Options:", *lines])
        return function

    return with_options


class PictureOptions(TypedDict, total=False):
    """How images are prepared; each is told in `OPTIONS`. None is not given."""

    image_size: int | None
    resize: str | None
    limit: int | None


class TuneOptions(PictureOptions, total=False):
    """What wins over a study that is tuned; each is told in `OPTIONS`. None is not given."""

    data: str | Path | None
    heads: str | Sequence[str] | None
    batch_size: int | None
    augment: str | Mapping[str, Any] | None
    schedule: str | None
    warmup: float | None
    batch_norm: str | None
    precision: str | None
    class_weights: str | None
    backbone: str | None
    weights: str | Path | None
    weights_match: str | None
    train_backbone: str | None
    max_unreadable: float | None
    executor: str | None
    per_run: str | Mapping[str, Any] | None


class StudyOptions(TuneOptions, total=False):
    """What wins over a study; each is told in `OPTIONS`. None is not given."""

    seeds: int | None
    epochs: int | None
    min_steps: int | None
    learning_rate: float | None
    weight_decay: float | None
    until_decided: str | None
    metric: str | None


def study_from(study: str | Path | None, **options: Any) -> "StudySpec":
    """A study's name or file with `options` (see `StudyOptions`) on top; None is not given.

    Without a study it is `quick`, on drawn images, or `standard` where `data` is given, under the
    name of that data. Raises UsageError, and TypeError for an option that there is not.
    """
    # Imported here because reading a study needs pydantic, which no help text does.
    from headtohead.config.reading import name_after, resolve_study

    if study is not None and not isinstance(study, str | os.PathLike):
        raise UsageError(
            f"study is a shipped study's name or a YAML file's path; received {brief(repr(study))}."
        )
    given: dict[str, Any] = {}
    known = {option.name: option for option in options_of("compare") if option.place is not None}
    for name, value in options.items():
        if name not in known:
            raise TypeError(f"unexpected option {name!r}: there are {', '.join(known)}")
        if value is not None:
            *parts, last = (known[name].place or "").split(".")
            below = given
            for part in parts:
                below = below.setdefault(part, {})
            below[last] = known[name].read(value)
    if "data" in given:
        given["data"] = str(given["data"])
        if study is None:
            given["name"] = name_after(given["data"])
    return resolve_study(study or ("standard" if "data" in given else "quick"), **given)


def arguments_for(study: "StudySpec") -> list[str] | None:
    """The arguments of `compare` that give exactly this study; None where there are none."""
    from headtohead.config.reading import shipped_studies

    # What was found of weights on this machine, and where it ran, is no part of what a user writes.
    study = study.model_copy(update={"backbone": study.backbone.unresolved()}).where_it_runs_aside()

    shipped = [study.name] if study.name in shipped_studies() else []
    for base in (*shipped, None):
        start = {} if base else {"data": study.data}
        changed = {**start, **_changes(study, study_from(base, **start))}
        try:
            same = study_from(base, **changed) == study
        except UsageError:
            continue
        if same:
            return [*([base] if base else []), *_as_flags(changed)]
    return None


def _changes(study: "StudySpec", base: "StudySpec") -> dict[str, Any]:
    """The options that differ, as they are given."""
    changed = {}
    for option in options_of("compare"):
        if option.place is None:
            continue
        mine, usual = option.write(option.of(study)), option.write(option.of(base))
        if mine != usual:
            changed[option.name] = mine
    return changed


def _as_flags(changed: Mapping[str, Any]) -> Iterator[str]:
    for option in options_of("compare"):
        if option.name in changed:
            yield from (option.flag, str(changed[option.name]))
