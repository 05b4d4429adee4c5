"""What is asked of the first worker before any work, so that the command never waits for torch.

Can these models be built, and on what would this machine's workers train? Imports no torch.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from headtohead.config.recipe import OptimizerName, Precision, RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec, StudySpec
from headtohead.core.errors import UsageError, brief
from headtohead.core.files import expanded
from headtohead.core.processes import module_command
from headtohead.core.system import CACHE_VARIABLE
from headtohead.heads.guidance import too_early_looks, too_few_seeds, too_large
from headtohead.runtime.process import StandbyProcesses
from headtohead.stats.sequential import Design
from headtohead.store.records import Record

WORKER, TIMING = "headtohead.runtime.worker", "headtohead.runtime.timing"
"""What a first worker runs: the second answers as the first does, and times steps instead of
training."""


class PreflightQuestion(Record):
    """What a study is about to train, each model that must be buildable, and on which machine.

    `answered`: another worker has answered it; who is asked now only gets ready, and looks at no
    GPU, where to look takes hundreds of megabytes.
    """

    backbone: BackboneSpec
    models: tuple[tuple[str, HeadSpec], ...]
    image_size: int
    precisions: tuple[Precision, ...]
    optimizers: dict[str, OptimizerName] = Field(default_factory=dict)
    device: str
    workers: int | None
    deterministic: bool
    answered: bool = False


class HeadSize(Record):
    """A head's parameters for two classes, for three, and how many each further class adds.

    `optimizer` trains it.
    """

    two: int
    three: int
    further: int
    optimizer: OptimizerName = "adam"

    def for_classes(self, classes: int) -> int:
        """Parameters for so many classes."""
        return self.two if classes == 2 else self.three + (classes - 3) * self.further


class PreflightAnswer(Record):
    """A setup for each worker, the backbone with its weights' SHA-256, and its stride in pixels.

    `about` is what a report says of the backbone: see `headtohead.backbones.describe.facts`;
    `guidance` is what should be known of the heads before hours are spent, and `functions` what
    heads compute, where that is known: those of one text are the same function. `memory` is the
    bytes that training may take on that device. Or why there is none.
    """

    setups: tuple[dict[str, Any], ...] = ()
    stride: int = 0
    backbone: BackboneSpec = BackboneSpec()
    about: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    guidance: tuple[str, ...] = ()
    functions: dict[str, str] = Field(default_factory=dict)
    sizes: dict[str, HeadSize] = Field(default_factory=dict)
    memory: int = 0
    refusal: str | None = None


class TimingQuestion(Record):
    """What a training step of each head's first batch takes, on images like the study's.

    `batches` is the images in a step of each head, in the order of `PreflightQuestion.models`.
    """

    recipes: tuple[RecipeSpec, ...]
    batches: tuple[int, ...]
    classes: int
    setup: dict[str, Any]


def question_about(
    spec: StudySpec,
    device: str,
    workers: int | None,
    *,
    deterministic: bool,
    models: Iterable[tuple[str, HeadSpec]] | None = None,
) -> PreflightQuestion:
    """`models` are those of the study's heads unless they are given. Raises UsageError."""
    whole = isinstance(workers, int) and not isinstance(workers, bool)
    if workers is not None and not (whole and workers >= 1):
        raise UsageError(
            f"--workers must be a whole number of at least 1; received {brief(repr(workers))}."
        )
    if not isinstance(device, str):
        raise UsageError(
            f"device is a text, auto, cpu, cuda or cuda:N; received {brief(repr(device))}."
        )
    asked = tuple(spec.heads.items() if models is None else models)
    own = spec.recipe.optimizer
    return PreflightQuestion(
        backbone=spec.backbone,
        models=asked,
        image_size=spec.pictures.image_size,
        precisions=tuple(spec.recipe_for(head).arithmetic for head in spec.heads),
        optimizers={name: head.recipe.get("optimizer", own) or "adam" for name, head in asked},
        device=device,
        workers=workers,
        deterministic=bool(deterministic),
    )


def first_worker(
    question: PreflightQuestion,
    cache: str | Path | None = None,
    module: str = WORKER,
) -> StandbyProcesses:
    """The first worker, getting ready; to be used in a `with` statement.

    `cache` is what `--cache` named: kernels are kept there where there is no other place. `module`
    is what it runs, WORKER or TIMING.
    """
    variables = {} if cache is None else {CACHE_VARIABLE: str(expanded(cache).absolute())}
    again = question.model_copy(update={"answered": True}).model_dump(mode="json")
    asked = question.model_dump(mode="json")
    standby = StandbyProcesses(module_command(module), asked, variables, again=again)
    standby.start(1)
    return standby


def guidance_of(spec: StudySpec, answer: PreflightAnswer) -> tuple[str, ...]:
    """What to know before hours are spent: of the heads, their seeds, and the images' size."""
    rule, tests = spec.verdict, len(spec.family)
    if rule.until_decided is not None:
        able = Design(rule.looks, rule.level, rule.spending).able()
        few = too_early_looks(rule.looks, able, rule.level)
    else:
        few = too_few_seeds(spec.seeds, tests, rule.level) if tests else []
    return (*answer.guidance, *few, *_smaller_images(spec.pictures.image_size, answer.about))


def _smaller_images(side: int, about: Mapping[str, str]) -> list[str]:
    """A sentence where a backbone with weights is made for images larger than `side` pixels."""
    trained = about.get("its image size", "")
    if (
        about.get("weights", "random") == "random"
        or not trained.isdecimal()
        or int(trained) <= side
    ):
        return []
    return [
        f"The backbone is made for images of {trained} pixels, and this study's have {side}. With "
        f"pretrained weights --image-size {trained} is slower and often more accurate."
    ]


def refuse_too_large(sizes: Mapping[str, HeadSize], memory: int, *, classes: int) -> None:
    """Raises UsageError for heads whose parameters do not fit into `memory` bytes in training."""
    counts = {name: size.for_classes(classes) for name, size in sizes.items()}
    optimizers = {name: size.optimizer for name, size in sizes.items()}
    if sentences := too_large(counts, memory, optimizers):
        raise UsageError(" ".join(sentences))


def answer_of(standby: StandbyProcesses) -> PreflightAnswer:
    """What the first worker says; waits for it.

    Raises UsageError for models, a device or a precision that there cannot be, and RunError where
    it dies.
    """
    event = standby.answer()
    answer = PreflightAnswer.model_validate(
        {key: event[key] for key in PreflightAnswer.model_fields}
    )
    if answer.refusal is not None:
        raise UsageError(answer.refusal)
    return answer
