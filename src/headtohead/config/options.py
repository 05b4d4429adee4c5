"""Every option that more than one command takes, or that a study remembers, written once.

The command line, the documentation of the Python functions, the study that is run and the page's
command all come from `OPTIONS`. Imports little: `headtohead --help` reads this file.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from headtohead.config.augmentation import augment_text, read_augment
from headtohead.config.candidates import candidate_text
from headtohead.config.per_run import per_run_text, read_per_run

if TYPE_CHECKING:
    from headtohead.config.study import StudySpec

SOURCES = "A folder, an archive, cats_vs_dogs, tfds:NAME, hf:OWNER/NAME or synthetic."

RUNNING = ("compare", "plan")
TRAINING = (*RUNNING, "tune")
IMAGES = (*TRAINING, "data")
ONE_MODEL = ("predict", "explain", "export")
MODELS = (*ONE_MODEL, "evaluate", "demo")

_Function = TypeVar("_Function", bound=Callable[..., Any])


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
    None means at its place; `many` may be given more than once. `read` makes the study's value of
    what was given, and `write` the command line's text of the study's value.
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
    many: bool = False
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
        "Backbone, e.g. tutorial_cnn or timm:NAME; `headtohead backbones` lists them.",
        TRAINING,
        "backbone.name",
        default="tutorial_cnn",
        metavar="NAME",
    ),
    Option(
        "weights",
        str,
        "Weights that the backbone starts with.",
        (*TRAINING, "backbones"),
        "backbone.weights",
        default="random",
        unset="random",
        metavar="FILE|pretrained|random",
        read=str,
    ),
    Option(
        "weights_match",
        str,
        "Match the tensors of a weights file by name or by order.",
        (*TRAINING, "backbones"),
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
    Option("seeds", int, "Number of seeds; they are 0, 1, …", RUNNING, "seeds"),
    Option(
        "until_decided",
        str,
        "Add seeds until the comparison of the reference with HEAD is decided.",
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
        "Fewest training steps of a run; epochs are added where needed. Where epochs alone are "
        "given, none are added.",
        RUNNING,
        "recipe.min_steps",
        unset=1,
    ),
    Option("epochs", int, "Epochs of each trial.", ("tune",), "tuning.epochs", default="5"),
    Option("batch_size", int, "Images in a training step.", TRAINING, "recipe.batch_size"),
    Option("learning_rate", float, "Learning rate.", RUNNING, "recipe.learning_rate"),
    Option("weight_decay", float, "Weight decay.", RUNNING, "recipe.weight_decay"),
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
        choices=("recomputed", "moving", "frozen"),
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
        (*IMAGES, "evaluate", "doctor"),
        default="HEADTOHEAD_CACHE, or the user's cache",
    ),
    Option("out", Path, "Folder for results.", RUNNING, default="runs/<study>-<digest>"),
    Option("out", Path, "Folder for results.", ("tune",), default="runs/<study>-tuning-<digest>"),
    Option("out", Path, "Folder for results.", ("doctor",), default="the current folder"),
    Option(
        "masks",
        Path,
        "Folder of masks, named like the images, to score class maps.",
        RUNNING,
        "masks",
        read=str,
    ),
    Option("retry_failed", bool, "Train failed runs again.", ("compare",), value=False),
    Option(
        "retrain_changed",
        bool,
        "Train again the runs of heads of your own whose source changed.",
        ("compare",),
        value=False,
    ),
    Option(
        "device",
        str,
        "auto (a GPU where there is one), cpu, cuda or cuda:N.",
        (*TRAINING, "predict", "explain", "evaluate", "demo"),
        default="auto",
        value="auto",
    ),
    Option(
        "deterministic",
        bool,
        "Repeatable to the bit on a GPU; a CPU always is.",
        TRAINING,
        value=False,
    ),
    Option(
        "workers",
        int,
        "Worker processes; on a Ray cluster the most runs at once.",
        TRAINING,
        default="one per core or GPU; on Ray as many as fit",
    ),
    Option(
        "executor",
        str,
        "Where runs are trained: local or a Ray cluster.",
        (*TRAINING, "doctor"),
        "execution.executor",
        default="local",
        metavar="local|ray[:ADDRESS]",
    ),
    Option(
        "per_run",
        str,
        "What Ray reserves for each run: cores, GPUs and GiB of memory.",
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
        "Measure a few training steps to estimate the time; done by default.",
        ("plan",),
        value=True,
        switch="--timing/--no-timing",
    ),
    Option("head", str, "A head of the study.", ONE_MODEL, default="the winner on validation"),
    Option("seed", int, "Its seed.", ONE_MODEL, default="the best one on validation"),
    Option(
        "trust",
        str,
        "Import this head or backbone of your own, which the study names; may be repeated.",
        MODELS,
        metavar="MODULE:CLASS",
        many=True,
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
    masks: str | Path | None
